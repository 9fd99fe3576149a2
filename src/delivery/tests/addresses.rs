//! Only allowed addresses are reached, however they are spelled, whatever names resolve to, and after redirects.

use std::sync::Arc;

use futures::future::{self, FutureExt, join_all};
use parking_lot::Mutex;
use tokio::{net::TcpListener, sync::watch};

use super::{
    fixtures::{
        Listener, NOT_SUPPORTED, UNRESOLVED, get, get_from, hostile_names, ips, mk_sender, names, outcome, policy,
    },
    spellings::{LOCAL, LOCAL6, tricks},
};
use crate::{
    core::{address::AddressPolicy, response::Outcome},
    delivery::{Ports, ProxySettings, Sender, ServiceLookup, ServiceTarget},
};

#[tokio::test]
async fn no_spelling_of_a_forbidden_address_is_reached() {
    let trap = Listener::everywhere().await;
    let sender = mk_sender(policy(), &ProxySettings::default(), names(hostile_names).0);
    let tricks = tricks(trap.port);
    let found = join_all(tricks.iter().map(|(url, _)| get(&sender, url))).await;
    let wrong: Vec<_> = tricks.iter().zip(found).filter(|((_, expected), found)| expected != found).collect();
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), tricks.len());
    assert_eq!(trap.connections(), 0);
}

