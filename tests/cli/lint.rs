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
    // The same as in tests/it/schema.rs, and in the same order.
    let secret = "{secretKeyRef: {name: s, key: k}}";
    let cases = [
        ("Webhook", "{triggerType: resolve}".to_owned(), "spec: give exactly one of url and urlFrom"),
        (
            "Webhook",
            format!("{{triggerType: resolve, url: 'http://x', urlFrom: {secret}}}"),
            "spec: give exactly one of url and urlFrom",
        ),
        (
            "Webhook",
            "{triggerType: resolve, url: 'http://x', preset: simple_webhook}".to_owned(),
            "spec: preset simple_webhook goes with triggerType escalation, httpMethod POST and forwardAll true",
        ),
        ("Webhook", "{triggerType: nope, url: 'http://x'}".to_owned(), "spec.triggerType: \"nope\" is not one of"),
        (
            "Webhook",
            "{triggerType: resolve, url: 'http://x', httpMethod: post}".to_owned(),
            "spec.httpMethod: \"post\" is not one of GET, POST, PUT, PATCH, DELETE, OPTIONS",
        ),
        (
            "Webhook",
            "{triggerType: resolve, url: 'http://x', timeout: 2m}".to_owned(),
            "spec.timeout: give a timeout over 0s and up to 1m",
        ),
        ("Webhook", "{triggerType: resolve, url: 'http://x', timeout: 0s}".to_owned(), "spec.timeout: give a timeout"),
        (
            "Webhook",
            "{triggerType: resolve, url: 'http://x', timeout: soon}".to_owned(),
            "spec.timeout: \"soon\" does not",
        ),
        ("Webhook", "{triggerType: resolve, url: 'http://x', id: nope}".to_owned(), "spec.id: \"nope\" does not match"),
        (
            "Webhook",
            "{triggerType: resolve, url: 'http://x', password: hunter2}".to_owned(),
            "spec.password: must be an object, not a string: secrets are only references",
        ),
        (
            "Webhook",
            "{triggerType: resolve, url: 'http://x', forwardALL: true}".to_owned(),
            "spec.forwardALL: unknown field: did you mean forwardAll?",
        ),
        ("AlertGroupEvent", "{type: escalation, alertGroup: {id: I1}}".to_owned(), "spec: webhookRefs goes with"),
        (
            "AlertGroupEvent",
            "{type: resolve, alertGroup: {id: I1}, webhookRefs: [one]}".to_owned(),
            "spec: webhookRefs goes with",
        ),
        (
            "AlertGroupEvent",
            "{type: status change, alertGroup: {id: I1}}".to_owned(),
            "spec.type: \"status change\" is not one of escalation, personal notification, alert group created",
        ),
        (
            "AlertGroupEvent",
            "{type: resolve}".to_owned(),
            "spec: give exactly one of alertGroup, alertGroupRef and alert",
        ),
        (
            "AlertGroupEvent",
            "{type: resolve, alert: {integrationRef: {name: one}}}".to_owned(),
            "spec: give a type with alertGroup and alertGroupRef, and none with alert",
        ),
        (
            "AlertGroupEvent",
            "{type: alert group created, alertGroupRef: {name: one}}".to_owned(),
            "spec: type alert group created goes with alertGroup",
        ),
        (
            "Integration",
            "{type: prometheus}".to_owned(),
            "spec.type: \"prometheus\" is not one of alertmanager, grafana_alerting, webhook, formatted_webhook",
        ),
        (
            "Integration",
            "{type: webhook, heartbeat: {every: 1s}}".to_owned(),
            "spec.heartbeat.every: give a time from 10s to 168h",
        ),
        (
            "Integration",
            "{type: webhook, escalation: [{after: 800h, webhookRefs: [page]}]}".to_owned(),
            "spec.escalation: give an after up to 720h",
        ),
        (
            "Integration",
            "{type: webhook, templates: {title: '{{ payload.x'}}".to_owned(),
            "spec.templates.title: Template Error: ",
        ),
        (
            "Integration",
            "{type: webhook, templates: {groupingId: '{{ 1 / 0 }}'}}".to_owned(),
            "spec.templates.groupingId: Template Error: division by zero",
        ),
    ];
    let folder = Folder::new(&[]);
    for (kind, spec, message) in cases {
        let manifest =
            format!("apiVersion: oncall.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: one}}\nspec: {spec}\n");
        let ran = folder.pipe(&["lint", "-f", "-"], manifest.as_bytes());
        let expected = format!("-:4: {kind} default/one: {message}");
        let faults = ran.stdout.lines().filter(|line| !line.contains(": hint: ")).count();
        assert!(ran.stdout.starts_with(&expected) && faults == 1, "{expected}: {ran:?}");
        assert_eq!((ran.stderr.as_str(), ran.status), ("", 1), "{spec}");
    }
    // These are taken.
    for spec in [
        "{triggerType: resolve, url: 'http://x', enabled: null, data: '', forwardAll: true, timeout: 1m}",
        "{triggerType: resolve, url: 'http://x', data: d, forwardAll: true, preset: advanced_webhook}",
        "{triggerType: escalation, url: 'http://x', data: d, forwardAll: true, preset: simple_webhook}",
        "{triggerType: resolve, url: null, urlFrom: {secretKeyRef: {name: s, key: k}}, integrationFilter: [], labels: {a: b}}",
    ] {
        let manifest =
            format!("apiVersion: oncall.dev/v1alpha1\nkind: Webhook\nmetadata: {{name: one}}\nspec: {spec}\n");
        assert_eq!(folder.pipe(&["lint", "-f", "-"], manifest.as_bytes()).status, 0, "{spec}");
    }
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
    let stdout = r#"
