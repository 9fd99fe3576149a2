//! URL text in; what OnCall says to it, and how Python's `requests` writes it on the wire, out. Two parsers read a URL
//! there, the standard library's for OnCall's check and urllib3's for the request; so do we.

use std::{borrow::Cow, net::Ipv6Addr};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// RFC 3986's unreserved characters and sub-delimiters, and the colon: what urllib3 leaves alone in user and password.
const USERINFO: &AsciiSet = &NON_ALPHANUMERIC
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
const PATH: &AsciiSet = &USERINFO.remove(b'@').remove(b'/');
const QUERY: &AsciiSet = &PATH.remove(b'?');
/// What `requests` leaves alone in a whole URL, but for `%`.
const WHOLE: &AsciiSet = &QUERY.remove(b'#').remove(b'[').remove(b']');

/// Why a URL is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UrlError {
    /// OnCall's own check refuses it, in these words: the record has them as its URL.
    Rejected(String),
    /// It can't be read, for this reason: the record has that as its content.
    Unreadable(String),
}

fn malformed() -> UrlError {
    UrlError::Rejected("Malformed url".to_owned())
}

/// Where a request goes: an `http` or `https` URL, ready for the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestUrl {
    https: bool,
    /// Percent-encoded.
    userinfo: Option<String>,
    /// In lower case, an IPv6 address in brackets.
    host: String,
    port: Option<u16>,
    /// Percent-encoded.
    path: String,
    /// Percent-encoded.
    query: Option<String>,
}

/// OnCall's check of a URL, which comes before anything else is made of it.
///
/// # Errors
/// It is not an `http` or `https` URL with a host.
pub fn check(text: &str) -> Result<(), UrlError> {
    // As the standard library's urlsplit does, and browsers do.
    let text: String = text.trim_start_matches(|c| c <= ' ').replace(['\t', '\r', '\n'], "");
    let parts = UrlParts::of(&text);
    let authority = parts.authority.unwrap_or_default();
    if authority.contains(['[', ']']) {
        let inner = authority.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map(|(inner, _)| inner);
        if inner.is_none_or(|address| !is_ipv6(address)) {
            return Err(UrlError::Unreadable("The url has brackets that hold no IPv6 address".to_owned()));
        }
    }
    let is_http = parts.scheme.is_some_and(|s| s.eq_ignore_ascii_case("http") || s.eq_ignore_ascii_case("https"));
    if is_http && !authority.is_empty() { Ok(()) } else { Err(malformed()) }
}

