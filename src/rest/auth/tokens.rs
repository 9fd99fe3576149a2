//! API tokens: from the Secrets labelled `oncall.dev/api-token=true` to what the token of a call opens.
//!
//! Only hashes stay in memory. A problem of a Secret is told once, when it begins.
//!
//! A hash is no secret: whoever sees one can put it into a Secret of a namespace of his own. Callers must not come to work there
//! by that, neither at once nor when the Secret that was copied is made anew. Therefore a token that stands in Secrets of several
//! namespaces opens none of them, and one that has opened a namespace opens no other as long as this process remembers it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::Arc,
};

use jiff::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};

use crate::{
    kubernetes::name::{NamespacedName, name_of},
    resources::READ_ONLY_LABEL,
};

/// Key of its hash, in the form of [`TokenHash::text`].
pub(crate) const TOKEN_HASH: &str = "tokenHash";
/// The least number of characters of a token: shorter ones are found by trying.
const SHORTEST: usize = 16;
/// The greatest: a header that fits through proxies holds no more.
const LONGEST: usize = 4096;
/// Bound on the tokens without a Secret whose namespace is remembered.
const REMEMBERED: usize = 20_000;
const HASH_PREFIX: &str = "sha256:";

/// SHA-256 of a token.
// Equality is for maps, once a token is known to open something: `Tokens::get` compares in constant time.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TokenHash([u8; 32]);

impl TokenHash {
    pub(crate) fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// `sha256:` and 64 hex digits.
    pub(crate) fn text(&self) -> String {
        self.0.iter().fold(HASH_PREFIX.to_owned(), |text, byte| format!("{text}{byte:02x}"))
    }

    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(HASH_PREFIX).filter(|digits| digits.len() == 64)?;
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            let digit = |at: usize| char::from(pair[at]).to_digit(16);
            *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
        }
        Some(Self(hash))
    }
}

/// Shows nothing: the token of a person may be short enough to be found from its hash.
impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash")
    }
}

/// The access that a token gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenAccess {
    /// Its Secret. It opens the namespace of that.
    pub(crate) secret: NamespacedName,
    pub(crate) read_only: bool,
}

/// Why a Secret opens nothing, or not what one might expect.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SecretProblem {
    pub(crate) secret: NamespacedName,
    pub(crate) uid: Option<String>,
    field: &'static str,
    message: String,
    /// The namespaces that have the same token or had it before. Those who see the Secret need not see these.
    elsewhere: BTreeSet<Arc<str>>,
}

impl SecretProblem {
    /// The problem in words for those who may see the Secret.
    pub(crate) fn text(&self) -> String {
        format!("{}: {}", self.field, self.message)
    }
}

/// In words for the operator of the cluster.
impl fmt::Display for SecretProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { secret, field, message, elsewhere, .. } = self;
        write!(f, "Secret {secret}: {field}: {message}")?;
        for (at, namespace) in elsewhere.iter().take(3).enumerate() {
            let before = if at == 0 { " (the other namespace: " } else { ", " };
            write!(f, "{before}{namespace}")?;
        }
        if elsewhere.is_empty() { Ok(()) } else { f.write_str(")") }
    }
}

/// A Secret as it is read: its metadata and the two keys that count. What else is in it is not kept for a moment.
#[derive(Clone, Deserialize, kube::Resource)]
#[resource(inherit = Secret)]
pub(crate) struct ReadSecret {
    metadata: ObjectMeta,
    data: Option<TokenData>,
}

#[derive(Clone, Deserialize)]
struct TokenData {
    /// The token itself.
    token: Option<ByteString>,
    /// Its hash, in the form of [`TokenHash::text`].
    #[serde(rename = "tokenHash")]
    token_hash: Option<ByteString>,
}

/// Shows no data.
impl fmt::Debug for ReadSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret {}", name_of(self))
    }
}

/// A Secret without its secret data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenSecret {
    name: NamespacedName,
    uid: Option<String>,
    /// Its token, or why it has none; None when the Secret is being deleted, which revokes its token already.
    opens: Option<Result<Token, SecretProblem>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    hash: TokenHash,
    created: Option<Timestamp>,
    access: TokenAccess,
}

