//! Statements, subscripts, calls and literals that Jinja2 has and few other engines.

use std::sync::Arc;

use pyjinja::{Environment, Json};
use serde_json::json;

/// What a template renders to, or how it fails.
fn told(source: &str) -> String {
    let data = Json::from(json!({"a": [1, 2, 3], "x": "abc", "n": 3, "d": {"k": 1}}));
    let Json::Object(data) = data else { unreachable!() };
    let context: Vec<(Arc<str>, Json)> = data.iter().map(|(key, value)| (Arc::clone(key), value.clone())).collect();
    let rendered = Environment::new().compile(source).and_then(|template| template.render(&context));
    rendered.unwrap_or_else(|error| error.to_string())
}

fn check(cases: &[(&str, &str)]) {
    for (source, expected) in cases {
        assert_eq!(told(source), *expected, "{source}");
    }
}

#[test]
fn a_block_can_be_called_by_self() {
    check(&[
        ("{% block b %}x{{ n }}{% endblock %}{{ self.b() }}", "x3x3"),
        ("{{ self.b() | upper }}{% block b %}q{% endblock %}", "Qq"),
        ("{{ self['b']() ~ self.b() }}{% block b %}q{% endblock %}", "qqq"),
        ("{% set y = 1 %}{% block b %}{{ y }}{% endblock %}{% set y = 2 %}{{ self.b() }}", "12"),
        ("{% macro m() %}{{ self.b() }}{% endmacro %}{{ m() }}{% block b %}q{% endblock %}", "qq"),
        ("{% block a %}{{ self.b() }}{% endblock %}{% block b %}q{% endblock %}", "qq"),
        ("{% for i in a %}{{ self.b() }}{% endfor %}{% block b %}<{{ i }}>{% endblock %}", "<><><><>"),
        ("{{ self }} {{ self.b.name }} {{ self.c }}|{% block b %}{% endblock %}", "<TemplateReference None> b |"),
        ("{{ self.c() }}", "UndefinedError: 'jinja2.runtime.TemplateReference object' has no attribute 'c' (line 1)"),
        (
            "{{ self.b(1) }}{% block b %}{% endblock %}",
            "TypeError: BlockReference.__call__() takes 1 positional argument but 2 were given (line 1)",
        ),
        (
            "{% block b %}{{ self.b() }}{% endblock %}",
            "LimitReached: Template was stopped: its expressions, blocks and macros nest deeper than 250 levels (line 1)",
        ),
        ("{% block b %}{{ super() }}{% endblock %}", "UndefinedError: there is no parent block called 'b'. (line 1)"),
    ]);
}

#[test]
fn a_block_sees_what_is_around_it_if_it_is_scoped_and_fails_if_it_is_required() {
    check(&[
        ("{% for i in a %}{% block b %}{{ i }}{% endblock %}{% endfor %}", ""),
        (
            "{% for i in a %}{% block b scoped %}{{ i }}{{ loop.last }};{% endblock %}{% endfor %}",
            "1False;2False;3True;",
        ),
        ("{% block b required %}{% endblock %}", "TemplateRuntimeError: Required block 'b' not found (line 1)"),
    ]);
}

