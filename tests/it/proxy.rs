//! Deliveries through proxies.

use std::net::SocketAddr;

use oncall_webhooks::resources::ResponsePhase;
use serde_json::json;
use support::{Asked, Authority, Client, Proxy, Receiver, TlsFront, TlsReceiver};

use crate::harness::{Temporary, World};

const REFUSED: &str = "URL - This url is not supported for outgoing webhooks";

/// A proxy that leads everything to one place.
async fn to(address: SocketAddr) -> Proxy {
    Proxy::start(move |_| Ok(address)).await.expect("start a proxy")
}

fn address(receiver: &Receiver) -> SocketAddr {
    receiver.url().trim_start_matches("http://").parse().expect("an address")
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_go_through_the_proxy_of_the_environment_to_what_was_judged_and_nowhere_else() {
    let receiver = Receiver::start(|_| support::Answer::new(200, "ok")).await.expect("start a receiver");
    let proxy = to(address(&receiver)).await;
    let url = format!("http://operator:pr0xy%2Dpassword@{}", proxy.address());
    let environment = [("HTTP_PROXY", url.as_str()), ("https_proxy", &url), ("NO_PROXY", "192.0.2.0/24")];
    let world = World::in_environment("proxy", &environment, &[]).await;
    let targets = [
        ("public", "http://93.184.216.34/hook"),
        ("spelled", "http://0x5db8d823:8080/hook"),
        ("private", "http://10.0.0.1/hook"),
        ("metadata", "https://169.254.169.254/hook"),
        ("hidden", "http://[::ffff:10.0.0.1]/hook"),
        ("excepted", "http://192.0.2.7/hook"),
    ];
    for (name, url) in targets {
        world.seen_webhook(name, "resolve", json!({"url": url, "retry": {"maxAttempts": 1}})).await;
    }
    // Its own machine's is not for a proxy.
    world.seen_webhook("near", "resolve", json!({})).await;
    world.event("resolved", "resolve", "I1", json!({})).await;
    world.completed("resolved", 7).await;

    for name in ["public", "spelled", "near"] {
        assert_eq!(world.response(name).await.status_code, Some(200), "{name}");
    }
    for name in ["private", "metadata", "hidden", "excepted"] {
        let status = world.response(name).await;
        assert_eq!((status.phase, status.url.as_deref()), (ResponsePhase::Failed, Some(REFUSED)), "{name}");
    }
    let credentials = Some("Basic b3BlcmF0b3I6cHIweHktcGFzc3dvcmQ=".to_owned());
    let mut asked = proxy.asked();
    asked.sort_by_key(|asked| asked.line.clone());
    let expected = ["93.184.216.34:80", "93.184.216.35:8080"]
        .map(|target| Asked { line: format!("CONNECT {target}"), credentials: credentials.clone() });
    assert_eq!(asked, expected);
    assert_eq!((receiver.count(), world.receiver.count()), (2, 1));
    let arrived = receiver.received();
    assert!(arrived.iter().all(|request| request.header("proxy-authorization").is_none()), "{arrived:?}");

    let everything = world.everything().await;
    for secret in ["pr0xy", "b3BlcmF0b3I6cHIweHktcGFzc3dvcmQ="] {
        assert!(!everything.contains(secret));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_allowed_is_asked_for_by_name_which_its_certificate_has() {
    let [ours, systems] = ["ours", "systems"].map(|name| Authority::new(name).expect("make an authority"));
    let issued = ours.issue(&["chat.example"]).expect("issue a certificate");
    let receiver = TlsReceiver::start(&issued, &ours, Client::Asked, "HTTP/1.1 204 No Content").await;
    let receiver = receiver.expect("start a receiver");
    let proxy = to(receiver.address()).await;
    let issued = systems.issue(&["127.0.0.1"]).expect("issue a certificate");
    let over_tls = TlsFront::start(&issued, proxy.address()).await.expect("start a proxy that speaks TLS");
    let bundle = Temporary::new(&systems.pem());
    let urls = [format!("http://{}", proxy.address()), format!("https://operator:pw@{}", over_tls.address())];
    for url in &urls {
        let flags = [format!("--https-proxy={url}"), "--allow-host=chat.example".to_owned()];
        let world = World::in_environment("proxy-name", &[("SSL_CERT_FILE", &bundle.path())], &flags).await;
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "ca", "labels": {"oncall.dev/secret": "true"}},
            "stringData": {"ca.crt": ours.pem()},
        });
        world.apply(&secret.to_string()).await;
        let spec = json!({"url": "https://chat.example/hook", "tls": {"caSecretRef": {"name": "ca"}}});
        world.seen_webhook("hook", "resolve", spec).await;
        world.event("resolved", "resolve", "I1", json!({})).await;
        world.completed("resolved", 1).await;
        let status = world.response("hook").await;
        assert_eq!((status.status_code, status.content.as_deref()), (Some(204), Some("")), "{url}");
    }
    let line = "CONNECT chat.example:443".to_owned();
    let with_password = Some("Basic b3BlcmF0b3I6cHc=".to_owned());
    let expected = [None, with_password].map(|credentials| Asked { line: line.clone(), credentials });
    assert_eq!(proxy.asked(), expected);
    let names: Vec<_> = receiver.received().into_iter().map(|request| request.name).collect();
    assert_eq!(names, vec![Some("chat.example".to_owned()); 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_fails_is_named_in_the_record_without_its_credentials() {
    let proxy = Proxy::start(|_| Err(407)).await.expect("start a proxy");
    let flags = [format!("--http-proxy=http://operator:pr0xy-password@{}", proxy.address())];
    let world = World::in_environment("proxy-fails", &[], &flags).await;
    let spec = json!({"url": "http://93.184.216.34/hook", "retry": {"maxAttempts": 1}});
    world.seen_webhook("hook", "resolve", spec).await;
    world.event("resolved", "resolve", "I1", json!({})).await;
    world.completed("resolved", 1).await;
    let status = world.response("hook").await;
    let expected =
        format!("Proxy {} would not connect to 93.184.216.34: proxy authorization required", proxy.address());
    assert_eq!((status.phase, status.content), (ResponsePhase::Failed, Some(expected)));
    assert!(!world.everything().await.contains("pr0xy-password"));
}
