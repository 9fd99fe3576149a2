//! The proxy settings of an administrator and a URL in; the proxy of that URL out, if it has one.
//!
//! A proxy is only ever asked to `CONNECT`, also for http: nothing else lets us say which address it is to reach.

use std::{env, fmt, net::IpAddr};

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;

use crate::core::address::AddressPolicy;

/// Proxies as flags and variables name them: `[http[s]://][USER:PASSWORD@]HOST[:PORT]`.
#[derive(Clone, Default)]
pub struct ProxySettings {
    /// For https URLs.
    pub https: Option<String>,
    /// For http URLs.
    pub http: Option<String>,
    /// For URLs whose scheme has no proxy of its own.
    pub all: Option<String>,
    /// Hosts that are reached without a proxy: `example.com` with all below it, `10.0.0.0/8`, or `*`, with commas between.
    pub none: Option<String>,
}

impl fmt::Debug for ProxySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URLs of proxies may hold passwords.
        f.debug_struct("ProxySettings").field("none", &self.none).finish_non_exhaustive()
    }
}

impl ProxySettings {
    /// Takes settings that are missing here from the environment: `https_proxy`, `http_proxy`, `all_proxy` and `no_proxy`, else
    /// the same in upper case.
    #[must_use]
    pub fn or_environment(self) -> Self {
        self.or(|name| env::var(name).ok())
    }

    fn or(self, variable: impl Fn(&str) -> Option<String>) -> Self {
        // An empty setting counts as missing, as for curl.
        let some = |text: &String| !text.trim().is_empty();
        let or = |stated: Option<String>, name: &str| {
            let stated = stated.filter(some);
            stated.or_else(|| variable(name).filter(some)).or_else(|| variable(&name.to_ascii_uppercase()).filter(some))
        };
        Self {
            https: or(self.https, "https_proxy"),
            http: or(self.http, "http_proxy"),
            all: or(self.all, "all_proxy"),
            none: or(self.none, "no_proxy"),
        }
    }
}

/// A setting is no proxy. The message does not repeat it: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no proxy such as http://proxy.example:3128")]
pub struct InvalidProxy(&'static str);

/// Chooses the proxies of URLs.
#[derive(Debug)]
pub(super) struct ProxyMatcher(Matcher);

/// The proxy that was chosen for one URL.
pub(super) struct ChosenProxy {
    /// Without credentials.
    pub(super) uri: Uri,
    pub(super) credentials: Option<HeaderValue>,
}

impl ChosenProxy {
    /// Its name in messages, such as `proxy.example:3128`.
    pub(super) fn name(&self) -> String {
        self.uri.authority().map(ToString::to_string).unwrap_or_default()
    }
}

impl ProxyMatcher {
    /// None where no proxy is configured.
    pub(super) fn new(settings: &ProxySettings) -> Result<Option<Self>, InvalidProxy> {
        let proxies = [
            ("the proxy for https", &settings.https),
            ("the proxy for http", &settings.http),
            ("the proxy for all", &settings.all),
        ];
        for (what, text) in proxies {
            if text.as_deref().is_some_and(|text| !is_proxy(text.trim())) {
                return Err(InvalidProxy(what));
            }
        }
        if proxies.iter().all(|(_, text)| text.is_none()) {
            return Ok(None);
        }
        let [https, http, all] = proxies.map(|(_, text)| text.as_deref().unwrap_or_default().trim());
        let none = settings.none.as_deref().unwrap_or_default();
        // Spaces separate too, and `*.` stands for all below, as for others.
        let none: Vec<&str> = none
            .split(|c: char| c == ',' || c.is_whitespace())
            .map(|entry| if entry.starts_with("*.") { &entry[1..] } else { entry })
            .collect();
        Ok(Some(Self(Matcher::builder().https(https).http(http).all(all).no(none.join(",")).build())))
    }

    /// The proxy of `url`. Hosts of the cluster and of this machine have none.
    pub(super) fn of(&self, url: &Uri, policy: &AddressPolicy) -> Option<ChosenProxy> {
        let host = url.host()?;
        let bare = host.trim_matches(['[', ']']).trim_end_matches('.');
        let near = match bare.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => bare.eq_ignore_ascii_case("localhost") || policy.is_of_cluster(bare),
        };
        if near {
            return None;
        }
        // The matcher takes a dot at the end for a part of the name.
        let dotless = if host.ends_with('.') {
            let authority = url.port_u16().map_or_else(|| bare.to_owned(), |port| format!("{bare}:{port}"));
            let scheme = url.scheme_str().unwrap_or_default();
            Uri::builder().scheme(scheme).authority(authority).path_and_query("/").build().ok()?
        } else {
            url.clone()
        };
        let found = self.0.intercept(&dotless)?;
        Some(ChosenProxy { uri: found.uri().clone(), credentials: found.basic_auth().cloned() })
    }
}

