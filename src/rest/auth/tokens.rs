//! API tokens: Secrets labelled `oncall.dev/api-token=true` in; out, for the token of a call, which of them it is.
//!
//! Only hashes stay in memory. What is wrong with a Secret is told once, when it comes to be so.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::Arc,
};

use jiff::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::ResourceExt;
use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};

use crate::resources::READ_ONLY_LABEL;

/// Key of the token itself.
const TOKEN: &str = "token";
/// Key of its hash, in the form of [`TokenHash::text`].
pub(crate) const TOKEN_HASH: &str = "tokenHash";
/// Characters that a token has at least: shorter ones are found by trying.
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

/// What a token opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) namespace: Arc<str>,
    /// The name of its Secret.
    pub(crate) secret: Arc<str>,
    pub(crate) read_only: bool,
}

/// Why a Secret opens nothing, or not what one might think.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fault {
    namespace: Arc<str>,
    secret: Arc<str>,
    field: &'static str,
    message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, secret, field, message } = self;
        write!(f, "Secret {namespace}/{secret}: {field}: {message}")
    }
}

/// Namespace and name.
type Key = (Arc<str>, Arc<str>);

/// A Secret without what is secret in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    key: Key,
    /// None when it is being deleted: its token is revoked already.
    opens: Option<Result<Token, Fault>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    hash: TokenHash,
    created: Option<Timestamp>,
    grant: Grant,
}

impl Entry {
    pub(crate) fn read(secret: &Secret) -> Self {
        let key: Key = (secret.namespace().unwrap_or_default().into(), secret.name_any().into());
        let opens = secret.metadata.deletion_timestamp.is_none().then(|| {
            let fault = |(field, message): (&'static str, &str)| Fault {
                namespace: Arc::clone(&key.0),
                secret: Arc::clone(&key.1),
                field,
                message: message.to_owned(),
            };
            let hash = hash(secret).map_err(fault)?;
            let read_only = read_only(secret).map_err(fault)?;
            let grant = Grant { namespace: Arc::clone(&key.0), secret: Arc::clone(&key.1), read_only };
            Ok(Token { hash, created: secret.metadata.creation_timestamp.as_ref().map(|time| time.0), grant })
        });
        Self { key, opens }
    }
}

/// The field that is wrong, and what to do about it.
type Wrong = (&'static str, &'static str);

fn hash(secret: &Secret) -> Result<TokenHash, Wrong> {
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

fn read_only(secret: &Secret) -> Result<bool, Wrong> {
    match secret.metadata.labels.as_ref().and_then(|labels| labels.get(READ_ONLY_LABEL)).map(String::as_str) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        // A token that does more than was meant is worse than one that does nothing.
        Some(_) => Err(("metadata.labels[oncall.dev/read-only]", "is neither true nor false: write one of them")),
    }
}

/// The tokens that open something.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    entries: BTreeMap<Key, Entry>,
    /// Those that open something, oldest last.
    open: Vec<Token>,
    faults: BTreeSet<Fault>,
}

impl Tokens {
    /// Takes a Secret that is new or has changed; gives what is wrong now and was not before.
    pub(crate) fn apply(&mut self, entry: Entry) -> Vec<Fault> {
        self.entries.insert(entry.key.clone(), entry);
        self.sort()
    }

    /// Forgets a Secret that is gone or has lost its label.
    pub(crate) fn remove(&mut self, entry: &Entry) -> Vec<Fault> {
        self.entries.remove(&entry.key);
        self.sort()
    }

    /// Takes all Secrets that there are in place of those that were.
    pub(crate) fn replace(&mut self, entries: impl IntoIterator<Item = Entry>) -> Vec<Fault> {
        self.entries = entries.into_iter().map(|entry| (entry.key.clone(), entry)).collect();
        self.sort()
    }

    /// What a token opens. It takes as long for one that opens nothing, whatever it has in common with others.
    pub(crate) fn get(&self, hash: &TokenHash) -> Option<&Grant> {
        let mut found = u64::MAX;
        for (index, token) in (0..).zip(&self.open) {
            // The oldest is the last, and stays.
            found.conditional_assign(&index, token.hash.0.ct_eq(&hash.0));
        }
        self.open.get(usize::try_from(found).ok()?).map(|token| &token.grant)
    }

