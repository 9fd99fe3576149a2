//! One request to a receiver, and the next one that a redirect leads to.

use std::{fmt, sync::Arc};

use crate::{
    request_url::{RequestUrl, UrlError},
    signing::SigningKey,
    tls::TlsIdentity,
    webhook::HttpMethod,
};

/// One HTTP request to a receiver.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// The method.
    pub method: HttpMethod,
    /// Where the request goes.
    pub url: RequestUrl,
    /// The headers. `Content-Length` is among them only where there is no body and the header says so.
    pub headers: Vec<Header>,
    /// The body, for methods that have one.
    pub body: Option<Arc<str>>,
    /// The keys that sign it. They stay on the host that the request was made for.
    pub signing: Vec<SigningKey>,
    /// The authorities to trust and the certificate to show; None for the system's authorities and no certificate. It stays
    /// on the host that the request was made for.
    pub tls: Option<Arc<TlsIdentity>>,
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest")
            .field("method", &self.method)
            .field("host", &self.url.host())
            .finish_non_exhaustive()
    }
}

/// A header as it is sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    /// A legal name.
    pub name: String,
    /// Bytes of Latin-1, without line breaks.
    pub value: Vec<u8>,
    /// Whether the header stays on the host that it was made for.
    pub secret: bool,
}

impl Header {
    /// `Content-Length: 0`.
    pub(super) fn empty_body() -> Self {
        Self { name: "Content-Length".to_owned(), value: b"0".to_vec(), secret: false }
    }

    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// As many redirects as `requests` follows.
pub const MAX_REDIRECTS: usize = 30;

impl HttpRequest {
    /// The values of its headers that name a host.
    pub fn stated_hosts(&self) -> impl Iterator<Item = &[u8]> {
        self.headers.iter().filter(|header| header.is("Host")).map(|header| &*header.value)
    }

    /// Whether its headers name another host than its URL's, which only HTTP/1.1 has room for.
    pub fn names_host(&self) -> bool {
        self.stated_hosts().next().is_some()
    }

    /// The request that `requests` sends next after an answer with this status and `Location`; None if that answer is the
    /// last. It is a GET without a body, except after 307 and 308, which repeat the request, and after 301 to anything but
    /// a POST, which keeps the method.
    ///
    /// # Errors
    /// No request may go to the URL of the redirect.
    pub fn redirected(&self, status: u16, location: Option<&[u8]>) -> Option<Result<Self, UrlError>> {
        let location = location.filter(|location| !location.is_empty())?;
        if !matches!(status, 301 | 302 | 303 | 307 | 308) {
            return None;
        }
        let url = match std::str::from_utf8(location) {
            Ok(location) => self.url.redirect(location),
            Err(_) => Err(UrlError::Unreadable("The Location of the redirect is not UTF-8".to_owned())),
        };
        Some(url.map(|url| {
            let repeats = matches!(status, 307 | 308);
            let method = match status {
                302 | 303 => HttpMethod::Get,
                301 if self.method == HttpMethod::Post => HttpMethod::Get,
                _ => self.method,
            };
            let stays = self.url.shares_secrets_with(&url);
            let keeps = |header: &&Header| {
                let of_body = header.is("Content-Type") || header.is("Content-Length");
                !header.is("Cookie") && (repeats || !of_body) && (stays || !header.secret)
            };
            let mut headers: Vec<Header> = self.headers.iter().filter(keeps).cloned().collect();
            if !repeats && method.has_body() {
                headers.push(Header::empty_body());
            }
            let signing = if stays { self.signing.clone() } else { Vec::new() };
            let tls = self.tls.clone().filter(|_| stays);
            Self { method, url, headers, body: self.body.clone().filter(|_| repeats), signing, tls }
        }))
    }
}
