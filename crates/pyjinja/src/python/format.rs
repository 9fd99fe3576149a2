//! `%` formatting, `str.format`, and the format mini-language.

use num_bigint::BigInt;
use num_traits::{Signed, ToPrimitive};

use crate::json::float_repr;
use crate::{
    eval,
    eval::rendering::Rendering,
    python::{
        arguments::Args,
        datetime as time,
        exception::{Exception, ExceptionClass, PyResult, other_error, type_error, value_error},
        markup::{escape, escape_value},
        numbers::{digits::MAX_STR_DIGITS, float, int},
        print, quote,
        unicode::{decimal, is_digit},
        value::{Text, Value},
    },
};

/// No float has more decimals: what is asked for beyond them is zeros.
const DECIMALS: usize = 1100;

/// A number's text in the parts between which padding and separators come.
struct Number {
    sign: &'static str,
    prefix: &'static str,
    /// The digits that are grouped.
    digits: String,
    /// What stands behind them, from the point on; or `inf` and `nan`.
    rest: String,
}

/// The text of a finite or infinite `number` without its sign, by one of `e`, `f` and `g`.
fn float_digits(rendering: &Rendering, number: f64, kind: char, precision: usize, alternate: bool) -> PyResult<String> {
    if !number.is_finite() {
        return Ok(float_repr(number.abs()));
    }
    rendering.allocate(precision.saturating_add(320))?;
    let shown = precision.min(DECIMALS);
    let zeros = "0".repeat(precision - shown);
    let point = if alternate && precision == 0 { "." } else { "" };
    let number = number.abs();
    Ok(match kind {
        'f' => format!("{number:.shown$}{zeros}{point}"),
        'e' => scientific(&format!("{number:.shown$e}"), &format!("{zeros}{point}")),
        _ => general(number, precision.max(1), alternate, false),
    })
}

/// `1.5e7` as Python writes it, with `more` behind the digits.
fn scientific(text: &str, more: &str) -> String {
    let (digits, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    format!("{digits}{more}e{sign}{exponent:0>2}")
}

/// `%g`; `pointed` as a float without a format prints: it keeps a decimal, so an exponent comes one digit earlier.
fn general(number: f64, precision: usize, alternate: bool, pointed: bool) -> String {
    let digits = precision.min(DECIMALS) - 1;
    let shown = format!("{number:.digits$e}");
    let exponent: i64 = shown.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0);
    let limit = i64::try_from(precision).unwrap_or(i64::MAX) - i64::from(pointed);
    let (mut text, exponent) = if exponent < -4 || exponent >= limit {
        let (digits, exponent) = shown.split_once('e').unwrap_or((&shown, "0"));
        (digits.to_owned(), Some(exponent.to_owned()))
    } else {
        let decimals = usize::try_from(digits as i64 - exponent).unwrap_or(0);
        (format!("{number:.decimals$}"), None)
    };
    if alternate {
        if !text.contains('.') {
            text.push('.');
        }
        text.push_str(&"0".repeat(precision - 1 - digits));
    } else if text.contains('.') {
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    }
    match exponent {
        Some(exponent) => scientific(&format!("{text}e{exponent}"), ""),
        None if pointed && !text.contains('.') => format!("{text}.0"),
        None => text,
    }
}

/// The digits of an int in base 2, 8, 10 or 16.
fn int_digits(rendering: &Rendering, number: &BigInt, radix: u32) -> PyResult<String> {
    rendering.allocate(usize::try_from(number.bits() / u64::from(radix.ilog2())).unwrap_or(usize::MAX))?;
    // No int of 4300 digits has as many bits: it need not be printed to know.
    let text = (radix != 10 || number.bits() < 14_300)
        .then(|| number.magnitude().to_str_radix(radix))
        .filter(|text| radix != 10 || text.len() <= MAX_STR_DIGITS);
    text.map_or_else(
        || {
            value_error(format!(
                "Exceeds the limit ({MAX_STR_DIGITS} digits) for integer string conversion; use \
                 sys.set_int_max_str_digits() to increase the limit"
            ))
        },
        Ok,
    )
}

fn radix_of(kind: char) -> (u32, &'static str) {
    match kind {
        'b' => (2, "0b"),
        'o' => (8, "0o"),
        'x' => (16, "0x"),
        'X' => (16, "0X"),
        _ => (10, ""),
    }
}

