//! A pattern that is translated, and compiled when it first meets a text of some length.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    ops::Deref,
    rc::Rc,
};

use fancy_regex::{Captures, CompileError, Error, Regex, RegexBuilder};

use super::cost::Cost;
use crate::{
    eval::rendering::Rendering,
    python::exception::{Exception, ExceptionClass, PyResult},
};

/// A compiled form that is larger is not kept for later renderings.
const LARGEST_KEPT: usize = 1 << 20;
/// How many compiled forms of a pattern are kept for later renderings.
const FORMS_KEPT: usize = 3;

/// Where a match may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// At the start of the text.
    Start,
    /// At the start of the search or later.
    Anywhere,
    /// As `Anywhere`, but the match is not empty at the start of the search.
    Further,
}

/// A pattern in the syntax of `fancy_regex`.
pub(super) struct Pattern {
    /// As it stands in the template.
    pub(super) source: String,
    text: String,
    /// Whether a match may look at more of the text than it takes.
    pub(super) looks_around: bool,
    /// The groups of `fancy_regex` that make up each group of Python, which are counted from 1.
    pub(super) groups: Vec<Vec<usize>>,
    pub(super) names: HashMap<String, usize>,
    /// None if `fancy_regex` knows no such pattern.
    cost: Option<Cost>,
    forms: RefCell<Vec<Rc<Form>>>,
}

/// A compiled pattern for an anchor and a bound on backtracks.
pub(super) struct Form {
    regex: Regex,
    anchor: Anchor,
    limit: usize,
    /// Bytes that it takes, and those that its searches have added.
    bytes: usize,
    search_bytes: Cell<usize>,
    /// Whether it counts against the rendering that has it.
    counted: Cell<bool>,
}

impl Deref for Form {
    type Target = Regex;

    fn deref(&self) -> &Regex {
        &self.regex
    }
}

impl Form {
    fn total_bytes(&self) -> usize {
        self.bytes.saturating_add(self.search_bytes.get())
    }
}

impl Pattern {
    pub(super) fn new(
        source: String,
        text: String,
        looks_around: bool,
        groups: Vec<Vec<usize>>,
        names: HashMap<String, usize>,
    ) -> Self {
        let cost = Cost::of(&text);
        Self { source, text, looks_around, groups, names, cost, forms: RefCell::default() }
    }

    /// The pattern compiled for a text. What that takes counts against the rendering's bytes, once. Backtracking can cost as
    /// much as the text is long at each step: long texts get fewer steps.
    pub(super) fn form(&self, rendering: &Rendering, text: &str, anchor: Anchor) -> PyResult<Rc<Form>> {
        let Some(cost) = &self.cost else { return Err(self.refusal()) };
        let size = text.len().next_power_of_two();
        let limit = (10_000 + 200_000_000 / (size + 1)).min(1_000_000);
        let known = {
            let forms = self.forms.borrow();
            forms.iter().find(|form| (form.anchor, form.limit) == (anchor, limit)).map(Rc::clone)
        };
        let form = match known {
            Some(form) => {
                if !form.counted.get() {
                    rendering.keep_pattern(form.total_bytes(), 0)?;
                    form.counted.set(true);
                }
                form
            }
            None => {
                rendering.keep_pattern(cost.compiled(anchor), cost.compiling(anchor))?;
                rendering.work(cost.compiled(anchor) / 4096)?;
                let form = Rc::new(self.compiled(rendering, cost, anchor, limit)?);
                self.forms.borrow_mut().push(Rc::clone(&form));
                form
            }
        };
        let added = cost.searching(text.len(), anchor).saturating_sub(form.search_bytes.get());
        rendering.keep_pattern(added, 0)?;
        form.search_bytes.set(form.search_bytes.get() + added);
        Ok(form)
    }

    fn compiled(&self, rendering: &Rendering, cost: &Cost, anchor: Anchor, limit: usize) -> PyResult<Form> {
        let text = match anchor {
            Anchor::Start => format!(r"\A(?:{})", self.text),
            Anchor::Anywhere => self.text.clone(),
            Anchor::Further => format!(r"(?:{})(?!\G)", self.text),
        };
        let limits = cost.limits(anchor);
        let regex = RegexBuilder::new(&text)
            .backtrack_limit(limit)
            .delegate_size_limit(limits.automaton)
            .delegate_dfa_size_limit(limits.cache)
            .max_prog_size(limits.instructions)
            .build()
            .map_err(|error| match is_too_large(&error) {
                true => rendering.too_many_patterns(),
                false => refused(&error),
            })?;
        let bytes = cost.compiled(anchor);
        Ok(Form { regex, anchor, limit, bytes, search_bytes: Cell::new(0), counted: Cell::new(true) })
    }

    /// The error for a pattern that `fancy_regex` can't read.
    fn refusal(&self) -> Exception {
        match Regex::new(&self.text) {
            Err(error) => refused(&error),
            Ok(_) => Exception::new(ExceptionClass::Other, "the pattern is not supported"),
        }
    }

    /// Steps for searching a text of `length` bytes.
    pub(super) fn steps(&self, length: usize) -> usize {
        self.cost.map_or(1, |cost| cost.steps(length))
    }

    /// The bytes that count against the rendering that has it.
    pub(super) fn counted_bytes(&self) -> usize {
        let forms = self.forms.borrow();
        forms.iter().filter(|form| form.counted.get()).fold(0, |sum, form| sum.saturating_add(form.total_bytes()))
    }

    /// Makes it ready for a later rendering. Returns the bytes that it takes.
    pub(super) fn shrink(&self) -> usize {
        let mut forms = self.forms.borrow_mut();
        // The latest are at the end.
        forms.reverse();
        forms.retain(|form| form.total_bytes() <= LARGEST_KEPT);
        forms.truncate(FORMS_KEPT);
        forms.reverse();
        forms.iter().for_each(|form| form.counted.set(false));
        let names: usize = self.names.keys().map(|name| name.len() + 64).sum();
        let own = 512 + self.source.len() + self.text.len() + self.groups.len() * 64 + names;
        forms.iter().fold(own, |sum, form| sum.saturating_add(form.total_bytes()))
    }

    /// The text of a group of Python, 0 for the whole match.
    pub(super) fn group<'t>(&self, found: &Captures<'t, str>, group: usize) -> Option<&'t str> {
        let parts = match group.checked_sub(1) {
            None => return found.get(0).map(|whole| whole.as_str()),
            Some(at) => self.groups.get(at)?,
        };
        parts.iter().rev().find_map(|part| found.get(*part)).map(|part| part.as_str())
    }
}

fn refused(error: &Error) -> Exception {
    Exception::new(ExceptionClass::Other, error.to_string())
}

/// Whether a limit was reached that was set for it.
fn is_too_large(error: &Error) -> bool {
    let Error::CompileError(error) = error else { return false };
    match &**error {
        CompileError::InnerError(error) => error.size_limit().is_some(),
        CompileError::PatternTooComplex => true,
        _ => false,
    }
}