/// Whether the matcher can use the text as a proxy: it passes over others silently.
fn is_proxy(text: &str) -> bool {
    let target = Uri::from_static("http://receiver.invalid/");
    let found = Matcher::builder().all(text).build().intercept(&target);
    found.is_some_and(|found| {
        matches!(found.uri().scheme_str(), Some("http" | "https"))
            && found.uri().authority().is_some_and(|authority| {
                // An `@` is part of a password, which should have it as %40.
                let (text, host) = (authority.as_str(), authority.host());
                !text.contains('@') && !host.is_empty() && (text == host || authority.port_u16().is_some())
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Option<String> {
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn mk(https: &str, http: &str, all: &str, none: &str) -> ProxySettings {
        ProxySettings { https: text(https), http: text(http), all: text(all), none: text(none) }
    }

    fn of(proxies: &ProxyMatcher, url: &str) -> Option<(String, Option<String>)> {
        let proxy = proxies.of(&url.parse().unwrap(), &AddressPolicy::new("cluster.local"))?;
        Some((proxy.uri.to_string(), proxy.credentials.map(|value| value.to_str().unwrap().to_owned())))
    }

    #[test]
    fn each_scheme_has_its_proxy() {
        let cases = [
            (mk("http://a:1", "https://b:2", "c:3", ""), Some("http://a:1/"), Some("https://b:2/")),
            (mk("http://a:1", "", "c:3", ""), Some("http://a:1/"), Some("http://c:3/")),
            (mk("", "b", "", ""), None, Some("http://b/")),
            (
                mk("", "", "http://[2001:db8::1]:3128", ""),
                Some("http://[2001:db8::1]:3128/"),
                Some("http://[2001:db8::1]:3128/"),
            ),
        ];
        for (settings, https, http) in cases {
            let proxies = ProxyMatcher::new(&settings).unwrap().unwrap();
            let found = ["https://chat.example/", "http://chat.example:8080/x"].map(|url| of(&proxies, url));
            assert_eq!(found, [https, http].map(|uri| uri.map(|uri| (uri.to_owned(), None))));
        }
    }

    #[test]
    fn without_a_configured_proxy_no_url_has_one() {
        for none in ["", "example.com", "*"] {
            assert!(ProxyMatcher::new(&mk("", "", "", none)).unwrap().is_none(), "{none}");
        }
    }

    #[test]
    fn credentials_are_decoded_and_never_shown() {
        let settings = mk("http://user:p%40ss@proxy.example:3128/", "", "", "");
        let proxies = ProxyMatcher::new(&settings).unwrap().unwrap();
        let expected = ("http://proxy.example:3128/".to_owned(), Some("Basic dXNlcjpwQHNz".to_owned()));
        assert_eq!(of(&proxies, "https://chat.example/"), Some(expected));
        let proxy = proxies.of(&Uri::from_static("https://chat.example/"), &AddressPolicy::unrestricted()).unwrap();
        assert_eq!(proxy.name(), "proxy.example:3128");
        let shown = format!("{settings:?}{proxies:?}{:?}", ProxyMatcher::new(&mk("", "socks5://u:p4ss@h", "", "")));
        for secret in ["user:", "p%40ss", "p@ss", "p4ss", "dXNlcjpwQHNz"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }

    #[test]
    fn an_invalid_proxy_is_refused_rather_than_ignored() {
        for text in ["socks5://h:1080", "ftp://h", "http://", "http://user:pass@word@h", "a b", "/", "http://h:99999"] {
            assert_eq!(
                ProxyMatcher::new(&mk("", text, "", "")).unwrap_err(),
                InvalidProxy("the proxy for http"),
                "{text}"
            );
        }
    }

    #[test]
    fn hosts_of_no_proxy_of_the_cluster_and_of_this_machine_have_no_proxy() {
        let none = "example.com, .example.org *.example.net 10.1.0.0/16,192.0.2.7,2001:db8::/32,,";
        let proxies = ProxyMatcher::new(&mk("", "", "http://proxy:1", none)).unwrap().unwrap();
        let cases = [
            ("example.com", true),
            ("EXAMPLE.com.", true),
            ("a.example.com", true),
            ("badexample.com", false),
            ("a.example.org", true),
            ("a.b.example.net", true),
            ("example.info", false),
            ("10.1.2.3", true),
            ("10.2.2.3", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("[2001:db8::1]", true),
            ("[2001:db9::1]", false),
            // Hosts of the cluster, and of this machine.
            ("chat.team.svc", true),
            ("chat.team.svc.cluster.local.", true),
            ("localhost", true),
            ("localhost.", true),
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("[::1]", true),
            ("[::ffff:127.0.0.1]", true),
            ("chat.team", false),
        ];
        for (host, expected) in cases {
            for url in [format!("https://{host}/"), format!("http://{host}:8080/x")] {
                assert_eq!(of(&proxies, &url).is_none(), expected, "{url}");
            }
        }
        let star = ProxyMatcher::new(&mk("", "", "http://proxy:1", "*")).unwrap().unwrap();
        assert_eq!(of(&star, "https://chat.example/"), None);
    }

    #[test]
    fn flags_win_over_variables_and_lower_case_over_upper_case() {
        let variables = [
            ("https_proxy", ""),
            ("HTTPS_PROXY", "upper"),
            ("http_proxy", "lower"),
            ("HTTP_PROXY", "upper"),
            ("ALL_PROXY", "all"),
            ("NO_PROXY", "none"),
        ];
        let variable =
            |name: &str| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned());
        let values = |settings: ProxySettings| [settings.https, settings.http, settings.all, settings.none];
        let expected = |texts: [&str; 4]| texts.map(text);
        assert_eq!(values(ProxySettings::default().or(variable)), expected(["upper", "lower", "all", "none"]));
        assert_eq!(values(mk("flag", "", "x", "y").or(variable)), expected(["flag", "lower", "x", "y"]));
        assert_eq!(values(ProxySettings::default().or(|_| None)), expected(["", "", "", ""]));
    }
}
