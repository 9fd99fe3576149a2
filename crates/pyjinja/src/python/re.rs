//! Python's `regex` module over `fancy_regex`: its syntax is read here, with its errors, and written in the other's.

use std::sync::Arc;

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use fancy_regex::{Captures, Regex, RegexBuilder};

use crate::{
    eval::rendering::Rendering,
    python::{
        arguments::Args,
        exception::{Exception, ExceptionClass, PyResult, other_error, type_error},
        value::Value,
    },
};

/// Where a match has to begin.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Anywhere,
    /// Not empty where the search begins.
    Further,
}

/// How many compiled patterns are kept.
const CACHED: usize = 32;

/// How long a pattern may be.
const LONGEST: usize = 5_000;

thread_local! {
    static CACHE: RefCell<Vec<(String, Rc<Pattern>)>> = const { RefCell::new(Vec::new()) };
}

/// `bool(regex.match(pattern, text))`, or of `regex.search`
pub(crate) fn matches(rendering: &Rendering, pattern: &str, text: &Value, anchor: Anchor) -> PyResult<bool> {
    let pattern = compile(rendering, pattern)?;
    let Value::Str(text) = text else { return type_error("expected string or buffer") };
    rendering.work(text.len() / 64 + 1)?;
    let regex = pattern.regex(text, anchor)?;
    let found = regex.is_match(&**text).map_err(timed_out)?;
    rendering.clock()?;
    Ok(found)
}

/// `regex.sub(pattern, replacement, text)`
pub(crate) fn replace(rendering: &Rendering, pattern: &str, replacement: &Value, text: &Value) -> PyResult {
    let pattern = compile(rendering, pattern)?;
    let template = match replacement {
        Value::Str(template) => Some(Template::parse(template, &pattern)?),
        _ => None,
    };
    let Value::Str(text) = text else { return type_error("expected string or buffer") };
    let (mut out, mut copied) = (String::new(), 0);
    let (mut last_empty, mut changed) = (false, false);
    loop {
        rendering.clock()?;
        let rest = text.len().saturating_sub(copied);
        rendering.work(1 + rest / if pattern.looks_around { 64 } else { 4096 })?;
        // Behind an empty match, the next one begins no earlier and is not empty right there.
        let regex = pattern.regex(text, if last_empty { Anchor::Further } else { Anchor::Anywhere })?;
        let Some(found) = regex.captures_from_pos(&**text, copied).map_err(timed_out)? else { break };
        let Some(whole) = found.get(0) else { break };
        let before = out.len();
        out.push_str(text.get(copied..whole.start()).unwrap_or_default());
        match &template {
            Some(template) => template.expand(&pattern, &found, &mut out)?,
            None => called(rendering, replacement, &mut out)?,
        }
        rendering.allocate(out.len() - before)?;
        copied = whole.end();
        last_empty = whole.start() == whole.end();
        changed = true;
    }
    rendering.allocate(text.len())?;
    if !changed {
        return Ok(Value::text(Arc::clone(&text.text)));
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    Ok(Value::from(out))
}

/// A replacement that is no text is called with the match, which templates can do nothing with.
fn called(rendering: &Rendering, replacement: &Value, out: &mut String) -> PyResult<()> {
    let given = match replacement {
        Value::Undefined(undefined) => return Err(undefined.raise()),
        Value::Object(object) if object.callable() => {
            object.call(rendering, Args { positional: vec![Value::None], named: Vec::new() })?
        }
        _ => {
            return other_error("<built-in function __import__> returned a result with an exception set");
        }
    };
    match given {
        Value::Str(text) => out.push_str(&text),
        Value::None => {}
        other => {
            return type_error(format!("expected str instance, {} found", other.type_name()));
        }
    }
    Ok(())
}

fn timed_out(_: fancy_regex::Error) -> Exception {
    Exception::new(ExceptionClass::Other, "regex timed out")
}

fn compile(rendering: &Rendering, pattern: &str) -> PyResult<Rc<Pattern>> {
    let known =
        CACHE.with_borrow(|cache| cache.iter().find(|(key, _)| key == pattern).map(|(_, known)| Rc::clone(known)));
    if let Some(known) = known {
        return Ok(known);
    }
    if pattern.len() > LONGEST {
        return other_error(format!("pattern is longer than {LONGEST} characters"));
    }
    rendering.allocate(pattern.len().saturating_mul(64))?;
    rendering.work(pattern.len() / 8 + 16)?;
    rendering.clock()?;
    let compiled = Rc::new(Parser::new(pattern).pattern()?);
    CACHE.with_borrow_mut(|cache| {
        if cache.len() >= CACHED {
            cache.remove(0);
        }
        cache.push((pattern.to_owned(), Rc::clone(&compiled)));
    });
    Ok(compiled)
}

/// A pattern in the other's syntax.
struct Pattern {
    text: String,
    /// Whether a match may look at more of the text than it takes.
    looks_around: bool,
    /// Which groups of the other's make up each group of Python's, from 1.
    groups: Vec<Vec<usize>>,
    names: HashMap<String, usize>,
    /// The last ones that were compiled, with their anchors and limits.
    compiled: RefCell<Vec<(Anchor, usize, Rc<Regex>)>>,
}

impl Pattern {
    /// Each step back can cost as much as the text is long: long texts get fewer of them.
    fn regex(&self, text: &str, anchor: Anchor) -> PyResult<Rc<Regex>> {
        let size = text.len().next_power_of_two();
        let limit = (10_000 + 200_000_000 / (size + 1)).min(1_000_000);
        let fits = |known: &&(Anchor, usize, Rc<Regex>)| (known.0, known.1) == (anchor, limit);
        if let Some((_, _, regex)) = self.compiled.borrow().iter().find(fits) {
            return Ok(Rc::clone(regex));
        }
        let text = match anchor {
            Anchor::Start => format!(r"\A(?:{})", self.text),
            Anchor::Anywhere => self.text.clone(),
            Anchor::Further => format!(r"(?:{})(?!\G)", self.text),
        };
        let regex = RegexBuilder::new(&text)
            .backtrack_limit(limit)
            .delegate_size_limit(4 << 20)
            .delegate_dfa_size_limit(4 << 20)
            .build()
            .map_err(|error| Exception::new(ExceptionClass::Other, error.to_string()))?;
        let regex = Rc::new(regex);
        let mut compiled = self.compiled.borrow_mut();
        compiled.truncate(2);
        compiled.insert(0, (anchor, limit, Rc::clone(&regex)));
        Ok(regex)
    }

    fn group<'t>(&self, found: &Captures<'t, str>, group: usize) -> Option<&'t str> {
        let parts = match group.checked_sub(1) {
            None => return found.get(0).map(|whole| whole.as_str()),
            Some(at) => self.groups.get(at)?,
        };
        parts.iter().rev().find_map(|part| found.get(*part)).map(|part| part.as_str())
    }
}

