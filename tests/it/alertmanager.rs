//! What a real Alertmanager sends, alone and as a cluster, and that it can be ended and started again under our hands.

mod intake;

use jiff::Timestamp;
use serde_json::{Value, json};
use support::{Alert, Alertmanager, Answer, Received, Receiver, config_to};

use crate::harness::{LIMIT, eventually};

async fn receiver() -> Receiver {
    Receiver::start(|_| Answer::new(200, "")).await.expect("start a receiver")
}

fn body(request: &Received) -> Value {
    serde_json::from_str(&request.body).expect("a notification is JSON")
}

/// Waits until a request has arrived whose notification is `wanted`, and returns the first.
async fn arrived(receiver: &Receiver, what: &str, wanted: impl Fn(&Received, &Value) -> bool) -> Received {
    let is_wanted = |request: &&Received| wanted(request, &body(request));
    let received = receiver.wait_until(LIMIT, |all| all.iter().any(|request| is_wanted(&request))).await;
    received.expect(what).iter().find(is_wanted).expect("it has arrived").clone()
}

/// Waits until the group of that alert was notified of in that state.
async fn notified(receiver: &Receiver, alert: &str, status: &str) {
    let of_group = |body: &Value| body["groupLabels"]["alertname"] == alert && body["status"] == status;
    arrived(receiver, &format!("{alert} {status}"), |_, body| of_group(body)).await;
}

/// The state of each alert, in order.
fn states(notification: &Value) -> Vec<&str> {
    let alerts = notification["alerts"].as_array().expect("a list");
    alerts.iter().filter_map(|alert| alert["status"].as_str()).collect()
}

