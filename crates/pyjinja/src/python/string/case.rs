//! `str.lower`, `upper`, `casefold`, `capitalize`, `title` and `swapcase`.

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

use crate::python::unicode::is_cased;

/// `text` as the method of this name gives it.
pub(super) fn cased(text: &str, method: &str) -> String {
    match method {
        "lower" => text.to_lowercase(),
        "upper" => text.to_uppercase(),
        "casefold" => unicase::UniCase::unicode(text).to_folded_case(),
        "capitalize" => {
            let lower = lowercased(text, |at, _| at > 0);
            let first: Option<String> = text.chars().next().map(title);
            first.unwrap_or_default() + &lower
        }
        "title" => titled(text),
        _ => swapped(text),
    }
}

/// The lower case of those characters that are `wanted` by their position; the others are left out. Whether a sigma
/// is final depends on the characters around it, also on those that are left out.
fn lowercased(text: &str, wanted: impl Fn(usize, char) -> bool) -> String {
    text.char_indices().filter(|(at, c)| wanted(*at, *c)).fold(String::new(), |mut out, (at, c)| {
        push_lower(&mut out, text, at, c);
        out
    })
}

/// Writes the lower case of `c`, which stands at `at` in `text`.
fn push_lower(out: &mut String, text: &str, at: usize, c: char) {
    match c {
        'Σ' => out.push(if is_final_sigma(text, at) { 'ς' } else { 'σ' }),
        other => out.extend(other.to_lowercase()),
    }
}

/// Whether the sigma at `at` ends a word.
fn is_final_sigma(text: &str, at: usize) -> bool {
    let (before, after) = text.split_at(at);
    let before = before.chars().rev().find(|c| !is_case_ignorable(*c));
    let after = after.chars().skip(1).find(|c| !is_case_ignorable(*c));
    before.is_some_and(is_cased) && !after.is_some_and(is_cased)
}

/// `Case_Ignorable` of Unicode.
fn is_case_ignorable(c: char) -> bool {
    if c.is_ascii() {
        return matches!(c, '\'' | '.' | ':' | '^' | '`');
    }
    matches!(
        c,
        '\u{b7}'
            | '\u{387}'
            | '\u{55f}'
            | '\u{5f4}'
            | '\u{2018}'
            | '\u{2019}'
            | '\u{2024}'
            | '\u{2027}'
            | '\u{fe13}'
            | '\u{fe52}'
            | '\u{fe55}'
            | '\u{ff07}'
            | '\u{ff0e}'
            | '\u{ff1a}'
    ) || matches!(
        c.general_category(),
        GeneralCategory::NonspacingMark
            | GeneralCategory::EnclosingMark
            | GeneralCategory::Format
            | GeneralCategory::ModifierLetter
            | GeneralCategory::ModifierSymbol
    )
}

/// `str.title`
fn titled(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for (at, c) in text.char_indices() {
        if inside {
            push_lower(&mut out, text, at, c);
        } else {
            out.push_str(&title(c));
        }
        inside = is_cased(c);
    }
    out
}

/// `str.swapcase`
fn swapped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        if c.is_uppercase() {
            push_lower(&mut out, text, at, c);
        } else if c.is_lowercase() {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
    }
    out
}

/// The title case of a character: mostly, but not always, its upper case.
fn title(c: char) -> String {
    let shifted = |offset: u32| char::from_u32(u32::from(c) + offset).unwrap_or(c).to_string();
    match c {
        // Georgian has no title case.
        '\u{10d0}'..='\u{10ff}' => c.to_string(),
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}'.to_string(),
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}'.to_string(),
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}'.to_string(),
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}'.to_string(),
        // Greek keeps its iota below.
        '\u{1f80}'..='\u{1faf}' => shifted((u32::from(c) & 8) ^ 8),
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => shifted(9),
        '\u{1fbc}' | '\u{1fcc}' | '\u{1ffc}' => c.to_string(),
        '\u{1fb7}' => "\u{1fbc}\u{342}".to_owned(),
        '\u{1fc7}' => "\u{1fcc}\u{342}".to_owned(),
        '\u{1ff7}' => "\u{1ffc}\u{342}".to_owned(),
        '\u{1fb2}' | '\u{1fb4}' | '\u{1fc2}' | '\u{1fc4}' | '\u{1ff2}' | '\u{1ff4}' => {
            c.to_uppercase().take(1).chain(['\u{345}']).collect()
        }
        // Ligatures.
        'ß' | '\u{587}' | '\u{fb00}'..='\u{fb17}' => {
            let mut upper = c.to_uppercase();
            upper.next().into_iter().chain(upper.flat_map(char::to_lowercase)).collect()
        }
        other => other.to_uppercase().collect(),
    }
}
