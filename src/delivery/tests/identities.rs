//! Certificates are trusted and shown, and connections shared, as the identities of webhooks say.

use support::{Authority, Client as Certificates, Proxy, TlsReceiver};

use super::fixtures::{LIMIT, TEAM, answer, hostile_names, ips, mk_identity, mk_request, mk_sender, names, through};
use crate::{
    core::{address::AddressPolicy, request::Header, request_url::RequestUrl, response::Outcome},
    delivery::ProxySettings,
};

const UNKNOWN: &str = "TLS with 127.0.0.1 failed: invalid peer certificate: UnknownIssuer";

#[tokio::test]
async fn a_connection_of_one_identity_is_not_for_another() {
    let [ours, theirs] = ["ours", "theirs"].map(|name| Authority::new(name).unwrap());
    let receiver = ours.issue(&["127.0.0.1"]).unwrap();
    let receiver = TlsReceiver::start(&receiver, &ours, Certificates::Asked, "HTTP/1.1 204 No Content").await.unwrap();
    let sender = mk_sender(AddressPolicy::unrestricted(), &ProxySettings::default(), names(hostile_names).0);
    let [ann, bob] = ["ann", "bob"].map(|name| ours.issue(&[name]).unwrap());
    let url = receiver.url("127.0.0.1");
    for (authority, client, insecure, expected) in [
        (Some(&ours), Some(&ann), false, Ok(204)),
        // The connection is kept, for ann.
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
    let send = async |proxies: &ProxySettings, host: Option<&str>| {
        let sender = mk_sender(AddressPolicy::unrestricted(), proxies, names(|_, _| ips(&["127.0.0.1"])).0);
        let host = host.map(|host| Header { name: "host".to_owned(), value: host.into(), secret: false });
        let identity = mk_identity(Some(&authority), None, false);
        let mut request = mk_request(RequestUrl::parse(&receiver.url("127.0.0.1")).unwrap(), identity.as_ref());
        request.first.headers.extend(host);
        sender.send(TEAM, &request, "id", LIMIT).await
    };
    for proxies in [ProxySettings::default(), through(&proxy, "")] {
        let before = receiver.received().len();
        let found = send(&proxies, Some("other.example")).await;
        assert!(matches!(found, Outcome::Answer { status: 204, .. }), "{found:?}");
        // The receiver only claims to speak HTTP/2.
        let found = send(&proxies, None).await;
        assert!(matches!(found, Outcome::Failure { .. }), "{found:?}");
        let heads: Vec<String> = receiver.received().into_iter().skip(before).map(|received| received.head).collect();
        assert!(heads[0].starts_with("GET / HTTP/1.1\r\n") && heads[0].contains("\r\nhost: other.example\r\n"));
        assert_eq!(heads[1], "PRI * HTTP/2.0\r\n\r\n");
    }
}

#[tokio::test]
async fn a_request_without_the_certificate_that_its_receiver_requires_fails_and_says_so() {
    let authority = Authority::new("ours").unwrap();
    let receiver = authority.issue(&["127.0.0.1"]).unwrap();
    let receiver =
        TlsReceiver::start(&receiver, &authority, Certificates::Required, "HTTP/1.1 204 No Content").await.unwrap();
    let sender = mk_sender(AddressPolicy::unrestricted(), &ProxySettings::default(), names(hostile_names).0);
    let identity = mk_identity(Some(&authority), None, false);
    let refused = answer(&sender, &receiver.url("127.0.0.1"), identity.as_ref()).await;
    assert_eq!(refused, Err("TLS with 127.0.0.1 failed: received fatal alert: CertificateRequired".to_owned()));
    assert_eq!(receiver.clients(), []);
}

#[tokio::test]
async fn no_certificate_authority_or_insecure_mode_follows_a_redirect_to_another_host() {
    let authority = Authority::new("ours").unwrap();
    let client = authority.issue(&["ann"]).unwrap();
    let issued = authority.issue(&["127.0.0.1", "to-loopback.example"]).unwrap();
    let ask = Certificates::Asked;
    let other = TlsReceiver::start(&issued, &authority, ask, "HTTP/1.1 204 No Content").await.unwrap();
    let answer_of = |location: &str| format!("HTTP/1.1 307 Temporary Redirect\nLocation: {location}");
    let location = other.url("to-loopback.example");
    let away = TlsReceiver::start(&issued, &authority, ask, &answer_of(&location)).await.unwrap();
    let sender = mk_sender(AddressPolicy::unrestricted(), &ProxySettings::default(), names(hostile_names).0);
    for insecure in [false, true] {
        let identity = mk_identity(Some(&authority), Some(&client), insecure);
        let found = answer(&sender, &away.url("127.0.0.1"), identity.as_ref()).await;
        let expected = "TLS with to-loopback.example failed: invalid peer certificate: UnknownIssuer";
        assert_eq!(found, Err(expected.to_owned()));
    }
    let shown = Some(client.der);
    assert_eq!((away.clients(), other.clients()), (vec![shown.clone(), shown], Vec::new()));
}
