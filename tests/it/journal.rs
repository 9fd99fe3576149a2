//! In a storm, records go into the journal, many in one write; and from there into their objects, whatever happens to the operator
//! or to the journal meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Write},
    pin::pin,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use futures::{StreamExt, stream};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, PostParams},
    runtime::{
        WatchStreamExt,
        watcher::{self, watcher},
    },
};
use oncall_webhooks::{
    core::id::response_name,
    resources::{DeliveryJournal, DeliveryJournalSpec, JOURNAL_SCOPE_LABEL, ResponsePhase, WebhookResponse},
};
use serde_json::{Value, json};

use crate::harness::{World, eventually};

/// Many more than may be on the way to their objects at a time.
const EVENTS: usize = 500;

/// A world with a webhook and as many events, each of another alert group, and no operator.
async fn before_the_storm(name: &str) -> World {
    let mut world = World::new(name).await;
    world.seen_webhook("one", "resolve", json!({})).await;
    world.kill_operator();
    stream::iter(0..EVENTS)
        .for_each_concurrent(16, |number| {
            let world = &world;
            async move { drop(world.event(&format!("event-{number}"), "resolve", &format!("I{number}"), json!({})).await) }
        })
        .await;
    world
}

/// Waits until every delivery is recorded as one that succeeded, and the journal is empty.
async fn all_is_written_out(world: &World) {
    let attempts = world
        .objects_that::<WebhookResponse, _>("all deliveries are recorded", |responses| {
            let ended = responses.values().filter_map(|response| response.status.as_ref());
            let ended = ended.filter(|status| status.phase == ResponsePhase::Succeeded);
            let attempts: Vec<u32> = ended.map(|status| status.attempt_count).collect();
            (attempts.len() == EVENTS).then_some(attempts)
        })
        .await;
    assert!(attempts.iter().all(|count| *count == 1), "{attempts:?}");
    world.objects_that::<DeliveryJournal, _>("the journal is empty", |journal| journal.is_empty().then_some(())).await;
}

fn scope(world: &World) -> String {
    format!("in.{}", world.namespace)
}

/// Puts a segment there with this data.
pub(crate) async fn leave_segment(journal: &Api<DeliveryJournal>, name: &str, scope: &str, data: String) {
    let mut segment = DeliveryJournal::new(name, DeliveryJournalSpec { records: 1, data });
    segment.metadata.labels = Some([(JOURNAL_SCOPE_LABEL.to_owned(), scope.to_owned())].into());
    journal.create(&PostParams::default(), &segment).await.expect("create DeliveryJournal");
}

/// The record of the only attempt of a delivery of alert group `I1`, which was answered with this code. The webhook of this uid is named
/// `one`; the event by its name and uid.
pub(crate) fn record(namespace: &str, webhook_uid: &str, (event, event_uid): (&str, &str), code: u16) -> Value {
    json!({
        "webhookGeneration": 1,
        "response": {
            "apiVersion": "oncall.dev/v1alpha1", "kind": "WebhookResponse",
            "metadata": {
                "name": response_name(event_uid, "one"), "namespace": namespace,
                "ownerReferences": [{
                    "apiVersion": "oncall.dev/v1alpha1", "kind": "Webhook", "name": "one", "uid": webhook_uid, "controller": true,
                }],
            },
            "spec": {
                "webhookRef": {"name": "one", "id": "WHP936BM1GPVHQ"},
                "eventRef": {"name": event, "uid": event_uid},
                "alertGroupId": "I1", "triggerType": "resolve",
            },
            "status": {
                "phase": if code < 300 { "Succeeded" } else { "Failed" }, "statusCode": code, "content": "no more", "attemptCount": 1,
                "attempts": [{"time": "2026-01-01T00:00:00Z", "statusCode": code, "durationMs": 1}],
            },
        },
    })
}

pub(crate) fn deflated(records: &[Value]) -> String {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for record in records {
        writeln!(encoder, "{record}").expect("write to memory");
    }
    STANDARD.encode(encoder.finish().expect("write to memory"))
}

