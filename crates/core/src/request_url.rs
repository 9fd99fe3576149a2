//! URLs as OnCall checks them and as Python's `requests` writes them on the wire. URL text comes in; a [`RequestUrl`], or
//! OnCall's words against it, goes out.
//!
//! Two parsers read a URL in OnCall: the standard library's for its own check, and urllib3's for the request. So do two
//! here: [`check`] and [`RequestUrl::parse`]. The crate `url` reads URLs as browsers do, which gives other requests.
//!
//! - `parts`: URL text taken apart
//! - `encoding`: percent-encoding
//! - `path`: paths without `.` and `..`

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

mod encoding;
mod parts;
mod path;
#[cfg(test)]
mod tests;

pub(crate) use self::parts::split_authority;
use self::{
    encoding::{PATH, QUERY, USERINFO, encode, requote, unquote_unreserved},
    parts::{NO_HOST, UrlParts, is_ipv6, normalize_host, parse_port},
};

/// Why a URL is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UrlError {
    /// OnCall's own check rejects it, in these words: the record shows them as the URL.
    Rejected(String),
    /// The URL can't be read, for this reason: the record shows it as the content of the answer.
    Unreadable(String),
}

fn malformed() -> UrlError {
    UrlError::Rejected("Malformed url".to_owned())
}

/// The URL of a request, `http` or `https`, ready for the wire.
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

/// OnCall's check of a URL, which comes before everything else that is done with it.
///
/// # Errors
/// The text is not an `http` or `https` URL with a host.
pub fn check(text: &str) -> Result<(), UrlError> {
    // Like the standard library's urlsplit, and browsers.
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
    /// Reads URL text that [`check`] took, as `requests` does: characters that may not stand in a URL are percent-encoded,
    /// a host beyond ASCII becomes its IDNA form.
    ///
    /// # Errors
    /// The text can't be read. The message is one clause for people, and does not repeat the text.
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
        let (host, port) = (normalize_host(host)?, parse_port(port)?);
        let path = encode(&path::without_dots(&rest), PATH);
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

    /// The URL that a redirect leads to from this one. `location` is the header `Location`. It is read as `requests` reads
    /// it, which is not quite how it reads the first URL.
    ///
    /// # Errors
    /// OnCall's check rejects the URL, or it can't be read.
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
            port: parse_port(port).map_err(UrlError::Unreadable)?,
            path: encode(parts.path, PATH),
            query: parts.query.map(|query| encode(query, QUERY)),
        })
    }

    /// A URL on the same host, resolved as Python's `urljoin` does.
    fn join(&self, relative: &UrlParts) -> Self {
        let (path, query) = if relative.path.is_empty() {
            (
                self.path.clone(),
                relative.query.filter(|query| !query.is_empty()).map(str::to_owned).or_else(|| self.query.clone()),
            )
        } else {
            (path::join(&self.path, relative.path), relative.query.map(str::to_owned))
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

    /// The scheme, host and port, such as `https://receiver.example:8443`; without a port that the URL does not state.
    pub fn origin(&self) -> String {
        format!("{}://{}", self.scheme(), self.authority())
    }

    /// The host alone, in lower case; an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The host, with the port where the URL gives one.
    pub fn authority(&self) -> String {
        self.port.map_or_else(|| self.host.clone(), |port| format!("{}:{port}", self.host))
    }

    /// Path and query, as they stand on the request line.
    pub fn target(&self) -> String {
        // With more slashes at the start, the path would be read as a host.
        let path = self.path.trim_start_matches('/');
        match self.query.as_deref().filter(|query| !query.is_empty()) {
            Some(query) => format!("/{path}?{query}"),
            None => format!("/{path}"),
        }
    }

    /// The path without its query, percent-encoded.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The text before the host: a user, and perhaps a password, percent-encoded.
    pub fn userinfo(&self) -> Option<&str> {
        self.userinfo.as_deref()
    }

    /// User and password, decoded, where the URL gives both.
    pub fn credentials(&self) -> Option<(String, String)> {
        let (user, password) = self.userinfo()?.split_once(':')?;
        let decode = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
        (!user.is_empty() || !password.is_empty()).then(|| (decode(user), decode(password)))
    }

    /// Whether secrets of a request to this URL may go to `other` too: it has the same host and port, or the same host by
    /// HTTPS on its usual port in place of HTTP on its usual port.
    pub fn shares_secrets_with(&self, other: &Self) -> bool {
        let usual = |url: &Self| url.port.is_none_or(|port| port == if url.https { 443 } else { 80 });
        self.host == other.host
            && ((usual(self) && usual(other) && (self.https == other.https || other.https))
                || (self.https == other.https && self.port == other.port))
    }
}

/// Whether Python's `str.lstrip()` takes the character away.
pub fn is_python_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}
