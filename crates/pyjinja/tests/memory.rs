//! What one rendering holds at most, as the allocator sees it. One test, since the allocator counts for all threads.

#![expect(clippy::unwrap_used, reason = "a test that can't go on")]

use std::{sync::Arc, thread};

use peak_alloc::PeakAlloc;
use pyjinja::{Environment, Json, Template, Value, stdlib::re};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Bytes that a rendering may hold beyond its limit: its stack of values, and what the clock and errors need.
const SMALL: usize = 2 << 20;

/// An environment with the filters `search`, `match` and `sub`.
fn environment() -> Environment {
    let mut environment = Environment::new();
    environment.add_filter("search", |rendering, arguments| {
        let [text, pattern] = arguments.bind_to("search", &["text", "pattern"], &[])?.map(Option::unwrap_or_default);
        re::search(rendering, pattern.as_str().map_or("", |pattern| pattern), &text).map(Value::from)
    });
    environment.add_filter("match", |rendering, arguments| {
        let [text, pattern] = arguments.bind_to("match", &["text", "pattern"], &[])?.map(Option::unwrap_or_default);
        re::is_match(rendering, pattern.as_str().map_or("", |pattern| pattern), &text).map(Value::from)
    });
    environment.add_filter("sub", |rendering, arguments| {
        let parameters = &["text", "pattern", "replacement"];
        let [text, pattern, replacement] = arguments.bind_to("sub", parameters, &[])?.map(Option::unwrap_or_default);
        re::sub(rendering, pattern.as_str().map_or("", |pattern| pattern), &replacement, &text)
    });
    environment
}

/// Renders on a thread of its own. Returns the most bytes that were held at a time, those that are held afterwards, and how it
/// ended.
fn measured(template: Template, context: Vec<(Arc<str>, Json)>) -> (usize, usize, Result<String, String>) {
    let rendering = thread::spawn(move || {
        let before = ALLOCATOR.current_usage();
        ALLOCATOR.reset_peak_usage();
        let rendered = template.render(&context).map_err(|error| error.message);
        let peak = ALLOCATOR.peak_usage();
        (peak.saturating_sub(before), ALLOCATOR.current_usage().saturating_sub(before), rendered)
    });
    rendering.join().unwrap()
}

/// Renderings that try to have many patterns at a time, or a large one; each with the kind of text that it searches.
fn attacks() -> Vec<(String, &'static str)> {
    let loops = |body: &str| format!("{{% for i in range(12) %}}{body}{{% endfor %}}");
    let one = |call: &str| (format!("{{{{ {call} }}}}"), "random");
    let mut attacks = Vec::new();
    for pattern in [
        r"[\\w]{1,80}",
        r"(?i)\\w{1,60}é",
        r"(?i)[Ā-ῼ]{1,9}",
        r"\\D{1,400}",
        r"(\\w{1,9}) (\\w{1,9})",
        r"(?<=\\w{1,9})x",
        r"(?>\\w+)\\1?",
        r"(\\w\\d)\\1",
        r"((.)(.)(.))*\\1",
        r"(?:(?=a)a|.)*x",
        r"[ab]*a[ab]{12}",
        r"(a|b)*a(a|b){200}",
        r"(a?){200}\\1",
        r"(\\w{1,3} )+$",
        r"\\((?:[^()]|(?R))*\\)",
        r"(\\w+)(?1)(?1)x",
        r"\\p{Cn}{1,20}",
        r"\\b\\w{1,9}\\b",
        r"(?=\\w+\\d)(?=\\d+\\w)x",
        r"\\X+",
        "(.*) (.*) (.*)",
    ] {
        for (filter, text) in [("search", "random"), ("match", "short")] {
            attacks.push((loops(&format!("{{{{ text | {filter}('{pattern}' ~ i) }}}}")), text));
        }
        attacks.push((loops(&format!("{{{{ text | sub('{pattern}|' ~ i, 'x') | length }}}}")), "random"));
    }
    // One giant, and many groups, parts and characters.
    attacks.push(one(r"text | search('\\w{1,5000}')"));
    attacks.push(one(r"text | search('\\w' * 2400)"));
    attacks.push(one(r"text | search('(?i)' ~ '[a-ῼ]' * 900)"));
    attacks.push(one(r"text | search('(a)' * 1600)"));
    attacks.push(one(r"text | sub('(.)' * 1200, 'x')"));
    attacks.push(one(r"text | search('(?<=a\\w)' * 600)"));
    attacks.push(one(r"text | search('(?=\\w+\\d)' * 400)"));
    attacks.push(one(r"text | search('a?' * 2000 ~ 'x')"));
    attacks.push(one(r"text | search('(((((\\w{9}){9}){9}){9}){9}){9}')"));
    attacks.push(one(r"text | search('((((a?){99}){99}){99}){99}\\1')"));
    attacks.push(one(r"text | search('(a|(?1)(?1))x(?1)(?1)(?1)')"));
    // A replacement that uses patterns itself, while the pattern that calls it is in use.
    let macros = r"{% macro m(t) %}{{ 'ab' | sub('\\w{1,40}' ~ range(99) | random, m) }}{% endmacro %}{{ m() }}";
    attacks.push((macros.to_owned(), "short"));
    // Text, and patterns with it.
    attacks
        .push((format!("{{% set t = 'x' * 20000000 %}}{}", loops(r"{{ text | search('\\w{1,20}' ~ i) }}")), "short"));
    attacks.push((loops(r"{{ text | search('\\w{1,60}' ~ i) }}{% set t = 'x' * 500000 %}"), "short"));
    attacks
}

