//! The calls of OnCall's Go client and the Terraform provider: what they send reads back to the letter, so that no plan shows a
//! difference.

use serde_json::{Value, json};

use super::{ACTIONS, Team, WEBHOOKS, id, path, with};

const MASK: &str = "****************";

/// All fields that the provider sends for a resource, null where the configuration says nothing.
fn resource(name: &str, more: Value) -> Value {
    let body = json!({
        "preset": "", "name": name, "team": "", "url": "https://example.com", "trigger_type": "resolve",
        "http_method": "POST", "data": null, "username": null, "password": null, "authorization_header": null,
        "trigger_template": null, "headers": null, "forward_all": true, "integration_filter": null,
        "schedule_filter": null, "is_webhook_enabled": true,
    });
    with(body, more)
}

/// How the API shows what was sent: `""` as null where it means none, and no secret.
fn shown(sent: &Value, id: &str) -> Value {
    let mut body = json!({"id": id});
    for field in [
        "name",
        "is_webhook_enabled",
        "team",
        "data",
        "username",
        "password",
        "authorization_header",
        "trigger_template",
        "headers",
        "url",
        "forward_all",
        "http_method",
        "trigger_type",
        "integration_filter",
        "preset",
    ] {
        body[field] = match (field, &sent[field]) {
            ("team" | "preset", Value::String(text)) if text.is_empty() => Value::Null,
            ("password" | "authorization_header", Value::String(_)) => MASK.into(),
            (_, value) => value.clone(),
        };
    }
    body
}

