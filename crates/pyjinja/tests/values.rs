//! Values, policies and the functions that are added to an environment.

use std::sync::Arc;

use pyjinja::{
    Arguments, Environment, Error, Exception, ExceptionClass, Function, Json, SandboxPolicy, UndefinedPolicy, Value,
    stdlib::{datetime, json, re},
};

fn render(source: &str) -> Result<String, Error> {
    let labels = Json::object([("items", Json::from("shadowed")), ("job", Json::from("node"))]);
    Environment::new().compile(source)?.render(&[(Arc::from("labels"), labels)])
}

#[test]
fn the_least_integer_of_64_bits_is_like_any_other() {
    let source = "{% set n = -9223372036854775807 - 1 %}{{ n // -1 }} {{ n | abs }} {{ -n }} {{ n % -1 }} {{ n / 2 }}";
    let expected = "9223372036854775808 9223372036854775808 9223372036854775808 0 -4.611686018427388e+18";
    assert_eq!(render(source).as_deref(), Ok(expected));
}

#[test]
fn views_of_a_dict_that_hold_one_another_are_no_keys_and_end() {
    let keys = "{% set d = {} %}{{ d.setdefault(d.keys(), 1) }}";
    assert_eq!(render(keys).unwrap_err().message, "unhashable type: 'dict_keys'");
    let views =
        "{% set d = {} %}{% set e = {} %}{% set _ = d.update(v=e.items()) %}{% set _ = e.update(v=d.items()) %}";
    assert_eq!(render(&format!("{views}{{{{ d.items() == e.items() }}}}")).as_deref(), Ok("False"));
}

#[test]
fn keys_that_are_named_as_methods_are_reached_by_brackets() {
    assert_eq!(render("{{ labels['items'] }} {{ labels.items() | list | length }}").as_deref(), Ok("shadowed 2"));
}

#[test]
fn changes_to_the_data_are_seen_by_this_rendering_only() {
    let template = Environment::new().compile("{{ l.append(1) }}{{ l }}").unwrap();
    let context = [(Arc::from("l"), Json::Array(Arc::from([])))];
    for _ in 0..2 {
        assert_eq!(template.render(&context).as_deref(), Ok("None[1]"));
    }
}

#[test]
fn failures_have_the_class_the_message_and_the_line_that_python_gives_them() {
    use ExceptionClass::{
        Other, SecurityError, TemplateAssertionError, TemplateNotFound, TemplateRuntimeError, TemplateSyntaxError,
        TypeError, UndefinedError,
    };
    let cases = [
        ("one\n{{ 1 | nope }}", TemplateAssertionError, "No filter named 'nope'.", 2),
        (
            "{% if 0 %}{{ 1 is nope }}{% else %}\n{{ 1 is nope }}{% endif %}",
            TemplateRuntimeError,
            "No test named 'nope' found.",
            2,
        ),
        ("one\ntwo {{", TemplateSyntaxError, "unexpected 'end of template'", 2),
        ("\n{% include 'a' %}", TemplateNotFound, "a", 2),
        ("\r\n{{ nope.deeper }}", UndefinedError, "'nope' is undefined", 2),
        ("{{ labels\n.x.y }}", UndefinedError, "'dict object' has no attribute 'x'", 1),
        (
            "{% for i in labels %}\n{{ i + 1 }}{% endfor %}",
            TypeError,
            "can only concatenate str (not \"int\") to str",
            2,
        ),
        ("{{ ''.__class__.x }}", SecurityError, "access to attribute '__class__' of 'str' object is unsafe.", 1),
        ("{% macro m(x) %}\n{{ 1 / x }}{% endmacro %}\n\n{{ m(0) }}", Other, "division by zero", 2),
    ];
    for (source, class, message, line) in cases {
        let error = render(source).unwrap_err();
        assert_eq!((error.class, error.message.as_str(), error.line), (class, message, Some(line)), "{source}");
    }
    let shown = render("\n{{ nope.deeper }}").unwrap_err().to_string();
    assert_eq!(shown, "UndefinedError: 'nope' is undefined (line 2)");
}

#[test]
fn what_cant_be_parsed_and_names_that_nothing_has_are_in_a_column() {
    let cases = [
        ("{{ x. }}", Some((1, 7))),
        ("ä😊\n  {{ x | nope }}", Some((2, 10))),
        ("\r\n{{ x is nope }}", Some((2, 9))),
        ("{% for x %}", Some((1, 10))),
        ("{% if x %}\n{% endfor %}", Some((2, 4))),
        ("{{ (1 }}", Some((1, 7))),
        // The whole of it is missing something.
        ("{% if x %}", None),
        // It is written otherwise than it is compiled.
        ("{{ +1 | nope }}", None),
        // Nobody knows before it is rendered.
        ("{{ 1 / 0 }}", None),
    ];
    for (source, expected) in cases {
        let error = render(source).unwrap_err();
        let place = error.column.map(|column| (error.line.unwrap_or_default(), column));
        assert_eq!(place, expected, "{source}: {error}");
    }
}

