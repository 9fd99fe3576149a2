//! Receivers that count their connections, name servers that lie, and the senders under test.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::{self, FutureExt};
use parking_lot::Mutex;
use secrecy::SecretString;
use support::{Authority, Issued, Proxy};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{
    core::{
        address::{AddressPolicy, OwnService},
        request::{HttpRequest, PreparedRequest},
        request_url::{self, RequestUrl, UrlError},
        response::Outcome,
        tls::{self, TlsIdentity},
        webhook::{ClientCertificate, HttpMethod, SecretKey, TlsSettings},
    },
    delivery::{
        Ports, ProxySettings, Requester, Sender, ServiceLookup, ServiceTarget,
        resolver::{DnsAnswer, DnsLookup},
    },
};

/// Bound on everything that is waited for.
pub(super) const LIMIT: Duration = Duration::from_secs(20);

pub(super) const NOT_SUPPORTED: &str = "This url is not supported for outgoing webhooks";
pub(super) const UNRESOLVED: &str = "Cannot resolve name in url";

/// A webhook of namespace `team`.
pub(super) const TEAM: Requester = Requester { namespace: "team", webhook: "hook" };

/// A GET.
pub(super) fn mk_request(uri: RequestUrl, identity: Option<&Arc<TlsIdentity>>) -> PreparedRequest {
    let (headers, signing, tls) = (Vec::new(), Vec::new(), identity.map(Arc::clone));
    let first = HttpRequest { method: HttpMethod::Get, url: uri, headers, body: None, signing, tls };
    PreparedRequest { first, secrets: Vec::new() }
}

/// Listens, counts connections, and answers every request on them with `answer`.
pub(super) struct Listener {
    pub(super) port: u16,
    connections: Arc<AtomicUsize>,
}

impl Listener {
    pub(super) async fn new(address: &str, answer: impl Into<Vec<u8>>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let (count, answer) = (Arc::clone(&connections), answer.into());
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let answer = answer.clone();
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while let Ok(byte) = stream.read_u8().await {
                        head.push(byte);
                        if head.ends_with(b"\r\n\r\n") {
                            head.clear();
                            let _ = stream.write_all(&answer).await;
                        }
                    }
                });
            }
        });
        Self { port, connections }
    }

    /// Listens on every address of this machine.
    pub(super) async fn everywhere() -> Self {
        let answer = || "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nreached".to_owned();
        match TcpListener::bind("[::]:0").await {
            Ok(_) => Self::new("[::]:0", answer()).await,
            Err(_) => Self::new("0.0.0.0:0", answer()).await,
        }
    }

    /// Listens on 127.0.0.1 and answers with a redirect to `location`.
    pub(super) async fn redirect(location: &str) -> Self {
        let head = "HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0";
        Self::new("127.0.0.1:0", format!("{head}\r\nLocation: {location}\r\n\r\n")).await
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A look-up that answers as `answers` does, by the name and how often it was asked for before; and the names that it was
/// asked for.
pub(super) fn names(
    answers: impl Fn(&str, usize) -> Vec<IpAddr> + Send + Sync + 'static,
) -> (DnsLookup, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&asked);
    let dns: DnsLookup = Arc::new(move |name| {
        let mut asked = kept.lock();
        let before = asked.iter().filter(|other| **other == name).count();
        let answers = answers(name.trim_end_matches('.'), before);
        asked.push(name);
        async move { Ok(DnsAnswer { addresses: answers, names: Vec::new() }) }.boxed()
    });
    (dns, asked)
}

pub(super) fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// The answers of a name server that is not ours.
pub(super) fn hostile_names(name: &str, _: usize) -> Vec<IpAddr> {
    let text = match name {
        "to-loopback.example"
        | "to-loopback.allowed.example"
        | "allowed.example"
        | "localhost"
        | "a.localhost"
        | "xn--loopbck-bwa.example"
        | "under_score.example"
        | "1.2.3.4.example" => "127.0.0.1",
        "to-loopback6.example" => "::1",
        "to-unspecified.example" => "0.0.0.0",
        "to-unspecified6.example" => "::",
        "to-mapped.example" => "::ffff:127.0.0.1",
        "to-private.example" => "10.0.0.1",
        "to-cgnat.example" => "100.64.0.1",
        "to-ula.example" => "fd00::1",
        "to-link-local.example" => "fe80::1",
        "to-compatible.example" => "::10.0.0.1",
        "to-nat64.example" => "64:ff9b::a9fe:a9fe",
        "to-6to4.example" => "2002:a00:1::1",
        "to-teredo.example" => "2001:0:808:808::f5ff:fffe",
        "to-isatap.example" => "2a00::5efe:a00:1",
        "to-multicast.example" => "224.0.0.1",
        "to-broadcast.example" => "255.255.255.255",
        "to-metadata.example" | "metadata.google.internal" | "to-metadata.allowed.example" => "169.254.169.254",
        "to-metadata6.allowed.example" => "fd00:ec2::254",
        "to-azure.allowed.example" => "168.63.129.16",
        "to-alibaba.allowed.example" => "100.100.100.200",
        "to-api.allowed.example" | "api.cluster.example" | "kubernetes.default.svc" => "10.96.0.1",
        "kubernetes.default.svc.cluster.local" => "93.184.216.34",
        "chat.other.svc" | "chat.other.svc.cluster.local" | "chat.team" | "team.svc" => "10.96.7.7",
        "external.team.svc" => "127.0.0.1",
        "metadata.team.svc.cluster.local" => "169.254.169.254",
        "stolen.team.svc" | "cloud.team.svc.cluster.local" | "pod-0.stolen.team.svc" | "away.team.svc" => "10.96.7.7",
        "badallowed.example" | "allowed.example.evil.example" => "10.0.0.1",
        "mixed.example" => return ips(&["93.184.216.34", "127.0.0.1"]),
        "mixed-first.example" => return ips(&["127.0.0.1", "93.184.216.34"]),
        "mixed6.example" => return ips(&["2a00::1", "93.184.216.34", "fd00::1"]),
        _ => return Vec::new(),
    };
    ips(&[text])
}

