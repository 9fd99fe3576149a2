//! The tokens that sources of alerts send: from the texts in Secrets to the Integration that each token opens.
//!
//! ```text
//! Secret ─► read ─► SourceTokens::set ─┬─► opens: the one Integration of a token
//!   └── SecretTokens ──┘               └─► SharedToken: why a token opens nothing
//! ```
//! Only hashes stay in memory. A token that two Integrations have opens neither: of one namespace, since nobody could tell which is
//! meant; of several, since whoever knows a token could put it into a Secret of a namespace of his own, and would get the alerts
//! once it is taken out of the other. Therefore a token that has opened an Integration opens none of another namespace as
//! long as this process remembers it, as with the tokens of the REST API.

mod of_secrets;

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::Arc,
};

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

pub(crate) use self::of_secrets::{SecretTokens, TokenTrouble};
use crate::core::name::NamespacedName;

/// The least number of characters of a token: shorter ones are found by trying.
const SHORTEST: usize = 20;
/// How many tokens are valid at a time, while one takes the other's place.
const AT_A_TIME: usize = 2;
/// Bound on the tokens of which no Integration is left whose namespace is remembered.
const REMEMBERED: usize = 20_000;

/// The SHA-256 of a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SourceToken([u8; 32]);

impl SourceToken {
    pub(crate) fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }
}

/// Shows nothing of it.
impl fmt::Debug for SourceToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SourceToken")
    }
}

/// Why the text under a Secret's key is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenFault {
    #[error("The token is empty: make one of at least {SHORTEST} letters and digits")]
    Empty,
    #[error("A token has fewer than {SHORTEST} characters: make a longer one")]
    Short,
    #[error("A token has other characters than ASCII's: make another one of letters and digits")]
    NotAscii,
    #[error("There are more than {AT_A_TIME} tokens with spaces between: leave only those that sources still send")]
    TooMany,
}

/// The tokens in the text of a Secret's key: one, or two with a space between.
///
/// # Errors
/// It is none: then the whole text opens nothing.
pub(crate) fn read(text: &SecretString) -> Result<Vec<SourceToken>, TokenFault> {
    let tokens: Vec<&str> = text.expose_secret().split_ascii_whitespace().take(AT_A_TIME + 1).collect();
    match tokens.len() {
        0 => Err(TokenFault::Empty),
        1..=AT_A_TIME => tokens.into_iter().map(read_one).collect(),
        _ => Err(TokenFault::TooMany),
    }
}

fn read_one(token: &str) -> Result<SourceToken, TokenFault> {
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(TokenFault::NotAscii);
    }
    if token.len() < SHORTEST {
        return Err(TokenFault::Short);
    }
    Ok(SourceToken::of(token))
}

/// What a change of an Integration's tokens comes to.
#[derive(Debug, Default)]
pub(crate) struct TokensChange {
    /// The problems that begin with it, also those of others.
    pub(crate) begun: Vec<SharedToken>,
    /// The Integrations that have or had one of the tokens.
    pub(crate) affected: BTreeSet<NamespacedName>,
}

/// A token that is not that of one Integration alone, and so opens nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SharedToken {
    pub(crate) integration: NamespacedName,
    /// The other Integrations of its namespace that have it.
    beside: BTreeSet<Arc<str>>,
    /// The other namespaces that have it, or had it before. Those who see the Integration need not see these.
    elsewhere: BTreeSet<Arc<str>>,
}

impl SharedToken {
    /// It in words for those who may see the Integration.
    pub(crate) fn text(&self) -> String {
        if let Some(other) = self.beside.first() {
            return format!(
                "Integration {other} has the same token, so that it opens neither: make another token for one"
            );
        }
        "Its token is that of an Integration of another namespace too, or was before, so that it opens neither: make another \
         token"
            .to_owned()
    }
}

