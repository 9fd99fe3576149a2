//! The message that CPython's `json.loads` has for text that is no JSON, with the place.
//!
//! This goes through the text as `_json.c` of 3.12 does, quirks too, and builds nothing: the text was refused already,
//! and only the reason is asked.

/// How deep arrays and objects may stand in one another: jiter's bound.
const DEPTH: usize = 201;

/// Python's bound on the digits of an int as text.
const DIGITS: usize = 4300;

/// Why `text` is refused: the exception of Python's `json.loads`, where NaN and the infinities are refused as Django
/// REST framework does, or else the reasons of this crate, which are deep nesting and halves of surrogate pairs. None if
/// there is nothing to say against it.
pub(crate) fn explain(text: &str) -> Option<String> {
    let text: Vec<char> = text.chars().collect();
    let mut scanner = Scanner { text: &text, half: None };
    scanner.document().err().or_else(|| Some(scanner.error("Half of a surrogate pair at", scanner.half?)))
}

/// Indexes count characters.
struct Scanner<'a> {
    text: &'a [char],
    /// Where the first escape of half a surrogate pair starts. Python takes them, so what it refuses goes first.
    half: Option<usize>,
}

impl Scanner<'_> {
    fn peek(&self, at: usize) -> Option<char> {
        self.text.get(at).copied()
    }

    /// A `JSONDecodeError`.
    fn error(&self, message: &str, at: usize) -> String {
        let before = &self.text[..at.min(self.text.len())];
        let line = 1 + before.iter().filter(|c| **c == '\n').count();
        let column = before.iter().rev().take_while(|c| **c != '\n').count() + 1;
        format!("{message}: line {line} column {column} (char {at})")
    }

    fn past_space(&self, at: usize) -> usize {
        at + self.text[at..].iter().take_while(|c| matches!(c, ' ' | '\t' | '\n' | '\r')).count()
    }

    fn past_digits(&self, at: usize) -> usize {
        at + self.text[at..].iter().take_while(|c| c.is_ascii_digit()).count()
    }

    fn document(&mut self) -> Result<(), String> {
        if self.peek(0) == Some('\u{feff}') {
            return Err(self.error("Unexpected UTF-8 BOM (decode using utf-8-sig)", 0));
        }
        let end = self.value(self.past_space(0), 0)?;
        let end = self.past_space(end);
        if end < self.text.len() { Err(self.error("Extra data", end)) } else { Ok(()) }
    }

    /// Where the value that starts here ends; so do all that follow.
    fn value(&mut self, at: usize, depth: usize) -> Result<usize, String> {
        match self.peek(at) {
            Some('"') => return self.string(at),
            Some('{' | '[') if depth == DEPTH => return Err("nested too deeply".to_owned()),
            Some('{') => return self.object(at + 1, depth + 1),
            Some('[') => return self.array(at + 1, depth + 1),
            _ => {}
        }
        for word in ["null", "true", "false", "NaN", "Infinity", "-Infinity"] {
            let length = word.len();
            if self.text[at..].iter().take(length).copied().eq(word.chars()) {
                return if matches!(word, "null" | "true" | "false") {
                    Ok(at + length)
                } else {
                    Err(format!("Out of range float values are not JSON compliant: '{word}'"))
                };
            }
        }
        self.number(at)
    }

    fn number(&self, start: usize) -> Result<usize, String> {
        let first = if self.peek(start) == Some('-') { start + 1 } else { start };
        let whole = match self.peek(first) {
            Some('1'..='9') => self.past_digits(first),
            Some('0') => first + 1,
            _ => return Err(self.error("Expecting value", start)),
        };
        let mut end = whole;
        if self.peek(end) == Some('.') {
            let digits = self.past_digits(end + 1);
            if digits > end + 1 {
                end = digits;
            }
        }
        if let Some('e' | 'E') = self.peek(end) {
            let signed = end + 1 + usize::from(matches!(self.peek(end + 1), Some('+' | '-')));
            let digits = self.past_digits(signed);
            if digits > signed {
                end = digits;
            }
        }
        let digits = whole - first;
        if end == whole && digits > DIGITS {
            return Err(format!(
                "Exceeds the limit ({DIGITS} digits) for integer string conversion: value has {digits} digits; use \
                 sys.set_int_max_str_digits() to increase the limit"
            ));
        }
        Ok(end)
    }

    fn array(&mut self, start: usize, depth: usize) -> Result<usize, String> {
        let mut at = self.past_space(start);
        if self.peek(at) == Some(']') {
            return Ok(at + 1);
        }
        loop {
            let end = self.value(at, depth)?;
            match self.after_item(end, ']')? {
                Next::End(end) => return Ok(end),
                Next::Item(next) => at = next,
            }
        }
    }

    fn object(&mut self, start: usize, depth: usize) -> Result<usize, String> {
        let mut at = self.past_space(start);
        if self.peek(at) == Some('}') {
            return Ok(at + 1);
        }
        loop {
            if self.peek(at) != Some('"') {
                return Err(self.error("Expecting property name enclosed in double quotes", at));
            }
            let end = self.string(at)?;
            let colon = self.past_space(end);
            if self.peek(colon) != Some(':') {
                return Err(self.error("Expecting ':' delimiter", colon));
            }
            let end = self.value(self.past_space(colon + 1), depth)?;
            match self.after_item(end, '}')? {
                Next::End(end) => return Ok(end),
                Next::Item(next) => at = next,
            }
        }
    }

    fn after_item(&self, at: usize, close: char) -> Result<Next, String> {
        let at = self.past_space(at);
        match self.peek(at) {
            Some(c) if c == close => Ok(Next::End(at + 1)),
            Some(',') => Ok(Next::Item(self.past_space(at + 1))),
            _ => Err(self.error("Expecting ',' delimiter", at)),
        }
    }

    fn string(&mut self, start: usize) -> Result<usize, String> {
        let mut at = start + 1;
        loop {
            match (self.peek(at), self.peek(at + 1)) {
                (None, _) | (Some('\\'), None) => return Err(self.error("Unterminated string starting at", start)),
                (Some('"'), _) => return Ok(at + 1),
                (Some('\0'..='\x1f'), _) => return Err(self.error("Invalid control character at", at)),
                (Some('\\'), Some('"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't')) => at += 2,
                (Some('\\'), Some('u')) => at = self.unit(at)?,
                (Some('\\'), _) => return Err(self.error("Invalid \\escape", at)),
                _ => at += 1,
            }
        }
    }

    /// `at` is the backslash of a `\uXXXX`. Python looks at the second half of a pair only if one more character
    /// follows it.
    fn unit(&mut self, at: usize) -> Result<usize, String> {
        let invalid = |at: usize| self.error("Invalid \\uXXXX escape", at + 1);
        let end = at + 6;
        let unit = self.hex(at + 2).filter(|_| end < self.text.len()).ok_or_else(|| invalid(at))?;
        if (0xd800..0xdc00).contains(&unit) && end + 6 < self.text.len() && self.text[end..].starts_with(&['\\', 'u']) {
            let low = self.hex(end + 2).ok_or_else(|| invalid(end))?;
            if (0xdc00..0xe000).contains(&low) {
                return Ok(end + 6);
            }
        }
        if (0xd800..0xe000).contains(&unit) {
            self.half.get_or_insert(at);
        }
        Ok(end)
    }

    fn hex(&self, at: usize) -> Option<u32> {
        self.text.get(at..at + 4)?.iter().try_fold(0, |unit, c| Some(unit * 16 + c.to_digit(16)?))
    }
}

/// The place to go on at after an item.
enum Next {
    /// Behind what closes the container.
    End(usize),
    /// Where the next item starts.
    Item(usize),
}
