//! Format specifications, as `format(value, spec)` and the fields of `str.format` take them.

use num_bigint::BigInt;
use num_traits::Signed;

use crate::{
    eval::rendering::Rendering,
    python::{
        datetime,
        exception::{PyResult, type_error, value_error},
        floats::float_repr,
        format::{
            characters::Characters,
            digits::{character, float_digits, general, int_digits, radix_of},
        },
        numbers::float,
        repr,
        value::{Text, Value},
    },
};

/// The text of a number, in the parts between which padding and separators come.
struct NumberParts {
    sign: &'static str,
    prefix: &'static str,
    /// The digits that are grouped.
    digits: String,
    /// The text behind them: from the point on; or `inf` or `nan`.
    rest: String,
}

/// A format specification: `[[fill]align][sign][z][#][0][width][grouping][.precision][type]`.
struct Specification {
    fill: char,
    align: char,
    sign: Option<char>,
    positive_zero: bool,
    alternate: bool,
    width: usize,
    group: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
}

impl Specification {
    fn parse(text: &str, value: &Value, default_align: char, default_kind: Option<char>) -> PyResult<Self> {
        let mut rest = Characters::new(text);
        let mut spec = Self {
            fill: ' ',
            align: default_align,
            sign: None,
            positive_zero: false,
            alternate: false,
            width: 0,
            group: None,
            precision: None,
            kind: default_kind,
        };
        let is_align = |c: &char| matches!(c, '<' | '>' | '=' | '^');
        let (mut filled, mut aligned) = (false, false);
        if let Some(align) = rest.peek(1).filter(is_align) {
            (spec.fill, spec.align) = (rest.next().unwrap_or(' '), align);
            rest.next();
            (filled, aligned) = (true, true);
        } else if let Some(align) = rest.take(|c| is_align(&c)) {
            spec.align = align;
            aligned = true;
        }
        spec.sign = rest.take(|c| matches!(c, ' ' | '+' | '-'));
        spec.positive_zero = rest.take(|c| c == 'z').is_some();
        spec.alternate = rest.take(|c| c == '#').is_some();
        if !filled && rest.take(|c| c == '0').is_some() {
            spec.fill = '0';
            if !aligned && default_align == '>' {
                spec.align = '=';
            }
        }
        spec.width = rest.integer()?.unwrap_or(0);
        spec.group = rest.take(|c| c == ',');
        if rest.peek(0) == Some('_') {
            if spec.group.is_some() {
                return value_error("Cannot specify both ',' and '_'.");
            }
            spec.group = rest.next();
            if rest.peek(0) == Some(',') {
                return value_error("Cannot specify both ',' and '_'.");
            }
        }
        if rest.take(|c| c == '.').is_some() {
            spec.precision = rest.integer()?;
            if spec.precision.is_none() {
                return value_error("Format specifier missing precision");
            }
        }
        spec.kind = rest.next().or(spec.kind);
        if rest.peek(0).is_some() {
            return value_error(format!(
                "Invalid format specifier '{text}' for object of type '{}'",
                value.type_name()
            ));
        }
        spec.check_group()?;
        Ok(spec)
    }

    /// Checks that the type takes the separator of thousands.
    fn check_group(&self) -> PyResult<()> {
        match (self.group, self.kind) {
            (None, _) | (_, None | Some('d' | 'e' | 'f' | 'g' | 'E' | 'G' | '%' | 'F')) => Ok(()),
            (Some('_'), Some('b' | 'o' | 'x' | 'X')) => Ok(()),
            (Some(group), Some(kind)) => value_error(match kind {
                '!'..='~' => format!("Cannot specify '{group}' with '{kind}'."),
                _ => format!("Cannot specify '{group}' with '\\x{:x}'.", u32::from(kind)),
            }),
        }
    }

