//! `render`.

use serde_json::{Value, json};

use crate::harness::{Folder, Ran, event, secret, webhook};

const URL: &str = "url: http://receiver.example/{{ alert_group_id }}";

#[test]
fn each_webhook_has_a_block_or_the_reason_why_it_does_not_fire() {
    let all = [
        webhook(
            "sends",
            "resolve",
            &[URL, "headers: '{\"X-A\": \"é\", \"Authorization\": \"s3cret\"}'", "data: hello"],
        ),
        webhook("gets", "status change", &[URL, "httpMethod: GET"]),
        webhook("other", "silence", &[URL]),
        webhook("disabled", "resolve", &[URL, "enabled: false"]),
        webhook("filtered", "resolve", &[URL, "integrationFilter: [C1]"]),
        webhook("asks", "resolve", &[URL, "triggerTemplate: '{{ 1 == 2 }}'"]),
        webhook("called", "escalation", &[URL]),
        webhook("fails", "resolve", &[URL, "data: '{{ a.b.c }}'"]),
        event("resolved", "resolve", &["integration: {id: C2}"]),
        event("escalated", "escalation", &["webhookRefs: [nobody]"])
            .replace("name: escalated", "name: escalated\n  namespace: other"),
    ];
    let folder = Folder::new(&[("all.yaml", &all.concat())]);
    let stdout = "\
# Webhook default/sends for AlertGroupEvent default/resolved
POST http://receiver.example/I1
X-A: é
Authorization: ****************

hello

# Webhook default/gets for AlertGroupEvent default/resolved
GET http://receiver.example/I1

# Webhook default/other for AlertGroupEvent default/resolved: does not fire: its trigger is silence, the event's type is resolve

# Webhook default/disabled for AlertGroupEvent default/resolved: does not fire: it is disabled

# Webhook default/filtered for AlertGroupEvent default/resolved: does not fire: its integration filter has no C2, the event's integration

# Webhook default/asks for AlertGroupEvent default/resolved: does not fire: its trigger template rendered to \"False\"

# Webhook default/called for AlertGroupEvent default/resolved: does not fire: its trigger is escalation, the event's type is resolve

# Webhook default/fails for AlertGroupEvent default/resolved: not sent: Data - Template Warning: 'a' is undefined
";
    let stderr = "all.yaml: hint: AlertGroupEvent other/escalated: no Webhook of its namespace is among the files\n";
    assert_eq!(folder.run("render -f all.yaml"), Ran::new(1, stdout, stderr));
}

#[test]
fn namespaces_are_apart_and_secrets_never_show() {
    let reference = "{secretKeyRef: {name: s, key: k}}";
    let hook = webhook(
        "one",
        "personal notification",
        &[
            &format!("urlFrom: {reference}"),
            &format!("headersFrom: [{{name: X-Key, {}}}]", &reference[1..reference.len() - 1]),
            &format!("authorizationHeader: {reference}"),
        ],
    );
    let event = event("called", "personal notification", &["webhookRefs: [one, two]"]);
    let apart = |text: &str| text.replacen("metadata:\n", "metadata:\n  namespace: apart\n", 1);
    let folder = Folder::new(&[
        ("dir/1.yaml", &hook),
        ("dir/2.yml", &apart(&hook)),
        ("dir/3.yaml", &event),
        ("dir/README.md", "not: [a manifest"),
        ("dir/deeper/4.yaml", &secret("s", "k", "http://s3cret.example/s3cret")),
    ]);
    let block = "\
# Webhook default/one for AlertGroupEvent default/called
POST ****************
X-Key: ****************
Authorization: ****************
Content-Type: application/json

****************
";
    let hint =
        "dir/1.yaml: hint: Webhook default/one: Secret 's' of namespace default is not among the files; shown masked\n";
    assert_eq!(folder.run("render -f dir"), Ran::new(0, block, hint));
    assert_eq!(folder.run("render -R -f dir"), Ran::new(0, block, ""));
    // One of another name says nothing of it.
    folder.write("dir/deeper/4.yaml", secret("unrelated", "k", "x").as_bytes());
    assert_eq!(folder.run("render -R -f dir"), Ran::new(0, block, hint));
    // One that is given and lacks the key is a failure.
    folder.write("dir/deeper/4.yaml", secret("s", "other", "x").as_bytes());
    let stdout = "# Webhook default/one for AlertGroupEvent default/called: not sent: URL - Secret 's' has no key 'k': it has other\n";
    assert_eq!(folder.run("render -R -f dir"), Ran::new(1, stdout, ""));
}

