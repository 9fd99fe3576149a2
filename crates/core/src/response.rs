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
mod tests {
    use super::*;
    use flate2::{
        Compression,
        write::{DeflateEncoder, GzEncoder, ZlibEncoder},
    };
    use std::io::Write;

    fn answer(status: u16, body: &str) -> Outcome {
        Outcome::Answer {
            status,
            body: body.as_bytes().to_vec(),
            announced: None,
            content_type: None,
            retry_after: None,
        }
    }

    fn bytes(body: &[u8], content_type: &str) -> Outcome {
        let content_type = Some(content_type.to_owned());
        Outcome::Answer { status: 200, body: body.to_vec(), announced: None, content_type, retry_after: None }
    }

    #[test]
    fn bodies_are_decoded_as_far_as_they_go_and_bombs_are_bounded() {
        let gzip = |text: &[u8]| {
            let mut out = GzEncoder::new(Vec::new(), Compression::best());
            out.write_all(text).unwrap();
            out.finish().unwrap()
        };
        let zipped = gzip(b"zipped");
        let half = zipped[..zipped.len() - 6].to_vec();
        // The checksum comes last but four.
        let mut wrong = zipped.clone();
        let checksum = wrong.len() - 5;
        wrong[checksum] ^= 1;
        let mut deflated = DeflateEncoder::new(Vec::new(), Compression::fast());
        deflated.write_all(b"raw").unwrap();
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(b"zlib").unwrap();
        let cases = [
            ("", b"plain".to_vec(), Ok(&b"plain"[..])),
            ("br", b"kept".to_vec(), Ok(b"kept")),
            ("gzip", Vec::new(), Ok(b"")),
            ("GZIP", zipped.clone(), Ok(b"zipped")),
            ("gzip, gzip", gzip(&zipped), Ok(b"zipped")),
            ("gzip", half, Ok(b"zipped")),
            ("deflate", deflated.finish().unwrap(), Ok(b"raw")),
            ("deflate", zlib.finish().unwrap(), Ok(b"zlib")),
            ("gzip", [zipped.clone(), b"rubbish".to_vec()].concat(), Ok(b"zipped")),
            ("gzip", [zipped.clone(), gzip(b" twice")].concat(), Ok(b"zipped twice")),
            ("gzip", b"not gzip".to_vec(), Err("The answer says that it is encoded with gzip, and is not")),
            ("gzip", wrong, Err("The answer says that it is encoded with gzip, and is not")),
            (
                "gzip, gzip, gzip, gzip, gzip, gzip",
                zipped.clone(),
                Err("The answer lists more than 5 encodings, which are not undone"),
            ),
            ("gzip", [zipped.clone(), gzip(b"").repeat(MEMBERS - 1)].concat(), Ok(b"zipped")),
            (
                "x-gzip",
                gzip(b"").repeat(MEMBERS + 1),
                Err("The answer has over 1000 members of x-gzip, which are not undone"),
            ),
        ];
        for (encodings, body, expected) in cases {
            let expected = expected.map(<[u8]>::to_vec).map_err(str::to_owned);
            assert_eq!(decode(encodings, body), expected, "{encodings}");
        }
        let bomb = gzip(&gzip(&vec![0; 100 * READ_LIMIT]));
        assert_eq!(decode("gzip, gzip", bomb).map(|body| body.len()), Ok(READ_LIMIT + 1));
        // As long at each step.
        let stored = |text: Vec<u8>| {
            let mut out = GzEncoder::new(Vec::new(), Compression::none());
            out.write_all(&text).unwrap();
            out.finish().unwrap()
        };
        let long = stored(stored(stored(vec![0; READ_LIMIT])));
        let refused = "The answer is encoded as over 2000000 bytes, which are not undone".to_owned();
        assert_eq!(decode("gzip, gzip, gzip", long), Err(refused));
    }

    #[test]
    fn a_url_that_no_request_may_go_to_takes_the_place_of_the_url() {
        let text = |text: &str| Some(text.to_owned());
        let sent = ResponseRecord {
            url: text("http://a"),
            request_headers: text("{}"),
            request_data: text("{}"),
            ..ResponseRecord::default()
        };
        for (was_sent, expected) in [(false, None), (true, text("{}"))] {
            let outcome = Outcome::UrlRefused { message: "Malformed url".to_owned(), sent: was_sent, retryable: false };
            let record = ResponseRecord {
                url: text("URL - Malformed url"),
                request_headers: expected.clone(),
                request_data: expected,
                ..ResponseRecord::default()
            };
            assert_eq!(finish(sent.clone(), &outcome, &[]), record);
        }
    }

