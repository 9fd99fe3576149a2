//! Parentheses: groups, lookaround, conditionals, comments and flags.

use crate::python::{
    exception::PyResult,
    re::parser::{Element, Parser},
};

impl Parser {
    /// Reads behind `(`; None if that is a comment or sets flags.
    pub(super) fn parenthesis(&mut self) -> PyResult<Option<Element>> {
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

    /// A reference to a group: `r` back to its text, `g` a call of its pattern.
    pub(super) fn reference(&mut self, name: String, at: usize, kind: char) -> Element {
        self.references.push((name, at));
        Element::new(self.cased(format!("\u{f8ff}{kind}")))
    }

    /// Reads up to the closing parenthesis.
    fn around(&mut self, opening: &str) -> PyResult<Element> {
        let text = self.scoped(|parser| {
            let text = parser.alternatives()?;
            parser.expect(")")?;
            Ok(text)
        })?;
        let looks = opening.starts_with("(?") && opening.ends_with(['=', '!']);
        Ok(Element { text: format!("{opening}{text})"), repeated: false, looks })
    }

    /// `(…)` or `(?<name>…)`
    fn capture(&mut self, name: Option<&str>) -> PyResult<Element> {
        let group = self.open_group(name);
        if name.is_some() {
            self.expect(">")?;
        }
        let element = self.around("(")?;
        self.open.retain(|open| *open != group);
        Ok(element)
    }

    /// Numbers a group as Python does: one of a known name gets the number of that.
    fn open_group(&mut self, name: Option<&str>) -> usize {
        let known = name.and_then(|name| self.names.get(name).copied());
        let group = known.unwrap_or_else(|| {
            self.latest += 1;
            // A number that a name has is not given again.
            while self.names.values().any(|named| *named == self.latest) && self.latest <= self.groups.len() {
                self.latest += 1;
            }
            self.latest
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

    /// Whether a group, by its name or number, is open at this place.
    pub(super) fn is_open(&self, name: &str) -> bool {
        let group = name.parse::<usize>().ok().or_else(|| self.names.get(name).copied());
        group.is_some_and(|group| self.open.contains(&group))
    }

    /// Reads behind `(?P`.
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

    /// Reads behind `(?#`.
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

    /// Reads behind `(?(`.
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

    /// Reads behind `(?|`: each branch numbers its groups from the same number on.
    fn reset(&mut self) -> PyResult<Element> {
        let (start, mut most) = (self.latest, self.latest);
        let mut text = self.sequence()?;
        most = most.max(self.latest);
        while self.take("|") {
            self.latest = start;
            text.push('|');
            text += &self.sequence()?;
            most = most.max(self.latest);
        }
        self.latest = most;
        self.expect(")")?;
        Ok(Element::new(format!("(?:{text})")))
    }

    /// Reads flags: `(?i)` or `(?i:…)`.
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

    /// A group's name, or its number if `numeric`, which may be 0 if `zero`.
    pub(in crate::python::re) fn name(&mut self, numeric: bool, zero: bool) -> PyResult<String> {
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
}
