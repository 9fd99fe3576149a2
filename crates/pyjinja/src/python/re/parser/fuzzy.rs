//! Fuzzy matching: `(?:abc){e<=1}`, text that is like a pattern but for a number of errors. It is read to be refused: taken for
//! plain text it would never match, and nobody would learn why.

use super::Parser;
use crate::python::exception::{PyResult, value_error};

/// What limits the errors of a fuzzy constraint so far: the kinds of error, and whether by an equation.
#[derive(Default)]
struct Constraints {
    kinds: Vec<Option<char>>,
    equation: bool,
}

impl Parser {
    /// Refuses a fuzzy constraint behind a `{` that stands at `start`, as `regex` does where it is wrong, else in words of ours.
    /// If there is none, nothing is read. `follows` says whether something stands before it that it could be for.
    pub(super) fn refuse_fuzzy(&mut self, start: usize, follows: bool) -> PyResult<()> {
        let before = self.at;
        let mut constraints = Constraints::default();
        loop {
            if !self.fuzzy_item(&mut constraints)? {
                self.at = before;
                return Ok(());
            }
            if !self.take(",") {
                break;
            }
        }
        if self.take(":") {
            self.fuzzy_test()?;
        }
        if !self.take("}") {
            return self.error("expected }", self.at);
        }
        if !follows {
            return self.error("nothing for fuzzy constraint", start);
        }
        let constraint: String = self.text.get(start..self.at).unwrap_or_default().iter().collect();
        self.error(&format!("fuzzy matching ({}) is not supported", constraint.trim()), start)
    }

    /// `e`, `e<=1`, `1<=e<=3` or `2i+2d+1s<=4`. False if it is none of them.
    fn fuzzy_item(&mut self, constraints: &mut Constraints) -> PyResult<bool> {
        let before = self.at;
        if self.cost_constraint(constraints)? {
            return Ok(true);
        }
        self.at = before;
        self.cost_equation(constraints)
    }

    fn cost_constraint(&mut self, constraints: &mut Constraints) -> PyResult<bool> {
        let before = self.at;
        match self.get() {
            Some(kind) if kind.is_ascii_alphabetic() => {
                if !constraints.adds(Some(kind)) {
                    return Ok(false);
                }
                if let Some(inclusive) = self.cost_comparison() {
                    let at = self.at;
                    if self.cost_limit()? < i128::from(!inclusive) {
                        return self.error("bad fuzzy cost limit", at);
                    }
                }
                constraints.kinds.push(Some(kind));
                Ok(true)
            }
            Some(digit) if digit.is_ascii_digit() => {
                self.at = before;
                let least = self.cost_limit()?;
                let Some(least_inclusive) = self.cost_comparison() else { return Ok(false) };
                let kind = self.get();
                if !constraints.adds(kind) {
                    return Ok(false);
                }
                let Some(most_inclusive) = self.cost_comparison() else { return Ok(false) };
                let at = self.at;
                let most = self.cost_limit()? - i128::from(!most_inclusive);
                if least + i128::from(!least_inclusive) > most {
                    return self.error("bad fuzzy cost limit", at);
                }
                constraints.kinds.push(kind);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn cost_equation(&mut self, constraints: &mut Constraints) -> PyResult<bool> {
        if constraints.equation {
            return self.error("more than one cost equation", self.at);
        }
        let mut terms = Vec::new();
        loop {
            self.take_while(|c| c.is_ascii_digit());
            let kind = self.get();
            if !kind.is_none_or(|kind| "dis".contains(kind)) {
                return Ok(false);
            }
            if terms.contains(&kind) {
                return self.error("repeated fuzzy cost", self.at);
            }
            terms.push(kind);
            if !self.take("+") {
                break;
            }
        }
        let Some(inclusive) = self.cost_comparison() else { return Ok(false) };
        self.skip();
        let digits = self.take_while(|c| c.is_ascii_digit());
        if digits.is_empty() {
            return value_error("invalid literal for int() with base 10: ''");
        }
        if !inclusive && digits.trim_start_matches('0').is_empty() {
            return self.error("bad fuzzy cost limit", self.at);
        }
        constraints.equation = true;
        Ok(true)
    }

    /// `<=`, which is inclusive, or `<`.
    fn cost_comparison(&mut self) -> Option<bool> {
        if self.take("<=") {
            return Some(true);
        }
        self.take("<").then_some(false)
    }

    fn cost_limit(&mut self) -> PyResult<i128> {
        self.skip();
        let at = self.at;
        let digits = self.take_while(|c| c.is_ascii_digit());
        if digits.is_empty() {
            return self.error("bad fuzzy cost limit", at);
        }
        // None that is longer makes a difference here.
        Ok(digits.parse().unwrap_or(i128::MAX / 2))
    }

    /// The characters that may stand for an error: one, an escape or a set.
    fn fuzzy_test(&mut self) -> PyResult<()> {
        let at = self.at;
        match self.get() {
            Some('\\') => self.escape().map(drop),
            Some('[') => self.set().map(drop),
            None | Some('(' | ')' | '|' | '?' | '*' | '+' | '{' | '^' | '$' | '#') => {
                self.error("expected character set", at)
            }
            Some(_) => Ok(()),
        }
    }
}

impl Constraints {
    /// Whether `kind` is one of errors, deletions, insertions and substitutions, and not limited yet.
    fn adds(&self, kind: Option<char>) -> bool {
        kind.is_none_or(|kind| "deis".contains(kind)) && !self.kinds.contains(&kind)
    }
}