    fn sort(&mut self) -> Vec<Fault> {
        let opening = self.entries.values().filter_map(|entry| entry.opens.as_ref());
        let (open, faults): (Vec<_>, Vec<_>) = opening.cloned().partition(Result::is_ok);
        let mut faults: BTreeSet<Fault> = faults.into_iter().filter_map(Result::err).collect();
        self.open = open.into_iter().filter_map(Result::ok).collect();
        // The map gave them by namespace and name, and sorting keeps that among those of the same time.
        self.open.sort_by_key(|token| token.created);
        let mut first = HashMap::new();
        for Token { hash, grant, .. } in &self.open {
            let older = first.entry(*hash).or_insert(grant);
            if *older != grant {
                faults.insert(Fault {
                    namespace: Arc::clone(&grant.namespace),
                    secret: Arc::clone(&grant.secret),
                    field: "data",
                    message: format!(
                        "has the token of Secret {}/{}, which is older and counts: make another token for this one",
                        older.namespace, older.secret
                    ),
                });
            }
        }
        self.open.reverse();
        let new = faults.difference(&self.faults).cloned().collect();
        self.faults = faults;
        new
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ONE: &str = "oncall_one_0123456789";
    const TWO: &str = "oncall_two_0123456789";

    /// A labelled Secret `team/NAME` with stringData, made at a second.
    fn secret(name: &str, second: i64, data: Value) -> Secret {
        let mut secret: Secret = serde_json::from_value(json!({
            "metadata": {
                "namespace": "team",
                "name": name,
                "creationTimestamp": Timestamp::from_second(second).unwrap(),
                "labels": {"oncall.dev/api-token": "true"},
            },
        }))
        .unwrap();
        let data: BTreeMap<String, String> = serde_json::from_value(data).unwrap();
        secret.data = Some(data.into_iter().map(|(key, value)| (key, ByteString(value.into_bytes()))).collect());
        secret
    }

    fn labelled(mut secret: Secret, label: &str, value: &str) -> Secret {
        secret.labels_mut().insert(label.to_owned(), value.to_owned());
        secret
    }

    fn texts(faults: &[Fault]) -> Vec<String> {
        faults.iter().map(ToString::to_string).collect()
    }

    fn opened(tokens: &Tokens, token: &str) -> Option<String> {
        tokens
            .get(&TokenHash::of(token))
            .map(|grant| format!("{}/{}{}", grant.namespace, grant.secret, if grant.read_only { " (ro)" } else { "" }))
    }

    #[test]
    fn a_secret_opens_its_namespace_or_says_why_not() {
        let bad_hash = "data.tokenHash: is not sha256: and 64 hex digits: `oncall-webhooks token create` writes it";
        let not_ascii = "data.token: a header carries only ASCII without spaces: make another token";
        let short = "data.token: has fewer than 16 characters: make a longer token";
        let hash = TokenHash::of(ONE).text();
        let cases = [
            (json!({"token": ONE}), None),
            (json!({"token": format!("{ONE}\n")}), None),
            (json!({"token": format!("{ONE}\r\n")}), None),
            (json!({"tokenHash": hash}), None),
            (json!({"tokenHash": format!("{hash}\n")}), None),
            (json!({"tokenHash": hash.to_uppercase().replace("SHA", "sha")}), None),
            (json!({"token": ONE, "note": "for CI"}), None),
            (json!({"token": "0123456789abcde"}), Some(short)),
            (json!({"token": "0123456789abcde\n"}), Some(short)),
            (json!({"token": ""}), Some(short)),
            (json!({"token": "oncall one 0123456789"}), Some(not_ascii)),
            (json!({"token": "oncall_öne_0123456789"}), Some(not_ascii)),
            (json!({"tokenHash": ""}), Some(bad_hash)),
            (json!({"tokenHash": &hash[7..]}), Some(bad_hash)),
            (json!({"tokenHash": &hash[..70]}), Some(bad_hash)),
            (json!({"tokenHash": format!("{hash}0")}), Some(bad_hash)),
            (json!({"tokenHash": format!("{}g", &hash[..70])}), Some(bad_hash)),
            (json!({"tokenHash": format!("{}é", &hash[..69])}), Some(bad_hash)),
            (json!({"tokenHash": hash.replace("sha256", "sha512")}), Some(bad_hash)),
            (json!({"token": ONE, "tokenHash": hash}), Some("data: has both token and tokenHash: remove one of them")),
            (json!({"Token": ONE}), Some("data: has neither token nor tokenHash: add one of them")),
        ];
        for (data, fault) in cases {
            let mut tokens = Tokens::default();
            let faults = texts(&tokens.apply(Entry::read(&secret("ci", 1, data.clone()))));
            assert_eq!(faults, Vec::from_iter(fault.map(|fault| format!("Secret team/ci: {fault}"))), "{data}");
            assert_eq!(opened(&tokens, ONE), fault.is_none().then(|| "team/ci".to_owned()), "{data}");
            assert_eq!(opened(&tokens, TWO), None, "{data}");
        }
    }

    #[test]
    fn a_label_makes_a_token_read_only() {
        let fault =
            "Secret team/ci: metadata.labels[oncall.dev/read-only]: is neither true nor false: write one of them";
        for (value, expected, faults) in [
            ("true", Some("team/ci (ro)"), vec![]),
            ("false", Some("team/ci"), vec![]),
            ("True", None, vec![fault.to_owned()]),
            ("", None, vec![fault.to_owned()]),
        ] {
            let mut tokens = Tokens::default();
            let entry = Entry::read(&labelled(secret("ci", 1, json!({"token": ONE})), READ_ONLY_LABEL, value));
            assert_eq!(texts(&tokens.apply(entry)), faults, "{value}");
            assert_eq!(opened(&tokens, ONE).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn tokens_come_go_and_change_with_their_secrets() {
        let (one, two) = (secret("one", 1, json!({"token": ONE})), secret("two", 2, json!({"token": TWO})));
        let mut tokens = Tokens::default();
        let both = |tokens: &Tokens| [ONE, TWO].map(|token| opened(tokens, token));
        let some = |text: &str| Some(text.to_owned());

        tokens.apply(Entry::read(&one));
        assert_eq!(both(&tokens), [some("team/one"), None]);
        tokens.apply(Entry::read(&two));
        assert_eq!(both(&tokens), [some("team/one"), some("team/two")]);
        tokens.apply(Entry::read(&secret("one", 1, json!({"token": "oncall_new_0123456789"}))));
        assert_eq!(both(&tokens), [None, some("team/two")]);
        tokens.apply(Entry::read(&one));
        tokens.remove(&Entry::read(&two));
        assert_eq!(both(&tokens), [some("team/one"), None]);
        tokens.replace([Entry::read(&two)]);
        assert_eq!(both(&tokens), [None, some("team/two")]);

        let mut going = two;
        going.metadata.deletion_timestamp = going.metadata.creation_timestamp.clone();
        assert_eq!(tokens.apply(Entry::read(&going)), []);
        assert_eq!(both(&tokens), [None, None], "what finalizers keep is revoked all the same");
    }

    #[test]
    fn the_older_of_two_secrets_with_the_same_token_counts() {
        let older = |name: &str| {
            vec![format!(
                "Secret team/{name}: data: has the token of Secret team/m, which is older and counts: make another token for this one"
            )]
        };
        let old = Entry::read(&labelled(secret("m", 5, json!({"token": ONE})), READ_ONLY_LABEL, "true"));
        for (name, second, wins, faults) in [
            ("a", 6, "team/m (ro)", older("a")),
            ("z", 5, "team/m (ro)", older("z")),
            ("a", 5, "team/a", vec![older("m")[0].replace("team/m,", "team/a,")]),
            ("z", 4, "team/z", vec![older("m")[0].replace("team/m,", "team/z,")]),
        ] {
            let new = Entry::read(&secret(name, second, json!({"tokenHash": TokenHash::of(ONE).text()})));
            for entries in [[old.clone(), new.clone()], [new.clone(), old.clone()]] {
                let mut tokens = Tokens::default();
                let told: Vec<String> = entries.into_iter().flat_map(|entry| texts(&tokens.apply(entry))).collect();
                assert_eq!(told, faults, "{name} {second}");
                assert_eq!(opened(&tokens, ONE).as_deref(), Some(wins), "{name} {second}");
            }
        }
        let mut tokens = Tokens::default();
        tokens.replace([old.clone(), Entry::read(&secret("z", 9, json!({"token": ONE})))]);
        tokens.remove(&old);
        assert_eq!(opened(&tokens, ONE).as_deref(), Some("team/z"), "the next one takes its place");
    }

    #[test]
    fn a_fault_is_told_when_it_begins_and_not_again() {
        let bad = Entry::read(&secret("bad", 1, json!({})));
        let good = Entry::read(&secret("bad", 1, json!({"token": ONE})));
        let told = vec!["Secret team/bad: data: has neither token nor tokenHash: add one of them".to_owned()];
        let mut tokens = Tokens::default();
        assert_eq!(texts(&tokens.replace([bad.clone()])), told);
        assert_eq!(texts(&tokens.replace([bad.clone()])), Vec::<String>::new(), "a watch that began anew");
        assert_eq!(texts(&tokens.apply(bad.clone())), Vec::<String>::new());
        assert_eq!(texts(&tokens.apply(good)), Vec::<String>::new());
        assert_eq!(texts(&tokens.apply(bad)), told);
    }

    #[test]
    fn a_hash_is_written_as_it_is_read_and_never_shown() {
        let hash = TokenHash::of("abc");
        assert_eq!(hash.text(), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(TokenHash::parse(&hash.text()), Some(hash));
        assert_eq!(format!("{hash:?}"), "TokenHash");
    }
}
