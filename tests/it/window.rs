//! What waits takes no more memory than its share: the rest waits in the API server, and goes out in order.

use std::collections::{BTreeMap, BTreeSet};

use kube::api::{Patch, PatchParams};
use oncall_webhooks::resources::{AlertGroupEvent, EventPhase, Webhook};
use serde_json::json;
use support::Answer;

use crate::harness::World;

/// The least that an operator works with. Some hundred deliveries of one webhook are more than it holds.
const LIMIT: &str = "--memory-limit=64Mi";

/// How many events there are, and of how many alert groups.
const EVENTS: usize = 400;
const GROUPS: usize = 8;

fn events() -> String {
    let event = |number: usize| {
        json!({
            "apiVersion": "oncall.dev/v1alpha1", "kind": "AlertGroupEvent",
            "metadata": {"name": format!("e{number:03}")},
            "spec": {"type": "resolve", "alertGroup": {"id": format!("I{}", number % GROUPS)}, "alertPayload": number},
        })
    };
    json!({"apiVersion": "v1", "kind": "List", "items": (0..EVENTS).map(event).collect::<Vec<_>>()}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_whose_share_is_used_up_waits_in_the_api_server_while_others_go_on_and_then_gets_all_in_order() {
    let mut world = World::configured("window", |_| Answer::new(200, "ok"), &[LIMIT]).await;
    let url = |path: &str| format!("{}/{path}", world.receiver.url());
    let spec = |path: &str, suspend: bool| json!({"url": url(path), "suspend": suspend, "forwardAll": false, "data": "{{ alert_payload }}"});
    let (held, well) = (spec("held", true), spec("well", false));
    world.seen_webhook("held", "resolve", held).await;
    world.seen_webhook("well", "resolve", well).await;
    world.apply(&events()).await;
    world.arrived(EVENTS).await;
    world.condition("held", "Backlogged", Some("ShareUsedUp")).await;
    world.condition("well", "Backlogged", None).await;

    // Another process finds it as it was.
    world.kill_operator();
    world.start_operator().await;
    world.condition("held", "Backlogged", Some("ShareUsedUp")).await;
    let go_on = Patch::Merge(json!({"spec": {"suspend": false}}));
    world.api::<Webhook>().patch("held", &PatchParams::default(), &go_on).await.expect("let it go");
    world.arrived(2 * EVENTS).await;
    world.condition("held", "Backlogged", None).await;

    let received = world.receiver.received();
    let ids: BTreeSet<&str> = received.iter().filter_map(|request| request.header("webhook-id")).collect();
    assert_eq!((received.len(), ids.len()), (2 * EVENTS, 2 * EVENTS));
    let mut seen: BTreeMap<(&str, usize), Vec<usize>> = BTreeMap::new();
    for request in &received {
        let number: usize = request.body.parse().expect("the number of an event");
        seen.entry((request.target.as_str(), number % GROUPS)).or_default().push(number);
    }
    for ((path, group), numbers) in seen {
        let expected: Vec<usize> = (0..EVENTS).filter(|number| number % GROUPS == group).collect();
        assert_eq!(numbers, expected, "{path}, group {group}");
    }
    let counts = world
        .objects_that::<AlertGroupEvent, _>("all events are completed", |events| {
            let statuses: Vec<_> = events.values().filter_map(|event| event.status.as_ref()).collect();
            let completed = statuses.iter().filter(|status| status.phase == EventPhase::Completed).count();
            let counts = || statuses.iter().map(|status| (status.matched, status.succeeded)).collect::<BTreeSet<_>>();
            (completed == EVENTS).then(counts)
        })
        .await;
    assert_eq!(counts, BTreeSet::from([(2, 2)]));
}
