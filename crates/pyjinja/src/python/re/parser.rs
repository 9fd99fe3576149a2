//! Reads the syntax of Python's `regex`, with its errors, and writes that of `fancy_regex`.

mod escapes;
mod fuzzy;
mod groups;
mod sets;

use std::collections::HashMap;

pub(super) use self::escapes::{escaped_character, octal};
use crate::python::{
    exception::{PyResult, other_error},
    re::{parser::escapes::push_escaped, pattern::Pattern},
};

/// The flags that hold at a place of the pattern.
#[derive(Clone, Copy, Default)]
struct Flags {
    ascii: bool,
    ignore_case: bool,
    multi_line: bool,
    dot_all: bool,
    verbose: bool,
}

/// A part of a pattern, in the syntax of `fancy_regex`.
struct Element {
    text: String,
    repeated: bool,
    /// Whether it only looks around, and takes nothing.
    looks: bool,
}

impl Element {
    fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), repeated: false, looks: false }
    }
}

/// A member of a set, or an escape.
enum Atom {
    Character(char),
    /// A class of characters, as it stands in a set.
    Class(String),
    /// As it stands outside of sets only.
    Other(String),
}

/// Reads a pattern or a template from its start.
pub(super) struct Parser {
    text: Vec<char>,
    pub(super) at: usize,
    flags: Flags,
    /// The groups of `fancy_regex` that make up each group of Python.
    groups: Vec<Vec<usize>>,
    names: HashMap<String, usize>,
    /// The groups of Python that are open at this place.
    open: Vec<usize>,
    /// The number of the latest group of Python.
    latest: usize,
    /// How many groups of `fancy_regex` were written.
    written: usize,
    /// References to groups, with their positions; they are checked and written once all groups are known.
    references: Vec<(String, usize)>,
    /// How many parentheses are open at this place.
    depth: usize,
}

impl Parser {
    pub(super) fn new(text: &str) -> Self {
        Self {
            text: text.chars().collect(),
            at: 0,
            flags: Flags::default(),
            groups: Vec::new(),
            names: HashMap::new(),
            open: Vec::new(),
            latest: 0,
            written: 0,
            references: Vec::new(),
            depth: 0,
        }
    }

    /// Reads the whole pattern.
    pub(super) fn pattern(mut self) -> PyResult<Pattern> {
        let text = self.alternatives()?;
        if self.at < self.text.len() {
            return self.error("unbalanced parenthesis", self.at);
        }
        let text = self.resolved(&text)?;
        let looks_around = ["(?=", "(?!", "(?<=", "(?<!", "(?>", "\\k", "\\1"].iter().any(|part| text.contains(part));
        let source = self.text.iter().collect();
        Ok(Pattern::new(source, text, looks_around, self.groups, self.names))
    }

    /// Puts the references in the places that private characters hold for them.
    fn resolved(&self, text: &str) -> PyResult<String> {
        let mut out = String::with_capacity(text.len());
        let mut parts = text.split('\u{f8ff}');
        out.push_str(parts.next().unwrap_or_default());
        for (part, (name, at)) in parts.zip(&self.references) {
            let kind = part.chars().next().unwrap_or('r');
            let group = match name.parse::<usize>() {
                Ok(group) if group <= self.groups.len() => group,
                Ok(_) => return self.error("invalid group reference", *at),
                Err(_) => match self.names.get(name) {
                    Some(group) => *group,
                    None if kind == 'g' => return self.error("invalid group reference", *at),
                    None => return self.error("unknown group", *at),
                },
            };
            let written = group.checked_sub(1).and_then(|at| self.groups.get(at));
            match (kind, written) {
                ('c', Some(parts)) => out += &parts.first().copied().unwrap_or(0).to_string(),
                ('c', None) => out.push('0'),
                ('g', Some(parts)) => out += &format!(r"(?:\g<{}>)", parts.first().copied().unwrap_or(0)),
                ('g', None) => out += r"(?:\g<0>)",
                (_, Some(parts)) => {
                    let parts: Vec<String> = parts.iter().rev().map(|part| format!(r"\{part}")).collect();
                    out += &format!("(?:{})", parts.join("|"));
                }
                (_, None) => out += "(?!)",
            }
            out.push_str(part.get(kind.len_utf8()..).unwrap_or_default());
        }
        Ok(out)
    }

    /// The error that `regex` raises at this position.
    pub(super) fn error<T>(&self, message: &str, at: usize) -> PyResult<T> {
        let mut message = format!("{message} at position {at}");
        if self.text.contains(&'\n') {
            let before = self.text.get(..at.min(self.text.len())).unwrap_or_default();
            let line = before.iter().filter(|c| **c == '\n').count() + 1;
            let start = before.iter().rposition(|c| *c == '\n');
            let column = start.map_or(at + 1, |start| at - start);
            message += &format!(" (line {line}, column {column})");
        }
        other_error(message)
    }

    /// The next character, which stays.
    pub(super) fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    /// Skips white space and comments if the flag `x` is set.
    fn skip(&mut self) {
        while self.flags.verbose {
            match self.peek() {
                Some(c) if c.is_whitespace() => self.at += 1,
                Some('#') => {
                    let rest = self.text.get(self.at..).unwrap_or_default();
                    self.at += rest.iter().position(|c| *c == '\n').unwrap_or(rest.len());
                }
                _ => return,
            }
        }
    }

    /// The next character, behind white space that does not count.
    pub(super) fn get(&mut self) -> Option<char> {
        self.skip();
        self.get_any()
    }