impl RequestUrl {
    /// Reads URL text that [`check`] took, as `requests` does: what may not stand in a URL is percent-encoded, a host
    /// beyond ASCII becomes its IDNA form.
    ///
    /// # Errors
    /// In one clause, without the text itself.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim_start_matches(is_python_space);
        let parts = UrlParts::of(text);
        let https = match parts.scheme {
            Some(scheme) if scheme.eq_ignore_ascii_case("http") => false,
            Some(scheme) if scheme.eq_ignore_ascii_case("https") => true,
            _ => return Err("The url has a control character before its host".to_owned()),
        };
        let (authority, rest) = match parts.authority.unwrap_or_default().split_once('\\') {
            // A path may begin with a backslash.
            Some((authority, _)) => (authority, parts.path_from(authority)),
            None => (parts.authority.unwrap_or_default(), Cow::Borrowed(parts.path)),
        };
        let (userinfo, host, port) = split_authority(authority);
        let (host, port) = (normal_host(host)?, read_port(port)?);
        let path = encode(&without_dots(&rest), PATH);
        Ok(Self {
            https,
            userinfo: userinfo
                .filter(|text| !text.is_empty())
                .map(|text| unquote_unreserved(&encode(text, USERINFO)).into_owned()),
            host,
            port,
            path: unquote_unreserved(&path).into_owned(),
            query: parts.query.map(|query| unquote_unreserved(&encode(query, QUERY)).into_owned()),
        })
    }

    /// Where a redirect from here leads. `location` is read as `requests` reads it, which is not quite how it reads
    /// the first URL.
    ///
    /// # Errors
    /// OnCall's check refuses it, or it can't be read.
    pub fn redirect(&self, location: &str) -> Result<Self, UrlError> {
        let location = match location.strip_prefix("//") {
            Some(rest) => format!("{}://{rest}", self.scheme()),
            None => location.to_owned(),
        };
        let location = requote(&location.trim_start_matches(|c| c <= ' ').replace('\t', ""));
        let parts = UrlParts::of(&location);
        let authority = parts.authority.unwrap_or_default();
        if authority.is_empty() && parts.scheme.is_none_or(|scheme| scheme.eq_ignore_ascii_case(self.scheme())) {
            return Ok(self.join(&parts));
        }
        check(&location)?;
        let (_, host, port) = split_authority(authority);
        if host.is_empty() {
            return Err(UrlError::Unreadable(NO_HOST.to_owned()));
        }
        Ok(Self {
            https: parts.scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https")),
            userinfo: None,
            host: host.to_ascii_lowercase(),
            port: read_port(port).map_err(UrlError::Unreadable)?,
            path: encode(parts.path, PATH),
            query: parts.query.map(|query| encode(query, QUERY)),
        })
    }

    /// A URL on the same host, as Python's `urljoin` makes it.
    fn join(&self, relative: &UrlParts) -> Self {
        let (path, query) = if relative.path.is_empty() {
            (
                self.path.clone(),
                relative.query.filter(|query| !query.is_empty()).map(str::to_owned).or_else(|| self.query.clone()),
            )
        } else {
            (joined(&self.path, relative.path), relative.query.map(str::to_owned))
        };
        Self {
            path: encode(&path, PATH),
            query: query.map(|query| encode(&query, QUERY)),
            userinfo: None,
            ..self.clone()
        }
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }

    /// The host alone, for people.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Host, and port where one is given.
    pub fn authority(&self) -> String {
        self.port.map_or_else(|| self.host.clone(), |port| format!("{}:{port}", self.host))
    }

    /// Path and query, as they stand on the request line.
    pub fn target(&self) -> String {
        // More slashes at the start would read as a host.
        let path = self.path.trim_start_matches('/');
        match self.query.as_deref().filter(|query| !query.is_empty()) {
            Some(query) => format!("/{path}?{query}"),
            None => format!("/{path}"),
        }
    }

    /// The path without its query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What stands before the host, percent-encoded.
    pub fn userinfo(&self) -> Option<&str> {
        self.userinfo.as_deref()
    }

    /// User and password, where both are given.
    pub fn credentials(&self) -> Option<(String, String)> {
        let (user, password) = self.userinfo()?.split_once(':')?;
        let decode = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
        (!user.is_empty() || !password.is_empty()).then(|| (decode(user), decode(password)))
    }

    /// Whether what authorizes a request to here may go to `other` too: the same host and port, or the same host by
    /// HTTPS on the usual port in place of HTTP.
    pub fn shares_secrets_with(&self, other: &Self) -> bool {
        let usual = |uri: &Self| uri.port.is_none_or(|port| port == if uri.https { 443 } else { 80 });
        self.host == other.host
            && ((usual(self) && usual(other) && (self.https == other.https || other.https))
                || (self.https == other.https && self.port == other.port))
    }
}

/// The parts of a URL, by RFC 3986.
struct UrlParts<'a> {
    text: &'a str,
    scheme: Option<&'a str>,
    authority: Option<&'a str>,
    path: &'a str,
    query: Option<&'a str>,
}

impl<'a> UrlParts<'a> {
    fn of(text: &'a str) -> Self {
        let scheme = text.split_once(':').filter(|(scheme, _)| {
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        });
        let rest = scheme.map_or(text, |(_, rest)| rest);
        let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
        let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => {
                let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                (Some(authority), path)
            }
            None => (None, rest),
        };
        Self { text, scheme: scheme.map(|(scheme, _)| scheme), authority, path, query }
    }

    /// The path, where the authority ends early.
    fn path_from(&self, authority: &str) -> Cow<'a, str> {
        let start = self.text.find("://").map_or(0, |at| at + 3) + authority.len();
        let rest = &self.text[start..];
        Cow::Owned(format!("/{}", &rest[..rest.find(['?', '#']).unwrap_or(rest.len())]))
    }
}

