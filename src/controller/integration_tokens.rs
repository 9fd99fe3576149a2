//! The tokens of Integrations, as far as their statuses tell of them: whether there is one, and whether it is the Integration's alone.
//! It is the REST API that takes alerts.
//!
//! ```text
//! Integrations ─► refer ──┬─► Secrets ─► fault ─► Integration.status
//! a Secret was read ──────┘      └─► SourceTokens: those that have the same
//! ```

use std::collections::{BTreeSet, HashMap};

use parking_lot::Mutex;

use crate::{
    core::webhook::SecretKey,
    kubernetes::name::NamespacedName,
    resources::conditions::{self as reasons, Reason},
    secrets::{Referrer, Secrets},
    source_tokens::{self, SourceTokens, TokenFault},
};

/// What is known of them.
pub(crate) struct IntegrationTokens {
    secrets: Secrets,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tokens: SourceTokens,
    /// Where the token of each Integration is that refers to one.
    keys: HashMap<NamespacedName, SecretKey>,
    /// What is wrong with the text there.
    faults: HashMap<NamespacedName, TokenFault>,
    is_listed: bool,
}

impl IntegrationTokens {
    pub(crate) fn new(secrets: Secrets) -> Self {
        Self { secrets, state: Mutex::default() }
    }

    /// Takes in where the token of an Integration is; None if it has none, or is gone. Returns all for which that may change
    /// something.
    pub(crate) fn refer(&self, integration: &NamespacedName, key: Option<SecretKey>) -> BTreeSet<NamespacedName> {
        let mut state = self.state.lock();
        if state.keys.get(integration) == key.as_ref() {
            return BTreeSet::new();
        }
        self.secrets.refer(Referrer::Integration(integration.clone()), key.iter().cloned().collect());
        match key {
            Some(key) => state.keys.insert(integration.clone(), key),
            None => state.keys.remove(integration),
        };
        self.read(&mut state, integration)
    }

    /// Takes in that all Integrations are known that were there before this process.
    pub(crate) fn listed(&self) {
        let mut state = self.state.lock();
        state.is_listed = true;
        self.settle(&mut state);
    }

    /// Takes in that what is known of a Secret has changed. Returns all for which that may change something.
    pub(crate) fn secret_changed(&self, secret: &NamespacedName) -> BTreeSet<NamespacedName> {
        let mut state = self.state.lock();
        let refers = |(name, key): &(&NamespacedName, &SecretKey)| {
            name.namespace == secret.namespace && *key.name == *secret.name
        };
        let names: Vec<_> = state.keys.iter().filter(refers).map(|(name, _)| name.clone()).collect();
        let affected = names.iter().flat_map(|name| self.read(&mut state, name)).collect();
        self.settle(&mut state);
        affected
    }

    /// Whether the token of an Integration has not been read.
    pub(crate) fn awaits(&self, integration: &NamespacedName) -> bool {
        let key = self.state.lock().keys.get(integration).cloned();
        key.is_some_and(|key| self.secrets.is_unread(&integration.namespace, &key))
    }

    /// Why the token of an Integration opens nothing; None if it opens it, or if there is none.
    pub(crate) fn fault(&self, integration: &NamespacedName) -> Option<Reason> {
        let state = self.state.lock();
        let key = state.keys.get(integration)?;
        if let Err(missing) = self.secrets.get(&integration.namespace, key) {
            return Some(reasons::secret_unavailable(missing.reason(), "tokenSecretRef", &missing));
        }
        if let Some(fault) = state.faults.get(integration) {
            return Some(reasons::token_invalid(&key.name, &key.key, fault));
        }
        state.tokens.shared(integration).map(|shared| reasons::token_shared(&shared.text()))
    }

    fn read(&self, state: &mut State, integration: &NamespacedName) -> BTreeSet<NamespacedName> {
        let found = match state.keys.get(integration) {
            // Until it is read, what was read before counts.
            Some(key) if self.secrets.is_unread(&integration.namespace, key) => return BTreeSet::new(),
            Some(key) => self.secrets.get(&integration.namespace, key).ok().map(|text| source_tokens::read(&text)),
            None => None,
        };
        let tokens = match found {
            Some(Ok(tokens)) => {
                state.faults.remove(integration);
                tokens
            }
            Some(Err(fault)) => {
                state.faults.insert(integration.clone(), fault);
                Vec::new()
            }
            None => {
                state.faults.remove(integration);
                Vec::new()
            }
        };
        let mut affected = state.tokens.set(integration, tokens).affected;
        affected.insert(integration.clone());
        affected
    }

    fn settle(&self, state: &mut State) {
        let is_unread = |(name, key): (&NamespacedName, &SecretKey)| self.secrets.is_unread(&name.namespace, key);
        if state.is_listed && !state.tokens.is_settled() && !state.keys.iter().any(is_unread) {
            state.tokens.settle();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "a-token-of-20-characters";

    fn key(secret: &str) -> SecretKey {
        SecretKey { name: secret.to_owned(), key: "token".to_owned() }
    }

    fn name(text: &str) -> NamespacedName {
        let (namespace, name) = text.split_once('/').unwrap();
        NamespacedName::new(namespace, name)
    }

    #[test]
    fn a_status_says_what_is_wrong_with_a_token_and_with_those_that_have_the_same() {
        let secrets = Secrets::new(1 << 20);
        let tokens = IntegrationTokens::new(secrets.clone());
        let read = |secret: &str, text: Option<&str>| {
            secrets.read_as(&name(secret), text.map(|text| ("token", text)));
            let affected = tokens.secret_changed(&name(secret));
            affected.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let word = |of: &str| tokens.fault(&name(of)).map(|reason| reason.word());
        let one = name("team/one");
        assert!(!tokens.awaits(&one) && tokens.fault(&one).is_none(), "it has none");
        assert!(tokens.refer(&one, Some(key("a"))).is_empty() && tokens.awaits(&one));
        tokens.listed();
        assert_eq!(read("team/a", None), ["team/one"]);
        assert_eq!((tokens.awaits(&one), word("team/one")), (false, Some("SecretNotFound")));
        assert_eq!(
            (read("team/a", Some("short")), word("team/one")),
            (vec!["team/one".to_owned()], Some("SecretInvalid"))
        );
        assert_eq!((read("team/a", Some(TOKEN)), word("team/one")), (vec!["team/one".to_owned()], None));

        tokens.refer(&name("other/two"), Some(key("b")));
        assert_eq!(read("other/b", Some(TOKEN)), ["other/two", "team/one"]);
        assert_eq!((word("team/one"), word("other/two")), (Some("TokenShared"), Some("TokenShared")));
        assert_eq!(tokens.refer(&name("other/two"), None), BTreeSet::from([name("other/two"), one.clone()]));
        assert_eq!((word("team/one"), word("other/two")), (None, None));
        assert_eq!(tokens.refer(&one, None), BTreeSet::from([one]));
    }
}
