//! What tools that wait make of our objects: kstatus, which judges for Flux and Helm, and Argo CD with what examples/argocd gives it.
//! tests/gitops has the former, and the Lua that Argo CD runs.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use kube::{
    Api, ResourceExt,
    api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
};
use oncall_webhooks::resources::{AlertGroup, Integration, Webhook, WebhookResponse};
use serde_json::{Value, json};
use support::{Answer, pipe};

use crate::harness::{TestNamespace, World, go_program, is_seen};

/// Has each object judged: by kstatus, or by the script that it comes with.
async fn judged(questions: Vec<Value>) -> Vec<Value> {
    static BUILT: LazyLock<PathBuf> = LazyLock::new(|| go_program("gitops"));
    let count = questions.len();
    let lines: String = questions.iter().map(|question| format!("{question}\n")).collect();
    let said = tokio::task::spawn_blocking(move || pipe(&mut Command::new(&*BUILT), &lines));
    let said = said.await.expect("run the program that judges").expect("judge");
    let answers: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    assert_eq!(answers.len(), count, "{said}");
    answers
}

/// What kstatus says of an object.
async fn kstatus(object: &impl serde::Serialize) -> String {
    let answers = judged(vec![json!({ "object": object })]).await;
    answers[0]["flux"].as_str().expect("a status").to_owned()
}

/// Scripts of the example, by the ends of their keys.
fn scripts() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/argocd/config/argocd-cm.yaml");
    let text = std::fs::read_to_string(path).expect("read the example");
    let map: Value = serde_saphyr::from_str(&text).expect("YAML");
    map["data"].clone()
}

fn health_script(kind: &str) -> String {
    let script = &scripts()[format!("resource.customizations.health.oncall.dev_{kind}")];
    script.as_str().expect("a health script").to_owned()
}

/// What Argo CD says of an object.
async fn health(object: &impl serde::Serialize) -> String {
    let object = json!(object);
    let script = health_script(object["kind"].as_str().expect("a kind"));
    let answers = judged(vec![json!({"object": object, "script": script})]).await;
    answers[0]["argo"]["status"].as_str().expect("a health").to_owned()
}

/// The actions that Argo CD offers for an object, and what one of them makes of it.
async fn action(object: &impl serde::Serialize, name: &str) -> (Vec<String>, Value) {
    let object = json!(object);
    let key = format!("resource.customizations.actions.oncall.dev_{}", object["kind"].as_str().expect("a kind"));
    let all: Value = serde_saphyr::from_str(scripts()[key].as_str().expect("actions")).expect("YAML");
    let definitions = all["definitions"].as_array().expect("definitions");
    let chosen = definitions.iter().find(|definition| definition["name"] == name).expect("the action");
    let ask = |script: &Value| json!({"object": object, "script": script});
    let mut answers = judged(vec![ask(&all["discovery.lua"]), ask(&chosen["action.lua"])]).await;
    let offered = answers[0]["argo"].as_object().expect("actions").iter();
    let enabled = offered.filter(|(_, action)| action["disabled"] == false).map(|(name, _)| name.clone()).collect();
    (enabled, answers[1]["argo"].take())
}

/// The objects of a kind, as they are read.
fn raw(namespace: &TestNamespace, kind: &str) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("oncall.dev", "v1alpha1", kind));
    Api::namespaced_with(namespace.api::<Webhook>().into_client(), &namespace.namespace, &resource)
}

