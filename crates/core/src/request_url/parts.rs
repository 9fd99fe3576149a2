//! URL text taken apart, before anything in it is encoded.

use std::{borrow::Cow, net::Ipv6Addr};

use super::encoding::{requote, starts_with_escape};

/// The parts of a URL, by RFC 3986.
pub(super) struct UrlParts<'a> {
    text: &'a str,
    pub(super) scheme: Option<&'a str>,
    pub(super) authority: Option<&'a str>,
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
}

impl<'a> UrlParts<'a> {
    pub(super) fn of(text: &'a str) -> Self {
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

    /// The path, if the authority is no more than `authority`, which this one begins with.
    pub(super) fn path_from(&self, authority: &str) -> Cow<'a, str> {
        let start = self.text.find("://").map_or(0, |at| at + 3) + authority.len();
        let rest = &self.text[start..];
        Cow::Owned(format!("/{}", &rest[..rest.find(['?', '#']).unwrap_or(rest.len())]))
    }
}

/// Splits an authority into user and password, the host, and the port.
pub(crate) fn split_authority(authority: &str) -> (Option<&str>, &str, Option<&str>) {
    let (userinfo, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    let after_brackets = host.rfind(']').map_or(0, |at| at + 1);
    match host[after_brackets..].find(':') {
        Some(at) => (userinfo, &host[..after_brackets + at], Some(&host[after_brackets + at + 1..])),
        None => (userinfo, host, None),
    }
}

/// Reads a port. An empty one counts as none.
///
/// # Errors
/// The port is no number, or over 65535. The message is one clause for people.
pub(super) fn parse_port(port: Option<&str>) -> Result<Option<u16>, String> {
    match port {
        None | Some("") => Ok(None),
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => {
            port.parse().map(Some).map_err(|_| "The port in the url is over 65535".to_owned())
        }
        Some(_) => Err("The port in the url is not a number".to_owned()),
    }
}

pub(super) const NO_HOST: &str = "The host in the url is not a host name";

/// The host in lower case; one beyond ASCII in its IDNA form.
///
/// # Errors
/// The text is no host. The message is [`NO_HOST`].
pub(super) fn normalize_host(host: &str) -> Result<String, String> {
    let not_a_host = || NO_HOST.to_owned();
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return if is_ipv6(address) { Ok(host.to_ascii_lowercase()) } else { Err(not_a_host()) };
    }
    let escapes = host.split('%').skip(1).all(starts_with_escape);
    if host.is_empty() || host.contains(['[', ']']) || host.starts_with(['*', '.']) || !escapes {
        return Err(not_a_host());
    }
    if host.is_ascii() {
        // Characters that no host name has stay visible: such a name does not resolve.
        return Ok(requote(&host.to_ascii_lowercase()).to_ascii_lowercase());
    }
    idna::domain_to_ascii_strict(host).map_err(|_| not_a_host())
}

pub(super) fn is_ipv6(address: &str) -> bool {
    address.parse::<Ipv6Addr>().is_ok()
}