    /// The sign to print before a number.
    fn sign(&self, negative: bool) -> &'static str {
        match self.sign {
            _ if negative => "-",
            Some('+') => "+",
            Some(' ') => " ",
            _ => "",
        }
    }

    /// `before` and `text`, filled up to the width.
    fn pad(&self, rendering: &Rendering, before: &str, text: &str) -> PyResult<String> {
        let length = before.chars().count() + text.chars().count();
        let missing = self.width.saturating_sub(length);
        rendering.allocate(missing.saturating_mul(self.fill.len_utf8()))?;
        let fill = |count: usize| self.fill.to_string().repeat(count);
        Ok(match self.align {
            '<' => format!("{before}{text}{}", fill(missing)),
            '^' => format!("{}{before}{text}{}", fill(missing / 2), fill(missing - missing / 2)),
            '=' => format!("{before}{}{text}", fill(missing)),
            _ => format!("{}{before}{text}", fill(missing)),
        })
    }

    /// The text of a number, grouped and padded.
    fn number(&self, rendering: &Rendering, number: NumberParts) -> PyResult<String> {
        let before = format!("{}{}", number.sign, number.prefix);
        let zeros = if self.fill == '0' && self.align == '=' {
            self.width.saturating_sub(before.len() + number.rest.len())
        } else {
            0
        };
        let digits = match self.group {
            Some(separator) if !number.digits.is_empty() => {
                let size = if matches!(self.kind, Some('b' | 'o' | 'x' | 'X')) { 4 } else { 3 };
                grouped(rendering, &number.digits, separator, size, zeros)?
            }
            _ => number.digits,
        };
        self.pad(rendering, &before, &format!("{digits}{}", number.rest))
    }

    /// The ValueError that the type of the format does not fit the value.
    fn unknown<T>(&self, value: &Value) -> PyResult<T> {
        let kind = self.kind.unwrap_or(' ');
        let shown = match kind {
            '!'..='~' => kind.to_string(),
            _ => format!("\\x{:x}", u32::from(kind)),
        };
        value_error(format!("Unknown format code '{shown}' for object of type '{}'", value.type_name()))
    }
}

/// `digits` with separators, and as many zeros before them as it takes to be `least` long.
fn grouped(rendering: &Rendering, digits: &str, separator: char, size: usize, least: usize) -> PyResult<String> {
    let length = |count: usize| count + (count.max(1) - 1) / size;
    rendering.allocate(length(digits.len().max(least)))?;
    let mut count = digits.len().max(least.saturating_sub(least / (size + 1)));
    while length(count) < least {
        count += 1;
    }
    while count > digits.len() && length(count - 1) >= least {
        count -= 1;
    }
    let zeros = count - digits.len();
    let mut out = String::with_capacity(length(count));
    for (index, digit) in "0".repeat(zeros).chars().chain(digits.chars()).enumerate() {
        if index > 0 && (count - index).is_multiple_of(size) {
            out.push(separator);
        }
        out.push(digit);
    }
    Ok(out)
}

/// `format(value, spec)`
pub(crate) fn format_value(rendering: &Rendering, value: &Value, spec: &str) -> PyResult<String> {
    if let Some(formatted) = datetime::format(value, spec) {
        return formatted;
    }
    if spec.is_empty() {
        return Ok(repr::string(rendering, value)?.to_string());
    }
    match value {
        Value::Str(text) => format_text(rendering, value, text, spec),
        Value::Float(number) => {
            let spec = Specification::parse(spec, value, '>', None)?;
            format_float(rendering, value, *number, &spec)
        }
        Value::Bool(_) | Value::Int(_) | Value::Big(_) => {
            let spec = Specification::parse(spec, value, '>', Some('d'))?;
            let number = value.as_int().unwrap_or_default();
            match spec.kind {
                Some('b' | 'c' | 'd' | 'o' | 'x' | 'X' | 'n') => format_int(rendering, &number, &spec),
                Some('e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%') => {
                    format_float(rendering, value, float::from_int(&number)?, &spec)
                }
                _ => spec.unknown(value),
            }
        }
        other => type_error(format!("unsupported format string passed to {}.__format__", other.type_name())),
    }
}

