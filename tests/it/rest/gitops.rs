//! Objects that another tool keeps as they are can be read here, and changed there.

use oncall_webhooks::resources::Webhook;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Team, WEBHOOKS, start, webhook_id};
use crate::harness::eventually;

/// The labels or annotations that each tool puts on its objects, and how the refusal names it.
fn managed() -> Vec<(&'static str, Value, &'static str)> {
    vec![
        (
            "flux",
            json!({"labels": {
                "kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system",
            }}),
            "Flux (Kustomization flux-system/apps)",
        ),
        (
            "flux-helm",
            json!({"labels": {"helm.toolkit.fluxcd.io/name": "apps", "helm.toolkit.fluxcd.io/namespace": "team"}}),
            "Flux (HelmRelease team/apps)",
        ),
        (
            "argo",
            json!({"annotations": {"argocd.argoproj.io/tracking-id": "apps:oncall.dev/Webhook:team/argo"}}),
            "Argo CD (Application apps)",
        ),
        (
            "helm",
            json!({
                "labels": {"app.kubernetes.io/managed-by": "Helm"},
                "annotations": {"meta.helm.sh/release-name": "hooks", "meta.helm.sh/release-namespace": "team"},
            }),
            "Helm (release team/hooks)",
        ),
    ]
}

/// Applies a webhook of each tool, waits until the API shows them, and returns their paths.
async fn apply(team: &Team) -> Vec<(String, &'static str)> {
    let mut items = Vec::new();
    for (name, mut metadata, _) in managed() {
        metadata["name"] = name.into();
        items.push(json!({
            "apiVersion": "oncall.dev/v1alpha1", "kind": "Webhook", "metadata": metadata,
            "spec": {"triggerType": "resolve", "url": "https://example.com"},
        }));
    }
    team.apply(&json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()).await;
    let mut paths = Vec::new();
    for (name, _, tool) in managed() {
        let object = team.api::<Webhook>().get(name).await.expect("get Webhook");
        let path = format!("{WEBHOOKS}{}/", webhook_id(&object));
        eventually("the webhook is shown", || async { (team.get(&path).await.status == 200).then_some(()) }).await;
        paths.push((path, tool));
    }
    paths
}

#[tokio::test(flavor = "multi_thread")]
async fn what_flux_argo_cd_or_helm_manage_is_read_only_and_the_refusal_says_who_and_what_to_do() {
    let team = Team::new("gitops").await;
    for (path, tool) in apply(&team).await {
        let before = team.get(&path).await.expect(200);
        let change = json!({"is_webhook_enabled": false});
        for (method, body) in [(Method::PUT, Some(&change)), (Method::PATCH, Some(&change)), (Method::DELETE, None)] {
            let refused = team.call(method.clone(), &path, body).await.expect(403);
            let detail = refused["detail"].as_str().expect("a detail");
            assert!(detail.contains(tool), "{method}: {detail}");
        }
        assert_eq!(team.get(&path).await.expect(200), before, "{tool}");
    }
    assert_eq!(team.get(WEBHOOKS).await.expect(200)["count"], managed().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_allow_managed_they_can_be_changed_here_too() {
    let api = start("api-allow-managed", &["--allow-managed"]).await;
    let team = Team::at("allow-managed", api.url()).await;
    for (path, tool) in apply(&team).await {
        let changed = team.put(&path, json!({"is_webhook_enabled": false})).await.expect(200);
        assert_eq!(changed["is_webhook_enabled"], false, "{tool}");
        team.delete(&path).await.expect(204);
    }
    assert_eq!(team.get(WEBHOOKS).await.expect(200)["count"], 0);
}
