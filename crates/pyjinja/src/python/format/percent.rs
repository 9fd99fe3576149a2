//! `format % args`: printf-style formatting.

use num_traits::{Signed, ToPrimitive};

use crate::{
    eval::rendering::Rendering,
    python::{
        bytes::Bytes,
        exception::{Exception, ExceptionClass, PyResult, other_error, type_error, value_error},
        format::{
            characters::Characters,
            digits::{character, float_digits, int_digits, radix_of},
        },
        markup::{escape, escape_value},
        numbers::{float, int},
        quote::{self, quote},
        repr,
        value::{Text, Value},
    },
};

/// `format % args`
pub(crate) fn percent(rendering: &Rendering, format: &Text, args: &Value) -> PyResult {
    let (list, mapping) = match args {
        Value::Tuple(tuple) => (tuple.items.clone(), None),
        other => (vec![other.clone()], Some(other).filter(|value| is_mapping(value))),
    };
    let mut formatter =
        Percent { rendering, rest: Characters::new(format), list, next: 0, mapping, keyed: false, safe: format.safe };
    let out = formatter.format()?;
    Ok(format.like(out))
}

/// Whether `%` looks keys up in it, and does not mind that it is left over.
fn is_mapping(value: &Value) -> bool {
    match value {
        Value::Dict(_) | Value::List(_) | Value::Undefined(_) => true,
        other => other.downcast::<Bytes>().is_some(),
    }
}

/// One formatting with `%`.
struct Percent<'a> {
    rendering: &'a Rendering,
    rest: Characters<'a>,
    list: Vec<Value>,
    /// The position in `list` of the next argument.
    next: usize,
    mapping: Option<&'a Value>,
    /// Whether a key was used: then there are no arguments by position any more.
    keyed: bool,
    safe: bool,
}

/// The flags, width and precision between `%` and the conversion.
#[derive(Default)]
struct Flags {
    left: bool,
    plus: bool,
    space: bool,
    alternate: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
}

