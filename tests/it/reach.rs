//! Addresses that must not be reached are not, and those that may be are.

use oncall_webhooks::resources::{ResponsePhase, WebhookResponseStatus};
use serde_json::{Value, json};
use support::{Answer, Received, Receiver, pipe};

use crate::harness::{World, cluster};

const REFUSED: &str = "URL - This url is not supported for outgoing webhooks";

fn ok() -> Answer {
    Answer::new(200, "ok")
}

/// The record of a run that sent nothing: the reason in place of the URL, and what was sent before that.
fn assert_refused(status: &WebhookResponseStatus, data: Option<&str>) {
    let found =
        (status.phase, status.url.as_deref(), status.status_code, &status.content, status.request_data.as_deref());
    assert_eq!(found, (ResponsePhase::Failed, Some(REFUSED), None, &None, data));
    assert_eq!((status.request_headers.is_some(), status.attempts.len()), (data.is_some(), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn private_addresses_are_refused_unless_the_configuration_allows_them() {
    let world = World::reaching("reach", |_| ok(), &[]).await;
    let port = world.receiver.url().rsplit_once(':').expect("a port").1.to_owned();
    let hosts = ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.1"];
    for (number, host) in hosts.iter().enumerate() {
        let url = format!("http://{host}:{port}/secret-path?secret-query");
        world.seen_webhook(&format!("hook-{number}"), "resolve", json!({"url": url})).await;
    }
    world.event("resolved", "resolve", "I1", json!({})).await;
    let status = world.completed("resolved", 6).await.status.expect("a status");
    assert_eq!((status.succeeded, status.failed, status.skipped), (0, 6, 0));
    for number in 0..hosts.len() {
        assert_refused(&world.response(&format!("hook-{number}")).await, None);
    }
    assert_eq!(world.receiver.count(), 0);

    // Who may want to allow it reads of it.
    let operator = world.operator.as_ref().expect("it runs");
    let mut logged: Vec<_> = operator.events("did not send a request: requests may not go to this host");
    logged.sort_by_key(|event| event["webhook"].to_string());
    let fields = |event: &Value| ["level", "namespace", "webhook", "host", "reason"].map(|field| event[field].clone());
    let expected = [
        "127.0.0.1 is the cluster's API server",
        "127.0.0.1 is the cluster's API server",
        "127.0.0.1 is the cluster's API server",
        "127.0.0.1 is the cluster's API server",
        "169.254.169.254 is link-local, where clouds have their metadata",
        "10.0.0.1 is private (RFC 1918)",
    ];
    let namespace = world.namespace.as_str();
    let lines = hosts.iter().zip(expected).enumerate().map(|(number, (host, reason))| {
        [json!("INFO"), json!(namespace), json!(format!("hook-{number}")), json!(host), json!(reason)]
    });
    assert_eq!(logged.iter().map(fields).collect::<Vec<_>>(), lines.collect::<Vec<_>>());
    assert!(!operator.log().contains("secret-"), "{}", operator.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_allowed_is_allowed_to_its_namespace() {
    let own =
        World::reaching("reach-own", |_| ok(), &["--allow-address=10.0.0.0/8,NAMESPACE=127.0.0.1,NAMESPACE=::1"]).await;
    let other = World::reaching("reach-other", |_| ok(), &["--allow-address=elsewhere=127.0.0.1,elsewhere=::1"]).await;
    let closed = ["--allow-address=127.0.0.1,::1", "--deny-host=localhost"];
    let closed_too = World::reaching("reach-closed", |_| ok(), &closed).await;
    let host =
        World::reaching("reach-host", |_| ok(), &[&closed[..], &["--allow-host=NAMESPACE=localhost"]].concat()).await;
    for world in [&own, &other, &closed_too, &host] {
        let at_localhost = world.receiver.url().replace("127.0.0.1", "localhost");
        world.seen_webhook("by-address", "resolve", json!({})).await;
        world.seen_webhook("by-name", "resolve", json!({"url": at_localhost})).await;
        world.event("resolved", "resolve", "I1", json!({})).await;
        world.completed("resolved", 2).await;
    }
    let phases = async |world: &World| {
        let (by_address, by_name) = (world.response("by-address").await, world.response("by-name").await);
        (by_address.phase, by_name.phase, world.receiver.count())
    };
    assert_eq!(phases(&own).await, (ResponsePhase::Succeeded, ResponsePhase::Succeeded, 2));
    assert_eq!(phases(&other).await, (ResponsePhase::Failed, ResponsePhase::Failed, 0));
    assert_eq!(phases(&closed_too).await, (ResponsePhase::Succeeded, ResponsePhase::Failed, 1));
    assert_eq!(phases(&host).await, (ResponsePhase::Succeeded, ResponsePhase::Succeeded, 2));
    assert_refused(&other.response("by-address").await, None);
    assert_refused(&other.response("by-name").await, None);
    assert_refused(&closed_too.response("by-name").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_of_ones_own_is_refused_where_it_leads_to_what_is_guarded() {
    // Where an API server that is not on loopback says that it is.
    let api_server = "10.98.1.2";
    let slice = |metadata: &Value, address: &str| {
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata,
            "addressType": "IPv4", "endpoints": [{"addresses": [address]}], "ports": [{"port": 80}],
        })
    };
    let mut kubectl = cluster().0.kubectl();
    kubectl.args(["apply", "--namespace=default", "-f", "-"]);
    pipe(&mut kubectl, &slice(&json!({"name": "kubernetes"}), api_server).to_string()).expect("be another API server");

    let world = World::reaching("reach-services", |_| ok(), &["--allow-address=10.0.0.0/8"]).await;
    let closed = World::reaching("reach-no-services", |_| ok(), &["--deny-own-services"]).await;
    let retry = json!({"maxAttempts": 1});
    let url_of = |world: &World, name: &str| format!("http://{name}.{}.svc/", world.namespace);
    for world in [&world, &closed] {
        let service = |name: &str, address: &str| {
            let metadata = json!({"name": name, "labels": {"kubernetes.io/service-name": name}});
            let service =
                json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [{"port": 80}]}});
            format!("{service}\n---\n{}\n---\n", slice(&metadata, address))
        };
        let services = [("sound", "10.98.7.6"), ("stolen", api_server), ("cloud", "168.63.129.16")];
        world.apply(&services.map(|(name, address)| service(name, address)).concat()).await;
        let names = ["sound", "stolen", "cloud", "missing"];
        for name in names {
            let url = url_of(world, name);
            world.seen_webhook(name, "resolve", json!({"url": url, "retry": retry, "timeout": "1s"})).await;
        }
        world.seen_webhook("direct", "resolve", json!({"url": format!("https://{api_server}/"), "retry": retry})).await;
        world.event("resolved", "resolve", "I1", json!({})).await;
        world.completed("resolved", names.len() as u32 + 1).await;
    }
    // There is no name server here that knows Services: what is looked up is looked up in vain. A Service is not: its address is
    // tried, wherever that leads here.
    let (unknown, sound) = ("URL - Cannot resolve name in url", url_of(&world, "sound"));
    let expected =
        [("sound", &*sound), ("stolen", REFUSED), ("cloud", REFUSED), ("missing", unknown), ("direct", REFUSED)];
    for (name, url) in expected {
        assert_eq!(world.response(name).await.url.as_deref(), Some(url), "{name}");
    }
    // From the moment that it is changed, it leads where its name leads. At another port no connection is kept.
    let url = url_of(&world, "sound").replace(".svc/", ".svc:81/");
    let moved = json!({"url": url, "retry": retry, "timeout": "1s"});
    world.seen_webhook("moved", "acknowledge", moved).await;
    let away = json!({"spec": {"type": "ExternalName", "externalName": "chat-b.team-b.svc.cluster.local"}}).to_string();
    world.kubectl(&["patch", "service", "sound", "--type=merge", "-p", &away]).await;
    world.event("acknowledged", "acknowledge", "I2", json!({})).await;
    world.completed("acknowledged", 1).await;
    assert_eq!(world.response("moved").await.url.as_deref(), Some(unknown));
    for name in ["sound", "stolen", "cloud"] {
        assert_eq!(closed.response(name).await.url.as_deref(), Some(unknown), "{name}");
    }
    let operator = world.operator.as_ref().expect("it runs");
    let mut reasons: Vec<_> = operator
        .events("did not send a request: requests may not go to this host")
        .iter()
        .map(|event| event["reason"].to_string())
        .collect();
    reasons.sort();
    let api_server = format!("\"{api_server} is the cluster's API server\"");
    assert_eq!(reasons, [api_server.clone(), api_server, "\"168.63.129.16 is Azure's metadata\"".to_owned()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_is_refused_unless_it_is_named() {
    let url = format!("{}/api", cluster().0.api_server_url());
    for (flag, refused) in [("--allow-address=127.0.0.0/8,0.0.0.0/0", true), ("--allow-address=127.0.0.1", false)] {
        let world = World::reaching("reach-api", |_| ok(), &[flag]).await;
        world.seen_webhook("hook", "resolve", json!({"url": url, "retry": {"maxAttempts": 1}})).await;
        world.event("resolved", "resolve", "I1", json!({})).await;
        world.completed("resolved", 1).await;
        let status = world.response("hook").await;
        if refused {
            assert_refused(&status, None);
        } else {
            // It is reached, and its certificate is not the system's.
            let content = status.content.unwrap_or_default();
            assert!(content.starts_with("TLS with 127.0.0.1 failed"), "{content}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_before_a_redirect_to_a_refused_address_is_recorded() {
    let hidden = Receiver::start(|_| ok()).await.expect("start a receiver");
    let location = hidden.url().replace("127.0.0.1", "localhost");
    let redirect = move |_: &Received| Answer { headers: vec![("Location", location.clone())], ..Answer::new(307, "") };
    let world =
        World::reaching("reach-redirect", redirect, &["--allow-address=127.0.0.1", "--deny-host=localhost"]).await;
    world.seen_webhook("hook", "resolve", json!({"data": "sent", "forwardAll": false})).await;
    world.event("resolved", "resolve", "I1", json!({})).await;
    world.completed("resolved", 1).await;
    assert_refused(&world.response("hook").await, Some("sent"));
    assert_eq!((world.receiver.count(), hidden.count()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_host_that_is_a_secret_stays_one() {
    let world = World::reaching("reach-secret", |_| ok(), &[]).await;
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: chat, labels: {oncall.dev/secret: 'true'}}\n\
                  stringData: {url: 'http://10.98.76.54/token'}\n";
    world.apply(secret).await;
    let spec = json!({"url": null, "urlFrom": {"secretKeyRef": {"name": "chat", "key": "url"}}});
    world.seen_webhook("hook", "resolve", spec).await;
    world.event("resolved", "resolve", "I1", json!({})).await;
    world.completed("resolved", 1).await;
    assert_refused(&world.response("hook").await, None);
    let operator = world.operator.as_ref().expect("it runs");
    let logged = operator.events("did not send a request: requests may not go to this host");
    let fields: Vec<_> = logged.iter().map(|event| (event["host"].as_str(), event["reason"].as_str())).collect();
    assert_eq!(fields, [(Some("****************"), Some("private (RFC 1918)"))]);
    assert!(!world.everything().await.contains("10.98.76.54"));
}
