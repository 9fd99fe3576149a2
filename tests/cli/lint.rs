//! `lint`.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Folder, Ran, event, secret, webhook};

const URL: &str = "url: http://receiver.example";

#[test]
fn the_examples_have_no_faults() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").display().to_string();
    let folder = Folder::new(&[]);
    assert_eq!(folder.pipe(&["lint", "-R", "-f", &examples], b""), Ran::new(0, "", ""));
}

#[test]
fn what_the_api_server_refuses_is_refused() {
    let secret = "{secretKeyRef: {name: s, key: k}}";
    let hook = |more: &[&str]| webhook("one", "resolve", more);
    let cases = [(hook(&[]), "7: Webhook default/one: spec: give exactly one of url and urlFrom")];
    let _ = (secret, cases);
}

#[test]
fn every_fault_is_named_with_its_line_and_the_way_out() {
    let manifests = r#"# comment
apiVersion: oncall.dev/v1alpha1
kind: Webhook
metadata:
  name: one
spec:
  triggerType: nope
  url: http://x
  forwardALL: true
  password: hunter2
  timeout: 2m
  headers: |

    {"a":
     {{ 1 | nope }}}
  data: "a\n{{ 1 | nope }}"
  triggerTemplate: >-
    {{ 1
    | nope }}
---
apiVersion: oncall.dev/v1alpha1
kind: Webhook
metadata:
  name: one
spec:
  enabled: yes
  httpMethod: null
  timeout: soon
  labels: {a: 1}
  id: nope
  data: x
  forwardAll: true
---
a: [b
---
apiVersion: oncall.dev/v1
kind: Webhook
---
apiVersion: oncall.dev/v1alpha1
kind: AlertGroupEvent
metadata: {name: E, labels: {a: true}, nmae: x}
spec:
  type: resolve
  alertGroup: {alertsCount: 99999999999999999999}
  webhookRefs: [one]
  alertPayload: {a: .nan, b: [123456789012345678901], b: 1}
---
kynd: x
---
apiVersion: v1
kind: ConfigMap
---
apiVersion: oncall.dev/v1alpha1
kind: Webhok
---
kind: Webhook
---
apiVersion: v1
kind: Secret
metadata: {name: s}
data: {a: s3cret!}
stringData: {b: 7}
"#;
    let folder = Folder::new(&[("m.yaml", manifests)]);
    let stdout = "";
    assert_eq!(folder.run("lint -f m.yaml"), Ran::new(1, stdout, ""));
}

#[test]
fn bad_input_is_named_and_hides_nothing() {
    let folder = Folder::new(&[
        ("deep.yaml", &format!("kynd: 1\n---\na: {}\n---\nkynd: 2\n", "[".repeat(10_000))),
        ("deep.json", &"[".repeat(10_000)),
        ("blocks.yaml", &(0..300).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect::<String>()),
        ("long.yaml", &webhook("one", "resolve", &[URL, &format!("data: {}", "x".repeat(1_000_000))])),
        (
            "aliases.yaml",
            "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n",
        ),
        ("self.yaml", "a: &a [*a]\n"),
        (
            "nan.json",
            "{\"apiVersion\": \"oncall.dev/v1alpha1\", \"kind\": \"AlertGroupEvent\", \"metadata\": {\"name\": \"e\"},\n\"spec\": {\"type\": \"resolve\", \"alertGroup\": {\"id\": \"I1\"},\n\"alertPayload\": [NaN, -Infinity, 18446744073709551616]}}",
        ),
        ("tab.yaml", "a:\n\tb: 1\n"),
        ("empty.yaml", "# nothing\n---\n---\n"),
    ]);
    folder.write("latin.yaml", b"kynd: 1\n---\na: b\nc: \xff\n---\nkynd: 2\n");
    let no_kind =
        "kind: is missing: this is no manifest (a webhook has apiVersion: oncall.dev/v1alpha1 and kind: Webhook)";
    let cases = [
        (
            "deep.yaml",
            format!(
                "deep.yaml:1: {no_kind}\ndeep.yaml:3: not YAML: recursion limit exceeded\ndeep.yaml:5: {no_kind}\n"
            ),
        ),
        ("deep.json", "deep.json:1: not JSON: recursion limit exceeded at line 1 column 202\n".to_owned()),
        ("blocks.yaml", "blocks.yaml:200: nested deeper than 200 levels\n".to_owned()),
        (
            "long.yaml",
            "long.yaml:9: Webhook default/one: spec.data: has 1000000 characters; 50000 are allowed\n".to_owned(),
        ),
        ("aliases.yaml", "aliases.yaml:5: more than 1000000 values, aliases counted\n".to_owned()),
        ("self.yaml", "self.yaml:1: the alias stands inside what it repeats\n".to_owned()),
        (
            "nan.json",
            "\
nan.json:3: AlertGroupEvent default/e: spec.alertPayload[0]: NaN and infinities are not JSON: put it in quotes
nan.json:3: AlertGroupEvent default/e: spec.alertPayload[1]: NaN and infinities are not JSON: put it in quotes
nan.json:3: AlertGroupEvent default/e: spec.alertPayload[2]: the number is beyond 64 bits: put it in quotes
"
            .to_owned(),
        ),
        ("tab.yaml", String::new()),
        (
            "latin.yaml",
            format!(
                "latin.yaml:1: {no_kind}\nlatin.yaml:4: not UTF-8 text: save the file as UTF-8\nlatin.yaml:6: {no_kind}\n"
            ),
        ),
    ];
    for (file, stdout) in cases {
        assert_eq!(folder.run(&format!("lint -f {file}")), Ran::new(1, &stdout, ""), "{file}");
    }
    assert_eq!(folder.run("lint -f empty.yaml"), Ran::new(0, "", ""));
}

#[test]
fn secrets_and_names_are_looked_for_among_the_files() {
    let reference = "{secretKeyRef: {name: s, key: k}}";
    let hook = webhook(
        "one",
        "resolve",
        &[URL, &format!("authorizationHeader: {reference}"), &format!("headersFrom: [{{name: A, {}]", &reference[1..])],
    );
    let folder = Folder::new(&[
        ("w.yaml", &hook),
        ("e.yaml", &event("e", "escalation", &["webhookRefs:", "- one", "- two"])),
        ("good.yaml", &secret("s", "k", "v")),
        ("key.yaml", &secret("s", "j", "v")),
        ("label.yaml", &secret("s", "k", "v").replace("\"true\"", "\"no\"")),
        ("apart.yaml", &secret("s", "k", "v").replace("  name: s\n", "  name: s\n  namespace: apart\n")),
        ("url.yaml", &webhook("u", "resolve", &[&format!("urlFrom: {reference}")])),
        ("template.yaml", &secret("s", "k", "s3cret {{ 1 | s3cret }}")),
    ]);
    let both = |message: &str, hint: &str| {
        format!(
            "w.yaml:10: {hint}Webhook default/one: spec.headersFrom[0].secretKeyRef: {message}\nw.yaml:9: {hint}Webhook default/one: spec.authorizationHeader.secretKeyRef: {message}\n"
        )
    };
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let missing = "Secret 's' of namespace default is not among the files";
    let cases = [
        ("w.yaml", 0, both(missing, "hint: ")),
        ("w.yaml good.yaml", 0, String::new()),
        ("w.yaml key.yaml", 1, both("Secret 's' has no key 'k': it has j", "")),
        ("w.yaml label.yaml", 1, both("Secret 's' lacks the label oncall.dev/secret: \"true\", so the operator can't read it", "")),
        ("w.yaml apart.yaml", 1, both(&format!("{missing} (there is one in namespace apart)"), "")),
        ("url.yaml template.yaml", 1, "url.yaml:8: Webhook default/u: spec.urlFrom.secretKeyRef: the template in key 'k' of Secret 's' can't work in its line 1\n".to_owned()),
        ("w.yaml good.yaml e.yaml", 0, "e.yaml:11: hint: AlertGroupEvent default/e: spec.webhookRefs[1]: no Webhook of namespace default among the files is \"two\"\n".to_owned()),
        ("w.yaml good.yaml w.yaml", 1, "w.yaml:5: Webhook default/one: metadata.name: there is one of this name already, in w.yaml:5: only the last would stay\n".to_owned()),
    ];
    for (files, status, stdout) in cases {
        let ran = folder.run(&format!("lint -f {files}"));
        assert_eq!((sorted(&ran.stdout), ran.stderr.as_str(), ran.status), (sorted(&stdout), "", status), "{files}");
    }
}

#[test]
fn standard_input_lists_and_json_are_read_too() {
    let folder = Folder::new(&[]);
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "oncall.dev/v1alpha1", "kind": "Webhook", "metadata": {"name": "one"}, "spec": {"triggerType": "resolve", "url": "{{ 1 | nope }}"}},
        {"apiVersion": "apps/v1", "kind": "Deployment"},
    ]});
    let ran = folder.pipe(&["lint", "-f", "-", "-o", "json"], list.to_string().as_bytes());
    let found: Value = serde_json::from_str(&ran.stdout).expect("it is JSON");
    let expected = json!([{
        "severity": "fault", "file": "-", "line": 1, "object": "Webhook default/one", "field": "spec.url",
        "message": "Template Error: No filter named 'nope'.",
    }]);
    assert_eq!((found, ran.stderr.as_str(), ran.status), (expected, "", 1));
}
