//! What came of a request in, the record that people and later templates read out.

use std::cmp::Reverse;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::json;

/// What stands in a record in place of a secret.
pub const MASK: &str = "****************";

/// Bound on the content of an answer, in bytes, as OnCall has it.
pub const CONTENT_LIMIT: usize = 50_000;

/// Shorter secrets are not looked for in answers: they stand in too many texts by chance.
const SECRET_MIN: usize = 4;

/// The fields of OnCall's stored response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The URL, or why there is none.
    pub url: Option<String>,
    /// What the trigger template rendered to, or why it did not.
    pub request_trigger: Option<String>,
    /// The headers as JSON text, secrets masked, or why there are none.
    pub request_headers: Option<String>,
    /// The body as it was sent, or why there is none.
    pub request_data: Option<String>,
    /// The status code of the answer.
    pub status_code: Option<u16>,
    /// The content of the answer, or why there is none.
    pub content: Option<String>,
    /// The data as JSON text.
    pub event_data: Option<String>,
}

/// What came of sending a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer came.
    Answer {
        /// Its status code.
        status: u16,
        /// Its body, read up to [`CONTENT_LIMIT`].
        body: Vec<u8>,
        /// The body's whole length in bytes, as far as it is known, where it is over [`CONTENT_LIMIT`].
        beyond: Option<u64>,
    },
    /// No answer came, for this reason.
    Failure(String),
}

impl Outcome {
    /// Whether the receiver took the request: a status of 200 to 299.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Answer { status: 200..=299, .. })
    }
}

/// Completes the record of a request that was sent. `secrets` are masked wherever the answer repeats them.
pub fn finish(record: Record, outcome: &Outcome, secrets: &[SecretString]) -> Record {
    let (status_code, content) = match outcome {
        Outcome::Failure(message) => (None, message.clone()),
        Outcome::Answer { status, beyond: Some(length), .. } => {
            (Some(*status), format!("Response content {length} exceeds {CONTENT_LIMIT} character limit"))
        }
        Outcome::Answer { status, body, beyond: None } => {
            // Before JSON is written anew, which may change how a secret is spelled.
            let text = without(String::from_utf8_lossy(body).into_owned(), secrets);
            let json = serde_json::from_str::<Value>(&text).ok().and_then(|value| json::dumps(&value).ok());
            (Some(*status), json.unwrap_or(text))
        }
    };
    Record { status_code, content: Some(without(content, secrets)), ..record }
}

fn without(content: String, secrets: &[SecretString]) -> String {
    let mut secrets: Vec<&str> = secrets
        .iter()
        .map(ExposeSecret::expose_secret)
        // Receivers repeat a token without the word before it, too.
        .flat_map(|secret| secret.split_once(' ').map(|(_, token)| token).into_iter().chain([secret]))
        .filter(|secret| secret.len() >= SECRET_MIN)
        .collect();
    // One may be part of another.
    secrets.sort_by_key(|secret| Reverse(secret.len()));
    secrets
        .into_iter()
        .fold(content, |content, secret| if content.contains(secret) { content.replace(secret, MASK) } else { content })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Outcome {
        Outcome::Answer { status, body: body.as_bytes().to_vec(), beyond: None }
    }

    #[test]
    fn the_record_shows_the_answer_as_oncall_does() {
        let text = |text: &str| Some(text.to_owned());
        let sent = Record { url: text("http://a.example"), request_data: text("{}"), ..Record::default() };
        let cases = [
            (answer(200, r#"{"ok":true,"name":"é"}"#), Some(200), r#"{"ok": true, "name": "\u00e9"}"#),
            (answer(500, "oops"), Some(500), "oops"),
            (answer(204, ""), Some(204), ""),
            (
                Outcome::Answer { status: 200, body: Vec::new(), beyond: Some(60_000) },
                Some(200),
                "Response content 60000 exceeds 50000 character limit",
            ),
            (Outcome::Failure("Connection refused".to_owned()), None, "Connection refused"),
        ];
        for (outcome, status_code, content) in cases {
            let expected = Record { status_code, content: text(content), ..sent.clone() };
            assert_eq!(finish(sent.clone(), &outcome, &[]), expected);
        }
    }

    #[test]
    fn secrets_that_an_answer_repeats_are_masked() {
        let secrets = [SecretString::from("Bearer s3cret"), SecretString::from("ok")];
        let record = finish(Record::default(), &answer(200, r#"{"ok": "got s3cret"}"#), &secrets);
        assert_eq!(record.content.as_deref(), Some(r#"{"ok": "got ****************"}"#));
    }

    #[test]
    fn only_2xx_is_a_success() {
        for (outcome, expected) in [
            (answer(200, ""), true),
            (answer(299, ""), true),
            (answer(302, ""), false),
            (answer(503, ""), false),
            (Outcome::Failure(String::new()), false),
        ] {
            assert_eq!(outcome.is_success(), expected, "{outcome:?}");
        }
    }
}
