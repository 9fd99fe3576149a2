//! Percent-encoding as urllib3 and `requests` do it.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything that urllib3 encodes in user and password: all but RFC 3986's unreserved characters, its sub-delimiters, and
/// the colon.
pub(super) const USERINFO: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':');
/// Everything that urllib3 encodes in a path.
pub(super) const PATH: &AsciiSet = &USERINFO.remove(b'@').remove(b'/');
/// Everything that urllib3 encodes in a query.
pub(super) const QUERY: &AsciiSet = &PATH.remove(b'?');
/// Everything that `requests` encodes in a whole URL, except for `%`.
const WHOLE: &AsciiSet = &QUERY.remove(b'#').remove(b'[').remove(b']');

/// Percent-encodes the characters in `change`. If every `%` begins an escape, these escapes stay as they are; otherwise each
/// `%` is encoded too.
pub(super) fn encode(text: &str, change: &'static AsciiSet) -> String {
    let upper = upper_escapes(text);
    if !text.split('%').skip(1).all(starts_with_escape) {
        return utf8_percent_encode(&upper, change).to_string();
    }
    upper.split('%').map(|part| utf8_percent_encode(part, change).to_string()).collect::<Vec<_>>().join("%")
}

/// Whether `part`, the text after a `%`, begins with two hexadecimal digits.
pub(super) fn starts_with_escape(part: &str) -> bool {
    part.get(..2).is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// `text` with its escapes in upper case.
fn upper_escapes(text: &str) -> String {
    let mut parts = text.split('%');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push('%');
        let (hex, rest) = part.split_at(if starts_with_escape(part) { 2 } else { 0 });
        out.push_str(&hex.to_ascii_uppercase());
        out.push_str(rest);
    }
    out
}

/// Encodes a whole URL as `requests.utils.requote_uri` does.
pub(super) fn requote(text: &str) -> String {
    let bad_escape = |part: &str| {
        let two: String = part.chars().take(2).collect();
        two.chars().count() == 2 && two.chars().all(char::is_alphanumeric) && u8::from_str_radix(&two, 16).is_err()
    };
    if text.split('%').skip(1).any(bad_escape) {
        return utf8_percent_encode(text, WHOLE).to_string();
    }
    let text = unquote_unreserved(text);
    text.split('%').map(|part| utf8_percent_encode(part, WHOLE).to_string()).collect::<Vec<_>>().join("%")
}

/// `text` with the escapes of unreserved characters undone.
pub(super) fn unquote_unreserved(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut parts = text.split('%');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let byte = part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match byte.filter(|b| b.is_ascii_alphanumeric() || b"-._~".contains(b)) {
            Some(byte) => {
                out.push(char::from(byte));
                out.push_str(&part[2..]);
            }
            None => {
                out.push('%');
                out.push_str(part);
            }
        }
    }
    Cow::Owned(out)
}
