//! Whether a receiver may have taken what it did not answer in time.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::fixtures::{Listener, hostile_names, ips, mk_sender, names, outcome_within, policy, through};
use crate::{
    core::{address::AddressPolicy, response::Outcome},
    delivery::{ProxySettings, Sender},
};
use support::Proxy;

/// Long enough for what is on this machine.
const WAIT: Duration = Duration::from_millis(500);

fn mk_local() -> Sender {
    let loopback = vec!["127.0.0.0/8".parse().unwrap()];
    let policy = AddressPolicy::new("cluster.local").allow(loopback, Vec::new());
    mk_sender(policy, &ProxySettings::default(), names(hostile_names).0)
}

/// Whether the request had been sent when the time was over.
async fn timed_out_when_sent(sender: &Sender, url: &str) -> bool {
    match outcome_within(WAIT, sender, url).await {
        Outcome::TimedOut { message } => {
            assert!(message.starts_with("No answer from ") && message.ends_with(" within 0.5 s"), "{url}: {message}");
            true
        }
        Outcome::Failure { message, retryable: true } if message.starts_with("No answer from ") => false,
        other => panic!("{url}: {other:?}"),
    }
}

#[tokio::test]
async fn a_request_that_was_sent_and_not_answered_in_time_is_told_from_one_that_no_connection_was_made_for() {
    let sender = mk_local();
    let silent = Listener::new("127.0.0.1:0", "").await;
    let unfinished = Listener::new("127.0.0.1:0", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nno").await;
    let (plain, tls) = (format!("http://127.0.0.1:{}/", silent.port), format!("https://127.0.0.1:{}/", silent.port));
    let (to_plain, to_tls) = (Listener::redirect(&plain).await, Listener::redirect(&tls).await);
    let at = |listener: &Listener| format!("http://127.0.0.1:{}/", listener.port);
    let cases = [
        (plain, true),
        // Nobody has seen the request while there is no TLS.
        (tls, false),
        (at(&unfinished), true),
        (at(&to_plain), true),
        (at(&to_tls), false),
    ];
    for (url, expected) in cases {
        assert_eq!(timed_out_when_sent(&sender, &url).await, expected, "{url}");
    }
}

#[tokio::test]
async fn a_request_over_a_connection_that_there_was_has_been_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        // The second request is read, and that is all.
        let mut second = [0; 4];
        stream.read_exact(&mut second).await.unwrap();
        (stream, second)
    });
    let sender = mk_local();
    assert!(outcome_within(WAIT, &sender, &url).await.is_success());
    assert!(timed_out_when_sent(&sender, &url).await);
    assert_eq!(&server.await.unwrap().1, b"GET ");
}

#[tokio::test]
async fn through_a_proxy_a_request_is_sent_once_the_tunnel_is_there() {
    let silent = Listener::new("127.0.0.1:0", "").await;
    let to = std::net::SocketAddr::from(([127, 0, 0, 1], silent.port));
    let proxy = Proxy::start(move |_| Ok(to)).await.unwrap();
    let (dns, _) = names(|_, _| ips(&["93.184.216.34"]));
    let sender = mk_sender(policy(), &through(&proxy, ""), dns);
    assert!(timed_out_when_sent(&sender, "http://public.example/").await);
    assert!(!timed_out_when_sent(&sender, "https://public.example/").await);
}
