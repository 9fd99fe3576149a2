//! Headers from what a webhook states to what goes on the wire.

use std::sync::Arc;

use super::http_request::Header;
use crate::{json::Json, request_url::is_python_space};

/// A header as a webhook states it, by its template or by a Secret.
pub(super) struct StatedHeader {
    pub(super) name: Arc<str>,
    /// Any JSON, until it is checked.
    pub(super) value: Json,
    pub(super) secret: bool,
}

/// The headers that are sent. Of names that differ only in case the last counts; null stands for a header that is not sent.
/// Headers that frame the message are left out: they are not for a webhook to state.
///
/// # Errors
/// HTTP does not allow a name or a value. The message is one clause for people.
pub(super) fn wire_headers(stated: Vec<StatedHeader>) -> Result<Vec<Header>, String> {
    let mut last: Vec<StatedHeader> = Vec::with_capacity(stated.len());
    for header in stated {
        last.retain(|earlier| !earlier.name.eq_ignore_ascii_case(&header.name));
        last.push(header);
    }
    let framing = |name: &str| {
        ["Content-Length", "Transfer-Encoding", "Connection"].iter().any(|framing| name.eq_ignore_ascii_case(framing))
    };
    last.into_iter()
        .filter(|header| header.value != Json::Null)
        .map(|header| wire_header(&header))
        .filter(|header| !header.as_ref().is_ok_and(|header| framing(&header.name)))
        .collect()
}

fn wire_header(StatedHeader { name, value, secret }: &StatedHeader) -> Result<Header, String> {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(format!("Header name {name:?} is not allowed: use letters, digits and -"));
    }
    let Json::Str(text) = value else {
        return Err(format!("Header {name} must be a string: put its value in quotes"));
    };
    if text.starts_with(is_python_space) {
        return Err(format!("Header {name} begins with white space, which no header may do"));
    }
    match latin1(text) {
        Some(value) if value.iter().all(|b| *b == b'\t' || (*b >= b' ' && *b != 0x7f)) => {
            Ok(Header { name: String::from(&**name), value, secret: *secret })
        }
        Some(_) => Err(format!("Header {name} has a line break or a control character, which no header may have")),
        None => Err(format!("Header {name} has a character outside Latin-1, which no header may have")),
    }
}

/// The text in Latin-1; None if it has other characters.
pub(super) fn latin1(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|c| u8::try_from(c).ok()).collect()
}
