//! The limits of renderings and of templates.
#![expect(clippy::panic, reason = "a test that can't go on")]

use pyjinja::{Environment, Error, ExceptionClass, Limits};

fn render(source: &str) -> Result<String, Error> {
    Environment::new().compile(source)?.render(&[])
}

fn failure(source: &str) -> String {
    match render(source) {
        Err(error) => error.message,
        Ok(text) => panic!("{source:.60} rendered to {text:.60}"),
    }
}

/// `source` in loops of ten, one in another.
fn looped(depth: usize, source: &str) -> String {
    format!("{}{source}{}", "{% for i in '0123456789' %}".repeat(depth), "{% endfor %}".repeat(depth))
}

#[test]
fn renderings_that_would_take_for_ever_or_all_memory_are_stopped() {
    let steps = "Template was stopped: it takes more than 1000000 steps: loop over less, or over shorter text";
    let bytes = "Template was stopped: it makes more than 24 MiB of text and lists: make less";
    let time = "Template was stopped: it takes longer than 1.5 s: loop over less, or over shorter text";
    let nesting = "Template was stopped: its expressions, blocks and macros nest deeper than 250 levels";
    let doubled =
        |value: &str| format!("{{% set ns = namespace(x={value}) %}}{}", looped(2, "{% set ns.x = ns.x + ns.x %}"));
    // Two to the power of 25 lists, two at a time.
    let doubled_lists = |name: &str| {
        format!(
            "{{% if ns is not defined %}}{{% set ns = namespace(x=[], y=[]) %}}{{% endif %}}\
             {{% for i in 'x' * 25 %}}{{% set ns.{name} = [ns.{name}, ns.{name}] %}}{{% endfor %}}"
        )
    };
    let cases = [
        (looped(9, ""), bytes),
        (format!("{{% set l = [1] * 9999 %}}{}", "{% for i in l %}".repeat(3) + &"{% endfor %}".repeat(3)), steps),
        (looped(6, &"x".repeat(40_000)), bytes),
        (doubled("'ab'"), bytes),
        (doubled("[1]"), bytes),
        ("{{ 'ab' * 10 ** 12 }}".to_owned(), bytes),
        ("{{ [1] * 10 ** 12 }}".to_owned(), bytes),
        ("{{ 7 ** (10 ** 9) }}".to_owned(), bytes),
        ("{{ 'x'.center(10 ** 12) }}".to_owned(), bytes),
        ("{{ '%1000000000d' % 1 }}".to_owned(), bytes),
        ("{{ '{:>1000000000}'.format(1) }}".to_owned(), bytes),
        ("{{ 'a\\nb' | indent(10 ** 12) }}".to_owned(), bytes),
        ("{% set s = 'a' * 99999 %}{{ s.replace('a', s) }}".to_owned(), bytes),
        ("{% set s = 'a' * 99999 %}{{ s | join(s) }}".to_owned(), bytes),
        ("{% set s = 'a' * 49999 %}{{ [s] * 9999 }}".to_owned(), bytes),
        ("{% set s = 'a' * 49999 %}{{ ([s] * 9999) | tojson }}".to_owned(), bytes),
        ("{{ lipsum(n=10 ** 9) }}".to_owned(), steps),
        ("{% set s = 'ab' * 24999 %}{% for c in s %}{% set x = s.find('c') %}{% endfor %}".to_owned(), steps),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}".to_owned(), nesting),
        (format!("{}{}", doubled_lists("x"), "{{ ns.x | pprint }}"), bytes),
        ("{{ {'k' * 999999: [1] * 99999} | pprint }}".to_owned(), bytes),
        ("{{ (['X' * 999999] * 999) | sort }}".to_owned(), bytes),
        ("{{ ('x' * 999999) | batch(1) | list }}".to_owned(), bytes),
        (format!("{}{}{{{{ ns.x == ns.y }}}}", doubled_lists("x"), doubled_lists("y")), steps),
        (format!("{}{}{{{{ ns.x in [ns.y] * 99 }}}}", doubled_lists("x"), doubled_lists("y")), steps),
        ("{% set a = 'x' * 999999 %}{% set b = 'x' * 999998 ~ 'y' %}{{ a in [b] * 99999 }}".to_owned(), steps),
        ("{{ ('x' ~ '(' * 999999 ~ ')' * 999999) | urlize }}".to_owned(), steps),
        ("{{ ('a' * 99999) | wordwrap(1, wrapstring='') }}".to_owned(), steps),
    ];
    for (source, expected) in cases {
        let met = failure(&source);
        // A slow machine may run out of time before.
        assert!(met == expected || met == time, "{source:.100}\n  met      {met}\n  expected {expected}");
    }
}