fn format_text(rendering: &Rendering, value: &Value, text: &Text, spec: &str) -> PyResult<String> {
    let spec = Specification::parse(spec, value, '<', Some('s'))?;
    if spec.kind != Some('s') {
        return spec.unknown(value);
    }
    match spec.sign {
        Some(' ') => return value_error("Space not allowed in string format specifier"),
        Some(_) => return value_error("Sign not allowed in string format specifier"),
        None => {}
    }
    if spec.positive_zero {
        return value_error("Negative zero coercion (z) not allowed in string format specifier");
    }
    if spec.alternate {
        return value_error("Alternate form (#) not allowed in string format specifier");
    }
    if spec.align == '=' {
        return value_error("'=' alignment not allowed in string format specifier");
    }
    let cut: String = text.chars().take(spec.precision.unwrap_or(usize::MAX)).collect();
    spec.pad(rendering, "", &cut)
}

fn format_int(rendering: &Rendering, number: &BigInt, spec: &Specification) -> PyResult<String> {
    if spec.precision.is_some() {
        return value_error("Precision not allowed in integer format specifier");
    }
    if spec.positive_zero {
        return value_error("Negative zero coercion (z) not allowed in integer format specifier");
    }
    let kind = spec.kind.unwrap_or('d');
    if kind == 'c' {
        return format_character(rendering, number, spec);
    }
    let (radix, prefix) = radix_of(kind);
    let digits = int_digits(rendering, number, radix)?;
    spec.number(
        rendering,
        NumberParts {
            sign: spec.sign(number.is_negative()),
            prefix: if spec.alternate { prefix } else { "" },
            digits: if kind == 'X' { digits.to_uppercase() } else { digits },
            rest: String::new(),
        },
    )
}

fn format_character(rendering: &Rendering, number: &BigInt, spec: &Specification) -> PyResult<String> {
    if spec.sign.is_some() {
        return value_error("Sign not allowed with integer format specifier 'c'");
    }
    if spec.alternate {
        return value_error("Alternate form (#) not allowed with integer format specifier 'c'");
    }
    let c = character(number)?;
    spec.number(rendering, NumberParts { sign: "", prefix: "", digits: String::new(), rest: c.to_string() })
}

fn format_float(rendering: &Rendering, value: &Value, number: f64, spec: &Specification) -> PyResult<String> {
    let kind = spec.kind.unwrap_or('r');
    let precision = spec.precision.unwrap_or(6);
    if spec.precision.is_some_and(|precision| precision > i32::MAX as usize) {
        return value_error("precision too big");
    }
    let mut text = match (kind.to_ascii_lowercase(), spec.precision) {
        ('e' | 'f' | 'g', _) => float_digits(rendering, number, kind.to_ascii_lowercase(), precision, spec.alternate)?,
        ('%', _) if number.is_finite() => float_digits(rendering, number * 100.0, 'f', precision, spec.alternate)?,
        ('%', _) => float_repr(number.abs()),
        ('n', _) if kind == 'n' => float_digits(rendering, number, 'g', precision, spec.alternate)?,
        ('r', _) if spec.kind.is_some() => return spec.unknown(value),
        ('r', None) => pointed(float_repr(number.abs()), spec.alternate),
        ('r', Some(_)) if !number.is_finite() => float_repr(number.abs()),
        ('r', Some(precision)) => {
            rendering.allocate(precision.saturating_add(320))?;
            general(number.abs(), precision.max(1), spec.alternate, true)
        }
        _ => return spec.unknown(value),
    };
    if kind.is_ascii_uppercase() {
        text = text.to_uppercase();
    }
    let zero = !text.contains(|c| matches!(c, '1'..='9' | 'i' | 'I'));
    let negative = number.is_sign_negative() && !number.is_nan() && !(zero && spec.positive_zero);
    if kind == '%' {
        text.push('%');
    }
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let rest = text.split_off(digits);
    spec.number(rendering, NumberParts { sign: spec.sign(negative), prefix: "", digits: text, rest })
}

/// `repr` of a float keeps its point in the alternate form.
fn pointed(text: String, alternate: bool) -> String {
    match text.split_once('e') {
        Some((digits, exponent)) if alternate && !digits.contains('.') => format!("{digits}.e{exponent}"),
        _ => text,
    }
}
