//! The layouts that the chart offers, each with its own ServiceAccounts: what the operator and the API need, they may do.
//!
//! All other tests run with the chart's own values: cluster-wide, and the API in a Deployment of its own.

use std::{collections::BTreeMap, path::Path};

use oncall_webhooks::resources::{ResponsePhase, WebhookResponse};
use reqwest::Method;
use serde_json::json;
use support::{Answer, Api, Installation, Operator, Receiver};

use super::{Team, WEBHOOKS, path};
use crate::harness::{LIMIT, TestNamespace, cluster, eventually};

/// Installs the chart as `release`, whose name must contain that of the chart, with these further values.
pub(super) async fn install(release: &str, values: &[&str]) -> Installation {
    let (release, mut all) = (release.to_owned(), vec!["controller.allowAddresses={127.0.0.1/32}".to_owned()]);
    all.extend(values.iter().map(|value| (*value).to_owned()));
    let installed = tokio::task::spawn_blocking(move || {
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        Installation::new(&cluster().0, &support::chart(), &release, &all)
    });
    installed.await.expect("join").expect("install the chart")
}

/// Makes a webhook with a password over the API, fires it, reads what came of it and deletes it, with `kubectl` only where a
/// person would.
async fn works_from_end_to_end(name: &str, place: TestNamespace, installation: &Installation) {
    let (cluster, _) = cluster();
    let binary = Path::new(env!("CARGO_BIN_EXE_oncall-webhooks"));
    // A cluster-wide operator would deliver the events of other tests too.
    let confined = |args: &[String]| -> Vec<String> {
        let others = args.iter().filter(|arg| !arg.starts_with("--namespace="));
        others.cloned().chain([format!("--namespace={}", place.namespace)]).collect()
    };
    let (name_of_operator, args) = (format!("{name}-operator"), confined(&installation.args));
    let started = Operator::start(binary, cluster.processes(), &name_of_operator, &installation.kubeconfig, &args);
    let operator = started.await.expect("start the operator");
    let api_args = confined(installation.api_args.as_deref().expect("a container named api"));
    let api =
        Api::start(binary, cluster.processes(), &format!("{name}-api"), &installation.api_kubeconfig, &api_args).await;
    let api = api.expect("start the REST API");
    let receiver = Receiver::start(|_| Answer::new(200, r#"{"ok": true}"#)).await.expect("start a receiver");

    let team = Team::within(place, api.url()).await;
    let fields = json!({"url": receiver.url(), "username": "ann", "password": "s3cret", "trigger_type": "resolve"});
    let webhook = team.create("one", fields).await;
    let event = json!({
        "apiVersion": "oncall.dev/v1alpha1", "kind": "AlertGroupEvent", "metadata": {"name": "resolved"},
        "spec": {"type": "resolve", "alertGroup": {"id": "I1"}},
    });
    team.apply(&event.to_string()).await;
    let received = receiver.wait_for(1, LIMIT).await.expect("a request arrives");
    assert_eq!(received[0].header("authorization"), Some("Basic YW5uOnMzY3JldA=="));
    let responses = format!("{}responses/", path(&webhook));
    let recorded = |responses: &BTreeMap<String, WebhookResponse>| {
        let status = responses.values().next()?.status.as_ref()?;
        (status.phase == ResponsePhase::Succeeded).then_some(())
    };
    team.objects_that("the delivery is recorded", recorded).await;
    eventually("the API shows the answer", || async {
        let shown = team.get(&responses).await.expect(200);
        (shown["results"][0]["content"] == r#"{"ok": true}"#).then_some(())
    })
    .await;
    // With an account of its own and without: a ServiceAccount's token is looked at too.
    team.kubectl(&["create", "serviceaccount", "caller"]).await;
    let token = team.kubectl(&["create", "token", "caller"]).await;
    let refused = team.send(Method::GET, WEBHOOKS, Some(token.trim()), None).await;
    assert!(refused.status == 403 && refused.body.contains("may not list webhooks.oncall.dev"), "{}", refused.body);
    assert_eq!(team.delete(&path(&webhook)).await.status, 204);
    let logs = format!("{}{}", operator.log(), api.process().log());
    // With Roles of one namespace, EndpointSlice default/kubernetes can't be read, which is no warning.
    let refused = |line: &&str| line.contains("forbidden") && !line.contains("default/kubernetes");
    assert_eq!(logs.lines().filter(refused).collect::<Vec<_>>(), Vec::<&str>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_operators_pod_both_work_with_the_rights_of_one_service_account() {
    let place = TestNamespace::new("sidecar").await;
    let installation = install("sidecar-oncall-webhooks", &["api.placement=sidecar"]).await;
    assert_eq!(installation.kubeconfig, installation.api_kubeconfig);
    works_from_end_to_end("sidecar", place, &installation).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_one_namespace_both_work_with_roles_of_that_namespace_alone() {
    let place = TestNamespace::new("confined").await;
    let values = [format!("watchNamespaces={{{}}}", place.namespace)];
    let installation = install("confined-oncall-webhooks", &[&values[0]]).await;
    assert_ne!(installation.kubeconfig, installation.api_kubeconfig);
    works_from_end_to_end("confined", place, &installation).await;
}
