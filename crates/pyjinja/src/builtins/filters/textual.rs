//! Filters that take a text and give a text: `title`, `replace`, `truncate`, `indent`, `urlencode` and so on.

use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{flag, given, missing_attribute, soft};
use crate::{
    eval::rendering::Rendering,
    python::{
        arguments::{Args, Signature},
        comparison::{self, Comparison},
        exception::{Exception, ExceptionClass, PyResult, other_error, type_error, value_error},
        markup,
        object::Operator,
        operators,
        quote::quote,
        repr, sequence, string, unicode,
        value::{Text, Value},
    },
};

/// A method of `str`, applied to the text of whatever comes in.
fn method(rendering: &Rendering, name: &'static str, args: Args, method: &str) -> PyResult {
    let [value] = args.take_all(&Signature::new(name, 0, &["s"], &[]))?;
    string::call(rendering, &soft(rendering, &given(value))?, method, Args::default())
}

pub(super) fn upper(rendering: &Rendering, args: Args) -> PyResult {
    method(rendering, "do_upper", args, "upper")
}

pub(super) fn lower(rendering: &Rendering, args: Args) -> PyResult {
    method(rendering, "do_lower", args, "lower")
}

pub(super) fn capitalize(rendering: &Rendering, args: Args) -> PyResult {
    method(rendering, "do_capitalize", args, "capitalize")
}

pub(super) fn title(rendering: &Rendering, args: Args) -> PyResult {
    let [value] = args.take_all(&Signature::new("do_title", 0, &["s"], &[]))?;
    let value = soft(rendering, &given(value))?;
    let between = |c: char| c == '-' || unicode::is_space(c) || "({[<".contains(c);
    let mut titled = String::with_capacity(value.len());
    let mut start = 0;
    // Runs of separators and runs of others, each with its first letter raised and the rest lowered.
    while let Some(rest) = value.get(start..).filter(|rest| !rest.is_empty()) {
        let kind = rest.starts_with(between);
        let part = &rest[..rest.find(|c| between(c) != kind).unwrap_or(rest.len())];
        let mut chars = part.chars();
        titled.extend(chars.next().into_iter().flat_map(char::to_uppercase));
        if chars.as_str().is_ascii() {
            titled.extend(chars.map(|c| c.to_ascii_lowercase()));
        } else {
            // Where a letter stands in its word matters to some.
            titled.push_str(&chars.as_str().to_lowercase());
        }
        start += part.len();
    }
    Ok(Value::text(titled))
}

pub(super) fn trim(rendering: &Rendering, args: Args) -> PyResult {
    let [value, chars] = args.take_all(&Signature::new("do_trim", 0, &["value"], &["chars"]))?;
    string::call(rendering, &soft(rendering, &given(value))?, "strip", Args::of(chars.into_iter().collect()))
}

pub(super) fn center(rendering: &Rendering, args: Args) -> PyResult {
    let [value, width] = args.take_all(&Signature::new("do_center", 0, &["value"], &["width"]))?;
    string::call(rendering, &soft(rendering, &given(value))?, "center", Args::of(vec![width.unwrap_or(Value::Int(80))]))
}

pub(super) fn striptags(rendering: &Rendering, args: Args) -> PyResult {
    let [value] = args.take_all(&Signature::new("do_striptags", 0, &["value"], &[]))?;
    Ok(Value::text(markup::striptags(&repr::string(rendering, &given(value))?)))
}

pub(super) fn format(rendering: &Rendering, mut args: Args) -> PyResult {
    if args.positional.is_empty() {
        return type_error("do_format() missing 1 required positional argument: 'value'");
    }
    if args.named.iter().any(|(name, _)| name == "value") {
        return type_error("do_format() got multiple values for argument 'value'");
    }
    let format = soft(rendering, &args.positional.remove(0))?;
    let values = match (args.positional.is_empty(), args.named.is_empty()) {
        (false, false) => {
            return other_error("can't handle positional and keyword arguments at the same time");
        }
        (_, true) => Value::tuple(args.positional),
        (true, false) => {
            let entries = args.named.into_iter().map(|(name, value)| Ok((Value::text(name).key()?, value)));
            Value::dict(entries.collect::<PyResult<_>>()?)
        }
    };
    operators::binary(rendering, Operator::Mod, &Value::Str(format), &values)
}

