//! The commands with which people and scripts change alert groups and create events, and see how things are, with the operator at work.

mod plugin;
mod redeliver;
mod responses;
mod status;
mod terminal;

use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
};

use kube::ResourceExt;
use oncall_webhooks::resources::{AlertGroup, AlertGroupEvent};
use serde_json::{Value, json};
use support::Answer;

use crate::harness::{TestNamespace, World, cluster};

/// What a command printed on standard output and standard error, and its exit status.
pub(crate) type Ran = (String, String, i32);

/// Runs the program in a namespace as a person does, with `input` on standard input.
pub(crate) async fn run(place: &TestNamespace, args: &[&str], input: &str) -> Ran {
    let mut program = program(place, args);
    program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let input = input.to_owned();
    let ran = tokio::task::spawn_blocking(move || {
        use std::io::Write as _;
        let mut child = program.spawn().expect("start the program");
        // What does not read its input closes it.
        let _ = child.stdin.take().expect("it is piped").write_all(input.as_bytes());
        child.wait_with_output().expect("wait for the program")
    });
    let output = ran.await.expect("run the program");
    let text = |bytes| String::from_utf8(bytes).expect("it prints UTF-8");
    (text(output.stdout), text(output.stderr), output.status.code().expect("it was not killed"))
}

/// The program, as a person starts it in a namespace.
fn program(place: &TestNamespace, args: &[&str]) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_oncall-webhooks"));
    program.args(args).args(["--namespace", &place.namespace]).env("KUBECONFIG", cluster().0.kubeconfig());
    program
}

/// The words of each line of a table, with `AGE` in the place of ages, `TIME` of times and `NAME` of names that end with a hash of
/// the response of a webhook.
fn words(table: &str) -> Vec<String> {
    let is_age =
        |word: &str| word.ends_with(['s', 'm']) && word.starts_with(|c: char| c.is_ascii_digit()) && word.len() < 6;
    let shown = |word: &str| match word {
        word if is_age(word) => "AGE".to_owned(),
        word if word.parse::<jiff::Timestamp>().is_ok() => "TIME".to_owned(),
        word => word.to_owned(),
    };
    table.lines().map(|line| line.split_whitespace().map(shown).collect::<Vec<_>>().join(" ")).collect()
}

/// Has an alert open an alert group, and returns that.
async fn opened(place: &TestNamespace, title: &str) -> AlertGroup {
    let args = ["emit", "alert", "--integration", "prod", "--grouping-id", title, "--title", title];
    let (stdout, stderr, status) = run(place, &args, "").await;
    assert!(status == 0 && stderr.is_empty() && stdout.ends_with(": created\n"), "{stdout} {stderr}");
    place
        .objects_that("the alert group is opened", |groups: &BTreeMap<String, AlertGroup>| {
            groups.values().find(|group| group.status.as_ref().is_some_and(|status| status.title == title)).cloned()
        })
        .await
}

/// The name that the API server knows this person by.
pub(crate) async fn myself(place: &TestNamespace) -> String {
    place.kubectl(&["auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"]).await
}

fn done(line: &str) -> Ran {
    (format!("{line}\n"), String::new(), 0)
}