/// When an alert was over, as Alertmanager says it.
fn end(alert: &Value) -> Timestamp {
    alert["endsAt"].as_str().expect("a text").parse().expect("a time")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_notified_of_when_it_fires_grows_shrinks_and_is_resolved() {
    let receiver = receiver().await;
    let url = format!("{}/integrations/v1/alertmanager/t0ken/", receiver.url());
    let alertmanager = Alertmanager::start(&config_to(&url, Some("s3cret")).to_string()).await.expect("start");
    let begin = Timestamp::now();
    let alert = |instance: &str| {
        let alert = Alert::new("InstanceDown").label("instance", instance).label("severity", "critical");
        alert
            .annotation("summary", &format!("{instance} is down"))
            .starts_at("2026-01-02T03:04:05Z".parse().expect("a time"))
    };
    let (first, second) = ([alert("a")], [alert("b")]);
    let next = async |wanted: &[&str]| {
        let is_wanted = |_: &Received, body: &Value| states(body) == wanted;
        arrived(&receiver, &format!("{wanted:?}"), is_wanted).await
    };
    let never = json!("0001-01-01T00:00:00Z");
    let shown = |instance: &str, status: &str, fingerprint: &str, ends_at: &Value| {
        json!({
            "status": status,
            "labels": {"alertname": "InstanceDown", "instance": instance, "severity": "critical"},
            "annotations": {"summary": format!("{instance} is down")},
            "startsAt": "2026-01-02T03:04:05Z",
            "endsAt": ends_at,
            "generatorURL": "",
            "fingerprint": fingerprint,
        })
    };

    alertmanager.fire(&first).await.expect("fire");
    let request = next(&["firing"]).await;
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/integrations/v1/alertmanager/t0ken/"));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("authorization"), Some("Bearer s3cret"));
    assert!(request.header("user-agent").is_some_and(|name| name.starts_with("Alertmanager/")), "{request:?}");
    assert_eq!(
        body(&request),
        json!({
            "receiver": "webhook",
            "status": "firing",
            "alerts": [shown("a", "firing", "317495f7449910dd", &never)],
            "groupLabels": {"alertname": "InstanceDown"},
            "commonLabels": {"alertname": "InstanceDown", "instance": "a", "severity": "critical"},
            "commonAnnotations": {"summary": "a is down"},
            "externalURL": alertmanager.url(),
            "version": "4",
            "groupKey": r#"{}:{alertname="InstanceDown"}"#,
            "truncatedAlerts": 0,
        })
    );

    alertmanager.fire(&second).await.expect("fire");
    let grown = body(&next(&["firing", "firing"]).await);
    assert_eq!(grown["commonLabels"], json!({"alertname": "InstanceDown", "severity": "critical"}));
    assert_eq!(grown["commonAnnotations"], json!({}));
    assert_eq!(alertmanager.alerts().await.expect("alerts").len(), 2);

    alertmanager.resolve(&first).await.expect("resolve");
    let shrunk = body(&next(&["resolved", "firing"]).await);
    assert_eq!(shrunk["status"], "firing");
    let ended = &shrunk["alerts"][0];
    assert_eq!(*ended, shown("a", "resolved", "317495f7449910dd", &ended["endsAt"]));
    assert!(begin <= end(ended) && end(ended) <= Timestamp::now(), "{ended}");

    // What was notified as resolved is no part of the group any more.
    alertmanager.resolve(&second).await.expect("resolve");
    let resolved = body(&next(&["resolved"]).await);
    assert_eq!((&resolved["status"], &resolved["alerts"][0]["labels"]["instance"]), (&json!("resolved"), &json!("b")));
    assert_eq!(resolved["groupKey"], grown["groupKey"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_deliver_each_notification_also_when_one_of_them_is_killed_and_started_again() {
    let receiver = receiver().await;
    let configs = ["/first", "/second"].map(|path| config_to(&format!("{}{path}", receiver.url()), None).to_string());
    let mut peers = Alertmanager::start_cluster(&[&configs[0], &configs[1]]).await.expect("start");
    let alerts = [Alert::new("DiskFull")];
    for peer in &peers {
        peer.fire(&alerts).await.expect("fire");
    }
    notified(&receiver, "DiskFull", "firing").await;
    // Or it would hear of the alert's end before it looked at it at all, and had nothing to notify.
    let looked = async || peers[1].log().ok()?.contains("flushing").then_some(());
    eventually("the second looks whether the first has notified", looked).await;

    peers[0].kill().expect("kill");
    peers[1].resolve(&alerts).await.expect("resolve");
    notified(&receiver, "DiskFull", "resolved").await;

    let (pid, url) = (peers[0].pid(), peers[0].url().to_owned());
    peers[0].start_again().await.expect("start again");
    assert_ne!(peers[0].pid(), pid);
    assert_eq!(peers[0].url(), url);
    for peer in &peers {
        eventually("both are there", async || (peer.peers().await.ok()? == 2).then_some(())).await;
    }
    peers[0].fire(&[Alert::new("DiskFullAgain")]).await.expect("fire");
    let by_first = |request: &Received, body: &Value| {
        request.target == "/first" && body["groupLabels"]["alertname"] == "DiskFullAgain"
    };
    arrived(&receiver, "by the first", by_first).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_stopped_and_started_again_knows_what_it_has_notified() {
    let receiver = receiver().await;
    let config = config_to(&receiver.url(), None).to_string();
    let mut alertmanager = Alertmanager::start(&config).await.expect("start");
    let known = [Alert::new("Known")];
    alertmanager.fire(&known).await.expect("fire");
    notified(&receiver, "Known", "firing").await;
    let has_answer = async || alertmanager.log().ok()?.contains("Notify success").then_some(());
    eventually("it knows that the receiver has it", has_answer).await;
    alertmanager.stop().expect("stop");
    alertmanager.start_again().await.expect("start again");

    // What fires it has to be told again. Only of what it remembers to have notified it says that it is resolved.
    assert_eq!(alertmanager.alerts().await.expect("alerts"), Vec::<Value>::new());
    alertmanager.resolve(&known).await.expect("resolve");
    notified(&receiver, "Known", "resolved").await;
    let states: Vec<_> = receiver.received().iter().map(|request| body(request)["status"].clone()).collect();
    assert_eq!(states, ["firing", "resolved"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_can_not_start_says_why() {
    let error = Alertmanager::start("route: {receiver: nobody}").await.expect_err("an error");
    let error = format!("{error:#}");
    assert!(error.starts_with("start Alertmanager: alertmanager-0 ended with exit status: 1"), "{error}");
    assert!(error.contains(r#"undefined receiver \"nobody\""#), "{error}");
}
