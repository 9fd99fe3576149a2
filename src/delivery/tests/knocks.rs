//! Who could not be connected to, and whether that is so still.

use tokio::net::TcpSocket;

use super::fixtures::{Listener, hostile_names, ips, mk_sender, names, outcome, policy, through};
use crate::{
    core::{address::AddressPolicy, response::Outcome},
    delivery::{ProxySettings, Sender},
};
use support::Proxy;

fn mk_local() -> Sender {
    let loopback = vec!["127.0.0.0/8".parse().unwrap()];
    let policy = AddressPolicy::new("cluster.local").allow(loopback, vec!["allowed.example".parse().unwrap()]);
    mk_sender(policy, &ProxySettings::default(), names(hostile_names).0)
}

/// A port on which nobody listens, until somebody does.
fn mk_closed() -> (TcpSocket, u16) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

#[tokio::test]
async fn a_host_that_refuses_connections_is_told_from_one_that_fails_and_it_is_seen_when_it_accepts_them() {
    let sender = mk_local();
    let (closed, port) = mk_closed();
    let refused = |host: &str| format!("Connection to {host} refused");
    for host in ["127.0.0.1", "allowed.example"] {
        let met = outcome(&sender, &format!("http://{host}:{port}/"), None).await;
        assert_eq!(met, Outcome::Unreached { message: refused(host) });
        assert!(!sender.can_connect("team", &format!("http://{host}:{port}")).await);
    }
    // Whoever redirects has had a request.
    let redirecting = Listener::redirect(&format!("http://127.0.0.1:{port}/")).await;
    let met = outcome(&sender, &format!("http://127.0.0.1:{}/", redirecting.port), None).await;
    assert_eq!(met, Outcome::Failure { message: refused("127.0.0.1"), retryable: true });

    let _listener = closed.listen(8).unwrap();
    for host in ["127.0.0.1", "allowed.example"] {
        assert!(sender.can_connect("team", &format!("http://{host}:{port}")).await);
        assert!(sender.can_connect("team", &format!("https://{host}:{port}")).await);
    }
}

#[tokio::test]
async fn nobody_is_knocked_at_who_may_not_be_sent_to() {
    let receiver = Listener::everywhere().await;
    let (dns, _) = names(hostile_names);
    let sender = mk_sender(policy(), &ProxySettings::default(), dns);
    for host in [
        "127.0.0.1",
        "[::1]",
        "localhost",
        "to-loopback.example",
        "mixed.example",
        "missing.example",
        "stolen.team.svc",
    ] {
        assert!(!sender.can_connect("team", &format!("http://{host}:{}", receiver.port)).await, "{host}");
    }
    assert!(!sender.can_connect("team", "no origin").await);
    let proxy = Proxy::start(move |_| Ok(([127, 0, 0, 1], receiver.port).into())).await.unwrap();
    let sender = mk_sender(policy(), &through(&proxy, ""), names(|_, _| ips(&["93.184.216.34"])).0);
    assert!(!sender.can_connect("team", "http://public.example").await);
    assert_eq!(receiver.connections(), 0);
}