#[tokio::test]
async fn the_same_spellings_reach_this_machine_where_everything_is_allowed() {
    let trap = Listener::everywhere().await;
    let sender = mk_sender(AddressPolicy::unrestricted(), &ProxySettings::default(), names(hostile_names).0);
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
async fn no_redirect_leads_to_a_forbidden_address() {
    let trap = Listener::everywhere().await;
    let sender = mk_sender(policy(), &ProxySettings::default(), names(hostile_names).0);
    // A line break would end the header of the answer.
    let locations = tricks(trap.port).into_iter().map(|(url, _)| url).filter(|location| !location.contains('\n'));
    let mut tried = 0;
    for location in locations {
        // The receiver of the redirect itself is reached: its name is allowed.
        let receiver = Listener::redirect(&location).await;
        let url = format!("http://to-loopback.allowed.example:{}/", receiver.port);
        let outcome = outcome(&sender, &url, None).await;
        match &outcome {
            Outcome::UrlRefused { sent: true, .. } => {}
            // The location can't be read, or leads back to the same receiver.
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
    let (dns, asked) = names(|_, before| ips(&[["127.0.0.2", "127.0.0.1"][before % 2]]));
    let policy = AddressPolicy::new("cluster.local").allow(vec!["127.0.0.2".parse().unwrap()], Vec::new());
    let sender = mk_sender(policy, &ProxySettings::default(), dns);
    let url = format!("http://rebinding.example:{}/", receiver.port);
    assert_eq!(get(&sender, &url).await, "200 ok");
    assert_eq!((asked.lock().len(), receiver.connections()), (1, 1));
    assert_eq!(get(&sender, &url).await, UNRESOLVED);
    assert_eq!(get(&sender, &url).await, "200 ok");
    assert_eq!(get(&sender, &format!("http://rebinding.example:{}/", trap.port)).await, UNRESOLVED);
    assert_eq!((asked.lock().len(), receiver.connections(), trap.connections()), (4, 2, 0));
}

#[tokio::test]
async fn a_connection_of_one_namespace_is_not_for_another_that_may_not_have_it() {
    let receiver = Listener::everywhere().await;
    let (dns, asked) = names(|_, _| ips(&["127.0.0.1"]));
    let allowed = ["team=127.0.0.0/8"].map(|text| text.parse().unwrap()).to_vec();
    let hosts = ["site=shared.example", "other=everywhere.example"].map(|text| text.parse().unwrap()).to_vec();
    let sender = mk_sender(AddressPolicy::new("cluster.local").allow(allowed, hosts), &ProxySettings::default(), dns);
    let url = |host: &str| format!("http://{host}:{}/", receiver.port);
    for (namespace, host, expected) in [
        ("team", "shared.example", "200 reached"),
        // This one uses the connection that was kept.
        ("team", "shared.example", "200 reached"),
        ("other", "shared.example", UNRESOLVED),
        ("third", "shared.example", UNRESOLVED),
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
async fn a_service_of_the_same_namespace_is_reached_where_it_leads_and_no_name_server_is_asked() {
    let receiver = Listener::everywhere().await;
    // Loopback stands in for a cluster's network.
    let policy = policy().allow(vec!["127.0.0.0/8".parse().unwrap()], Vec::new());
    let (dns, asked) = names(|_, _| ips(&["10.96.7.7"]));
    let sender = mk_sender(policy, &ProxySettings::default(), dns);
    let url = |host: &str| format!("http://{host}:{}/", receiver.port);
    assert_eq!(get(&sender, &url("chat.team.svc")).await, "200 reached");
    assert_eq!(get(&sender, &url("stolen.team.svc")).await, NOT_SUPPORTED);
    assert_eq!(get(&sender, &url("away.team.svc")).await, "It is not known where Service away leads");
    assert_eq!(get(&sender, &url("empty.team.svc")).await, UNRESOLVED);
    assert!(asked.lock().is_empty());
    assert_eq!(get(&sender, &url("external.team.svc")).await, UNRESOLVED);
    assert_eq!(get_from("other", &sender, &url("stolen.team.svc")).await, UNRESOLVED);
    assert_eq!((receiver.connections(), asked.lock().len()), (1, 2));
}

#[tokio::test]
async fn a_service_that_is_changed_leads_where_it_is_judged_to_lead_at_that_moment() {
    let closing = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok".to_owned();
    let own = Listener::new("127.0.0.2:0", closing).await;
    // It stands in for another tenant's.
    let trap = Listener::new(&format!("127.0.0.1:{}", own.port), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let base = AddressPolicy::new("cluster.local").allow(vec!["127.0.0.2".parse().unwrap()], Vec::new());
    let targets = Arc::new(Mutex::new(ServiceTarget::External));
    let services: ServiceLookup = Arc::new({
        let targets = Arc::clone(&targets);
        move |_, _| future::ready(Ok(targets.lock().clone())).boxed()
    });
    // The name server knows of a change sooner than anybody, or later.
    let dns = names(|_, _| ips(&["127.0.0.1"])).0;
    let ports = Ports { services, ..Ports::without_cluster(base) };
    let sender = Sender::with_dns(ports, &ProxySettings::default(), dns).unwrap();
    let url = format!("http://chat.team.svc:{}/", own.port);
    let in_cluster = || ServiceTarget::Cluster { addresses: ips(&["127.0.0.2"]), endpoints: ips(&["10.7.7.7"]) };
    for (target, expected) in [
        (in_cluster(), "200 ok"),
        (ServiceTarget::External, UNRESOLVED),
        (in_cluster(), "200 ok"),
        (ServiceTarget::Cluster { addresses: ips(&["127.0.0.1"]), endpoints: Vec::new() }, NOT_SUPPORTED),
    ] {
        *targets.lock() = target.clone();
        assert_eq!(get(&sender, &url).await, expected, "{target:?}");
    }
    assert_eq!((own.connections(), trap.connections()), (2, 0));
}

#[tokio::test]
async fn namespaces_share_no_connections() {
    let receiver = Listener::everywhere().await;
    let sender = mk_sender(AddressPolicy::unrestricted(), &ProxySettings::default(), names(hostile_names).0);
    let url = format!("http://to-loopback.example:{}/", receiver.port);
    for (namespace, connections) in [("team", 1), ("other", 2), ("team", 2), ("other", 2)] {
        assert_eq!(get_from(namespace, &sender, &url).await, "200 reached");
        assert_eq!(receiver.connections(), connections, "{namespace}");
    }
}

#[tokio::test]
async fn a_connection_that_was_judged_by_an_earlier_policy_is_not_used_again() {
    let receiver = Listener::new("127.0.0.1:0", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let base = AddressPolicy::new("cluster.local").allow(vec!["127.0.0.0/8".parse().unwrap()], Vec::new());
    let (policies, receives) = watch::channel(Arc::new(base.clone()));
    let ports = Ports { policies: receives, ..Ports::without_cluster(base.clone()) };
    let sender = Sender::with_dns(ports, &ProxySettings::default(), names(hostile_names).0).unwrap();
    let url = format!("http://to-loopback.example:{}/", receiver.port);
    for _ in 0..2 {
        assert_eq!(get(&sender, &url).await, "200 ok");
    }
    assert_eq!(receiver.connections(), 1);
    policies.send_replace(Arc::new(base.guard_api_server(ips(&["127.0.0.1"]), [])));
    assert_eq!(get(&sender, &url).await, UNRESOLVED);
}

#[tokio::test]
async fn a_refused_name_reads_as_one_that_does_not_exist() {
    let sender = mk_sender(policy(), &ProxySettings::default(), names(hostile_names).0);
    let of = async |host: &str| outcome(&sender, &format!("http://{host}/"), None).await;
    let missing = of("missing.other.svc").await;
    assert_eq!(missing, Outcome::UrlRefused { message: UNRESOLVED.to_owned(), sent: false, retryable: true });
    for host in ["chat.other.svc", "chat.team", "team.svc", "to-private.example", "to-metadata.example"] {
        assert_eq!(of(host).await, missing, "{host}");
    }
}

#[tokio::test]
async fn an_address_of_the_api_server_is_refused_from_the_moment_it_is_known() {
    let closing = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok".to_owned();
    let receiver = Listener::new("127.0.0.1:0", closing).await;
    let base = AddressPolicy::new("cluster.local").allow(vec!["127.0.0.0/8".parse().unwrap()], Vec::new());
    let (policies, receives) = watch::channel(Arc::new(base.clone()));
    let parts = Ports { policies: receives, ..Ports::without_cluster(base.clone()) };
    let sender = Sender::with_dns(parts, &ProxySettings::default(), names(hostile_names).0).unwrap();
    let urls = ["127.0.0.1", "to-loopback.example"].map(|host| format!("http://{host}:{}/", receiver.port));
    for url in &urls {
        assert_eq!(get(&sender, url).await, "200 ok");
    }
    policies.send_replace(Arc::new(base.guard_api_server(ips(&["127.0.0.1"]), [])));
    for (url, expected) in urls.iter().zip([NOT_SUPPORTED, UNRESOLVED]) {
        assert_eq!(get(&sender, url).await, expected);
    }
    assert_eq!(receiver.connections(), 2);
}

#[tokio::test]
async fn an_allowed_host_is_reached_with_all_below_it() {
    let receiver = Listener::everywhere().await;
    let sender = mk_sender(policy(), &ProxySettings::default(), names(hostile_names).0);
    for host in ["allowed.example", "Allowed.EXAMPLE.", "to-loopback.allowed.example", "to-loopback.%61llowed.example"]
    {
        assert_eq!(get(&sender, &format!("http://{host}:{}/", receiver.port)).await, "200 reached", "{host}");
    }
}