impl TokenSecret {
    pub(crate) fn read(secret: &ReadSecret) -> Self {
        let (name, uid) = (name_of(secret), secret.metadata.uid.clone());
        let opens = secret.metadata.deletion_timestamp.is_none().then(|| {
            let problem = |(field, message): WrongField| SecretProblem {
                secret: name.clone(),
                uid: uid.clone(),
                field,
                message: message.to_owned(),
                elsewhere: BTreeSet::new(),
            };
            let hash = hash(secret).map_err(problem)?;
            let read_only = read_only(secret).map_err(problem)?;
            let access = TokenAccess { secret: name.clone(), read_only };
            Ok(Token { hash, created: secret.metadata.creation_timestamp.as_ref().map(|time| time.0), access })
        });
        Self { name, uid, opens }
    }
}

/// The field that is wrong, and what to do about it.
type WrongField = (&'static str, &'static str);

/// Hashes the token of a Secret, or reads the hash that it has.
fn hash(secret: &ReadSecret) -> Result<TokenHash, WrongField> {
    let data = secret.data.as_ref();
    let value = |key: fn(&TokenData) -> Option<&ByteString>| data.and_then(key).map(text);
    match (value(|data| data.token.as_ref()), value(|data| data.token_hash.as_ref())) {
        (Some(token), None) => {
            if token.is_some_and(|token| token.len() > LONGEST) {
                return Err(("data.token", "has more than 4096 characters: make a shorter token"));
            }
            let token = token
                .filter(|token| token.bytes().all(|byte| byte.is_ascii_graphic()))
                .ok_or(("data.token", "a header carries only ASCII without spaces: make another token"))?;
            if token.len() < SHORTEST {
                return Err(("data.token", "has fewer than 16 characters: make a longer token"));
            }
            Ok(TokenHash::of(token))
        }
        (None, Some(hash)) => hash
            .and_then(TokenHash::parse)
            .ok_or(("data.tokenHash", "is not sha256: and 64 hex digits: `oncall-webhooks token create` writes it")),
        (Some(_), Some(_)) => Err(("data", "has both token and tokenHash: remove one of them")),
        (None, None) => Err(("data", "has neither token nor tokenHash: add one of them")),
    }
}

/// The text without the line break that editors and `echo` put at its end; None for what is no UTF-8.
fn text(bytes: &ByteString) -> Option<&str> {
    std::str::from_utf8(&bytes.0).ok().map(|text| text.trim_end_matches(['\r', '\n']))
}

/// Reads the label that makes a token read-only.
fn read_only(secret: &ReadSecret) -> Result<bool, WrongField> {
    match secret.metadata.labels.as_ref().and_then(|labels| labels.get(READ_ONLY_LABEL)).map(String::as_str) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        // A token that does more than was meant is worse than one that does nothing.
        Some(_) => Err(("metadata.labels[oncall.dev/read-only]", "is neither true nor false: write one of them")),
    }
}

/// All API tokens.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    secrets: BTreeMap<NamespacedName, TokenSecret>,
    /// Tokens that open something, oldest last.
    open: Vec<Token>,
    /// The namespace that each token belongs to, some time after its Secret is gone too; None where nobody can tell.
    homes: HashMap<TokenHash, Option<Arc<str>>>,
    /// Problems that were told and have not ended.
    problems: BTreeSet<SecretProblem>,
}

impl Tokens {
    /// Takes in a Secret that is new or has changed. Returns the problems that begin with that.
    pub(crate) fn apply(&mut self, secret: TokenSecret) -> Vec<SecretProblem> {
        self.secrets.insert(secret.name.clone(), secret);
        self.sort()
    }

    /// Forgets a Secret that is gone or has lost its label. Returns the problems that begin with that.
    pub(crate) fn remove(&mut self, secret: &TokenSecret) -> Vec<SecretProblem> {
        self.secrets.remove(&secret.name);
        self.sort()
    }

    /// Takes in all Secrets that there are, in place of those that were. Returns the problems that begin with that.
    pub(crate) fn replace(&mut self, secrets: impl IntoIterator<Item = TokenSecret>) -> Vec<SecretProblem> {
        self.secrets = secrets.into_iter().map(|secret| (secret.name.clone(), secret)).collect();
        self.sort()
    }