pub(super) fn replace(rendering: &Rendering, args: Args) -> PyResult {
    let [value, old, new, count] = args.take_all(&Signature::new("do_replace", 1, &["s", "old", "new"], &["count"]))?;
    let (value, old, new) =
        (soft(rendering, &given(value))?, soft(rendering, &given(old))?, soft(rendering, &given(new))?);
    let count = count.filter(|count| !matches!(count, Value::None)).unwrap_or(Value::Int(-1));
    let plain = |text: &Text| Text { safe: false, ..text.clone() };
    let (value, old, new) = if !rendering.autoescape.get() {
        (plain(&value), plain(&old), plain(&new))
    } else if old.safe || (new.safe && !value.safe) {
        (Text::safe(markup::escape_text(&value).into_owned()), old, new)
    } else {
        (value, old, new)
    };
    string::call(rendering, &value, "replace", Args::of(vec![Value::Str(old), Value::Str(new), count]))
}

pub(super) fn indent(rendering: &Rendering, args: Args) -> PyResult {
    let [value, width, first, blank] =
        args.take_all(&Signature::new("do_indent", 0, &["s"], &["width", "first", "blank"]))?;
    let (value, width, first, blank) = (given(value), width.unwrap_or(Value::Int(4)), flag(first), flag(blank));
    let indention = match &width {
        Value::Str(_) => width,
        other => operators::binary(rendering, Operator::Mul, &Value::text(" "), other)?,
    };
    // Jinja2 adds a line break first, in place: what can't take one is refused as such an addition.
    let line_break = Value::text("\n");
    let ended = match &value {
        Value::List(list) => {
            rendering.allocate(size_of::<Value>())?;
            list.items_mut().push(line_break);
            return missing_attribute(&value, "splitlines");
        }
        other => operators::binary(rendering, Operator::Add, other, &line_break).map_err(|mut exception| {
            exception.message = exception.message.replacen("for +: ", "for +=: ", 1);
            exception
        })?,
    };
    let (Value::Str(ended), Value::Str(indention)) = (&ended, &indention) else {
        return missing_attribute(&value, "splitlines");
    };
    let indention = if ended.safe { markup::escape_text(indention).into_owned() } else { indention.to_string() };
    let lines = lines(rendering, ended)?;
    rendering.allocate(ended.len() + lines.len().saturating_mul(indention.len()))?;
    let mut indented = if first { indention.clone() } else { String::new() };
    for (index, line) in lines.into_iter().enumerate() {
        if index > 0 {
            indented.push('\n');
            if blank || !line.is_empty() {
                indented.push_str(&indention);
            }
        }
        indented.push_str(&line);
    }
    Ok(ended.like(indented))
}

/// `str.splitlines`
pub(super) fn lines(rendering: &Rendering, text: &Text) -> PyResult<Vec<Arc<str>>> {
    let lines = string::call(rendering, text, "splitlines", Args::default())?.iterate(rendering)?;
    Ok(lines.into_iter().filter_map(|line| line.as_str().map(|line| Arc::clone(&line.text))).collect())
}

pub(super) fn truncate(rendering: &Rendering, args: Args) -> PyResult {
    let [value, length, killwords, end, leeway] =
        args.take_all(&Signature::new("do_truncate", 1, &["s"], &["length", "killwords", "end", "leeway"]))?;
    let (value, end) = (given(value), end.unwrap_or_else(|| Value::text("...")));
    let length = length.unwrap_or(Value::Int(255));
    let leeway = leeway.filter(|leeway| !matches!(leeway, Value::None)).unwrap_or(Value::Int(5));
    let end_length = end.length()?;
    for (name, given, least) in [("length", &length, end_length), ("leeway", &leeway, 0)] {
        if !comparison::compare(rendering, Comparison::Ge, given, &Value::size(least))? {
            return other_error(format!("expected {name} >= {least}, got {}", repr::string(rendering, given)?));
        }
    }
    let most = operators::binary(rendering, Operator::Add, &length, &leeway)?;
    if comparison::compare(rendering, Comparison::Le, &Value::size(value.length()?), &most)? {
        return Ok(value);
    }
    let stop = operators::binary(rendering, Operator::Sub, &length, &Value::size(end_length))?;
    let kept = sequence::slice(rendering, &value, [&Value::None, &stop, &Value::None])?;
    if flag(killwords) {
        return operators::binary(rendering, Operator::Add, &kept, &end);
    }
    let Value::Str(kept) = &kept else { return missing_attribute(&kept, "rsplit") };
    let words = kept.like(kept.rsplit_once(' ').map_or(&**kept, |(words, _)| words));
    operators::binary(rendering, Operator::Add, &words, &end)
}

