//! What came of the deliveries of a webhook, as it is and as it goes on.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
};

use oncall_webhooks::core::id;
use serde_json::{Value, json};
use support::Answer;

use super::{program, run, words};
use crate::harness::World;

/// A webhook of which some deliveries were taken and one was refused, one after the other.
async fn answered(name: &str) -> World {
    let world = World::with_receiver(name, |request| {
        let (code, text) = if request.body.contains("odd") { (400, "no\nodd ones\u{1b}[2J") } else { (200, "ok") };
        Answer::new(code, text)
    })
    .await;
    let data = json!({"data": "{{ alert_group.title }}", "forwardAll": false});
    world.seen_webhook("jira", "resolve", data).await;
    for (name, title) in [("first", "even"), ("second", "odd"), ("third", "even")] {
        let group = json!({"alertGroup": {"id": format!("I-{name}"), "title": title}});
        world.event(name, "resolve", "", group).await;
        world.completed(name, 1).await;
    }
    world
}

/// The lines of a table of responses, of which the names, that differ each time, are left out.
fn lines(table: &str) -> Vec<String> {
    let without_name = |line: String| {
        let mut words: Vec<&str> = line.split(' ').collect();
        words.remove(1);
        words.join(" ")
    };
    words(table).into_iter().map(without_name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_are_told_newest_last_and_by_what_is_asked_for() {
    let world = answered("responses").await;
    let heads = "TIME EVENT ALERT GROUP PHASE CODE ATTEMPTS MESSAGE";
    let line = |event: &str, phase: &str, rest: &str| format!("TIME {event} I-{event} {phase} {rest}");
    let refused = line("second", "Failed", "400 1 no odd ones\u{fffd}[2J");
    let all = vec![
        heads.to_owned(),
        line("first", "Succeeded", "200 1"),
        refused.clone(),
        line("third", "Succeeded", "200 1"),
    ];
    let webhook_id = id::webhook_id(&world.namespace, "jira");
    let failed = vec![heads.to_owned(), refused.clone()];
    for (args, expected) in [
        (vec!["responses", "jira"], all.clone()),
        (vec!["responses", &webhook_id, "--since", "1h"], all),
        (vec!["responses", "jira", "--failed"], failed),
        (vec!["responses", "jira", "--failed", "--no-headers"], vec![refused]),
    ] {
        let (stdout, stderr, status) = run(&world, &args, "").await;
        assert_eq!((lines(&stdout), stderr.as_str(), status), (expected, "", 0), "{args:?}");
    }
    let (stdout, ..) = run(&world, &["responses", "jira", "-o", "wide", "--failed", "--no-headers"], "").await;
    let url = format!(" {}/jira no odd ones", world.receiver.url());
    assert!(stdout.split_whitespace().collect::<Vec<_>>().join(" ").contains(&url), "{stdout}");

    let (missing, none) = ("Webhook {}/slack does not exist", "No WebhookResponses of Webhook {}/idle found.\n");
    let said = run(&world, &["responses", "slack"], "").await;
    let missing = format!("oncall-webhooks: {}\n", missing.replace("{}", &world.namespace));
    assert_eq!(said, (String::new(), missing, 1));
    world.seen_webhook("idle", "silence", json!({})).await;
    let said = run(&world, &["responses", "idle"], "").await;
    assert_eq!(said, (String::new(), none.replace("{}", &world.namespace), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_are_printed_as_objects_and_names_as_kubectl_prints_them() {
    let world = answered("responses-json").await;
    let selector = ["get", "whr", "-l", "oncall.dev/webhook=jira"];
    let as_kubectl = async |output: &str| {
        let args: Vec<&str> = selector.into_iter().chain(["-o", output]).collect();
        world.kubectl(&args).await
    };
    let ours = async |output: &str| {
        let (stdout, stderr, status) = run(&world, &["responses", "jira", "-o", output], "").await;
        assert_eq!((stderr.as_str(), status), ("", 0), "{output}");
        stdout
    };
    let read = |text: &str| serde_json::from_str::<Value>(text).expect("it is JSON");
    let items = read(&as_kubectl("json").await)["items"].clone();
    assert_eq!(items.as_array().map(Vec::len), Some(3));
    assert_eq!(read(&ours("json").await)["items"], items);
    let yaml: Value = serde_saphyr::from_str(&ours("yaml").await).expect("it is YAML");
    assert_eq!(yaml["items"], items);
    assert_eq!(ours("name").await, as_kubectl("name").await);
    world.seen_webhook("idle", "silence", json!({})).await;
    for (output, expected) in [("json", json!([])), ("yaml", json!([]))] {
        let (stdout, ..) = run(&world, &["responses", "idle", "-o", output], "").await;
        let list: Value = serde_saphyr::from_str(&stdout).expect("it can be read");
        assert_eq!((&list["kind"], &list["items"]), (&json!("List"), &expected), "{output}");
    }
}

/// A program that is ended when the test is over, whatever comes of it.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_are_followed_as_they_come() {
    let world = answered("responses-follow").await;
    let mut follow = program(&world, &["responses", "jira", "--follow"]);
    let mut child = Ended(follow.stdout(Stdio::piped()).spawn().expect("start the program"));
    let mut shown = BufReader::new(child.0.stdout.take().expect("it is piped")).lines();
    let mut next = || lines(&shown.next().expect("a line").expect("it is UTF-8")).remove(0);
    let before: Vec<String> = (0..4).map(|_| next()).collect();
    assert_eq!(
        before,
        [
            "TIME EVENT ALERT GROUP PHASE CODE ATTEMPTS MESSAGE",
            "TIME first I-first Succeeded 200 1",
            "TIME second I-second Failed 400 1 no odd ones\u{fffd}[2J",
            "TIME third I-third Succeeded 200 1",
        ]
    );
    world.event("fourth", "resolve", "I-fourth", json!({})).await;
    assert_eq!(next(), "TIME fourth I-fourth Succeeded 200 1");
    let second = world.responses().await.remove(&("jira".to_owned(), "second".to_owned())).expect("it is there");
    let second = kube::ResourceExt::name_any(&second);
    let (_, stderr, status) = run(&world, &["redeliver", &second], "").await;
    assert_eq!((stderr.as_str(), status), ("", 0));
    // That it is asked for is a change too, and what comes of it.
    let mut line = next();
    if line == before[2] {
        line = next();
    }
    assert_eq!(line, "TIME second I-second Failed 400 2 no odd ones\u{fffd}[2J");
}