#[test]
fn each_undefined_policy_does_what_jinja2s_class_of_that_name_does() {
    use UndefinedPolicy::{Chainable, Lenient, Strict};
    let undefined = Err("'x' is undefined");
    let cases = [
        ("[{{ x }}]", [Ok("[]"), Ok("[]"), undefined]),
        ("{{ x.y }}", [undefined, Ok(""), undefined]),
        ("{{ x['y'][0].z }}", [undefined, Ok(""), undefined]),
        (
            "{{ x.__class__ }}",
            [Ok(""), Ok(""), Err("access to attribute '__class__' of 'Undefined' object is unsafe.")],
        ),
        ("{{ x + 1 }}", [undefined; 3]),
        ("{{ x() }}", [undefined; 3]),
        ("{{ x|default('d') }} {{ x is defined }} {{ x is none }}", [Ok("d False False"); 3]),
        ("{{ x.y|default('d') }}", [undefined, Ok("d"), undefined]),
        ("{% if x %}{% else %}no{% endif %}", [Ok("no"), Ok("no"), undefined]),
        ("{{ not x }}", [Ok("True"), Ok("True"), undefined]),
        ("{{ x or 1 }}", [Ok("1"), Ok("1"), undefined]),
        ("{{ x == 1 }}", [Ok("False"), Ok("False"), undefined]),
        ("{{ 1 in [2] and x }}", [Ok("False"); 3]),
        ("{{ x ~ 'a' }}", [Ok("a"), Ok("a"), undefined]),
        ("{% for i in x %}{% else %}none{% endfor %}", [Ok("none"), Ok("none"), undefined]),
        ("{{ x|upper }}{{ x|list }}", [Ok("[]"), Ok("[]"), undefined]),
        ("{{ [x]|join }}", [Ok(""), Ok(""), undefined]),
        ("{{ [x] }}{{ x|pprint }}", [Ok("[Undefined]Undefined"); 3]),
        ("{{ x is mapping }} {{ x is string }} {{ x is callable }}", [Ok("False False True"); 3]),
        ("{{ x is iterable }}", [Ok("True"), Ok("True"), undefined]),
        ("{{ x is eq 1 }}", [Ok("False"), Ok("False"), undefined]),
        ("{{ 'a'|replace(x, 'b') }}", [Ok("bab"), Ok("bab"), undefined]),
        ("{{ '%s'|format(x) }}", [Ok(""), Ok(""), undefined]),
        ("{{ '{}'.format(x) }}", [Ok(""), Ok(""), undefined]),
        ("{{ [x, 1]|select|list }}", [Ok("[1]"), Ok("[1]"), undefined]),
    ];
    for (source, expected) in cases {
        for (policy, expected) in [Lenient, Chainable, Strict].into_iter().zip(expected) {
            let mut environment = Environment::new();
            environment.set_undefined(policy);
            let rendered = environment.compile(source).unwrap().render(&[]).map_err(|error| error.message);
            assert_eq!(rendered.as_deref().map_err(String::as_str), expected, "{source} {policy:?}");
        }
    }
}

#[test]
fn an_immutable_sandbox_refuses_methods_that_change_values() {
    let mut environment = Environment::new();
    environment.set_sandbox(SandboxPolicy::Immutable);
    let cases = [
        ("{{ [1].append(2) }}", Err("access to attribute 'append' of 'list' object is unsafe.")),
        ("{{ {}.update(a=1) }}", Err("access to attribute 'update' of 'dict' object is unsafe.")),
        ("{{ [1].count(1) }} {{ {'a': 1}.get('a') }} {{ 'a'.upper() }}", Ok("1 1 A")),
    ];
    for (source, expected) in cases {
        let rendered = environment.compile(source).unwrap().render(&[]).map_err(|error| error.message);
        assert_eq!(rendered.as_deref().map_err(String::as_str), expected, "{source}");
    }
}

