//! `json.dumps`, and Jinja2's `tojson` on top of it.

use std::{fmt::Write, rc::Rc, sync::Arc};

use crate::{
    eval::{budget::DEPTH, rendering::Rendering},
    python::{
        arguments::{Args, Signature},
        exception::{PyResult, other_error, type_error, value_error},
        floats::float_repr,
        numbers::digits::int_text,
        object::Operator,
        operators, sorting,
        value::{Text, Value},
    },
};

/// The keywords of `json.dumps`.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether the keys of dicts are sorted.
    pub sort_keys: bool,
    /// The indent of one level of nesting; without it, everything stands on one line.
    pub indent: Option<Arc<str>>,
    /// Whether everything outside ASCII is escaped.
    pub ensure_ascii: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { sort_keys: false, indent: None, ensure_ascii: true }
    }
}

/// `json.dumps(value, **options)`
pub(crate) fn dumps(rendering: &Rendering, value: &Value, options: Options) -> PyResult<String> {
    let mut writer = Writer { rendering, options, out: String::new(), counted: 0, open: Vec::new() };
    writer.value(value)?;
    Ok(writer.out)
}

/// The filter `tojson`: JSON that may stand in HTML.
pub(crate) fn tojson(rendering: &Rendering, args: Args) -> PyResult {
    const SIGNATURE: Signature = Signature::new("do_tojson", 1, &["value"], &["indent"]);
    let mut bound = args.bind(&SIGNATURE)?.into_iter();
    let value = bound.next().flatten().unwrap_or(Value::None);
    let indent = match (&value, bound.next().flatten()) {
        // A text alone ignores its indent, even a wrong one.
        (Value::Str(_), _) | (_, None | Some(Value::None)) => None,
        (_, Some(indent)) => Some(indentation(rendering, &indent)?),
    };
    let json = dumps(rendering, &value, Options { sort_keys: true, indent, ensure_ascii: true })?;
    Ok(Value::Str(Text::safe(html_safe(rendering, &json)?)))
}

/// The indent as text: a number of spaces, or the text itself.
fn indentation(rendering: &Rendering, indent: &Value) -> PyResult<Arc<str>> {
    match operators::binary(rendering, Operator::Mul, &Value::from(" "), indent) {
        _ if let Value::Str(text) = indent => Ok(Arc::clone(&text.text)),
        Ok(Value::Str(text)) => Ok(text.text),
        Ok(_) => Ok(Arc::from("")),
        Err(exception) => Err(exception),
    }
}

/// JSON with the characters escaped that mean something in HTML.
fn html_safe(rendering: &Rendering, json: &str) -> PyResult<String> {
    let special = json.bytes().filter(|byte| b"<>&'".contains(byte)).count();
    rendering.allocate(json.len() + special * 5)?;
    let mut out = String::with_capacity(json.len() + special * 5);
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\'' => escape(&mut out, u32::from(c)),
            c => out.push(c),
        }
    }
    Ok(out)
}

/// Writes a unit of UTF-16 as `\uXXXX`.
fn escape(out: &mut String, unit: u32) {
    // Writing to a String can't fail.
    let _ = write!(out, "\\u{unit:04x}");
}

/// Writes a value as JSON.
struct Writer<'a> {
    rendering: &'a Rendering,
    options: Options,
    out: String,
    /// How many bytes of `out` are counted against the bound already.
    counted: usize,
    /// The containers around the value, by address.
    open: Vec<*const ()>,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value) -> PyResult<()> {
        match value {
            Value::Str(text) => self.text(text),
            Value::List(list) => {
                let items = list.items();
                self.array(Rc::as_ptr(list).cast(), &items)?;
            }
            Value::Tuple(tuple) => self.array(Rc::as_ptr(tuple).cast(), &tuple.items)?,
            Value::Dict(dict) => {
                let mut entries: Vec<(Value, Value)> =
                    dict.entries().iter().map(|(key, value)| (key.value().clone(), value.clone())).collect();
                self.rendering.allocate(size_of_val(entries.as_slice()))?;
                if self.options.sort_keys {
                    entries = sorting::sorted(self.rendering, entries, false)?;
                }
                self.object(Rc::as_ptr(dict).cast(), &entries)?;
            }
            other => match plain(other)? {
                Some(text) => self.out.push_str(&text),
                None => {
                    return type_error(format!("Object of type {} is not JSON serializable", other.type_name()));
                }
            },
        }
        self.count()
    }

    fn array(&mut self, address: *const (), items: &[Value]) -> PyResult<()> {
        if items.is_empty() {
            self.out.push_str("[]");
            return Ok(());
        }
        self.enter(address)?;
        for (index, item) in items.iter().enumerate() {
            self.separate(if index == 0 { "[" } else { "," });
            self.value(item)?;
        }
        self.leave("]");
        Ok(())
    }

    fn object(&mut self, address: *const (), entries: &[(Value, Value)]) -> PyResult<()> {
        if entries.is_empty() {
            self.out.push_str("{}");
            return Ok(());
        }
        self.enter(address)?;
        for (index, (key, value)) in entries.iter().enumerate() {
            self.separate(if index == 0 { "{" } else { "," });
            match (key, plain(key)?) {
                (Value::Str(text), _) => self.text(text),
                (_, Some(text)) => self.text(&text),
                (other, None) => {
                    return type_error(format!(
                        "keys must be str, int, float, bool or None, not {}",
                        other.type_name()
                    ));
                }
            }
            self.out.push_str(": ");
            self.value(value)?;
        }
        self.leave("}");
        Ok(())
    }

    fn enter(&mut self, address: *const ()) -> PyResult<()> {
        if self.open.contains(&address) {
            return value_error("Circular reference detected");
        }
        if self.open.len() >= DEPTH {
            return other_error("maximum recursion depth exceeded while encoding a JSON object");
        }
        self.open.push(address);
        self.rendering.work(1)
    }

    fn leave(&mut self, bracket: &str) {
        self.open.pop();
        self.line();
        self.out.push_str(bracket);
    }

    fn separate(&mut self, mark: &str) {
        self.out.push_str(mark);
        if self.options.indent.is_none() && mark == "," {
            self.out.push(' ');
        }
        self.line();
    }

    fn line(&mut self) {
        if let Some(indent) = &self.options.indent {
            self.out.push('\n');
            for _ in &self.open {
                self.out.push_str(indent);
            }
        }
    }

    fn text(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                ' '..='~' => self.out.push(c),
                '\0'..='\u{1f}' => escape(&mut self.out, u32::from(c)),
                _ if self.options.ensure_ascii => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        escape(&mut self.out, u32::from(*unit));
                    }
                }
                _ => self.out.push(c),
            }
        }
        self.out.push('"');
    }

    fn count(&mut self) -> PyResult<()> {
        let more = self.out.len() - self.counted;
        self.counted = self.out.len();
        self.rendering.allocate(more)
    }
}

/// The text of a value that is written without quotes, unless it is a key; None for values that need another form.
fn plain(value: &Value) -> PyResult<Option<String>> {
    Ok(match value {
        Value::None => Some("null".to_owned()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Int(value) => Some(value.to_string()),
        Value::Big(value) => Some(int_text(value)?),
        Value::Float(value) if value.is_nan() => Some("NaN".to_owned()),
        Value::Float(value) if value.is_infinite() => {
            Some(if *value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned())
        }
        Value::Float(value) => Some(float_repr(*value)),
        _ => None,
    })
}
