//! Nothing is sent while the gate is closed.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use super::fixtures::{Listener, get, outcome};
use crate::{
    core::{address::AddressPolicy, response::Outcome},
    delivery::{Ports, ProxySettings, Sender},
};

#[tokio::test]
async fn nothing_is_sent_while_the_gate_is_closed() {
    let receiver = Listener::everywhere().await;
    let open = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&open);
    let gate = Arc::new(move || gate.load(Ordering::Relaxed));
    let sender =
        Sender::new(Ports { gate, ..Ports::without_cluster(AddressPolicy::unrestricted()) }, &ProxySettings::default())
            .unwrap();
    let url = format!("http://127.0.0.1:{}/", receiver.port);
    assert_eq!(outcome(&sender, &url, None).await, Outcome::Withheld);
    open.store(true, Ordering::Relaxed);
    assert_eq!(get(&sender, &url).await, "200 reached");
    // Nothing goes over the connection that is there now, either.
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
    // It is asked before the first request, when there is a connection, and before the second request.
    let gate = Arc::new(move || count.fetch_add(1, Ordering::SeqCst) < 2);
    let sender =
        Sender::new(Ports { gate, ..Ports::without_cluster(AddressPolicy::unrestricted()) }, &ProxySettings::default())
            .unwrap();
    let url = format!("http://127.0.0.1:{}/", receiver.port);
    assert_eq!(outcome(&sender, &url, None).await, Outcome::Withheld);
    assert_eq!((receiver.connections(), asked.load(Ordering::SeqCst)), (1, 3));
}
