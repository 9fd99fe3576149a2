//! Who is reached, tried through the real client: what listens here counts its connections.

use std::{
    io::Write,
    net::{IpAddr, SocketAddr},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use flate2::{Compression, write::GzEncoder};
use futures::future::join_all;
use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolverConfig},
    net::runtime::TokioRuntimeProvider,
    proto::{
        op::{Message, MessageType},
        rr::{RData, Record, RecordType, rdata::A},
    },
};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
};

use secrecy::SecretString;
use support::{Asked, Authority, Client as Certificates, Issued, Proxy, TlsReceiver};

use super::{reach::look_up_at, *};
use crate::core::{
    request::Hop,
    tls::{self, Identity},
    uri::{self, Uri},
    webhook::{ClientCertificate, HttpMethod, SecretKey, Tls},
};

const LIMIT: Duration = Duration::from_secs(20);
const NOT_SUPPORTED: &str = "This url is not supported for outgoing webhooks";
const UNRESOLVED: &str = "Cannot resolve name in url";

/// Listens, counts connections, and answers every request on them with `answer`.
struct Listener {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl Listener {
    async fn new(address: &str, answer: impl Into<Vec<u8>>) -> Self {
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

    /// On every address of this machine.
    async fn everywhere() -> Self {
        let answer = || "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nreached".to_owned();
        match TcpListener::bind("[::]:0").await {
            Ok(_) => Self::new("[::]:0", answer()).await,
            Err(_) => Self::new("0.0.0.0:0", answer()).await,
        }
    }

    /// On 127.0.0.1, with a redirect to `location`.
    async fn redirect(location: &str) -> Self {
        let head = "HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0";
        Self::new("127.0.0.1:0", format!("{head}\r\nLocation: {location}\r\n\r\n")).await
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A look-up that gives what `answers` does, with the names that it was asked for.
fn names(answers: impl Fn(&str, usize) -> Vec<IpAddr> + Send + Sync + 'static) -> (LookUp, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&asked);
    let look_up: LookUp = Arc::new(move |name| {
        let mut asked = kept.lock();
        let before = asked.iter().filter(|other| **other == name).count();
        let answers = answers(name.trim_end_matches('.'), before);
        asked.push(name);
        async move { Ok(answers.into_iter().map(|address| SocketAddr::new(address, 0)).collect()) }.boxed()
    });
    (look_up, asked)
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// What a name server that is not ours says.
fn evil(name: &str, _: usize) -> Vec<IpAddr> {
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

fn policy() -> Policy {
    let hosts = ["allowed.example"].map(|host| host.parse().unwrap());
    Policy::new("cluster.local")
        .allow(Vec::new(), hosts.to_vec())
        .guard_api_server(ips(&["10.96.0.1"]), ["api.cluster.example"])
}

/// A GET of `url`, as a webhook would make it, from namespace `team`; the content or what is said in its place.
async fn get(sender: &Sender, url: &str) -> String {
    get_from("team", sender, url).await
}

async fn get_from(namespace: &str, sender: &Sender, url: &str) -> String {
    match uri::check(url) {
        Ok(()) => {}
        Err(Fault::Refused(message) | Fault::Unreadable(message)) => return message,
    }
    let uri = match Uri::parse(url) {
        Ok(uri) => uri,
        Err(message) => return message,
    };
    let first = Hop { method: HttpMethod::Get, uri, headers: Vec::new(), body: None, signing: Vec::new(), tls: None };
    let request = Request { first, secrets: Vec::new() };
    match sender.send(Origin { namespace, webhook: "hook" }, &request, "id", LIMIT).await {
        Outcome::Answer { status, body, .. } => format!("{status} {}", String::from_utf8(body).unwrap()),
        Outcome::Failure { message, .. } | Outcome::Refused { message, .. } => message,
        Outcome::Withheld => panic!("the gate is open"),
    }
}

/// Ways to spell an address of this machine: they reach it where anything may be reached.
const LOCAL: [&str; 40] = [
    "http://127.0.0.1:PORT/",
    "HTTP://127.0.0.1:PORT/x?y#z",
    "http://127.0.0.2:PORT/",
    "http://127.255.255.254:PORT/",
    "http://127.1:PORT/",
    "http://127.0.1:PORT/",
    "http://127.0.0.1.:PORT/",
    "http://2130706433:PORT/",
    "http://0x7f000001:PORT/",
    "http://0X7F000001:PORT/",
    "http://017700000001:PORT/",
    "http://0x7f.0.0.1:PORT/",
    "http://0x7f.1:PORT/",
    "http://0177.0.0.1:PORT/",
    "http://0177.0.0.01:PORT/",
    "http://00000177.0x0.0.1:PORT/",
    "http://127.0.0.0x1:PORT/",
    "http://127.0x1:PORT/",
    "http://0.0.0.0:PORT/",
    "http://0:PORT/",
    "http://0x0:PORT/",
    "http://0x:PORT/",
    "http://00:PORT/",
    "http://user:password@127.0.0.1:PORT/",
    "http://a.example@127.0.0.1:PORT/",
    "http://a.example:80@127.0.0.1:PORT/",
    "http://a.example%40127.0.0.1@127.0.0.1:PORT/",
    "http://127.0.0.1:PORT\\@a.example/",
    "http://%31%32%37.0.0.1:PORT/",
    "http://127%2e0%2E0%2e1:PORT/",
    "http://１２７.０.０.１:PORT/",
    "http://①②⑦.⓪.⓪.①:PORT/",
    "http://127。0。0。1:PORT/",
    "http://127．0．0．1:PORT/",
    "http://to-loopback.example:PORT/",
    "http://TO-LOOPBACK.example.:PORT/",
    "http://to-loopb%61ck.example:PORT/",
    "http://localhost:PORT/",
    "http://a.localhost:PORT/",
    "http://to-unspecified.example:PORT/",
];

/// The same with IPv6, which not every machine has.
const LOCAL6: [&str; 8] = [
    "http://[::1]:PORT/",
    "http://[0:0:0:0:0:0:0:1]:PORT/",
    "http://[::ffff:127.0.0.1]:PORT/",
    "http://[::ffff:7f00:1]:PORT/",
    "http://[0:0:0:0:0:FFFF:7F00:0001]:PORT/",
    "http://[::]:PORT/",
    "http://to-loopback6.example:PORT/",
    "http://to-mapped.example:PORT/",
];

/// Others, and what is said to them. None of these is ever to be tried in earnest.
const ELSEWHERE: [(&str, &str); 62] = [
    ("http://10.0.0.1/", NOT_SUPPORTED),
    ("http://10.1/", NOT_SUPPORTED),
    ("http://167772161/", NOT_SUPPORTED),
    ("http://012.0.0.1/", NOT_SUPPORTED),
    ("http://172.16.0.1/", NOT_SUPPORTED),
    ("http://192.168.1.1/", NOT_SUPPORTED),
    ("http://0300.0250.1.1/", NOT_SUPPORTED),
    ("http://100.64.0.1/", NOT_SUPPORTED),
    ("http://169.254.169.254/latest/meta-data/", NOT_SUPPORTED),
    ("http://2852039166/latest/meta-data/", NOT_SUPPORTED),
    ("http://0xa9fea9fe/", NOT_SUPPORTED),
    ("http://0xA9.0xFE.0xA9.0xFE/", NOT_SUPPORTED),
    ("http://0251.0376.0251.0376/", NOT_SUPPORTED),
    ("http://169.254.43518/", NOT_SUPPORTED),
    ("http://169.16689662/", NOT_SUPPORTED),
    ("http://100.100.100.200/", NOT_SUPPORTED),
    ("http://168.63.129.16/", NOT_SUPPORTED),
    ("http://192.0.0.192/", NOT_SUPPORTED),
    ("http://192.0.2.1/", NOT_SUPPORTED),
    ("http://198.18.0.1/", NOT_SUPPORTED),
    ("http://224.0.0.1/", NOT_SUPPORTED),
    ("http://240.0.0.1/", NOT_SUPPORTED),
    ("http://255.255.255.255/", NOT_SUPPORTED),
    ("http://4294967295/", NOT_SUPPORTED),
    ("https://10.96.0.1/api", NOT_SUPPORTED),
    ("http://[fd00:ec2::254]/", NOT_SUPPORTED),
    ("http://[fe80::1]/", NOT_SUPPORTED),
    ("http://[fec0::1]/", NOT_SUPPORTED),
    ("http://[fd00::1]/", NOT_SUPPORTED),
    ("http://[ff02::1]/", NOT_SUPPORTED),
    ("http://[::10.0.0.1]/", NOT_SUPPORTED),
    ("http://[::ffff:169.254.169.254]/", NOT_SUPPORTED),
    ("http://[::ffff:0:10.0.0.1]/", NOT_SUPPORTED),
    ("http://[64:ff9b::169.254.169.254]/", NOT_SUPPORTED),
    ("http://[64:ff9b::7f00:1]/", NOT_SUPPORTED),
    ("http://[64:ff9b:1::10.0.0.1]/", NOT_SUPPORTED),
    ("http://[2002:7f00:1::]/", NOT_SUPPORTED),
    ("http://[2001:0:4136:e378:8000:63bf:80ff:fffe]/", NOT_SUPPORTED),
    ("http://[2a00::200:5efe:192.168.0.1]/", NOT_SUPPORTED),
    ("http://[100::1]/", NOT_SUPPORTED),
    ("http://[2001:db8::1]/", NOT_SUPPORTED),
    ("http://[fe80::1%25eth0]/", "The url has brackets that hold no IPv6 address"),
    ("http://[::1%251]/", "The url has brackets that hold no IPv6 address"),
    ("http://[::1]a.example/", "The host in the url is not a host name"),
    ("http://[127.0.0.1]/", "The url has brackets that hold no IPv6 address"),
    ("http://4294967296/", UNRESOLVED),
    ("http://127.0.0.256/", UNRESOLVED),
    ("http://0x100000000/", UNRESOLVED),
    ("http://127.0.0.1.1/", UNRESOLVED),
    ("http://127..0.1/", UNRESOLVED),
    ("http://127.0.0.1%00.example/", UNRESOLVED),
    ("http://127.0.0.1%2f.example/", UNRESOLVED),
    ("http://a.example%23@127.0.0.1 /", UNRESOLVED),
    ("http://127.0.0.1\u{200b}.:80/", "The host in the url is not a host name"),
    ("http://a.example\r\nHost: 127.0.0.1/", "The port in the url is not a number"),
    ("//127.0.0.1/", "Malformed url"),
    ("http:127.0.0.1/", "Malformed url"),
    ("http:///127.0.0.1/", "Malformed url"),
    ("file:///etc/passwd", "Malformed url"),
    ("gopher://127.0.0.1:6379/_FLUSHALL", "Malformed url"),
    ("unix:///var/run/docker.sock", "Malformed url"),
    ("http://127.0.0.1:65536/", "The port in the url is over 65535"),
];

/// Names, none of which may be followed to where they lead.
const NAMES: [&str; 37] = [
    "to-unspecified6.example",
    "to-private.example",
    "to-cgnat.example",
    "to-ula.example",
    "to-link-local.example",
    "to-compatible.example",
    "to-nat64.example",
    "to-6to4.example",
    "to-teredo.example",
    "to-isatap.example",
    "to-multicast.example",
    "to-broadcast.example",
    "to-metadata.example",
    "metadata.google.internal",
    "to-metadata.allowed.example",
    "to-metadata6.allowed.example",
    "TO-AZURE.Allowed.Example.",
    "to-alibaba.allowed.example",
    "to-api.allowed.example",
    "api.cluster.example",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "chat.other.svc",
    "chat.other.svc.cluster.local.",
    "chat.team",
    "team.svc",
    "external.team.svc",
    "metadata.team.svc.cluster.local",
    "stolen.team.svc",
    "cloud.team.svc.cluster.local",
    "pod-0.stolen.team.svc",
    "badallowed.example",
    "allowed.example.evil.example",
    "mixed.example",
    "mixed-first.example",
    "mixed6.example",
    "1.2.3.4.example",
];

/// Services of which some lead where nobody is to get.
fn cluster(namespace: &str, service: &str) -> Result<Leads, String> {
    let addresses: &[&str] = match (namespace, service) {
        ("team", "chat") => &["127.0.0.1", "10.7.7.7"],
        ("team", "stolen") => &["10.7.7.7", "10.96.0.1"],
        ("team", "cloud") => &["168.63.129.16"],
        ("team", "away") => return Err("It is not known where Service away leads".to_owned()),
        _ => return Ok(Leads::Elsewhere),
    };
    Ok(Leads::To(ips(addresses)))
}

/// A sender whose gate is open.
fn mk_sender(policy: Policy, proxies: &Proxies, look_up: LookUp) -> Sender {
    let services: Services = Arc::new(|namespace, service| future::ready(cluster(&namespace, &service)).boxed());
    Sender::with_look_up(Parts { services, ..Parts::of(policy) }, proxies, look_up).unwrap()
}

#[tokio::test]
async fn nothing_is_sent_while_the_gate_is_closed() {
    let receiver = Listener::everywhere().await;
    let open = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&open);
    let gate = Arc::new(move || gate.load(Ordering::Relaxed));
    let sender = Sender::new(Parts { gate, ..Parts::of(Policy::anything()) }, &Proxies::default()).unwrap();
    let url = format!("http://127.0.0.1:{}/", receiver.port);
    assert_eq!(outcome(&sender, &url, None).await, Outcome::Withheld);
    open.store(true, Ordering::Relaxed);
    assert_eq!(get(&sender, &url).await, "200 reached");
    // Nor over the connection that is there now.
    open.store(false, Ordering::Relaxed);
    assert_eq!(outcome(&sender, &url, None).await, Outcome::Withheld);
    open.store(true, Ordering::Relaxed);
    assert_eq!(get(&sender, &url).await, "200 reached");
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn a_redirect_is_not_followed_while_the_gate_is_closed() {
    let receiver = Listener::redirect("/landed").await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    // Before the first request, when there is a connection, and before the second.
    let gate = Arc::new(move || count.fetch_add(1, Ordering::SeqCst) < 2);
    let sender = Sender::new(Parts { gate, ..Parts::of(Policy::anything()) }, &Proxies::default()).unwrap();
    let url = format!("http://127.0.0.1:{}/", receiver.port);
    assert_eq!(outcome(&sender, &url, None).await, Outcome::Withheld);
    assert_eq!((receiver.connections(), asked.load(Ordering::SeqCst)), (1, 3));
}

#[tokio::test]
async fn a_long_answer_is_decoded_as_a_short_one_is() {
    let gzip = |text: &[u8]| {
        let mut out = GzEncoder::new(Vec::new(), Compression::none());
        out.write_all(text).unwrap();
        out.finish().unwrap()
    };
    let sender = mk_sender(Policy::anything(), &Proxies::default(), names(evil).0);
    for (length, encodings, body) in [
        (100, "gzip", gzip(&[b'a'; 100])),
        (QUICK, "gzip", gzip(&[b'a'; QUICK])),
        (100, "gzip, gzip", gzip(&gzip(&[b'a'; 100]))),
    ] {
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Encoding: {encodings}\r\nContent-Length: {}\r\n\r\n", body.len());
        let receiver = Listener::new("127.0.0.1:0", [head.into_bytes(), body].concat()).await;
        let found = get(&sender, &format!("http://127.0.0.1:{}/", receiver.port)).await;
        assert_eq!(found, format!("200 {}", "a".repeat(length)), "{encodings}");
    }
}

#[tokio::test]
async fn no_spelling_of_an_address_reaches_what_must_not_be_reached() {
    let trap = Listener::everywhere().await;
    let at = |url: &str| url.replace("PORT", &trap.port.to_string());
    let sender = mk_sender(policy(), &Proxies::default(), names(evil).0);
    let local = LOCAL.iter().chain(&LOCAL6).map(|url| (at(url), NOT_SUPPORTED));
    let names = NAMES.iter().map(|name| (at(&format!("http://{name}:PORT/")), NOT_SUPPORTED));
    let elsewhere = ELSEWHERE.iter().map(|(url, message)| ((*url).to_owned(), *message));
    let tricks: Vec<(String, &str)> = local.chain(elsewhere).chain(names).collect();
    let found = join_all(tricks.iter().map(|(url, _)| get(&sender, url))).await;
    let wrong: Vec<_> = tricks.iter().zip(found).filter(|((_, expected), found)| expected != found).collect();
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), tricks.len());
    assert_eq!(trap.connections(), 0);
}

#[tokio::test]
async fn the_same_spellings_reach_this_machine_where_anything_may_be_reached() {
    let trap = Listener::everywhere().await;
    let sender = mk_sender(Policy::anything(), &Proxies::default(), names(evil).0);
    let has_ipv6 = TcpListener::bind("[::1]:0").await.is_ok();
    let urls: Vec<_> = LOCAL.iter().chain(LOCAL6.iter().filter(|_| has_ipv6)).collect();
    let reach = urls.iter().map(|url| {
        let url = url.replace("PORT", &trap.port.to_string());
        let sender = sender.clone();
        async move { (get(&sender, &url).await, url) }
    });
    let others: Vec<_> = join_all(reach).await.into_iter().filter(|(found, _)| found != "200 reached").collect();
    assert!(others.is_empty(), "{others:#?}");
    assert!(trap.connections() > 0);
}

#[tokio::test]
async fn no_redirect_leads_to_what_must_not_be_reached() {
    let trap = Listener::everywhere().await;
    let at = |url: &str| url.replace("PORT", &trap.port.to_string());
    let sender = mk_sender(policy(), &Proxies::default(), names(evil).0);
    let locations = LOCAL
        .iter()
        .chain(&LOCAL6)
        .map(|url| at(url))
        .chain(ELSEWHERE.iter().map(|(url, _)| (*url).to_owned()))
        .chain(NAMES.iter().map(|name| at(&format!("//{name}:PORT/"))))
        // One that would break the answer.
        .filter(|location| !location.contains('\n'));
    let mut tried = 0;
    for location in locations {
        // Its own receiver, which is reached: its name is allowed.
        let receiver = Listener::redirect(&location).await;
        let first = Uri::parse(&format!("http://to-loopback.allowed.example:{}/", receiver.port)).unwrap();
        let first = Hop {
            method: HttpMethod::Get,
            uri: first,
            headers: Vec::new(),
            body: None,
            signing: Vec::new(),
            tls: None,
        };
        let request = Request { first, secrets: Vec::new() };
        let outcome = sender.send(Origin { namespace: "team", webhook: "hook" }, &request, "id", LIMIT).await;
        match &outcome {
            Outcome::Refused { sent: true, .. } => {}
            // One that can't be read, or that leads back.
            Outcome::Failure { message, .. } if message.starts_with("The ") || message.starts_with("More than") => {}
            other => panic!("{location}: {other:?}"),
        }
        assert!(receiver.connections() > 0, "{location}");
        tried += 1;
    }
    assert!(tried > 100);
    assert_eq!(trap.connections(), 0);
}

#[tokio::test]
async fn a_name_that_changes_between_look_ups_is_judged_each_time_and_looked_up_once_for_a_connection() {
    let trap = Listener::everywhere().await;
    let closing = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok".to_owned();
    let receiver = Listener::new("127.0.0.2:0", closing).await;
    let (look_up, asked) = names(|_, before| ips(&[["127.0.0.2", "127.0.0.1"][before % 2]]));
    let policy = Policy::new("cluster.local").allow(vec!["127.0.0.2".parse().unwrap()], Vec::new());
    let sender = mk_sender(policy, &Proxies::default(), look_up);
    let url = format!("http://rebinding.example:{}/", receiver.port);
    assert_eq!(get(&sender, &url).await, "200 ok");
    assert_eq!((asked.lock().len(), receiver.connections()), (1, 1));
    assert_eq!(get(&sender, &url).await, NOT_SUPPORTED);
    assert_eq!(get(&sender, &url).await, "200 ok");
    assert_eq!(get(&sender, &format!("http://rebinding.example:{}/", trap.port)).await, NOT_SUPPORTED);
    assert_eq!((asked.lock().len(), receiver.connections(), trap.connections()), (4, 2, 0));
}

#[tokio::test]
async fn a_connection_of_one_namespace_is_not_for_another_that_may_not_have_it() {
    let receiver = Listener::everywhere().await;
    let (look_up, asked) = names(|_, _| ips(&["127.0.0.1"]));
    let allowed = ["team=127.0.0.0/8"].map(|text| text.parse().unwrap()).to_vec();
    let hosts = ["site=shared.example", "other=everywhere.example"].map(|text| text.parse().unwrap()).to_vec();
    let sender = mk_sender(Policy::new("cluster.local").allow(allowed, hosts), &Proxies::default(), look_up);
    let url = |host: &str| format!("http://{host}:{}/", receiver.port);
    for (namespace, host, expected) in [
        ("team", "shared.example", "200 reached"),
        // The connection is kept.
        ("team", "shared.example", "200 reached"),
        ("other", "shared.example", NOT_SUPPORTED),
        ("third", "shared.example", NOT_SUPPORTED),
        ("site", "shared.example", "200 reached"),
        ("team", "127.0.0.1", "200 reached"),
        ("third", "127.0.0.1", NOT_SUPPORTED),
        ("site", "127.0.0.1", NOT_SUPPORTED),
        ("third", "[::ffff:127.0.0.1]", NOT_SUPPORTED),
    ] {
        assert_eq!(get_from(namespace, &sender, &url(host)).await, expected, "{namespace} {host}");
    }
    assert_eq!((receiver.connections(), asked.lock().len()), (3, 4));
}

#[tokio::test]
async fn a_service_of_ones_own_is_reached_where_it_leads_to_nothing_that_is_guarded() {
    let receiver = Listener::everywhere().await;
    // Loopback in place of a cluster's network.
    let policy = policy().allow(vec!["127.0.0.0/8".parse().unwrap()], Vec::new());
    let (look_up, asked) = names(|name, _| ips(&[if name == "chat.team.svc" { "127.0.0.1" } else { "10.96.7.7" }]));
    let sender = mk_sender(policy, &Proxies::default(), look_up);
    let url = |host: &str| format!("http://{host}:{}/", receiver.port);
    assert_eq!(get(&sender, &url("chat.team.svc")).await, "200 reached");
    assert_eq!(get(&sender, &url("stolen.team.svc")).await, NOT_SUPPORTED);
    assert_eq!(get(&sender, &url("away.team.svc")).await, "It is not known where Service away leads");
    // Of those nobody is asked: there is nowhere to go.
    assert_eq!(asked.lock().as_slice(), ["chat.team.svc"]);
    assert_eq!(get(&sender, &url("external.team.svc")).await, NOT_SUPPORTED);
    assert_eq!(get_from("other", &sender, &url("stolen.team.svc")).await, NOT_SUPPORTED);
    assert_eq!(receiver.connections(), 1);
}

/// A name server that says nothing of names below `silent.example`, and of all others that they are at 127.0.0.1.
async fn name_server() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut question = [0; 512];
        loop {
            let (length, asker) = socket.recv_from(&mut question).await.unwrap();
            let mut answer = Message::from_vec(&question[..length]).unwrap();
            let asked = answer.queries[0].clone();
            if asked.name().to_string().ends_with("silent.example.") {
                continue;
            }
            answer.metadata.message_type = MessageType::Response;
            if asked.query_type() == RecordType::A {
                let address = RData::A(A::new(127, 0, 0, 1));
                answer.answers.push(Record::from_rdata(asked.name().clone(), 60, address));
            }
            socket.send_to(&answer.to_vec().unwrap(), asker).await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn names_that_nobody_answers_for_hold_up_no_others() {
    let receiver = Listener::everywhere().await;
    let server = name_server().await;
    let mut connection = ConnectionConfig::udp();
    connection.port = server.port();
    let servers = vec![NameServerConfig::new(server.ip(), true, vec![connection])];
    let servers = ResolverConfig::from_parts(None, Vec::new(), servers);
    let servers = TokioResolver::builder_with_config(servers, TokioRuntimeProvider::default());
    let sender = mk_sender(Policy::anything(), &Proxies::default(), look_up_at(Ok(servers)));
    // More than a runtime has threads for what blocks.
    let silent = (0..600).map(|number| {
        let uri = Uri::parse(&format!("http://{number}.silent.example/")).unwrap();
        let first =
            Hop { method: HttpMethod::Get, uri, headers: Vec::new(), body: None, signing: Vec::new(), tls: None };
        let sender = sender.clone();
        async move {
            let request = Request { first, secrets: Vec::new() };
            let origin = Origin { namespace: "team", webhook: "hook" };
            sender.send(origin, &request, "id", Duration::from_millis(100)).await
        }
    });
    for (number, outcome) in join_all(silent).await.into_iter().enumerate() {
        let message = format!("No answer from {number}.silent.example within 0.1 s");
        assert_eq!(outcome, Outcome::Failure { message, again: true });
    }
    assert_eq!(get(&sender, &format!("http://sound.example:{}/", receiver.port)).await, "200 reached");
}

#[tokio::test]
async fn what_is_known_of_the_api_server_later_counts_from_then_on() {
    let closing = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok".to_owned();
    let receiver = Listener::new("127.0.0.1:0", closing).await;
    let base = Policy::new("cluster.local").allow(vec!["127.0.0.0/8".parse().unwrap()], Vec::new());
    let (policies, receives) = watch::channel(Arc::new(base.clone()));
    let parts = Parts { policies: receives, ..Parts::of(base.clone()) };
    let sender = Sender::with_look_up(parts, &Proxies::default(), names(evil).0).unwrap();
    let urls = ["127.0.0.1", "to-loopback.example"].map(|host| format!("http://{host}:{}/", receiver.port));
    for url in &urls {
        assert_eq!(get(&sender, url).await, "200 ok");
    }
    policies.send_replace(Arc::new(base.guard_api_server(ips(&["127.0.0.1"]), [])));
    for url in &urls {
        assert_eq!(get(&sender, url).await, NOT_SUPPORTED);
    }
    assert_eq!(receiver.connections(), 2);
}

#[tokio::test]
async fn what_is_allowed_is_reached() {
    let receiver = Listener::everywhere().await;
    let sender = mk_sender(policy(), &Proxies::default(), names(evil).0);
    for host in ["allowed.example", "Allowed.EXAMPLE.", "to-loopback.allowed.example", "to-loopback.%61llowed.example"]
    {
        assert_eq!(get(&sender, &format!("http://{host}:{}/", receiver.port)).await, "200 reached", "{host}");
    }
}

/// What came of a GET of `url` from namespace `team`, as `identity`.
async fn outcome(sender: &Sender, url: &str, identity: Option<&Arc<Identity>>) -> Outcome {
    let uri = Uri::parse(url).unwrap();
    let (headers, signing, tls) = (Vec::new(), Vec::new(), identity.map(Arc::clone));
    let first = Hop { method: HttpMethod::Get, uri, headers, body: None, signing, tls };
    let request = Request { first, secrets: Vec::new() };
    sender.send(Origin { namespace: "team", webhook: "hook" }, &request, "id", LIMIT).await
}

/// The same in short: the status code, or what is said in its place.
async fn answer(sender: &Sender, url: &str, identity: Option<&Arc<Identity>>) -> Result<u16, String> {
    match outcome(sender, url, identity).await {
        Outcome::Answer { status, .. } => Ok(status),
        Outcome::Failure { message, again: true } => Err(message),
        Outcome::Refused { message, .. } => Err(message),
        other @ (Outcome::Failure { .. } | Outcome::Withheld) => panic!("{other:?}"),
    }
}

fn mk_identity(authority: Option<&Authority>, client: Option<&Issued>, insecure: bool) -> Option<Arc<Identity>> {
    let key = |key: &str| SecretKey { name: "secret".to_owned(), key: key.to_owned() };
    let source = ClientCertificate { certificate: key("tls.crt"), key: key("tls.key") };
    let named = Tls { authorities: authority.map(|_| key("ca.crt")), client: client.map(|_| source), insecure };
    let secrets = |key: &SecretKey| {
        let text = match key.key.as_str() {
            "ca.crt" => authority.map(Authority::pem),
            "tls.crt" => client.map(|client| client.certificate.clone()),
            _ => client.map(|client| client.key.clone()),
        };
        text.map(SecretString::from).ok_or_else(String::new)
    };
    tls::identity(&named, &secrets).unwrap()
}

const UNKNOWN: &str = "TLS with 127.0.0.1 failed: invalid peer certificate: UnknownIssuer";

#[tokio::test]
async fn a_connection_of_one_identity_is_not_for_another() {
    let [ours, theirs] = ["ours", "theirs"].map(|name| Authority::new(name).unwrap());
    let receiver = ours.issue(&["127.0.0.1"]).unwrap();
    let receiver = TlsReceiver::start(&receiver, &ours, Certificates::Asked, "HTTP/1.1 204 No Content").await.unwrap();
    let sender = mk_sender(Policy::anything(), &Proxies::default(), names(evil).0);
    let [ann, bob] = ["ann", "bob"].map(|name| ours.issue(&[name]).unwrap());
    let url = receiver.url("127.0.0.1");
    for (authority, client, insecure, expected) in [
        (Some(&ours), Some(&ann), false, Ok(204)),
        // The connection is kept: it is for ann.
        (Some(&ours), Some(&ann), false, Ok(204)),
        (None, None, false, Err(UNKNOWN)),
        (None, Some(&ann), false, Err(UNKNOWN)),
        (Some(&theirs), Some(&ann), false, Err(UNKNOWN)),
        (Some(&ours), None, false, Ok(204)),
        (Some(&ours), Some(&bob), false, Ok(204)),
        (None, None, true, Ok(204)),
        (Some(&theirs), None, true, Ok(204)),
        (None, None, false, Err(UNKNOWN)),
    ] {
        let identity = mk_identity(authority, client, insecure);
        let found = answer(&sender, &url, identity.as_ref()).await;
        assert_eq!(found, expected.map_err(str::to_owned));
    }
    let [ann, bob] = [ann, bob].map(|client| Some(client.der));
    assert_eq!(receiver.clients(), [ann.clone(), ann, None, bob, None, None]);
}

#[tokio::test]
async fn a_request_that_names_its_host_is_sent_in_http_1_and_others_in_http_2_where_the_receiver_speaks_it() {
    let authority = Authority::new("ours").unwrap();
    let issued = authority.issue(&["127.0.0.1"]).unwrap();
    let (both, answer) = (["h2", "http/1.1"], "HTTP/1.1 204 No Content");
    let receiver = TlsReceiver::speaking(&both, &issued, &authority, Certificates::Asked, answer).await.unwrap();
    let to = receiver.address();
    let proxy = Proxy::start(move |_| Ok(to)).await.unwrap();
    let send = async |proxies: &Proxies, host: Option<&str>| {
        let sender = mk_sender(Policy::anything(), proxies, names(|_, _| ips(&["127.0.0.1"])).0);
        let host = host.map(|host| Header { name: "host".to_owned(), value: host.into(), secret: false });
        let first = Hop {
            method: HttpMethod::Get,
            uri: Uri::parse(&receiver.url("127.0.0.1")).unwrap(),
            headers: host.into_iter().collect(),
            body: None,
            signing: Vec::new(),
            tls: mk_identity(Some(&authority), None, false),
        };
        let request = Request { first, secrets: Vec::new() };
        sender.send(Origin { namespace: "team", webhook: "hook" }, &request, "id", LIMIT).await
    };
    for proxies in [Proxies::default(), through(&proxy, "")] {
        let before = receiver.received().len();
        let found = send(&proxies, Some("other.example")).await;
        assert!(matches!(found, Outcome::Answer { status: 204, .. }), "{found:?}");
        // The receiver does not know it in truth.
        let found = send(&proxies, None).await;
        assert!(matches!(found, Outcome::Failure { .. }), "{found:?}");
        let heads: Vec<String> = receiver.received().into_iter().skip(before).map(|received| received.head).collect();
        assert!(heads[0].starts_with("GET / HTTP/1.1\r\n") && heads[0].contains("\r\nhost: other.example\r\n"));
        assert_eq!(heads[1], "PRI * HTTP/2.0\r\n\r\n");
    }
}

#[tokio::test]
async fn a_receiver_that_asks_for_a_certificate_says_so_where_there_is_none() {
    let authority = Authority::new("ours").unwrap();
    let receiver = authority.issue(&["127.0.0.1"]).unwrap();
    let receiver =
        TlsReceiver::start(&receiver, &authority, Certificates::Required, "HTTP/1.1 204 No Content").await.unwrap();
    let sender = mk_sender(Policy::anything(), &Proxies::default(), names(evil).0);
    let identity = mk_identity(Some(&authority), None, false);
    let refused = answer(&sender, &receiver.url("127.0.0.1"), identity.as_ref()).await;
    assert_eq!(refused, Err("TLS with 127.0.0.1 failed: received fatal alert: CertificateRequired".to_owned()));
    assert_eq!(receiver.clients(), []);
}

#[tokio::test]
async fn neither_certificate_nor_authority_nor_leniency_follows_a_redirect_to_another_host() {
    let authority = Authority::new("ours").unwrap();
    let client = authority.issue(&["ann"]).unwrap();
    let issued = authority.issue(&["127.0.0.1", "to-loopback.example"]).unwrap();
    let ask = Certificates::Asked;
    let other = TlsReceiver::start(&issued, &authority, ask, "HTTP/1.1 204 No Content").await.unwrap();
    let answer_of = |location: &str| format!("HTTP/1.1 307 Temporary Redirect\nLocation: {location}");
    let location = other.url("to-loopback.example");
    let away = TlsReceiver::start(&issued, &authority, ask, &answer_of(&location)).await.unwrap();
    let sender = mk_sender(Policy::anything(), &Proxies::default(), names(evil).0);
    for insecure in [false, true] {
        let identity = mk_identity(Some(&authority), Some(&client), insecure);
        let found = answer(&sender, &away.url("127.0.0.1"), identity.as_ref()).await;
        let expected = "TLS with to-loopback.example failed: invalid peer certificate: UnknownIssuer";
        assert_eq!(found, Err(expected.to_owned()));
    }
    let shown = Some(client.der);
    assert_eq!((away.clients(), other.clients()), (vec![shown.clone(), shown], Vec::new()));
}

fn through(proxy: &Proxy, none: &str) -> Proxies {
    let url = format!("http://user:p%40ssword@{}", proxy.address());
    Proxies { all: Some(url), none: Some(none.to_owned()), ..Proxies::default() }
}

/// What a name server says of hosts that proxies are asked for.
fn public(name: &str, before: usize) -> Vec<IpAddr> {
    match name {
        "public.example" => ips(&["93.184.216.34"]),
        "double.example" => ips(&["2a00::1", "93.184.216.34"]),
        "unknown.allowed.example" | "unknown.example" => Vec::new(),
        "known.allowed.example" => ips(&["10.9.8.7"]),
        "rebinding.example" => ips(&[["93.184.216.34", "10.0.0.1"][before % 2]]),
        _ => evil(name, before),
    }
}

#[tokio::test]
async fn a_proxy_is_asked_for_the_address_that_was_judged_and_knows_the_name_only_where_that_is_allowed() {
    let receiver = Listener::everywhere().await;
    let to = SocketAddr::from(([127, 0, 0, 1], receiver.port));
    let proxy = Proxy::start(move |_| Ok(to)).await.unwrap();
    let sender = mk_sender(policy(), &through(&proxy, ""), names(public).0);
    for (url, target) in [
        ("http://public.example/", "93.184.216.34:80"),
        ("http://public.example:8080/", "93.184.216.34:8080"),
        ("http://93.184.216.35/", "93.184.216.35:80"),
        ("http://0x5db8d824/", "93.184.216.36:80"),
        ("http://[2a00::7]:81/", "[2a00::7]:81"),
        ("http://allowed.example/", "allowed.example:80"),
        ("http://known.allowed.example/", "10.9.8.7:80"),
    ] {
        assert_eq!(get(&sender, url).await, "200 reached", "{url}");
        let credentials = Some("Basic dXNlcjpwQHNzd29yZA==".to_owned());
        assert_eq!(proxy.asked().pop(), Some(Asked { line: format!("CONNECT {target}"), credentials }), "{url}");
    }
}

#[tokio::test]
async fn no_proxy_is_asked_for_what_must_not_be_reached() {
    let trap = Listener::everywhere().await;
    let to = SocketAddr::from(([127, 0, 0, 1], trap.port));
    let proxy = Proxy::start(move |_| Ok(to)).await.unwrap();
    let sender = mk_sender(policy(), &through(&proxy, ""), names(public).0);
    let at = |url: &str| url.replace("PORT", &trap.port.to_string());
    let local = LOCAL.iter().chain(&LOCAL6).map(|url| (at(url), NOT_SUPPORTED));
    let names = NAMES.iter().map(|name| (at(&format!("http://{name}:PORT/")), NOT_SUPPORTED));
    let elsewhere = ELSEWHERE.iter().map(|(url, message)| ((*url).to_owned(), *message));
    let unknown = ["unknown.example", "unknown.allowed.example"].map(|host| (format!("http://{host}/"), UNRESOLVED));
    let tricks: Vec<(String, &str)> = local.chain(elsewhere).chain(names).chain(unknown).collect();
    let found = join_all(tricks.iter().map(|(url, _)| get(&sender, url))).await;
    let wrong: Vec<_> = tricks.iter().zip(found).filter(|((_, expected), found)| expected != found).collect();
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), tricks.len());
    assert_eq!((trap.connections(), proxy.asked()), (0, Vec::new()));
}

#[tokio::test]
async fn a_proxy_is_not_asked_for_what_a_redirect_or_another_answer_leads_to_in_vain() {
    let location = "HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0\r\nConnection: close\r\nLocation: ";
    for url in ["http://10.0.0.1/", "http://169.254.169.254/", "http://to-private.example/"] {
        let receiver = Listener::new("127.0.0.1:0", format!("{location}{url}\r\n\r\n")).await;
        let to = SocketAddr::from(([127, 0, 0, 1], receiver.port));
        let proxy = Proxy::start(move |_| Ok(to)).await.unwrap();
        let sender = mk_sender(policy(), &through(&proxy, ""), names(public).0);
        assert_eq!(get(&sender, "http://public.example/").await, NOT_SUPPORTED, "{url}");
        assert_eq!(proxy.lines(), ["CONNECT 93.184.216.34:80"], "{url}");
    }
    let closing = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok".to_owned();
    let receiver = Listener::new("127.0.0.1:0", closing).await;
    let to = SocketAddr::from(([127, 0, 0, 1], receiver.port));
    let proxy = Proxy::start(move |_| Ok(to)).await.unwrap();
    let (look_up, asked) = names(public);
    let sender = mk_sender(policy(), &through(&proxy, ""), look_up);
    assert_eq!(get(&sender, "http://rebinding.example/").await, "200 ok");
    assert_eq!(get(&sender, "http://rebinding.example/").await, NOT_SUPPORTED);
    assert_eq!((proxy.lines(), asked.lock().len()), (vec!["CONNECT 93.184.216.34:80".to_owned()], 2));
}

#[tokio::test]
async fn a_name_in_a_tunnel_is_the_receivers_and_its_certificate_counts() {
    let authority = Authority::new("ours").unwrap();
    let issued = authority.issue(&["public.example"]).unwrap();
    let receiver =
        TlsReceiver::start(&issued, &authority, Certificates::Asked, "HTTP/1.1 204 No Content").await.unwrap();
    let to = receiver.address();
    let proxy = Proxy::start(move |_| Ok(to)).await.unwrap();
    let sender = mk_sender(policy(), &through(&proxy, ""), names(public).0);
    let identity = mk_identity(Some(&authority), None, false);
    assert_eq!(answer(&sender, "https://public.example/hook", identity.as_ref()).await, Ok(204));
    let refused = answer(&sender, "https://93.184.216.34/hook", identity.as_ref()).await.unwrap_err();
    assert!(refused.starts_with("TLS with 93.184.216.34 failed: invalid peer certificate: "), "{refused}");
    assert_eq!(proxy.lines(), ["CONNECT 93.184.216.34:443", "CONNECT 93.184.216.34:443"]);
    let received = receiver.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].name.as_deref(), Some("public.example"));
    assert!(received[0].head.contains("\r\nhost: public.example\r\n"), "{}", received[0].head);
    assert!(!received[0].head.contains("dXNlcjpwQHNzd29yZA=="), "{}", received[0].head);
}

#[tokio::test]
async fn hosts_without_a_proxy_are_reached_directly() {
    let receiver = Listener::everywhere().await;
    let proxy = Proxy::start(|_| Err(502)).await.unwrap();
    let policy = Policy::new("cluster.local").allow(vec!["127.0.0.0/8".parse().unwrap()], Vec::new());
    let (look_up, _) = names(|_, _| ips(&["127.0.0.1"]));
    let sender = mk_sender(policy, &through(&proxy, "direct.example,.below.example"), look_up);
    let direct = ["direct.example", "a.direct.example", "a.below.example", "chat.team.svc", "localhost", "127.0.0.1"];
    for host in direct {
        assert_eq!(get(&sender, &format!("http://{host}:{}/", receiver.port)).await, "200 reached", "{host}");
    }
    assert_eq!(proxy.asked(), []);
    let url = format!("http://elsewhere.example:{}/", receiver.port);
    let refused = format!("Proxy {} would not connect to elsewhere.example", proxy.address());
    assert_eq!(get(&sender, &url).await, refused);
}

#[tokio::test]
async fn a_proxy_that_fails_is_named_without_its_credentials_and_the_request_tried_again() {
    let again = |message: String| Outcome::Failure { message, again: true };
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let failing = [502, 407].map(|code| Proxy::start(move |_| Err(code)));
    let [refusing, stranger] = join_all(failing).await.try_into().unwrap_or_else(|_| panic!("two proxies"));
    let (refusing, stranger) = (refusing.unwrap(), stranger.unwrap());
    let at = |address: SocketAddr| Proxies { all: Some(format!("http://user:secret@{address}")), ..Proxies::default() };
    let (refused, unknown) = (refusing.address(), stranger.address());
    // One that the system's authorities do not know is told no password.
    let authority = Authority::new("ours").unwrap();
    let issued = authority.issue(&["127.0.0.1"]).unwrap();
    let over_tls = TlsReceiver::start(&issued, &authority, Certificates::Asked, "HTTP/1.1 200 OK").await.unwrap();
    let address = over_tls.address();
    let proxies = Proxies { all: Some(format!("https://user:secret@{address}")), ..Proxies::default() };
    let sender = mk_sender(policy(), &proxies, names(public).0);
    let message = format!("TLS with proxy {address} failed: invalid peer certificate: UnknownIssuer");
    assert_eq!(outcome(&sender, "http://double.example/", None).await, again(message));
    assert_eq!(over_tls.received(), []);
    let cases = [
        (gone, format!("Connection to proxy {gone} refused")),
        (refused, format!("Proxy {refused} would not connect to double.example")),
        (unknown, format!("Proxy {unknown} would not connect to double.example: proxy authorization required")),
    ];
    for (address, message) in cases {
        let sender = mk_sender(policy(), &at(address), names(public).0);
        assert_eq!(outcome(&sender, "http://double.example/", None).await, again(message));
    }
    // Another address may be in its reach; other credentials are not.
    assert_eq!(refusing.lines(), ["CONNECT [2a00::1]:80", "CONNECT 93.184.216.34:80"]);
    assert_eq!(stranger.lines(), ["CONNECT [2a00::1]:80"]);
}

#[tokio::test]
async fn a_proxy_that_does_not_answer_is_named() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let proxies = Proxies { all: Some(format!("http://user:secret@{address}")), ..Proxies::default() };
    let sender = mk_sender(policy(), &proxies, names(public).0);
    let uri = Uri::parse("http://public.example/").unwrap();
    let first = Hop { method: HttpMethod::Get, uri, headers: Vec::new(), body: None, signing: Vec::new(), tls: None };
    let request = Request { first, secrets: Vec::new() };
    let origin = Origin { namespace: "team", webhook: "hook" };
    let found = sender.send(origin, &request, "id", Duration::from_millis(200)).await;
    let message = format!("No answer from public.example through proxy {address} within 0.2 s");
    assert_eq!(found, Outcome::Failure { message, again: true });
}
