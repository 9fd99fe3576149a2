//! Sets: `[…]`.

use fancy_regex::Regex;

use crate::python::{
    exception::PyResult,
    re::parser::{Atom, Element, Parser, escapes::push_escaped},
};

impl Parser {
    /// Reads behind `[`.
    pub(super) fn set(&mut self) -> PyResult<Element> {
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

    /// One member of a set: a range, a class or a character.
    fn member(&mut self) -> PyResult<String> {
        let start = match self.atom()? {
            Atom::Class(class) | Atom::Other(class) => return Ok(class),
            Atom::Character(start) => start,
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
        match self.atom()? {
            Atom::Character(end) if start > end => return self.error("bad character range", self.at),
            Atom::Character(end) => {
                class.push('-');
                push_escaped(&mut class, end);
            }
            Atom::Class(end) | Atom::Other(end) => {
                class += r"\-";
                class += &end;
            }
        }
        Ok(class)
    }

    /// One character or class of a set.
    fn atom(&mut self) -> PyResult<Atom> {
        if self.take("\\") {
            return self.escaped(true);
        }
        let before = self.at;
        if self.take("[:") {
            let negated = self.take("^");
            let name = self.take_while(|c| c.is_ascii_alphanumeric() || " -_=:".contains(c) && c != ':');
            if self.take(":]") {
                return match posix_class(&name).map(str::to_owned).or_else(|| known_property(&name)) {
                    Some(class) if negated => Ok(Atom::Class(format!("[^{class}]"))),
                    Some(class) => Ok(Atom::Class(class)),
                    None => self.error("unknown property", self.at),
                };
            }
            self.at = before;
        }
        match self.get_any() {
            Some(c) => Ok(Atom::Character(c)),
            None => self.error("unterminated character set", self.at),
        }
    }
}

/// The class of `[:name:]`.
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

/// The class of a property of Unicode; None if `fancy_regex` knows none of this name.
pub(super) fn known_property(name: &str) -> Option<String> {
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