    #[test]
    fn the_record_shows_the_answer_as_oncall_does() {
        let text = |text: &str| Some(text.to_owned());
        let sent =
            ResponseRecord { url: text("http://a.example"), request_data: text("{}"), ..ResponseRecord::default() };
        let cases = [
            (answer(200, r#"{"ok":true,"name":"é"}"#), Some(200), r#"{"ok": true, "name": "\u00e9"}"#),
            (answer(500, "oops"), Some(500), "oops"),
            (answer(204, ""), Some(204), ""),
            (answer(200, "{nope"), Some(200), "{nope"),
            (answer(200, r#"["\ud83d",1]"#), Some(200), r#"["\ud83d", 1]"#),
            (
                answer(200, r#"[NaN, 123456789012345678901, {"a": 1, "a": 2}]"#),
                Some(200),
                r#"[NaN, 123456789012345678901, {"a": 2}]"#,
            ),
            (answer(200, "a\0b"), Some(200), "a\0b"),
            (bytes(b"\xff\xfe\xfa", ""), Some(200), "The answer is not UTF-8 at byte 0"),
            (bytes(b"caf\xe9", "text/plain; charset=iso-8859-1"), Some(200), "The answer is not UTF-8 at byte 3"),
            (bytes(b"\"caf\xe9\"", "application/json; charset=\"Latin1\"; x=y"), Some(200), r#""caf\u00e9""#),
            (bytes(b"\"caf\xe9\"", "text/plain"), Some(200), r#""caf\u00e9""#),
            (bytes(b"\"caf\xe9\"", "application/json"), Some(200), r#""caf\ufffd""#),
            // As `requests` reads what is `text`.
            (bytes("\"é\"".as_bytes(), "text/plain"), Some(200), r#""\u00c3\u00a9""#),
            (bytes("é".as_bytes(), "text/plain"), Some(200), "é"),
            (bytes(b"\"\x93\xfa\"", "application/json; charset=shift_jis"), Some(200), r#""\u65e5""#),
            (bytes(b"\"caf\xe9\"", "application/json; charset=windows-1252"), Some(200), r#""caf\u00e9""#),
            (bytes(b"\"caf\xe9\"", "application/json; charset=us-ascii"), Some(200), r#""caf\ufffd""#),
            (bytes(b"\"caf\xe9\"", "application/json; charset=nonsense"), Some(200), r#""caf\ufffd""#),
            (bytes(b"\xef\xbb\xbf{\"a\":1}", "application/problem+json"), Some(200), r#"{"a": 1}"#),
            (bytes(b"[\x001\x00]\x00", ""), Some(200), "[1]"),
            (answer(200, &"x".repeat(50_000)), Some(200), &"x".repeat(50_000)),
            (answer(200, &"x".repeat(50_001)), Some(200), "Response content 50001 exceeds 50000 character limit"),
            (
                answer(200, &"x".repeat(READ_LIMIT + 1)),
                Some(200),
                "Response content over 1000000 exceeds 50000 character limit",
            ),
            (
                Outcome::Answer {
                    status: 200,
                    body: Vec::new(),
                    announced: Some(60_000),
                    content_type: None,
                    retry_after: None,
                },
                Some(200),
                "Response content 60000 exceeds 50000 character limit",
            ),
            (
                Outcome::Failure { message: "Connection refused".to_owned(), retryable: true },
                None,
                "Connection refused",
            ),
        ];
        for (outcome, status_code, content) in cases {
            let expected = ResponseRecord { status_code, content: text(content), ..sent.clone() };
            assert_eq!(finish(sent.clone(), &outcome, &[]), expected);
        }
    }

    #[test]
    fn secrets_that_an_answer_repeats_are_masked() {
        let secrets = ["Bearer s3cret", "ok", "p4\"ss\\wörd"].map(SecretString::from);
        let cases = [
            (r#"{"ok": "got s3cret"}"#, r#"{"ok": "got ****************"}"#),
            ("got p4\"ss\\wörd", "got ****************"),
            (r#"["p4\"ss\\wörd", "p4\"ss\\w\u00f6rd"]"#, r#"["****************", "****************"]"#),
        ];
        for (body, content) in cases {
            let record = finish(ResponseRecord::default(), &answer(200, body), &secrets);
            assert_eq!(record.content.as_deref(), Some(content), "{body}");
        }
    }

    #[test]
    fn secrets_that_overlap_are_covered_whole_however_many_there_are() {
        let many: Vec<String> = (0..FEW).map(|number| format!("part-{number:04}")).collect();
        let all =
            many.iter().map(String::as_str).chain(["abcd-1", "1-efgh", "cd-1", "Host-Token", "part-0001", "tail"]);
        let secrets: Vec<SecretString> = all.map(SecretString::from).collect();
        let cases = [
            ("abcd-1-efgh", "<>"),
            ("abcd-1,1-efghtail", "<>,<><>"),
            ("part-0001part-0063/part-9999 é", "<><>/part-9999 é"),
            ("Host-Token at host-token.example", "<> at <>.example"),
            ("[\"tail\", \"x\"]", "[\"<>\", \"x\"]"),
        ];
        for some in [&secrets[..], &secrets[FEW..]] {
            for (text, expected) in cases.iter().filter(|(text, _)| some.len() > FEW || !text.contains("0063")) {
                assert_eq!(SecretMasker::new(some).put((*text).to_owned()), expected.replace("<>", MASK), "{text}");
            }
        }
    }

    #[test]
    fn a_secret_that_is_named_again_is_looked_for_once() {
        let secrets = ["t0k3n", "t0k3n", "Bearer t0k3n"].map(SecretString::from);
        let spelled: Vec<_> = SecretMasker::new(&secrets).spelled.into_iter().collect();
        assert_eq!(spelled, ["Bearer t0k3n", "bearer t0k3n", "t0k3n"]);
    }

    #[test]
    fn a_host_is_secret_if_it_shows_a_secret_or_is_part_of_one() {
        let secrets = ["https://Tenant.example/x", "S3cret-Token", "abc"].map(SecretString::from);
        for (host, expected) in [
            ("tenant.example", true),
            ("TENANT.example", true),
            ("s3cret-token.evil.example", true),
            ("x-S3CRET-TOKEN.evil.example", true),
            ("abc.example", false),
            ("other.example", false),
        ] {
            assert_eq!(is_secret(host, &secrets), expected, "{host}");
        }
    }

    #[test]
    fn only_2xx_is_a_success() {
        for (outcome, expected) in [
            (answer(200, ""), true),
            (answer(299, ""), true),
            (answer(302, ""), false),
            (answer(503, ""), false),
            (Outcome::Failure { message: String::new(), retryable: true }, false),
        ] {
            assert_eq!(outcome.is_success(), expected, "{outcome:?}");
        }
    }
}