/// In words for the operator of the cluster.
impl fmt::Display for SharedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Integration {}: {}", self.integration, self.text())?;
        for (at, namespace) in self.elsewhere.iter().take(3).enumerate() {
            let before = if at == 0 { " (the other namespace: " } else { ", " };
            write!(f, "{before}{namespace}")?;
        }
        if self.elsewhere.is_empty() { Ok(()) } else { f.write_str(")") }
    }
}

/// The tokens of all Integrations.
#[derive(Debug, Default)]
pub(crate) struct SourceTokens {
    by_integration: HashMap<NamespacedName, Tokens>,
    owners: HashMap<SourceToken, BTreeSet<NamespacedName>>,
    /// The namespace that each token belongs to, some time after no Integration has it too; None where nobody can tell.
    homes: HashMap<SourceToken, Option<Arc<str>>>,
    /// Whether the tokens that were there before this process are known: none of these came first.
    is_settled: bool,
}

/// The tokens of one Integration.
#[derive(Debug, Default)]
struct Tokens {
    tokens: Vec<SourceToken>,
    /// The problem that was told and has not ended.
    shared: Option<SharedToken>,
}

impl SourceTokens {
    /// Takes in which tokens an Integration has now, in place of those that it had; none if it is gone.
    pub(crate) fn set(&mut self, integration: &NamespacedName, tokens: Vec<SourceToken>) -> TokensChange {
        let before = self.by_integration.get(integration).map(|known| known.tokens.clone()).unwrap_or_default();
        if before == tokens {
            return TokensChange::default();
        }
        let mut affected = BTreeSet::from([integration.clone()]);
        for token in &before {
            if let Some(owners) = self.owners.get_mut(token) {
                owners.remove(integration);
                affected.extend(owners.iter().cloned());
                if owners.is_empty() {
                    self.owners.remove(token);
                }
            }
        }
        for token in &tokens {
            let owners = self.owners.entry(*token).or_default();
            owners.insert(integration.clone());
            affected.extend(owners.iter().cloned());
            if self.is_settled {
                self.homes.entry(*token).or_insert_with(|| Some(Arc::clone(&integration.namespace)));
            }
        }
        if tokens.is_empty() {
            self.by_integration.remove(integration);
        } else {
            self.by_integration.entry(integration.clone()).or_default().tokens = tokens;
        }
        self.forget();
        let begun = affected.iter().filter_map(|name| self.look_at(name)).collect();
        TokensChange { begun, affected }
    }

    /// Takes in that all tokens are known that were there before this process: each belongs to the namespace that has it.
    pub(crate) fn settle(&mut self) {
        self.is_settled = true;
        for (token, owners) in &self.owners {
            self.homes.entry(*token).or_insert_with(|| {
                let mut namespaces = owners.iter().map(|owner| &owner.namespace);
                let first = namespaces.next()?;
                namespaces.all(|other| other == first).then(|| Arc::clone(first))
            });
        }
    }

    /// Whether [`SourceTokens::settle`] was called.
    pub(crate) fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// The token of an Integration that is not its own alone, if it has one.
    pub(crate) fn shared(&self, integration: &NamespacedName) -> Option<&SharedToken> {
        self.by_integration.get(integration)?.shared.as_ref()
    }

    /// The Integration that a token opens.
    pub(crate) fn opens(&self, token: &SourceToken) -> Option<&NamespacedName> {
        let owners = self.owners.get(token)?;
        let owner = owners.first().filter(|_| owners.len() == 1)?;
        let is_home = self.homes.get(token).is_none_or(|home| home.as_ref() == Some(&owner.namespace));
        is_home.then_some(owner)
    }