// ------------------------------------------------------------------------------------------------- templates

enum Piece {
    Text(String),
    Group(usize),
}

/// What a match is replaced with.
struct Template(Vec<Piece>);

impl Template {
    fn parse(text: &str, pattern: &Pattern) -> PyResult<Self> {
        let mut source = Parser::new(text);
        let mut pieces = Vec::new();
        let mut plain = String::new();
        while let Some(c) = source.get() {
            if c != '\\' {
                plain.push(c);
                continue;
            }
            match source.replacement(pattern)? {
                Piece::Text(text) => plain += &text,
                group => {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    pieces.push(group);
                }
            }
        }
        pieces.push(Piece::Text(plain));
        Ok(Self(pieces))
    }

    fn expand(&self, pattern: &Pattern, found: &Captures<str>, out: &mut String) -> PyResult<()> {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Group(group) if *group > pattern.groups.len() => {
                    return other_error("invalid group reference");
                }
                Piece::Group(group) => out.push_str(pattern.group(found, *group).unwrap_or_default()),
            }
        }
        Ok(())
    }
}

fn escaped_character(c: char) -> Option<char> {
    Some(match c {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        _ => return None,
    })
}

fn code_point(value: u32) -> char {
    char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn octal(digits: &str) -> char {
    code_point(u32::from_str_radix(digits, 8).unwrap_or(0) & 0x1ff)
}

// --------------------------------------------------------------------------------------------------- parsing

#[derive(Clone, Copy, Default)]
struct Flags {
    ascii: bool,
    ignore_case: bool,
    multi_line: bool,
    dot_all: bool,
    verbose: bool,
}

/// A part of a pattern, in the other's syntax.
struct Element {
    text: String,
    repeated: bool,
    /// Looks around, and takes nothing.
    looks: bool,
}

impl Element {
    fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), repeated: false, looks: false }
    }
}

/// Something in a set, or an escape: one character, or more than one.
enum Item {
    Character(char),
    /// As it stands in a set.
    Class(String),
    /// What can stand outside only.
    Other(String),
}

