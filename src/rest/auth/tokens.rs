//! API tokens: from the Secrets labelled `oncall.dev/api-token=true` to what the token of a call opens.
//!
//! Only hashes stay in memory. A problem of a Secret is told once, when it begins.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
};

use jiff::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};

use crate::{
    kubernetes::name::{NamespacedName, name_of},
    resources::READ_ONLY_LABEL,
};

/// Key of the token itself.
const TOKEN: &str = "token";
/// Key of its hash, in the form of [`TokenHash::text`].
pub(crate) const TOKEN_HASH: &str = "tokenHash";
/// The least number of characters of a token: shorter ones are found by trying.
const SHORTEST: usize = 16;
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
    secret: NamespacedName,
    field: &'static str,
    message: String,
}

impl fmt::Display for SecretProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { secret, field, message } = self;
        write!(f, "Secret {secret}: {field}: {message}")
    }
}

/// A Secret without its secret data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenSecret {
    name: NamespacedName,
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
    pub(crate) fn read(secret: &Secret) -> Self {
        let name = name_of(secret);
        let opens = secret.metadata.deletion_timestamp.is_none().then(|| {
            let problem = |(field, message): WrongField| SecretProblem {
                secret: name.clone(),
                field,
                message: message.to_owned(),
            };
            let hash = hash(secret).map_err(problem)?;
            let read_only = read_only(secret).map_err(problem)?;
            let access = TokenAccess { secret: name.clone(), read_only };
            Ok(Token { hash, created: secret.metadata.creation_timestamp.as_ref().map(|time| time.0), access })
        });
        Self { name, opens }
    }
}

/// The field that is wrong, and what to do about it.
type WrongField = (&'static str, &'static str);

/// Hashes the token of a Secret, or reads the hash that it has.
fn hash(secret: &Secret) -> Result<TokenHash, WrongField> {
    let value = |key| secret.data.as_ref().and_then(|data| data.get(key)).map(text);
    match (value(TOKEN), value(TOKEN_HASH)) {
        (Some(token), None) => {
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
fn read_only(secret: &Secret) -> Result<bool, WrongField> {
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
        let opening = self.secrets.values().filter_map(|secret| secret.opens.as_ref());
        let (open, problems): (Vec<_>, Vec<_>) = opening.cloned().partition(Result::is_ok);
        let mut problems: BTreeSet<SecretProblem> = problems.into_iter().filter_map(Result::err).collect();
        self.open = open.into_iter().filter_map(Result::ok).collect();
        // The map gave them by namespace and name, and sorting keeps that among those of the same time.
        self.open.sort_by_key(|token| token.created);
        let mut first = HashMap::new();
        for Token { hash, access, .. } in &self.open {
            let older = first.entry(*hash).or_insert(access);
            if *older != access {
                problems.insert(SecretProblem {
                    secret: access.secret.clone(),
                    field: "data",
                    message: format!(
                        "has the token of Secret {}, which is older and counts: make another token for this one",
                        older.secret
                    ),
                });
            }
        }
        self.open.reverse();
        let new = problems.difference(&self.problems).cloned().collect();
        self.problems = problems;
        new
    }
}

#[cfg(test)]
mod tests;
