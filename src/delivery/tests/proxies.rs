//! Proxies are asked for judged targets only, and named when they fail.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures::future::join_all;
use support::{Asked, Authority, Client as Certificates, Proxy, TlsReceiver};
use tokio::net::TcpListener;

use super::{
    fixtures::{
        Listener, NOT_SUPPORTED, UNRESOLVED, answer, get, hostile_names, ips, mk_identity, mk_sender, names, outcome,
        outcome_within, policy, through,
    },
    spellings::tricks,
};
use crate::{
    core::{address::AddressPolicy, response::Outcome},
    delivery::ProxySettings,
};

/// The answers of a name server for hosts that proxies are asked for.
fn public(name: &str, before: usize) -> Vec<IpAddr> {
    match name {
        "public.example" => ips(&["93.184.216.34"]),
        "double.example" => ips(&["2a00::1", "93.184.216.34"]),
        "unknown.allowed.example" | "unknown.example" => Vec::new(),
        "known.allowed.example" => ips(&["10.9.8.7"]),
        "rebinding.example" => ips(&[["93.184.216.34", "10.0.0.1"][before % 2]]),
        _ => hostile_names(name, before),
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
async fn no_proxy_is_asked_for_a_forbidden_address() {
    let trap = Listener::everywhere().await;
    let to = SocketAddr::from(([127, 0, 0, 1], trap.port));
    let proxy = Proxy::start(move |_| Ok(to)).await.unwrap();
    let sender = mk_sender(policy(), &through(&proxy, ""), names(public).0);
    let unknown = ["unknown.example", "unknown.allowed.example"].map(|host| (format!("http://{host}/"), UNRESOLVED));
    let tricks: Vec<(String, &str)> = tricks(trap.port).into_iter().chain(unknown).collect();
    let found = join_all(tricks.iter().map(|(url, _)| get(&sender, url))).await;
    let wrong: Vec<_> = tricks.iter().zip(found).filter(|((_, expected), found)| expected != found).collect();
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), tricks.len());
    assert_eq!((trap.connections(), proxy.asked()), (0, Vec::new()));
}

#[tokio::test]
async fn no_proxy_is_asked_for_a_forbidden_address_of_a_redirect_or_of_a_later_dns_answer() {
    let location = "HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0\r\nConnection: close\r\nLocation: ";
    for (url, expected) in [
        ("http://10.0.0.1/", NOT_SUPPORTED),
        ("http://169.254.169.254/", NOT_SUPPORTED),
        ("http://to-private.example/", UNRESOLVED),
    ] {
        let receiver = Listener::new("127.0.0.1:0", format!("{location}{url}\r\n\r\n")).await;
        let to = SocketAddr::from(([127, 0, 0, 1], receiver.port));
        let proxy = Proxy::start(move |_| Ok(to)).await.unwrap();
        let sender = mk_sender(policy(), &through(&proxy, ""), names(public).0);
        assert_eq!(get(&sender, "http://public.example/").await, expected, "{url}");
        assert_eq!(proxy.lines(), ["CONNECT 93.184.216.34:80"], "{url}");
    }
    let closing = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok".to_owned();
    let receiver = Listener::new("127.0.0.1:0", closing).await;
    let to = SocketAddr::from(([127, 0, 0, 1], receiver.port));
    let proxy = Proxy::start(move |_| Ok(to)).await.unwrap();
    let (dns, asked) = names(public);
    let sender = mk_sender(policy(), &through(&proxy, ""), dns);
    assert_eq!(get(&sender, "http://rebinding.example/").await, "200 ok");
    assert_eq!(get(&sender, "http://rebinding.example/").await, UNRESOLVED);
    assert_eq!((proxy.lines(), asked.lock().len()), (vec!["CONNECT 93.184.216.34:80".to_owned()], 2));
}

#[tokio::test]
async fn inside_a_tunnel_tls_names_the_receiver_and_checks_its_certificate() {
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
    let policy = AddressPolicy::new("cluster.local").allow(vec!["127.0.0.0/8".parse().unwrap()], Vec::new());
    let (dns, _) = names(|_, _| ips(&["127.0.0.1"]));
    let sender = mk_sender(policy, &through(&proxy, "direct.example,.below.example"), dns);
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
    let again = |message: String| Outcome::Failure { message, retryable: true };
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let failing = [502, 407].map(|code| Proxy::start(move |_| Err(code)));
    let [refusing, stranger] = join_all(failing).await.try_into().unwrap_or_else(|_| panic!("two proxies"));
    let (refusing, stranger) = (refusing.unwrap(), stranger.unwrap());
    let at = |address: SocketAddr| ProxySettings {
        all: Some(format!("http://user:secret@{address}")),
        ..ProxySettings::default()
    };
    let (refused, unknown) = (refusing.address(), stranger.address());
    // A proxy whose certificate the system's authorities did not issue is told no password.
    let authority = Authority::new("ours").unwrap();
    let issued = authority.issue(&["127.0.0.1"]).unwrap();
    let over_tls = TlsReceiver::start(&issued, &authority, Certificates::Asked, "HTTP/1.1 200 OK").await.unwrap();
    let address = over_tls.address();
    let proxies = ProxySettings { all: Some(format!("https://user:secret@{address}")), ..ProxySettings::default() };
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
    // A proxy that refuses one address may reach another; one that refuses the credentials is not asked again.
    assert_eq!(refusing.lines(), ["CONNECT [2a00::1]:80", "CONNECT 93.184.216.34:80"]);
    assert_eq!(stranger.lines(), ["CONNECT [2a00::1]:80"]);
}

#[tokio::test]
async fn a_proxy_that_does_not_answer_is_named() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let proxies = ProxySettings { all: Some(format!("http://user:secret@{address}")), ..ProxySettings::default() };
    let sender = mk_sender(policy(), &proxies, names(public).0);
    let found = outcome_within(Duration::from_millis(200), &sender, "http://public.example/").await;
    let message = format!("No answer from public.example through proxy {address} within 0.2 s");
    assert_eq!(found, Outcome::Failure { message, retryable: true });
}