struct Parser {
    text: Vec<char>,
    at: usize,
    flags: Flags,
    groups: Vec<Vec<usize>>,
    names: HashMap<String, usize>,
    open: Vec<usize>,
    /// The next group of Python's, counted from 0.
    next: usize,
    /// How many groups were written.
    written: usize,
    /// References that are checked and written once all groups are known.
    references: Vec<(String, usize)>,
    depth: usize,
}

type Group = usize;

impl Parser {
    fn new(text: &str) -> Self {
        Self {
            text: text.chars().collect(),
            at: 0,
            flags: Flags::default(),
            groups: Vec::new(),
            names: HashMap::new(),
            open: Vec::new(),
            next: 0,
            written: 0,
            references: Vec::new(),
            depth: 0,
        }
    }

    fn pattern(mut self) -> PyResult<Pattern> {
        let text = self.alternatives()?;
        if self.at < self.text.len() {
            return self.error("unbalanced parenthesis", self.at);
        }
        let text = self.resolved(&text)?;
        let looks_around = ["(?=", "(?!", "(?<=", "(?<!", "(?>", "\\k", "\\1"].iter().any(|part| text.contains(part));
        Ok(Pattern { text, looks_around, groups: self.groups, names: self.names, compiled: RefCell::default() })
    }

    /// Writes the references, which stand as private characters so far.
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