    /// The next character, white space too.
    pub(super) fn get_any(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    /// Takes `wanted` if it comes next.
    fn take(&mut self, wanted: &str) -> bool {
        let before = self.at;
        for c in wanted.chars() {
            if self.get() != Some(c) {
                self.at = before;
                return false;
            }
        }
        true
    }

    /// Takes `wanted`, or raises.
    pub(super) fn expect(&mut self, wanted: &str) -> PyResult<()> {
        if self.take(wanted) {
            return Ok(());
        }
        self.skip();
        self.error(&format!("missing {wanted}"), self.at)
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(c) = self.peek().filter(|c| wanted(*c)) {
            taken.push(c);
            self.at += 1;
        }
        taken
    }

    /// `a|b|…`, up to a closing parenthesis or the end.
    fn alternatives(&mut self) -> PyResult<String> {
        self.depth += 1;
        if self.depth > 100 {
            return other_error("maximum recursion depth exceeded");
        }
        let mut text = self.sequence()?;
        while self.take("|") {
            text.push('|');
            text += &self.sequence()?;
        }
        self.depth -= 1;
        Ok(text)
    }

    /// One alternative.
    fn sequence(&mut self) -> PyResult<String> {
        // None marks a place where no quantifier may stand.
        let mut elements: Vec<Option<Element>> = vec![None];
        loop {
            let before = self.at;
            let Some(c) = self.get() else { break };
            let element = match c {
                ')' | '|' => {
                    self.at = before;
                    break;
                }
                '\\' => Some(self.escape()?),
                '(' => match self.parenthesis()? {
                    Some(element) => Some(element),
                    None => continue,
                },
                '.' => Some(Element::new(if self.flags.dot_all { "(?s:.)" } else { r"[^\n]" })),
                '[' => Some(self.set()?),
                '^' => Some(Element::new(if self.flags.multi_line { "(?m:^)" } else { r"(?:\A)" })),
                '$' => Some(Element::new(if self.flags.multi_line { "(?m:$)" } else { r"(?=\n?\z)" })),
                '?' | '*' | '+' | '{' => match self.quantifier(c)? {
                    Some(counts) => {
                        let element = self.repeated(&mut elements, counts, before)?;
                        elements.push(Some(element));
                        elements.push(None);
                        continue;
                    }
                    None => {
                        if c == '{' {
                            self.refuse_fuzzy(before, matches!(elements.last(), Some(Some(_))))?;
                        }
                        Some(self.literal(c))
                    }
                },
                c => Some(self.literal(c)),
            };
            elements.push(element);
        }
        Ok(elements.into_iter().flatten().map(|element| element.text).collect())
    }

    fn literal(&self, c: char) -> Element {
        let mut text = String::new();
        push_escaped(&mut text, c);
        Element::new(self.cased(text))
    }

    /// `text`, with the flag `i` if it is set.
    fn cased(&self, text: String) -> String {
        if self.flags.ignore_case { format!("(?i:{text})") } else { text }
    }

    /// The least and the most repeats; None if `{` begins no quantifier.
    fn quantifier(&mut self, c: char) -> PyResult<Option<(u64, Option<u64>)>> {
        match c {
            '?' => return Ok(Some((0, Some(1)))),
            '*' => return Ok(Some((0, None))),
            '+' => return Ok(Some((1, None))),
            _ => {}
        }
        const UNLIMITED: u64 = (1 << 32) - 1;
        let before = self.at;
        let least = self.take_while(|c| c.is_ascii_digit());
        let number = |digits: &str| digits.parse::<u64>().unwrap_or(if digits.is_empty() { 0 } else { u64::MAX });
        let (least, most) = if self.take(",") {
            let most = self.take_while(|c| c.is_ascii_digit());
            (number(&least), (!most.is_empty()).then(|| number(&most)))
        } else if least.is_empty() {
            self.at = before;
            return Ok(None);
        } else {
            (number(&least), Some(number(&least)))
        };
        if !self.take("}") {
            self.at = before;
            return Ok(None);
        }
        if least >= UNLIMITED || most.is_some_and(|most| most >= UNLIMITED) {
            return self.error("repeat count too big", before);
        }
        if most.is_some_and(|most| least > most) {
            return self.error("min repeat greater than max repeat", before);
        }
        Ok(Some((least, most)))
    }

    /// The last element, repeated.
    fn repeated(
        &mut self,
        elements: &mut Vec<Option<Element>>,
        counts: (u64, Option<u64>),
        before: usize,
    ) -> PyResult<Element> {
        let element = match elements.pop().flatten() {
            Some(element) if !element.repeated => element,
            Some(_) => return self.error("multiple repeat", before),
            None if elements.is_empty() => return self.error("nothing to repeat", before),
            None => return self.error("multiple repeat", before),
        };
        let after = self.at;
        let suffix = match self.get() {
            Some('?') => "?",
            Some('+') => "+",
            _ => {
                self.at = after;
                ""
            }
        };
        let (least, most) = counts;
        if (least, most) == (1, Some(1)) || element.text.is_empty() {
            return Ok(element);
        }
        let times = match most {
            Some(most) => format!("{{{least},{most}}}"),
            None => format!("{{{least},}}"),
        };
        let text = if element.looks {
            if least > 0 { element.text } else { format!("(?:{}|)", element.text) }
        } else if suffix == "+" {
            format!("(?>(?:{}){times})", element.text)
        } else {
            format!("(?:{}){times}{suffix}", element.text)
        };
        Ok(Element { text, repeated: true, looks: false })
    }

    /// Reads with flags that hold no longer than that.
    fn scoped<T>(&mut self, inside: impl FnOnce(&mut Self) -> PyResult<T>) -> PyResult<T> {
        let flags = self.flags;
        let result = inside(self);
        self.flags = flags;
        result
    }
}