/// Text that makes automata meet many states.
fn random(length: usize) -> String {
    let mut state = 1_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ['a', 'b', 'x', 'é', '1', 'L', ' ', 'a'][(state >> 20) as usize % 8]
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn a_rendering_holds_no_more_than_its_bytes_with_what_its_patterns_take() {
    let environment = environment();
    let text = |kind| match kind {
        "short" => "Lörem ipsum dolor=5; amet é 東京 x9 ab aab ba".to_owned(),
        _ => random(40_000),
    };
    for (source, kind) in attacks() {
        let template = environment.compile(&source).unwrap();
        let text = Json::from(text(kind).as_str());
        let (peak, kept, rendered) = measured(template, vec![("text".into(), text)]);
        let limit = environment.limits().bytes + SMALL;
        assert!(peak <= limit, "{source} on {kind} text held {peak} bytes at a time: {rendered:.80?}");
        // Of which the thread would keep some for the next rendering.
        assert!(kept <= (4 << 20) + SMALL, "{source} on {kind} text left {kept} bytes: {rendered:.80?}");
    }
    data_is_counted(&environment);
    what_is_asked_of_a_template_is_bounded(&environment);
}

/// A template that sets long texts is looked through within the bytes of a rendering.
fn what_is_asked_of_a_template_is_bounded(environment: &Environment) {
    let sets: String = (0..60).map(|number| format!("{{% set a{number} = 'x' * 12000000 %}}")).collect();
    let template = environment.compile(&format!("{{{{ 1 / n|int }}}}{sets}")).unwrap();
    let held = thread::spawn(move || {
        let before = ALLOCATOR.current_usage();
        ALLOCATOR.reset_peak_usage();
        assert!(!template.surely_fails(&[]));
        ALLOCATOR.peak_usage().saturating_sub(before)
    });
    let (held, limit) = (held.join().unwrap(), environment.limits().bytes + SMALL);
    assert!(held <= limit, "{held} bytes were held at a time");
}

/// What is made of long data counts too. A list may be twice as long as it must be while it grows.
fn data_is_counted(environment: &Environment) {
    let list = || Json::from(serde_json::Value::from(vec![0; 700_000]));
    let lists = || Json::from(serde_json::Value::from(vec![serde_json::json!([0]); 250_000]));
    let text = || Json::from("é".repeat(690_000).as_str());
    for call in [
        "p | list",
        "p | sort",
        "p | join",
        "p | pprint",
        "p | tojson",
        "p[1:] + p",
        "p | map('string') | list",
        "p | batch(2) | list",
        "p ~ p ~ p",
        "p | urlize",
        "p.split('é')",
        "p.replace('é', 'abcdefghijklmn')",
        "'x' * 20000000",
        "('x' * 11000000) | upper",
        "('x,' * 5000000).split(',')",
    ] {
        for data in [list(), lists(), text()] {
            let template = environment.compile(&format!("{{{{ ({call}) | length }}}}")).unwrap();
            let (peak, _, rendered) = measured(template, vec![("p".into(), data)]);
            let limit = 2 * environment.limits().bytes + SMALL;
            assert!(peak <= limit, "{call} held {peak} bytes at a time: {rendered:.80?}");
        }
    }
}
