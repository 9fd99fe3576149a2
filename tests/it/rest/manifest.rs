//! A webhook that was made over REST is a manifest like any other, and what is secret of it is in a Secret alone.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Secret;
use kube::{ResourceExt, api::ListParams};
use oncall_webhooks::resources::Webhook;
use serde_json::{Value, json};

use super::{Team, WEBHOOKS, id, path, plain, start, without_id};
use crate::harness::{TestNamespace, eventually};

/// The manifest of an object: all of it but what the API server sets.
fn manifest(mut object: Value) -> Value {
    object.as_object_mut().expect("an object").remove("status");
    let metadata = object["metadata"].as_object_mut().expect("metadata");
    for set_by_server in ["creationTimestamp", "generation", "managedFields", "namespace", "resourceVersion", "uid"] {
        metadata.remove(set_by_server);
    }
    object
}

/// The Secrets that a webhook owns, by name: labels and data.
async fn secrets(
    team: &Team,
    webhook: &Webhook,
) -> BTreeMap<String, (BTreeMap<String, String>, BTreeMap<String, String>)> {
    let all = team.api::<Secret>().list(&ListParams::default()).await.expect("list Secrets");
    let owned = all.into_iter().filter(|secret| {
        let owners: Vec<_> = secret.owner_references().iter().map(|owner| (&*owner.kind, owner.uid.clone())).collect();
        owners == [("Webhook", webhook.uid().expect("a uid"))]
    });
    owned
        .map(|secret| {
            let text = |value: Vec<u8>| String::from_utf8(value).expect("text");
            let data = secret.data.clone().unwrap_or_default();
            let data = data.into_iter().map(|(key, value)| (key, text(value.0))).collect();
            (secret.name_any(), (secret.labels().clone(), data))
        })
        .collect()
}

