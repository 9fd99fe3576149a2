//! From the keys of Secrets that Integrations name to the tokens that open them.
//!
//! ```text
//! an Integration ─► refer ──┬─► Secrets ─► read ─► SourceTokens ─► opens
//! a Secret was read ────────┘                └──► TokenTrouble: why a token opens nothing
//! ```

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use super::{SharedToken, SourceToken, SourceTokens, TokenFault, TokensChange, read};
use crate::{
    core::{name::NamespacedName, webhook::SecretKey},
    secrets::{MissingSecret, Referrer, Secrets},
};

/// The tokens of all Integrations, as far as their Secrets have been read.
pub(crate) struct SecretTokens {
    secrets: Secrets,
    tokens: SourceTokens,
    /// Where the token of each Integration is that refers to one.
    keys: BTreeMap<NamespacedName, SecretKey>,
    /// What is wrong with the text there.
    faults: HashMap<NamespacedName, TokenFault>,
    /// Those whose token is being read.
    unread: HashSet<NamespacedName>,
    is_listed: bool,
}

/// Why the token of an Integration opens nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TokenTrouble<'a> {
    /// There is no text, or it can't be read.
    Missing(MissingSecret),
    /// The text at this place is no token.
    Invalid(&'a SecretKey, TokenFault),
    /// It is not the Integration's alone.
    Shared(&'a SharedToken),
}

impl SecretTokens {
    pub(crate) fn new(secrets: Secrets) -> Self {
        Self {
            secrets,
            tokens: SourceTokens::default(),
            keys: BTreeMap::new(),
            faults: HashMap::new(),
            unread: HashSet::new(),
            is_listed: false,
        }
    }

    /// Takes in where the token of an Integration is; None if it has none, or is gone. Returns what that changes.
    pub(crate) fn refer(&mut self, integration: &NamespacedName, key: Option<SecretKey>) -> TokensChange {
        if self.keys.get(integration) == key.as_ref() {
            return TokensChange::default();
        }
        self.secrets.refer(Referrer::Integration(integration.clone()), key.iter().cloned().collect());
        match key {
            Some(key) => self.keys.insert(integration.clone(), key),
            None => self.keys.remove(integration),
        };
        let change = self.read(integration);
        self.settle();
        change
    }

    /// Takes in that all Integrations are known that were there before this process.
    pub(crate) fn listed(&mut self) {
        self.is_listed = true;
        self.settle();
    }

    /// Takes in that what is known of a Secret has changed. Returns what that changes.
    pub(crate) fn secret_changed(&mut self, secret: &NamespacedName) -> TokensChange {
        let first = NamespacedName::new(Arc::clone(&secret.namespace), "");
        let of_namespace = self.keys.range(first..).take_while(|(name, _)| name.namespace == secret.namespace);
        let refers = of_namespace.filter(|(_, key)| *key.name == *secret.name);
        let names: Vec<NamespacedName> = refers.map(|(name, _)| name.clone()).collect();
        let mut all = TokensChange::default();
        for name in names {
            let TokensChange { begun, affected } = self.read(&name);
            all.begun.extend(begun);
            all.affected.extend(affected);
        }
        self.settle();
        all
    }

    /// Whether all tokens are known that were there before this process.
    pub(crate) fn is_settled(&self) -> bool {
        self.tokens.is_settled()
    }

    /// Whether the token of an Integration is being read.
    pub(crate) fn awaits(&self, integration: &NamespacedName) -> bool {
        self.unread.contains(integration)
    }

    /// Whether a token is being read.
    pub(crate) fn awaits_any(&self) -> bool {
        !self.unread.is_empty()
    }

    /// The Integration that a token opens.
    pub(crate) fn opens(&self, token: &SourceToken) -> Option<&NamespacedName> {
        self.tokens.opens(token)
    }

    /// Why the token of an Integration opens nothing; None if it opens it, or if there is none.
    pub(crate) fn trouble(&self, integration: &NamespacedName) -> Option<TokenTrouble<'_>> {
        let key = self.keys.get(integration)?;
        if let Err(missing) = self.secrets.get(&integration.namespace, key) {
            return Some(TokenTrouble::Missing(missing));
        }
        if let Some(fault) = self.faults.get(integration) {
            return Some(TokenTrouble::Invalid(key, *fault));
        }
        self.tokens.shared(integration).map(TokenTrouble::Shared)
    }

    /// Takes in the token of an Integration as far as it is read.
    fn read(&mut self, integration: &NamespacedName) -> TokensChange {
        let found = match self.keys.get(integration) {
            Some(key) if self.secrets.is_unread(&integration.namespace, key) => {
                // Until then, those that it had are valid.
                self.unread.insert(integration.clone());
                return TokensChange::default();
            }
            Some(key) => self.secrets.get(&integration.namespace, key).map(|text| read(&text)),
            None => Ok(Ok(Vec::new())),
        };
        self.unread.remove(integration);
        self.faults.remove(integration);
        let tokens = match found {
            // It may be what it was.
            Err(MissingSecret::Unread { .. }) => None,
            Err(_) => Some(Vec::new()),
            Ok(Err(fault)) => {
                self.faults.insert(integration.clone(), fault);
                Some(Vec::new())
            }
            Ok(Ok(tokens)) => Some(tokens),
        };
        let mut change = tokens.map(|tokens| self.tokens.set(integration, tokens)).unwrap_or_default();
        change.affected.insert(integration.clone());
        change
    }

    fn settle(&mut self) {
        if self.is_listed && self.unread.is_empty() && !self.tokens.is_settled() {
            self.tokens.settle();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const TOKEN: &str = "a-token-of-20-characters";

    fn key(secret: &str) -> SecretKey {
        SecretKey { name: secret.to_owned(), key: "token".to_owned() }
    }

    fn name(text: &str) -> NamespacedName {
        let (namespace, name) = text.split_once('/').unwrap();
        NamespacedName::new(namespace, name)
    }

    /// The Integrations that a Secret's change affects.
    fn read(tokens: &mut SecretTokens, secret: &str, text: Option<&str>) -> Vec<String> {
        tokens.secrets.read_as(&name(secret), text.map(|text| ("token", text)));
        tokens.secret_changed(&name(secret)).affected.iter().map(ToString::to_string).collect()
    }

    fn trouble(tokens: &SecretTokens, integration: &str) -> &'static str {
        match tokens.trouble(&name(integration)) {
            None => "none",
            Some(TokenTrouble::Missing(_)) => "missing",
            Some(TokenTrouble::Invalid(..)) => "invalid",
            Some(TokenTrouble::Shared(_)) => "shared",
        }
    }

    #[test]
    fn what_is_wrong_with_a_token_is_told_of_it_and_of_those_that_have_the_same() {
        let mut tokens = SecretTokens::new(Secrets::new(1 << 20));
        let (one, two) = (name("team/one"), name("other/two"));
        assert_eq!((tokens.awaits(&one), trouble(&tokens, "team/one")), (false, "none"), "it has none");
        assert_eq!(tokens.refer(&one, Some(key("a"))).affected, BTreeSet::new());
        assert!(tokens.awaits(&one));
        tokens.listed();
        assert!(!tokens.is_settled(), "it is being read");
        for (text, expected) in [(None, "missing"), (Some("short"), "invalid"), (Some(TOKEN), "none")] {
            assert_eq!(read(&mut tokens, "team/a", text), ["team/one"]);
            assert_eq!((tokens.awaits(&one), trouble(&tokens, "team/one")), (false, expected));
        }
        assert!(tokens.is_settled());

        tokens.refer(&two, Some(key("b")));
        assert!(tokens.awaits_any());
        assert_eq!(read(&mut tokens, "other/b", Some(TOKEN)), ["other/two", "team/one"]);
        assert_eq!((trouble(&tokens, "team/one"), trouble(&tokens, "other/two")), ("shared", "shared"));
        assert_eq!(tokens.refer(&two, None).affected, BTreeSet::from([two, one.clone()]));
        assert_eq!((trouble(&tokens, "team/one"), trouble(&tokens, "other/two")), ("none", "none"));
        assert_eq!(tokens.opens(&SourceToken::of(TOKEN)), Some(&one));
        assert_eq!(tokens.refer(&one, None).affected, BTreeSet::from([one]));
        assert_eq!((tokens.opens(&SourceToken::of(TOKEN)), tokens.keys.len()), (None, 0));
    }

    #[test]
    fn a_secret_is_that_of_its_own_namespace_alone() {
        let mut tokens = SecretTokens::new(Secrets::new(1 << 20));
        for integration in ["team/one", "team/two", "team/x", "teams/one", "a/one"] {
            tokens.refer(&name(integration), Some(key(if integration == "team/x" { "other" } else { "a" })));
        }
        assert_eq!(read(&mut tokens, "team/a", Some("short")), ["team/one", "team/two"]);
    }
}
