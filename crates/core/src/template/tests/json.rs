use super::told;

#[test]
fn values_are_written_as_json_as_in_python() {
    let cases = [
        ("{{ {'b': 1, 'a': [1, 2.0, none, true]} | tojson }}", r#"{"a": [1, 2.0, null, true], "b": 1}"#),
        ("{{ {'b': 1, 'a': []} | tojson(indent=2) }}", "{\n  \"a\": [],\n  \"b\": 1\n}"),
        ("{{ {} | tojson(2) }}{{ [] | tojson(2) }}", "{}[]"),
        (
            "{{ {'b': {'c': 'é'}, 'a': 1} | tojson_pretty }}",
            "{\n    \"a\": 1,\n    \"b\": {\n        \"c\": \"é\"\n    }\n}",
        ),
        (r#"{{ {'b': 1, 'a': 'é"'} | json_dumps }}"#, r#"{"b": 1, "a": "\u00e9\""}"#),
        ("{{ {1: 'a', none: 'b', true: 'c', 1.5: 'd'} | json_dumps }}", r#"{"1": "c", "null": "b", "1.5": "d"}"#),
        ("{{ {(1, 2): 1} | tojson }}", "Template Warning: keys must be str, int, float, bool or None, not tuple"),
        ("{{ {(1, 2): 1} | json_dumps }}", "None"),
        ("{{ {1: 'a', 'b': 1} | tojson }}", "Template Warning: '<' not supported between instances of 'str' and 'int'"),
        ("{{ [nope] | tojson }}", "Template Warning: Object of type Undefined is not JSON serializable"),
        ("{{ [nope] | json_dumps }}", "None"),
        (r#"{{ "<a href='x'>&" | tojson }}"#, r#""\u003ca href=\u0027x\u0027\u003e\u0026""#),
        (r#"{{ '\u2028\x7f😊' | tojson }}"#, r#""\u2028\u007f\ud83d\ude0a""#),
        (
            "{{ 123456789012345678901234567890 | tojson }} {{ 1e400 | tojson }} {{ 0.1 | tojson }} {{ 1e16 | tojson }}",
            "123456789012345678901234567890 Infinity 0.1 1e+16",
        ),
        ("{{ ('<' | safe) | tojson }}", r#""\u003c""#),
        ("{{ (1, 2) | tojson }}", "[1, 2]"),
        ("{{ range | tojson }}", "Template Warning: Object of type function is not JSON serializable"),
        ("{{ [1] | map('string') | tojson }}", "Template Warning: Object of type generator is not JSON serializable"),
        ("{{ 'x' | tojson('  ') }}", r#""x""#),
        ("{{ [1] | tojson('--') }}", "[\n--1\n]"),
    ];
    for (source, expected) in cases {
        assert_eq!(told(source), expected, "{source}");
    }
}