/// A policy that allows one host and guards the API server.
pub(super) fn policy() -> AddressPolicy {
    let hosts = ["allowed.example"].map(|host| host.parse().unwrap());
    AddressPolicy::new("cluster.local")
        .allow(Vec::new(), hosts.to_vec())
        .guard_api_server(ips(&["10.96.0.1"]), ["api.cluster.example"])
}

/// A GET of `url`, as a webhook of namespace `team` would make it: the status code and the content, or the message in their
/// place.
pub(super) async fn get(sender: &Sender, url: &str) -> String {
    get_from("team", sender, url).await
}

pub(super) async fn get_from(namespace: &str, sender: &Sender, url: &str) -> String {
    match request_url::check(url) {
        Ok(()) => {}
        Err(UrlError::Rejected(message) | UrlError::Unreadable(message)) => return message,
    }
    let uri = match RequestUrl::parse(url) {
        Ok(uri) => uri,
        Err(message) => return message,
    };
    let request = mk_request(uri, None);
    match sender.send(Requester { namespace, webhook: "hook" }, &request, "id", LIMIT).await {
        Outcome::Answer { status, body, .. } => format!("{status} {}", String::from_utf8(body).unwrap()),
        Outcome::Failure { message, .. }
        | Outcome::TimedOut { message }
        | Outcome::Unreached { message }
        | Outcome::UrlRefused { message, .. } => message,
        Outcome::Withheld => panic!("the gate is open"),
    }
}

/// The outcome of a GET of `url` from namespace `team`, with `identity`.
pub(super) async fn outcome(sender: &Sender, url: &str, identity: Option<&Arc<TlsIdentity>>) -> Outcome {
    let request = mk_request(RequestUrl::parse(url).unwrap(), identity);
    sender.send(TEAM, &request, "id", LIMIT).await
}

/// The outcome of a GET of `url` from namespace `team`, within `limit`.
pub(super) async fn outcome_within(limit: Duration, sender: &Sender, url: &str) -> Outcome {
    let request = mk_request(RequestUrl::parse(url).unwrap(), None);
    sender.send(TEAM, &request, "id", limit).await
}

/// The status code of a GET of `url`, or the message in its place.
pub(super) async fn answer(sender: &Sender, url: &str, identity: Option<&Arc<TlsIdentity>>) -> Result<u16, String> {
    match outcome(sender, url, identity).await {
        Outcome::Answer { status, .. } => Ok(status),
        Outcome::Failure { message, retryable: true } => Err(message),
        Outcome::UrlRefused { message, .. } | Outcome::Unreached { message } => Err(message),
        other @ (Outcome::Failure { .. } | Outcome::TimedOut { .. } | Outcome::Withheld) => panic!("{other:?}"),
    }
}

/// Services, some of which lead to where nobody may send.
pub(super) fn cluster(namespace: &str, service: &OwnService) -> Result<ServiceTarget, String> {
    let (addresses, endpoints): (&[&str], &[&str]) = match (namespace, &*service.name) {
        ("team", "chat") => (&["127.0.0.1"], &["127.0.0.1", "10.7.7.7"]),
        ("team", "stolen") => (&["10.96.7.7"], &["10.7.7.7", "10.96.0.1"]),
        ("team", "cloud") => (&["10.96.7.7"], &["168.63.129.16"]),
        ("team", "empty") => (&[], &[]),
        ("team", "away") => return Err("It is not known where Service away leads".to_owned()),
        _ => return Ok(ServiceTarget::External),
    };
    Ok(ServiceTarget::Cluster { addresses: ips(addresses), endpoints: ips(endpoints) })
}

/// A sender whose gate is open.
pub(super) fn mk_sender(policy: AddressPolicy, proxies: &ProxySettings, dns: DnsLookup) -> Sender {
    let services: ServiceLookup = Arc::new(|namespace, service| future::ready(cluster(&namespace, &service)).boxed());
    Sender::with_dns(Ports { services, ..Ports::without_cluster(policy) }, proxies, dns).unwrap()
}

pub(super) fn mk_identity(
    authority: Option<&Authority>,
    client: Option<&Issued>,
    insecure: bool,
) -> Option<Arc<TlsIdentity>> {
    let key = |key: &str| SecretKey { name: "secret".to_owned(), key: key.to_owned() };
    let source = ClientCertificate { certificate: key("tls.crt"), key: key("tls.key") };
    let named = TlsSettings { authorities: authority.map(|_| key("ca.crt")), client: client.map(|_| source), insecure };
    let secrets = |key: &SecretKey| {
        let text = match key.key.as_str() {
            "ca.crt" => authority.map(Authority::pem),
            "tls.crt" => client.map(|client| client.certificate.clone()),
            _ => client.map(|client| client.key.clone()),
        };
        text.map(SecretString::from).ok_or_else(String::new)
    };
    tls::load_identity(&named, &secrets).unwrap()
}

/// Settings that send everything through `proxy`, but for the hosts in `none`.
pub(super) fn through(proxy: &Proxy, none: &str) -> ProxySettings {
    let url = format!("http://user:p%40ssword@{}", proxy.address());
    ProxySettings { all: Some(url), none: Some(none.to_owned()), ..ProxySettings::default() }
}
