//! Filters over text.

use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{flag, given, missing_attribute, soft};
use crate::{
    eval::run::Run,
    python::arguments::{Args, Signature},
    python::operators::{self, Comparison, Operator, escaped},
    python::print,
    python::raise::{Exception, Raise, Res, other_error, type_error, value_error},
    python::text,
    python::value::{Text, Value},
};

/// A method of `str`, applied to the text of whatever comes in.
fn method(run: &Run, name: &'static str, args: Args, method: &str) -> Res {
    let [value] = args.take_all(&Signature::new(name, 0, &["s"], &[]))?;
    text::call(run, &soft(run, &given(value))?, method, Args::default())
}

pub(super) fn upper(run: &Run, args: Args) -> Res {
    method(run, "do_upper", args, "upper")
}

pub(super) fn lower(run: &Run, args: Args) -> Res {
    method(run, "do_lower", args, "lower")
}

pub(super) fn capitalize(run: &Run, args: Args) -> Res {
    method(run, "do_capitalize", args, "capitalize")
}

pub(super) fn title(run: &Run, args: Args) -> Res {
    let [value] = args.take_all(&Signature::new("do_title", 0, &["s"], &[]))?;
    let value = soft(run, &given(value))?;
    let between = |c: char| c == '-' || text::is_space(c) || "({[<".contains(c);
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

pub(super) fn trim(run: &Run, args: Args) -> Res {
    let [value, chars] = args.take_all(&Signature::new("do_trim", 0, &["value"], &["chars"]))?;
    text::call(run, &soft(run, &given(value))?, "strip", Args::of(chars.into_iter().collect()))
}

pub(super) fn center(run: &Run, args: Args) -> Res {
    let [value, width] = args.take_all(&Signature::new("do_center", 0, &["value"], &["width"]))?;
    text::call(run, &soft(run, &given(value))?, "center", Args::of(vec![width.unwrap_or(Value::Int(80))]))
}

pub(super) fn striptags(run: &Run, args: Args) -> Res {
    let [value] = args.take_all(&Signature::new("do_striptags", 0, &["value"], &[]))?;
    Ok(Value::text(text::striptags(&print::string(run, &given(value))?)))
}

pub(super) fn format(run: &Run, mut args: Args) -> Res {
    if args.positional.is_empty() {
        return type_error("do_format() missing 1 required positional argument: 'value'");
    }
    let format = soft(run, &args.positional.remove(0))?;
    let values = match (args.positional.is_empty(), args.named.is_empty()) {
        (false, false) => {
            return other_error("can't handle positional and keyword arguments at the same time");
        }
        (_, true) => Value::tuple(args.positional),
        (true, false) => {
            let entries = args.named.into_iter().map(|(name, value)| Ok((Value::text(name).key()?, value)));
            Value::dict(entries.collect::<Res<_>>()?)
        }
    };
    operators::binary(run, Operator::Mod, &Value::Str(format), &values)
}

pub(super) fn replace(run: &Run, args: Args) -> Res {
    let [value, old, new, count] = args.take_all(&Signature::new("do_replace", 1, &["s", "old", "new"], &["count"]))?;
    let (value, old, new) = (soft(run, &given(value))?, soft(run, &given(old))?, soft(run, &given(new))?);
    let count = count.filter(|count| !matches!(count, Value::None)).unwrap_or(Value::Int(-1));
    let plain = |text: &Text| Text { safe: false, ..text.clone() };
    let (value, old, new) = if !run.autoescape.get() {
        (plain(&value), plain(&old), plain(&new))
    } else if old.safe || (new.safe && !value.safe) {
        (Text::safe(escaped(&value).into_owned()), old, new)
    } else {
        (value, old, new)
    };
    text::call(run, &value, "replace", Args::of(vec![Value::Str(old), Value::Str(new), count]))
}

pub(super) fn indent(run: &Run, args: Args) -> Res {
    let [value, width, first, blank] =
        args.take_all(&Signature::new("do_indent", 0, &["s"], &["width", "first", "blank"]))?;
    let (value, width, first, blank) = (given(value), width.unwrap_or(Value::Int(4)), flag(first), flag(blank));
    let indention = match &width {
        Value::Str(_) => width,
        other => operators::binary(run, Operator::Mul, &Value::text(" "), other)?,
    };
    // Jinja2 adds a line break first: what can't take one is refused as an addition.
    let ended = operators::binary(run, Operator::Add, &value, &Value::text("\n"))?;
    let (Value::Str(ended), Value::Str(indention)) = (&ended, &indention) else {
        return missing_attribute(&value, "splitlines");
    };
    let indention = if ended.safe { escaped(indention).into_owned() } else { indention.to_string() };
    let lines = lines(run, ended)?;
    run.allocate(ended.len() + lines.len().saturating_mul(indention.len()))?;
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
pub(super) fn lines(run: &Run, text: &Text) -> Res<Vec<Arc<str>>> {
    let lines = text::call(run, text, "splitlines", Args::default())?.iterate(run)?;
    Ok(lines.into_iter().filter_map(|line| line.as_str().map(|line| Arc::clone(&line.text))).collect())
}

pub(super) fn truncate(run: &Run, args: Args) -> Res {
    let [value, length, killwords, end, leeway] =
        args.take_all(&Signature::new("do_truncate", 1, &["s"], &["length", "killwords", "end", "leeway"]))?;
    let (value, end) = (given(value), end.unwrap_or_else(|| Value::text("...")));
    let length = length.unwrap_or(Value::Int(255));
    let leeway = leeway.filter(|leeway| !matches!(leeway, Value::None)).unwrap_or(Value::Int(5));
    let end_length = end.length()?;
    for (name, given, least) in [("length", &length, end_length), ("leeway", &leeway, 0)] {
        if !operators::comparison(run, Comparison::Ge, given, &Value::size(least))? {
            return other_error(format!("expected {name} >= {least}, got {}", print::string(run, given)?));
        }
    }
    let most = operators::binary(run, Operator::Add, &length, &leeway)?;
    if operators::comparison(run, Comparison::Le, &Value::size(value.length()?), &most)? {
        return Ok(value);
    }
    let stop = operators::binary(run, Operator::Sub, &length, &Value::size(end_length))?;
    let kept = operators::slice(run, &value, [&Value::None, &stop, &Value::None])?;
    if flag(killwords) {
        return operators::binary(run, Operator::Add, &kept, &end);
    }
    let Value::Str(kept) = &kept else { return missing_attribute(&kept, "rsplit") };
    let words = kept.like(kept.rsplit_once(' ').map_or(&**kept, |(words, _)| words));
    operators::binary(run, Operator::Add, &words, &end)
}

pub(super) fn wordcount(run: &Run, args: Args) -> Res {
    let [value] = args.take_all(&Signature::new("do_wordcount", 0, &["s"], &[]))?;
    let value = soft(run, &given(value))?;
    let words = value.split(|c: char| !(c == '_' || c.is_alphanumeric())).filter(|word| !word.is_empty());
    Ok(Value::size(words.count()))
}

/// What `urllib.parse.quote` leaves as it is.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'.').remove(b'-').remove(b'~').remove(b'/');
const QUERY: &AsciiSet = &PATH.add(b'/');

pub(super) fn urlencode(run: &Run, args: Args) -> Res {
    let [value] = args.take_all(&Signature::new("do_urlencode", 0, &["value"], &[]))?;
    let value = given(value);
    let pairs = match &value {
        Value::Dict(dict) => {
            dict.entries().iter().map(|(key, value)| Value::tuple(vec![key.value().clone(), value.clone()])).collect()
        }
        Value::Str(_) => return quoted(run, &value, false).map(Value::text),
        other => match other.iterate(run) {
            Ok(items) => items,
            Err(_) => return quoted(run, other, false).map(Value::text),
        },
    };
    let mut encoded = Vec::with_capacity(pairs.len());
    for pair in pairs {
        let Ok(parts) = pair.iterate(run) else {
            return type_error(format!("cannot unpack non-iterable {} object", pair.operand_name()));
        };
        match parts.as_slice() {
            [key, value] => encoded.push(format!("{}={}", quoted(run, key, true)?, quoted(run, value, true)?)),
            few if few.len() < 2 => {
                return value_error(format!("not enough values to unpack (expected 2, got {})", few.len()));
            }
            _ => return value_error("too many values to unpack (expected 2)"),
        }
    }
    Ok(Value::text(encoded.join("&")))
}

fn quoted(run: &Run, value: &Value, query: bool) -> Res<String> {
    let text = print::string(run, value)?;
    run.allocate(text.len() * 3)?;
    Ok(if query {
        utf8_percent_encode(&text, QUERY).to_string().replace("%20", "+")
    } else {
        utf8_percent_encode(&text, PATH).to_string()
    })
}

pub(super) fn xmlattr(run: &Run, args: Args) -> Res {
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
            return Err(Raise::new(
                Exception::ValueError,
                format!("Invalid character in attribute name: {}", print::quote(name)),
            ));
        }
        let value = soft(run, value)?;
        run.allocate(name.len() + value.len() * 2)?;
        attributes.push(format!("{}=\"{}\"", escaped(name), escaped(&value)));
    }
    let mut text = attributes.join(" ");
    if autospace.is_none_or(|autospace| autospace.truth()) && !text.is_empty() {
        text.insert(0, ' ');
    }
    Ok(Value::Str(Text { text: text.into(), safe: run.autoescape.get() }))
}
