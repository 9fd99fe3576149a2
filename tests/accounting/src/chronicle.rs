//! What happens in a run, as it is told while it happens and as it is judged at the end.

use anyhow::Result;
use cluster::ProcessGroup;
use tokio::sync::watch;

use crate::{clock::Clock, faults::Disturbance, operators::Operators};

/// Tells of a run, and keeps its disturbances.
pub(crate) struct Chronicle<'a> {
    clock: Clock,
    /// How many deliveries have arrived.
    arrived: watch::Receiver<usize>,
    tell: &'a dyn Fn(&str),
    pub(crate) disturbances: Vec<Disturbance>,
}

impl<'a> Chronicle<'a> {
    pub(crate) fn new(clock: Clock, arrived: watch::Receiver<usize>, tell: &'a dyn Fn(&str)) -> Self {
        Self { clock, arrived, tell, disturbances: Vec::new() }
    }

    /// Tells that something happens now.
    pub(crate) fn say(&self, what: &str) {
        let (at, arrived) = (self.clock.now().as_secs_f64(), *self.arrived.borrow());
        (self.tell)(&format!("{at:>7.1} s {arrived:>7} arrived   {what}"));
    }

    /// Tells what the operators complain of in their logs, and how often.
    pub(crate) fn say_complaints(&self, operators: &Operators) {
        for (complaint, count) in operators.complaints() {
            (self.tell)(&format!("the operator's log, {count} x {complaint}"));
        }
    }

    /// Notes a disturbance that is over.
    pub(crate) fn note(&mut self, came: Disturbance) {
        self.disturbances.push(came);
        self.say(&format!("  over after {:.1} s", (self.clock.now() - came.from).as_secs_f64()));
    }

    /// Starts operators that have ended again, and notes what happened to them by itself.
    pub(crate) async fn look_after(&mut self, operators: &mut Operators, group: &ProcessGroup) -> Result<()> {
        for happened in operators.look_after(group).await? {
            self.disturbances.push(happened);
            self.say(&happened.fault.to_string());
        }
        Ok(())
    }
}