    /// The access that a token gives. It takes as long to find that it gives none, whatever it has in common with others.
    pub(crate) fn get(&self, hash: &TokenHash) -> Option<&TokenAccess> {
        let mut found = u64::MAX;
        for (index, token) in (0..).zip(&self.open) {
            // The oldest is the last, and stays.
            found.conditional_assign(&index, token.hash.0.ct_eq(&hash.0));
        }
        self.open.get(usize::try_from(found).ok()?).map(|token| &token.access)
    }

    fn sort(&mut self) -> Vec<SecretProblem> {
        let (mut tokens, mut problems) = (Vec::new(), BTreeSet::new());
        for secret in self.secrets.values() {
            match &secret.opens {
                Some(Ok(token)) => tokens.push((token, &secret.uid)),
                Some(Err(problem)) => drop(problems.insert(problem.clone())),
                None => {}
            }
        }
        // The map gave them by namespace and name, and sorting keeps that among those of the same time.
        tokens.sort_by_key(|(token, _)| token.created);
        let namespaces = namespaces(tokens.iter().map(|(token, _)| *token));
        remember(&mut self.homes, tokens.iter().map(|(token, _)| *token), &namespaces);
        let (mut first, mut open) = (HashMap::new(), Vec::new());
        for (token @ Token { hash, access, .. }, uid) in &tokens {
            let problem = |message: String, elsewhere| SecretProblem {
                secret: access.secret.clone(),
                uid: (*uid).clone(),
                field: "data",
                message,
                elsewhere,
            };
            let own = &access.secret.namespace;
            let home = self.homes.get(hash).cloned().flatten();
            let mut elsewhere = namespaces.get(hash).cloned().unwrap_or_default();
            let is_home = home.as_ref() == Some(own);
            elsewhere.extend(home);
            elsewhere.remove(own);
            if !elsewhere.is_empty() || !is_home {
                problems.insert(problem(ELSEWHERE.to_owned(), elsewhere));
                continue;
            }
            let older = first.entry(*hash).or_insert(access);
            if *older != access {
                let message = format!(
                    "has the token of Secret {}, which is older and counts: make another token for this one",
                    older.secret
                );
                problems.insert(problem(message, BTreeSet::new()));
            }
            open.push((*token).clone());
        }
        open.reverse();
        self.open = open;
        let new = problems.difference(&self.problems).cloned().collect();
        self.problems = problems;
        new
    }
}

/// What is wrong with a token that is not its namespace's alone.
const ELSEWHERE: &str = "its token stands in a Secret of another namespace too, or did before, so that it opens neither: \
                         make another token";

/// The namespaces that have each token.
fn namespaces<'a>(tokens: impl Iterator<Item = &'a Token>) -> HashMap<TokenHash, BTreeSet<Arc<str>>> {
    let mut namespaces: HashMap<_, BTreeSet<_>> = HashMap::new();
    for token in tokens {
        namespaces.entry(token.hash).or_default().insert(Arc::clone(&token.access.secret.namespace));
    }
    namespaces
}

/// Notes where each token belongs of which that is not known: where its oldest Secret is, if no other is as old. `tokens` are
/// the oldest first. Of those that are gone some are forgotten where there are too many: of the namespace that has most.
fn remember<'a>(
    homes: &mut HashMap<TokenHash, Option<Arc<str>>>,
    tokens: impl Iterator<Item = &'a Token>,
    present: &HashMap<TokenHash, BTreeSet<Arc<str>>>,
) {
    let mut oldest: HashMap<TokenHash, (Option<Timestamp>, Option<Arc<str>>)> = HashMap::new();
    for Token { hash, created, access } in tokens.filter(|token| !homes.contains_key(&token.hash)) {
        let own = &access.secret.namespace;
        let (first, home) = oldest.entry(*hash).or_insert_with(|| (*created, Some(Arc::clone(own))));
        if first == created && home.as_ref().is_some_and(|home| home != own) {
            *home = None;
        }
    }
    homes.extend(oldest.into_iter().map(|(hash, (_, home))| (hash, home)));
    while homes.len() > present.len() + REMEMBERED {
        let mut counts: HashMap<Option<Arc<str>>, usize> = HashMap::new();
        for (_, home) in homes.iter().filter(|(hash, _)| !present.contains_key(*hash)) {
            *counts.entry(home.clone()).or_default() += 1;
        }
        let Some((most, _)) = counts.into_iter().max_by_key(|(_, count)| *count) else { return };
        homes.retain(|hash, home| *home != most || present.contains_key(hash));
    }
}

#[cfg(test)]
mod tests;
