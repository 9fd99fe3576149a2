//! The operator while the API server is away. The test has a control plane of its own, which it stops.

#![expect(clippy::expect_used, reason = "what a test can't go on without")]

use std::{
    collections::BTreeSet,
    path::Path,
    time::{Duration, Instant},
};

use cluster::{Cluster, Server, Signal};
use serde_json::json;
use support::{Answer, Installation, Operator, Receiver, output, pipe};

const LIMIT: Duration = Duration::from_secs(60);

/// Polls until the API server says so.
async fn eventually(cluster: &Cluster, args: &[&str], expected: &str) {
    let deadline = Instant::now() + LIMIT;
    loop {
        let mut kubectl = cluster.kubectl();
        kubectl.args(args);
        let found = tokio::task::spawn_blocking(move || output(&mut kubectl)).await.expect("run kubectl");
        match found {
            Ok(found) if found.trim() == expected => return,
            found => assert!(Instant::now() < deadline, "kubectl {args:?}: {found:?}, not {expected:?}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_while_the_api_server_is_away_is_recorded_later_and_sending_waits_at_its_bound() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cluster = Cluster::start().expect("start a control plane");
    let chart = support::chart();
    let values = ["controller.allowAddresses={127.0.0.1/32}", "controller.maxUnrecorded=6", "api.enabled=false"];
    let installation = Installation::new(&cluster, &chart, "oncall-webhooks", &values).expect("install the chart");
    let receiver = Receiver::start(|_| Answer { delay: Duration::from_secs(2), ..Answer::new(200, "") })
        .await
        .expect("a receiver");
    let binary = Path::new(env!("CARGO_BIN_EXE_oncall-webhooks"));
    let started =
        Operator::start(binary, cluster.processes(), "operator", &installation.kubeconfig, &installation.args);
    let mut operator = started.await.expect("start the operator");

    let mut objects = vec![json!({
        "apiVersion": "oncall.dev/v1alpha1",
        "kind": "Webhook",
        "metadata": {"name": "one"},
        "spec": {"triggerType": "resolve", "url": format!("{}/s3cret", receiver.url()), "timeout": "30s"},
    })];
    objects.extend((0..12).map(|number| {
        json!({
            "apiVersion": "oncall.dev/v1alpha1",
            "kind": "AlertGroupEvent",
            "metadata": {"name": format!("event-{number}")},
            "spec": {"type": "resolve", "alertGroup": {"id": format!("I{number}")}},
        })
    }));
    let manifests = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    pipe(cluster.kubectl().args(["apply", "-f", "-"]), &manifests).expect("apply");
    receiver.wait_for(1, LIMIT).await.expect("a request");

    Signal::Stop.send(cluster.pid(Server::ApiServer)).expect("stop the API server");
    operator
        .said("sending waits: as many deliveries as may be are sent and not yet recorded in the API server")
        .await
        .expect("it says so");
    // All requests have been answered by now, and there are no more of them than the bound allows.
    let before = receiver.count();
    assert!((1..=6).contains(&before), "{before}");
    let health = operator.events("the health port listens");
    let address = health[0]["address"].as_str().expect("an address");
    let metrics = reqwest::get(format!("http://{address}/metrics")).await.expect("metrics");
    let metrics = metrics.text().await.expect("text");
    for line in ["oncall_webhooks_sending_waits 1", "oncall_webhooks_deliveries_in_flight_limit 6"] {
        assert!(metrics.lines().any(|other| other == line), "{line}: {metrics}");
    }
    // Metrics have no secrets, and no names of objects whose number has no bound.
    for text in ["s3cret", &receiver.url(), "event-"] {
        assert!(!metrics.contains(text), "{text}: {metrics}");
    }
    // Longer than the Lease is certain.
    operator.said("failed to renew the Lease; nothing is sent until that succeeds").await.expect("it says so");
    assert_eq!(receiver.count(), before);

    Signal::Continue.send(cluster.pid(Server::ApiServer)).expect("let it go on");
    let phases = ["get", "agev", "-o", "jsonpath={.items[*].status.phase}"];
    eventually(&cluster, &phases, &["Completed"; 12].join(" ")).await;
    operator.said("sending goes on").await.expect("it says so");
    let phases = ["get", "whr", "-o", "jsonpath={.items[*].status.phase}"];
    eventually(&cluster, &phases, &["Succeeded"; 12].join(" ")).await;
    let ids: Vec<_> =
        receiver.received().iter().map(|request| request.header("webhook-id").map(str::to_owned)).collect();
    let different: BTreeSet<_> = ids.iter().collect();
    assert_eq!((ids.len(), different.len()), (12, 12), "nothing is sent again");
}
