use std::sync::Arc;

use pyjinja::Json;
use serde_json::json;

use crate::{
    event::{EventData, WebhookContext},
    template::{Mode, Template},
};

/// What a template renders to with data whose mappings have quotes, which are in need of escaping.
fn rendered(source: &str, mode: Mode) -> String {
    let payload = json!({
        "text": "Hi, it's alert",
        "n": {"q": "o'neil", "r": "say \"hi\""},
        "list": [{"t": "it's"}, 1],
        "deep": {"a": {"b": [{"c": "d'e"}]}},
        "plain": {"a": 1},
    });
    let data = EventData::new(vec![(Arc::from("alert_payload"), Json::from(payload))]);
    let webhook = WebhookContext::new(Json::from(json!({"name": "o'neil"})), pyjinja::json::Object::new());
    let context = data.context(mode, &webhook);
    let result = Template::compile(source, mode).and_then(|template| template.render(&context));
    result.unwrap_or_else(|error| error.to_string())
}

#[test]
fn the_text_of_a_mapping_of_the_data_has_its_double_quotes_escaped_in_json_templates() {
    let n = r#"{'q': \"o'neil\", 'r': 'say \\"hi\\"'}"#;
    let t = r#"{'t': \"it's\"}"#;
    let cases = [
        ("{{ alert_payload.n }}", n),
        ("{{ webhook }}", r#"{'name': \"o'neil\"}"#),
        ("{{ alert_payload.deep.a.b[0] }}", r#"{'c': \"d'e\"}"#),
        ("{{ alert_payload.deep }}", r#"{'a': {'b': [{'c': \"d'e\"}]}}"#),
        ("{{ alert_payload.plain }}", "{'a': 1}"),
        ("{{ alert_payload.n ~ '' }}", n),
        ("{{ '%s' % alert_payload.n }}", n),
        ("{{ '{}'.format(alert_payload.n) }}", n),
        ("{{ alert_payload.n | string }}", n),
        ("{{ [alert_payload.n] | join }}", n),
        ("{{ alert_payload.list | join(',') }}", r#"{'t': \"it's\"},1"#),
        ("{{ alert_payload.list | map('string') | first }}", t),
        ("{{ alert_payload.list[0] | upper }}", r#"{'T': \"IT'S\"}"#),
        ("{{ alert_payload.list[0] | replace('t', 'x') }}", r#"{'x': \"ix's\"}"#),
        ("{{ alert_payload.list[0] | e }}", r"{&#39;t&#39;: \&#34;it&#39;s\&#34;}"),
        ("{% set x %}{{ alert_payload.n }}{% endset %}{{ x }}", n),
        ("{% macro m(x) %}{{ x }}{% endmacro %}{{ m(alert_payload.n) }}", n),
        ("{{ nope | default(alert_payload.n) }}", n),
        ("{% for x in alert_payload.list %}{{ x }}{% endfor %}", r#"{'t': \"it's\"}1"#),
        ("{{ alert_payload.list[0].update(t='\"') or alert_payload.list[0] }}", r#"{'t': '\"'}"#),
        ("{{ alert_payload.n.fromkeys(['a'], \"it's\") }}", r#"{'a': \"it's\"}"#),
    ];
    for (source, expected) in cases {
        assert_eq!(rendered(source, Mode::Json), expected, "{source}");
    }
}

#[test]
fn the_repr_of_a_mapping_its_copies_and_dicts_that_a_template_makes_are_not_escaped() {
    let n = r#"{'q': "o'neil", 'r': 'say \\"hi\\"'}"#;
    let cases = [
        ("{{ alert_payload.list }}", r#"[{'t': "it's"}, 1]"#),
        ("{{ (alert_payload.list[0],) }}", r#"({'t': "it's"},)"#),
        ("{{ {'a': alert_payload.list[0]} }}", r#"{'a': {'t': "it's"}}"#),
        ("{{ alert_payload.deep.values() }}", r#"dict_values([{'b': [{'c': "d'e"}]}])"#),
        ("{{ '%r' % alert_payload.n }}", n),
        ("{{ '{!r}'.format(alert_payload.n) }}", n),
        ("{{ alert_payload.n | pprint }}", n),
        ("{{ alert_payload.n.copy() }}", n),
        ("{{ dict(alert_payload.n) }}", n),
        ("{{ {'t': \"it's\"} }}", r#"{'t': "it's"}"#),
        ("{{ alert_payload.deep.copy().a }}", r#"{'b': [{'c': \"d'e\"}]}"#),
        (
            "{{ alert_payload.n | tojson }} {{ alert_payload.n | json_dumps }}",
            r#"{"q": "o\u0027neil", "r": "say \\\"hi\\\""} {"q": "o'neil", "r": "say \\\"hi\\\""}"#,
        ),
        ("{{ alert_payload.n | tojson | parse_json }}", n),
    ];
    for (source, expected) in cases {
        assert_eq!(rendered(source, Mode::Json), expected, "{source}");
    }
    for source in ["{{ alert_payload.list[0] }}", "{{ alert_payload.list[0] | string }}"] {
        assert_eq!(rendered(source, Mode::Raw), r#"{'t': "it's"}"#, "{source}");
    }
}