/// The value that a field of the webhook's spec refers to.
async fn referred(team: &Team, webhook: &Webhook, field: &str) -> Option<String> {
    let spec = serde_json::to_value(&webhook.spec).expect("a spec");
    let reference = spec[field]["secretKeyRef"].as_object()?.clone();
    let owned = secrets(team, webhook).await;
    let (_, data) = owned.get(reference["name"].as_str()?)?;
    data.get(reference["key"].as_str()?).cloned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_whose_call_was_cut_off_is_given_to_the_webhook_that_names_it() {
    let place = TestNamespace::new("cut-off").await;
    place
        .apply(
            "
apiVersion: v1
kind: Secret
metadata:
  name: cut-off-credentials
  labels:
    oncall.dev/secret: 'true'
    oncall.dev/webhook: cut-off
    app.kubernetes.io/managed-by: oncall-webhooks-api
stringData: {password: s3cret}
---
apiVersion: oncall.dev/v1alpha1
kind: Webhook
metadata: {name: cut-off}
spec:
  triggerType: resolve
  url: http://example.com
  username: ann
  password: {secretKeyRef: {name: cut-off-credentials, key: password}}
",
        )
        .await;
    let _api = start(&place.namespace, &[&format!("--namespace={}", place.namespace)]).await;
    eventually("the webhook owns the Secret", || async {
        let secret = place.api::<Secret>().get("cut-off-credentials").await.ok()?;
        let webhook = place.api::<Webhook>().get("cut-off").await.ok()?;
        secret.owner_references().iter().any(|owner| Some(&owner.uid) == webhook.metadata.uid.as_ref()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_was_made_here_can_go_to_git_and_be_applied_elsewhere() {
    let team = Team::new("manifest").await;
    let more = json!({
        "team": "T1", "data": "{\"a\": 1}\n", "forward_all": false, "integration_filter": ["C1"], "username": "ann",
        "headers": "{}", "trigger_template": "{{ 1 }}",
    });
    let created = team.create("Jira: öffne Ticket!", more.clone()).await;
    let plainest = team.create("New Webhook", json!({})).await;

    let object = team.object(id(&plainest)).await;
    assert_eq!(object.name_any(), "new-webhook");
    // Beside what was sent there is what the API server fills in for anybody.
    let expected = json!({
        "name": "New Webhook", "triggerType": "resolve", "url": "https://example.com",
        "enabled": true, "httpMethod": "POST",
    });
    assert_eq!(serde_json::to_value(&object.spec).expect("a spec"), expected);

    let elsewhere = Team::new("elsewhere").await;
    let objects: Value =
        serde_json::from_str(&team.kubectl(&["get", "webhooks", "-o", "json"]).await).expect("a list of objects");
    let manifests = objects["items"].as_array().expect("objects").iter().cloned().map(manifest);
    let manifests: Vec<Value> = manifests.collect();
    for manifest in &manifests {
        let mut metadata = manifest["metadata"].as_object().expect("metadata").clone();
        metadata.remove("name");
        let annotations = metadata.remove("annotations").unwrap_or_default();
        let foreign = annotations.as_object().into_iter().flatten().find(|(key, _)| !key.starts_with("oncall.dev/"));
        assert!(metadata.is_empty() && foreign.is_none(), "{manifest}");
    }
    elsewhere.apply(&json!({"apiVersion": "v1", "kind": "List", "items": manifests}).to_string()).await;
    let shown = async |team: &Team| {
        let list = team.get(WEBHOOKS).await.expect(200);
        let results = list["results"].as_array().expect("results").iter().cloned().map(without_id);
        results.map(|webhook| (webhook["name"].to_string(), webhook)).collect::<BTreeMap<_, _>>()
    };
    let here = shown(&team).await;
    assert_eq!(here.len(), 2);
    assert_eq!(here[&created["name"].to_string()], plain("Jira: öffne Ticket!", more));
    eventually("the webhooks are the same elsewhere", || async { (shown(&elsewhere).await == here).then_some(()) })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_become_legal_names_that_no_other_has() {
    let team = Team::new("names").await;
    let long = "n".repeat(100);
    let names = [
        "New Webhook",
        "new webhook",
        "NEW-WEBHOOK!",
        "東京",
        "…",
        "-a-",
        "a",
        &long,
        "ünïcode",
        "x.y",
        "1",
        "null",
        "\u{1f600}",
    ];
    let mut made = BTreeSet::new();
    for name in names {
        let created = team.create(name, json!({})).await;
        let object = team.object(id(&created)).await;
        assert_eq!(object.spec.name.as_deref().unwrap_or(&object.name_any()), name);
        made.insert(object.name_any());
    }
    assert_eq!(made.len(), names.len(), "{made:?}");
    for name in &made {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(
            name.len() <= 63 && name.chars().all(legal) && !name.starts_with('-') && !name.ends_with('-'),
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_secret_is_kept_in_a_secret_that_the_webhook_owns_and_nowhere_else() {
    let team = Team::new("secrets").await;
    let created = team
        .create(
            "with secrets",
            json!({"username": "ann", "password": "s3cret-first", "authorization_header": "Bearer t0ken-first"}),
        )
        .await;
    let one = path(&created);
    let object = team.object(id(&created)).await;
    let owned = eventually("the webhook owns its Secret", || async {
        Some(secrets(&team, &object).await).filter(|owned| !owned.is_empty())
    })
    .await;
    for (name, (labels, _)) in &owned {
        assert_eq!(labels.get("oncall.dev/secret").map(String::as_str), Some("true"), "{name}");
    }
    let both = async |object: &Webhook| {
        (referred(&team, object, "password").await, referred(&team, object, "authorizationHeader").await)
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(both(&object).await, (text("s3cret-first"), text("Bearer t0ken-first")));

    // Changed, kept by its mask, kept by saying nothing.
    let masked = json!({"password": "s3cret-second", "authorization_header": "****************"});
    team.put(&one, masked).await.expect(200);
    assert_eq!(both(&team.object(id(&created)).await).await, (text("s3cret-second"), text("Bearer t0ken-first")));
    team.put(&one, json!({"name": "with other secrets"})).await.expect(200);
    assert_eq!(both(&team.object(id(&created)).await).await, (text("s3cret-second"), text("Bearer t0ken-first")));

    // Cleared: the one, then all.
    team.put(&one, json!({"password": null})).await.expect(200);
    let object = team.object(id(&created)).await;
    assert_eq!(both(&object).await, (None, text("Bearer t0ken-first")));
    eventually("no Secret has the password", || async {
        let owned = secrets(&team, &object).await;
        (!format!("{owned:?}").contains("s3cret-")).then_some(())
    })
    .await;
    team.put(&one, json!({"authorization_header": null})).await.expect(200);
    eventually("no Secret is left", || async { secrets(&team, &object).await.is_empty().then_some(()) }).await;

    team.put(&one, json!({"password": "s3cret-third"})).await.expect(200);
    let object = team.object(id(&created)).await;
    assert_eq!(both(&object).await, (text("s3cret-third"), None));
    team.delete(&one).await.expect(204);
    eventually("the Secret goes with its webhook", || async { secrets(&team, &object).await.is_empty().then_some(()) })
        .await;

    let audit = team.audit();
    let verbs: BTreeSet<&str> = audit.iter().filter_map(|event| event["verb"].as_str()).collect();
    assert!(["create", "delete"].iter().all(|verb| verbs.contains(verb)), "{verbs:?}");
    let audit = serde_json::to_string(&audit).expect("text");
    let log = super::shared().await.process().log();
    assert!(log.contains(&format!("Secret {}/token", team.namespace)), "calls are logged with their caller");
    for secret in ["s3cret-first", "s3cret-second", "s3cret-third", "t0ken-first", &team.token] {
        assert!(!audit.contains(secret), "the audit log has {secret}");
        assert!(!log.contains(secret), "the log has {secret}");
    }
}
