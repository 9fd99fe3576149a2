//! Names are looked up without holding up others.

use std::{net::SocketAddr, time::Duration};

use futures::future::join_all;
use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolverConfig},
    net::runtime::TokioRuntimeProvider,
    proto::{
        op::{Message, MessageType},
        rr::{
            RData, Record, RecordType,
            rdata::{A, CNAME},
        },
    },
};
use tokio::net::UdpSocket;

use super::fixtures::{LIMIT, Listener, NOT_SUPPORTED, TEAM, UNRESOLVED, get, mk_request, mk_sender, outcome_within};
use crate::{
    core::{address::AddressPolicy, request::Header, request_url::RequestUrl, response::Outcome},
    delivery::{ProxySettings, Sender, resolver::dns_of},
};

/// Starts a name server that says nothing of names below `silent.example`, that `alias.example` stands for `middle.example`, this
/// for `api.closed.example`, and of all others that they are at 127.0.0.1.
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
            let alias = match asked.name().to_string().as_str() {
                "alias.example." => Some("middle.example."),
                "middle.example." => Some("api.closed.example."),
                _ => None,
            };
            if let Some(alias) = alias {
                let alias = RData::CNAME(CNAME(alias.parse().unwrap()));
                answer.answers.push(Record::from_rdata(asked.name().clone(), 60, alias));
            } else if asked.query_type() == RecordType::A {
                let address = RData::A(A::new(127, 0, 0, 1));
                answer.answers.push(Record::from_rdata(asked.name().clone(), 60, address));
            }
            socket.send_to(&answer.to_vec().unwrap(), asker).await.unwrap();
        }
    });
    address
}

/// A sender that asks this name server.
fn asking(server: SocketAddr, policy: AddressPolicy) -> Sender {
    let mut connection = ConnectionConfig::udp();
    connection.port = server.port();
    let servers = vec![NameServerConfig::new(server.ip(), true, vec![connection])];
    let servers = ResolverConfig::from_parts(None, Vec::new(), servers);
    let servers = TokioResolver::builder_with_config(servers, TokioRuntimeProvider::default());
    mk_sender(policy, &ProxySettings::default(), dns_of(Ok(servers)))
}

#[tokio::test]
async fn a_closed_host_is_closed_by_each_name_of_a_chain_and_as_host_header() {
    let receiver = Listener::everywhere().await;
    let loopback = vec!["127.0.0.1".parse().unwrap()];
    let policy = |allowed: &[&str]| {
        let allowed = allowed.iter().map(|host| host.parse().unwrap()).collect();
        let policy = AddressPolicy::new("cluster.local").allow(loopback.clone(), allowed);
        policy.close(Vec::new(), vec!["closed.example".to_owned()])
    };
    let server = name_server().await;
    let sender = asking(server, policy(&[]));
    let url = |host: &str| format!("http://{host}:{}/", receiver.port);
    assert_eq!(get(&sender, &url("sound.example")).await, "200 reached");
    assert_eq!(get(&sender, &url("api.closed.example")).await, NOT_SUPPORTED);
    // The second time, what was found is at hand.
    for host in ["alias.example", "alias.example", "middle.example"] {
        assert_eq!(get(&sender, &url(host)).await, UNRESOLVED, "{host}");
    }
    for (host, expected) in [("api.closed.example", Err(NOT_SUPPORTED)), ("other.example", Ok(200))] {
        let mut request = mk_request(RequestUrl::parse(&url("127.0.0.1")).unwrap(), None);
        request.first.headers.push(Header { name: "host".to_owned(), value: host.into(), secret: false });
        let found = match sender.send(TEAM, &request, "id", LIMIT).await {
            Outcome::Answer { status, .. } => Ok(status),
            Outcome::UrlRefused { message, .. } => Err(message),
            other => panic!("{other:?}"),
        };
        assert_eq!(found, expected.map_err(str::to_owned), "{host}");
    }
    // One that is named by itself is open, whatever leads there.
    let sender = asking(server, policy(&["api.closed.example"]));
    assert_eq!(get(&sender, &url("alias.example")).await, "200 reached");
}

#[tokio::test]
async fn names_whose_server_never_answers_hold_up_no_others() {
    let receiver = Listener::everywhere().await;
    let sender = asking(name_server().await, AddressPolicy::unrestricted());
    // These are more than a runtime has threads for blocking work.
    let silent = (0..600).map(|number| {
        let sender = sender.clone();
        async move {
            let url = format!("http://{number}.silent.example/");
            outcome_within(Duration::from_millis(100), &sender, &url).await
        }
    });
    for (number, outcome) in join_all(silent).await.into_iter().enumerate() {
        let message = format!("No answer from {number}.silent.example within 0.1 s");
        assert_eq!(outcome, Outcome::Failure { message, retryable: true });
    }
    assert_eq!(get(&sender, &format!("http://sound.example:{}/", receiver.port)).await, "200 reached");
}