pub(super) fn wordcount(rendering: &Rendering, args: Args) -> PyResult {
    let [value] = args.take_all(&Signature::new("do_wordcount", 0, &["s"], &[]))?;
    let value = soft(rendering, &given(value))?;
    let words = value.split(|c: char| !(c == '_' || c.is_alphanumeric())).filter(|word| !word.is_empty());
    Ok(Value::size(words.count()))
}

/// The characters that `urllib.parse.quote` leaves as they are.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'.').remove(b'-').remove(b'~').remove(b'/');
const QUERY: &AsciiSet = &PATH.add(b'/');

pub(super) fn urlencode(rendering: &Rendering, args: Args) -> PyResult {
    let [value] = args.take_all(&Signature::new("do_urlencode", 0, &["value"], &[]))?;
    let value = given(value);
    let pairs = match &value {
        Value::Dict(dict) => {
            dict.entries().iter().map(|(key, value)| Value::tuple(vec![key.value().clone(), value.clone()])).collect()
        }
        Value::Str(_) => return quoted(rendering, &value, false).map(Value::text),
        other => match other.iterate(rendering) {
            Ok(items) => items,
            // What a generator meets on its way is another matter.
            Err(exception) if matches!(other, Value::Object(object) if object.iterable()) => return Err(exception),
            Err(_) => return quoted(rendering, other, false).map(Value::text),
        },
    };
    let mut encoded = Vec::with_capacity(pairs.len());
    for pair in pairs {
        let Ok(parts) = pair.iterate(rendering) else {
            return type_error(format!("cannot unpack non-iterable {} object", pair.operand_name()));
        };
        match parts.as_slice() {
            [key, value] => {
                encoded.push(format!("{}={}", quoted(rendering, key, true)?, quoted(rendering, value, true)?));
            }
            few if few.len() < 2 => {
                return value_error(format!("not enough values to unpack (expected 2, got {})", few.len()));
            }
            _ => return value_error("too many values to unpack (expected 2)"),
        }
    }
    Ok(Value::text(encoded.join("&")))
}

fn quoted(rendering: &Rendering, value: &Value, query: bool) -> PyResult<String> {
    let text = repr::string(rendering, value)?;
    rendering.allocate(text.len() * 3)?;
    Ok(if query {
        utf8_percent_encode(&text, QUERY).to_string().replace("%20", "+")
    } else {
        utf8_percent_encode(&text, PATH).to_string()
    })
}

pub(super) fn xmlattr(rendering: &Rendering, args: Args) -> PyResult {
    let [value, autospace] = args.take_all(&Signature::new("do_xmlattr", 1, &["d"], &["autospace"]))?;
    let value = given(value);
    let Value::Dict(dict) = &value else { return missing_attribute(&value, "items") };
    let mut attributes = Vec::new();
    for (key, value) in &*dict.entries() {
        if matches!(value, Value::None | Value::Undefined(_)) {
            continue;
        }
        let Value::Str(name) = key.value() else {
            return type_error(format!("expected string or bytes-like object, got '{}'", key.value().operand_name()));
        };
        if name.contains([' ', '\t', '\n', '\r', '\x0b', '\x0c', '/', '>', '=']) {
            return Err(Exception::new(
                ExceptionClass::ValueError,
                format!("Invalid character in attribute name: {}", quote(name)),
            ));
        }
        let value = soft(rendering, value)?;
        rendering.allocate(name.len() + value.len() * 2)?;
        attributes.push(format!("{}=\"{}\"", markup::escape_text(name), markup::escape_text(&value)));
    }
    let mut text = attributes.join(" ");
    if autospace.is_none_or(|autospace| autospace.truth()) && !text.is_empty() {
        text.insert(0, ' ');
    }
    Ok(Value::Str(Text { text: text.into(), safe: rendering.autoescape.get() }))
}