fn resources() -> Vec<(&'static str, Value)> {
    vec![
        ("least", json!({})),
        (
            "everything",
            json!({
                "team": "TPLATFORM", "url": "https://example.com/{{ alert_group_id }}", "trigger_type": "status change",
                "http_method": "PUT", "data": "{\"title\": \"{{ alert_group.title }}\"}\n", "username": "ann",
                "password": "s3cret-of-terraform", "authorization_header": "Bearer t0ken-of-terraform",
                "trigger_template": "{{ alert_payload.severity == 'critical' }}\n",
                "headers": "{\"X-Alert\": \"{{ alert_group_id }}\"}\n", "forward_all": false,
                "integration_filter": ["C1", "C2"], "is_webhook_enabled": false,
            }),
        ),
        ("data beside forward all", json!({"data": "  {{ event.type }}  \n"})),
        ("advanced", json!({"preset": "advanced_webhook"})),
        ("no integrations", json!({"integration_filter": []})),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_terraform_sends_reads_back_the_same_and_a_second_apply_changes_nothing() {
    let team = Team::new("terraform").await;
    for (name, more) in resources() {
        let sent = resource(name, more);
        let created = team.call(reqwest::Method::POST, WEBHOOKS, Some(&sent)).await.expect(201);
        let expected = match (name, shown(&sent, id(&created))) {
            // An empty filter is none, as recorded.
            ("no integrations", mut expected) => {
                expected["integration_filter"] = Value::Null;
                expected
            }
            (_, expected) => expected,
        };
        let text = expected.to_string();
        assert_eq!(created.to_string(), text, "{name}: created");
        let one = path(&created);
        assert_eq!(team.get(&one).await.body, text, "{name}: read");
        let before = team.object(id(&created)).await.metadata;

        // Without the slash, as the client lists.
        let list = team.get(&format!("/api/v1/webhooks?name={}", name.replace(' ', "+"))).await.expect(200);
        assert_eq!((&list["count"], list["results"][0].to_string()), (&json!(1), text.clone()), "{name}: listed");

        assert_eq!(team.put(&one, sent.clone()).await.both(), (200, expected.clone()), "{name}: applied again");
        assert_eq!(team.get(&one).await.body, text, "{name}: read after the second apply");
        let after = team.object(id(&created)).await.metadata;
        assert_eq!(
            (&after.resource_version, after.generation),
            (&before.resource_version, before.generation),
            "{name}: nothing is written that does not change"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simple_webhook_is_what_its_preset_says_whatever_terraform_sends() {
    let team = Team::new("simple").await;
    let sent = resource(
        "simple",
        json!({"preset": "simple_webhook", "trigger_type": "", "http_method": "", "forward_all": false}),
    );
    let created = team.call(reqwest::Method::POST, WEBHOOKS, Some(&sent)).await.expect(201);
    let mut expected = shown(&sent, id(&created));
    expected["trigger_type"] = "escalation".into();
    expected["http_method"] = "POST".into();
    expected["forward_all"] = true.into();
    assert_eq!(created.to_string(), expected.to_string());
    assert_eq!(team.put(&path(&created), sent).await.expect(200).to_string(), expected.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_of_a_configuration_reads_back_and_leaves_the_rest() {
    let team = Team::new("changes").await;
    let sent = resource("first", json!({"password": "s3cret-one", "username": "ann"}));
    let created = team.call(reqwest::Method::POST, WEBHOOKS, Some(&sent)).await.expect(201);
    let one = path(&created);
    let changes = [
        json!({"name": "second"}),
        json!({"team": "T2"}),
        json!({"forward_all": false, "data": "{{ event.type }}\n"}),
        json!({"password": "s3cret-two"}),
        json!({"authorization_header": "Bearer t0ken"}),
        json!({"integration_filter": ["C1"]}),
        json!({"headers": "{}", "trigger_template": "{{ 1 }}"}),
        json!({"preset": "advanced_webhook"}),
        json!({"is_webhook_enabled": false}),
        // And all of it taken away again.
        json!({
            "team": "", "password": null, "username": null, "authorization_header": null, "integration_filter": null,
            "headers": null, "trigger_template": null, "data": null, "forward_all": true, "preset": "",
        }),
    ];
    let mut wanted = sent;
    for change in changes {
        wanted = with(wanted, change.clone());
        let expected = shown(&wanted, id(&created)).to_string();
        assert_eq!(team.put(&one, wanted.clone()).await.expect(200).to_string(), expected, "{change}");
        assert_eq!(team.get(&one).await.body, expected, "{change}");
    }
}

/// What an older provider sends for its resource of the older form.
fn action(name: &str, more: Value) -> Value {
    let body = json!({
        "name": name, "url": "https://example.com", "team_id": "", "user": "", "password": "", "data": "",
        "authorization_header": "", "trigger_template": "", "headers": "", "forward_whole_payload": true,
    });
    with(body, more)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_older_providers_send_to_the_older_form_is_taken_blank_or_null() {
    let team = Team::new("actions").await;
    let created = team.call(reqwest::Method::POST, ACTIONS, Some(&action("older", json!({})))).await.expect(201);
    let expected = json!({
        "id": id(&created), "name": "older", "is_webhook_enabled": true, "team_id": null, "user": "", "data": null,
        "password": "", "authorization_header": "", "trigger_template": null, "headers": null,
        "url": "https://example.com", "forward_whole_payload": true, "http_method": "POST", "trigger_type": "escalation",
        "integration_filter": null,
    });
    assert_eq!(created.to_string(), expected.to_string());
    let one = format!("{ACTIONS}{}/", id(&created));
    let secrets = json!({"user": "ann", "password": "s3cret", "data": "{{ event.type }}"});
    let shown = json!({"user": "ann", "password": MASK, "data": "{{ event.type }}"});
    let changes = [
        (action("older", secrets), with(expected.clone(), shown.clone())),
        (json!({"user": null}), with(with(expected.clone(), shown), json!({"user": null}))),
        (json!({"password": null, "data": null}), with(expected.clone(), json!({"user": null, "password": null}))),
        (action("older", json!({})), expected),
    ];
    for (sent, expected) in changes {
        assert_eq!(team.put(&one, sent.clone()).await.expect(200).to_string(), expected.to_string(), "{sent}");
        assert_eq!(team.get(&one).await.body, expected.to_string(), "{sent}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_neither_enabled_nor_disabled_reads_back_so_and_is_stored_as_one_that_fires() {
    let team = Team::new("neither").await;
    let created = team.create("neither", json!({"is_webhook_enabled": null})).await;
    let one = path(&created);
    let states = [(json!({}), json!(null), true), (json!({"is_webhook_enabled": false}), json!(false), false)];
    for (sent, shown, fires) in states {
        let changed = team.put(&one, sent.clone()).await.expect(200);
        assert_eq!(changed["is_webhook_enabled"], shown, "{sent}");
        assert_eq!(team.object(id(&created)).await.spec.enabled, fires, "{sent}");
    }
    let refused = (400, json!({"is_webhook_enabled": ["This field may not be null."]}));
    for path in [one, format!("{ACTIONS}{}/", id(&created))] {
        assert_eq!(team.put(&path, json!({"is_webhook_enabled": null})).await.both(), refused, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_webhook_that_is_gone_is_404() {
    let team = Team::new("gone").await;
    let created = team.call(reqwest::Method::POST, WEBHOOKS, Some(&resource("gone", json!({})))).await.expect(201);
    let one = path(&created);
    // An import is nothing but this.
    team.get(&one).await.expect(200);
    let deleted = team.delete(&one).await;
    assert_eq!((deleted.status, deleted.body.as_str()), (204, ""));
    let gone = (404, json!({"detail": "Not found."}));
    assert_eq!(team.get(&one).await.both(), gone);
    assert_eq!(team.delete(&one).await.both(), gone);
    assert_eq!(team.put(&one, resource("gone", json!({}))).await.both(), gone);
}