fn not_done(line: &str) -> Ran {
    (String::new(), format!("{line}\n"), 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn people_change_alert_groups_and_are_told_what_came_of_it() {
    let world = World::new("commands").await;
    let (one, two) = (opened(&world, "one").await, opened(&world, "two").await);
    let (name, id) = (one.name_any(), one.status.expect("a status").id);
    let group = format!("AlertGroup {}/{name}", world.namespace);
    let me = myself(&world).await;
    for (args, expected) in [
        (vec!["ack", &id], done(&format!("{group}: acknowledged"))),
        (vec!["ack", &name], not_done(&format!("{group} can't be acknowledged: it is acknowledged, by {me}"))),
        (vec!["unack", &name], done(&format!("{group}: unacknowledged"))),
        (vec!["unsilence", &name], not_done(&format!("{group} can't be unsilenced: it is firing"))),
        (vec!["silence", &name, "--forever"], done(&format!("{group}: silenced for ever"))),
        (vec!["unsilence", &name], done(&format!("{group}: unsilenced"))),
        (vec!["resolve", &name], done(&format!("{group}: resolved"))),
        (
            vec!["silence", &name, "--for", "2h"],
            not_done(&format!("{group} can't be silenced: it is resolved, by {me}")),
        ),
        (vec!["unresolve", &name], done(&format!("{group}: unresolved"))),
    ] {
        assert_eq!(run(&world, &args, "").await, expected, "{args:?}");
    }
    let (stdout, stderr, status) = run(&world, &["silence", "--for", "2h", &name], "").await;
    let until = stdout.trim_end().strip_prefix(&format!("{group}: silenced until ")).expect("it says until when");
    let until: jiff::Timestamp = until.parse().expect("a time");
    let seconds = until.duration_since(jiff::Timestamp::now()).as_secs();
    assert!((7000..=7200).contains(&seconds) && stderr.is_empty() && status == 0, "{stdout} {stderr}");

    // Several at a time, one of which is not there: what can be done is done.
    let other = format!("AlertGroup {}/{}", world.namespace, two.name_any());
    let (stdout, stderr, status) = run(&world, &["resolve", &name, "nobody", &two.name_any()], "").await;
    assert_eq!(stdout, format!("{group}: resolved\n{other}: resolved\n"));
    let missing = format!("oncall-webhooks: AlertGroup {}/nobody does not exist\n", world.namespace);
    assert_eq!((stderr, status), (missing, 1));
    let groups = world.api::<AlertGroup>().list(&Default::default()).await.expect("list AlertGroups");
    let states = groups.into_iter().filter_map(|group| group.status).map(|status| (json!(status.state), status.by));
    assert_eq!(states.collect::<Vec<_>>(), vec![(json!("resolved"), Some(me.clone())); 2]);
    let events = world.api::<AlertGroupEvent>().list(&Default::default()).await.expect("list events");
    let users = events.into_iter().filter(|event| event.spec.alert_group_ref.is_some()).map(|event| event.spec.user);
    assert!(users.map(|user| user.and_then(|user| user.username)).all(|user| user.as_ref() == Some(&me)));
    assert_eq!(run(&world, &["wipe", &name], "").await, done(&format!("{group}: wiped")));
    let again = not_done(&format!("{group} can't be wiped: it is wiped, by {me}"));
    assert_eq!(run(&world, &["wipe", &name], "").await, again);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_does_not_wait_for_webhooks_that_fail_and_is_told_where_no_operator_works() {
    let mut world = World::with_receiver("commands-slow", |_| Answer::new(503, "later")).await;
    world.seen_webhook("one", "acknowledge", json!({})).await;
    let group = opened(&world, "one").await;
    let name = group.name_any();
    let group = format!("AlertGroup {}/{name}", world.namespace);
    // Its delivery is tried again for an hour.
    assert_eq!(run(&world, &["ack", &name], "").await, done(&format!("{group}: acknowledged")));
    world.kill_operator();
    let (stdout, stderr, status) = run(&world, &["resolve", &name, "--wait", "1s"], "").await;
    assert_eq!((&*stdout, status), ("", 1));
    let begins = format!("{group}: not resolved within 1 s: AlertGroupEvent {}/{name}-resolve-", world.namespace);
    assert!(stderr.starts_with(&begins) && stderr.contains("as soon as an operator works"), "{stderr}");
    let (stdout, _, status) = run(&world, &["resolve", &name, "--wait", "0s"], "").await;
    let begins = format!("{group}: to be resolved, as AlertGroupEvent {}/{name}-resolve-", world.namespace);
    assert!(stdout.starts_with(&begins) && status == 0, "{stdout}");
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_emit_events_and_wait_for_their_webhooks() {
    let answer = |request: &support::Received| Answer::new(if request.target == "/fails" { 400 } else { 200 }, "ok");
    let world = World::with_receiver("emit", answer).await;
    world
        .seen_webhook(
            "resolved",
            "resolve",
            json!({"data": "{{ user.username }} {{ alert_payload.host }}", "forwardAll": false}),
        )
        .await;
    world.seen_webhook("paged", "escalation", json!({})).await;
    world.seen_webhook("fails", "escalation", json!({})).await;
    world
        .seen_webhook("opened", "alert group created", json!({"data": "{{ alert_payload.n }}", "forwardAll": false}))
        .await;
    let me = myself(&world).await;
    // The name of the event, which is another one each time, is left out.
    let emit = async |args: &[&str], input: &str| {
        let args: Vec<&str> = ["emit"].iter().chain(args).copied().collect();
        let (stdout, stderr, status) = run(&world, &args, input).await;
        let said = format!("{stdout}{stderr}");
        let begins = format!("AlertGroupEvent {}/", world.namespace);
        let said = said.strip_prefix(&begins).unwrap_or_else(|| panic!("{said}"));
        (said.split_once(": ").expect("a name").1.trim_end().to_owned(), status)
    };
    let said = |line: &str, status: i32| (line.to_owned(), status);
    let resolve = ["resolve", "--alert-group", "I1", "--title", "Full", "--payload", "-", "--wait"];
    let one = "webhooks: 1 succeeded, 0 failed, 0 skipped";
    assert_eq!(emit(&resolve, r#"{"host": "a"}"#).await, said(one, 0));
    let escalate = ["escalation", "--alert-group", "I1", "--webhook", "paged", "--webhook", "fails", "--wait=50s"];
    assert_eq!(emit(&escalate, "").await, said("webhooks: 1 succeeded, 1 failed, 0 skipped", 1));
    let silence = ["silence", "--alert-group", "I1", "--wait"];
    assert_eq!(emit(&silence, "").await, said("no webhook ran", 0));

    let alert = ["alert", "--integration", "prod", "--grouping-id", "disk", "--payload", "-", "--wait"];
    let (line, status) = emit(&alert, r#"{"n": 1}"#).await;
    let opened = line.strip_prefix("opened AlertGroup ").and_then(|line| line.strip_suffix(&format!("; {one}")));
    assert!(opened.is_some() && status == 0, "{line}");
    assert_eq!(emit(&alert, r#"{"n": 2}"#).await, said("joined an open alert group", 0));
    let over: Vec<&str> = alert.iter().copied().chain(["--action", "resolve"]).collect();
    let resolved = format!("resolved AlertGroup {}; {one}", opened.expect("a name"));
    assert_eq!(emit(&over, r#"{"n": 3, "host": "b"}"#).await, (resolved, 0));
    assert_eq!(emit(&over, "{}").await, said("changed no alert group", 0));

    let bodies: Vec<Value> =
        world.arrived(5).await.into_iter().map(|(_, target, body)| json!([target, body])).collect();
    let expected = |target: &str, body: &str| bodies.contains(&json!([target, body]));
    assert!(expected("/resolved", &format!("{me} a")) && expected("/opened", "1"), "{bodies:?}");
    assert_eq!(bodies.len(), 5, "{bodies:?}");
}