/// `ascii(x)`
fn ascii(rendering: &Rendering, value: &Value) -> PyResult<String> {
    Ok(quote::ascii(&print::repr(rendering, value)?))
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
        let mut rest = Characters { text, at: 0 };
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

    /// `text` with what it takes to fill the width.
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

    fn number(&self, rendering: &Rendering, number: Number) -> PyResult<String> {
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

/// Text that is read from its start.
struct Characters<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Characters<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.rest().chars().nth(ahead)
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek(0)?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn take(&mut self, wanted: impl Fn(char) -> bool) -> Option<char> {
        self.peek(0).filter(|c| wanted(*c))?;
        self.next()
    }

    fn integer(&mut self) -> PyResult<Option<usize>> {
        let mut value = None;
        while let Some(digit) = self.peek(0).and_then(decimal) {
            self.next();
            let grown = value.unwrap_or(0_i64).checked_mul(10).and_then(|value| value.checked_add(i64::from(digit)));
            if grown.is_none() {
                return value_error("Too many decimal digits in format string");
            }
            value = grown;
        }
        Ok(value.and_then(|value| usize::try_from(value).ok()))
    }
}

/// `format(value, spec)`
pub(crate) fn format_spec(rendering: &Rendering, value: &Value, spec: &str) -> PyResult<String> {
    if let Some(formatted) = time::format(value, spec) {
        return formatted;
    }
    if spec.is_empty() {
        return Ok(print::string(rendering, value)?.to_string());
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
        Number {
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
    spec.number(rendering, Number { sign: "", prefix: "", digits: String::new(), rest: c.to_string() })
}

/// `%c` of an int.
fn character(number: &BigInt) -> PyResult<char> {
    match number.to_u32() {
        // Half of a surrogate pair can't be held.
        Some(code @ ..0x11_0000) => Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)),
        _ if number.to_i64().is_none() => other_error("Python int too large to convert to C long"),
        _ => other_error("%c arg not in range(0x110000)"),
    }
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
    spec.number(rendering, Number { sign: spec.sign(negative), prefix: "", digits: text, rest })
}

/// `repr` of a float keeps its point in the alternate form.
fn pointed(text: String, alternate: bool) -> String {
    match text.split_once('e') {
        Some((digits, exponent)) if alternate && !digits.contains('.') => format!("{digits}.e{exponent}"),
        _ => text,
    }
}

/// `format.format(*args, **kwargs)`, as the sandbox runs it.
pub(crate) fn str_format(rendering: &Rendering, format: &Text, args: Args) -> PyResult {
    let mut named = indexmap::IndexMap::new();
    for (name, value) in args.named {
        named.insert(Value::from(name).key()?, value);
    }
    formatted(rendering, format, &args.positional, &Value::dict(named))
}

/// `format.format_map(mapping)`
pub(crate) fn format_map(rendering: &Rendering, format: &Text, args: Args) -> PyResult {
    formatted(rendering, format, &[], &args.only("format_map")?)
}

fn formatted(rendering: &Rendering, format: &Text, positional: &[Value], named: &Value) -> PyResult {
    let mut formatter =
        Formatter { rendering, positional, named, safe: format.safe, numbering: Numbering::Automatic(0) };
    Ok(format.like(formatter.format(format, 2)?))
}

enum Numbering {
    Automatic(usize),
    Manual,
}

/// `string.Formatter`
struct Formatter<'a> {
    rendering: &'a Rendering,
    positional: &'a [Value],
    named: &'a Value,
    safe: bool,
    numbering: Numbering,
}

impl Formatter<'_> {
    fn format(&mut self, format: &str, depth: i32) -> PyResult<String> {
        if depth < 0 {
            return value_error("Max string recursion exceeded");
        }
        let mut out = String::new();
        let mut rest = Characters { text: format, at: 0 };
        while let Some(c) = rest.next() {
            match c {
                '{' | '}' if rest.peek(0) == Some(c) => {
                    rest.next();
                    out.push(c);
                }
                '}' => return value_error("Single '}' encountered in format string"),
                '{' if rest.peek(0).is_none() => return value_error("Single '{' encountered in format string"),
                '{' => {
                    self.rendering.work(1)?;
                    let text = self.field(&Field::parse(&mut rest)?, depth)?;
                    self.rendering.allocate(text.len())?;
                    out.push_str(&text);
                }
                other => out.push(other),
            }
        }
        Ok(out)
    }

    fn field(&mut self, field: &Field, depth: i32) -> PyResult<String> {
        let name = self.numbered(field.name)?;
        let value = self.value(&name)?;
        let value = match field.conversion {
            None => value,
            Some('s') => Value::text(print::string(self.rendering, &value)?),
            Some('r') => Value::text(print::repr(self.rendering, &value)?),
            Some('a') => Value::text(ascii(self.rendering, &value)?),
            Some(other) => return value_error(format!("Unknown conversion specifier {other}")),
        };
        let spec = self.format(field.spec, depth - 1)?;
        if !self.safe {
            return format_spec(self.rendering, &value, &spec);
        }
        match value {
            Value::Str(Text { safe: true, .. }) if !spec.is_empty() => {
                value_error("Unsupported format specification for Markup.")
            }
            Value::Str(Text { text, safe: true }) => Ok(text.to_string()),
            other => Ok(escape(&format_spec(self.rendering, &other, &spec)?)),
        }
    }

    /// The field's name, with a number if it has none.
    fn numbered(&mut self, name: &str) -> PyResult<String> {
        let switched = || value_error("cannot switch from manual field specification to automatic field numbering");
        if name.is_empty() {
            let Numbering::Automatic(next) = &mut self.numbering else {
                return switched();
            };
            *next += 1;
            return Ok((*next - 1).to_string());
        }
        if name.chars().all(is_digit) {
            if matches!(self.numbering, Numbering::Automatic(1..)) {
                return switched();
            }
            self.numbering = Numbering::Manual;
        }
        Ok(name.to_owned())
    }

    fn value(&self, name: &str) -> PyResult {
        let end = name.find(['.', '[']).unwrap_or(name.len());
        let (first, mut rest) = name.split_at(end);
        let mut value = match whole_number(first)? {
            Some(index) => match self.positional.get(index) {
                Some(value) => value.clone(),
                None => return other_error("tuple index out of range"),
            },
            None => self.named_value(first)?,
        };
        while !rest.is_empty() {
            self.rendering.work(1)?;
            let step;
            (step, rest) = next_step(rest)?;
            value = match step {
                Step::Attribute(name) => eval::attribute(self.rendering, &value, name)?,
                Step::Item(key) => eval::item(self.rendering, &value, &key)?,
            };
        }
        Ok(value)
    }

    fn named_value(&self, name: &str) -> PyResult {
        match self.named {
            Value::Dict(dict) => dict
                .subscript(self.rendering, &Value::from(name))?
                .ok_or_else(|| Exception::new(ExceptionClass::KeyError, print::quote(name))),
            Value::Undefined(undefined) => Err(undefined.raise()),
            Value::Str(_) => type_error("string indices must be integers, not 'str'"),
            Value::List(_) => type_error("list indices must be integers or slices, not str"),
            Value::Tuple(_) => type_error("tuple indices must be integers or slices, not str"),
            other => type_error(format!("'{}' object is not subscriptable", other.type_name())),
        }
    }
}

