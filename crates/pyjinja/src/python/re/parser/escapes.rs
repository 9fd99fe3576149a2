//! Escapes: characters, classes, positions and references behind a backslash.

use crate::python::{
    exception::PyResult,
    re::parser::{Atom, Element, Parser, sets::known_property},
};

impl Parser {
    /// Reads an escape outside of sets.
    pub(super) fn escape(&mut self) -> PyResult<Element> {
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
            Atom::Character(c) => self.literal(c),
            Atom::Class(class) => Element::new(self.cased(format!("[{class}]"))),
            Atom::Other(text) => Element::new(text),
        })
    }

    /// A reference by number, or a character by its octal digits.
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

    /// Reads behind a backslash, other than a reference.
    pub(super) fn escaped(&mut self, in_set: bool) -> PyResult<Atom> {
        let Some(c) = self.get_any() else {
            return self.error("bad escape (end of pattern)", self.at);
        };
        Ok(match c {
            'x' | 'u' | 'U' => Atom::Character(self.hexadecimal(c, false)?),
            'L' if !in_set => {
                self.expect("<")?;
                self.name(true, false)?;
                self.expect(">")?;
                return self.error("undefined named list", self.at);
            }
            'p' | 'P' => self.property(c == 'p')?,
            'N' => Atom::Character('N'),
            'R' if !in_set => Atom::Other(r"(?>\r\n|[\n\x0b\x0c\r\x{85}\x{2028}\x{2029}])".to_owned()),
            'X' if !in_set => Atom::Other(r"(?>\r\n|(?s:.)(?:\p{M}|\x{200d}(?s:.))*)".to_owned()),
            'G' if !in_set => Atom::Other(r"(?:\G)".to_owned()),
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
                Atom::Character(code_point(u32::from_str_radix(&digits, 8).unwrap_or(0)))
            }
            '8' | '9' => return self.error(&format!("bad escape \\{c}"), self.at),
            c => Atom::Character(c),
        })
    }

    /// The meaning of an ASCII letter behind a backslash; None if it has none.
    fn alphabetic(&self, c: char, in_set: bool) -> Option<Atom> {
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
                return Some(Atom::Other(position.to_owned()));
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
            _ => return escaped_character(c).map(Atom::Character),
        };
        Some(Atom::Class(class.to_owned()))
    }

    /// Reads behind `\p`, or `\P` if not `positive`.
    fn property(&mut self, positive: bool) -> PyResult<Atom> {
        let before = self.at;
        let letter = if positive { 'p' } else { 'P' };
        match self.get() {
            Some('{') => {
                let negated = self.take("^");
                let name = self.take_while(|c| c != '}' && c != '\n');
                if self.take("}") {
                    let known = known_property(&name);
                    return match known {
                        Some(class) if positive != negated => Ok(Atom::Class(class)),
                        Some(class) => Ok(Atom::Class(format!("[^{class}]"))),
                        None => self.error("unknown property", self.at),
                    };
                }
            }
            Some(c) if "CLMNPSZ".contains(c) => return Ok(Atom::Class(format!(r"\{letter}{c}"))),
            _ => {}
        }
        self.at = before;
        Ok(Atom::Character(letter))
    }

    /// The character that `\x`, `\u` or `\U` gives by its digits.
    pub(in crate::python::re) fn hexadecimal(&mut self, kind: char, replacement: bool) -> PyResult<char> {
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
}

/// The character of an escape such as `\n`.
pub(in crate::python::re) fn escaped_character(c: char) -> Option<char> {
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

/// The character of this number; a text of Rust can't hold half of a surrogate pair.
fn code_point(value: u32) -> char {
    char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The character of up to three octal digits.
pub(in crate::python::re) fn octal(digits: &str) -> char {
    code_point(u32::from_str_radix(digits, 8).unwrap_or(0) & 0x1ff)
}

/// Writes a character so that it means itself.
pub(super) fn push_escaped(out: &mut String, c: char) {
    if c.is_alphanumeric() {
        out.push(c);
    } else {
        out.push_str(&format!("\\x{{{:x}}}", u32::from(c)));
    }
}
