//! What came of a request in, the record that people and later templates read out.

use std::{cell::OnceCell, collections::BTreeSet, io::Read, time::Duration};

use aho_corasick::{Anchored, automaton::Automaton, nfa::contiguous::NFA};
use flate2::{
    bufread::GzDecoder,
    read::{DeflateDecoder, ZlibDecoder},
};
use secrecy::{ExposeSecret, SecretString};

use super::json;

/// What stands in a record in place of a secret.
pub const MASK: &str = "****************";

/// Bound on the content of an answer, in bytes, as OnCall has it.
pub const CONTENT_LIMIT: usize = 50_000;

/// Bound on what is read of an answer, in bytes, to tell how long it is.
pub const READ_LIMIT: usize = 1_000_000;

/// Bound on the encodings of one answer, as `requests` has it.
const ENCODINGS: usize = 5;

/// Bound on the members of one gzip: each costs time, also one that is empty.
const MEMBERS: usize = 1000;

/// Bound on what is read to undo all encodings of one answer, in bytes: blocks cost time, also those that are empty.
const ENCODED_LIMIT: usize = 2 * READ_LIMIT;

/// Shorter secrets are not looked for in answers: they stand in too many texts by chance.
const SECRET_MIN: usize = 4;

/// So few spellings of secrets are sooner looked for one by one, where none is in the text.
const FEW: usize = 64;

/// The fields of OnCall's stored response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseRecord {
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
        /// Its body, decoded; one that is over [`CONTENT_LIMIT`] may be cut.
        body: Vec<u8>,
        /// The length that its head states.
        announced: Option<u64>,
        /// Its `Content-Type`.
        content_type: Option<String>,
        /// How long it asks to wait before the next request.
        retry_after: Option<Duration>,
    },
    /// It was not sent, or not to where a redirect leads: this process may not, for now.
    Withheld,
    /// No answer came.
    Failure {
        /// Why, in one clause.
        message: String,
        /// Whether one may come another time.
        retryable: bool,
    },
    /// No request may go to the URL, or to one that it redirects to, for this reason.
    UrlRefused {
        /// In OnCall's words.
        message: String,
        /// Whether the first request had been sent.
        sent: bool,
        /// Whether one may go there another time.
        retryable: bool,
    },
}

impl Outcome {
    /// Whether the receiver took the request: a status of 200 to 299.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Answer { status: 200..=299, .. })
    }
}

/// Completes the record of a request that was sent. `secrets` are masked wherever the answer repeats them.
pub fn finish(record: ResponseRecord, outcome: &Outcome, secrets: &[SecretString]) -> ResponseRecord {
    let masks = SecretMasker::new(secrets);
    match outcome {
        Outcome::UrlRefused { message, sent, .. } => {
            let record = ResponseRecord { url: Some(format!("URL - {message}")), ..record };
            if *sent { record } else { ResponseRecord { request_headers: None, request_data: None, ..record } }
        }
        Outcome::Withheld => record,
        Outcome::Failure { message, .. } => ResponseRecord { content: Some(masks.put(message.clone())), ..record },
        Outcome::Answer { status, body, announced, content_type, .. } => {
            let content = content(body, *announced, content_type.as_deref(), &masks);
            ResponseRecord { status_code: Some(*status), content: Some(content), ..record }
        }
    }
}

fn content(body: &[u8], announced: Option<u64>, content_type: Option<&str>, masks: &SecretMasker) -> String {
    let exceeds = |length: &str| format!("Response content {length} exceeds {CONTENT_LIMIT} character limit");
    match announced {
        Some(length) if length > CONTENT_LIMIT as u64 => return exceeds(&length.to_string()),
        _ if body.len() > READ_LIMIT => return exceeds(&format!("over {READ_LIMIT}")),
        _ if body.len() > CONTENT_LIMIT => return exceeds(&body.len().to_string()),
        _ => {}
    }
    let json = |text: &str| json::rewrite(text).ok().map(|(_, text)| text);
    // Secrets go before JSON is written anew, which may change how they are spelled.
    if let Some(text) = json(&masks.put(json_text(body, content_type.unwrap_or_default()))) {
        return masks.put(text);
    }
    // What is not JSON is read as UTF-8, whatever it says it is.
    match std::str::from_utf8(body) {
        Ok(text) => masks.put(text.to_owned()),
        Err(error) => format!("The answer is not UTF-8 at byte {}", error.valid_up_to()),
    }
}