    /// Finds out whether a token of an Integration is shared. Returns the problem if it begins.
    fn look_at(&mut self, integration: &NamespacedName) -> Option<SharedToken> {
        let tokens = &self.by_integration.get(integration)?.tokens;
        let shared = tokens.iter().filter(|token| self.opens(token) != Some(integration)).map(|token| {
            let others = self.owners.get(token).into_iter().flatten().filter(|other| *other != integration);
            let (beside, elsewhere): (Vec<_>, Vec<_>) =
                others.partition(|other| other.namespace == integration.namespace);
            let home = self.homes.get(token).cloned().flatten();
            let elsewhere = elsewhere.into_iter().map(|other| Arc::clone(&other.namespace)).chain(home);
            SharedToken {
                integration: integration.clone(),
                beside: beside.into_iter().map(|other| Arc::clone(&other.name)).collect(),
                elsewhere: elsewhere.filter(|namespace| *namespace != integration.namespace).collect(),
            }
        });
        let shared = shared.collect::<Vec<_>>().into_iter().next();
        let known = self.by_integration.get_mut(integration)?;
        let is_new = shared.is_some() && known.shared != shared;
        known.shared.clone_from(&shared);
        shared.filter(|_| is_new)
    }

    /// Forgets where tokens belonged that nobody has any more, where there are too many: of the namespace that has most.
    fn forget(&mut self) {
        while self.homes.len() > self.owners.len() + REMEMBERED {
            let mut counts: HashMap<Option<Arc<str>>, usize> = HashMap::new();
            for (_, home) in self.homes.iter().filter(|(token, _)| !self.owners.contains_key(*token)) {
                *counts.entry(home.clone()).or_default() += 1;
            }
            let Some((most, _)) = counts.into_iter().max_by_key(|(_, count)| *count) else { return };
            let owners = &self.owners;
            self.homes.retain(|token, home| *home != most || owners.contains_key(token));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "one-token-of-20-chars";
    const TWO: &str = "two-token-of-20-chars";

    fn name(text: &str) -> NamespacedName {
        let (namespace, name) = text.split_once('/').unwrap();
        NamespacedName::new(namespace, name)
    }

    /// Gives an Integration its tokens, and returns what begins with that.
    fn set(tokens: &mut SourceTokens, integration: &str, of: &[&str]) -> Vec<String> {
        let of = of.iter().map(|token| SourceToken::of(token)).collect();
        tokens.set(&name(integration), of).begun.iter().map(ToString::to_string).collect()
    }

    fn opens(tokens: &SourceTokens, token: &str) -> Option<String> {
        tokens.opens(&SourceToken::of(token)).map(ToString::to_string)
    }

    fn elsewhere(integration: &str, other: &str) -> String {
        format!(
            "Integration {integration}: Its token is that of an Integration of another namespace too, or was before, so that it \
             opens neither: make another token (the other namespace: {other})"
        )
    }

    #[test]
    fn a_text_has_one_token_or_two_of_at_least_twenty_characters() {
        let (one, two) = (SourceToken::of(ONE), SourceToken::of(TWO));
        let cases = [
            (ONE.to_owned(), Ok(vec![one])),
            (format!("{ONE} {TWO}"), Ok(vec![one, two])),
            (format!(" {ONE}\n{TWO}\t"), Ok(vec![one, two])),
            ("a".repeat(20), Ok(vec![SourceToken::of(&"a".repeat(20))])),
            ("a".repeat(19), Err(TokenFault::Short)),
            (format!("{ONE} short"), Err(TokenFault::Short)),
            (format!("{ONE}é"), Err(TokenFault::NotAscii)),
            (format!("{ONE} {TWO} {ONE}"), Err(TokenFault::TooMany)),
            (String::new(), Err(TokenFault::Empty)),
            (" \n".to_owned(), Err(TokenFault::Empty)),
        ];
        for (text, expected) in cases {
            assert_eq!(read(&SecretString::from(text.clone())), expected, "{text:?}");
        }
        assert_eq!(format!("{one:?}"), "SourceToken");
    }

    #[test]
    fn a_token_opens_its_integration_while_it_has_it() {
        let mut tokens = SourceTokens::default();
        assert_eq!(set(&mut tokens, "team/a", &[ONE]), Vec::<String>::new());
        assert_eq!((opens(&tokens, ONE), opens(&tokens, TWO)), (Some("team/a".to_owned()), None));
        tokens.settle();
        assert_eq!(set(&mut tokens, "team/a", &[ONE, TWO]), Vec::<String>::new());
        assert_eq!((opens(&tokens, ONE), opens(&tokens, TWO)), (Some("team/a".to_owned()), Some("team/a".to_owned())));
        assert_eq!(set(&mut tokens, "team/a", &[TWO]), Vec::<String>::new());
        assert_eq!((opens(&tokens, ONE), opens(&tokens, TWO)), (None, Some("team/a".to_owned())));
        assert_eq!(set(&mut tokens, "team/a", &[]), Vec::<String>::new());
        assert_eq!(opens(&tokens, TWO), None);
        assert_eq!((tokens.by_integration.len(), tokens.owners.len()), (0, 0));
    }

    #[test]
    fn a_token_of_two_integrations_of_a_namespace_opens_neither_until_one_has_another() {
        let mut tokens = SourceTokens::default();
        tokens.settle();
        set(&mut tokens, "team/a", &[ONE]);
        let text = |of: &str, other: &str| {
            format!(
                "Integration team/{of}: Integration {other} has the same token, so that it opens neither: make another token \
                 for one"
            )
        };
        assert_eq!(set(&mut tokens, "team/b", &[TWO, ONE]), [text("a", "b"), text("b", "a")]);
        assert_eq!((opens(&tokens, ONE), opens(&tokens, TWO)), (None, Some("team/b".to_owned())));
        assert_eq!(set(&mut tokens, "team/b", &[ONE, TWO]), Vec::<String>::new(), "it is told once");
        assert_eq!(set(&mut tokens, "team/a", &[]), Vec::<String>::new());
        assert_eq!(opens(&tokens, ONE), Some("team/b".to_owned()));
    }

    #[test]
    fn a_token_of_two_namespaces_opens_neither_and_never_the_one_that_came_later() {
        let mut tokens = SourceTokens::default();
        tokens.settle();
        set(&mut tokens, "first/a", &[ONE]);
        let told = set(&mut tokens, "second/b", &[ONE]);
        assert_eq!(told, [elsewhere("first/a", "second"), elsewhere("second/b", "first")]);
        assert_eq!(opens(&tokens, ONE), None);
        set(&mut tokens, "first/a", &[TWO]);
        assert_eq!((opens(&tokens, ONE), opens(&tokens, TWO)), (None, Some("first/a".to_owned())));
        set(&mut tokens, "second/b", &[]);
        assert_eq!(set(&mut tokens, "second/c", &[ONE]), [elsewhere("second/c", "first")]);
        assert_eq!(opens(&tokens, ONE), None);
        set(&mut tokens, "second/c", &[]);
        set(&mut tokens, "first/d", &[ONE]);
        assert_eq!(opens(&tokens, ONE), Some("first/d".to_owned()));
    }

    #[test]
    fn of_namespaces_that_had_a_token_before_this_process_none_came_first() {
        let mut tokens = SourceTokens::default();
        set(&mut tokens, "first/a", &[ONE]);
        set(&mut tokens, "second/b", &[ONE]);
        tokens.settle();
        set(&mut tokens, "first/a", &[]);
        assert_eq!(opens(&tokens, ONE), None);
    }

    #[test]
    fn what_is_remembered_of_tokens_that_are_gone_is_bounded() {
        let mut tokens = SourceTokens::default();
        tokens.settle();
        set(&mut tokens, "calm/a", &[ONE]);
        set(&mut tokens, "calm/a", &[]);
        for number in 0..=REMEMBERED {
            set(&mut tokens, "flood/b", &[&number.to_string()]);
        }
        assert!(tokens.homes.len() <= REMEMBERED, "{}", tokens.homes.len());
        assert!(tokens.homes.contains_key(&SourceToken::of(ONE)), "that of the calm namespace");
    }
}
