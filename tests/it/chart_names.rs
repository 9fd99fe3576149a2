//! The chart's manifests where names look like numbers: in YAML they would be numbers, which the API server and selectors refuse.

use std::fs;

use serde_json::{Value, json};
use support::output;

use crate::harness::{Temporary, cluster};

/// Where a value is the name of an object, in everything.yaml.
const NAMING: [&str; 17] = [
    "/nameOverride",
    "/fullnameOverride",
    "/imagePullSecrets/0/name",
    "/priorityClassName",
    "/controller/priorityClassName",
    "/api/priorityClassName",
    "/serviceAccount/name",
    "/api/serviceAccount/name",
    "/api/tls/secretName",
    "/api/ingress/className",
    "/admission/tlsSecretName",
    "/metrics/readers/0/name",
    "/metrics/readers/0/namespace",
    "/metrics/serviceMonitor/namespace",
    "/metrics/podMonitor/namespace",
    "/metrics/prometheusRule/namespace",
    "/metrics/dashboard/namespace",
];

/// A name like any other, and what takes its place: an integer, or a number with an exponent.
fn word(index: usize) -> String {
    format!("word-{}", char::from(b'a' + u8::try_from(index).expect("few names")))
}

fn number(index: usize) -> String {
    if index.is_multiple_of(2) { format!("{}", 100 + index) } else { format!("1e{index}") }
}

/// All that the chart renders, definitions and tests too.
fn rendered(release: &str, namespace: &str, values: &Value) -> Vec<Value> {
    let file = Temporary::new(&values.to_string());
    let mut helm = cluster().0.helm();
    helm.args(["template", release, "--namespace", namespace, "--values", &file.path()]);
    let text = output(helm.arg(support::chart())).expect("render the chart");
    let documents = text.split("\n---\n").filter(|document| document.contains("kind:"));
    documents.map(|document| serde_saphyr::from_str(document).expect("parse a manifest")).collect()
}

fn everything() -> Value {
    let file = support::repository().join("tests/it/chart/everything.yaml");
    serde_saphyr::from_str(&fs::read_to_string(file).expect("read a file")).expect("parse YAML")
}

fn names_stay_names(values: &Value, naming: &[&str]) {
    // The first two are the release's and its namespace's.
    let made = |name: fn(usize) -> String| {
        let mut values = values.clone();
        for (index, path) in naming.iter().enumerate() {
            *values.pointer_mut(path).expect(path) = name(index + 2).into();
        }
        rendered(&name(0), &name(1), &values)
    };
    let (of_words, of_numbers) = (made(word), made(number));
    assert_eq!(of_words.len(), of_numbers.len());
    for (of_words, of_numbers) in of_words.iter().zip(&of_numbers) {
        let text =
            (0..naming.len() + 2).fold(of_words.to_string(), |text, index| text.replace(&word(index), &number(index)));
        let expected: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(*of_numbers, expected, "{} {}", of_words["kind"], of_words["metadata"]["name"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_look_like_numbers_are_names_in_all_that_the_chart_renders() {
    let work = || {
        names_stay_names(&everything(), &NAMING);
        let several = json!({"watchNamespaces": ["", ""]});
        names_stay_names(&several, &["/watchNamespaces/0", "/watchNamespaces/1"]);
        names_stay_names(&json!({"api": {"placement": "sidecar"}}), &[]);
    };
    tokio::task::spawn_blocking(work).await.expect("join");
}
