//! `str.center`, `ljust`, `rjust`, `zfill` and `expandtabs`.

use crate::{
    eval::rendering::Rendering,
    python::{
        arguments::{Args, size},
        exception::{PyResult, other_error, type_error},
        value::{Text, Value},
    },
};

/// `str.center`, `ljust` and `rjust`
pub(super) fn justify(rendering: &Rendering, receiver: &Text, method: &str, args: Args) -> PyResult {
    let mut args = args.builtin(&format!("str.{method}"), 1, 2)?.into_iter();
    let width = size(&args.next().unwrap_or(Value::None))?;
    let fill = match args.next() {
        None => ' ',
        Some(Value::Str(fill)) => {
            let mut chars = fill.chars();
            match (chars.next(), chars.next()) {
                (Some(fill), None) => fill,
                _ => return type_error("The fill character must be exactly one character long"),
            }
        }
        Some(other) => {
            return type_error(format!("The fill character must be a unicode character, not {}", other.type_name()));
        }
    };
    let missing = missing(receiver.chars().count(), width);
    rendering.allocate(missing.saturating_mul(fill.len_utf8()).saturating_add(receiver.len()))?;
    let left = match method {
        "ljust" => 0,
        "rjust" => missing,
        // Python puts the odd character to the left where the width is odd.
        _ => missing / 2 + (missing & usize::try_from(width).unwrap_or(0) & 1),
    };
    let fill = |count: usize| fill.to_string().repeat(count);
    Ok(receiver.like(format!("{}{}{}", fill(left), &**receiver, fill(missing - left))))
}

/// `str.zfill`
pub(super) fn fill_zeros(rendering: &Rendering, receiver: &Text, args: Args) -> PyResult {
    let args = args.builtin("str.zfill", 1, 1)?;
    let width = args.first().map_or(Ok(0), size)?;
    let missing = missing(receiver.chars().count(), width);
    rendering.allocate(missing.saturating_add(receiver.len()))?;
    let (sign, digits) = receiver.split_at(usize::from(missing > 0 && receiver.starts_with(['+', '-'])));
    Ok(receiver.like(format!("{sign}{}{digits}", "0".repeat(missing))))
}

/// `str.expandtabs`
pub(super) fn expand_tabs(rendering: &Rendering, receiver: &Text, args: Args) -> PyResult {
    let size = args.keywords("expandtabs", &[], &["tabsize"], 1)?.into_iter().next().flatten();
    let size = match size {
        None => 8,
        Some(Value::Big(_)) => return other_error("Python int too large to convert to C int"),
        Some(size) => match size.index()? {
            size if i32::try_from(size).is_err() => return other_error("Python int too large to convert to C int"),
            size => usize::try_from(size).unwrap_or(0),
        },
    };
    let mut out = String::with_capacity(receiver.len());
    let mut column = 0;
    rendering.allocate(receiver.len())?;
    for c in receiver.chars() {
        match c {
            '\t' if size > 0 => {
                let spaces = size - column % size;
                rendering.allocate(spaces)?;
                out.push_str(&" ".repeat(spaces));
                column += spaces;
            }
            '\t' => {}
            other => {
                column = if matches!(other, '\n' | '\r') { 0 } else { column + 1 };
                out.push(other);
            }
        }
    }
    Ok(receiver.like(out))
}

/// How many characters a text of this length lacks of the width.
fn missing(length: usize, width: i64) -> usize {
    usize::try_from(width).unwrap_or(0).saturating_sub(length)
}
