//! Finding the faults of a webhook, which may take long: its templates are compiled for it, and certificates read. That is
//! done apart from the reconciliation that asks for it, and once for all that ask meanwhile.
//!
//! ```text
//! reconcile ─► ask ─┬─ Begin ─► (a thread of the rendering pool) ─► done ─► reconciled again ─► ask ─► Known
//!                   └─ Wait: it is under way
//! ```

use parking_lot::Mutex;

use crate::resources::conditions::Reason;

/// How far finding the faults of a webhook is.
#[derive(Debug, Default)]
pub(crate) struct Check(Mutex<State>);

#[derive(Debug, Default)]
enum State {
    /// Nobody has asked, or what was found has been given out.
    #[default]
    Idle,
    /// It is under way. `asked_again`: somebody has asked since it began, and something may have changed.
    UnderWay { asked_again: bool },
    /// What was found; None if there is no fault.
    Done { fault: Option<Reason>, asked_again: bool },
}

/// What is to be done to know the faults of a webhook.
#[derive(Debug)]
pub(crate) enum Asked {
    /// This is the fault; None if there is none.
    Known(Option<Reason>),
    /// It is to be found now.
    Begin,
    /// It is being found.
    Wait,
}

impl Check {
    /// Asks for the fault. What was found is given out once: whoever asks later wants to know how it is then.
    pub(crate) fn ask(&self) -> Asked {
        let mut state = self.0.lock();
        match std::mem::take(&mut *state) {
            State::Idle => {
                *state = State::UnderWay { asked_again: false };
                Asked::Begin
            }
            State::UnderWay { .. } => {
                *state = State::UnderWay { asked_again: true };
                Asked::Wait
            }
            State::Done { asked_again: true, .. } => {
                *state = State::UnderWay { asked_again: false };
                Asked::Begin
            }
            State::Done { fault, asked_again: false } => Asked::Known(fault),
        }
    }

    /// Takes in that it could not be found. Whoever asks later makes another try.
    pub(crate) fn failed(&self) {
        *self.0.lock() = State::Idle;
    }

    /// Takes in what was found.
    pub(crate) fn done(&self, fault: Option<Reason>) {
        let mut state = self.0.lock();
        let asked_again = matches!(*state, State::UnderWay { asked_again: true });
        *state = State::Done { fault, asked_again };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::conditions;

    /// What came of asking, in a word.
    fn asked(check: &Check) -> &'static str {
        match check.ask() {
            Asked::Known(None) => "fine",
            Asked::Known(Some(_)) => "faulty",
            Asked::Begin => "begin",
            Asked::Wait => "wait",
        }
    }

    #[test]
    fn a_check_is_made_once_for_all_who_ask_meanwhile_and_anew_for_those_who_ask_later() {
        let check = Check::default();
        assert_eq!(asked(&check), "begin");
        check.done(Some(conditions::gone()));
        assert_eq!(asked(&check), "faulty");
        assert_eq!(asked(&check), "begin", "something may have changed since");
        for _ in 0..300 {
            assert_eq!(asked(&check), "wait");
        }
        check.done(None);
        assert_eq!(asked(&check), "begin", "it was asked for after the check had begun");
        check.done(None);
        assert_eq!(asked(&check), "fine");
        assert_eq!(asked(&check), "begin");
        check.failed();
        assert_eq!(asked(&check), "begin");
    }
}
