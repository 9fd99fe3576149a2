//! The API in a cluster whose definitions are those of an earlier version. It has a control plane of its own, since there is one
//! set of definitions in a cluster.

use std::path::Path;

use cluster::Cluster;
use reqwest::{Client, Response, header::AUTHORIZATION};
use serde_json::Value;
use support::{Api, output, pipe};

use super::WEBHOOKS;
use crate::harness::{cluster, eventually};

const TOKEN: &str = "
apiVersion: v1
kind: Secret
metadata: {name: token, namespace: default, labels: {oncall.dev/api-token: 'true'}}
stringData: {token: oncall_before_alerts}
";

const LACKING: &str = "The cluster has no definition of AlertGroup, Integration: no alert is taken, and no alert group or \
                       integration shown until those of this version are applied (kubectl apply -f crds/).";

fn define(own: &Cluster, kinds: &[&str]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    for kind in kinds {
        let file = folder.join(format!("{kind}.oncall.dev.yaml"));
        output(own.kubectl().args(["apply", "--server-side", "-f"]).arg(&file)).expect("apply a definition");
        let name = format!("crd/{kind}.oncall.dev");
        output(own.kubectl().args(["wait", "--for=condition=Established", "--timeout=60s", &name])).expect("wait");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_definitions_from_before_alerts_webhooks_are_served_and_alerts_once_theirs_are_applied() {
    let (_, installation) = tokio::task::spawn_blocking(cluster).await.expect("prepare the cluster");
    let own = tokio::task::spawn_blocking(|| {
        let own = Cluster::start().expect("start a control plane");
        define(&own, &["webhooks", "webhookresponses", "alertgroupevents"]);
        pipe(own.kubectl().args(["apply", "-f", "-"]), TOKEN).expect("make a token");
        own
    });
    let own = own.await.expect("join");
    let binary = Path::new(env!("CARGO_BIN_EXE_oncall-webhooks"));
    let args: Vec<String> = installation.api_args.iter().flatten().cloned().collect();
    let api = Api::start(binary, own.processes(), "api", own.kubeconfig(), &args).await.expect("start the REST API");
    let http = Client::builder().no_proxy().build().expect("make a client");
    let get = async |path: &str| -> Response {
        let request = http.get(format!("{}{path}", api.url())).header(AUTHORIZATION, "oncall_before_alerts");
        request.send().await.expect("an answer")
    };
    eventually("webhooks are served", || async { (get(WEBHOOKS).await.status() == 200).then_some(()) }).await;
    for path in ["/api/v1/alert_groups/", "/api/v1/alerts/", "/api/v1/integrations/"] {
        let answer = get(path).await;
        assert_eq!((answer.status().as_u16(), answer.headers().contains_key("retry-after")), (503, true), "{path}");
        let body: Value = serde_json::from_str(&answer.text().await.expect("a body")).expect("JSON");
        assert_eq!(body["detail"], LACKING, "{path}");
    }
    let readiness = async || {
        let answer = get("/readyz").await;
        (answer.status().as_u16(), answer.text().await.expect("a body"))
    };
    assert_eq!(readiness().await, (200, format!("ok\n{LACKING}\n")));
    let told = api.process().events("the cluster lacks definitions; the REST API serves what it can, and looks again");
    assert!(told.iter().any(|line| line["error"] == LACKING), "{}", api.process().log());

    let own = tokio::task::spawn_blocking(move || {
        define(&own, &["alertgroups", "integrations"]);
        own
    });
    let _own = own.await.expect("join");
    for path in ["/api/v1/alert_groups/", "/api/v1/alerts/", "/api/v1/integrations/"] {
        eventually("alerts are served", || async { (get(path).await.status() == 200).then_some(()) }).await;
    }
    assert_eq!(readiness().await, (200, "ok\n".to_owned()));
}