fn whole_number(text: &str) -> PyResult<Option<usize>> {
    let mut digits = Characters { text, at: 0 };
    let number = digits.integer();
    if digits.rest().is_empty() || number.is_err() { number } else { Ok(None) }
}

enum Step<'a> {
    Attribute(&'a str),
    Item(Value),
}

/// Takes `.name` or `[key]` off the front.
fn next_step(text: &str) -> PyResult<(Step<'_>, &str)> {
    if let Some(text) = text.strip_prefix('.') {
        let end = text.find(['.', '[']).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        if name.is_empty() {
            return value_error("Empty attribute in format string");
        }
        return Ok((Step::Attribute(name), rest));
    }
    let Some(text) = text.strip_prefix('[') else {
        return value_error("Only '.' or '[' may follow ']' in format field specifier");
    };
    let Some((key, rest)) = text.split_once(']') else {
        return value_error("Missing ']' in format string");
    };
    if key.is_empty() {
        return value_error("Empty attribute in format string");
    }
    let key = whole_number(key)?.map_or_else(|| Value::from(key), Value::size);
    Ok((Step::Item(key), rest))
}

/// What stands between braces.
struct Field<'a> {
    name: &'a str,
    conversion: Option<char>,
    spec: &'a str,
}

impl<'a> Field<'a> {
    /// Reads on behind the opening brace, past the closing one.
    fn parse(rest: &mut Characters<'a>) -> PyResult<Self> {
        let start = rest.at;
        let mut bracket = false;
        let end = loop {
            let at = rest.at;
            match rest.next() {
                None => return value_error("expected '}' before end of string"),
                Some('{') if !bracket => return value_error("unexpected '{' in field name"),
                Some('[') => bracket = true,
                Some(']') => bracket = false,
                Some(c @ ('}' | ':' | '!')) if !bracket => break (at, c),
                Some(_) => {}
            }
        };
        let mut field = Self { name: rest.text.get(start..end.0).unwrap_or(""), conversion: None, spec: "" };
        if end.1 == '}' {
            return Ok(field);
        }
        if end.1 == '!' {
            field.conversion = rest.next();
            if field.conversion.is_none() {
                return value_error("end of string while looking for conversion specifier");
            }
            match rest.next() {
                Some('}') => return Ok(field),
                Some(':') | None => {}
                Some(_) => return value_error("expected ':' after conversion specifier"),
            }
        }
        let start = rest.at;
        let mut open = 1;
        while let Some(c) = rest.next() {
            match c {
                '{' => open += 1,
                '}' => open -= 1,
                _ => {}
            }
            if open == 0 {
                field.spec = rest.text.get(start..rest.at - 1).unwrap_or("");
                return Ok(field);
            }
        }
        value_error("unmatched '{' in format spec")
    }
}

/// `format % args`
pub(crate) fn percent(rendering: &Rendering, format: &Text, args: &Value) -> PyResult {
    let (list, mapping) = match args {
        Value::Tuple(tuple) => (tuple.items.clone(), None),
        other => (vec![other.clone()], Some(other).filter(|value| is_mapping(value))),
    };
    let mut formatter = Percent {
        rendering,
        rest: Characters { text: format, at: 0 },
        list,
        next: 0,
        mapping,
        keyed: false,
        safe: format.safe,
    };
    let out = formatter.format()?;
    Ok(format.like(out))
}

/// Whether `%` may take keys of it, and minds no argument left over.
fn is_mapping(value: &Value) -> bool {
    match value {
        Value::Dict(_) | Value::List(_) | Value::Undefined(_) => true,
        other => other.downcast::<crate::python::bytes::Bytes>().is_some(),
    }
}

struct Percent<'a> {
    rendering: &'a Rendering,
    rest: Characters<'a>,
    list: Vec<Value>,
    next: usize,
    mapping: Option<&'a Value>,
    /// Whether a key was used: there are no arguments by position any more.
    keyed: bool,
    safe: bool,
}

/// What stands between `%` and the conversion.
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
                        .ok_or_else(|| Exception::new(ExceptionClass::KeyError, print::quote(key))),
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

    fn argument(&mut self) -> PyResult {
        let argument = self.list.get(self.next).cloned();
        self.next += 1;
        argument.map_or_else(|| type_error("not enough arguments for format string"), Ok)
    }

    /// The argument's type as messages name it: that of a Markup gets its arguments wrapped.
    fn type_name(&self, value: &Value) -> &'static str {
        if self.safe { "_MarkupEscapeHelper" } else { value.type_name() }
    }

    fn text(&mut self, kind: char, flags: &Flags) -> PyResult<String> {
        let value = self.argument()?;
        let text = match kind {
            's' if self.safe => escape_value(self.rendering, &value)?.to_string(),
            's' => print::string(self.rendering, &value)?.to_string(),
            _ => print::repr(self.rendering, &value)?,
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
        flags.number(self.rendering, number.is_negative(), prefix, &digits)
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
        flags.number(self.rendering, number.is_sign_negative() && !number.is_nan(), "", &text)
    }
}

impl Flags {
    fn pad(&self, rendering: &Rendering, text: &str) -> PyResult<String> {
        let missing = self.width.saturating_sub(text.chars().count());
        rendering.allocate(missing)?;
        let fill = " ".repeat(missing);
        Ok(if self.left { format!("{text}{fill}") } else { format!("{fill}{text}") })
    }