    fn error<T>(&self, message: &str, at: usize) -> PyResult<T> {
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

    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

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

    fn get(&mut self) -> Option<char> {
        self.skip();
        self.get_any()
    }

    /// The next character, white space too.
    fn get_any(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

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

    fn expect(&mut self, wanted: &str) -> PyResult<()> {
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

    fn sequence(&mut self) -> PyResult<String> {
        // None marks what can't be repeated, and is why.
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
                    None => Some(self.literal(c)),
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

    fn cased(&self, text: String) -> String {
        if self.flags.ignore_case { format!("(?i:{text})") } else { text }
    }

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

    // ------------------------------------------------------------------------------------------- parentheses

    fn parenthesis(&mut self) -> PyResult<Option<Element>> {
        let before = self.at;
        match self.get_any() {
            Some('?') => {}
            Some('*') => {
                let start = self.at;
                let word = self.take_while(|c| c != ')' && c != '>');
                if word.chars().next().is_some_and(char::is_alphabetic) {
                    if !["FAIL", "F"].contains(&word.as_str()) {
                        return self.error("unknown verb", start);
                    }
                    self.expect(")")?;
                    return Ok(Some(Element::new("(?!)")));
                }
                self.at = before;
                return self.capture(None).map(Some);
            }
            _ => {
                self.at = before;
                return self.capture(None).map(Some);
            }
        }
        let start = self.at;
        match self.get_any() {
            Some('<') => {
                let behind = self.at;
                match self.get() {
                    Some('=') => return self.around("(?<=").map(Some),
                    Some('!') => return self.around("(?<!").map(Some),
                    _ => self.at = behind,
                }
                let name = self.name(false, false)?;
                self.capture(Some(&name)).map(Some)
            }
            Some('=') => self.around("(?=").map(Some),
            Some('!') => self.around("(?!").map(Some),
            Some('>') => self.around("(?>").map(Some),
            Some('P') => self.extension().map(Some),
            Some('#') => self.comment(),
            Some('(') => self.conditional().map(Some),
            Some('|') => self.reset().map(Some),
            Some(c) if c == 'R' || c.is_ascii_digit() => {
                let mut group = if c == 'R' { "0".to_owned() } else { c.to_string() };
                if c != 'R' {
                    group += &self.take_while(|c| c.is_ascii_digit());
                }
                self.expect(")")?;
                Ok(Some(self.reference(group, start, 'g')))
            }
            Some('&') => {
                let name = self.name(false, false)?;
                self.expect(")")?;
                Ok(Some(self.reference(name, start, 'g')))
            }
            _ => {
                self.at = start;
                self.flagged()
            }
        }
    }

    fn reference(&mut self, name: String, at: usize, kind: char) -> Element {
        self.references.push((name, at));
        Element::new(self.cased(format!("\u{f8ff}{kind}")))
    }

    fn scoped<T>(&mut self, inside: impl FnOnce(&mut Self) -> PyResult<T>) -> PyResult<T> {
        let flags = self.flags;
        let result = inside(self);
        self.flags = flags;
        result
    }

    fn around(&mut self, opening: &str) -> PyResult<Element> {
        let text = self.scoped(|parser| {
            let text = parser.alternatives()?;
            parser.expect(")")?;
            Ok(text)
        })?;
        let looks = opening.starts_with("(?") && opening.ends_with(['=', '!']);
        Ok(Element { text: format!("{opening}{text})"), repeated: false, looks })
    }

    fn capture(&mut self, name: Option<&str>) -> PyResult<Element> {
        let group = self.open_group(name);
        if name.is_some() {
            self.expect(">")?;
        }
        let element = self.around("(")?;
        self.open.retain(|open| *open != group);
        Ok(element)
    }

    fn open_group(&mut self, name: Option<&str>) -> Group {
        let known = name.and_then(|name| self.names.get(name).copied());
        let group = known.unwrap_or_else(|| {
            self.next += 1;
            // A number that a name has is not given again.
            while self.names.values().any(|named| *named == self.next) && self.next <= self.groups.len() {
                self.next += 1;
            }
            self.next
        });
        if let Some(name) = name {
            self.names.insert(name.to_owned(), group);
        }
        self.written += 1;
        if self.groups.len() < group {
            self.groups.resize(group, Vec::new());
        }
        if let Some(parts) = group.checked_sub(1).and_then(|at| self.groups.get_mut(at)) {
            parts.push(self.written);
        }
        self.open.push(group);
        group
    }

    fn is_open(&self, name: &str) -> bool {
        let group = name.parse::<usize>().ok().or_else(|| self.names.get(name).copied());
        group.is_some_and(|group| self.open.contains(&group))
    }

    fn extension(&mut self) -> PyResult<Element> {
        let before = self.at;
        match self.get() {
            Some('<') => {
                let name = self.name(false, false)?;
                self.capture(Some(&name))
            }
            Some('=') => {
                let name = self.name(true, false)?;
                self.expect(")")?;
                if self.is_open(&name) {
                    return self.error("cannot refer to an open group", before);
                }
                Ok(self.reference(name, before, 'r'))
            }
            Some('>' | '&') => {
                let name = self.name(false, false)?;
                self.expect(")")?;
                Ok(self.reference(name, before, 'g'))
            }
            _ => self.error("unknown extension", before),
        }
    }

    fn comment(&mut self) -> PyResult<Option<Element>> {
        loop {
            let before = self.at;
            match self.get_any() {
                Some('\\') => drop(self.get_any()),
                Some(')') => return Ok(None),
                Some(_) => {}
                None => {
                    self.at = before;
                    self.expect(")")?;
                }
            }
        }
    }

    fn conditional(&mut self) -> PyResult<Element> {
        let before = self.at;
        let condition = if self.get() == Some('?') {
            let kind = match (self.get(), self.peek()) {
                (Some('='), _) => "?=",
                (Some('!'), _) => "?!",
                (Some('<'), Some('=')) => "?<=",
                (Some('<'), Some('!')) => "?<!",
                _ => {
                    self.at = before;
                    return self.error("expected lookaround conditional", before);
                }
            };
            self.at += usize::from(kind.len() == 3);
            self.around(&format!("({kind}"))?.text
        } else {
            self.at = before;
            let name = self.name(true, false)?;
            self.expect(")")?;
            self.references.push((name, before));
            "(\u{f8ff}c)".to_owned()
        };
        self.scoped(|parser| {
            let yes = parser.sequence()?;
            let no = if parser.take("|") { parser.sequence()? } else { String::new() };
            parser.expect(")")?;
            Ok(Element::new(format!("(?:(?{condition}{yes}|{no}))")))
        })
    }

    fn reset(&mut self) -> PyResult<Element> {
        let (start, mut most) = (self.next, self.next);
        let mut text = self.sequence()?;
        most = most.max(self.next);
        while self.take("|") {
            self.next = start;
            text.push('|');
            text += &self.sequence()?;
            most = most.max(self.next);
        }
        self.next = most;
        self.expect(")")?;
        Ok(Element::new(format!("(?:{text})")))
    }

    fn flagged(&mut self) -> PyResult<Option<Element>> {
        let on = self.flag_letters();
        let off = if self.take("-") {
            let off = self.flag_letters();
            if off.is_empty() {
                return self.error("bad inline flags: no flags after '-'", self.at);
            }
            off
        } else {
            String::new()
        };
        if off.contains(['b', 'e', 'p']) {
            return self.error("bad inline flags: cannot turn off global flag", self.at);
        }
        if on.chars().any(|c| off.contains(c)) {
            return self.error("bad inline flags: flag turned on and off", self.at);
        }
        let flags = self.flags;
        let mut changed = flags;
        for (letters, state) in [(&on, true), (&off, false)] {
            for letter in letters.chars() {
                match letter {
                    'a' => changed.ascii = state,
                    'u' => changed.ascii = changed.ascii && !state,
                    'i' => changed.ignore_case = state,
                    'm' => changed.multi_line = state,
                    's' => changed.dot_all = state,
                    'x' => changed.verbose = state,
                    _ => {}
                }
            }
        }
        if self.take(":") {
            return self.scoped(|parser| {
                parser.flags = changed;
                parser.around("(?:").map(Some)
            });
        }
        if self.take(")") {
            self.flags = changed;
            return Ok(None);
        }
        self.error("unknown extension", self.at)
    }

    fn flag_letters(&mut self) -> String {
        let mut letters = String::new();
        loop {
            let before = self.at;
            match self.get() {
                Some(c) if "abefiLmprsuwx".contains(c) => letters.push(c),
                Some('V') if matches!(self.peek(), Some('0' | '1')) => self.at += 1,
                _ => {
                    self.at = before;
                    return letters;
                }
            }
        }
    }

    fn name(&mut self, numeric: bool, zero: bool) -> PyResult<String> {
        let name = self.take_while(|c| c != ')' && c != '>');
        if name.is_empty() {
            return self.error("missing group name", self.at);
        }
        let good = if name.chars().all(|c| c.is_ascii_digit()) {
            numeric && (zero || !name.trim_start_matches('0').is_empty())
        } else {
            let mut chars = name.chars();
            chars.next().is_some_and(|c| c.is_alphabetic() || c == '_')
                && chars.all(|c| c.is_alphanumeric() || c == '_')
        };
        if good { Ok(name) } else { self.error("bad character in group name", self.at) }
    }

    // ----------------------------------------------------------------------------------------------- escapes

    fn escape(&mut self) -> PyResult<Element> {
        if let Some(c @ '1'..='9') = self.peek() {
            self.at += 1;
            return self.numbered(c);
        }
        if self.peek() == Some('g') {
            let before = (self.at, self.references.len());
            self.at += 1;
            if self.take("<") {
                let start = self.at;
                if let Ok(name) = self.name(true, false)
                    && self.take(">")
                    && !self.is_open(&name)
                {
                    return Ok(self.reference(name, start, 'r'));
                }
            }
            self.at = before.0 + 1;
            return Ok(self.literal('g'));
        }
        Ok(match self.escaped(false)? {
            Item::Character(c) => self.literal(c),
            Item::Class(class) => Element::new(self.cased(format!("[{class}]"))),
            Item::Other(text) => Element::new(text),
        })
    }

    fn numbered(&mut self, first: char) -> PyResult<Element> {
        let mut digits = first.to_string();
        if let Some(second) = self.peek().filter(char::is_ascii_digit) {
            self.at += 1;
            digits.push(second);
            let is_octal = |text: &str| text.chars().all(|c| ('0'..='7').contains(&c));
            if let Some(third) = self.peek().filter(|c| ('0'..='7').contains(c) && is_octal(&digits)) {
                self.at += 1;
                digits.push(third);
                return Ok(self.literal(octal(&digits)));
            }
        }
        if self.is_open(&digits) {
            return self.error("cannot refer to an open group", self.at);
        }
        Ok(self.reference(digits, self.at, 'r'))
    }

    fn escaped(&mut self, in_set: bool) -> PyResult<Item> {
        let Some(c) = self.get_any() else {
            return self.error("bad escape (end of pattern)", self.at);
        };
        Ok(match c {
            'x' | 'u' | 'U' => Item::Character(self.hexadecimal(c, false)?),
            'L' if !in_set => {
                self.expect("<")?;
                self.name(true, false)?;
                self.expect(">")?;
                return self.error("undefined named list", self.at);
            }
            'p' | 'P' => self.property(c == 'p')?,
            'N' => Item::Character('N'),
            'R' if !in_set => Item::Other(r"(?>\r\n|[\n\x0b\x0c\r\x{85}\x{2028}\x{2029}])".to_owned()),
            'X' if !in_set => Item::Other(r"(?>\r\n|(?s:.)(?:\p{M}|\x{200d}(?s:.))*)".to_owned()),
            'G' if !in_set => Item::Other(r"(?:\G)".to_owned()),
            c if c.is_ascii_alphabetic() => match self.alphabetic(c, in_set) {
                Some(item) => item,
                None => return self.error(&format!("bad escape \\{c}"), self.at),
            },
            '0'..='7' => {
                let mut digits = c.to_string();
                while let Some(digit) = self.peek().filter(|c| digits.len() < 3 && ('0'..='7').contains(c)) {
                    self.at += 1;
                    digits.push(digit);
                }
                Item::Character(code_point(u32::from_str_radix(&digits, 8).unwrap_or(0)))
            }
            '8' | '9' => return self.error(&format!("bad escape \\{c}"), self.at),
            c => Item::Character(c),
        })
    }

    fn alphabetic(&self, c: char, in_set: bool) -> Option<Item> {
        let ascii = self.flags.ascii;
        if !in_set {
            let position = match c {
                'A' => r"(?:\A)",
                'Z' | 'z' => r"(?:\z)",
                'b' if ascii => r"(?:(?<=[0-9A-Za-z_])(?![0-9A-Za-z_])|(?<![0-9A-Za-z_])(?=[0-9A-Za-z_]))",
                'B' if ascii => r"(?:(?<=[0-9A-Za-z_])(?=[0-9A-Za-z_])|(?<![0-9A-Za-z_])(?![0-9A-Za-z_]))",
                'b' => r"(?:\b)",
                'B' => r"(?:\B)",
                'm' => r"(?:\b(?=\w))",
                'M' => r"(?:\b(?<=\w))",
                'K' => r"\K",
                _ => "",
            };
            if !position.is_empty() {
                return Some(Item::Other(position.to_owned()));
            }
        }
        let class = match c {
            'd' if ascii => "0-9",
            'D' if ascii => "[^0-9]",
            's' if ascii => r"\t-\r ",
            'S' if ascii => r"[^\t-\r ]",
            'w' if ascii => "0-9A-Za-z_",
            'W' if ascii => "[^0-9A-Za-z_]",
            'd' => r"\d",
            'D' => r"\D",
            's' => r"\s",
            'S' => r"\S",
            'w' => r"\w",
            'W' => r"\W",
            'h' => r"\t\p{Zs}",
            _ => return escaped_character(c).map(Item::Character),
        };
        Some(Item::Class(class.to_owned()))
    }

    fn hexadecimal(&mut self, kind: char, replacement: bool) -> PyResult<char> {
        let count = match kind {
            'x' => 2,
            'u' => 4,
            _ => 8,
        };
        let before = self.at;
        let mut digits = String::new();
        while digits.len() < count {
            let digit = if replacement { self.get_any() } else { self.get() };
            match digit.filter(char::is_ascii_hexdigit) {
                Some(digit) => digits.push(digit),
                None => {
                    let at = if replacement { self.at } else { before };
                    return self.error(&format!("incomplete escape \\{kind}{digits}"), at);
                }
            }
        }
        match u32::from_str_radix(&digits, 16) {
            Ok(value) if value < 0x11_0000 => Ok(code_point(value)),
            _ => self.error(&format!("bad hex escape \\{kind}{digits}"), before),
        }
    }

    fn property(&mut self, positive: bool) -> PyResult<Item> {
        let before = self.at;
        let letter = if positive { 'p' } else { 'P' };
        match self.get() {
            Some('{') => {
                let negated = self.take("^");
                let name = self.take_while(|c| c != '}' && c != '\n');
                if self.take("}") {
                    let known = known_property(&name);
                    return match known {
                        Some(class) if positive != negated => Ok(Item::Class(class)),
                        Some(class) => Ok(Item::Class(format!("[^{class}]"))),
                        None => self.error("unknown property", self.at),
                    };
                }
            }
            Some(c) if "CLMNPSZ".contains(c) => return Ok(Item::Class(format!(r"\{letter}{c}"))),
            _ => {}
        }
        self.at = before;
        Ok(Item::Character(letter))
    }

    // -------------------------------------------------------------------------------------------------- sets

    fn set(&mut self) -> PyResult<Element> {
        let flags = self.flags;
        self.flags.verbose = false;
        let negated = self.take("^");
        let mut class = self.member()?;
        while self.peek() != Some(']') {
            class += &self.member()?;
        }
        self.at += 1;
        self.flags = flags;
        Ok(Element::new(self.cased(format!("[{}{class}]", if negated { "^" } else { "" }))))
    }

    fn member(&mut self) -> PyResult<String> {
        let start = match self.item()? {
            Item::Class(class) | Item::Other(class) => return Ok(class),
            Item::Character(start) => start,
        };
        let mut class = String::new();
        push_escaped(&mut class, start);
        let hyphen = self.at;
        if !self.take("-") {
            return Ok(class);
        }
        if self.peek() == Some(']') {
            self.at = hyphen + 1;
            return Ok(class + r"\-");
        }
        match self.item()? {
            Item::Character(end) if start > end => return self.error("bad character range", self.at),
            Item::Character(end) => {
                class.push('-');
                push_escaped(&mut class, end);
            }
            Item::Class(end) | Item::Other(end) => {
                class += r"\-";
                class += &end;
            }
        }
        Ok(class)
    }

    fn item(&mut self) -> PyResult<Item> {
        if self.take("\\") {
            return self.escaped(true);
        }
        let before = self.at;
        if self.take("[:") {
            let negated = self.take("^");
            let name = self.take_while(|c| c.is_ascii_alphanumeric() || " -_=:".contains(c) && c != ':');
            if self.take(":]") {
                return match posix_class(&name).map(str::to_owned).or_else(|| known_property(&name)) {
                    Some(class) if negated => Ok(Item::Class(format!("[^{class}]"))),
                    Some(class) => Ok(Item::Class(class)),
                    None => self.error("unknown property", self.at),
                };
            }
            self.at = before;
        }
        match self.get_any() {
            Some(c) => Ok(Item::Character(c)),
            None => self.error("unterminated character set", self.at),
        }
    }

    // ------------------------------------------------------------------------------------------ replacements

    fn replacement(&mut self, pattern: &Pattern) -> PyResult<Piece> {
        let Some(c) = self.get_any() else {
            return self.error("bad escape (end of pattern)", self.at);
        };
        if c.is_ascii_alphabetic() {
            if let Some(c) = escaped_character(c) {
                return Ok(Piece::Text(c.to_string()));
            }
            return match c {
                'x' | 'u' | 'U' => self.hexadecimal(c, true).map(|c| Piece::Text(c.to_string())),
                'g' => self.replacement_group(pattern).map(Piece::Group),
                _ => self.error(&format!("bad escape \\{c}"), self.at),
            };
        }
        let octal_digit = |c: &char| ('0'..='7').contains(c);
        let mut digits = c.to_string();
        match c {
            '0' => {
                while let Some(digit) = self.peek().filter(|c| digits.len() < 3 && octal_digit(c)) {
                    self.at += 1;
                    digits.push(digit);
                }
                Ok(Piece::Text(octal(&digits).to_string()))
            }
            '1'..='9' => {
                if let Some(second) = self.peek().filter(char::is_ascii_digit) {
                    self.at += 1;
                    digits.push(second);
                    let all = digits.chars().all(|c| octal_digit(&c));
                    if let Some(third) = self.peek().filter(|c| all && octal_digit(c)) {
                        self.at += 1;
                        digits.push(third);
                        return Ok(Piece::Text(octal(&digits).to_string()));
                    }
                }
                Ok(Piece::Group(digits.parse().unwrap_or(usize::MAX)))
            }
            '\\' => Ok(Piece::Text("\\".to_owned())),
            c => Ok(Piece::Text(format!("\\{c}"))),
        }
    }

    fn replacement_group(&mut self, pattern: &Pattern) -> PyResult<Group> {
        self.expect("<")?;
        let name = self.name(true, true)?;
        self.expect(">")?;
        match name.parse::<usize>() {
            Ok(group) if group <= pattern.groups.len() => Ok(group),
            Err(_) if !name.chars().all(|c| c.is_ascii_digit()) => {
                pattern.names.get(&name).copied().map_or_else(|| other_error("unknown group"), Ok)
            }
            _ => self.error("invalid group reference", self.at),
        }
    }
}

fn push_escaped(out: &mut String, c: char) {
    if c.is_alphanumeric() {
        out.push(c);
    } else {
        out.push_str(&format!("\\x{{{:x}}}", u32::from(c)));
    }
}

fn posix_class(name: &str) -> Option<&'static str> {
    Some(match name {
        "alnum" => r"\p{Alphabetic}\p{Nd}",
        "alpha" => r"\p{Alphabetic}",
        "ascii" => r"\x00-\x7f",
        "blank" => r"\t\p{Zs}",
        "cntrl" => r"\p{Cc}",
        "digit" => r"\p{Nd}",
        "graph" => r"[^\s\p{Cc}\p{Cs}\p{Cn}]",
        "lower" => r"\p{Lowercase}",
        "print" => r"[[^\s\p{Cc}\p{Cs}\p{Cn}]\p{Zs}]",
        "punct" => r"\p{P}$+<=>\^`|~",
        "space" => r"\s",
        "upper" => r"\p{Uppercase}",
        "word" => r"\w",
        "xdigit" => "0-9A-Fa-f",
        _ => return None,
    })
}

/// A property by its name, if the other knows it too.
fn known_property(name: &str) -> Option<String> {
    let plain = name.strip_prefix("Is").or_else(|| name.strip_prefix("is")).unwrap_or(name);
    let plain = plain.replace(':', "=");
    if plain.is_empty() || !plain.chars().all(|c| c.is_ascii_alphanumeric() || " _-=".contains(c)) {
        return None;
    }
    if let Some(class) = posix_class(&plain.to_ascii_lowercase()) {
        return Some(class.to_owned());
    }
    let class = format!(r"\p{{{plain}}}");
    Regex::new(&class).is_ok().then_some(class)
}

#[cfg(test)]
mod tests {
    use crate::told;

    #[test]
    fn patterns_match_and_fail_as_pythons() {
        let cases = [
            (r#"{{ 'foobar' | regex_replace('(?P<x>o+)(b)', '<\\g<x>|\\2|\\g<0>>') }}"#, "f<oo|b|oob>ar"),
            ("{{ 'foobar' | regex_replace('o*', '-') }}", "-f--b-a-r-"),
            (r#"{{ 'a.b' | regex_replace('.', 'x') }} {{ 'a.b' | regex_replace('\\.', 'x') }}"#, "xxx axb"),
            ("{{ 'Foo' | regex_search('(?i)fOO') }} {{ 'Foo' | regex_search('fOO') }}", "True False"),
            (
                "{{ 'bar' | regex_match('^Foo') }} {{ 'Foobar' | regex_match('Foo') }} {{ 'xFoo' | regex_match('Foo') }}",
                "False True False",
            ),
            (r#"{{ 'a1٣' | regex_replace('\\d', '#') }} {{ 'é_ ß' | regex_replace('\\w', '#') }}"#, "a## ## #"),
            (r#"{{ 'aa bb' | regex_replace('(\\w)\\1', '<\\1>') }}"#, "<a> <b>"),
            (r#"{{ 'price: 5' | regex_search('(?<=: )\\d') }} {{ 'ab' | regex_search('a(?!b)') }}"#, "True False"),
            ("{{ 'x' | regex_search('(') }}", "Template Error: missing ) at position 1"),
            ("{{ 'x' | regex_search('[') }}", "Template Error: unterminated character set at position 1"),
            ("{{ 'x' | regex_search('*') }}", "Template Error: nothing to repeat at position 0"),
            ("{{ 'x' | regex_search('a**') }}", "Template Error: multiple repeat at position 2"),
            ("{{ 'x' | regex_search('(?P<n>x)(?P=m)') }}", "Template Error: unknown group at position 11"),
            (r#"{{ 'x' | regex_search('\\1') }}"#, "Template Error: invalid group reference at position 2"),
            (r#"{{ 'x' | regex_replace('x', '\\1') }}"#, "Template Error: invalid group reference"),
            (r#"{{ 'x' | regex_replace('x', '\\g<no>') }}"#, "Template Error: unknown group"),
            ("{{ 'x' | regex_search('[b-a]') }}", "Template Error: bad character range at position 4"),
            ("{{ 'x' | regex_search('x{2,1}') }}", "Template Error: min repeat greater than max repeat at position 2"),
            (r#"{{ 'line1\nline2' | regex_replace('(?m)^', '> ') }}"#, "> line1\n> line2"),
            (r#"{{ 'a\nb' | regex_search('a.b') }} {{ 'a\nb' | regex_search('(?s)a.b') }}"#, "False True"),
            (
                "{{ 5 | regex_search('5') }} {{ 'x' | regex_search(5) }} {{ nope | regex_search('x') }}",
                "None None None",
            ),
            (r#"{{ 'aXbX' | regex_replace('X$', '') }} {{ 'aX\n' | regex_replace('X\\Z', '') }}"#, "aXb aX\n"),
            (r#"{{ 'a b' | regex_replace('(?x) a \\s b # all', 'y') }}"#, "y"),
            ("{{ 'aaa' | regex_replace('a{,2}', 'x') }}", "xxx"),
            (r#"{{ '(x)' | regex_replace('[()]', '') }} {{ 'a-b' | regex_replace('[a\\-]', '') }}"#, "x b"),
        ];
        for (source, expected) in cases {
            assert_eq!(told(source), expected, "{source}");
        }
    }
}
