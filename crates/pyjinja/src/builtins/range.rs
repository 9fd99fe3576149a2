//! `range`, as Jinja2's sandbox lets templates have it.

use std::num::NonZeroI64;

use crate::{
    eval::rendering::Rendering,
    python::{
        arguments::Args,
        exception::{Exception, ExceptionClass, PyResult, type_error, value_error},
        object::Object,
        value::Value,
    },
};

/// Jinja2's bound on the numbers of a range.
const MAX_RANGE: u64 = 100_000;

/// `range(stop)` or `range(start, stop, step)`
pub(super) fn range(_rendering: &Rendering, args: Args) -> PyResult {
    let Args { positional, named } = args;
    if let Some((name, _)) = named.first() {
        return type_error(format!("safe_range() got an unexpected keyword argument '{name}'"));
    }
    let numbers: Vec<i64> = positional.iter().map(Value::index).collect::<PyResult<_>>()?;
    let (start, stop, step) = match numbers[..] {
        [stop] => (0, stop, 1),
        [start, stop] => (start, stop, 1),
        [start, stop, step] => (start, stop, step),
        [] => return type_error("range expected at least 1 argument, got 0"),
        _ => return type_error(format!("range expected at most 3 arguments, got {}", numbers.len())),
    };
    let Some(step) = NonZeroI64::new(step) else { return value_error("range() arg 3 must not be zero") };
    let range = Range { start, stop, step };
    if range.count() > MAX_RANGE {
        let message = format!("Range too big. The sandbox blocks ranges larger than MAX_RANGE ({MAX_RANGE}).");
        return Err(Exception::new(ExceptionClass::OverflowError, message));
    }
    Ok(Value::object(range))
}

struct Range {
    start: i64,
    stop: i64,
    step: NonZeroI64,
}

impl Range {
    fn count(&self) -> u64 {
        let towards_stop = if self.step.get() > 0 { self.start < self.stop } else { self.start > self.stop };
        if towards_stop { self.start.abs_diff(self.stop).div_ceil(self.step.get().unsigned_abs()) } else { 0 }
    }

    fn numbers(&self) -> impl DoubleEndedIterator<Item = i64> {
        (0..i64::try_from(self.count()).unwrap_or(0)).map(|at| self.start + at * self.step.get())
    }
}

impl Object for Range {
    fn type_name(&self) -> &'static str {
        "range"
    }

    fn repr(&self, _rendering: &Rendering) -> PyResult<String> {
        let Self { start, stop, step } = self;
        Ok(if step.get() == 1 { format!("range({start}, {stop})") } else { format!("range({start}, {stop}, {step})") })
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        match name {
            "start" => Some(Value::Int(self.start)),
            "stop" => Some(Value::Int(self.stop)),
            "step" => Some(Value::Int(self.step.get())),
            _ => None,
        }
    }

    fn item(&self, key: &Value) -> Option<Value> {
        let at = key.index().ok()?;
        let mut numbers = self.numbers();
        let nth = |at: u64| usize::try_from(at).ok();
        if at < 0 { numbers.nth_back(nth(at.unsigned_abs() - 1)?) } else { numbers.nth(nth(at.unsigned_abs())?) }
            .map(Value::Int)
    }

    fn length(&self) -> Option<usize> {
        usize::try_from(self.count()).ok()
    }

    fn iterable(&self) -> bool {
        true
    }

    fn iterate(&self, rendering: &Rendering) -> Option<PyResult<Vec<Value>>> {
        let items = || {
            rendering.work(self.length().unwrap_or(0) / 2)?;
            Ok(self.numbers().map(Value::Int).collect())
        };
        Some(items())
    }

    fn equals(&self, other: &Value) -> Option<bool> {
        Some(other.downcast::<Self>().is_some_and(|other| self.numbers().eq(other.numbers())))
    }

    fn hash(&self) -> Option<u64> {
        Some(self.count())
    }
}
