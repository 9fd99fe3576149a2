//! Records what came of a request. The [`Outcome`] of sending comes in; the [`ResponseRecord`] that people and later
//! templates read goes out.
//!
//! - `content_encoding`: bodies decoded, within bounds
//! - `charset`: bodies as text
//! - `cutting`: texts that are too long to be stored
//! - `masking`: secrets masked wherever an answer repeats them

use std::time::Duration;

use secrecy::SecretString;

use super::json;

mod charset;
mod content_encoding;
mod cutting;
mod masking;
#[cfg(test)]
mod tests;

use self::{charset::json_text, masking::SecretMasker};
pub use self::{
    content_encoding::{READ_LIMIT, decode},
    cutting::{cut, cut_value, stored_size},
    masking::{MASK, is_secret_host},
};

/// Bound on the recorded content of an answer, in bytes, as OnCall has it.
pub const CONTENT_LIMIT: usize = 50_000;

/// The fields of OnCall's stored response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseRecord {
    /// The URL, or why there is none.
    pub url: Option<String>,
    /// The text that the trigger template rendered to, or why it did not.
    pub request_trigger: Option<String>,
    /// The headers as JSON text, secrets masked, or why there are none.
    pub request_headers: Option<String>,
    /// The body as it was sent, or why there is none.
    pub request_data: Option<String>,
    /// The status code of the answer.
    pub status_code: Option<u16>,
    /// The content of the answer, or why there is none.
    pub content: Option<String>,
    /// The event's data as JSON text.
    pub event_data: Option<String>,
}

impl ResponseRecord {
    /// How many bytes its texts have.
    pub fn size(&self) -> usize {
        let Self { url, request_trigger, request_headers, request_data, content, event_data, status_code: _ } = self;
        [url, request_trigger, request_headers, request_data, content, event_data]
            .into_iter()
            .flatten()
            .map(String::len)
            .sum()
    }
}

/// The outcome of sending a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer came.
    Answer {
        /// Its status code.
        status: u16,
        /// Its body, decoded; one that is over [`CONTENT_LIMIT`] may be cut.
        body: Vec<u8>,
        /// Its `Content-Length`, in bytes.
        announced: Option<u64>,
        /// Its `Content-Type`.
        content_type: Option<String>,
        /// How long it asks to wait before the next request.
        retry_after: Option<Duration>,
    },
    /// The request was not sent, or not to the URL of a redirect: this process may not send for now.
    Withheld,
    /// The host refused the connection, or there is no way to it. Nothing was sent.
    Unreached {
        /// Why, in one clause.
        message: String,
    },
    /// No answer came.
    Failure {
        /// Why, in one clause.
        message: String,
        /// Whether an answer may come another time.
        retryable: bool,
    },
    /// The request was sent, and no answer came in time: the receiver may have taken it.
    TimedOut {
        /// That, in one clause.
        message: String,
    },
    /// No request may go to the URL, or to one that it redirects to.
    UrlRefused {
        /// The reason, in OnCall's words.
        message: String,
        /// Whether the first request had been sent.
        sent: bool,
        /// Whether a request may go there another time.
        retryable: bool,
    },
}

impl Outcome {
    /// Whether the receiver took the request: its status is 200 to 299.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Answer { status: 200..=299, .. })
    }
}

/// Completes the record of a request that was sent. `secrets` are masked wherever the answer repeats them.
pub fn finish(record: ResponseRecord, outcome: &Outcome, secrets: &[SecretString]) -> ResponseRecord {
    let masker = SecretMasker::new(secrets);
    match outcome {
        Outcome::UrlRefused { message, sent, .. } => {
            let record = ResponseRecord { url: Some(format!("URL - {message}")), ..record };
            if *sent { record } else { ResponseRecord { request_headers: None, request_data: None, ..record } }
        }
        Outcome::Withheld => record,
        Outcome::Failure { message, .. } | Outcome::TimedOut { message } | Outcome::Unreached { message } => {
            ResponseRecord { content: Some(masker.mask(message.clone())), ..record }
        }
        Outcome::Answer { status, body, announced, content_type, .. } => {
            let content = content(body, *announced, content_type.as_deref(), &masker);
            ResponseRecord { status_code: Some(*status), content: Some(content), ..record }
        }
    }
}

fn content(body: &[u8], announced: Option<u64>, content_type: Option<&str>, masker: &SecretMasker) -> String {
    let exceeds = |length: &str| format!("Response content {length} exceeds {CONTENT_LIMIT} character limit");
    match announced {
        Some(length) if length > CONTENT_LIMIT as u64 => return exceeds(&length.to_string()),
        _ if body.len() > READ_LIMIT => return exceeds(&format!("over {READ_LIMIT}")),
        _ if body.len() > CONTENT_LIMIT => return exceeds(&body.len().to_string()),
        _ => {}
    }
    let json = |text: &str| json::rewrite(text).ok().map(|(_, text)| text);
    // Before JSON is written anew, which may change how secrets are spelled.
    if let Some(text) = json(&masker.mask(json_text(body, content_type.unwrap_or_default()))) {
        return masker.mask(text);
    }
    // A body that is not JSON is read as UTF-8, whatever charset it names.
    match std::str::from_utf8(body) {
        Ok(text) => masker.mask(text.to_owned()),
        Err(error) => format!("The answer is not UTF-8 at byte {}", error.valid_up_to()),
    }
}
