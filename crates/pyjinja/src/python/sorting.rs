//! Python's `sorted`.

use crate::{
    eval::rendering::Rendering,
    python::{comparison::less, exception::PyResult, value::Value},
};

/// Sorts pairs of a key and a value by their keys. It compares keys in the order in which Python does, so that the same
/// pair is named where two can't be compared.
pub(crate) fn sorted(
    rendering: &Rendering,
    mut items: Vec<(Value, Value)>,
    reverse: bool,
) -> PyResult<Vec<(Value, Value)>> {
    // Keys are text nearly always, and text can always be compared.
    if !reverse && items.iter().all(|(key, _)| matches!(key, Value::Str(_))) {
        rendering.work(items.len() * 4)?;
        items.sort_by(|(a, _), (b, _)| a.as_str().map(|a| &a.text).cmp(&b.as_str().map(|b| &b.text)));
        return Ok(items);
    }
    if reverse {
        items.reverse();
    }
    let mut runs: Vec<Vec<(Value, Value)>> = Vec::new();
    // Python's runs are this long: all items, or halves of them down to 64 and less.
    let length = run_length(items.len());
    let mut rest = items.into_iter().peekable();
    while rest.peek().is_some() {
        runs.push(insertion_sorted(rendering, rest.by_ref().take(length).collect())?);
    }
    while runs.len() > 1 {
        let mut merged = Vec::with_capacity(runs.len().div_ceil(2));
        let mut pairs = runs.into_iter();
        while let Some(first) = pairs.next() {
            merged.push(match pairs.next() {
                Some(second) => merge(rendering, first, second)?,
                None => first,
            });
        }
        runs = merged;
    }
    let mut items = runs.pop().unwrap_or_default();
    if reverse {
        items.reverse();
    }
    Ok(items)
}

fn run_length(mut length: usize) -> usize {
    let mut odd = 0;
    while length >= 64 {
        odd |= length & 1;
        length >>= 1;
    }
    (length + odd).max(1)
}

fn insertion_sorted(rendering: &Rendering, mut items: Vec<(Value, Value)>) -> PyResult<Vec<(Value, Value)>> {
    let ordered = leading_run(rendering, &mut items)?;
    for at in ordered..items.len() {
        let (mut low, mut high) = (0, at);
        while low < high {
            rendering.work(1)?;
            let middle = usize::midpoint(low, high);
            if less(&items[at].0, &items[middle].0)? {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        items[low..=at].rotate_right(1);
    }
    Ok(items)
}

/// How many items at the start are in order; a falling run is turned round.
fn leading_run(rendering: &Rendering, items: &mut [(Value, Value)]) -> PyResult<usize> {
    let mut falling = None;
    let mut length = items.len().min(1);
    for at in 1..items.len() {
        rendering.work(1)?;
        let falls = less(&items[at].0, &items[at - 1].0)?;
        if *falling.get_or_insert(falls) != falls {
            break;
        }
        length = at + 1;
    }
    if falling == Some(true) {
        items[..length].reverse();
    }
    Ok(length)
}

fn merge(
    rendering: &Rendering,
    first: Vec<(Value, Value)>,
    second: Vec<(Value, Value)>,
) -> PyResult<Vec<(Value, Value)>> {
    let mut merged = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter().peekable(), second.into_iter().peekable());
    while let (Some(a), Some(b)) = (first.peek(), second.peek()) {
        rendering.work(1)?;
        let next = if less(&b.0, &a.0)? { second.next() } else { first.next() };
        merged.extend(next);
    }
    merged.extend(first);
    merged.extend(second);
    Ok(merged)
}
