//! Secrets masked wherever an answer repeats them, in every spelling that is likely.

use std::{cell::OnceCell, collections::BTreeSet};

use aho_corasick::{Anchored, automaton::Automaton, nfa::contiguous::NFA};
use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use secrecy::{ExposeSecret, SecretString};

use self::decoded::Decoded;
use crate::json;

mod decoded;

/// Stands in a record in place of a secret.
pub const MASK: &str = "****************";

/// Shorter secrets are not looked for in answers: they are part of too many texts by chance. In bytes.
const SECRET_MIN: usize = 4;

/// Shorter parts of base64 are not looked for, for the same reason: those of secrets of up to five bytes. In bytes.
const BASE64_MIN: usize = 7;

/// How often escapes are undone: a URL in JSON in a page.
const LAYERS: usize = 3;

/// Up to so many spellings, looking for one after the other is faster than building an automaton for a text without any.
const FEW: usize = 64;

/// Bound on all spellings, in bytes: an automaton takes many times as much. Secrets have some twelve bytes of these for each of
/// their own. With more of them a text is masked as a whole.
const SPELLED_MAX: usize = 256 * 1024;

/// Whether `host` shows a secret, or is part of one. Case makes no difference.
pub fn is_secret_host(host: &str, secrets: &[SecretString]) -> bool {
    let host = host.to_ascii_lowercase();
    secrets.iter().any(|secret| secret.expose_secret().to_ascii_lowercase().contains(&host))
        || SecretMasker::new(secrets).any_case.texts.iter().any(|secret| host.contains(secret))
}

/// Puts a mask in place of every secret.
pub(super) struct SecretMasker {
    /// Secrets as they are, as JSON writes them and in hex, all in lower case: case makes no difference.
    any_case: Spellings,
    /// Secrets in base64, however they are aligned, without the characters that also tell of what is beside them.
    base64: Spellings,
    /// Whether all of these are too much to look for.
    is_too_much: bool,
}

impl SecretMasker {
    /// Looks for `secrets` in all spellings that are likely.
    pub(super) fn new(secrets: &[SecretString]) -> Self {
        let (mut any_case, mut base64) = (Spellings::default(), Spellings::default());
        for secret in secrets.iter().map(ExposeSecret::expose_secret).filter(|secret| secret.len() >= SECRET_MIN) {
            any_case.extend(plain_spellings(secret));
            // Receivers may repeat a token without the word before it, such as Bearer.
            let token = secret.split_once(' ').map(|(_, token)| token).filter(|token| token.len() >= SECRET_MIN);
            any_case.extend(token.into_iter().flat_map(plain_spellings));
            any_case.extend([hex(token.unwrap_or(secret))]);
            base64.extend(base64_spellings(token.unwrap_or(secret)));
            if any_case.length + base64.length > SPELLED_MAX {
                break;
            }
        }
        let is_too_much = any_case.length + base64.length > SPELLED_MAX;
        Self { any_case, base64, is_too_much }
    }

    /// Returns `text` with each secret masked, also where it is escaped for a URL, HTML or JSON; secrets that overlap get one
    /// mask together.
    pub(super) fn mask(&self, text: String) -> String {
        if self.any_case.texts.is_empty() {
            return text;
        }
        if self.is_too_much {
            return MASK.to_owned();
        }
        let mut found = Vec::new();
        let mut layer = Some(Decoded::verbatim(&text));
        for _ in 0..=LAYERS {
            let Some(decoded) = layer.take() else { break };
            let ranges =
                [self.any_case.covered(&decoded.bytes.to_ascii_lowercase()), self.base64.covered(&decoded.bytes)];
            for ranges in ranges {
                let Some(ranges) = ranges else { return MASK.to_owned() };
                found.extend(ranges.into_iter().map(|range| decoded.in_text(range)));
            }
            layer = decoded.undone();
        }
        if found.is_empty() { text } else { masked(&text, found) }
    }
}

