//! `kubectl delete` of anything of ours, and of a namespace with all of it, comes to its end while the operator runs.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use oncall_webhooks::resources::{AlertGroup, AlertGroupEvent, Integration, WebhookResponse};
use serde_json::json;
use support::Answer;

use crate::harness::World;

/// The kinds, as people type them.
const KINDS: [&str; 5] = ["webhooks", "agev", "whr", "integrations", "alertgroups"];

/// Makes objects of every kind. Nothing of what is to be sent is taken, so that all of it is under way.
async fn made(world: &World) {
    let integration = json!({
        "apiVersion": "oncall.dev/v1alpha1", "kind": "Integration", "metadata": {"name": "script"},
        "spec": {"type": "webhook", "heartbeat": {"every": "1h"}, "escalation": [{"after": "1h", "webhookRefs": ["later"]}]},
    });
    world.apply(&integration.to_string()).await;
    let seen = |integration: Option<&Integration>| integration?.status.as_ref()?.id.as_ref().map(drop);
    world.object_that("the Integration is seen", "script", seen).await;
    world.seen_webhook("down", "alert group created", json!({"retry": {"initialDelay": "1h"}})).await;
    world.seen_webhook("later", "escalation", json!({"suspend": true})).await;
    let event = json!({
        "apiVersion": "oncall.dev/v1alpha1", "kind": "AlertGroupEvent", "metadata": {"name": "opened"},
        "spec": {"alert": {"integrationRef": {"name": "script"}, "groupingId": "a", "title": "Disk full", "payload": {}}},
    });
    world.apply(&event.to_string()).await;
    let any_group = |all: &BTreeMap<String, AlertGroup>| (!all.is_empty()).then_some(());
    world.objects_that("the alert group is there", any_group).await;
    let any_response = |all: &BTreeMap<String, WebhookResponse>| (!all.is_empty()).then_some(());
    world.objects_that("the request was sent", any_response).await;
}

async fn down() -> World {
    World::with_receiver("deleted", |_| Answer::new(503, "down")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_any_kind_comes_to_its_end_in_the_background_and_in_the_foreground() {
    let world = down().await;
    for cascade in ["--cascade=background", "--cascade=foreground"] {
        made(&world).await;
        for kind in KINDS {
            // It fails where the time is over.
            world.kubectl(&["delete", kind, "--all", cascade, "--timeout=20s"]).await;
        }
        let left = world.kubectl(&["get", "webhooks,agev,whr,integrations,alertgroups", "-o", "name"]).await;
        // What was under way may have been recorded once more meanwhile, for an owner that is gone.
        let left: Vec<&str> = left.lines().filter(|line| !line.starts_with("webhookresponse")).collect();
        assert_eq!(left, Vec::<&str>::new(), "{cascade}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_namespace_with_all_kinds_comes_to_its_end() {
    let mut world = down().await;
    made(&world).await;
    world.kubectl(&["delete", "namespace", &world.namespace, "--timeout=50s"]).await;
    let namespaces: Api<Namespace> = Api::all(world.api::<AlertGroupEvent>().into_client());
    let gone = namespaces.get_opt(&world.namespace).await.expect("look for the namespace");
    assert!(gone.is_none(), "{gone:?}");
    world.kill_operator();
}
