//! `send`.

use std::collections::HashSet;

use serde_json::{Value, json};
use support::{Answer, Receiver};

use crate::harness::{Folder, Ran, event, secret, webhook};

async fn receiver() -> Receiver {
    Receiver::start(|request| match request.target.as_str() {
        "/fails" => Answer::new(503, "no"),
        "/echo" => Answer::new(200, request.header("authorization").unwrap_or_default()),
        _ => Answer::new(200, r#"{"ticket":7}"#),
    })
    .await
    .expect("a port is free")
}

/// A response without what is never the same.
fn without_chance(response: &Value) -> Value {
    let mut response = response.clone();
    for pointer in [
        "/metadata/name",
        "/status/timestamp",
        "/status/attempts/0/time",
        "/status/attempts/0/durationMs",
        "/status/eventData",
    ] {
        if let Some(value) = response.pointer_mut(pointer) {
            *value = Value::Null;
        }
    }
    response
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_is_printed_as_its_record() {
    let receiver = receiver().await;
    let url = |path: &str| format!("url: {}{path}", receiver.url());
    let reference = "authorizationHeader: {secretKeyRef: {name: s, key: k}}";
    let all = [
        webhook("one", "resolve", &[&url("/echo"), reference, "data: '{\"a\":1}'", "id: WHP936BM1GPVHQ"]),
        webhook("two", "silence", &[&url("/")]),
        event("e", "resolve", &[]),
        secret("s", "k", "Bearer s3cret"),
    ];
    let folder = Folder::new(&[("all.yaml", &all.concat())]);
    let ran = folder.run("send -f all.yaml -o json");
    let responses: Value = serde_json::from_str(&ran.stdout).expect("it is JSON");
    let expected = json!({
        "apiVersion": "oncall.dev/v1alpha1",
        "kind": "WebhookResponse",
        "metadata": {
            "labels": {"oncall.dev/alert-group": "I1", "oncall.dev/event": "e", "oncall.dev/webhook": "one"},
            "name": null,
            "namespace": "default",
        },
        "spec": {
            "webhookRef": {"name": "one", "id": "WHP936BM1GPVHQ"},
            "eventRef": {"name": "e", "uid": ""},
            "alertGroupId": "I1",
            "triggerType": "resolve",
        },
        "status": {
            "phase": "Succeeded",
            "timestamp": null,
            "url": format!("{}/echo", receiver.url()),
            "requestTrigger": "",
            "requestHeaders": "{\"Authorization\": \"****************\"}",
            "requestData": "{\"a\": 1}",
            "statusCode": 200,
            "content": "****************",
            "eventData": null,
            "attemptCount": 1,
            "attempts": [{"time": null, "statusCode": 200, "durationMs": null}],
        },
    });
    let responses = responses.as_array().expect("it is an array");
    assert_eq!(responses.iter().map(without_chance).collect::<Vec<_>>(), [expected]);
    let stderr = "Webhook default/two does not fire for AlertGroupEvent default/e: its trigger is silence, the event's type is resolve\n";
    assert_eq!((ran.stderr.as_str(), ran.status), (stderr, 0));
    let sent = receiver.received();
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].body.as_str(), sent[0].header("authorization")), (r#"{"a": 1}"#, Some("Bearer s3cret")));
    assert_eq!(sent[0].header("webhook-id"), responses[0]["metadata"]["name"].as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_event_sees_what_an_earlier_one_was_answered() {
    let receiver = receiver().await;
    let url = |path: &str| format!("url: {}{path}", receiver.url());
    let all = [
        webhook("open", "alert group created", &[&url("/tickets"), "id: WHP936BM1GPVHQ"]),
        webhook("close", "resolve", &[&url("/tickets/{{ responses.WHP936BM1GPVHQ.ticket }}")]),
        event("created", "alert group created", &[]),
        event("resolved", "resolve", &[]),
    ];
    let folder = Folder::new(&[("all.yaml", &all.concat())]);
    let ran = folder.run("send -f all.yaml");
    assert_eq!(ran.status, 0, "{ran:?}");
    let targets: Vec<String> = receiver.received().into_iter().map(|request| request.target).collect();
    assert_eq!(targets, ["/tickets", "/tickets/7"]);
    // What was printed can be given again, and is what the next event sees.
    folder.write("responses.yaml", ran.stdout.as_bytes());
    folder.write("close.yaml", [&*all[1], &*all[3]].concat().as_bytes());
    let stdout = format!("POST {}/tickets/7\n", receiver.url());
    let rendered = folder.run("render -f responses.yaml -f close.yaml");
    assert!(rendered.status == 0 && rendered.stdout.contains(&stdout), "{rendered:?}");
    // Sent on purpose, it is another delivery.
    folder.run("send -f all.yaml");
    let ids: HashSet<_> =
        receiver.received().iter().map(|request| request.header("webhook-id").map(str::to_owned)).collect();
    assert_eq!(ids.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_name_of_oncalls_api_is_sent_as_oncall_stores_it() {
    let receiver = receiver().await;
    let hook = json!({"name": "one", "url": format!("\u{a0}{} ", receiver.url()), "trigger_type": "resolve", "username": "\tann ", "password": " pass "});
    let folder = Folder::new(&[("hook.json", &hook.to_string()), ("data.json", "{}")]);
    assert_eq!(folder.run("send -f hook.json --data data.json").status, 0);
    // `ann: pass `
    assert_eq!(receiver.received()[0].header("authorization"), Some("Basic YW5uOiBwYXNzIA=="));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_recorded_and_is_the_exit_status() {
    let receiver = receiver().await;
    let url = |path: &str| format!("url: {}{path}", receiver.url());
    let folder = Folder::new(&[
        ("data.json", r#"{"event": {"type": "personal notification"}}"#),
        ("answered.yaml", &webhook("one", "resolve", &[&url("/fails"), "data: private"])),
        ("refused.yaml", &webhook("one", "resolve", &[&url("/"), "authorizationHeader: {secretKeyRef: {name: s, key: k}}"])),
        ("masked.json", &json!({"name": "one", "url": receiver.url(), "trigger_type": "resolve", "authorization_header": "****************"}).to_string()),
        ("both.json", &json!({"name": "one", "url": receiver.url(), "trigger_type": "resolve", "username": "ann", "password": "****************", "authorization_header": "****************"}).to_string()),
        ("broken.yaml", &webhook("two", "resolve", &[&url("/"), "uri: http://x"])),
    ]);
    let status = |file: &str| {
        let ran = folder.run(&format!("send -f {file} --data data.json -o json"));
        assert_eq!((ran.stderr.as_str(), ran.status), ("", 1), "{file}");
        let responses: Value = serde_json::from_str(&ran.stdout).expect("it is JSON");
        without_chance(&responses[0])["status"].clone()
    };
    let answered = json!({
        "phase": "Failed", "timestamp": null, "url": format!("{}/fails", receiver.url()), "requestTrigger": "",
        "requestHeaders": "{}", "requestData": "****************", "statusCode": 503, "content": "no", "eventData": null,
        "attemptCount": 1, "attempts": [{"time": null, "statusCode": 503, "durationMs": null}],
    });
    assert_eq!(status("answered.yaml"), answered);
    let refused = |url: &str, message: &str| {
        json!({
            "phase": "Failed", "timestamp": null, "url": url, "requestTrigger": "", "requestHeaders": message,
            "eventData": null, "attemptCount": 0,
        })
    };
    let message = "Headers - Secret 's' of namespace default is not among the files";
    assert_eq!(status("refused.yaml"), refused(&format!("{}/", receiver.url()), message));
    let message = "Headers - authorization_header is masked: put its value in place of the asterisks";
    assert_eq!(status("masked.json"), refused(&receiver.url(), message));
    // All at once, each once.
    let message = "Headers - password and authorization_header are masked: put their values in place of the asterisks";
    assert_eq!(status("both.json"), refused(&receiver.url(), message));
    let hints = ["password", "authorization_header"].map(|field| {
        format!("both.json:1: hint: webhook \"one\": {field}: is masked: put its value in place of the asterisks\n")
    });
    assert_eq!(folder.run("lint -f both.json"), Ran::new(0, &hints.concat(), ""));
    // Nothing is sent while there are faults.
    let stderr = "\
broken.yaml:9: Webhook default/two: spec.uri: unknown field: did you mean url?
oncall-webhooks: nothing was sent: mend these first
";
    assert_eq!(folder.run("send -f broken.yaml -f answered.yaml --data data.json"), Ran::new(1, "", stderr));
    assert_eq!(receiver.count(), 1);
}