/// The text in which `requests` looks for JSON: in the charset that the head names or implies; without one, in what the
/// first bytes tell.
fn json_text(body: &[u8], content_type: &str) -> String {
    let each = |decode: fn(u8) -> char| body.iter().copied().map(decode).collect();
    let Some(charset) = charset(content_type) else {
        let encoding = match body {
            [0xfe, 0xff, ..] | [0, _, 0, _, ..] => encoding_rs::UTF_16BE,
            [0xff, 0xfe, ..] | [_, 0, _, 0, ..] => encoding_rs::UTF_16LE,
            _ => encoding_rs::UTF_8,
        };
        return encoding.decode(body).0.into_owned();
    };
    match charset.as_str() {
        // Python's Latin-1 and ASCII; the web's are others.
        "iso-8859-1" | "latin-1" | "latin1" => each(char::from),
        "us-ascii" | "ascii" => {
            each(|byte| if byte.is_ascii() { char::from(byte) } else { char::REPLACEMENT_CHARACTER })
        }
        other => match encoding_rs::Encoding::for_label(other.as_bytes()) {
            Some(encoding) if encoding != encoding_rs::UTF_8 => encoding.decode(body).0.into_owned(),
            _ => String::from_utf8_lossy(body).into_owned(),
        },
    }
}

/// The charset that a `Content-Type` names or implies, in lower case.
fn charset(content_type: &str) -> Option<String> {
    let content_type = content_type.to_ascii_lowercase();
    match content_type.split_once("charset=") {
        Some((_, rest)) => {
            let charset = rest.split(';').next().unwrap_or_default();
            Some(charset.trim_matches([' ', '"', '\'']).to_owned())
        }
        None if content_type.contains("text") => Some("iso-8859-1".to_owned()),
        None if content_type.contains("application/json") => Some("utf-8".to_owned()),
        None => None,
    }
}

/// Undoes the encodings that `Content-Encoding` lists, the last first; those that are not known stay. Stops soon after
/// [`READ_LIMIT`] bytes.
///
/// # Errors
/// The body is not so encoded, or it would take too long. Says so in one clause.
pub fn decode(encodings: &str, body: Vec<u8>) -> Result<Vec<u8>, String> {
    if encodings.split(',').count() > ENCODINGS {
        return Err(format!("The answer lists more than {ENCODINGS} encodings, which are not undone"));
    }
    let mut encoded = 0;
    encodings.rsplit(',').map(str::trim).try_fold(body, |body, encoding| {
        let undo = match encoding.to_ascii_lowercase().as_str() {
            _ if body.is_empty() => return Ok(body),
            "gzip" | "x-gzip" => gunzip,
            "deflate" => inflate,
            _ => return Ok(body),
        };
        encoded += body.len();
        if encoded > ENCODED_LIMIT {
            return Err(format!("The answer is encoded as over {ENCODED_LIMIT} bytes, which are not undone"));
        }
        undo(&body).map_err(|fault| match fault {
            DecodeError::NotEncoded => format!("The answer says that it is encoded with {encoding}, and is not"),
            DecodeError::TooManyMembers => {
                format!("The answer has over {MEMBERS} members of {encoding}, which are not undone")
            }
        })
    })
}

/// Why an encoding is not undone.
enum DecodeError {
    /// It is another.
    NotEncoded,
    /// It has too many parts.
    TooManyMembers,
}

/// One member after the other. What follows the first and is none is left out.
fn gunzip(body: &[u8]) -> Result<Vec<u8>, DecodeError> {
    if !body.starts_with(b"\x1f") {
        return Err(DecodeError::NotEncoded);
    }
    let mut rest = body;
    let mut out = unpack(GzDecoder::new(&mut rest))?;
    for _ in 1..MEMBERS {
        if rest.is_empty() || out.len() > READ_LIMIT {
            return Ok(out);
        }
        let Ok(member) = unpack(GzDecoder::new(&mut rest)) else { return Ok(out) };
        out.extend(member);
    }
    if rest.is_empty() { Ok(out) } else { Err(DecodeError::TooManyMembers) }
}

