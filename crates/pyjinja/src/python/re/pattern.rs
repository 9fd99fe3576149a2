//! A pattern that is translated, and compiled when it first meets a text of some length.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use fancy_regex::{Captures, Regex, RegexBuilder};

use crate::python::exception::{Exception, ExceptionClass, PyResult};

/// Where a match may begin.
#[derive(Clone, Copy, PartialEq, Eq)]
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
    text: String,
    /// Whether a match may look at more of the text than it takes.
    pub(super) looks_around: bool,
    /// The groups of `fancy_regex` that make up each group of Python, which are counted from 1.
    pub(super) groups: Vec<Vec<usize>>,
    pub(super) names: HashMap<String, usize>,
    /// The latest compiled forms, with their anchors and backtrack limits.
    compiled: RefCell<Vec<(Anchor, usize, Rc<Regex>)>>,
}

impl Pattern {
    pub(super) fn new(
        text: String,
        looks_around: bool,
        groups: Vec<Vec<usize>>,
        names: HashMap<String, usize>,
    ) -> Self {
        Self { text, looks_around, groups, names, compiled: RefCell::default() }
    }

    /// The compiled pattern. Backtracking can cost as much as the text is long at each step: long texts get fewer steps.
    pub(super) fn regex(&self, text: &str, anchor: Anchor) -> PyResult<Rc<Regex>> {
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

    /// The text of a group of Python, 0 for the whole match.
    pub(super) fn group<'t>(&self, found: &Captures<'t, str>, group: usize) -> Option<&'t str> {
        let parts = match group.checked_sub(1) {
            None => return found.get(0).map(|whole| whole.as_str()),
            Some(at) => self.groups.get(at)?,
        };
        parts.iter().rev().find_map(|part| found.get(*part)).map(|part| part.as_str())
    }
}
