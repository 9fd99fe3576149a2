//! Templates: compiling and rendering all recorded cases that render, and the data made ready for them.
//!
//! `cargo bench --bench templates`; one iteration goes over all cases of a mode.
#![expect(clippy::unwrap_used, reason = "what a bench can't go on without")]

use std::collections::BTreeMap;

use divan::{Bencher, counter::ItemsCount};
use oncall_webhooks::core::{
    event::{EventData, TemplateContext, WebhookContext},
    json::Json,
    template::{Mode, Template},
};
use serde_json::{Map, Value};

fn main() {
    divan::main();
}

#[derive(serde::Deserialize)]
struct Recorded {
    contexts: BTreeMap<String, Map<String, Value>>,
    cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    context: String,
    mode: String,
    template: String,
    output: Option<String>,
}

fn recorded() -> Recorded {
    serde_json::from_str(include_str!("../tests/conformance/templates.json")).unwrap()
}

fn mode_of(case: &Case) -> Mode {
    if case.mode == "json" { Mode::Json } else { Mode::Raw }
}

fn data(fields: &Map<String, Value>) -> EventData {
    EventData::new(fields.iter().map(|(key, value)| (key.as_str().into(), Json::from(value.clone()))).collect())
}

/// The cases of `mode` that render, with their data.
fn cases(mode: Mode) -> Vec<(Case, TemplateContext)> {
    let recorded = recorded();
    let contexts: BTreeMap<_, _> = recorded
        .contexts
        .iter()
        .map(|(name, fields)| (name.clone(), data(fields).context(mode, &WebhookContext::default())))
        .collect();
    let renders = |case: &Case| mode_of(case) == mode && case.output.is_some();
    recorded
        .cases
        .into_iter()
        .filter(renders)
        .map(|case| {
            let context = contexts[&case.context].clone();
            (case, context)
        })
        .collect()
}

const MODES: [&str; 2] = ["raw", "json"];

fn mode(name: &str) -> Mode {
    if name == "json" { Mode::Json } else { Mode::Raw }
}

#[divan::bench(args = MODES)]
fn compile(bencher: Bencher, name: &str) {
    let cases = cases(mode(name));
    bencher.counter(ItemsCount::new(cases.len())).bench(|| {
        for (case, _) in &cases {
            divan::black_box(Template::compile(&case.template, mode(name)).unwrap());
        }
    });
}

#[divan::bench(args = MODES)]
fn render(bencher: Bencher, name: &str) {
    let cases: Vec<_> = cases(mode(name))
        .into_iter()
        .map(|(case, context)| (Template::compile(&case.template, mode(name)).unwrap(), context))
        .collect();
    bencher.counter(ItemsCount::new(cases.len())).bench(|| {
        for (template, context) in &cases {
            divan::black_box(template.render(context).unwrap());
        }
    });
}

/// Measures what is done once for an event, however many webhooks it fires: escaping strings.
#[divan::bench]
fn escape_data(bencher: Bencher) {
    let recorded = recorded();
    let fields = &recorded.contexts["edge"];
    bencher.with_inputs(|| data(fields)).bench_values(|data| data.context(Mode::Json, &WebhookContext::default()));
}
