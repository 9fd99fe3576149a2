//! A Secret is used if it carries the label and is of the webhook's namespace, and no longer.

use std::path::Path;

use cluster::Cluster;
use serde_json::{Value, json};
use support::{Answer, Installation, Operator, Receiver, output, pipe};

use crate::harness::{LIMIT, World, eventually};

const NOT_FOUND: &str = "Secret 'token' does not exist or lacks the label oncall.dev/secret=true";

fn secret(value: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "token", "labels": {"oncall.dev/secret": "true"}},
        "stringData": {"key": value},
    })
}

fn authorization() -> Value {
    json!({"authorizationHeader": {"secretKeyRef": {"name": "token", "key": "key"}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_whose_label_is_taken_off_is_used_no_more() {
    let world = World::new("unlabelled").await;
    world.apply(&secret("Bearer t0ken").to_string()).await;
    world.seen_webhook("one", "resolve", authorization()).await;
    world.event("first", "resolve", "I1", json!({})).await;
    world.completed("first", 1).await;
    assert_eq!(world.receiver.received()[0].header("authorization"), Some("Bearer t0ken"));

    world.kubectl(&["label", "secret", "token", "oncall.dev/secret-"]).await;
    world.condition("one", "Ready", Some("SecretNotFound")).await;
    world.event("second", "resolve", "I1", json!({})).await;
    let status = world.completed("second", 1).await.status.expect("a status");
    assert_eq!((status.succeeded, status.failed, world.receiver.count()), (0, 1, 1));
    let recorded = world.responses().await.remove(&("one".to_owned(), "second".to_owned()));
    let headers = recorded.and_then(|response| response.status?.request_headers);
    assert_eq!(headers, Some(format!("Headers - {NOT_FOUND}")));

    world.kubectl(&["label", "secret", "token", "oncall.dev/secret=true"]).await;
    world.condition("one", "Ready", Some("Valid")).await;
    world.event("third", "resolve", "I1", json!({})).await;
    world.completed("third", 1).await;
    assert_eq!(world.receiver.count(), 2);
}

/// It has a control plane of its own: its operator works in all namespaces.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_of_another_namespace_is_never_used() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cluster = tokio::task::spawn_blocking(Cluster::start).await.expect("join").expect("start a control plane");
    let chart = support::chart();
    let values = ["controller.allowAddresses={127.0.0.1/32}", "api.enabled=false"];
    let installation = Installation::new(&cluster, &chart, "oncall-webhooks", &values).expect("install the chart");
    let receiver = Receiver::start(|_| Answer::new(200, "")).await.expect("start a receiver");
    let kubectl = async |args: &[&str]| {
        let mut kubectl = cluster.kubectl();
        kubectl.args(args);
        tokio::task::spawn_blocking(move || output(&mut kubectl)).await.expect("run kubectl")
    };
    let apply = |namespace: &str, objects: &[Value]| {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
        pipe(cluster.kubectl().args(["apply", "--namespace", namespace, "-f", "-"]), &list).expect("apply");
    };
    kubectl(&["wait", "--for=condition=Established", "crd", "--all"]).await.expect("wait for the CRDs");
    for namespace in ["ours", "theirs"] {
        kubectl(&["create", "namespace", namespace]).await.expect("create a namespace");
    }
    let binary = Path::new(env!("CARGO_BIN_EXE_oncall-webhooks"));
    let started =
        Operator::start(binary, cluster.processes(), "operator", &installation.kubeconfig, &installation.args);
    let operator = started.await.expect("start the operator");

    let mut webhook: Value = json!({
        "apiVersion": "oncall.dev/v1alpha1",
        "kind": "Webhook",
        "metadata": {"name": "one"},
        "spec": {"triggerType": "resolve", "url": receiver.url()},
    });
    webhook["spec"].as_object_mut().expect("a spec").extend(authorization().as_object().expect("fields").clone());
    let event = json!({
        "apiVersion": "oncall.dev/v1alpha1",
        "kind": "AlertGroupEvent",
        "metadata": {"name": "resolved"},
        "spec": {"type": "resolve", "alertGroup": {"id": "I1"}},
    });
    // What is delivered there tells that the operator knows the Secret.
    apply("theirs", &[secret("Bearer theirs"), webhook.clone(), event.clone()]);
    receiver.wait_for(1, LIMIT).await.expect("a request");
    apply("ours", &[webhook, event]);
    let headers = eventually("the record of the other namespace", || async {
        let args = ["get", "whr", "--namespace=ours", "-o=jsonpath={.items[*].status.requestHeaders}"];
        kubectl(&args).await.ok().filter(|found| !found.is_empty())
    })
    .await;
    assert_eq!(headers, format!("Headers - {NOT_FOUND}"));
    let received: Vec<_> =
        receiver.received().iter().map(|request| request.header("authorization").map(str::to_owned)).collect();
    assert_eq!(received, [Some("Bearer theirs".to_owned())]);
    assert!(!operator.log().contains("Bearer theirs"), "{}", operator.log());
}