    fn number(&self, rendering: &Rendering, negative: bool, prefix: &str, digits: &str) -> PyResult<String> {
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

#[cfg(test)]
mod tests {
    use crate::python::tests::{Row, check};

    #[rustfmt::skip]
    const ROWS: &[Row] = &[
        (r#""%d""#, "%", r#"[{"$f": "-93.125"}]"#, "'-93'"),
        (r#""%(b)-12y""#, "%", r#"[{"$d": [["a", 0]]}]"#, "KeyError: 'b'"),
        (r#""%e""#, "%", r#"[{"$f": "-5.369741992831674"}]"#, "'-5.369742e+00'"),
        (r#""%e""#, "%", r#"[{"$f": "-5.136758948831297e+269"}]"#, "'-5.136759e+269'"),
        (r#""%f""#, "%", r#"[{"$f": "-55.5"}]"#, "'-55.500000'"),
        (r#""%%""#, "%", r#"["1.5"]"#, "TypeError: not all arguments converted during string formatting"),
        (r#""%#+.lu""#, "%", "[97]", "'+97'"),
        (r#"{"$m": "%*.lf"}"#, "%", r#"[{"$f": "99999.95"}]"#, "TypeError: * wants int"),
        (r#""%(a)12ld""#, "%", r#"[{"$d": [["a", -1], ["b", {"$d": [["a", 1]]}]]}]"#, "'          -1'"),
        (r#""%g""#, "%", r#"[{"$f": "-68.01"}]"#, "'-68.01'"),
        (r#""%e""#, "%", r#"[{"$f": "15000000000.0"}]"#, "'1.500000e+10'"),
        (r#""x%-5d%""#, "%", "[null]", "TypeError: %d format: a real number is required, not NoneType"),
        (r#""%.10e""#, "%", r#"[{"$f": "-398.0"}]"#, "'-3.9800000000e+02'"),
        (r#""%e""#, "%", r#"[{"$f": "440283.69607347785"}]"#, "'4.402837e+05'"),
        (r#""x%g%s""#, "%", "[null]", "TypeError: must be real number, not NoneType"),
        (r#""%.15g""#, "%", r#"[{"$f": "-6627.644093650891"}]"#, "'-6627.64409365089'"),
        (r#""% -.10ls""#, "%", r#"[{"$f": "123456.7"}]"#, "'123456.7'"),
        (r#""%#5.2u""#, "%", "[1114112]", "'1114112'"),
        (r#""%d""#, "%", r#"[{"$f": "3.0505408492135384"}]"#, "'3'"),
        (r#""%.12d""#, "%", r#"[{"$f": "331.0"}]"#, "'000000000331'"),
        (r#""%.10g""#, "%", r#"[{"$f": "-10.23"}]"#, "'-10.23'"),
        (r#""x% r%d""#, "%", r#"[{"$t": [1]}]"#, "TypeError: not enough arguments for format string"),
        (r#""%(a)+0*.10lq""#, "%", "[[true]]", "TypeError: list indices must be integers or slices, not str"),
        (r#"{"$m": "x%.ldy"}"#, "%", r#"[{"$u": "nope"}]"#, "UndefinedError: 'nope' is undefined"),
        (r#""%.lu""#, "%", r#"["\u00e9\u65e5"]"#, "TypeError: %u format: a real number is required, not str"),
        (r#"{"$m": "%.2u"}"#, "%", r#"[{"$f": "0.5"}]"#, "Markup('00')"),
        (r#""%-+5.lE""#, "%", "[26085]", "'+3E+04'"),
        (r#""%g""#, "%", r#"[{"$f": "-215.0"}]"#, "'-215'"),
        (r#""%f""#, "%", r#"[{"$f": "-14.81"}]"#, "'-14.810000'"),
        (r#""x%#1.2le%%""#, "%", r#"[{"$t": [1]}]"#, "'x1.00e+00%'"),
        (r#""%(b)#*q""#, "%", "[97]", "TypeError: format requires a mapping"),
        (r#""x%5.lf%%""#, "%", r#"[""]"#, "TypeError: must be real number, not str"),
        (r#""%.2d""#, "%", r#"[{"$f": "-1.3176457888211579e-42"}]"#, "'00'"),
        (r#""%d""#, "%", r#"[{"$f": "0.5"}]"#, "'0'"),
        (r#""%.19g""#, "%", r#"[{"$f": "-1.7746541768182453"}]"#, "'-1.774654176818245332'"),
        (r#""%1.lF""#, "%", r#"[{"$d": [["a", 1]]}]"#, "TypeError: must be real number, not dict"),
        (r#""%e""#, "%", r#"[{"$f": "-458434.2541346651"}]"#, "'-4.584343e+05'"),
        (r#""%.14g""#, "%", r#"[{"$f": "0.26867753054678545"}]"#, "'0.26867753054679'"),
        (r#""x%#5.x%""#, "%", r#"["a"]"#, "TypeError: %x format: an integer is required, not str"),
        (r#""%lg""#, "%", r#"[{"$b": [97]}]"#, "TypeError: must be real number, not bytes"),
        (r#""%.12g""#, "%", r#"[{"$f": "42.37"}]"#, "'42.37'"),
        (r#""%f""#, "%", r#"[{"$f": "-0.9758643405610385"}]"#, "'-0.975864'"),
        (r#"{"$m": "x%+lG%"}"#, "%", r#"[{"$f": "5e-324"}]"#, "ValueError: incomplete format"),
        (r#""%0.2d""#, "%", r#"[{"$f": "inf"}]"#, "Other: cannot convert float infinity to integer"),
        (r#""%#1.G""#, "%", "[12345]", "'1.E+04'"),
        (r#""x%-lG%%""#, "%", "[1]", "'x1%'"),
        (r#""%.6g""#, "%", r#"[{"$f": "0.3979373660610399"}]"#, "'0.397937'"),
        (r#""%g""#, "%", r#"[{"$f": "98927.54413135932"}]"#, "'98927.5'"),
        (r#""%.4g""#, "%", r#"[{"$f": "104.125"}]"#, "'104.1'"),
        (r#""%d""#, "%", r#"[{"$f": "-84.31"}]"#, "'-84'"),
        (r#""%g""#, "%", r#"[{"$f": "5.127081726264748e+189"}]"#, "'5.12708e+189'"),
        (r#""%f""#, "%", r#"[{"$f": "4.829128093489754"}]"#, "'4.829128'"),
        (r#"{"$m": "%#+1.0E"}"#, "%", r#"["a"]"#, "ValueError: could not convert string to float: 'a'"),
        (r#""%d""#, "%", r#"[{"$f": "-77.32"}]"#, "'-77'"),
        (r#""%f""#, "%", r#"[{"$f": "42.29"}]"#, "'42.290000'"),
        (r#""%.0d""#, "%", r#"[{"$f": "-273.0"}]"#, "'-273'"),
        (r#""%d""#, "%", r#"[{"$f": "-79.76"}]"#, "'-79'"),
        (r#""%.4g""#, "%", r#"[{"$f": "-4.799529778942961e-80"}]"#, "'-4.8e-80'"),
        (r#""%1.0lc""#, "%", "[-1]", "Other: %c arg not in range(0x110000)"),
        (r#""%-12.10c""#, "%", r#"[{"$f": "2.5"}]"#, "TypeError: %c requires int or char"),
        (r#""%(a)lF""#, "%", r#"[{"$b": [97]}]"#, "TypeError: byte indices must be integers or slices, not str"),
        (r#"{"$m": "%.2f"}"#, "%", "[1114112]", "Markup('1114112.00')"),
        (r#""x%12.%%""#, "%", r#"["abc"]"#, "ValueError: unsupported format character '%' (0x25) at index 5"),
        (r#""%1X""#, "%", r#"[{"$f": "5e-324"}]"#, "TypeError: %X format: an integer is required, not float"),
        (r#""%d""#, "%", r#"[{"$f": "739179.6251679221"}]"#, "'739179'"),
        (r#""%g""#, "%", r#"[{"$f": "-11.56"}]"#, "'-11.56'"),
        (r#""%d""#, "%", r#"[{"$f": "-41.0"}]"#, "'-41'"),
        (r#"{"$m": "% +ld"}"#, "%", r#"[{"$f": "nan"}]"#, "ValueError: cannot convert float NaN to integer"),
        (r#""%.6g""#, "%", r#"[{"$f": "4.106883131155578e+156"}]"#, "'4.10688e+156'"),
        (r#""%f""#, "%", r#"[{"$f": "-60.24"}]"#, "'-60.240000'"),
        (r#""%.7g""#, "%", r#"[{"$f": "850000000000.0"}]"#, "'8.5e+11'"),
        (r#"{"$m": "%#1.li"}"#, "%", r#"["a"]"#, "ValueError: invalid literal for int() with base 10: 'a'"),
        (r#""%01.0li""#, "%", r#"["1.5"]"#, "TypeError: %i format: a real number is required, not str"),
        (r#""x%12ley""#, "%", r#"[{"$m": "<b>"}]"#, "TypeError: must be real number, not Markup"),
        (r#""%.1f""#, "%", r#"[{"$f": "4.56"}]"#, "'4.6'"),
        (r#""%e""#, "%", r#"[{"$f": "-2.4240198592268024e-172"}]"#, "'-2.424020e-172'"),
        (r#"{"$m": "%0-.d"}"#, "%", "[-42]", "Markup('-42')"),
        (r#""%.10lg""#, "%", r#"[{"$f": "100000.0"}]"#, "'100000'"),
        (r#""%.13d""#, "%", r#"[{"$f": "-941286.7582350998"}]"#, "'-0000000941286'"),
        (r#""%+-.10lo""#, "%", r#"[{"$f": "nan"}]"#, "TypeError: %o format: an integer is required, not float"),
        (r#""%g""#, "%", r#"[{"$f": "46.25"}]"#, "'46.25'"),
        (r#""%f""#, "%", r#"[{"$f": "110.375"}]"#, "'110.375000'"),
        (r#""%.17e""#, "%", r#"[{"$f": "-22.9"}]"#, "'-2.28999999999999986e+01'"),
        (r#""%.0li""#, "%", "[97]", "'97'"),
        (r#""%.7g""#, "%", r#"[{"$f": "83.5"}]"#, "'83.5'"),
        (r#""%G""#, "%", r#"[[""]]"#, "TypeError: must be real number, not list"),
        (r#""%f""#, "%", r#"[{"$f": "-1.2212908737844046"}]"#, "'-1.221291'"),
        (r#""%e""#, "%", r#"[{"$f": "309.5"}]"#, "'3.095000e+02'"),
        (r#"{"$f": "-87.08"}"#, "fmt", r#"["+G"]"#, "'-87.08'"),
        ("1", "fmt", r#"["06,.1%"]"#, "'100.0%'"),
        (r#"{"$f": "22.75"}"#, "fmt", r#"["+g"]"#, "'+22.75'"),
        (r#"{"$f": "-9.763309640796972"}"#, "fmt", r#"["+e"]"#, "'-9.763310e+00'"),
        ("true", "fmt", r#"["*^9n"]"#, "'****1****'"),
        (r#"{"$f": "446818735.5932123"}"#, "fmt", r#"[".7"]"#, "'4.468187e+08'"),
        (r#""""#, "fmt", r#"["==20.1s"]"#, "ValueError: '=' alignment not allowed in string format specifier"),
        (r#"{"$f": "100000.0"}"#, "fmt", r#"["%"]"#, "'10000000.000000%'"),
        (r#"{"$i": "100000000000000000000"}"#, "fmt", r#"[",d"]"#, "'100,000,000,000,000,000,000'"),
        ("97", "fmt", r#"["10X"]"#, "'        61'"),
        (r#"{"$f": "3983.824478433118"}"#, "fmt", r#"[".6%"]"#, "'398382.447843%'"),
        ("12345", "fmt", r#"["^,.?"]"#, "ValueError: Format specifier missing precision"),
        (r#"{"$f": "432.5"}"#, "fmt", r#"["f"]"#, "'432.500000'"),
        (r#"{"$f": "1.281800105659487"}"#, "fmt", r#"[".5e"]"#, "'1.28180e+00'"),
        ("0", "fmt", r#"["<8%"]"#, "'0.000000%'"),
        (r#"{"$f": "-1.5"}"#, "fmt", r#"["+z012_,.30b"]"#, "ValueError: Cannot specify both ',' and '_'."),
        (r#"{"$i": "-100000000000000000000"}"#, "fmt", r#"["<8G"]"#, "'-1E+20  '"),
        (r#"{"$f": "-95.77"}"#, "fmt", r#"["%"]"#, "'-9577.000000%'"),
        (r#"{"$i": "100000000000000000000"}"#, "fmt", r#"[" E"]"#, "' 1.000000E+20'"),
        (r#"{"$f": "-0.492289701389355"}"#, "fmt", r#"["g"]"#, "'-0.49229'"),
        ("1114112", "fmt", r#"["*^9n"]"#, "'*1114112*'"),
        (r#""5""#, "fmt", r#"["08s"]"#, "'50000000'"),
        (r#"{"$i": "100000000000000000000"}"#, "fmt", r#"["-e"]"#, "'1.000000e+20'"),
        (r#"{"$f": "-4.127049854874332e-124"}"#, "fmt", r#"["%"]"#, "'-0.000000%'"),
        (r#"{"$f": "-5.864194938884233"}"#, "fmt", r#"["%"]"#, "'-586.419494%'"),
        (r#""5""#, "fmt", r#"["08,c"]"#, "ValueError: Cannot specify ',' with 'c'."),
        ("26085", "fmt", r#"["_"]"#, "'26_085'"),
        ("-1", "fmt", r#"["08,e"]"#, "'-1.000000e+00'"),
        ("123456789", "fmt", r#"["*^9x"]"#, "'*75bcd15*'"),
        (r#"{"$f": "-8.68277354311318"}"#, "fmt", r#"[".10f"]"#, "'-8.6827735431'"),
        (r#"{"$f": "-384267.7545436077"}"#, "fmt", r#"["+%"]"#, "'-38426775.454361%'"),
        (r#"{"$f": "-inf"}"#, "fmt", r#"["+E"]"#, "'-INF'"),
        ("26085", "fmt", r#"["+c"]"#, "ValueError: Sign not allowed with integer format specifier 'c'"),
        (r#"{"$f": "-7.013726179498145"}"#, "fmt", r#"[".18e"]"#, "'-7.013726179498145363e+00'"),
        (r#"{"$f": "-21.95"}"#, "fmt", r#"["+.16%"]"#, "'-2195.0000000000000000%'"),
        ("1", "fmt", r#"[".2b"]"#, "ValueError: Precision not allowed in integer format specifier"),
        (r#"{"$f": "-450000000000.0"}"#, "fmt", r#"["g"]"#, "'-4.5e+11'"),
        (r#"{"$f": "-inf"}"#, "fmt", r#"["0> #.30g"]"#, "'-inf'"),
        ("-1", "fmt", r#"["<8"]"#, "'-1      '"),
        ("1114112", "fmt", r#"["_b"]"#, "'1_0001_0000_0000_0000_0000'"),
        (r#"{"$f": "55.0"}"#, "fmt", r#"["g"]"#, "'55'"),
        (r#"{"$f": "4.912212047172135"}"#, "fmt", r#"[".9%"]"#, "'491.221204717%'"),
        (r#"{"$f": "-93.3"}"#, "fmt", r#"["g"]"#, "'-93.3'"),
        (r#"{"$f": "-813973.9737358813"}"#, "fmt", r#"["+.13%"]"#, "'-81397397.3735881298780%'"),
        (r#"{"$f": "-8.979170702682298e-98"}"#, "fmt", r#"["+.8f"]"#, "'-0.00000000'"),
        (r#"{"$f": "-8000000.0"}"#, "fmt", r#"["+.0e"]"#, "'-8e+06'"),
        ("-42", "fmt", r#"["=8b"]"#, "'- 101010'"),
        ("-42", "fmt", r#"["c"]"#, "Other: %c arg not in range(0x110000)"),
        (r#"{"$i": "-100000000000000000000"}"#, "fmt", r#"["z%"]"#, "'-10000000000000000000000.000000%'"),
        (r#"{"$f": "-6.498828686548061e-82"}"#, "fmt", r#"[".19g"]"#, "'-6.498828686548061439e-82'"),
        (r#"{"$f": "-104.875"}"#, "fmt", r#"["f"]"#, "'-104.875000'"),
        (r#"{"$f": "3.14159"}"#, "fmt", r#"["-F"]"#, "'3.141590'"),
        (r#""""#, "fmt", r#"["_%"]"#, "ValueError: Unknown format code '%' for object of type 'str'"),
        (r#"{"$f": "-3.055056977799886"}"#, "fmt", r#"[".19G"]"#, "'-3.055056977799885942'"),
        (r#"{"$f": "-56.375"}"#, "fmt", r#"["g"]"#, "'-56.375'"),
        ("97", "fmt", r#"["-%"]"#, "'9700.000000%'"),
        ("null", "fmt", r#"["<012?"]"#, "TypeError: unsupported format string passed to NoneType.__format__"),
        (r#"{"$f": "-inf"}"#, "fmt", r#"["+%"]"#, "'-inf%'"),
        ("0", "fmt", r#"["0=z12,e"]"#, "'0.000000e+00'"),
        (r#"{"$f": "3.7413675795064625e+79"}"#, "fmt", r#"["+e"]"#, "'+3.741368e+79'"),
        (r#"{"$f": "825836.2736337511"}"#, "fmt", r#"["+%"]"#, "'+82583627.363375%'"),
        (r#"{"$f": "123456.7"}"#, "fmt", r#"["=z0,.30F"]"#, "'123,456.699999999997089616954326629639'"),
        (r#"{"$f": "-33.5"}"#, "fmt", r#"["+%"]"#, "'-3350.000000%'"),
        (r#"{"$f": "100000.0"}"#, "fmt", r#"["^8"]"#, "'100000.0'"),
        (r#"{"$i": "-100000000000000000000"}"#, "fmt", r#"["+,.3g"]"#, "'-1e+20'"),
        (r#"{"$f": "228.5"}"#, "fmt", r#"["G"]"#, "'228.5'"),
        (r#"{"$f": "2500.0"}"#, "fmt", r#"[".18e"]"#, "'2.500000000000000000e+03'"),
        ("-1", "fmt", r#"["08,%"]"#, "'-100.000000%'"),
        ("123456789", "fmt", r#"["+20_.1%"]"#, "'  +12_345_678_900.0%'"),
        (r#""a""#, "fmt", r#"[" s"]"#, "ValueError: Space not allowed in string format specifier"),
        (r#"{"$f": "-340551.3871889276"}"#, "fmt", r#"["+g"]"#, "'-340551'"),
        ("-42", "fmt", r#"["08F"]"#, "'-42.000000'"),
        (r#"{"$f": "650000000000.0"}"#, "fmt", r#"["+.11G"]"#, "'+6.5E+11'"),
        (r#"{"$f": "8.040805408818257e-84"}"#, "fmt", r#"["g"]"#, "'8.04081e-84'"),
        (r#"{"$f": "353.5"}"#, "fmt", r#"["+G"]"#, "'+353.5'"),
        (r#"{"$f": "123456.7"}"#, "fmt", r#"["-#5F"]"#, "'123456.700000'"),
        (r#"{"$f": "-222.0"}"#, "fmt", r#"["+f"]"#, "'-222.000000'"),
        (r#""\u00e9\u65e5""#, "fmt", r#"["-"]"#, "ValueError: Sign not allowed in string format specifier"),
        (r#"{"$f": "3.14159"}"#, "fmt", r#"["0= #_"]"#, "' 3.14159'"),
        ("true", "fmt", r#"["*^9o"]"#, "'****1****'"),
        (r#"{"$f": "1000000000000000.0"}"#, "fmt", r#"["+f"]"#, "'+1000000000000000.000000'"),
        (r#"{"$f": "1.2567466202718318"}"#, "fmt", r#"["g"]"#, "'1.25675'"),
        (r#"{"$f": "-8.4684414731338"}"#, "fmt", r#"["+.4e"]"#, "'-8.4684e+00'"),
        (r#"{"$f": "0.1"}"#, "fmt", r#"["08f"]"#, "'0.100000'"),
        (r#"{"$f": "-1.5"}"#, "fmt", r#"["\u65e5^-0,g"]"#, "'-1.5'"),
        (r#"{"$f": "-118.375"}"#, "fmt", r#"["+"]"#, "'-118.375'"),
        ("-42", "fmt", r#"["x<?x"]"#, "ValueError: Invalid format specifier 'x<?x' for object of type 'int'"),
        (r#"{"$f": "2.3499756376216907e-224"}"#, "fmt", r#"["g"]"#, "'2.34998e-224'"),
        (r#"{"$f": "1.5"}"#, "fmt", r#"[" E"]"#, "' 1.500000E+00'"),
        ("true", "fmt", r#"["20.17g"]"#, "'                   1'"),
        (r#"{"$f": "1e+22"}"#, "fmt", r#"["_%"]"#, "'999_999_999_999_999_983_222_784.000000%'"),
        (r#"{"$f": "-71.69"}"#, "fmt", r#"["+.1f"]"#, "'-71.7'"),
        (r#""{}""#, "format", "[]", "Other: tuple index out of range"),
        (r#""{{""#, "format", r#"["x"]"#, "'{'"),
        (r#""{!s}""#, "format", r#"["<", ">4"]"#, "'<'"),
        (r#""{:>5}""#, "format", r#"["<", ">4"]"#, "'    <'"),
        (r#""{!a}""#, "format", "[1]", "'1'"),
        (r#""{:{}}""#, "format", r#"["\u00e9<", 5]"#, "'é<   '"),
        (r#""{:.2f}""#, "format", r#"["x"]"#, "ValueError: Unknown format code 'f' for object of type 'str'"),
        (r#""}}""#, "format", r#"[{"$m": "<i>"}]"#, "'}'"),
        (r#""{""#, "format", "[[1, 2]]", "ValueError: Single '{' encountered in format string"),
        (r#""}} {!r""#, "format", r#"[{"$b": [120]}]"#, "ValueError: unmatched '{' in format spec"),
        (r#""{0.real}""#, "format", r#"["\u00e9<", 5]"#, "''"),
        (r#""{.real}""#, "format", "[]", "KeyError: ''"),
        (r#""x""#, "format", "[1]", "'x'"),
        (r#""{!s}""#, "format", r#"[{"$u": "nope"}]"#, "''"),
        (r#""{!a}""#, "format", "[null]", "'None'"),
        (r#""{:.2f}""#, "format", "[[1, 2]]", "TypeError: unsupported format string passed to list.__format__"),
        (r#"{"$m": "{:>5}"}"#, "format", "[1]", "Markup('    1')"),
        (r#"{"$m": "{!r}"}"#, "format", r#"[{"$b": [120]}]"#, "Markup('b&#39;x&#39;')"),
        (r#""{!""#, "format", "[]", "ValueError: end of string while looking for conversion specifier"),
        (r#""{!a}""#, "format", "[[1, 2]]", "'[1, 2]'"),
        (r#""{!s}""#, "format", "[[1, 2]]", "'[1, 2]'"),
        (r#""x {!r}""#, "format", "[1]", "'x 1'"),
        (r#""{0.imag}""#, "format", r#"[{"$u": "nope"}]"#, "UndefinedError: 'nope' is undefined"),
        (r#""{99999999999999999999}""#, "format", "[]", "ValueError: Too many decimal digits in format string"),
        (r#"{"$m": "{:>5}"}"#, "format", "[1, 2]", "Markup('    1')"),
        (r#""{0}""#, "format", r#"["x"]"#, "'x'"),
        (r#"{"$m": "{a"}"#, "format", "[1, 2]", "ValueError: expected '}' before end of string"),
        (r#""{:>5} {:.2f}""#, "format", r#"["\u00e9<", 5]"#, "'   é< 5.00'"),
        (r#""{}""#, "format", r#"["x"]"#, "'x'"),
        (r#""{{""#, "format_map", r#"[{"$d": [["a", {"$u": "nope"}]]}]"#, "'{'"),
        (r#""x""#, "format_map", "[1]", "'x'"),
        (r#"{"$m": "}}"}"#, "format_map", r#"[{"$d": [["a", 1]]}]"#, "Markup('}')"),
        (r#"{"$m": "x"}"#, "format_map", r#"[{"$d": [["a", {"$d": [["b", "B"]]}]]}]"#, "Markup('x')"),
        (r#""{{""#, "format_map", r#"[{"$t": [1]}]"#, "'{'"),
        (r#""x""#, "format_map", "[null]", "'x'"),
        (r#""{a}""#, "format_map", r#"[{"$d": [["a", {"$u": "nope"}]]}]"#, "''"),
        (r#"{"$m": "{a!r:>9}"}"#, "format_map", r#"[{"$d": [["a", {"$u": "nope"}]]}]"#, "Markup('Undefined')"),
        (r#"{"$m": "x"}"#, "format_map", r#"[{"$d": [["a", 1]]}]"#, "Markup('x')"),
        (r#""{a!r:>9}""#, "format_map", r#"[{"$d": [["a", 1]]}]"#, "'        1'"),
        (r#""{a{b}""#, "format_map", "[[1]]", "ValueError: unexpected '{' in field name"),
        (r#"{"$m": "{{"}"#, "format_map", "[[1]]", "Markup('{')"),
        (r#""{{""#, "format_map", r#"[{"$d": [["a", [1]]]}]"#, "'{'"),
        (r#""{a""#, "format_map", r#"[{"$d": []}]"#, "ValueError: expected '}' before end of string"),
        (r#"{"$m": "}}"}"#, "format_map", "[[1]]", "Markup('}')"),
        (r#"{"$m": "{{"}"#, "format_map", r#"[{"$d": [["a", {"$d": [["b", "B"]]}]]}]"#, "Markup('{')"),
        (r#""{a]x}""#, "format_map", "[1]", "TypeError: 'int' object is not subscriptable"),
        (r#""{{""#, "format_map", r#"[{"$d": []}]"#, "'{'"),
        (r#""{a.}""#, "format_map", r#"[{"$d": [["a", [1]]]}]"#, "ValueError: Empty attribute in format string"),
        (r#""{a!r:>9}""#, "format_map", r#"[{"$d": [["a", [1]]]}]"#, "'      [1]'"),
        (r#""{a..b}""#, "format_map", "[[1]]", "TypeError: list indices must be integers or slices, not str"),
        (r#"{"$m": "{{"}"#, "format_map", r#"[{"$d": []}]"#, "Markup('{')"),
        (r#""{0!r:^{1}}""#, "format_map", "[1]", "Other: tuple index out of range"),
        (r#""{a!r:>9}""#, "format_map", r#"[{"$d": [["a", {"$d": [["b", "B"]]}]]}]"#, r#""{'b': 'B'}""#),
        (r#"{"$m": "}}"}"#, "format_map", r#"["x"]"#, "Markup('}')"),
        (r#""{{""#, "format_map", "[null]", "'{'"),
        (r#""{!rx}""#, "format_map", r#"["x"]"#, "ValueError: expected ':' after conversion specifier"),
        (r#"{"$m": "}}"}"#, "format_map", r#"[{"$d": []}]"#, "Markup('}')"),
        (r#""x""#, "format_map", r#"[{"$d": [["a", {"$d": [["b", "B"]]}]]}]"#, "'x'"),
        (r#"{"$m": "{ }"}"#, "format_map", r#"[{"$d": [["a", [1]]]}]"#, "KeyError: ' '"),
        (r#""}}""#, "format_map", "[[1]]", "'}'"),
    ];

    #[test]
    fn formatting_does_as_in_python() {
        check(ROWS);
    }
}
