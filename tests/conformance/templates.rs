//! Templates: data and template text in, the recorded text or failure out, to the letter. Those in `*.computed.json` were not
//! recorded: OnCall's own code for templates was run on them with Jinja2 and CPython.

use std::collections::BTreeMap;

use oncall_webhooks::core::{
    event::{EventData, WebhookContext},
    json::Json,
    template::{Mode, Template, Verdict},
};
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
struct Recorded {
    contexts: BTreeMap<String, Map<String, Value>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    context: String,
    mode: String,
    template: String,
    output: Option<String>,
    error: Option<String>,
}

/// Cases that differ on purpose, by id, with the reason.
type Differences = BTreeMap<String, String>;

#[test]
fn recorded_templates_render_or_fail_as_oncalls() {
    let differences: Differences = serde_json::from_str(include_str!("templates.differences.json")).unwrap();
    check(serde_json::from_str(include_str!("templates.json")).unwrap(), &differences);
}

#[test]
fn templates_render_or_fail_as_oncalls_code_under_jinja2_does() {
    check(serde_json::from_str(include_str!("templates.computed.json")).unwrap(), &Differences::new());
}

fn check(recorded: Recorded, differences: &Differences) {
    let contexts: BTreeMap<_, _> = recorded
        .contexts
        .into_iter()
        .map(|(name, data)| {
            let data = data.into_iter().map(|(key, value)| (key.into(), Json::from(value))).collect();
            (name, EventData::new(data))
        })
        .collect();
    let mut wrong = Vec::new();
    for case in &recorded.cases {
        let mode = if case.mode == "json" { Mode::Json } else { Mode::Raw };
        let context = contexts[&case.context].context(mode, &WebhookContext::default());
        let rendered = Template::compile(&case.template, mode).and_then(|template| template.render(&context));
        let rendered = rendered.map_err(|error| error.to_string());
        let expected = case.output.clone().ok_or_else(|| case.error.clone().unwrap_or_default());
        if (rendered == expected) == differences.contains_key(&case.id) {
            wrong.push(format!(
                "{} {:.120}\n  expected {expected:.200?}\n  here     {rendered:.200?}",
                case.id, case.template
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} cases differ without being listed, or are listed and do not:\n{}",
        wrong.len(),
        recorded.cases.len(),
        wrong.join("\n")
    );
}

#[test]
fn no_recorded_template_that_rendered_is_said_never_to_work_or_to_render_to_what_it_did() {
    let recorded: Recorded = serde_json::from_str(include_str!("templates.json")).unwrap();
    let (mut wrong, mut short) = (Vec::new(), 0);
    for case in &recorded.cases {
        let Some(output) = &case.output else { continue };
        // Some that are recorded here could not be stored; those that could must be told apart from these.
        let Ok(template) = Template::compile(&case.template, Mode::Raw) else { continue };
        if let Verdict::NeverWorks(error) = Verdict::on(&case.template) {
            wrong.push(format!("{} {:.120}\n  said never to work: {error}", case.id, case.template));
        }
        let text = output.to_ascii_lowercase();
        if text.len() < 64 && text.is_ascii() {
            short += 1;
            if !template.can_render(&text, false) {
                wrong.push(format!("{} {:.120}\n  said never to render to {text:?}", case.id, case.template));
            }
        }
    }
    assert!(wrong.is_empty() && short > 100, "{} of {short} short ones:\n{}", wrong.len(), wrong.join("\n"));
}