/// With the head and the checksum of zlib, as it should be, or without.
fn inflate(body: &[u8]) -> Result<Vec<u8>, DecodeError> {
    unpack(ZlibDecoder::new(body)).or_else(|_| unpack(DeflateDecoder::new(body)))
}

/// What comes out of `decoder`, up to the limit; what is cut off gives what there is.
fn unpack(decoder: impl Read) -> Result<Vec<u8>, DecodeError> {
    let mut out = Vec::new();
    match decoder.take(READ_LIMIT as u64 + 1).read_to_end(&mut out) {
        Ok(_) => Ok(out),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(out),
        Err(_) => Err(DecodeError::NotEncoded),
    }
}

/// Whether `host` shows a secret, or is part of one. Hosts have no case.
pub fn is_secret(host: &str, secrets: &[SecretString]) -> bool {
    let host = host.to_ascii_lowercase();
    secrets.iter().any(|secret| secret.expose_secret().to_ascii_lowercase().contains(&host))
        || SecretMasker::new(secrets).spelled.iter().any(|secret| host.contains(secret))
}

/// Puts a mask in place of every secret.
struct SecretMasker {
    /// As they may be spelled, each once.
    spelled: BTreeSet<String>,
    /// Looks for all of them, made when the first one may be there. None where they are too many for one.
    automaton: OnceCell<Option<NFA>>,
}

impl SecretMasker {
    /// As they are, in lower case as hosts are, and as JSON spells these.
    fn new(secrets: &[SecretString]) -> Self {
        let escaped = |secret: &str, ascii| {
            let mut text = String::new();
            json::write_escaped(&mut text, secret, ascii);
            text
        };
        let spelled = secrets
            .iter()
            .map(ExposeSecret::expose_secret)
            // Receivers repeat a token without the word before it, too.
            .flat_map(|secret| secret.split_once(' ').map(|(_, token)| token).into_iter().chain([secret]))
            .filter(|secret| secret.len() >= SECRET_MIN)
            .flat_map(|secret| [secret.to_owned(), secret.to_ascii_lowercase()])
            .flat_map(|secret| [escaped(&secret, true), escaped(&secret, false), secret])
            .collect();
        Self { spelled, automaton: OnceCell::new() }
    }

    /// `text` with one mask in place of all that secrets cover together.
    fn put(&self, text: String) -> String {
        let is_few = self.spelled.len() <= FEW;
        if is_few && !self.spelled.iter().any(|secret| text.contains(secret)) {
            return text;
        }
        let Some(automaton) = self.automaton.get_or_init(|| NFA::new(&self.spelled).ok()) else {
            return MASK.to_owned();
        };
        let (mut masked, mut shown) = (String::with_capacity(text.len()), 0);
        for (start, end) in covered(automaton, &text) {
            masked.push_str(text.get(shown..start).unwrap_or_default());
            masked.push_str(MASK);
            shown = end;
        }
        masked.push_str(text.get(shown..).unwrap_or_default());
        masked
    }
}

/// What is found in `text`, from where to where; in order, what overlaps in one.
fn covered(automaton: &NFA, text: &str) -> Vec<(usize, usize)> {
    let mut covered: Vec<(usize, usize)> = Vec::new();
    let Ok(mut state) = automaton.start_state(Anchored::No) else { return covered };
    for (last, byte) in text.bytes().enumerate() {
        state = automaton.next_state(Anchored::No, state, byte);
        if !automaton.is_match(state) {
            continue;
        }
        // One may end with another.
        let lengths = (0..automaton.match_len(state)).map(|i| automaton.pattern_len(automaton.match_pattern(state, i)));
        let end = last + 1;
        let mut start = end - lengths.max().unwrap_or_default();
        while let Some(before) = covered.pop_if(|(_, end)| *end > start) {
            start = start.min(before.0);
        }
        covered.push((start, end));
    }
    covered
}

#[cfg(test)]
mod tests;
