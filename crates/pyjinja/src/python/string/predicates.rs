//! `str.isalnum` and the other methods that ask for the kind of characters.

use crate::python::unicode::{is_alphabetic, is_decimal, is_digit, is_numeric, is_printable, is_space, is_title};

/// `text.method()`
pub(super) fn is(text: &str, method: &str) -> bool {
    let all = |wanted: fn(char) -> bool| !text.is_empty() && text.chars().all(wanted);
    match method {
        "isalnum" => all(|c| is_alphabetic(c) || is_digit(c) || is_numeric(c)),
        "isalpha" => all(is_alphabetic),
        "isascii" => text.is_ascii(),
        "isdecimal" => all(is_decimal),
        "isdigit" => all(is_digit),
        "isidentifier" => is_identifier(text),
        "islower" => text.chars().any(char::is_lowercase) && !text.chars().any(|c| c.is_uppercase() || is_title(c)),
        "isnumeric" => all(is_numeric),
        "isprintable" => text.chars().all(is_printable),
        "isspace" => all(is_space),
        "istitle" => is_titled(text),
        _ => text.chars().any(char::is_uppercase) && !text.chars().any(|c| c.is_lowercase() || is_title(c)),
    }
}

fn is_identifier(text: &str) -> bool {
    let starts = |c: char| c == '_' || unicode_ident::is_xid_start(c);
    let mut chars = text.chars();
    chars.next().is_some_and(starts) && chars.all(unicode_ident::is_xid_continue)
}

fn is_titled(text: &str) -> bool {
    let (mut cased, mut inside) = (false, false);
    for c in text.chars() {
        if c.is_uppercase() || is_title(c) {
            if inside {
                return false;
            }
            (cased, inside) = (true, true);
        } else if c.is_lowercase() {
            if !inside {
                return false;
            }
            cased = true;
        } else {
            inside = false;
        }
    }
    cased
}