#[test]
fn endless_nesting_is_refused_and_never_overflows_the_stack() {
    let operators = "an expression has more than 200 operators in a row or in one another";
    let brackets = "expressions are nested deeper than 100 levels";
    let cases = [
        (format!("{{{{ {}{} }}}}", "[".repeat(10_000), "]".repeat(10_000)), brackets),
        (format!("{{{{ {}1{} }}}}", "(".repeat(10_000), ")".repeat(10_000)), brackets),
        (format!("{{{{ {}", "{1:".repeat(10_000)), brackets),
        (format!("{{{{ {}1 }}}}", "1 if 0 else ".repeat(4_000)), brackets),
        (format!("{{{{ {}1 }}}}", "-".repeat(40_000)), operators),
        (format!("{{{{ {}1 }}}}", "not ".repeat(12_000)), operators),
        (format!("{{{{ {}1 }}}}", "1~".repeat(20_000)), operators),
        (format!("{{{{ 1{} }}}}", "|d".repeat(20_000)), operators),
        (format!("{{{{ a{} }}}}", ".b".repeat(20_000)), operators),
        (format!("{{{{ a{} }}}}", "()".repeat(20_000)), operators),
        ("{% if 1 %}".repeat(4_000), "blocks are nested deeper than 100 levels"),
        (format!("{{% if 0 %}}{}", "{% elif 0 %}".repeat(4_000)), "a condition has more than 200 branches"),
    ];
    for (source, expected) in cases {
        assert_eq!(failure(&source), expected, "{source:.60}");
    }
    let nested = |value: &str, then: &str| {
        format!(
            "{{% set ns = namespace(x=[], y=[]) %}}{}{then}",
            looped(4, &format!("{{% set ns.x = {value} %}}{{% set ns.y = {value} %}}"))
        )
    };
    for value in [
        "[ns.x]",
        "(ns.x,)",
        "{1: ns.x}",
        "[ns.x] | map('list')",
        "[ns.x] | reverse",
        "namespace(x=ns.x)",
        "cycler(ns.x)",
        "{cycler(ns.x): 1}",
        "{1: ns.x}.items()",
    ] {
        // Taking it apart again is a recursion of its own.
        assert_eq!(render(&nested(value, "done")).as_deref(), Ok("done"), "{value}");
    }
    let too_deep = "maximum recursion depth exceeded while getting the repr of an object";
    assert_eq!(failure(&nested("[ns.x]", "{{ ns.x }}")), too_deep);
    assert_eq!(render(&nested("[ns.x]", "{{ ns.x == ns.y }}")).as_deref(), Ok("False"));
    assert_eq!(render("{% set l = [1] %}{% set _ = l.append(l) %}{{ l }}").as_deref(), Ok("[1, [...]]"));
}

#[test]
fn each_limit_can_be_set() {
    let limited = |set: fn(&mut Limits), source: &str| {
        let mut limits = Limits::default();
        set(&mut limits);
        let mut environment = Environment::new();
        environment.set_limits(limits);
        let error = environment.compile(source).and_then(|template| template.render(&[])).unwrap_err();
        assert_eq!(error.class, ExceptionClass::LimitReached, "{source}");
        error.message
    };
    type Case = (fn(&mut Limits), &'static str, &'static str);
    let cases: [Case; 6] = [
        (|limits| limits.source_chars = 5, "ééé{{ 1 }}", "Template exceeds length limit (10 > 5)"),
        (
            |limits| limits.output_chars = 5,
            "{{ 'é' * 6 }}",
            "Template was stopped: it renders to more than 5 characters",
        ),
        (
            |limits| limits.steps = 50,
            "{% for i in range(99) %}{% endfor %}",
            "Template was stopped: it takes more than 50 steps: loop over less, or over shorter text",
        ),
        (
            |limits| limits.bytes = 1000,
            "{{ 'x' * 1001 }}",
            "Template was stopped: it makes more than 1000 bytes of text and lists: make less",
        ),
        (
            |limits| limits.time = std::time::Duration::ZERO,
            "{% for i in range(99999) %}{% endfor %}",
            "Template was stopped: it takes longer than 0 s: loop over less, or over shorter text",
        ),
        (
            |limits| limits.nesting = 10,
            "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
            "Template was stopped: its expressions, blocks and macros nest deeper than 10 levels",
        ),
    ];
    for (set, source, expected) in cases {
        assert_eq!(limited(set, source), expected);
    }
}

#[test]
fn a_rendering_inside_a_filter_has_a_budget_of_its_own() {
    let inner = Environment::new().compile("{% for i in range(90000) %}{% endfor %}done").unwrap();
    let mut environment = Environment::new();
    environment.add_filter("inner", move |_, _| inner.render(&[]).map(Into::into).map_err(|error| panic!("{error}")));
    let source = "{% for i in range(9) %}{{ i|inner }}{% endfor %}{% for i in range(90000) %}{% endfor %}";
    assert_eq!(environment.compile(source).unwrap().render(&[]), Ok("done".repeat(9)));
}
