//! What one namespace's templates take of the operator's time is no other's.

use std::path::Path;

use cluster::Cluster;
use serde_json::{Value, json};
use support::{Answer, Installation, Operator, Receiver, output, pipe};

use crate::harness::LIMIT;

/// A body that takes a tenth of a second or more, each time anew: its patterns are too large to be kept.
const SLOW: &str = r"{% for c in 'x' * 12 %}{{ 'a' | regex_match('\\w{1,9}' ~ loop.index) }}{% endfor %}";

/// How many webhooks have that body.
const FLOOD: usize = 100;

fn webhook(name: &str, url: &str, data: &str) -> Value {
    let spec = json!({"triggerType": "resolve", "url": url, "data": data});
    json!({"apiVersion": "oncall.dev/v1alpha1", "kind": "Webhook", "metadata": {"name": name}, "spec": spec})
}

fn event() -> Value {
    let spec = json!({"type": "resolve", "alertGroup": {"id": "I1"}});
    let metadata = json!({"name": "resolved"});
    json!({"apiVersion": "oncall.dev/v1alpha1", "kind": "AlertGroupEvent", "metadata": metadata, "spec": spec})
}

/// It has a control plane of its own: its operator works in all namespaces.
#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_whose_templates_take_long_holds_up_no_other() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cluster = tokio::task::spawn_blocking(Cluster::start).await.expect("join").expect("start a control plane");
    let values = ["controller.allowAddresses={127.0.0.1/32}", "api.enabled=false"];
    let installation =
        Installation::new(&cluster, &support::chart(), "oncall-webhooks", &values).expect("install the chart");
    let [slow, calm] = [(); 2].map(|()| Receiver::start(|_| Answer::new(200, "")));
    let (slow, calm) = (slow.await.expect("start a receiver"), calm.await.expect("start a receiver"));
    let apply = |namespace: &str, objects: &[Value]| {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
        pipe(cluster.kubectl().args(["apply", "--namespace", namespace, "-f", "-"]), &list).expect("apply");
    };
    output(cluster.kubectl().args(["wait", "--for=condition=Established", "crd", "--all"])).expect("wait for the CRDs");
    for namespace in ["flood", "calm"] {
        output(cluster.kubectl().args(["create", "namespace", namespace])).expect("create a namespace");
    }
    let flood: Vec<Value> = (0..FLOOD).map(|number| webhook(&format!("slow-{number}"), &slow.url(), SLOW)).collect();
    apply("flood", &flood);
    let binary = Path::new(env!("CARGO_BIN_EXE_oncall-webhooks"));
    let started =
        Operator::start(binary, cluster.processes(), "operator", &installation.kubeconfig, &installation.args);
    let _operator = started.await.expect("start the operator");

    apply("flood", &[event()]);
    slow.wait_for(1, LIMIT).await.expect("a request of the flood, which is under way now");
    // Rendered for the first time too, and with a pattern.
    let quick = r"{{ 'abc' | regex_match('\\w+') }} {{ event.type }}";
    apply("calm", &[webhook("quick", &calm.url(), quick), event()]);
    let received = calm.wait_for(1, LIMIT).await.expect("the other namespace's request");
    let flooded = slow.count();
    assert_eq!(received[0].body, "True resolve");
    assert!(flooded < FLOOD / 2, "{flooded} of {FLOOD} slow ones went first");
    // All of them come in the end.
    slow.wait_for(FLOOD, LIMIT).await.expect("all requests of the flood");
}