fn manifest(kind: &str, name: &str, spec: &Value) -> DynamicObject {
    let manifest = json!({"apiVersion": "oncall.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    serde_json::from_value(manifest).expect("an object")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_operator_has_seen_is_in_progress() {
    let namespace = TestNamespace::new("unseen").await;
    let kinds = [
        ("Webhook", json!({"triggerType": "resolve", "url": "https://receiver.example"})),
        ("Integration", json!({"type": "webhook"})),
        ("AlertGroup", json!({"integrationRef": {"name": "one"}, "groupingId": "a"})),
    ];
    for (kind, spec) in kinds {
        let api = raw(&namespace, kind);
        // A status that somebody brings is not his to write, but for an AlertGroup's, which is the operator's alone.
        let mut object = manifest(kind, "fresh", &spec);
        if kind != "AlertGroup" {
            object.data["status"] = json!({"observedGeneration": 1});
        }
        api.create(&PostParams::default(), &object).await.expect("create an object");
        let object = api.get("fresh").await.expect("read it");
        assert_eq!(object.data["status"]["observedGeneration"], -1, "{kind}");
        assert_eq!(kstatus(&object).await, "InProgress", "{kind}");
        if kind != "AlertGroup" {
            assert_eq!(health(&object).await, "Progressing", "{kind}");
        }
    }
    // A status of these says that work on them has begun.
    let made = [
        ("AlertGroupEvent", json!({"type": "resolve", "alertGroup": {"id": "I1"}})),
        (
            "WebhookResponse",
            json!({
                "webhookRef": {"name": "one", "id": "WH1"}, "eventRef": {"name": "one", "uid": "1"}, "alertGroupId": "I1",
                "triggerType": "resolve",
            }),
        ),
    ];
    for (kind, spec) in made {
        let api = raw(&namespace, kind);
        api.create(&PostParams::default(), &manifest(kind, "fresh", &spec)).await.expect("create an object");
        let object = api.get("fresh").await.expect("read it");
        assert_eq!(object.data.get("status"), None, "{kind}");
        assert_eq!(health(&object).await, "Progressing", "{kind}");
    }
}

/// Waits until a webhook is seen as it is, in this state.
async fn webhook_in_state(world: &World, name: &str, state: &str) -> Webhook {
    world
        .object_that(state, name, |webhook: Option<&Webhook>| {
            let is_it = |webhook: &&Webhook| {
                is_seen(webhook) && webhook.status.as_ref().and_then(|status| status.state.as_deref()) == Some(state)
            };
            webhook.filter(is_it).cloned()
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn flux_waits_for_what_may_get_ready_and_gives_up_on_what_will_not_and_argo_cd_shows_what_runs() {
    let world = World::with_receiver("judged", |request| match request.target.as_str() {
        "/down" => Answer::new(503, "down"),
        "/gone" => Answer::new(410, "gone"),
        _ => Answer::new(200, "ok"),
    })
    .await;
    let secret = json!({"secretKeyRef": {"name": "ticketing", "key": "token"}});
    world.webhook("good", "resolve", json!({})).await;
    world.webhook("down", "resolve", json!({"retry": {"initialDelay": "1s", "maxDelay": "1s"}})).await;
    world.webhook("gone", "resolve", json!({})).await;
    world.webhook("broken", "acknowledge", json!({"data": "{{ x. }}"})).await;
    world.webhook("unsecret", "acknowledge", json!({"authorizationHeader": secret})).await;
    world.webhook("suspended", "acknowledge", json!({"suspend": true})).await;
    for number in 0..6 {
        world.event(&format!("event-{number}"), "resolve", &format!("I{number}"), json!({})).await;
    }
    let cases = [
        ("good", "Ready", "Current", "Healthy"),
        ("broken", "TemplateError", "Failed", "Degraded"),
        ("unsecret", "SecretNotFound", "InProgress", "Progressing"),
        ("suspended", "Suspended", "Current", "Suspended"),
        ("down", "Failing", "Current", "Degraded"),
        ("gone", "Gone", "Current", "Degraded"),
    ];
    for (name, state, flux, argo) in cases {
        let webhook = webhook_in_state(&world, name, state).await;
        assert_eq!((kstatus(&webhook).await.as_str(), health(&webhook).await.as_str()), (flux, argo), "{name}");
    }

    let integration = json!({"type": "webhook", "templates": {"title": "{{ payload.x"}});
    let integrations = raw(&world, "Integration");
    for (name, spec) in [("whole", json!({"type": "webhook"})), ("cut", integration)] {
        integrations
            .create(&PostParams::default(), &manifest("Integration", name, &spec))
            .await
            .expect("create Integration");
    }
    for (name, flux, argo) in [("whole", "Current", "Healthy"), ("cut", "Failed", "Degraded")] {
        let seen = world
            .object_that("the Integration is seen", name, |integration: Option<&Integration>| {
                integration.filter(|one| one.status.as_ref().is_some_and(|status| status.id.is_some())).cloned()
            })
            .await;
        assert_eq!((kstatus(&seen).await.as_str(), health(&seen).await.as_str()), (flux, argo), "{name}");
    }
    let alert = json!({"alert": {"integrationRef": {"name": "whole"}, "payload": {}}});
    let events = raw(&world, "AlertGroupEvent");
    events
        .create(&PostParams::default(), &manifest("AlertGroupEvent", "opened", &alert))
        .await
        .expect("create an event");
    let only = |groups: &BTreeMap<String, AlertGroup>| groups.values().next().cloned();
    let group = world.objects_that("the alert group is there", only).await;
    assert_eq!(kstatus(&group).await, "Current");
}

#[tokio::test(flavor = "multi_thread")]
async fn argo_cd_suspends_resumes_and_has_sent_again() {
    let world = World::new("argocd").await;
    world.webhook("one", "resolve", json!({})).await;
    let api = world.api::<Webhook>();
    let seen = webhook_in_state(&world, "one", "Ready").await;
    let (offered, changed) = action(&seen, "suspend").await;
    assert_eq!((offered, &changed["spec"]["suspend"]), (vec!["suspend".to_owned()], &json!(true)));
    let patch = |spec: Value| Patch::Merge(json!({ "spec": spec }));
    let suspended = patch(json!({"suspend": changed["spec"]["suspend"]}));
    api.patch("one", &PatchParams::default(), &suspended).await.expect("suspend the Webhook");
    let seen = webhook_in_state(&world, "one", "Suspended").await;
    let (offered, changed) = action(&seen, "resume").await;
    assert_eq!((offered, changed["spec"].get("suspend")), (vec!["resume".to_owned()], None));
    let resumed = patch(json!({"suspend": null}));
    api.patch("one", &PatchParams::default(), &resumed).await.expect("resume the Webhook");
    webhook_in_state(&world, "one", "Ready").await;

    world.event("first", "resolve", "I1", json!({})).await;
    let event = world.completed("first", 1).await;
    assert_eq!(health(&event).await, "Healthy");
    let response = world
        .objects_that("the response is there", |responses: &BTreeMap<_, WebhookResponse>| {
            responses.values().next().cloned()
        })
        .await;
    assert_eq!(health(&response).await, "Healthy");
    let annotations = |changed: &Value| json!({"metadata": {"annotations": changed["metadata"]["annotations"]}});
    let (offered, changed) = action(&response, "redeliver").await;
    assert_eq!(offered, ["redeliver"]);
    let asked = Patch::Merge(annotations(&changed));
    world.api::<WebhookResponse>().patch(&response.name_any(), &PatchParams::default(), &asked).await.expect("ask");
    world.arrived(2).await;
    let (offered, changed) = action(&event, "redeliver").await;
    assert_eq!(offered, ["redeliver"]);
    let asked = Patch::Merge(annotations(&changed));
    raw(&world, "AlertGroupEvent").patch("first", &PatchParams::default(), &asked).await.expect("ask");
    world.arrived(3).await;
}
