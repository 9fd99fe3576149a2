//! Signatures of [Standard Webhooks](https://www.standardwebhooks.com). A message and the webhook's secrets come in; the value of
//! the header `webhook-signature` goes out.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::Sha256;

/// Lengths that the standard allows for a secret, in bytes.
const KEY_LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;

/// How many secrets may sign at a time: the present one, and its predecessor or successor.
const MAX_KEYS: usize = 2;

/// A secret that signs.
#[derive(Clone)]
pub struct SigningKey(SecretSlice<u8>);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

impl PartialEq for SigningKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl Eq for SigningKey {}

/// Why a text holds no signing secrets. The message does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningSecretError {
    /// A secret is not base64, or is too short or too long.
    #[error("a signing secret is whsec_ and the base64 of 24 to 64 bytes")]
    NotASecret,
    /// There is no secret, or there are too many.
    #[error("give one signing secret, or two with a space or a line break between")]
    WrongNumber,
}

/// Reads the signing secrets in the value of a Secret's key: one, or two while a new one takes the place of the old.
///
/// # Errors
/// The text does not hold one or two such secrets.
pub fn parse_keys(text: &SecretString) -> Result<Vec<SigningKey>, SigningSecretError> {
    let keys: Vec<SigningKey> = text.expose_secret().split_whitespace().map(parse_key).collect::<Result<_, _>>()?;
    if (1..=MAX_KEYS).contains(&keys.len()) { Ok(keys) } else { Err(SigningSecretError::WrongNumber) }
}

fn parse_key(text: &str) -> Result<SigningKey, SigningSecretError> {
    let text = text.strip_prefix("whsec_").unwrap_or(text);
    let bytes = BASE64_STANDARD.decode(text).map_err(|_| SigningSecretError::NotASecret)?;
    if KEY_LENGTHS.contains(&bytes.len()) { Ok(SigningKey(bytes.into())) } else { Err(SigningSecretError::NotASecret) }
}

/// The value of `webhook-signature` for a message: one signature for each key, with spaces between. `id` is that of the header
/// `webhook-id`; `timestamp` that of `webhook-timestamp`, in seconds since 1970.
pub fn signature(keys: &[SigningKey], id: &str, timestamp: i64, body: &str) -> String {
    let signatures = keys.iter().filter_map(|SigningKey(key)| {
        // HMAC takes keys of any length.
        let mut mac = Hmac::<Sha256>::new_from_slice(key.expose_secret()).ok()?;
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body.as_bytes());
        Some(format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes())))
    });
    signatures.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_keys(text: &str) -> Result<Vec<SigningKey>, SigningSecretError> {
        parse_keys(&SecretString::from(text))
    }

    #[test]
    fn the_standards_own_example_gets_the_signature_it_states() {
        let keys = mk_keys("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = signature(&keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn one_or_two_secrets_are_read_and_any_other_text_is_refused() {
        let secret = BASE64_STANDARD.encode([7; 24]);
        let cases = [
            (secret.clone(), Ok(1)),
            (format!("whsec_{secret}"), Ok(1)),
            (format!(" whsec_{secret}\nwhsec_{}\n", BASE64_STANDARD.encode([8; 64])), Ok(2)),
            (format!("{secret} {secret} {secret}"), Err(SigningSecretError::WrongNumber)),
            (String::new(), Err(SigningSecretError::WrongNumber)),
            (" \n".to_owned(), Err(SigningSecretError::WrongNumber)),
            ("whsec_".to_owned(), Err(SigningSecretError::NotASecret)),
            ("hunter2".to_owned(), Err(SigningSecretError::NotASecret)),
            (BASE64_STANDARD.encode([7; 23]), Err(SigningSecretError::NotASecret)),
            (BASE64_STANDARD.encode([7; 65]), Err(SigningSecretError::NotASecret)),
        ];
        for (text, expected) in cases {
            assert_eq!(mk_keys(&text).map(|keys| keys.len()), expected, "{text}");
        }
    }

    #[test]
    fn each_of_two_signatures_is_verified_by_the_standards_library() {
        let [old, new] = [[1; 24], [2; 24]].map(|bytes| format!("whsec_{}", BASE64_STANDARD.encode(bytes)));
        let keys = mk_keys(&format!("{old} {new}")).unwrap();
        let now = jiff::Timestamp::now().as_second();
        let body = "{\"text\": \"größer\"}";
        let headers = [
            ("webhook-id", "jira-abc".to_owned()),
            ("webhook-timestamp", now.to_string()),
            ("webhook-signature", signature(&keys, "jira-abc", now, body)),
        ];
        let mut map = http::HeaderMap::new();
        for (name, value) in headers {
            map.insert(name, value.parse().unwrap());
        }
        for secret in [old, new] {
            let receiver = standardwebhooks::Webhook::new(&secret).unwrap();
            assert!(receiver.verify(body.as_bytes(), &map).is_ok(), "{secret}");
            assert!(receiver.verify(b"another body", &map).is_err(), "{secret}");
        }
        let stranger = standardwebhooks::Webhook::new(&BASE64_STANDARD.encode([3; 24])).unwrap();
        assert!(stranger.verify(body.as_bytes(), &map).is_err());
    }
}
