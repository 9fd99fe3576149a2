//! The properties that fuzzing looks for exceptions to (tests/properties), tried on the corpus (fuzz/corpus) and on what was
//! recorded from OnCall. No cluster is needed.

#![expect(clippy::unwrap_used, reason = "what a test can't go on without")]

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use serde_json::Value;

/// Holds each input to `property`, and names those that it does not hold for.
fn hold(property: fn(&[u8]), inputs: impl IntoIterator<Item = (String, Vec<u8>)>) {
    let mut held = 0;
    let mut broken = Vec::new();
    for (name, input) in inputs {
        match catch_unwind(AssertUnwindSafe(|| property(&input))) {
            Ok(()) => held += 1,
            Err(_) => broken.push(name),
        }
    }
    assert!(broken.is_empty(), "the property does not hold for {broken:#?}");
    assert!(held > 0, "there is nothing to hold to the property");
}

fn corpus(target: &str) -> impl Iterator<Item = (String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    fs::read_dir(folder).unwrap().map(|file| {
        let path = file.unwrap().path();
        (path.display().to_string(), fs::read(path).unwrap())
    })
}

/// A text of each recorded case, by the path to it.
fn recorded(text: &str, path: &str) -> Vec<(String, Vec<u8>)> {
    let recorded: Value = serde_json::from_str(text).unwrap();
    let texts = recorded["cases"].as_array().unwrap().iter().filter_map(|case| case.pointer(path)?.as_str());
    texts.map(|text| (text.to_owned(), text.as_bytes().to_vec())).collect()
}

const TEMPLATES: &str = include_str!("conformance/templates.json");
const DELIVERIES: &str = include_str!("conformance/deliveries.json");

#[test]
fn templates_of_the_corpus_render_or_fail_in_bounds() {
    hold(properties::template, corpus("template"));
}

#[test]
fn recorded_templates_render_or_fail_in_bounds() {
    hold(properties::template, recorded(TEMPLATES, "/template"));
    for field in ["/webhook/headers", "/webhook/data", "/webhook/trigger_template"] {
        hold(properties::template, recorded(DELIVERIES, field));
    }
}

#[test]
fn urls_lead_where_they_say() {
    hold(properties::url, corpus("url"));
    let address = |url: &str| url.replace("{{BASE}}", "http://a.example").replace("{{HOSTPORT}}", "a.example:80");
    let urls = recorded(DELIVERIES, "/webhook/url").into_iter().map(|(url, _)| address(&url));
    hold(properties::url, urls.map(|url| (url.clone(), url.into_bytes())));
}

#[test]
fn answers_are_recorded_in_bounds_and_without_secrets() {
    hold(properties::answer, corpus("answer"));
}