#[test]
fn a_tag_whose_filter_or_call_gives_no_text_fails_where_the_text_is_joined() {
    let failure = |item: usize, found: &str| {
        format!("TypeError: sequence item {item}: expected str instance, {found} found (line 1)")
    };
    let cases = [
        ("{% filter length %}abc{% endfilter %}", failure(0, "int")),
        ("a{% filter length %}abc{% endfilter %}b", failure(1, "int")),
        ("{{ x }}{{ n }}{% filter length %}abc{% endfilter %}", failure(2, "int")),
        // Constants in a row are one item.
        ("a{{ 1 + 1 }}{# c #}b{{ 'x' }}{% filter list %}abc{% endfilter %}", failure(1, "list")),
        ("a{{ x }}b{% filter first %}{% endfilter %}", failure(3, "Undefined")),
        ("{% for i in a %}{{ i }}{% endfor %}{% filter int %}1{% endfilter %}", failure(3, "int")),
        ("{% for i in a recursive %}{{ i }}{% endfor %}{% filter int %}1{% endfilter %}", failure(1, "int")),
        ("a{% block b %}b{% filter wordcount %}abc{% endfilter %}{% endblock %}", failure(2, "int")),
        ("{% call dict() %}x{% endcall %}", failure(0, "dict")),
    ];
    for (source, expected) in cases {
        assert_eq!(told(source), expected, "{source}");
    }
    check(&[
        ("{% filter length | string %}abc{% endfilter %}", "3"),
        ("{% filter tojson %}<{% endfilter %}", r#""\u003c""#),
        ("{% set y | length %}abc{% endset %}{{ y + 1 }}", "4"),
        // Whatever comes before the text is joined fails first.
        ("{% filter length %}abc{% endfilter %}{{ 1 / 0 }}", "Exception: division by zero (line 1)"),
        (
            "{% macro m() %}\na{% filter length %}abc{% endfilter %}{% endmacro %}b{{ m() }}",
            "TypeError: sequence item 1: expected str instance, int found (line 2)",
        ),
    ]);
}

#[test]
fn several_subscripts_and_none_are_a_tuple() {
    check(&[
        ("{{ a[] }}{{ d[] }}{{ x[] }}{{ a[] is defined }}", "False"),
        ("{{ {(): 1, (1, 2): 2, ('k', 3): 3}[] }}{{ {(1, 2): 2}[1, 1 + 1] }}{{ {('k', 3): 3}['k', n] }}", "123"),
        ("{{ d['a', 'b'] }}{{ x[1, 2] | default('none') }}", "none"),
        ("{% for i in d[a[0], 'k'] %}{% else %}none{% endfor %}", "none"),
        ("{{ {(1, 2): {'k': 'v'}}[1, 2].k }}{{ a[(0, 1)[1]] }}", "v2"),
        ("{{ a[].y }}", "UndefinedError: list object has no element () (line 1)"),
        ("{{ d[1, 'b'].y }}", "UndefinedError: dict object has no element (1, 'b') (line 1)"),
        (
            "{{ a[1:2, 3] }}",
            "TemplateSyntaxError: invalid syntax: a slice can't stand beside another subscript (line 1)",
        ),
        ("{{ a[1,] }}", "TemplateSyntaxError: unexpected ']' (line 1)"),
    ]);
}

#[test]
fn what_a_filter_or_a_test_gives_can_be_called() {
    check(&[
        ("{{ x | attr('upper')() }} {{ x|attr('upper')() | lower }}", "ABC abc"),
        ("{{ 1 + d | attr('get')('k') }} {{ -n | attr('bit_length')() }} {{ 2 ** n | attr('bit_length')() }}", "2 2 4"),
        ("{{ x | attr('replace')('a', 'b') | attr('upper')() }}", "BBC"),
        ("{{ x | attr('upper')(), x | attr('title')() }}", "('ABC', 'Abc')"),
        ("{{ [x | attr('upper')()][0] }}{{ x | attr(x | attr('replace')('abc', 'upper'))() }}", "ABCABC"),
        ("{% for c in x | attr('upper')() if c != 'B' %}{{ c }}{% endfor %}", "AC"),
        ("{% set y = x | attr('upper')() %}{% if x | attr('upper')() == y %}{{ y }}{% endif %}", "ABC"),
        ("{% print x | attr('upper')() %}{{ 'yes' if x | attr('isalpha')() is true }}", "ABCyes"),
        ("{{ x | upper()() }}", "TypeError: 'str' object is not callable (line 1)"),
        ("{{ 1 is odd + 1 }} {{ 3 is not odd - 2 }} {{ n + n is defined + n }}", "2 -2 7"),
        ("{{ x is defined()() }}", "TypeError: 'bool' object is not callable (line 1)"),
        ("{% call x | attr('upper')() %}{% endcall %}", "TypeError: str.upper() takes no keyword arguments (line 1)"),
    ]);
}

#[test]
fn jinja2s_own_objects_and_filters_refuse_wrong_calls() {
    let unexpected = |name: &str| format!("TypeError: {name}() got an unexpected keyword argument 'z' (line 1)");
    let cases = [
        ("{% for i in a %}{{ loop.cycle(1, z=1) }}{% endfor %}", unexpected("LoopContext.cycle")),
        ("{% for i in a %}{{ loop.changed(z=1) }}{% endfor %}", unexpected("LoopContext.changed")),
        ("{% for i in a %}{{ loop(z=1) }}{% endfor %}", unexpected("LoopContext.__call__")),
        ("{{ cycler(1, z=1) }}", unexpected("Cycler.__init__")),
        ("{{ cycler(1).next(z=1) }}", unexpected("Cycler.next")),
        ("{{ joiner()(z=1) }}", unexpected("Joiner.__call__")),
    ];
    for (source, expected) in cases {
        assert_eq!(told(source), expected, "{source}");
    }
    check(&[
        (
            "{{ a | map('string', value=1) | list }}",
            "TypeError: sync_do_map() got multiple values for argument 'value' (line 1)",
        ),
        ("{{ x | format(value=1) }}", "TypeError: do_format() got multiple values for argument 'value' (line 1)"),
        (
            "{{ x | e(s=1) }}",
            "TypeError: escape() got some positional-only arguments passed as keyword arguments: 's' (line 1)",
        ),
        ("{{ dict(k=1, k=2) }}", "TemplateSyntaxError: keyword argument repeated: k (line 1)"),
        (
            "{{ dict(k=1, **d) }}",
            "TypeError: jinja2.sandbox.SandboxedEnvironment.call() got multiple values for keyword argument 'k' (line 1)",
        ),
        ("{{ dict(**nope) }}", "UndefinedError: 'nope' is undefined (line 1)"),
        // What a generator meets is told as it is.
        ("{{ 1 in n | map('string') }}", "TypeError: 'int' object is not iterable (line 1)"),
        ("{{ ''.join(n | map('string')) }}", "TypeError: 'int' object is not iterable (line 1)"),
        ("{{ d | random }}", "KeyError: 0 (line 1)"),
        (
            "{{ a | reverse }} {{ d | indent }}",
            "TypeError: unsupported operand type(s) for +=: 'dict' and 'str' (line 1)",
        ),
    ]);
}

#[test]
fn strings_name_characters() {
    check(&[
        (r#"{{ "\N{BULLET}" ~ '\N{em dash}' }}{{ {"\N{FIRE}": 1} }}"#, "•—{'🔥': 1}"),
        (r#"{{ x | replace("a", "\N{SNOWMAN}") }}"#, "☃bc"),
        ("\n{{ \"\\N{NOPE}\" }}", "TemplateSyntaxError: unknown Unicode character name (line 2)"),
        (r#"{{ "\N" }}"#, r"TemplateSyntaxError: malformed \N character escape (line 1)"),
        (r#"{{ "\x4" }}"#, r"TemplateSyntaxError: truncated \xXX escape (line 1)"),
        (r#"{{ "\u12" }}"#, r"TemplateSyntaxError: truncated \uXXXX escape (line 1)"),
    ]);
}

#[test]
fn a_macro_tells_its_arguments_as_a_tuple() {
    check(&[
        ("{% macro m(x, y=1) %}{% endmacro %}{{ m.arguments }} {{ m.explicit_caller }}", "('x', 'y') False"),
        ("{% macro m(x) %}{% endmacro %}{{ m.arguments }} {{ m.arguments + (1,) }}", "('x',) ('x', 1)"),
        ("{% macro m(caller) %}{% endmacro %}{{ m.explicit_caller }}", "True"),
        ("{% macro m() %}{{ caller.arguments }}{% endmacro %}{% call(a, b) m() %}{% endcall %}", "('a', 'b')"),
    ]);
}

#[test]
fn numbers_are_as_long_and_as_exact_as_in_python() {
    let limit = "ValueError: Exceeds the limit (4300 digits) for integer string conversion; use \
                 sys.set_int_max_str_digits() to increase the limit (line 1)";
    check(&[
        ("{{ 10 ** 5000 }}", limit),
        ("{{ [10 ** 5000] | join }}", limit),
        ("{{ '%d' % (10 ** 5000) }}", limit),
        ("{{ '{:,}'.format(10 ** 5000) }}", limit),
        ("{{ (10 ** 5000) | tojson }}", limit),
        ("{{ {10 ** 5000: 1} | tojson }}", limit),
        ("{{ (10 ** 4299) | string | length }}", "4300"),
        // The float 1e24 is less than the int.
        (
            "{{ 1e24 | filesizeformat }} {{ (10 ** 24) | filesizeformat }} {{ 1e27 | filesizeformat }}",
            "1000.0 ZB 1000.0 ZB 1000.0 YB",
        ),
        (
            "{{ 1e18 | filesizeformat }} {{ (2 ** 80) | filesizeformat(true) }} {{ 1e30 | filesizeformat }}",
            "1.0 EB 1.0 YiB 1000000.0 YB",
        ),
    ]);
}
