//! The template of `regex.sub`: the text that a match is replaced with.

use fancy_regex::Captures;

use crate::python::{
    exception::{PyResult, other_error},
    re::{
        parser::{Parser, escaped_character, octal},
        pattern::Pattern,
    },
};

/// A part of a template.
enum Piece {
    Text(String),
    /// The text of a group of the match.
    Group(usize),
}

/// The text that a match is replaced with.
pub(super) struct Template(Vec<Piece>);

impl Template {
    /// Reads a template for the groups of `pattern`.
    pub(super) fn parse(text: &str, pattern: &Pattern) -> PyResult<Self> {
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

    /// Writes the template with the groups of a match.
    pub(super) fn expand(&self, pattern: &Pattern, found: &Captures<str>, out: &mut String) -> PyResult<()> {
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

impl Parser {
    /// The escape behind a backslash of a template.
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

    fn replacement_group(&mut self, pattern: &Pattern) -> PyResult<usize> {
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
