//! What lies in the cluster can't take more of the operator's memory than its limit gives it. The limit here is the least.

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use oncall_webhooks::resources::{AlertGroupEvent, SECRET_LABEL, Webhook, WebhookResponse};
use serde_json::{Value, json};
use support::Answer;

use crate::harness::{Namespaced, World};

const LIMIT: &str = "--memory-limit=64Mi";

/// How many objects of each kind there are.
const MANY: usize = 40;
/// How many bytes each has. Together they are several times what the operator may hold of them.
const LARGE: usize = 700_000;
/// How much more memory the operator may have had at its peak than one in an empty namespace, in bytes. One that holds
/// [`MANY`] of one kind has more than that as text alone.
const MORE: usize = 24 * 1024 * 1024;

fn labelled(name: &str, key: &str, value: &str) -> Secret {
    let manifest = json!({
        "metadata": {"name": name, "labels": {SECRET_LABEL: "true"}},
        "stringData": {key: value},
    });
    serde_json::from_value(manifest).expect("a Secret")
}

/// Creates objects, and gives them a status where `status` says one.
async fn create<K: Namespaced + serde::Serialize>(world: &World, manifests: Vec<Value>, status: Option<Value>) {
    let (api, status) = (world.api::<K>(), &status);
    let created = stream::iter(manifests).map(Ok::<_, kube::Error>).try_for_each_concurrent(4, |manifest| {
        let api = api.clone();
        async move {
            let mut manifest = manifest;
            if let Some(status) = status {
                // Only a kind whose status is its own part takes it at once.
                manifest["status"] = status.clone();
            }
            let object: K = serde_json::from_value(manifest).expect("an object");
            let created = api.create(&PostParams::default(), &object).await?;
            if let Some(status) = status.as_ref().filter(|_| K::kind(&()) != "WebhookResponse") {
                let (name, patch) = (created.meta().name.clone(), json!({"status": status}));
                api.patch_status(&name.unwrap_or_default(), &PatchParams::default(), &Patch::Merge(patch)).await?;
            }
            Ok(())
        }
    });
    created.await.expect("create objects");
}