/// The text with a mask in place of each range; ranges that overlap get one together.
fn masked(text: &str, mut ranges: Vec<(usize, usize)>) -> String {
    ranges.sort_unstable();
    let mut joined: Vec<(usize, usize)> = Vec::with_capacity(ranges.len());
    for (start, end) in ranges {
        match joined.last_mut().filter(|last| start < last.1) {
            Some(last) => last.1 = last.1.max(end),
            None => joined.push((start, end)),
        }
    }
    let (mut masked, mut shown) = (String::with_capacity(text.len()), 0);
    for (start, end) in joined {
        masked.push_str(text.get(shown..start).unwrap_or_default());
        masked.push_str(MASK);
        shown = end;
    }
    masked.push_str(text.get(shown..).unwrap_or_default());
    masked
}

/// A secret in lower case: as it is, with its escapes undone, as JSON writes it, and as a form writes its spaces.
fn plain_spellings(secret: &str) -> impl Iterator<Item = String> {
    let escaped = |ascii| {
        let mut text = String::new();
        json::write_escaped(&mut text, secret, ascii);
        text
    };
    // Where all escapes are undone, so are those that are part of the secret.
    let undone = Decoded::verbatim(secret).undone().and_then(|undone| String::from_utf8(undone.bytes).ok());
    let spellings = [secret.to_owned(), escaped(true), escaped(false), secret.replace(' ', "+")];
    let spellings = spellings.into_iter().chain(undone.filter(|undone| undone.len() >= SECRET_MIN));
    spellings.map(|spelling| spelling.to_ascii_lowercase())
}

