//! A session that was recorded from OnCall, played in order: status, headers and body of each answer are the recorded ones,
//! but for those that `rest.differences.json` lists with what is answered instead.

use std::collections::BTreeMap;

use kube::api::{Patch, PatchParams, PostParams};
use oncall_webhooks::{
    core::id::is_webhook_id,
    resources::{EventRef, Webhook, WebhookResponse, compile},
};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Team, WEBHOOKS};
use crate::harness::{TestNamespace, eventually};

#[derive(Deserialize)]
struct Step {
    label: String,
    method: String,
    path: String,
    json: Option<Value>,
    raw: Option<String>,
    content_type: Option<String>,
    /// Null where no token was sent.
    #[serde(default = "with_token")]
    auth: Value,
    /// The parts of the answer's body that are kept, each with its name.
    #[serde(default)]
    save: BTreeMap<String, String>,
    #[serde(flatten)]
    answer: Recorded,
}

fn with_token() -> Value {
    Value::Bool(true)
}

#[derive(Deserialize)]
struct Recorded {
    status: u16,
    headers: BTreeMap<String, String>,
    /// None where any will do.
    body: Option<Value>,
}

#[derive(Deserialize)]
struct Difference {
    reason: String,
    #[serde(flatten)]
    answer: Recorded,
}

/// The values that the `<names>` of the session stand for, and the ids that were recorded and have no name.
#[derive(Default)]
struct Values(BTreeMap<String, String>);

impl Values {
    fn set(&mut self, name: &str, value: &str) {
        self.0.insert(format!("<{name}>"), value.to_owned());
        self.0.insert(format!("<{name}:lower>"), value.to_lowercase());
    }

    fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }
}

impl Recorded {
    /// How an answer differs from this one.
    fn differs(&self, answer: &Answer, values: &Values) -> Option<String> {
        let expected = self.body.as_ref().map(|body| match body {
            Value::String(text) => text.clone(),
            body => values.fill(&body.to_string()),
        });
        let mut faults = Vec::new();
        if answer.status != self.status {
            faults.push(format!("status {}, not {}", answer.status, self.status));
        }
        for (name, value) in &self.headers {
            if answer.header(name) != Some(value) {
                faults.push(format!("{name}: {:?}, not {value}", answer.header(name)));
            }
        }
        if expected.as_ref().is_some_and(|expected| *expected != answer.body) {
            faults.push(format!("body\n    {:.2000}\n  not\n    {:.2000}", answer.body, expected.unwrap_or_default()));
        }
        (!faults.is_empty()).then(|| faults.join("; "))
    }
}

/// Makes what was there before the session: a webhook that a person applied, and the answers that it got.
async fn seed(place: &TestNamespace) -> String {
    place
        .apply(
            "apiVersion: oncall.dev/v1alpha1\nkind: Webhook\nmetadata: {name: delivered}\n\
             spec: {triggerType: acknowledge, url: 'http://mccarty.biz/'}\n",
        )
        .await;
    let webhook = place.api::<Webhook>().get("delivered").await.expect("get Webhook");
    let owner = json!([{
        "apiVersion": "oncall.dev/v1alpha1", "kind": "Webhook", "name": "delivered", "uid": webhook.metadata.uid,
    }]);
    let compiled = compile(&webhook);
    let responses = [
        ("acknowledge", "2023-06-06T18:18:57.571283Z"),
        ("acknowledge", "2012-04-28T22:19:38.626529Z"),
        ("acknowledge", "1970-01-03T17:05:16.311077Z"),
        ("resolve", "2024-01-01T00:00:00.5Z"),
    ];
    for (number, (trigger, timestamp)) in responses.into_iter().enumerate() {
        let name = format!("delivered-{number}");
        let event = EventRef { name: format!("event-{number}"), uid: format!("uid-{number}") };
        let mut response = WebhookResponse::bare(&name, &place.namespace, event, "I1", &compiled);
        response.spec.trigger_type = serde_json::from_value(trigger.into()).expect("a trigger type");
        response.metadata.owner_references = serde_json::from_value(owner.clone()).expect("an owner");
        let api = place.api::<WebhookResponse>();
        api.create(&PostParams::default(), &response).await.expect("create WebhookResponse");
        let status = json!({"status": {
            "phase": "Succeeded", "timestamp": timestamp, "statusCode": 200 + number,
            "content": format!("{{\"n\": {number}}}"), "eventData": format!("{{\"i\": {number}}}"),
        }});
        api.patch(&name, &PatchParams::default(), &Patch::Merge(&status)).await.expect("patch WebhookResponse");
    }
    compiled.id
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recorded_session_is_answered_as_oncall_does_but_for_what_is_listed() {
    let steps: Vec<Step> = serde_json::from_str(include_str!("../../conformance/rest.json")).expect("the session");
    let mut differences: BTreeMap<String, Difference> =
        serde_json::from_str(include_str!("../../conformance/rest.differences.json")).expect("the differences");
    let team = Team::new("conformance").await;
    let mut values = Values::default();
    values.set("delivered", &seed(&team).await);
    for (name, value) in [("team", "T1"), ("integration", "C1"), ("token", &team.token), ("base", &team.url)] {
        values.set(name, value);
    }
    let responses = values.fill(&format!("{WEBHOOKS}<delivered>/responses"));
    eventually("the API has seen what was there before", || async {
        let answer = team.get(&responses).await;
        (answer.status == 200 && answer.json()["count"] == 3).then_some(())
    })
    .await;

    let mut wrong = Vec::new();
    for step in &steps {
        let body = match (&step.raw, &step.json) {
            (Some(raw), _) => Some(raw.clone()),
            (None, Some(json)) => Some(values.fill(&json.to_string())),
            (None, None) => None,
        };
        let content_type = step.content_type.as_deref().unwrap_or("application/json");
        let method = Method::from_bytes(step.method.as_bytes()).expect("a method");
        let token = (!step.auth.is_null()).then_some(team.token.as_str());
        let answer = team.send(method, &values.fill(&step.path), token, body.map(|body| (content_type, body))).await;

        if answer.status == 201 {
            let made = answer.json();
            let made = made["id"].as_str().unwrap_or_default();
            assert!(is_webhook_id(made), "{}: id {made}", step.label);
            for name in step.save.keys() {
                values.set(name, made);
            }
            values.set("new", made);
            let recorded = step.answer.body.as_ref().and_then(|body| body["id"].as_str());
            if let Some(recorded) = recorded.filter(|id| !id.starts_with('<')) {
                values.0.insert(recorded.to_owned(), made.to_owned());
            }
            if step.answer.status != 201 {
                // OnCall refused it: later lists have no such webhook.
                team.delete(&values.fill(&format!("{WEBHOOKS}<new>/"))).await.expect(204);
            }
        }
        let fault = match differences.remove(&step.label) {
            None => step.answer.differs(&answer, &values),
            Some(listed) if step.answer.differs(&answer, &values).is_none() => {
                Some(format!("no longer differs, but is listed: {}", listed.reason))
            }
            Some(listed) => listed.answer.differs(&answer, &values),
        };
        wrong.extend(fault.map(|fault| format!("{}: {} {}\n  {fault}", step.label, step.method, step.path)));
    }
    assert!(differences.is_empty(), "listed, and no step: {:?}", differences.keys());
    assert!(wrong.is_empty(), "{} of {} steps:\n{}", wrong.len(), steps.len(), wrong.join("\n"));
}
