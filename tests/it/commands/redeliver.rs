//! Deliveries that are sent again at a person's word.

use std::collections::{BTreeMap, BTreeSet};

use oncall_webhooks::resources::{Webhook, WebhookResponse};
use serde_json::json;
use support::Answer;

use super::{program, run, terminal::at_terminal};
use crate::harness::World;

/// How many deliveries a person is not asked about, and one more.
const MANY: usize = 6;

/// A webhook that was refused many times, and one that was not. The receiver takes everything from now on.
async fn refused(name: &str) -> World {
    let world = World::with_receiver(name, |request| {
        let again = request.header("x-again").is_some();
        Answer::new(if request.target == "/jira" && !again { 400 } else { 200 }, "said")
    })
    .await;
    world.seen_webhook("jira", "resolve", json!({})).await;
    world.seen_webhook("chat", "acknowledge", json!({})).await;
    for number in 0..MANY {
        world.event(&format!("resolved-{number}"), "resolve", &format!("I{number}"), json!({})).await;
    }
    world.event("acked", "acknowledge", "I0", json!({})).await;
    for number in 0..MANY {
        world.completed(&format!("resolved-{number}"), 1).await;
    }
    world.completed("acked", 1).await;
    let fixed = kube::api::Patch::Merge(json!({"spec": {"headers": r#"{"X-Again": "1"}"#}}));
    world.api::<Webhook>().patch("jira", &Default::default(), &fixed).await.expect("patch");
    world
}

/// The names of the responses of a webhook.
async fn names(world: &World, webhook: &str) -> BTreeSet<String> {
    let found = world.responses().await;
    let of = found.into_iter().filter(|((name, _), _)| name == webhook);
    of.filter_map(|(_, response)| response.metadata.name).collect()
}

/// Waits until the responses of a webhook, of which there are so many, have each had so many attempts.
async fn sent(world: &World, webhook: &str, count: usize, attempts: u32) {
    let all = |responses: &BTreeMap<String, WebhookResponse>| {
        let of = responses.values().filter(|response| response.spec.webhook_ref.name == webhook);
        let sent = |response: &WebhookResponse| response.status.as_ref().map(|status| status.attempt_count);
        (of.filter(|response| sent(response) == Some(attempts)).count() == count).then_some(())
    };
    world.objects_that("all are sent again", all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_deliveries_are_sent_again_once_a_person_said_so() {
    let world = refused("redeliver-many").await;
    let jira = names(&world, "jira").await;
    let question = "Send 6 deliveries of Webhook jira again";
    let unasked = format!("error: {question}: there is no terminal to ask on, so say --yes if you mean it\n");
    assert_eq!(run(&world, &["redeliver", "--failed"], "").await, (String::new(), unasked, 2));
    // Each line begins with the response, and tells of which event it is.
    let told = |lines: &str, what: &str| {
        let name = |line: &str| {
            let begin = format!("WebhookResponse {}/", world.namespace);
            let (name, rest) = line.strip_prefix(&begin)?.split_once(": ")?;
            let about = rest.strip_prefix(what)?.strip_prefix(" (Webhook jira, AlertGroupEvent resolved-")?;
            about.ends_with(", Failed)").then(|| name.to_owned())
        };
        lines.lines().map(|line| name(line).unwrap_or_else(|| panic!("{line}"))).collect::<BTreeSet<String>>()
    };
    let (stdout, stderr, status) = run(&world, &["redeliver", "--failed", "--dry-run"], "").await;
    assert_eq!((told(&stdout, "would be sent again"), stderr.as_str(), status), (jira.clone(), "", 0));
    let at = |args: &[&str], answer: &str| at_terminal(program(&world, args), answer);
    let (shown, status) = at(&["redeliver", "--failed"], "\n");
    assert_eq!(status, 1, "{shown}");
    assert!(shown.ends_with(&format!("{question}? [y/N] Nothing is sent again.\r\n")), "{shown}");
    let sent_before = world.receiver.count();
    let (shown, status) = at(&["redeliver", "--webhook", "jira", "--since", "1h"], "y\n");
    let lines = shown.split_once("? [y/N] ").expect("it asks").1.replace('\r', "");
    assert_eq!((told(&lines, "to be sent again"), status), (jira, 0));
    sent(&world, "jira", MANY, 2).await;
    assert_eq!(world.receiver.count(), sent_before + MANY);
    let none = format!("No WebhookResponses to send again found in namespace {}.\n", world.namespace);
    assert_eq!(run(&world, &["redeliver", "--failed"], "").await, (String::new(), none, 0));
    let (_, stderr, status) = run(&world, &["redeliver", "--webhook", "jira", "--yes"], "").await;
    assert_eq!((stderr.as_str(), status), ("", 0));
    sent(&world, "jira", MANY, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_sent_again_holds_up_nothing_else() {
    let world = refused("redeliver-named").await;
    let chat = names(&world, "chat").await.pop_first().expect("one");
    let missing = format!("oncall-webhooks: WebhookResponse {}/nobody does not exist\n", world.namespace);
    for (dry, what) in [(true, "would be"), (false, "to be")] {
        let kind = format!("webhookresponse.oncall.dev/{chat}");
        let mut args = vec!["redeliver", "nobody", &chat, &kind];
        args.extend(dry.then_some("--dry-run"));
        let done = format!("WebhookResponse {}/{chat}: {what} sent again\n", world.namespace);
        assert_eq!(run(&world, &args, "").await, (done, missing.clone(), 1), "{args:?}");
    }
    sent(&world, "chat", 1, 2).await;
    let none = format!("No WebhookResponses to send again found in namespace {}.\n", world.namespace);
    assert_eq!(run(&world, &["redeliver", "--webhook", "chat", "--failed"], "").await, (String::new(), none, 0));
    let said = run(&world, &["redeliver", "--webhook", "slack"], "").await;
    let missing = format!("oncall-webhooks: Webhook {}/slack does not exist\n", world.namespace);
    assert_eq!(said, (String::new(), missing, 1));
}