/// A secret in hex, in lower case.
fn hex(secret: &str) -> String {
    let digits = secret.bytes().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

/// The parts of a base64 text that tell a secret in it: the secret begins at the first, second or third byte of three. In
/// both alphabets.
fn base64_spellings(secret: &str) -> impl Iterator<Item = String> {
    let aligned = |before: usize| {
        let bytes: Vec<u8> = std::iter::repeat_n(0, before).chain(secret.bytes()).collect();
        // The characters at both ends also depend on what is beside the secret.
        let whole = bytes.len() * 8 / 6;
        let first = (before * 8).div_ceil(6);
        BASE64_STANDARD_NO_PAD.encode(&bytes).get(first..whole).unwrap_or_default().to_owned()
    };
    let aligned = [0, 1, 2].map(aligned).into_iter().filter(|part| part.len() >= BASE64_MIN);
    aligned.flat_map(|part| [part.replace('+', "-").replace('/', "_"), part])
}

/// Texts to look for.
#[derive(Default)]
struct Spellings {
    texts: BTreeSet<String>,
    /// How long they are in all, in bytes.
    length: usize,
    /// Looks for all at once. Built when the first text may hold one. None if they are too many for an automaton.
    automaton: OnceCell<Option<NFA>>,
}

impl Spellings {
    fn extend(&mut self, texts: impl IntoIterator<Item = String>) {
        for text in texts {
            let length = text.len();
            if self.texts.insert(text) {
                self.length += length;
            }
        }
    }

    /// The ranges that the texts cover, in order. Ranges that overlap are joined. None if the texts are too many to look for.
    fn covered(&self, bytes: &[u8]) -> Option<Vec<(usize, usize)>> {
        let is_there = |text: &String| memchr::memmem::find(bytes, text.as_bytes()).is_some();
        if self.texts.is_empty() || (self.texts.len() <= FEW && !self.texts.iter().any(is_there)) {
            return Some(Vec::new());
        }
        self.automaton.get_or_init(|| NFA::new(&self.texts).ok()).as_ref().map(|automaton| covered(automaton, bytes))
    }
}

/// The ranges of `bytes` that patterns cover, in order. Ranges that overlap are joined.
fn covered(automaton: &NFA, bytes: &[u8]) -> Vec<(usize, usize)> {
    let mut covered: Vec<(usize, usize)> = Vec::new();
    let Ok(mut state) = automaton.start_state(Anchored::No) else { return covered };
    for (last, byte) in bytes.iter().enumerate() {
        state = automaton.next_state(Anchored::No, state, *byte);
        if !automaton.is_match(state) {
            continue;
        }
        // Of the secrets that end here, the longest counts.
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

    #[test]
    fn secrets_that_overlap_get_one_mask_however_many_there_are() {
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
            ("TAIL", "<>"),
        ];
        for some in [&secrets[..], &secrets[FEW..]] {
            for (text, expected) in cases.iter().filter(|(text, _)| some.len() > FEW || !text.contains("0063")) {
                assert_eq!(SecretMasker::new(some).mask((*text).to_owned()), expected.replace("<>", MASK), "{text}");
            }
        }
    }

    #[test]
    fn a_secret_that_is_given_twice_is_looked_for_once() {
        let secrets = ["t0k3n", "t0k3n", "Bearer t0k3n"].map(SecretString::from);
        let masker = SecretMasker::new(&secrets);
        let spelled: Vec<_> = masker.any_case.texts.into_iter().collect();
        assert_eq!(spelled, ["74306b336e", "bearer t0k3n", "bearer+t0k3n", "t0k3n"]);
        // It is too short for that.
        assert!(masker.base64.texts.is_empty());
    }

    #[test]
    fn a_secret_is_masked_however_a_receiver_spells_it() {
        let secrets = ["Bearer p\"a/s<s é+w0rd?", "100%25 & \\x41", "abc"].map(SecretString::from);
        let masker = SecretMasker::new(&secrets);
        let alike = [
            "BEARER P\"A/S<S é+W0RD?",
            "p&quot;a/s&lt;s é+w0rd?",
            "p&#34;a&#x2f;s&#x3C;s&#32;&#233;+w0rd?",
            "p%22a%2fs%3Cs%20%C3%A9%2Bw0rd%3f",
            "p%22a/s%3cs+%c3%a9%2bw0rd%3F",
            r#"p\"a\/s<s \u00E9+w0rd?"#,
            r#"p\u0022a/s\u003Cs \u00e9+w0rd?"#,
            r#"p\\\"a\\\/s<s \\u00e9+w0rd?"#,
            "p%2522a%252Fs%253Cs%2520%25C3%25A9%252Bw0rd%253F",
            "p&amp;quot;a/s&amp;lt;s é+w0rd?",
            "7022612f733c7320c3a92b773072643f",
            "7022612F733C7320C3A92B773072643F",
            "100%25 & \\x41",
            "100%2525%20%26%20%5Cx41",
            "100%25 &amp; \\x41",
            r"100%25 & \\x41",
        ];
        for text in alike {
            let shown = masker.mask(format!("é got {text}, é"));
            assert_eq!(shown, format!("é got {MASK}, é"), "{text}");
        }
        for text in ["abc", "p\"a/s<s", "7022612f733c73", "%22%3C&quot;", "\\u00e9 \\"] {
            assert_eq!(masker.mask(text.to_owned()), text);
        }
    }

    #[test]
    fn a_secret_in_base64_is_masked_wherever_it_begins_but_for_the_ends_that_tell_of_what_is_beside_it() {
        let secret = "s3cret~of>ann?";
        let masker = SecretMasker::new(&[SecretString::from(format!("Bearer {secret}"))]);
        for (before, after) in
            [("", ""), ("a", "b"), ("ab", "c"), ("abc", ""), ("Bearer ", "\n"), ("{\"token\": \"", "\"}")]
        {
            let plain = format!("{before}{secret}{after}");
            let standard = BASE64_STANDARD_NO_PAD.encode(&plain);
            for text in [standard.clone(), standard.replace('+', "-").replace('/', "_"), standard.replace('/', "%2F")] {
                let shown = masker.mask(format!("<{text}>"));
                let kept = shown.len() - 2 - MASK.len();
                let beside = (before.len() + after.len()) * 8 / 6 + 2;
                assert!(shown.contains(MASK) && kept <= beside, "{plain}: {text}: {shown}");
            }
        }
    }

    #[test]
    fn where_secrets_are_too_many_to_look_for_nothing_is_shown() {
        let secrets: Vec<SecretString> =
            (0..64).map(|number| SecretString::from(format!("{number}-{}", "s3cret".repeat(200)))).collect();
        assert_eq!(SecretMasker::new(&secrets).mask("anything".to_owned()), MASK);
        assert_eq!(SecretMasker::new(&secrets[..8]).mask("anything".to_owned()), "anything");
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
            assert_eq!(is_secret_host(host, &secrets), expected, "{host}");
        }
    }
}
