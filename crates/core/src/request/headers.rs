//! Headers from what a webhook states to what goes on the wire.

use std::{collections::HashSet, sync::Arc};

use super::http_request::Header;
use crate::{json::Json, request_url::is_python_space, webhook::SecretKey};

/// Bound on all headers that a webhook states, in bytes, where each counts as in HTTP/2: its name, its value and 32. Receivers
/// take 8 to 64 KiB as a rule.
pub(super) const HEADERS_MAX: usize = 256 * 1024;

/// About as much as a header costs beside its name and its value, in bytes (RFC 9113, 6.5.2).
const OVERHEAD: usize = 32;

/// Headers that are for one connection or frame the message (RFC 9110, 7.6.1), beside all that begin with `Proxy-`. The client
/// sets what it needs of them: two ideas of where a message ends make one request into two, and the second may be somebody
/// else's.
const OF_CONNECTION: [&str; 9] = [
    "Connection",
    "Content-Length",
    "Expect",
    "HTTP2-Settings",
    "Keep-Alive",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
];

/// The bytes that are left for headers.
pub(super) struct HeaderBudget(usize);

impl HeaderBudget {
    pub(super) fn new() -> Self {
        Self(HEADERS_MAX)
    }

    /// Takes the bytes of a header with a value of `length`, which `key` has, if it comes from a Secret.
    ///
    /// # Errors
    /// They are not left. The message is one clause for people, and names the header and the Secret.
    pub(super) fn take(&mut self, name: &str, length: usize, key: Option<&SecretKey>) -> Result<(), String> {
        let left = self.0.checked_sub(name.len().saturating_add(length).saturating_add(OVERHEAD));
        self.0 = left.ok_or_else(|| {
            let name: String = name.chars().take(100).collect();
            let key = key.map_or_else(String::new, |key| format!(" (key '{}' of Secret '{}')", key.key, key.name));
            format!("With header {name}{key}, the headers are over {} KiB in all", HEADERS_MAX / 1024)
        })?;
        Ok(())
    }
}

/// A header as a webhook states it, by its template or by a Secret.
pub(super) struct StatedHeader {
    pub(super) name: Arc<str>,
    /// Any JSON, until it is checked.
    pub(super) value: Json,
    pub(super) secret: bool,
}

/// The headers that are sent. Of names that differ only in case the last counts; null stands for a header that is not sent.
/// Headers [of the connection](OF_CONNECTION) are left out: they are not for a webhook to state.
///
/// # Errors
/// HTTP does not allow a name or a value. The message is one clause for people.
pub(super) fn wire_headers(stated: Vec<StatedHeader>) -> Result<Vec<Header>, String> {
    let mut seen = HashSet::with_capacity(stated.len());
    let mut last: Vec<StatedHeader> = stated.into_iter().rev().collect();
    last.retain(|header| seen.insert(header.name.to_ascii_lowercase()));
    last.into_iter()
        .rev()
        .filter(|header| header.value != Json::Null)
        .map(|header| wire_header(&header))
        .filter(|header| !header.as_ref().is_ok_and(|header| is_of_connection(&header.name)))
        .collect()
}

fn is_of_connection(name: &str) -> bool {
    let is_for_proxies = name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("Proxy-"));
    is_for_proxies || OF_CONNECTION.iter().any(|other| name.eq_ignore_ascii_case(other))
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
