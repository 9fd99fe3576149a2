//! Names are looked up without holding up others.

use std::{net::SocketAddr, time::Duration};

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
use tokio::net::UdpSocket;

use super::fixtures::{Listener, get, mk_sender, outcome_within};
use crate::{
    core::{address::AddressPolicy, response::Outcome},
    delivery::{ProxySettings, resolver::dns_of},
};

/// Starts a name server that says nothing of names below `silent.example`, and of all others that they are at 127.0.0.1.
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
async fn names_whose_server_never_answers_hold_up_no_others() {
    let receiver = Listener::everywhere().await;
    let server = name_server().await;
    let mut connection = ConnectionConfig::udp();
    connection.port = server.port();
    let servers = vec![NameServerConfig::new(server.ip(), true, vec![connection])];
    let servers = ResolverConfig::from_parts(None, Vec::new(), servers);
    let servers = TokioResolver::builder_with_config(servers, TokioRuntimeProvider::default());
    let sender = mk_sender(AddressPolicy::unrestricted(), &ProxySettings::default(), dns_of(Ok(servers)));
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
