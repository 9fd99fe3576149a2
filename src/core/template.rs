//! Template text in, text or a failure in OnCall's two kinds out.
//!
//! A template is compiled once and rendered often. In [`Mode::Json`] the data must have been escaped first
//! (`EventData::context` does), so that `{"text": "{{ alert_payload.text }}"}` stays valid JSON.
//!
//! ```text
//! source ─► dialect ─► minijinja's parser ─► program ─► eval ─► text
//!    └────► syntax: Jinja2's words for             (values, operators, methods, filters, tests: Python's)
//!           what can't be parsed
//! ```
//!
//! minijinja reads the template: its lexer, parser and syntax tree, through its `machinery` (pinned to the version:
//! that interface is not stable). The tree is evaluated here, over values of Python, because people's templates depend
//! on what those do: they change lists in place, tell a tuple from a list and 1 from True and 1.0, count beyond 64 bits,
//! call methods of `str`, `dict` and `datetime`, and fail with Python's words. Exchanging the instructions of
//! minijinja's VM one for one was the other way: its values then have to be wrapped at each step, an undefined value has
//! no name to fail with, macros have no `varargs`, and what one block of text adds to memory is not counted.
//!
//! Every rendering is bounded in steps, bytes and depth (`run`); there is no thread to abandon.

mod arguments;
mod bytes;
mod containers;
mod dialect;
mod dumps;
mod eval;
mod filters;
mod format;
mod globals;
mod jinja_tests;
mod numbers;
mod objects;
mod oncall;
mod operators;
mod pattern;
mod print;
mod program;
mod raise;
mod random;
mod run;
mod sorting;
mod syntax;

mod text;
mod time;
mod value;

use std::sync::Arc;

use self::{program::Program, raise::Raise, run::Run};
use super::json::Json;

/// Bound on template text and on what it renders to, in characters.
pub const LIMIT: usize = 50_000;

/// How a field's text is made part of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `url` and `triggerTemplate`: the data as it is.
    Raw,
    /// `headers` and `data`: strings escaped as inside a JSON string literal.
    Json,
}

/// Whether a template can't work at all, or does not fit the data it met. OnCall refuses to store the first kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Syntax, an unknown filter or test, forbidden access, a division by zero.
    Error,
    /// Undefined, of the wrong type, not serializable.
    Warning,
}

/// A template's failure; shown as OnCall records it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Template {}: {message}", match fault { Fault::Error => "Error", Fault::Warning => "Warning" })]
pub struct TemplateError {
    /// Which of the two kinds.
    pub fault: Fault,
    /// What is wrong, without the kind.
    pub message: String,
    /// The template's line, from 1, where it is known.
    pub line: Option<usize>,
}

impl From<Raise> for TemplateError {
    fn from(raise: Raise) -> Self {
        Self { fault: raise.fault(), message: raise.message, line: raise.line }
    }
}

/// A compiled template.
#[derive(Clone)]
pub struct Template {
    program: Arc<Program>,
    mode: Mode,
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Template").field("mode", &self.mode).finish_non_exhaustive()
    }
}

impl Template {
    /// Compiles `source`.
    ///
    /// # Errors
    /// The text is longer than [`LIMIT`] or is not a template.
    pub fn compile(source: &str, mode: Mode) -> Result<Self, TemplateError> {
        if source.len() > LIMIT {
            let length = source.chars().count();
            if length > LIMIT {
                let message = format!("Template exceeds length limit ({length} > {LIMIT})");
                return Err(TemplateError { fault: Fault::Error, message, line: None });
            }
        }
        Ok(Self { program: Arc::new(program::compile(source)?), mode })
    }

    /// What the data must have been prepared for.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Renders with the variables of `context`. A result over [`LIMIT`] is cut and ends in `..`.
    ///
    /// # Errors
    /// The template can't work with this data, or at all, or meets a bound.
    pub fn render(&self, context: &[(Arc<str>, Json)]) -> Result<String, TemplateError> {
        let mut text = eval::render(&self.program, &Run::new(context))?;
        if let Some((end, _)) = text.char_indices().nth(LIMIT) {
            text.truncate(end);
            text.push_str("..");
        }
        Ok(text)
    }
}

