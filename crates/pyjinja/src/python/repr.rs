//! `str(x)` and `repr(x)`.

use std::{fmt::Write, rc::Rc, sync::Arc};

use crate::{
    eval::{budget, rendering::Rendering},
    python::{
        exception::{PyResult, other_error},
        floats::float_repr,
        numbers::digits::int_text,
        quote::quote,
        value::{DictClass, Text, Value},
    },
};

/// `str(x)`
pub(crate) fn string(rendering: &Rendering, value: &Value) -> PyResult<Arc<str>> {
    match value {
        Value::Str(text) => Ok(Arc::clone(&text.text)),
        Value::Undefined(_) => rendering.check_defined(value).map(|()| Arc::from("")),
        Value::Object(object) => Ok(Arc::from(object.str(rendering)?)),
        Value::Dict(dict) if dict.class == DictClass::OfData => mapping_of_data(rendering, value),
        other => Ok(Arc::from(repr(rendering, other)?)),
    }
}

/// `str(x)` of a mapping of the data.
fn mapping_of_data(rendering: &Rendering, value: &Value) -> PyResult<Arc<str>> {
    let text = repr(rendering, value)?;
    let Some(change) = rendering.registry.text_of_mappings else { return Ok(Arc::from(text)) };
    let counted = text.len();
    // It makes another text.
    rendering.allocate(counted)?;
    let text = change(text);
    rendering.allocate(text.len().saturating_sub(counted))?;
    Ok(Arc::from(text))
}

/// `repr(x)`
pub(crate) fn repr(rendering: &Rendering, value: &Value) -> PyResult<String> {
    let mut printer = Printer { rendering, out: String::new(), counted: 0, open: Vec::new() };
    printer.value(value)?;
    Ok(printer.out)
}

/// Writes the `repr` of a value.
struct Printer<'a> {
    rendering: &'a Rendering,
    out: String,
    /// How many bytes of `out` are counted against the bound already.
    counted: usize,
    /// The containers around the value, by address: one that contains itself prints as dots there.
    open: Vec<*const ()>,
}

impl Printer<'_> {
    fn value(&mut self, value: &Value) -> PyResult<()> {
        match value {
            Value::Undefined(_) => self.out.push_str("Undefined"),
            Value::None => self.out.push_str("None"),
            Value::Bool(true) => self.out.push_str("True"),
            Value::Bool(false) => self.out.push_str("False"),
            Value::Int(number) => drop(write!(self.out, "{number}")),
            Value::Big(number) => self.out.push_str(&int_text(number)?),
            Value::Float(number) => self.out.push_str(&float_repr(*number)),
            Value::Str(Text { text, safe: false }) => self.out.push_str(&quote(text)),
            Value::Str(Text { text, safe: true }) => drop(write!(self.out, "Markup({})", quote(text))),
            Value::List(list) => {
                let items = list.items();
                self.container(Rc::as_ptr(list).cast(), ["[", "]"], |printer| printer.items(&items))?;
            }
            Value::Tuple(tuple) => {
                self.container(Rc::as_ptr(tuple).cast(), ["(", ")"], |printer| {
                    printer.items(&tuple.items)?;
                    if tuple.items.len() == 1 {
                        printer.out.push(',');
                    }
                    Ok(())
                })?;
            }
            Value::Dict(dict) => {
                let entries = dict.entries();
                let brackets = if dict.is_defaulting() { ["defaultdict(<class 'str'>, {", "})"] } else { ["{", "}"] };
                self.container(Rc::as_ptr(dict).cast(), brackets, |printer| {
                    for (index, (key, value)) in entries.iter().enumerate() {
                        if index > 0 {
                            printer.out.push_str(", ");
                        }
                        printer.value(key.value())?;
                        printer.out.push_str(": ");
                        printer.value(value)?;
                    }
                    Ok(())
                })?;
            }
            Value::Object(object) => {
                let text = object.repr(self.rendering)?;
                self.out.push_str(&text);
            }
        }
        self.count()
    }

    fn items(&mut self, items: &[Value]) -> PyResult<()> {
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push_str(", ");
            }
            self.value(item)?;
        }
        Ok(())
    }

    fn container(
        &mut self,
        address: *const (),
        brackets: [&str; 2],
        inside: impl FnOnce(&mut Self) -> PyResult<()>,
    ) -> PyResult<()> {
        let Some(_level) = budget::deeper() else {
            return other_error("maximum recursion depth exceeded while getting the repr of an object");
        };
        self.out.push_str(brackets[0]);
        if self.open.contains(&address) {
            self.out.push_str("...");
        } else {
            self.open.push(address);
            inside(self)?;
            self.open.pop();
        }
        self.out.push_str(brackets[1]);
        Ok(())
    }

    fn count(&mut self) -> PyResult<()> {
        let more = self.out.len() - self.counted;
        self.counted = self.out.len();
        self.rendering.allocate(more)
    }
}
