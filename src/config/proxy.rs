//! The flags that say which proxies deliveries go through.

use std::fmt;

use crate::delivery::ProxySettings;

/// Says which proxies requests go through. Calls to the API server never go through one.
#[derive(Clone, clap::Args)]
pub struct Proxy {
    /// Proxy for https URLs, itself http or https [env: https_proxy, else HTTPS_PROXY, all_proxy or ALL_PROXY]
    #[arg(long, value_name = "URL")]
    pub https_proxy: Option<String>,
    /// Proxy for http URLs, itself http or https; it too is asked to CONNECT [env: http_proxy, else HTTP_PROXY,
    /// all_proxy or ALL_PROXY]
    #[arg(long, value_name = "URL")]
    pub http_proxy: Option<String>,
    /// Hosts that are reached without a proxy: example.com with all below it, 10.0.0.0/8, or * for all; commas between.
    /// Services, the cluster's domain and loopback always are [env: no_proxy, else NO_PROXY]
    #[arg(long, value_name = "HOSTS")]
    pub no_proxy: Option<String>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URLs of proxies may hold passwords.
        f.debug_struct("Proxy").field("no_proxy", &self.no_proxy).finish_non_exhaustive()
    }
}

impl From<Proxy> for ProxySettings {
    fn from(proxy: Proxy) -> Self {
        Self { https: proxy.https_proxy, http: proxy.http_proxy, all: None, none: proxy.no_proxy }
    }
}
