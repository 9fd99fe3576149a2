//! A namespace whose ResourceQuota is used up: whoever is refused is told by what, and what was to be delivered is delivered.

use k8s_openapi::api::core::v1::{ResourceQuota, Secret};
use kube::api::{ListParams, Patch, PatchParams};
use oncall_webhooks::resources::ResponsePhase;
use reqwest::Method;
use serde_json::json;

use super::{Team, WEBHOOKS};
use crate::harness::{TestNamespace, World};

const EXAMPLE: &str = include_str!("../../../examples/quota/quota.yaml");

/// Applies the example with another bound on one resource, and waits until all that it bounds is counted.
async fn bound(place: &TestNamespace, resource: &str, bound: &str) {
    place.apply(EXAMPLE).await;
    let patch = json!({"spec": {"hard": {resource: bound}}});
    let quotas = place.api::<ResourceQuota>();
    quotas.patch("oncall", &PatchParams::default(), &Patch::Merge(&patch)).await.expect("patch ResourceQuota");
    place
        .object_that("the quota counts", "oncall", |quota: Option<&ResourceQuota>| {
            let (hard, status) = (quota?.spec.as_ref()?.hard.as_ref()?, quota?.status.as_ref()?);
            let counted = |resource| status.used.as_ref().is_some_and(|used| used.contains_key(resource));
            (status.hard.as_ref() == Some(hard) && hard.keys().all(counted)).then_some(())
        })
        .await;
}

fn refusal(resource: &str, count: u32) -> serde_json::Value {
    let detail = format!(
        "ResourceQuota oncall of this namespace does not let more be made of {resource}, of which there are {count} of \
         {count}: remove some, or raise it."
    );
    json!({ "detail": detail })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_beyond_the_quota_on_webhooks_says_which_and_leaves_nothing() {
    let team = Team::new("quota").await;
    let first = team.create("one", json!({})).await;
    bound(&team, "count/webhooks.oncall.dev", "1").await;
    let new = json!({
        "name": "two", "url": "https://example.com", "http_method": "POST", "trigger_type": "resolve", "password": "s3cret",
    });
    let refused = team.call(Method::POST, WEBHOOKS, Some(&new)).await;
    assert_eq!(refused.both(), (403, refusal("count/webhooks.oncall.dev", 1)));
    assert_eq!(team.get(WEBHOOKS).await.expect(200)["results"], json!([first]));
    // The Secret that was made for it goes with it.
    team.objects_that("no Secret stays", |secrets: &std::collections::BTreeMap<String, Secret>| {
        let of_webhooks = secrets.values().filter(|secret| {
            secret.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key("oncall.dev/secret"))
        });
        (of_webhooks.count() == 0).then_some(())
    })
    .await;
    assert_eq!(team.delete(&super::path(&first)).await.status, 204);
    // What was counted is counted again soon.
    crate::harness::eventually("there is room again", || async {
        (team.call(Method::POST, WEBHOOKS, Some(&new)).await.status == 201).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_beyond_the_quota_on_secrets_says_which() {
    let team = Team::new("quota-secrets").await;
    let secrets = team.api::<Secret>().list(&ListParams::default()).await.expect("list Secrets").items.len();
    let secrets = u32::try_from(secrets).expect("a few");
    bound(&team, "count/secrets", &secrets.to_string()).await;
    let new = json!({
        "name": "one", "url": "https://example.com", "http_method": "POST", "trigger_type": "resolve", "password": "s3cret",
    });
    let refused = team.call(Method::POST, WEBHOOKS, Some(&new)).await;
    assert_eq!(refused.both(), (403, refusal("count/secrets", secrets)));
    // Without a password it needs none.
    team.create("one", json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_no_room_for_records_every_delivery_is_made_and_its_event_says_so() {
    let world = World::new("quota-records").await;
    world.seen_webhook("one", "resolve", json!({})).await;
    bound(&world, "count/webhookresponses.oncall.dev", "0").await;
    for number in 0..3 {
        world.event(&format!("resolved-{number}"), "resolve", &format!("I{number}"), json!({})).await;
    }
    for number in 0..3 {
        let event = world.completed(&format!("resolved-{number}"), 1).await;
        let status = event.status.expect("a status");
        assert_eq!((status.succeeded, status.failed), (1, 0));
        let line = &status.webhooks[0];
        assert_eq!(
            (line.outcome, line.status_code, line.response.as_deref()),
            (ResponsePhase::Succeeded, Some(200), None)
        );
    }
    assert_eq!((world.receiver.count(), world.responses().await.len()), (3, 0));
    // Nobody sends it again.
    world.kubectl(&["delete", "resourcequota", "oncall"]).await;
    let mut world = world;
    world.kill_operator();
    world.start_operator().await;
    world.event("later", "resolve", "I9", json!({})).await;
    world.completed("later", 1).await;
    assert_eq!(world.receiver.count(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_quota_on_events_whoever_creates_them_is_refused() {
    let place = TestNamespace::new("quota-events").await;
    bound(&place, "count/alertgroupevents.oncall.dev", "2").await;
    let create = |name: &str| {
        let event = json!({
            "apiVersion": "oncall.dev/v1alpha1", "kind": "AlertGroupEvent", "metadata": {"name": name},
            "spec": {"type": "resolve", "alertGroup": {"id": "I1"}},
        });
        let event = serde_json::from_value(event).expect("an event");
        let events = place.api::<oncall_webhooks::resources::AlertGroupEvent>();
        async move { events.create(&Default::default(), &event).await.map(|_| ()).map_err(|error| error.to_string()) }
    };
    create("one").await.expect("create an event");
    create("two").await.expect("create an event");
    let refused = create("three").await.expect_err("a refusal");
    assert!(refused.contains("exceeded quota: oncall"), "{refused}");
}
