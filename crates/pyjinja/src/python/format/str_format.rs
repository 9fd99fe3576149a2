//! `str.format` and `str.format_map`, as Jinja2's sandbox runs them.

use crate::{
    eval::{access, rendering::Rendering},
    python::{
        arguments::Args,
        exception::{Exception, ExceptionClass, PyResult, other_error, type_error, value_error},
        format::{characters::Characters, spec::format_value},
        markup::escape,
        quote::{self, quote},
        repr,
        unicode::is_digit,
        value::{Text, Value},
    },
};

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

/// How the fields without a name are numbered: by themselves, or not at all once a field has a number.
enum Numbering {
    /// The number of the next field.
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
        let mut rest = Characters::new(format);
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
            Some('s') => Value::text(repr::string(self.rendering, &value)?),
            Some('r') => Value::text(repr::repr(self.rendering, &value)?),
            Some('a') => Value::text(quote::ascii(&repr::repr(self.rendering, &value)?)),
            Some(other) => return value_error(format!("Unknown conversion specifier {other}")),
        };
        let spec = self.format(field.spec, depth - 1)?;
        if !self.safe {
            return format_value(self.rendering, &value, &spec);
        }
        match value {
            Value::Str(Text { safe: true, .. }) if !spec.is_empty() => {
                value_error("Unsupported format specification for Markup.")
            }
            Value::Str(Text { text, safe: true }) => Ok(text.to_string()),
            other => Ok(escape(&format_value(self.rendering, &other, &spec)?)),
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
                Step::Attribute(name) => access::attribute(self.rendering, &value, name)?,
                Step::Item(key) => access::item(self.rendering, &value, &key)?,
            };
        }
        Ok(value)
    }

    fn named_value(&self, name: &str) -> PyResult {
        match self.named {
            Value::Dict(dict) => dict
                .subscript(self.rendering, &Value::from(name))?
                .ok_or_else(|| Exception::new(ExceptionClass::KeyError, quote(name))),
            Value::Undefined(undefined) => Err(undefined.raise()),
            Value::Str(_) => type_error("string indices must be integers, not 'str'"),
            Value::List(_) => type_error("list indices must be integers or slices, not str"),
            Value::Tuple(_) => type_error("tuple indices must be integers or slices, not str"),
            other => type_error(format!("'{}' object is not subscriptable", other.type_name())),
        }
    }
}

/// The number that `text` is; None if it is none.
fn whole_number(text: &str) -> PyResult<Option<usize>> {
    let mut digits = Characters::new(text);
    let number = digits.integer();
    if digits.rest().is_empty() || number.is_err() { number } else { Ok(None) }
}

/// A step from a value to one of its attributes or items.
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

/// A replacement field: the text between braces.
struct Field<'a> {
    name: &'a str,
    conversion: Option<char>,
    spec: &'a str,
}

impl<'a> Field<'a> {
    /// Reads from behind the opening brace to behind the closing one.
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
