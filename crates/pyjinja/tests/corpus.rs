//! The corpus of the bench renders to what Jinja2 3.1.6 made of it (`benches/corpus.py --record`).

use std::sync::Arc;

use pyjinja::{Environment, Json};
use serde_json::{Map, Value};

#[test]
fn the_corpus_renders_as_jinja2_renders_it() {
    let data: Map<String, Value> = serde_json::from_str(include_str!("../benches/corpus/data.json")).unwrap();
    let context: Vec<(Arc<str>, Json)> = data.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
    let cases = [
        (include_str!("../benches/corpus/macros.jinja"), include_str!("../benches/corpus/macros.txt")),
        (include_str!("../benches/corpus/message.jinja"), include_str!("../benches/corpus/message.txt")),
        (include_str!("../benches/corpus/request.jinja"), include_str!("../benches/corpus/request.txt")),
        (include_str!("../benches/corpus/sums.jinja"), include_str!("../benches/corpus/sums.txt")),
        (include_str!("../benches/corpus/table.jinja"), include_str!("../benches/corpus/table.txt")),
    ];
    for (source, expected) in cases {
        let rendered = Environment::new().compile(source).and_then(|template| template.render(&context));
        assert_eq!(rendered.as_deref(), Ok(expected), "{source}");
    }
}