#[test]
fn data_takes_the_place_of_events() {
    let folder = Folder::new(&[
        (
            "w.yaml",
            &[
                webhook(
                    "one",
                    "escalation",
                    &[URL, "data: '{{ event.type }} {{ webhook.name }} {{ responses.WHX.a }}'"],
                ),
                webhook("two", "resolve", &[URL, "integrationFilter: [C1]"]),
            ]
            .concat(),
        ),
        ("data.yaml", "event: {type: personal notification}\nalert_group_id: I7\nresponses: {WHX: {a: 7}}\n"),
        (
            "plain.json",
            r#"{"event": {"type": "resolve"}, "alert_group_id": "I7", "webhook": {"name": "old"}, "responses": {"WHX": {"a": 7}}}"#,
        ),
    ]);
    let two = "\n# Webhook default/two for the data in FILE: does not fire: it has an integration filter, and the event names no integration\n";
    for (file, body) in [("data.yaml", "****************"), ("plain.json", "resolve one 7")] {
        let stdout = format!(
            "# Webhook default/one for the data in {file}\nPOST http://receiver.example/I7\n\n{body}\n{}",
            two.replace("FILE", file)
        );
        assert_eq!(folder.run(&format!("render -f w.yaml --data {file}")), Ran::new(0, &stdout, ""));
    }
}

