//! Finding the faults of a webhook, which may take long: its templates are tried out for it, and certificates read. That is
//! done apart from the reconciliation that asks for it, and once for all that ask meanwhile. What is wrong with its manifest is
//! found once for each generation of it.
//!
//! ```text
//! reconcile ─► ask ─┬─ Begin ─► (a thread of the rendering pool) ─► done ─► reconciled again ─► ask ─► Known
//!                   └─ Wait: it is under way
//! ```

use std::{
    hash::{BuildHasher, RandomState},
    sync::OnceLock,
};

use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};

use crate::{
    core::{
        judgement::{self, Fault},
        signing, tls,
        webhook::{SecretKey, UrlSource, Webhook},
    },
    resources::conditions::{self as reasons, Reason},
    secrets::Secrets,
};

/// What was found of a webhook.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// Why it can't work, if it can't.
    pub(crate) fault: Option<Reason>,
    /// Why it may not work with some data, if it may not.
    pub(crate) warning: Option<Reason>,
}

/// What is wrong with the manifest of a webhook, once that is known, and with the URL that it has in a Secret.
#[derive(Debug, Default)]
pub(crate) struct ManifestFaults {
    of_manifest: OnceLock<Vec<Fault>>,
    /// For the text of this hash, the last that there was.
    of_secret_url: Mutex<Option<(u64, Option<Fault>)>>,
    hasher: RandomState,
}

impl ManifestFaults {
    /// The faults of `webhook`, which is always the same. Finding them may take seconds.
    fn of(&self, webhook: &Webhook) -> &[Fault] {
        self.of_manifest.get_or_init(|| judgement::judge(webhook))
    }

    /// The fault of the template of a URL in a Secret. Finding it may take seconds, once for each text.
    fn of_secret_url(&self, text: &SecretString, key: &SecretKey) -> Option<Fault> {
        let hash = self.hasher.hash_one(text.expose_secret());
        if let Some((_, fault)) = self.of_secret_url.lock().as_ref().filter(|(known, _)| *known == hash) {
            return fault.clone();
        }
        let fault = judgement::judge_secret_url(text, key);
        *self.of_secret_url.lock() = Some((hash, fault.clone()));
        fault
    }

    /// Whether they are known.
    pub(crate) fn are_known(&self) -> bool {
        self.of_manifest.get().is_some()
    }
}

/// Finds what is wrong with a webhook of a namespace. May take seconds.
pub(crate) fn find(webhook: &Webhook, manifest: &ManifestFaults, namespace: &str, secrets: &Secrets) -> Findings {
    let of_url = match &webhook.url {
        UrlSource::Secret(key) => secrets.get(namespace, key).ok().and_then(|text| manifest.of_secret_url(&text, key)),
        UrlSource::Template(_) => None,
    };
    let all = manifest.of(webhook).iter().cloned().chain(of_url);
    let (warnings, faults): (Vec<Fault>, Vec<Fault>) = all.partition(|fault| fault.kind.is_warning());
    let fault =
        if faults.is_empty() { secret_fault(webhook, namespace, secrets) } else { Some(reasons::unusable(&faults)) };
    Findings { fault, warning: (!warnings.is_empty()).then(|| reasons::fails_on_empty_data(&warnings)) }
}

/// Why the Secrets of a webhook don't do; None if they do.
fn secret_fault(webhook: &Webhook, namespace: &str, secrets: &Secrets) -> Option<Reason> {
    let lacking = webhook.secrets().find_map(|(field, key)| match secrets.get(namespace, key) {
        Err(missing) => Some(reasons::secret_unavailable(missing.reason(), field, &missing)),
        Ok(text) if field == "signing" => {
            let malformed = signing::parse_keys(&text).err()?;
            Some(reasons::signing_key_invalid(&key.name, &key.key, &malformed))
        }
        Ok(_) => None,
    });
    let secret = |key: &SecretKey| secrets.get(namespace, key).map_err(|missing| missing.to_string());
    lacking.or_else(|| Some(reasons::tls_invalid(&tls::load_identity(&webhook.tls, &secret).err()?)))
}

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
    /// What was found.
    Done { findings: Findings, asked_again: bool },
}

/// What is to be done to know the faults of a webhook.
#[derive(Debug)]
pub(crate) enum Asked {
    /// This was found.
    Known(Findings),
    /// It is to be found now.
    Begin,
    /// It is being found.
    Wait,
}

impl Check {
    /// Asks for what is wrong. What was found is given out once: whoever asks later wants to know how it is then.
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
            State::Done { findings, asked_again: false } => Asked::Known(findings),
        }
    }

    /// Takes in that it could not be found. Whoever asks later makes another try.
    pub(crate) fn failed(&self) {
        *self.0.lock() = State::Idle;
    }

    /// Takes in what was found.
    pub(crate) fn done(&self, findings: Findings) {
        let mut state = self.0.lock();
        let asked_again = matches!(*state, State::UnderWay { asked_again: true });
        *state = State::Done { findings, asked_again };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What came of asking, in a word.
    fn asked(check: &Check) -> &'static str {
        match check.ask() {
            Asked::Known(Findings { fault: None, .. }) => "fine",
            Asked::Known(Findings { fault: Some(_), .. }) => "faulty",
            Asked::Begin => "begin",
            Asked::Wait => "wait",
        }
    }

    #[test]
    fn the_url_in_a_secret_is_judged_anew_when_it_changes() {
        let (faults, key) = (ManifestFaults::default(), SecretKey { name: "s".to_owned(), key: "k".to_owned() });
        for (text, message) in [
            ("ftp://nope", Some("Key 'k' of Secret 's': Malformed url")),
            ("ftp://nope", Some("Key 'k' of Secret 's': Malformed url")),
            ("https://receiver.example", None),
            ("{{ 1 | nope }}", Some("Key 'k' of Secret 's': the template fails")),
        ] {
            let fault = faults.of_secret_url(&SecretString::from(text), &key);
            assert_eq!(fault.map(|fault| fault.message).as_deref(), message, "{text}");
        }
    }

    #[test]
    fn a_check_is_made_once_for_all_who_ask_meanwhile_and_anew_for_those_who_ask_later() {
        let check = Check::default();
        assert_eq!(asked(&check), "begin");
        check.done(Findings { fault: Some(reasons::gone()), warning: None });
        assert_eq!(asked(&check), "faulty");
        assert_eq!(asked(&check), "begin", "something may have changed since");
        for _ in 0..300 {
            assert_eq!(asked(&check), "wait");
        }
        check.done(Findings::default());
        assert_eq!(asked(&check), "begin", "it was asked for after the check had begun");
        check.done(Findings::default());
        assert_eq!(asked(&check), "fine");
        assert_eq!(asked(&check), "begin");
        check.failed();
        assert_eq!(asked(&check), "begin");
    }
}