m.yaml:7: Webhook default/one: spec.triggerType: "nope" is not one of escalation, personal notification, alert group created, acknowledge, resolve, silence, unsilence, unresolve, unacknowledge, status change
m.yaml:9: Webhook default/one: spec.forwardALL: unknown field: did you mean forwardAll?
m.yaml:10: Webhook default/one: spec.password: must be an object, not a string: secrets are only references, {secretKeyRef: {name: …, key: …}}
m.yaml:11: Webhook default/one: spec.timeout: give a timeout over 0s and up to 1m
m.yaml:15: Webhook default/one: spec.headers: Template Error: No filter named 'nope'.
m.yaml:16: Webhook default/one: spec.data: Template Error: No filter named 'nope'. (line 2 of the template)
m.yaml:17: Webhook default/one: spec.triggerTemplate: Template Error: No filter named 'nope'.
m.yaml:24: Webhook default/one: metadata.name: there is one of this name already, in m.yaml:5: only the last would stay
m.yaml:25: Webhook default/one: spec.triggerType: is missing: give one of escalation, personal notification, alert group created, acknowledge, resolve, silence, unsilence, unresolve, unacknowledge, status change
m.yaml:25: Webhook default/one: spec: give exactly one of url and urlFrom
m.yaml:28: Webhook default/one: spec.timeout: "soon" does not match ^([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+$ (Bound on one request, answer included, such as `4s`; at most one minute)
m.yaml:29: Webhook default/one: spec.labels.a: must be a string, not a number: put it in quotes
m.yaml:30: Webhook default/one: spec.id: "nope" does not match ^WH[A-NP-Z1-9]{12,}$ (Id that templates and the REST API see, such as `WHP936BM1GPVHQ`)
m.yaml:31: hint: Webhook default/one: spec.data: is not sent where forwardAll is true: remove it, or set forwardAll to false
m.yaml:34: not YAML: unclosed bracket '['
m.yaml:36: Webhook: apiVersion: there is no "oncall.dev/v1": use oncall.dev/v1alpha1
m.yaml:41: AlertGroupEvent default/E: metadata.name: "E" is no name: lower-case letters, digits and -, at most 253, a letter or digit first and last
m.yaml:41: AlertGroupEvent default/E: metadata.labels.a: must be a string, not true or false: put it in quotes
m.yaml:41: AlertGroupEvent default/E: metadata.nmae: unknown field: did you mean name?
m.yaml:42: AlertGroupEvent default/E: spec: webhookRefs goes with type escalation and type personal notification, which need it; other types find their webhooks by triggerType
m.yaml:44: AlertGroupEvent default/E: spec.alertGroup.id: is missing: The alert group's id
m.yaml:44: AlertGroupEvent default/E: spec.alertGroup.alertsCount: the number is beyond 64 bits
m.yaml:46: the key "b" is there already, in line 46
m.yaml:46: AlertGroupEvent default/E: spec.alertPayload.a: NaN and infinities are not JSON: put it in quotes
m.yaml:46: AlertGroupEvent default/E: spec.alertPayload.b[0]: the number is beyond 64 bits: put it in quotes
m.yaml:48: kind: is missing: this is no manifest (a webhook has apiVersion: oncall.dev/v1alpha1 and kind: Webhook)
m.yaml:54: Webhok: kind: oncall.dev/v1alpha1 has no such kind: did you mean Webhook?
m.yaml:56: Webhook: apiVersion: is missing: a Webhook has oncall.dev/v1alpha1
m.yaml:61: Secret default/s: data.a: is not base64: encode it, or put it under stringData as it is
m.yaml:62: Secret default/s: stringData.b: must be a string, not a number: put it in quotes
"#;
    assert_eq!(folder.run("lint -f m.yaml"), Ran::new(1, stdout.trim_start(), ""));
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
        ("aliases.yaml", "aliases.yaml:6: more than 1000000 values, aliases counted\n".to_owned()),
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
        ("tab.yaml", "tab.yaml:2: not YAML: tabs disallowed within this context (block indentation)\n".to_owned()),
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
}

#[test]
fn no_object_at_all_is_said_and_other_kinds_are_no_fault() {
    let folder = Folder::new(&[
        ("empty.yaml", "# nothing\n---\n---\n"),
        ("list.yaml", "apiVersion: v1\nkind: List\nitems: []\n"),
        ("other.yaml", "apiVersion: v1\nkind: ConfigMap\n"),
    ]);
    for (args, names) in [("-f -", "-"), ("-f empty.yaml,list.yaml", "empty.yaml, list.yaml")] {
        let stderr = format!("oncall-webhooks: no objects in {names}\n");
        assert_eq!(folder.run(&format!("lint {args}")), Ran::new(2, "", &stderr));
    }
    assert_eq!(folder.run("lint -f empty.yaml,other.yaml"), Ran::new(0, "", ""));
}

#[test]
fn text_that_aliases_repeat_is_bounded() {
    let payload = |times: usize| {
        let aliases = vec!["*a"; times].join(",");
        let text = "x".repeat(20_000);
        event("e", "resolve", &[&format!("alertPayload:\n    a: &a {text}\n    b: [{aliases}]")])
    };
    let several: String = (0..2).map(|i| payload(2_000).replace("name: e", &format!("name: e{i}"))).collect();
    let folder =
        Folder::new(&[("bomb.yaml", &payload(300_000)), ("several.yaml", &several), ("fine.yaml", &payload(3))]);
    // A file that is cut into documents repeats no more.
    for (file, line) in [("bomb.yaml", 11), ("several.yaml", 22)] {
        let stdout = format!("{file}:{line}: the aliases repeat more than 64 MiB of text\n");
        assert_eq!(folder.run(&format!("lint -f {file}")), Ran::new(1, &stdout, ""));
    }
    assert_eq!(folder.run("lint -f fine.yaml"), Ran::new(0, "", ""));
}

#[test]
fn values_of_secrets_are_in_no_message() {
    let folder = Folder::new(&[]);
    for tag in ["int", "float", "bool", "null", "binary"] {
        let manifest = secret("s", "a", "").replace("\"\"", &format!("!!{tag} hunter2secret"));
        let ran = folder.pipe(&["lint", "-f", "-"], manifest.as_bytes());
        assert!(
            ran.status == 1 && ran.stdout.starts_with("-:7: ") && ran.stdout.contains(&format!("!!{tag}")),
            "{ran:?}"
        );
        assert!(!format!("{ran:?}").contains("hunter2"), "{ran:?}");
    }
}

#[test]
fn an_object_is_there_once() {
    let all = [webhook("one", "resolve", &[URL]), event("e", "resolve", &[]), secret("s", "k", "v")];
    let folder = Folder::new(&[("dir/one.yaml", &all.concat()), ("dir/two.json", "[]"), ("copy.yaml", &all.concat())]);
    // A file that is named in two ways is one file.
    assert_eq!(folder.run("lint -f dir dir/one.yaml ./dir/../dir/one.yaml"), Ran::new(0, "", ""));
    let faults: String = [("Webhook default/one", 5), ("AlertGroupEvent default/e", 13), ("Secret default/s", 21)]
        .map(|(object, line)| {
            format!("copy.yaml:{line}: {object}: metadata.name: there is one of this name already, in dir/one.yaml:{line}: only the last would stay\n")
        })
        .concat();
    assert_eq!(folder.run("lint -f dir copy.yaml"), Ran::new(1, &faults, ""));
    let stderr = format!("{faults}oncall-webhooks: nothing was sent: mend these first\n");
    assert_eq!(folder.run("send -f dir copy.yaml"), Ran::new(1, "", &stderr));
}

#[test]
fn webhooks_of_oncalls_api_are_told_apart_by_what_oncall_stores() {
    let hook = |name: &str| json!({"name": name, "url": "http://x", "trigger_type": "resolve"});
    let ran = Folder::new(&[])
        .pipe(&["lint", "-f", "-"], json!([hook("one"), hook("two"), hook(" one ")]).to_string().as_bytes());
    let stdout = "-:1: webhook \"one\": name: there is one of this name already, in -:1: only the last would stay\n";
    assert_eq!(ran, Ran::new(1, stdout, ""));
}

#[test]
fn json_that_the_parser_of_yaml_refuses_is_read() {
    let hook = |more: &str, url: &str| {
        format!(
            "{{\"apiVersion\": \"oncall.dev/v1alpha1\", \"kind\": \"Webhook\",\n\"metadata\": {{\"name\": \"one\"}},\n\"spec\":\n{{\"triggerType\": \"resolve\",\n\n\"url\": \"{url}\", \"data\": \"{more}\"}}}}"
        )
    };
    let long =
        format!("{{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"data\": {{\"{}\": \"x\"}}}}", "k".repeat(2_000));
    let folder = Folder::new(&[
        ("long.json", &long),
        ("long.yaml", &format!("{long}\n---\n{long}")),
        ("raw.json", &hook("\u{7f}\u{85}\u{9f}", "http://x")),
        ("half.json", &hook("\\ud83d \\\\ud83d \\ud83d\\ude0a", "http://x")),
        ("line.json", &hook("\u{7f}", "{{ 1 | nope }}")),
        ("twice.json", "{\"kind\": \"A\",\n\"apiVersion\": \"v1\"\n, \"kind\": \"B\"}"),
        ("neither.yaml", "kynd: 1\n---\n{\"a\": 1,\n\"b\": \"c\" \"d\"}\n"),
        ("data.json", "{\"a\": \"\\ud83d\u{7f}\"}"),
    ]);
    for file in ["long.json", "long.yaml", "raw.json", "half.json"] {
        assert_eq!(folder.run(&format!("lint -f {file}")), Ran::new(0, "", ""), "{file}");
    }
    let stdout = "line.json:6: Webhook default/one: spec.url: Template Error: No filter named 'nope'.\n";
    assert_eq!(folder.run("lint -f line.json"), Ran::new(1, stdout, ""));
    let stdout = "twice.json:3: the key \"kind\" is there already, in line 1\n";
    assert_eq!(folder.run("lint -f twice.json"), Ran::new(1, stdout, ""));
    let ran = folder.run("lint -f neither.yaml");
    let problem = ran.stdout.lines().nth(1).unwrap_or_default();
    assert!(
        problem.starts_with("neither.yaml:4: not YAML: ") && problem.contains(", nor JSON: expected `,` or `}`"),
        "{ran:?}"
    );
    assert!(problem.ends_with(" in line 4"), "{ran:?}");
    let ran = folder.pipe(&["template", "--data", "data.json", "{{ a }}"], b"");
    assert_eq!(ran, Ran::new(0, "\u{fffd}\u{7f}", ""));
}

#[test]
fn constants_that_no_request_can_have_are_faults() {
    let malformed = "Malformed url";
    let cases = [
        ("url: not a url", "url", malformed),
        ("url: ftp://x", "url", malformed),
        ("url: 'http://[x]'", "url", "The url has brackets that hold no IPv6 address"),
        ("headers: not json", "headers", "Template did not result in json/dict"),
        ("headers: '[\"a\"]'", "headers", "The headers rendered to JSON that is not an object"),
        ("headers: '{\"a b\": \"c\"}'", "headers", "Header name \"a b\" is not allowed: use letters, digits and -"),
        ("headers: '{\"a\": 1}'", "headers", "Header a must be a string: put its value in quotes"),
    ];
    let folder = Folder::new(&[]);
    for (line, field, message) in cases {
        let (lines, number) = if field == "url" { (vec![line], 8) } else { (vec![URL, line], 9) };
        let ran = folder.pipe(&["lint", "-f", "-"], webhook("one", "resolve", &lines).as_bytes());
        let stdout = format!("-:{number}: Webhook default/one: spec.{field}: {message}\n");
        assert_eq!(ran, Ran::new(1, &stdout, ""), "{line}");
        let hook = match line.split_once(": ") {
            Some(("url", url)) => json!({"name": "one", "trigger_type": "resolve", "url": url.trim_matches('\'')}),
            Some((_, headers)) => {
                json!({"name": "one", "trigger_type": "resolve", "url": "http://x", "headers": headers.trim_matches('\'')})
            }
            None => unreachable!(),
        };
        let ran = folder.pipe(&["lint", "-f", "-"], hook.to_string().as_bytes());
        assert_eq!(ran, Ran::new(1, &format!("-:1: webhook \"one\": {field}: {message}\n"), ""), "{line}");
    }
    for fine in [
        "headers: ''",
        "headers: '{{ alert_payload.nope }}'",
        "headers: '{% if 1 %}{}{% endif %}'",
        "headers: '{\"a\": \"b\"}'",
    ] {
        let ran = folder.pipe(&["lint", "-f", "-"], webhook("one", "resolve", &[URL, fine]).as_bytes());
        assert_eq!(ran, Ran::new(0, "", ""), "{fine}");
    }
}

/// Its escalation names webhooks by name and id.
const INTEGRATION: &str = "\
apiVersion: oncall.dev/v1alpha1
kind: Integration
metadata: {name: prod}
spec:
  type: webhook
  escalation:
  - after: 5m
    webhookRefs: [page, one]
  - after: 15m
    webhookRefs: [WHP936BM1GPVHQ,
      pager]
";

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
        ("unrelated.yaml", &secret("unrelated", "k", "v")),
        ("page.yaml", &webhook("page", "escalation", &[URL, "id: WHP936BM1GPVHQ"])),
        ("i.yaml", INTEGRATION),
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
    let step = "Integration default/prod: spec.escalation";
    let cases = [
        ("w.yaml", 0, both(missing, "hint: ")),
        ("w.yaml unrelated.yaml", 0, both(missing, "hint: ")),
        ("w.yaml good.yaml", 0, String::new()),
        ("w.yaml key.yaml", 1, both("Secret 's' has no key 'k': it has j", "")),
        ("w.yaml label.yaml", 1, both("Secret 's' lacks the label oncall.dev/secret: \"true\", so the operator can't read it", "")),
        ("w.yaml apart.yaml", 1, both(&format!("{missing} (there is one in namespace apart)"), "")),
        ("url.yaml template.yaml", 1, "url.yaml:8: Webhook default/u: spec.urlFrom.secretKeyRef: Key 'k' of Secret 's': the template fails (line 1 of the template)\n".to_owned()),
        ("w.yaml good.yaml e.yaml", 0, "e.yaml:11: hint: AlertGroupEvent default/e: spec.webhookRefs[1]: no Webhook of namespace default among the files is \"two\"\n".to_owned()),
        ("w.yaml good.yaml page.yaml i.yaml", 0, format!(
            "i.yaml:8: hint: {step}[0].webhookRefs[1]: Webhook \"one\" has triggerType resolve, and escalations run those of triggerType escalation\ni.yaml:11: hint: {step}[1].webhookRefs[1]: no Webhook of namespace default among the files is \"pager\"\n",
        )),
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

#[test]
fn certificates_and_keys_that_can_not_be_used_are_named_with_their_line() {
    let tls = "tls: {clientCertSecretRef: {name: client},\n    caSecretRef: {name: ca}}";
    let folder = Folder::new(&[
        ("w.yaml", &webhook("one", "resolve", &[URL, tls])),
        ("ca.yaml", &secret("ca", "ca.crt", "s3cret")),
        ("client.yaml", &secret("client", "tls.crt", "s3cret")),
    ]);
    let client = "w.yaml:9: hint: Webhook default/one: spec.tls.clientCertSecretRef: Secret 'client' of namespace default \
                  is not among the files\n";
    let ca = "w.yaml:10: hint: Webhook default/one: spec.tls.caSecretRef: Secret 'ca' of namespace default is not among \
              the files\n";
    let no_pem = "w.yaml:10: Webhook default/one: spec.tls.caSecretRef: Key 'ca.crt' of Secret 'ca' has no certificate in \
                  PEM\n";
    let no_key = "w.yaml:9: Webhook default/one: spec.tls.clientCertSecretRef: Secret 'client' has no key 'tls.key': it \
                  has tls.crt\n";
    for (files, status, expected) in [
        ("-f w.yaml", 0, format!("{client}{ca}")),
        ("-f w.yaml -f ca.yaml", 1, format!("{client}{no_pem}")),
        ("-f w.yaml -f client.yaml", 1, format!("{no_key}{ca}")),
    ] {
        assert_eq!(folder.run(&format!("lint {files}")), Ran::new(status, &expected, ""), "{files}");
    }
}

/// What `lint` says of one webhook with these lines in its spec, without what stands before the field.
fn findings(lines: &[&str]) -> (Vec<String>, i32) {
    let ran = Folder::new(&[]).pipe(&["lint", "-f", "-"], webhook("one", "resolve", lines).as_bytes());
    assert_eq!(ran.stderr, "", "{lines:?}");
    (ran.stdout.lines().map(|line| line.replace("Webhook default/one: spec.", "")).collect(), ran.status)
}

#[test]
fn what_the_rest_api_refuses_is_a_fault() {
    let empty = "fails only on empty data, with which OnCall's API tries it out and refuses it: ";
    let cases = [
        (
            "data: '{% for i in range(3) %}{{ i }}{% endfor %}'",
            "Template Error: use of 'range' is restricted".to_owned(),
        ),
        ("data: \"{% include 'x' %}\"", "Template Error: x".to_owned()),
        ("triggerTemplate: '{{ 1 / 0 }}'", "Template Error: division by zero".to_owned()),
        ("data: '{{ 100 / alert_payload.total|int }}'", format!("{empty}Template Error: division by zero")),
        (
            "headers: '{\"a\": \"{{ 7 % alert_payload.n|int }}\"}'",
            format!("{empty}Template Error: integer modulo by zero"),
        ),
        (
            "data: \"{{ alert_payload.x | regex_search('*') }}\"",
            "Template Error: nothing to repeat at position 0".to_owned(),
        ),
        ("data: '{{ alert_payload.x | truncate(-1) }}'", "Template Error: expected length >= 3, got -1".to_owned()),
        ("headers: 'X-A: {{ alert_payload.x }}'", "Template did not result in json/dict".to_owned()),
    ];
    for (line, message) in cases {
        let field = line.split(':').next().unwrap_or_default();
        assert_eq!(findings(&[URL, line]), (vec![format!("-:9: {field}: {message}")], 1), "{line}");
    }
    let ftp = ["url: 'ftp://{{ alert_payload.host }}/x'"];
    assert_eq!(findings(&ftp), (vec!["-:8: url: Malformed url".to_owned()], 1));
}

#[test]
fn a_trigger_template_that_never_says_yes_and_names_that_are_never_seen_are_hints() {
    let never = "triggerTemplate: never renders to exactly true or 1, and only then the webhook runs: ";
    let space = "line breaks and blanks around it count, take them away ({%- … -%}, {{- … -}})";
    let cases: [(&[&str], Vec<String>); 11] = [
        (
            &["triggerTemplate: |", "  {% if alert_payload.x %}", "  true", "  {% endif %}"],
            vec![format!("-:9: hint: {never}{space}")],
        ),
        (&["triggerTemplate: |", "  {%- if alert_payload.x -%}", "  true", "  {%- endif -%}"], vec![]),
        (&["triggerTemplate: '{{ alert_payload.x }} '"], vec![format!("-:9: hint: {never}{space}")]),
        (&["triggerTemplate: 'no'"], vec![format!("-:9: hint: {never}it has other text")]),
        (
            &["data: '{{ payload.x }}'"],
            vec!["-:9: hint: data: payload is always None: did you mean alert_payload?".to_owned()],
        ),
        (
            &["data: '{{ users_to_notify }}'"],
            vec!["-:9: hint: data: templates see no users_to_notify: did you mean users_to_be_notified?".to_owned()],
        ),
        (
            &["data: '{{ alert_paylod.x }}'"],
            vec!["-:9: hint: data: templates see no alert_paylod: did you mean alert_payload?".to_owned()],
        ),
        (
            &["data: |", "  {", "  \"a\": \"{{ alert_group.ttile }}\"}"],
            vec!["-:11: hint: data: alert_group has no ttile: did you mean title?".to_owned()],
        ),
        (
            &["data: \"{{ alert_group['status'] }}\\n{{ event.foo }}\""],
            vec![
                "-:9: hint: data: alert_group has no status: did you mean alert_group.state?".to_owned(),
                "-:9: hint: data: event has no foo: there are type, time, until, user (line 2 of the template)"
                    .to_owned(),
            ],
        ),
        (
            &["headers: '{\"a\": \"{{ alert_group.permalinks.Web }}\"}'"],
            vec!["-:9: hint: headers: alert_group.permalinks has no Web: did you mean web?".to_owned()],
        ),
        (&["data: '{{ user.phone_number }}{{ alert_group.labels.x }}{% set y = 1 %}{{ y }}'"], vec![]),
    ];
    for (lines, expected) in cases {
        let all: Vec<&str> = [URL].into_iter().chain(lines.iter().copied()).collect();
        assert_eq!(findings(&all), (expected, 0), "{lines:?}");
    }
    let hook =
        json!({"name": "one", "url": "http://x", "trigger_type": "resolve", "trigger_template": "{{ payload }}\n\n"});
    let ran = Folder::new(&[]).pipe(&["lint", "-f", "-"], hook.to_string().as_bytes());
    let stdout = format!(
        "-:1: hint: webhook \"one\": {}{space}\n-:1: hint: webhook \"one\": trigger_template: payload is always None: did you mean alert_payload?\n",
        never.replace("triggerTemplate", "trigger_template")
    );
    assert_eq!(ran, Ran::new(0, &stdout, ""));
}