/// User and password, host, and port.
pub(crate) fn split_authority(authority: &str) -> (Option<&str>, &str, Option<&str>) {
    let (userinfo, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    let after_brackets = host.rfind(']').map_or(0, |at| at + 1);
    match host[after_brackets..].find(':') {
        Some(at) => (userinfo, &host[..after_brackets + at], Some(&host[after_brackets + at + 1..])),
        None => (userinfo, host, None),
    }
}

fn read_port(port: Option<&str>) -> Result<Option<u16>, String> {
    match port {
        None | Some("") => Ok(None),
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => {
            port.parse().map(Some).map_err(|_| "The port in the url is over 65535".to_owned())
        }
        Some(_) => Err("The port in the url is not a number".to_owned()),
    }
}

const NO_HOST: &str = "The host in the url is not a host name";

fn normal_host(host: &str) -> Result<String, String> {
    let not_a_host = || NO_HOST.to_owned();
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return if is_ipv6(address) { Ok(host.to_ascii_lowercase()) } else { Err(not_a_host()) };
    }
    let escapes = host.split('%').skip(1).all(starts_with_escape);
    if host.is_empty() || host.contains(['[', ']']) || host.starts_with(['*', '.']) || !escapes {
        return Err(not_a_host());
    }
    if host.is_ascii() {
        // What no name has stays visible: it does not resolve.
        return Ok(requote(&host.to_ascii_lowercase()).to_ascii_lowercase());
    }
    idna::domain_to_ascii_strict(host).map_err(|_| not_a_host())
}

fn is_ipv6(address: &str) -> bool {
    address.parse::<Ipv6Addr>().is_ok()
}

/// Percent-encodes what is in `change`. Where each `%` begins an escape already, they stay.
fn encode(text: &str, change: &'static AsciiSet) -> String {
    let upper = upper_escapes(text);
    if !text.split('%').skip(1).all(starts_with_escape) {
        return utf8_percent_encode(&upper, change).to_string();
    }
    upper.split('%').map(|part| utf8_percent_encode(part, change).to_string()).collect::<Vec<_>>().join("%")
}

fn starts_with_escape(part: &str) -> bool {
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

/// `requests.utils.requote_uri`.
fn requote(text: &str) -> String {
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
fn unquote_unreserved(text: &str) -> Cow<'_, str> {
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

/// A path without its `.` and `..`.
fn without_dots(path: &str) -> String {
    let mut out: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "." => {}
            ".." => {
                out.pop();
            }
            segment => out.push(segment),
        }
    }
    if path.starts_with('/') && out.first().is_none_or(|first| !first.is_empty()) {
        out.insert(0, "");
    }
    if path.ends_with("/.") || path.ends_with("/..") {
        out.push("");
    }
    out.join("/")
}

/// `path` seen from `base`, with what is empty between slashes left out.
fn joined(base: &str, path: &str) -> String {
    let mut segments: Vec<&str> = path.split('/').collect();
    if !path.starts_with('/') {
        let folder = base.rsplit_once('/').map_or("", |(folder, _)| folder);
        let last = segments.pop();
        segments = folder.split('/').chain(segments).filter(|segment| !segment.is_empty()).collect();
        segments.insert(0, "");
        segments.extend(last);
    }
    let mut out: Vec<&str> = Vec::new();
    for segment in &segments {
        match *segment {
            "." => {}
            ".." => {
                out.pop();
            }
            segment => out.push(segment),
        }
    }
    if matches!(segments.last(), Some(&"." | &"..")) {
        out.push("");
    }
    out.join("/")
}

/// What Python's `str.lstrip()` takes away.
pub fn is_python_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

#[cfg(test)]
mod tests;
