use super::{Data, Document, SyntaxError, documents};
use crate::core::json;

fn json_of(text: &str) -> Vec<Result<String, String>> {
    let shown = |document: Result<Document, SyntaxError>| match document {
        Ok(document) => Ok(json::dumps(&document.root.json())),
        Err(error) => Err(format!("{}: {}", error.line, error.message)),
    };
    documents(text.as_bytes(), false).into_iter().map(shown).collect()
}

#[test]
fn plain_values_are_what_kubectl_makes_of_them() {
    let cases = [
        ("[yes, Off, n, ~, Null, 'yes', !!str no, nUll]", r#"[true, false, false, null, null, "yes", "no", "nUll"]"#),
        ("[1, -2, +3, 0x1F, 0o17, 017, 0b11, 1_000, 08]", "[1, -2, 3, 31, 15, 15, 3, 1000, 8.0]"),
        ("[1.5, .5, 1., 1e3, 1e999, -1.5e-3]", r#"[1.5, 0.5, 1.0, 1000.0, "1e999", -0.0015]"#),
        ("[.nan, -.inf, NaN, inf]", r#"[NaN, -Infinity, "NaN", "inf"]"#),
        ("[2026-01-31, 1.2.3, 1-2, '', +, 0x]", r#"["2026-01-31", "1.2.3", "1-2", "", "+", "0x"]"#),
        ("{\"a\": [NaN, 1e999, -Infinity]}", r#"{"a": [NaN, Infinity, -Infinity]}"#),
        ("123456789012345678901", "123456789012345678901"),
        ("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}", r#"{"a": {"b": 1, "c": 2}, "d": {"c": 3, "b": 1}}"#),
        ("{1: a, on: b, 1.5: c}", r#"{"1": "a", "true": "b", "1.5": "c"}"#),
        ("\"\\ud83d\\ude0a\"", r#""\ud83d\ude0a""#),
    ];
    for (text, expected) in cases {
        assert_eq!(json_of(text), [Ok(expected.to_owned())], "{text}");
    }
}

#[test]
fn each_document_stands_for_itself() {
    let text = "%YAML 1.2\n# comment\n---\na: |\n  x\n  --- y\n--- # next\nb: [\n---\n\n---\n{c: 1}\n...\n---\n? [d]\n: 1\n---\n*e\n";
    let found = json_of(text);
    let shown: Vec<&str> =
        found.iter().map(|document| document.as_ref().unwrap_or_else(|error| error).as_str()).collect();
    assert_eq!(
        shown,
        [
            r#"{"a": "x\n--- y\n"}"#,
            "8: not YAML: unclosed bracket '['",
            r#"{"c": 1}"#,
            "15: a key must be text, not a list",
            "18: not YAML: while parsing node, found unknown anchor",
        ]
    );
}

#[test]
fn lines_of_block_text_are_those_of_the_file() {
    let line = |text: &str| {
        let document = documents(text.as_bytes(), false).pop().unwrap().unwrap();
        match &document.root.get("a").unwrap().node.data {
            Data::Text { starts, .. } => *starts,
            other => panic!("not text: {other:?}"),
        }
    };
    let cases = [
        ("a: |\n  x\n", Some(2)),
        ("a: |2-\n\n\n  x\n", Some(2)),
        ("# c\n---\na:\n  |\n   x\n", Some(5)),
        ("a: x\n", None),
        ("a: \"x\n  y\"\n", None),
        ("a: >\n  x\n", None),
    ];
    for (text, expected) in cases {
        assert_eq!(line(text), expected, "{text}");
    }
}
