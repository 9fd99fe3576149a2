//! `json.dumps`, and Jinja2's `tojson` on top of it.

use std::{fmt::Write, rc::Rc, sync::Arc};

use super::{
    arguments::{Args, Signature},
    operators,
    raise::{Res, other_error, type_error, value_error},
    run::Run,
    value::{DEPTH, Text, Value},
};
use crate::core::json::float_repr;

/// The keywords of `json.dumps`.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) sort_keys: bool,
    /// What one level of nesting is moved in by; everything stands on one line without it.
    pub(super) indent: Option<Arc<str>>,
    pub(super) ensure_ascii: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { sort_keys: false, indent: None, ensure_ascii: true }
    }
}

/// `json.dumps(value, **options)`
pub(super) fn dumps(run: &Run, value: &Value, options: Options) -> Res<String> {
    let mut writer = Writer { run, options, out: String::new(), counted: 0, open: Vec::new() };
    writer.value(value)?;
    Ok(writer.out)
}

/// The filter `tojson`: JSON that may stand in HTML.
pub(super) fn tojson(run: &Run, args: Args) -> Res {
    const SIGNATURE: Signature = Signature::new("do_tojson", 1, &["value"], &["indent"]);
    let mut bound = args.bind(&SIGNATURE)?.into_iter();
    let value = bound.next().flatten().unwrap_or(Value::None);
    let indent = match (&value, bound.next().flatten()) {
        // Text alone is written before the indent is looked at.
        (Value::Str(_), _) | (_, None | Some(Value::None)) => None,
        (_, Some(indent)) => Some(indentation(run, &indent)?),
    };
    let json = dumps(run, &value, Options { sort_keys: true, indent, ensure_ascii: true })?;
    Ok(Value::Str(Text::safe(html_safe(run, &json)?)))
}

fn indentation(run: &Run, indent: &Value) -> Res<Arc<str>> {
    match operators::binary(run, operators::Operator::Mul, &Value::from(" "), indent) {
        _ if let Value::Str(text) = indent => Ok(Arc::clone(&text.text)),
        Ok(Value::Str(text)) => Ok(text.text),
        Ok(_) => Ok(Arc::from("")),
        Err(raise) => Err(raise),
    }
}

fn html_safe(run: &Run, json: &str) -> Res<String> {
    let special = json.bytes().filter(|byte| b"<>&'".contains(byte)).count();
    run.allocate(json.len() + special * 5)?;
    let mut out = String::with_capacity(json.len() + special * 5);
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\'' => escape(&mut out, u32::from(c)),
            c => out.push(c),
        }
    }
    Ok(out)
}

fn escape(out: &mut String, unit: u32) {
    // Writing to a String can't fail.
    let _ = write!(out, "\\u{unit:04x}");
}

struct Writer<'a> {
    run: &'a Run,
    options: Options,
    out: String,
    /// How much of `out` is counted already.
    counted: usize,
    /// The containers that stand around, by address.
    open: Vec<*const ()>,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value) -> Res<()> {
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
                self.run.allocate(size_of_val(entries.as_slice()))?;
                if self.options.sort_keys {
                    sort(self.run, &mut entries)?;
                }
                self.object(Rc::as_ptr(dict).cast(), &entries)?;
            }
            other => match plain(other) {
                Some(text) => self.out.push_str(&text),
                None => {
                    return type_error(format!("Object of type {} is not JSON serializable", other.type_name()));
                }
            },
        }
        self.count()
    }

    fn array(&mut self, address: *const (), items: &[Value]) -> Res<()> {
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

    fn object(&mut self, address: *const (), entries: &[(Value, Value)]) -> Res<()> {
        if entries.is_empty() {
            self.out.push_str("{}");
            return Ok(());
        }
        self.enter(address)?;
        for (index, (key, value)) in entries.iter().enumerate() {
            self.separate(if index == 0 { "{" } else { "," });
            match (key, plain(key)) {
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

    fn enter(&mut self, address: *const ()) -> Res<()> {
        if self.open.contains(&address) {
            return value_error("Circular reference detected");
        }
        if self.open.len() >= DEPTH {
            return other_error("maximum recursion depth exceeded while encoding a JSON object");
        }
        self.open.push(address);
        self.run.work(1)
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

    fn count(&mut self) -> Res<()> {
        let more = self.out.len() - self.counted;
        self.counted = self.out.len();
        self.run.allocate(more)
    }
}

/// What is written without quotes, as a key within them.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::None => Some("null".to_owned()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Int(value) => Some(value.to_string()),
        Value::Big(value) => Some(value.to_string()),
        Value::Float(value) if value.is_nan() => Some("NaN".to_owned()),
        Value::Float(value) if value.is_infinite() => {
            Some(if *value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned())
        }
        Value::Float(value) => Some(float_repr(*value)),
        _ => None,
    }
}

/// `sorted(entries)`, with Python's order of comparisons, which decides what is said of keys that have no order.
fn sort(run: &Run, entries: &mut [(Value, Value)]) -> Res<()> {
    if entries.iter().all(|(key, _)| matches!(key, Value::Str(_))) {
        run.work(entries.len())?;
        entries.sort_by(|(a, _), (b, _)| match (a, b) {
            (Value::Str(a), Value::Str(b)) => a.text.cmp(&b.text),
            _ => std::cmp::Ordering::Equal,
        });
        return Ok(());
    }
    for at in ordered(entries)?..entries.len() {
        run.work(at / 8 + 1)?;
        let (mut low, mut high) = (0, at);
        while low < high {
            let middle = usize::midpoint(low, high);
            if before(entries, at, middle)? {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        if let Some(moved) = entries.get_mut(low..=at) {
            moved.rotate_right(1);
        }
    }
    Ok(())
}

/// Puts the entries in order that are in order or in opposite order at the start, and counts them.
fn ordered(entries: &mut [(Value, Value)]) -> Res<usize> {
    let mut end = 1.min(entries.len());
    if entries.len() > 1 {
        let descending = before(entries, 1, 0)?;
        end = 2;
        while end < entries.len() && before(entries, end, end - 1)? == descending {
            end += 1;
        }
        if descending && let Some(run) = entries.get_mut(..end) {
            run.reverse();
        }
    }
    Ok(end)
}

fn before(entries: &[(Value, Value)], a: usize, b: usize) -> Res<bool> {
    match (entries.get(a), entries.get(b)) {
        (Some((a, _)), Some((b, _))) => operators::less(a, b),
        _ => Ok(false),
    }
}