#[test]
fn a_webhook_may_be_what_oncalls_api_gives() {
    let hook = |password: &str| {
        json!({
            "id": "WHP936BM1GPVHQ", "name": " My Webhook\n", "is_webhook_enabled": true, "team": null, "data": "{\"a\": 1}",
            "username": "\tann ", "password": password, "authorization_header": null, "trigger_template": null,
            "headers": "", "url": "\u{a0}https://u:s3cret@receiver.example/x ", "forward_all": false, "http_method": "PUT",
            "trigger_type": "resolve", "integration_filter": null, "preset": null,
        })
    };
    let folder = Folder::new(&[
        ("given.json", &hook("s3cret").to_string()),
        ("masked.json", &json!({"count": 1, "results": [hook("****************")]}).to_string()),
        ("event.yaml", &event("e", "resolve", &[])),
        (
            "bad.json",
            "{\"name\": \"x\",\n\"url\": \"http://x\",\n\"trigger_type\": \"alert\",\n\"forward_all\": \"no\", \"preset\": \"slack\"}",
        ),
    ]);
    let stdout = "\
# Webhook default/my-webhook for AlertGroupEvent default/e
PUT https://****************@receiver.example/x
Content-Type: application/json
Authorization: ****************

{\"a\": 1}
";
    assert_eq!(folder.run("render -f given.json,event.yaml"), Ran::new(0, stdout, ""));
    let hint = "masked.json: hint: webhook \"My Webhook\": password is masked: put its value in place of the asterisks; shown masked\n";
    assert_eq!(folder.run("render -f masked.json event.yaml"), Ran::new(0, stdout, hint));
    let stderr = "\
bad.json:4: webhook \"x\": preset: \"slack\" is no preset: there is simple_webhook, advanced_webhook and none; others are of Grafana Cloud only
bad.json:4: webhook \"x\": forward_all: must be true or false, not a string
bad.json:3: webhook \"x\": trigger_type: \"alert\" is none of OnCall's
";
    assert_eq!(folder.run("render -f bad.json event.yaml"), Ran::new(1, "", stderr));
}

#[test]
fn what_lacks_responses_is_told_where_they_come_from() {
    let folder = Folder::new(&[
        ("w.yaml", &webhook("one", "resolve", &["url: http://x/{{ responses.WHX.id }}"])),
        ("e.yaml", &[event("e1", "resolve", &[]), event("e2", "resolve", &[])].concat()),
        ("data.json", r#"{"responses": {"WHX": {"id": 7}}}"#),
    ]);
    let ran = folder.run("render -f w.yaml,e.yaml");
    let stderr = "w.yaml: hint: Webhook default/one: nothing was answered for the alert group yet: add a WebhookResponse of it to the files, or give data with responses by --data FILE\n";
    assert_eq!((ran.stderr.as_str(), ran.status), (stderr, 1));
    let ran = folder.run("render -f w.yaml --data data.json");
    assert_eq!((ran.stderr.as_str(), ran.status), ("", 0));
}

#[test]
fn json_is_an_array_of_objects() {
    let folder = Folder::new(&[
        (
            "all.yaml",
            &[
                webhook("one", "resolve", &[URL, "data: '{\"a\":1}'", "id: WHP936BM1GPVHQ"]),
                webhook("two", "silence", &[URL]),
                event("e", "resolve", &[]),
            ]
            .concat(),
        ),
        ("fails.yaml", &webhook("three", "resolve", &["url: nowhere", "id: WHP936BM1GPVHR"])),
    ]);
    let ran = folder.run("render -f all.yaml -f fails.yaml -o json");
    let shown: Value = serde_json::from_str(&ran.stdout).expect("it is JSON");
    let two = shown[1]["webhookId"].clone();
    let expected = json!([
        {"namespace": "default", "webhook": "one", "webhookId": "WHP936BM1GPVHQ", "event": "e", "fires": true, "request": {
            "method": "POST", "url": "http://receiver.example/I1",
            "headers": [{"name": "Content-Type", "value": "application/json"}], "body": "{\"a\": 1}",
        }},
        {"namespace": "default", "webhook": "two", "webhookId": two, "event": "e", "fires": false,
            "reason": "its trigger is silence, the event's type is resolve"},
        {"namespace": "default", "webhook": "three", "webhookId": "WHP936BM1GPVHR", "event": "e", "fires": true,
            "error": "URL - Malformed url"},
    ]);
    assert_eq!((shown, ran.stderr.as_str(), ran.status), (expected, "", 1));
}

#[test]
fn wrong_usage_has_a_status_of_its_own() {
    let folder = Folder::new(&[
        ("w.yaml", &webhook("one", "resolve", &[URL])),
        ("e.yaml", &event("e", "resolve", &[])),
        ("dir/a.txt", ""),
    ]);
    let cases = [
        ("render -f w.yaml", "there is no AlertGroupEvent among the files: add one, or give data with --data FILE"),
        ("render -f e.yaml", "there is no Webhook among the files"),
        ("render -f no.yaml", "read no.yaml: No such file or directory (os error 2)"),
        ("render -f dir", "dir has no *.yaml, *.yml or *.json; -R reads the folders inside it"),
        ("render -f - --data -", "standard input (-) can be read only once"),
        ("render -f - -f -", "standard input (-) can be read only once"),
    ];
    for (args, message) in cases {
        assert_eq!(folder.run(args), Ran::new(2, "", &format!("oncall-webhooks: {message}\n")), "{args}");
    }
    assert_eq!(folder.run("render").status, 2);
}

#[test]
fn certificates_that_are_elsewhere_are_not_needed_and_broken_ones_are_named() {
    let tls = "tls: {caSecretRef: {name: ca}, clientCertSecretRef: {name: client}}";
    let folder = Folder::new(&[
        ("all.yaml", &[webhook("one", "resolve", &[URL, tls, "data: hello"]), event("e", "resolve", &[])].concat()),
        ("ca.yaml", &secret("ca", "ca.crt", "s3cret")),
        ("client.yaml", &secret("client", "tls.crt", "s3cret")),
    ]);
    let title = "# Webhook default/one for AlertGroupEvent default/e";
    let sent = format!("{title}\nPOST http://receiver.example/I1\n\nhello\n");
    assert_eq!(folder.run("render -f all.yaml"), Ran::new(0, &sent, ""));
    let only_client = folder.run("render -f all.yaml -f client.yaml");
    // The other is elsewhere: nothing of TLS is looked at.
    assert_eq!(only_client, Ran::new(0, &sent, ""));
    let broken = format!("{title}: not sent: tls.caSecretRef: Key 'ca.crt' of Secret 'ca' has no certificate in PEM\n");
    assert_eq!(folder.run("render -f all.yaml -f ca.yaml -f client.yaml"), Ran::new(1, &broken, ""));
}