impl Percent<'_> {
    fn format(&mut self) -> PyResult<String> {
        let mut out = String::new();
        while let Some(c) = self.rest.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            self.rendering.work(1)?;
            let text = self.conversion()?;
            self.rendering.allocate(text.len())?;
            out.push_str(&text);
        }
        if self.mapping.is_none() && self.next < self.list.len() {
            return type_error("not all arguments converted during string formatting");
        }
        Ok(out)
    }

    fn conversion(&mut self) -> PyResult<String> {
        if self.rest.take(|c| c == '%').is_some() {
            return Ok("%".to_owned());
        }
        let keyed = match self.rest.take(|c| c == '(') {
            Some(_) => Some(self.key()?),
            None => None,
        };
        if let Some(value) = keyed {
            self.list = vec![value];
            self.next = 0;
            self.keyed = true;
        }
        let mut flags = Flags::default();
        while let Some(flag) = self.rest.take(|c| matches!(c, '-' | '+' | ' ' | '#' | '0')) {
            match flag {
                '-' => flags.left = true,
                '+' => flags.plus = true,
                ' ' => flags.space = true,
                '#' => flags.alternate = true,
                _ => flags.zero = true,
            }
        }
        let width = self.size("width too big", "ssize_t")?;
        flags.left |= width.is_some_and(|width| width < 0);
        flags.width = width.map_or(0, |width| usize::try_from(width.unsigned_abs()).unwrap_or(usize::MAX));
        if self.rest.take(|c| c == '.').is_some() {
            let precision = self.size("precision too big", "int")?.unwrap_or(0);
            flags.precision = Some(usize::try_from(precision).unwrap_or(0));
        }
        self.rest.take(|c| matches!(c, 'h' | 'l' | 'L'));
        let at = self.rest.at;
        match self.rest.next() {
            None => value_error("incomplete format"),
            Some(kind @ ('s' | 'r' | 'a')) => self.text(kind, &flags),
            Some('c') => self.character(&flags),
            Some(kind @ ('d' | 'i' | 'u' | 'o' | 'x' | 'X')) => self.int(kind, &flags),
            Some(kind @ ('e' | 'E' | 'f' | 'F' | 'g' | 'G')) => self.float(kind, &flags),
            Some(other) => {
                let index = self.rest.text.get(..at).unwrap_or("").chars().count();
                let shown = if matches!(other, ' '..='~') { other } else { '?' };
                // The argument is looked for first.
                self.argument()?;
                value_error(format!(
                    "unsupported format character '{shown}' (0x{:x}) at index {index}",
                    u32::from(other)
                ))
            }
        }
    }

    /// The value at a key in parentheses.
    fn key(&mut self) -> PyResult {
        let Some(mapping) = self.mapping else {
            return type_error("format requires a mapping");
        };
        let start = self.rest.at;
        let mut open = 1;
        while let Some(c) = self.rest.next() {
            match c {
                '(' => open += 1,
                ')' => open -= 1,
                _ => {}
            }
            if open == 0 {
                let key = self.rest.text.get(start..self.rest.at - 1).unwrap_or("");
                return match mapping {
                    Value::Dict(dict) => dict
                        .subscript(self.rendering, &Value::from(key))?
                        .ok_or_else(|| Exception::new(ExceptionClass::KeyError, quote(key))),
                    Value::Undefined(undefined) => Err(undefined.raise()),
                    Value::List(_) => type_error("list indices must be integers or slices, not str"),
                    _ => type_error("byte indices must be integers or slices, not str"),
                };
            }
        }
        value_error("incomplete format key")
    }

    /// A width or a precision.
    fn size(&mut self, too_big: &str, limit: &str) -> PyResult<Option<i64>> {
        if self.rest.take(|c| c == '*').is_some() {
            return match self.argument()? {
                number if number.as_int().is_none() || self.safe => type_error("* wants int"),
                Value::Big(_) => other_error(format!("Python int too large to convert to C {limit}")),
                number => number.index().map(Some),
            };
        }
        let mut size = None;
        while let Some(digit) = self.rest.take(|c| c.is_ascii_digit()).and_then(|c| c.to_digit(10)) {
            let grown = size.unwrap_or(0_i64).checked_mul(10).and_then(|size: i64| size.checked_add(i64::from(digit)));
            match grown {
                Some(grown) => size = Some(grown),
                None => return value_error(too_big),
            }
        }
        Ok(size)
    }

    /// The next argument.
    fn argument(&mut self) -> PyResult {
        let argument = self.list.get(self.next).cloned();
        self.next += 1;
        argument.map_or_else(|| type_error("not enough arguments for format string"), Ok)
    }

    /// The argument's type as messages name it: `Markup` wraps its arguments.
    fn type_name(&self, value: &Value) -> &'static str {
        if self.safe { "_MarkupEscapeHelper" } else { value.type_name() }
    }

    fn text(&mut self, kind: char, flags: &Flags) -> PyResult<String> {
        let value = self.argument()?;
        let text = match kind {
            's' if self.safe => escape_value(self.rendering, &value)?.to_string(),
            's' => repr::string(self.rendering, &value)?.to_string(),
            _ => repr::repr(self.rendering, &value)?,
        };
        let text = if self.safe && kind != 's' { escape(&text) } else { text };
        let text = if kind == 'a' { quote::ascii(&text) } else { text };
        let cut = match flags.precision {
            Some(precision) => text.chars().take(precision).collect(),
            None => text,
        };
        flags.pad(self.rendering, &cut)
    }

    fn character(&mut self, flags: &Flags) -> PyResult<String> {
        let value = self.argument()?;
        let c = match (&value, value.as_int()) {
            (Value::Str(text), _) if !self.safe && text.chars().count() == 1 => text.to_string(),
            (_, Some(number)) if !self.safe => match number.to_i64() {
                Some(_) => character(&number)?.to_string(),
                None => return other_error("%c arg not in range(0x110000)"),
            },
            _ => return type_error("%c requires int or char"),
        };
        flags.pad(self.rendering, &c)
    }

    fn int(&mut self, kind: char, flags: &Flags) -> PyResult<String> {
        let value = self.argument()?;
        let decimal = matches!(kind, 'd' | 'i' | 'u');
        let number = match &value {
            Value::Str(text) if decimal && self.safe => int::from_text(text, 10)?,
            Value::Float(number) if decimal => int::from_float(*number)?,
            Value::Undefined(undefined) if decimal => return Err(undefined.raise()),
            other => match other.as_int() {
                Some(number) if decimal || !self.safe => number.into_owned(),
                _ => {
                    let wanted = if decimal { "a real number" } else { "an integer" };
                    return type_error(format!("%{kind} format: {wanted} is required, not {}", self.type_name(other)));
                }
            },
        };
        let (radix, prefix) = radix_of(kind);
        let mut digits = int_digits(self.rendering, &number, radix)?;
        if kind == 'X' {
            digits = digits.to_uppercase();
        }
        if let Some(precision) = flags.precision {
            let missing = precision.saturating_sub(digits.len());
            self.rendering.allocate(missing)?;
            digits.insert_str(0, &"0".repeat(missing));
        }
        let prefix = if flags.alternate { prefix } else { "" };
        flags.pad_number(self.rendering, number.is_negative(), prefix, &digits)
    }

    fn float(&mut self, kind: char, flags: &Flags) -> PyResult<String> {
        let value = self.argument()?;
        let number = match (&value, value.as_int()) {
            (Value::Float(number), _) => *number,
            (_, Some(number)) => float::from_int(&number)?,
            (Value::Str(text), _) if self.safe => float::from_text(text)?,
            (Value::Undefined(undefined), _) => return Err(undefined.raise()),
            (other, _) if self.safe => {
                return type_error(format!(
                    "float() argument must be a string or a real number, not '{}'",
                    other.type_name()
                ));
            }
            (other, _) => return type_error(format!("must be real number, not {}", other.type_name())),
        };
        let precision = flags.precision.unwrap_or(6);
        let mut text = float_digits(self.rendering, number, kind.to_ascii_lowercase(), precision, flags.alternate)?;
        if kind.is_ascii_uppercase() {
            text = text.to_uppercase();
        }
        flags.pad_number(self.rendering, number.is_sign_negative() && !number.is_nan(), "", &text)
    }
}

impl Flags {
    /// `text` filled up to the width.
    fn pad(&self, rendering: &Rendering, text: &str) -> PyResult<String> {
        let missing = self.width.saturating_sub(text.chars().count());
        rendering.allocate(missing)?;
        let fill = " ".repeat(missing);
        Ok(if self.left { format!("{text}{fill}") } else { format!("{fill}{text}") })
    }

    /// The text of a number, with its sign and prefix, filled up to the width.
    fn pad_number(&self, rendering: &Rendering, negative: bool, prefix: &str, digits: &str) -> PyResult<String> {
        let sign = match negative {
            true => "-",
            false if self.plus => "+",
            false if self.space => " ",
            false => "",
        };
        let missing = self.width.saturating_sub(sign.len() + prefix.len() + digits.len());
        if self.zero && !self.left {
            rendering.allocate(missing)?;
            return Ok(format!("{sign}{prefix}{}{digits}", "0".repeat(missing)));
        }
        self.pad(rendering, &format!("{sign}{prefix}{digits}"))
    }
}