/// The most memory that the operator has had, in bytes.
fn peak(world: &World) -> usize {
    let pid = world.operator.as_ref().expect("an operator").pid();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("look at the process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn large_objects_that_nothing_needs_neither_keep_the_operator_from_starting_nor_stay_in_its_memory() {
    let mut world = World::configured("memory", |_| Answer::new(200, "ok"), &[LIMIT]).await;
    let empty = peak(&world);
    world.kill_operator();

    let large = "x".repeat(LARGE);
    let secrets = (0..MANY).map(|number| serde_json::to_value(labelled(&format!("s{number}"), "key", &large)));
    create::<Secret>(&world, secrets.collect::<Result<_, _>>().expect("Secrets"), None).await;
    let event = |number: usize| {
        let spec = json!({"type": "resolve", "alertGroup": {"id": "I1"}, "alertPayload": large});
        json!({
            "apiVersion": "oncall.dev/v1alpha1", "kind": "AlertGroupEvent",
            "metadata": {"name": format!("e{number}")}, "spec": spec,
        })
    };
    let status = json!({"phase": "Completed", "matched": 0, "succeeded": 0, "failed": 0, "skipped": 0});
    create::<AlertGroupEvent>(&world, (0..MANY).map(event).collect(), Some(status)).await;
    let response = |number: usize| {
        json!({
            "apiVersion": "oncall.dev/v1alpha1", "kind": "WebhookResponse",
            "metadata": {"name": format!("r{number}")},
            "spec": {
                "webhookRef": {"name": "gone", "id": "WH1"}, "eventRef": {"name": "gone", "uid": "u"},
                "alertGroupId": "I1", "triggerType": "resolve",
            },
        })
    };
    let status = json!({"phase": "Succeeded", "eventData": "x".repeat(LARGE / 3)});
    create::<WebhookResponse>(&world, (0..MANY).map(response).collect(), Some(status)).await;
    let token = serde_json::to_value(labelled("token", "key", "Bearer t0ken")).expect("a Secret");
    create::<Secret>(&world, vec![token], None).await;

    world.start_operator().await;
    let key = json!({"authorizationHeader": {"secretKeyRef": {"name": "token", "key": "key"}}});
    world.seen_webhook("one", "acknowledge", key).await;
    world.event("first", "acknowledge", "I1", json!({})).await;
    world.completed("first", 1).await;
    assert_eq!(world.receiver.received()[0].header("authorization"), Some("Bearer t0ken"));
    let full = peak(&world);
    assert!(full < empty + MORE, "{} MiB, and {} MiB in an empty namespace", full >> 20, empty >> 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_beyond_the_share_of_its_namespace_is_named_and_holds_up_no_other() {
    let world = World::configured("memory-share", |_| Answer::new(200, "ok"), &[LIMIT]).await;
    for secret in [labelled("large", "key", &"x".repeat(LARGE)), labelled("token", "key", "Bearer t0ken")] {
        world.api::<Secret>().create(&PostParams::default(), &secret).await.expect("create a Secret");
    }
    let key = |secret: &str| json!({"authorizationHeader": {"secretKeyRef": {"name": secret, "key": "key"}}});
    world.seen_webhook("large", "resolve", key("large")).await;
    world.condition("large", "Ready", Some("SecretTooLarge")).await;
    world.seen_webhook("one", "resolve", key("token")).await;
    world.condition("one", "Ready", Some("Valid")).await;
    world.event("first", "resolve", "I1", json!({})).await;
    let status = world.completed("first", 2).await.status.expect("a status");
    assert_eq!((status.succeeded, status.failed), (1, 1));
    let headers = world.response("large").await.request_headers;
    let expected = "Headers - Key 'key' of Secret 'large' has 700000 bytes, which is more than is left of the namespace's \
                    share of the operator's memory: refer to fewer or smaller ones, or raise the operator's memory limit";
    assert_eq!(headers.as_deref(), Some(expected));

    world.kubectl(&["patch", "secret", "large", "--patch", r#"{"stringData": {"key": "Bearer small"}}"#]).await;
    world.condition("large", "Ready", Some("Valid")).await;
    world.event("second", "resolve", "I1", json!({})).await;
    let status = world.completed("second", 2).await.status.expect("a status");
    assert_eq!((status.succeeded, status.failed), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_changed_to_another_secret_sends_with_that_one() {
    let world = World::new("memory-change").await;
    for (name, value) in [("old", "Bearer old"), ("new", "Bearer new")] {
        let secret = labelled(name, "key", value);
        world.api::<Secret>().create(&PostParams::default(), &secret).await.expect("create a Secret");
    }
    let key = |secret: &str| json!({"authorizationHeader": {"secretKeyRef": {"name": secret, "key": "key"}}});
    world.seen_webhook("one", "resolve", key("old")).await;
    world.event("first", "resolve", "I1", json!({})).await;
    world.completed("first", 1).await;
    let patch = json!({"spec": key("new")}).to_string();
    world.kubectl(&["patch", "webhook", "one", "--type=merge", "--patch", &patch]).await;
    let is_seen = |webhook: Option<&Webhook>| {
        let webhook = webhook?;
        (webhook.status.as_ref()?.observed_generation == webhook.metadata.generation).then_some(())
    };
    world.object_that("the operator has seen the change", "one", is_seen).await;
    world.event("second", "resolve", "I1", json!({})).await;
    world.completed("second", 1).await;
    let sent: Vec<_> =
        world.receiver.received().iter().map(|request| request.header("authorization").map(str::to_owned)).collect();
    assert_eq!(sent, [Some("Bearer old".to_owned()), Some("Bearer new".to_owned())]);
}