/// What a template renders to without data, or how it fails.
#[cfg(test)]
fn told(source: &str) -> String {
    let rendered = Template::compile(source, Mode::Raw).and_then(|template| template.render(&[]));
    rendered.unwrap_or_else(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(source: &str) -> Result<String, TemplateError> {
        let labels = Json::object([("items", Json::from("shadowed")), ("job", Json::from("node"))]);
        Template::compile(source, Mode::Raw)?
            .render(&[(Arc::from("payload"), Json::Null), (Arc::from("labels"), labels)])
    }

    fn failure(source: &str) -> (Fault, String, Option<usize>) {
        match render(source) {
            Err(error) => (error.fault, error.message, error.line),
            Ok(text) => panic!("{source:.60} rendered to {text:.60}"),
        }
    }

    #[test]
    fn failures_name_their_kind_message_and_line() {
        let cases = [
            ("one\n{{ 1 | nope }}", Fault::Error, "No filter named 'nope'.", 2),
            ("one\ntwo {{", Fault::Error, "unexpected 'end of template'", 2),
            (
                "\n\n{% if x %}\n",
                Fault::Error,
                "Unexpected end of template. Jinja was looking for the following tags: 'elif' or 'else' or 'endif'. The innermost block that needs to be closed is 'if'.",
                3,
            ),
            ("\r\n{{ nope.deeper }}", Fault::Warning, "'nope' is undefined", 2),
            (
                "{% for i in labels %}\n{{ i + 1 }}{% endfor %}",
                Fault::Warning,
                "can only concatenate str (not \"int\") to str",
                2,
            ),
            ("{% macro m(x) %}\n{{ 1 / x }}{% endmacro %}\n\n{{ m(0) }}", Fault::Error, "division by zero", 2),
        ];
        for (source, fault, message, line) in cases {
            assert_eq!(failure(source), (fault, message.to_owned(), Some(line)), "{source}");
        }
        assert_eq!(
            render("{{ nope | tojson }}").map_err(|error| error.to_string()),
            Err("Template Warning: Object of type Undefined is not JSON serializable".to_owned())
        );
    }

    #[test]
    fn keys_that_are_named_as_methods_are_reached_by_brackets() {
        assert_eq!(render("{{ labels['items'] }} {{ labels.items() | list | length }}").as_deref(), Ok("shadowed 2"));
    }

    #[test]
    fn changes_to_the_data_are_seen_by_this_rendering_only() {
        let template = Template::compile("{{ l.append(1) }}{{ l }}", Mode::Raw).unwrap();
        let context = [(Arc::from("l"), Json::Array(Arc::from([])))];
        for _ in 0..2 {
            assert_eq!(template.render(&context).as_deref(), Ok("None[1]"));
        }
    }

    #[test]
    fn text_beyond_the_limit_is_refused_and_results_beyond_it_are_cut() {
        let long = "é".repeat(LIMIT);
        assert_eq!(render(&long).as_deref(), Ok(long.as_str()));
        assert_eq!(failure(&format!("{long}é")).1, "Template exceeds length limit (50001 > 50000)");
        assert_eq!(failure(&"x".repeat(1 << 20)).1, "Template exceeds length limit (1048576 > 50000)");
        let cut = render(&format!("{{% for i in '12' %}}{}{{% endfor %}}", &long[..LIMIT + 2])).unwrap();
        assert_eq!(cut, format!("{}..", "é".repeat(LIMIT)));
    }

    /// `source` in loops of ten, one in another.
    fn looped(depth: usize, source: &str) -> String {
        format!("{}{source}{}", "{% for i in '0123456789' %}".repeat(depth), "{% endfor %}".repeat(depth))
    }

    #[test]
    fn what_would_take_for_ever_or_all_memory_is_stopped() {
        let steps = "Template was stopped: it takes more than 1000000 steps: loop over less, or over shorter text";
        let bytes = "Template was stopped: it makes more than 48 MiB of text and lists: make less";
        let nesting = "Template was stopped: its expressions, blocks and macros nest deeper than 250 levels";
        let doubled =
            |what: &str| format!("{{% set ns = namespace(x={what}) %}}{}", looped(2, "{% set ns.x = ns.x + ns.x %}"));
        let cases = [
            (looped(9, ""), steps),
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
            ("{{ ('a' * 49999) | regex_replace('a', 'x' * 49999) }}".to_owned(), bytes),
            ("{{ ('a' * 49999) | regex_replace('(?=a*b?)', 'x') }}".to_owned(), steps),
            ("{{ ('a' * 49999) | regex_search('(a+)+$b') }}".to_owned(), "regex timed out"),
            ("{{ lipsum(n=10 ** 9) }}".to_owned(), steps),
            ("{% set s = 'ab' * 24999 %}{% for c in s %}{% set x = s.find('c') %}{% endfor %}".to_owned(), steps),
            ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}".to_owned(), nesting),
        ];
        for (source, expected) in cases {
            assert_eq!(failure(&source).1, expected, "{source:.100}");
        }
    }

    #[test]
    fn what_is_nested_without_end_is_refused_and_never_overflows_the_stack() {
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
            assert_eq!(failure(&source).1, expected, "{source:.60}");
        }
        let nested = |what: &str, then: &str| {
            format!(
                "{{% set ns = namespace(x=[], y=[]) %}}{}{then}",
                looped(4, &format!("{{% set ns.x = {what} %}}{{% set ns.y = {what} %}}"))
            )
        };
        for what in [
            "[ns.x]",
            "(ns.x,)",
            "{1: ns.x}",
            "[ns.x] | map('list')",
            "[ns.x] | reverse",
            "namespace(x=ns.x)",
            "cycler(ns.x)",
        ] {
            // Taking it apart again is a recursion of its own.
            assert_eq!(render(&nested(what, "done")).as_deref(), Ok("done"), "{what}");
        }
        let too_deep = "maximum recursion depth exceeded while getting the repr of an object";
        assert_eq!(failure(&nested("[ns.x]", "{{ ns.x }}")).1, too_deep);
        assert_eq!(render(&nested("[ns.x]", "{{ ns.x == ns.y }}")).as_deref(), Ok("False"));
        assert_eq!(render("{% set l = [1] %}{% set _ = l.append(l) %}{{ l }}").as_deref(), Ok("[1, [...]]"));
    }
}
