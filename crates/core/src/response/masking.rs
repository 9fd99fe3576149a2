//! Secrets masked wherever an answer repeats them, in every spelling that is likely.

use std::{cell::OnceCell, collections::BTreeSet};

use aho_corasick::{Anchored, automaton::Automaton, nfa::contiguous::NFA};
use secrecy::{ExposeSecret, SecretString};

use crate::json;

/// Stands in a record in place of a secret.
pub const MASK: &str = "****************";

/// Shorter secrets are not looked for in answers: they are part of too many texts by chance. In bytes.
const SECRET_MIN: usize = 4;

/// Up to so many spellings, looking for one after the other is faster than building an automaton for a text without any.
const FEW: usize = 64;

/// Whether `host` shows a secret, or is part of one. Case makes no difference.
pub fn is_secret_host(host: &str, secrets: &[SecretString]) -> bool {
    let host = host.to_ascii_lowercase();
    secrets.iter().any(|secret| secret.expose_secret().to_ascii_lowercase().contains(&host))
        || SecretMasker::new(secrets).spelled.iter().any(|secret| host.contains(secret))
}

/// Puts a mask in place of every secret.
pub(super) struct SecretMasker {
    /// Every spelling of every secret.
    spelled: BTreeSet<String>,
    /// Looks for all spellings at once. Built when the first text may hold one. None if they are too many for an automaton.
    automaton: OnceCell<Option<NFA>>,
}

impl SecretMasker {
    /// Looks for `secrets` as they are, in lower case as in hosts, and as JSON escapes both.
    pub(super) fn new(secrets: &[SecretString]) -> Self {
        let escaped = |secret: &str, ascii| {
            let mut text = String::new();
            json::write_escaped(&mut text, secret, ascii);
            text
        };
        let spelled = secrets
            .iter()
            .map(ExposeSecret::expose_secret)
            // Receivers may repeat a token without the word before it, such as Bearer.
            .flat_map(|secret| secret.split_once(' ').map(|(_, token)| token).into_iter().chain([secret]))
            .filter(|secret| secret.len() >= SECRET_MIN)
            .flat_map(|secret| [secret.to_owned(), secret.to_ascii_lowercase()])
            .flat_map(|secret| [escaped(&secret, true), escaped(&secret, false), secret])
            .collect();
        Self { spelled, automaton: OnceCell::new() }
    }

    /// Returns `text` with each secret masked; secrets that overlap get one mask together.
    pub(super) fn mask(&self, text: String) -> String {
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

/// The ranges of `text` that secrets cover, in order. Ranges that overlap are joined.
fn covered(automaton: &NFA, text: &str) -> Vec<(usize, usize)> {
    let mut covered: Vec<(usize, usize)> = Vec::new();
    let Ok(mut state) = automaton.start_state(Anchored::No) else { return covered };
    for (last, byte) in text.bytes().enumerate() {
        state = automaton.next_state(Anchored::No, state, byte);
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
            assert_eq!(is_secret_host(host, &secrets), expected, "{host}");
        }
    }
}
