//! Compiling and rendering a small corpus, beside minijinja. `corpus.py` measures Jinja2 on the same.
//!
//! `cargo bench -p pyjinja`
#![expect(clippy::unwrap_used, reason = "a bench can't go on without")]

use std::sync::Arc;

use divan::{Bencher, black_box};
use pyjinja::{Environment, Json};
use serde_json::{Map, Value};

fn main() {
    divan::main();
}

const TEMPLATES: [(&str, &str); 5] = [
    ("macros", include_str!("corpus/macros.jinja")),
    ("message", include_str!("corpus/message.jinja")),
    ("request", include_str!("corpus/request.jinja")),
    ("sums", include_str!("corpus/sums.jinja")),
    ("table", include_str!("corpus/table.jinja")),
];

const NAMES: [&str; 5] = ["macros", "message", "request", "sums", "table"];

fn source(name: &str) -> &'static str {
    TEMPLATES.iter().find(|(known, _)| *known == name).unwrap().1
}

fn data() -> Map<String, Value> {
    serde_json::from_str(include_str!("corpus/data.json")).unwrap()
}

#[divan::bench(args = NAMES)]
fn compile(bencher: Bencher, name: &str) {
    let (environment, source) = (Environment::new(), source(name));
    bencher.bench(|| environment.compile(black_box(source)).unwrap());
}

#[divan::bench(args = NAMES)]
fn render(bencher: Bencher, name: &str) {
    let template = Environment::new().compile(source(name)).unwrap();
    let context: Vec<(Arc<str>, Json)> = data().into_iter().map(|(key, value)| (key.into(), value.into())).collect();
    bencher.bench(|| template.render(black_box(&context)).unwrap());
}

#[divan::bench(args = NAMES)]
fn compile_with_minijinja(bencher: Bencher, name: &str) {
    let (environment, source) = (minijinja::Environment::new(), source(name));
    bencher.bench(|| {
        black_box(environment.template_from_str(black_box(source)).unwrap());
    });
}

#[divan::bench(args = NAMES)]
fn render_with_minijinja(bencher: Bencher, name: &str) {
    let environment = minijinja::Environment::new();
    let template = environment.template_from_str(source(name)).unwrap();
    let context = minijinja::Value::from(minijinja::value::Serde(data()));
    bencher.bench(|| template.render(black_box(&context)).unwrap());
}