#[test]
fn filters_tests_and_globals_are_found_under_their_names_everywhere() {
    let mut environment = Environment::new();
    environment.add_filter("twice", |rendering, arguments| {
        let [value, separator] = arguments.bind_to("twice", &["value"], &["separator"])?;
        let value = value.unwrap_or_default().to_text(rendering)?;
        let separator = separator.map_or(Ok(Arc::from("")), |separator| separator.to_text(rendering))?;
        Ok(Value::from(format!("{value}{separator}{value}")))
    });
    environment.add_test("short", |_, arguments| {
        let [value] = arguments.bind_to("short", &["value"], &[])?;
        Ok(value.unwrap_or_default().length()? < 3)
    });
    environment.add_global("site", Json::object([("name", Json::from("here"))]));
    environment.add_global(
        "fail",
        Function::new("fail", |_, _| Err(Exception::new(ExceptionClass::ValueError, "as you wish"))),
    );
    let cases = [
        ("{{ 'a'|twice }} {{ 'a'|twice('-') }} {{ 1|twice(separator=2) }}", Ok("aa a-a 121")),
        ("{{ ['a', 'b']|map('twice')|join(',') }} {{ 'twice' is filter }}", Ok("aa,bb True")),
        ("{{ ['a', 'bcd']|select('short')|list }} {{ 'short' is test }}", Ok("['a'] True")),
        ("{{ 'a'|twice(1, 2) }}", Err("twice() takes from 1 to 2 positional arguments but 3 were given")),
        ("{{ site.name }}{{ site.update(name='there') or site.name }}", Ok("herethere")),
        ("{{ fail }} {{ fail is callable }}", Ok("<function fail> True")),
        ("{{ fail() }}", Err("as you wish")),
    ];
    for (source, expected) in cases {
        let rendered = environment.compile(source).unwrap().render(&[]).map_err(|error| error.message);
        assert_eq!(rendered.as_deref().map_err(String::as_str), expected, "{source}");
    }
    let hidden = [(Arc::from("site"), Json::from("mine"))];
    assert_eq!(environment.compile("{{ site }}").unwrap().render(&hidden).as_deref(), Ok("mine"));
}

#[test]
fn range_is_pythons_with_the_bound_of_the_sandbox() {
    let cases = [
        ("{{ range(3)|list }} {{ range(1, 4)|list }} {{ range(9, 0, -4)|list }}", Ok("[0, 1, 2] [1, 2, 3] [9, 5, 1]")),
        ("{{ range(2, 5) }} {{ range(0, 9, 2) }} {{ range(0) is sequence }}", Ok("range(2, 5) range(0, 9, 2) True")),
        (
            "{{ range(5)[-1] }} {{ range(5)|length }} {{ 3 in range(5) }} {{ range(5)[9] is defined }}",
            Ok("4 5 True False"),
        ),
        ("{{ range(0, 3, 2) == range(0, 4, 2) }} {{ range(5).stop }}", Ok("True 5")),
        ("{% for i in range(3)|reverse %}{{ i }}{% endfor %}", Ok("210")),
        ("{{ range(100001) }}", Err("Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000).")),
        ("{{ range(1, 2, 0) }}", Err("range() arg 3 must not be zero")),
        ("{{ range('1') }}", Err("'str' object cannot be interpreted as an integer")),
    ];
    for (source, expected) in cases {
        let rendered = render(source).map_err(|error| error.message);
        assert_eq!(rendered.as_deref().map_err(String::as_str), expected, "{source}");
    }
}

#[test]
fn filters_reach_pythons_library() {
    let mut environment = Environment::new();
    let text =
        |value: &Option<Value>| value.as_ref().and_then(Value::as_str).map_or(String::new(), |text| text.to_string());
    environment.add_filter("zoned", move |rendering, arguments| {
        let [value, zone] = arguments.bind_to("zoned", &["value", "zone"], &[])?;
        let moment = datetime::parse_iso(&text(&value))?.unwrap_or_default();
        let moment = datetime::in_zone(rendering, &moment, &text(&zone))?.unwrap_or_default();
        moment.call_method(rendering, "strftime", Arguments::positional(["%H:%M %Z".into()]))
    });
    environment.add_filter("sub", move |rendering, arguments| {
        let [value, pattern] = arguments.bind_to("sub", &["value", "pattern"], &[])?;
        re::sub(rendering, &text(&pattern), &Value::from("-"), &value.unwrap_or_default())
    });
    environment.add_filter("dumps", |rendering, arguments| {
        let [value] = arguments.bind_to("dumps", &["value"], &[])?;
        json::dumps(rendering, &value.unwrap_or_default(), json::Options::default()).map(Value::from)
    });
    environment.add_filter("loads", move |rendering, arguments| {
        let [value] = arguments.bind_to("loads", &["value"], &[])?;
        json::loads(rendering, &text(&value))
    });
    let cases = [
        ("{{ '2023-08-18T16:34:27Z'|zoned('Europe/Berlin') }}", Ok("18:34 CEST")),
        ("{{ 'x'|zoned('UTC') }}", Err("'NoneType' object has no attribute 'astimezone'")),
        ("{{ 'a1b22'|sub('\\d+') }}", Ok("a-b-")),
        ("{{ {'é': [1.0, none]}|dumps }}", Ok(r#"{"\u00e9": [1.0, null]}"#)),
        ("{{ '[1, NaN]'|loads }}", Ok("[1, nan]")),
    ];
    for (source, expected) in cases {
        let rendered = environment.compile(source).unwrap().render(&[]).map_err(|error| error.message);
        assert_eq!(rendered.as_deref().map_err(String::as_str), expected, "{source}");
    }
}
