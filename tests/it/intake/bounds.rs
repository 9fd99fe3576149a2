//! Bounds on what comes in, and answers where the same alert is to be sent again.

use k8s_openapi::api::core::v1::ResourceQuota;
use kube::api::{Patch, PatchParams};
use oncall_webhooks::resources::Integration;
use serde_json::json;

use super::{OK, Source, events, group, integration, made, path, start};
use crate::harness::TestNamespace;

#[tokio::test(flavor = "multi_thread")]
async fn an_integration_that_sends_too_much_waits_and_others_do_not() {
    let place = TestNamespace::new("intake-rate").await;
    let api = start("api-intake-rate", &["--intake-rate=3"]).await;
    let source = Source::of(&api);
    let busy = path("webhook", &made(&place, "busy", "webhook", json!({})).await);
    let calm = path("webhook", &made(&place, "calm", "webhook", json!({})).await);
    let prometheus = path("alertmanager", &made(&place, "prometheus", "alertmanager", json!({})).await);
    let mut statuses = Vec::new();
    source.answered(&busy, "{}", OK).await;
    for _ in 0..3 {
        let answer = source.post(&busy, "{}").await;
        statuses.push((answer.status, answer.header("retry-after").is_some()));
    }
    assert_eq!(statuses, [(200, false), (200, false), (429, true)]);
    source.answered(&calm, "{}", OK).await;
    // It tries what was answered with 503 again, and not what was with 429.
    source.answered(&prometheus, &group("firing").to_string(), OK).await;
    let answers =
        [source.post(&prometheus, "-").await, source.post(&prometheus, "-").await, source.post(&prometheus, "-").await];
    let seen = answers.map(|answer| (answer.status, answer.header("retry-after").is_some()));
    assert_eq!(seen, [(400, false), (400, false), (503, true)]);
    assert_eq!(events(&place).await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_too_many_open_alert_groups_nothing_is_taken_but_what_resolves_some() {
    let place = TestNamespace::new("intake-open").await;
    let api = start("api-intake-open", &["--intake-max-open=5"]).await;
    let source = Source::of(&api);
    let path = path("webhook", &made(&place, "script", "webhook", json!({})).await);
    made(&place, "other", "webhook", json!({})).await;
    source.answered(&path, r#"{"state": "alerting"}"#, OK).await;
    // No operator writes them here.
    let open = async |name: &str, count: u32| {
        let patch = json!({"status": {"openAlertGroups": count}});
        let integrations = place.api::<Integration>();
        integrations.patch_status(name, &PatchParams::default(), &Patch::Merge(&patch)).await.expect("patch status");
    };
    let full = r#"{"detail":"Too many alert groups of this namespace are open: resolve some."}"#;
    open("script", 3).await;
    open("other", 3).await;
    source.answered(&path, r#"{"state": "alerting"}"#, (503, full)).await;
    let refused = source.post(&path, r#"{"state": "alerting"}"#).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    assert_eq!(source.post(&path, r#"{"state": "ok"}"#).await.both(), OK);
    open("other", 2).await;
    source.answered(&path, r#"{"state": "alerting"}"#, OK).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_suspended_or_has_no_room_in_the_api_server_is_to_be_sent_again() {
    let place = TestNamespace::new("intake-later").await;
    let source = Source::new().await;
    let path = path("webhook", &made(&place, "script", "webhook", json!({})).await);
    source.answered(&path, "{}", OK).await;
    place.apply(&integration("script", "webhook", json!({"suspend": true}))).await;
    let suspended = r#"{"detail":"This integration is suspended: it takes no alerts for now."}"#;
    source.answered(&path, "{}", (503, suspended)).await;
    place.apply(&integration("script", "webhook", json!({"suspend": false}))).await;
    source.answered(&path, "{}", OK).await;

    let before = events(&place).await.len();
    let hard = json!({"count/alertgroupevents.oncall.dev": before.to_string()});
    let quota =
        json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"}, "spec": {"hard": hard}});
    place.apply(&quota.to_string()).await;
    place
        .object_that("the quota counts", "full", |quota: Option<&ResourceQuota>| {
            quota?.status.as_ref()?.used.as_ref().filter(|used| !used.is_empty()).map(drop)
        })
        .await;
    let refused = source.post(&path, "{}").await;
    let detail = r#"{"detail":"The Kubernetes API can't take this alert at the moment: try again."}"#;
    assert_eq!((refused.both(), refused.header("retry-after")), ((503, detail), Some("5")));
    assert_eq!(events(&place).await.len(), before);
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_take_much_memory_take_no_more_than_there_is() {
    let place = TestNamespace::new("intake-memory").await;
    let api = start("api-intake-memory", &["--memory-limit=256Mi"]).await;
    let source = Source::of(&api);
    let path = path("webhook", &made(&place, "script", "webhook", json!({})).await);
    source.is_known(&path).await;
    // Of JSON, these take most for each of their bytes.
    let lists = format!("[{}[0]]", "[0],".repeat(24_998));
    let objects = format!("[{}{{}}]", r#"{"":0},"#.repeat(24_998));
    let text = format!("\"{}\"", "<".repeat((1 << 20) - 2));
    let bodies: Vec<_> = (0..24).map(|number| [&lists, &objects, &text][number % 3]).collect();
    let answers = futures::future::join_all(bodies.iter().map(|body| source.post(&path, body))).await;
    assert!(answers.iter().all(|answer| [200, 503].contains(&answer.status)), "{answers:?}");
    let peak = support::Footprint::of(api.process().pid()).expect("its memory").peak;
    assert!(peak < 256.0, "{peak} MiB");
    println!("peak {peak} MiB, {:?}", answers.iter().map(|answer| answer.status).collect::<Vec<_>>());
    let many = format!("[{}0]", "0,".repeat(50_000));
    assert_eq!(source.post(&path, &many).await.status, 413);
}