/// The names of the responses that a segment has.
fn inflated(data: &str) -> Vec<String> {
    let data = STANDARD.decode(data).expect("base64");
    let mut text = String::new();
    GzDecoder::new(data.as_slice()).read_to_string(&mut text).expect("compressed text");
    let records = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    records.map(|record| record["response"]["metadata"]["name"].as_str().expect("a name").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_storm_records_are_journaled_and_each_is_written_out_once() {
    let mut world = before_the_storm("storm").await;
    let mut segments =
        pin!(watcher(world.api::<DeliveryJournal>(), watcher::Config::default()).default_backoff().applied_objects());
    world.start_operator().await;
    let first = segments.next().await.expect("a watch").expect("a segment");
    assert!(first.spec.records > 1, "{} records in a segment", first.spec.records);
    assert_eq!(first.labels().get(JOURNAL_SCOPE_LABEL), Some(&scope(&world)));
    all_is_written_out(&world).await;
    assert_eq!(world.receiver.count(), EVENTS);
    for number in [0, EVENTS - 1] {
        world.completed(&format!("event-{number}"), 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_journal_at_a_kill_is_not_sent_again_and_the_next_process_writes_it_out() {
    let mut world = before_the_storm("journaled").await;
    world.start_operator().await;
    world.arrived(EVENTS).await;
    let journaled = |journal: &BTreeMap<String, DeliveryJournal>| (!journal.is_empty()).then_some(());
    world.objects_that("something is in the journal", journaled).await;
    world.kill_operator();
    let segments = world.api::<DeliveryJournal>().list(&ListParams::default()).await.expect("list DeliveryJournals");
    let mut recorded: BTreeSet<String> = segments.iter().flat_map(|segment| inflated(&segment.spec.data)).collect();
    recorded.extend(world.responses().await.into_values().map(|response| response.name_any()));
    world.start_operator().await;
    all_is_written_out(&world).await;
    for number in 0..EVENTS {
        world.completed(&format!("event-{number}"), 1).await;
    }
    // What was in neither is sent again, and nothing else.
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for (_, id) in world.ids() {
        *times.entry(id).or_default() += 1;
    }
    assert_eq!(times.len(), EVENTS);
    let repeated: BTreeSet<String> = times.into_iter().filter(|(_, count)| *count > 1).map(|(id, _)| id).collect();
    assert_eq!(repeated.intersection(&recorded).collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(repeated.len() <= 256, "{} are sent again", repeated.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_that_somebody_deletes_while_an_operator_runs_are_no_loss() {
    let mut world = before_the_storm("deleted").await;
    let journal = world.api::<DeliveryJournal>();
    let deleting = tokio::spawn(async move {
        let mut segments =
            pin!(watcher(journal.clone(), watcher::Config::default()).default_backoff().applied_objects());
        while let Some(segment) = segments.next().await {
            if let Ok(segment) = segment {
                // The operator may have deleted it.
                let _ = journal.delete(&segment.name_any(), &DeleteParams::default()).await;
            }
        }
    });
    world.start_operator().await;
    all_is_written_out(&world).await;
    deleting.abort();
    assert_eq!(world.receiver.count(), EVENTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_process_left_is_written_out_and_counts_and_what_is_not_ours_or_broken_stays() {
    let mut world = World::new("left").await;
    let webhook = world.seen_webhook("one", "resolve", json!({})).await;
    world.kill_operator();
    let event = world.event("event", "resolve", "I1", json!({})).await;
    let event_uid = event.uid().expect("a uid");
    let known = webhook.uid().expect("a uid");
    let record = |webhook_uid: &str, event: (&str, &str), code| record(&world.namespace, webhook_uid, event, code);
    let records = [record(&known, ("event", &event_uid), 410), record("another", ("earlier", "gone"), 200)];
    let journal = world.api::<DeliveryJournal>();
    leave_segment(&journal, "left", &scope(&world), deflated(&records)).await;
    leave_segment(&journal, "broken", &scope(&world), deflated(&[json!({"response": "of another version"})])).await;
    leave_segment(&journal, "foreign", "in.elsewhere", deflated(&records)).await;

    world.start_operator().await;
    // It is recorded as ended, by a receiver that wants no more.
    let status = world.response_that("one", |status| status.phase == ResponsePhase::Failed).await;
    assert_eq!((status.status_code, status.attempt_count), (Some(410), 1));
    world.completed("event", 1).await;
    world.condition("one", "Suspended", Some("Gone")).await;
    assert_eq!(world.receiver.count(), 0);
    let left = eventually("what was written out is deleted", || async {
        let all = world.api::<DeliveryJournal>().list(&ListParams::default()).await.expect("list DeliveryJournals");
        let names: Vec<String> = all.iter().map(ResourceExt::name_any).collect();
        (!names.contains(&"left".to_owned())).then_some(names)
    })
    .await;
    assert_eq!(left, ["broken", "foreign"]);
    // The one of a webhook that is gone has no object.
    assert_eq!(world.responses().await.len(), 1);
    let log = world.operator.as_ref().expect("an operator").log();
    assert!(log.contains(&format!("DeliveryJournal {}/broken can't be read, and stays", world.namespace)), "{log}");
}
