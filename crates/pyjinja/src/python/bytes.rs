//! `bytes` and its methods.

#[cfg(test)]
mod tests;

use std::{fmt::Write, ops::Deref};

use crate::{
    eval::rendering::Rendering,
    python::{
        arguments::{Args, search_arguments, size},
        codecs,
        exception::{PyResult, type_error, value_error},
        object::{Object, Operator},
        value::Value,
    },
};

/// A `bytes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bytes(Vec<u8>);

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

const METHODS: &[&str] = &[
    "count",
    "decode",
    "endswith",
    "find",
    "hex",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdigit",
    "islower",
    "isspace",
    "isupper",
    "lower",
    "lstrip",
    "replace",
    "rstrip",
    "split",
    "startswith",
    "strip",
    "upper",
];

impl Object for Bytes {
    fn type_name(&self) -> &'static str {
        "bytes"
    }

    fn repr(&self, rendering: &Rendering) -> PyResult<String> {
        rendering.allocate(self.0.len().saturating_mul(4))?;
        let quote = if self.0.contains(&b'\'') && !self.0.contains(&b'"') { '"' } else { '\'' };
        let mut out = format!("b{quote}");
        for byte in &self.0 {
            match byte {
                b'\\' => out.push_str("\\\\"),
                b'\n' => out.push_str("\\n"),
                b'\r' => out.push_str("\\r"),
                b'\t' => out.push_str("\\t"),
                byte if char::from(*byte) == quote => out.extend(['\\', quote]),
                b' '..=b'~' => out.push(char::from(*byte)),
                // Writing to a String can't fail.
                byte => drop(write!(out, "\\x{byte:02x}")),
            }
        }
        out.push(quote);
        Ok(out)
    }

    fn methods(&self) -> &'static [&'static str] {
        METHODS
    }

    fn call_method(&self, rendering: &Rendering, name: &str, args: Args) -> PyResult {
        rendering.work(1 + self.0.len() / 64)?;
        rendering.allocate(self.0.len())?;
        match name {
            "decode" => self.decode(rendering, args),
            "hex" => self.hex(rendering, args),
            "count" | "find" | "index" => self.find(name, args),
            "startswith" | "endswith" => self.starts_or_ends(name, args),
            "replace" => self.replace(rendering, args),
            "split" => self.split(rendering, args),
            "strip" | "lstrip" | "rstrip" => self.strip(name, args),
            _ => {
                args.builtin(&format!("bytes.{name}"), 0, 0)?;
                Ok(self.cased(name))
            }
        }
    }

    fn length(&self) -> Option<usize> {
        Some(self.0.len())
    }

    fn iterable(&self) -> bool {
        true
    }

    fn iterate(&self, _rendering: &Rendering) -> Option<PyResult<Vec<Value>>> {
        Some(Ok(self.0.iter().map(|byte| Value::Int(i64::from(*byte))).collect()))
    }

    fn equals(&self, other: &Value) -> Option<bool> {
        other.downcast::<Self>().map(|other| self == other)
    }

    fn order(&self, other: &Value) -> Option<PyResult<std::cmp::Ordering>> {
        other.downcast::<Self>().map(|other| Ok(self.0.cmp(&other.0)))
    }

    fn hash(&self) -> Option<u64> {
        // FNV-1a
        Some(
            self.0
                .iter()
                .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)),
        )
    }

    fn operate(&self, operator: Operator, other: &Value, reflected: bool) -> Option<PyResult> {
        match (operator, other.downcast::<Self>()) {
            (Operator::Add, Some(other)) if !reflected => {
                Some(Ok(Value::object(Self([self.0.as_slice(), other.0.as_slice()].concat()))))
            }
            _ => None,
        }
    }
}

impl Bytes {
    fn decode(&self, rendering: &Rendering, args: Args) -> PyResult {
        let mut args = args.keywords("decode", &[], &["encoding", "errors"], 2)?.into_iter();
        let encoding = codecs::argument("decode", "encoding", args.next().flatten(), "utf-8")?;
        let errors = codecs::argument("decode", "errors", args.next().flatten(), "strict")?;
        codecs::decode(rendering, &self.0, &encoding, &errors).map(Value::from)
    }

    fn hex(&self, rendering: &Rendering, args: Args) -> PyResult {
        let mut args = args.keywords("hex", &[], &["sep", "bytes_per_sep"], 2)?.into_iter();
        let separator = args.next().flatten();
        let group = args.next().flatten().map_or(Ok(1), |group| size(&group))?;
        let separator = separator.map(|separator| separator_character(&separator)).transpose()?;
        let length = usize::try_from(group.unsigned_abs()).unwrap_or(usize::MAX);
        rendering.allocate(self.0.len().saturating_mul(3))?;
        let mut out = String::new();
        for (index, byte) in self.0.iter().enumerate() {
            let from_end = if group > 0 { self.0.len() - index } else { index };
            if let Some(separator) = separator
                && index > 0
                && length > 0
                && from_end.is_multiple_of(length)
            {
                out.push(separator);
            }
            let _ = write!(out, "{byte:02x}");
        }
        Ok(Value::from(out))
    }

    fn find(&self, name: &str, args: Args) -> PyResult {
        let (wanted, start, end) = search_arguments(name, args, self.0.len())?;
        let wanted = match (wanted.downcast::<Self>(), wanted.as_int()) {
            (Some(bytes), _) => bytes.clone(),
            (None, Some(_)) => match u8::try_from(wanted.index()?) {
                Ok(byte) => Self(vec![byte]),
                Err(_) => return value_error("byte must be in range(0, 256)"),
            },
            (None, None) => {
                let name = wanted.type_name();
                return type_error(format!("argument should be integer or bytes-like object, not '{name}'"));
            }
        };
        let within = self.0.get(start..end);
        if name == "count" {
            return Ok(Value::size(match (within, wanted.0.len()) {
                (None, _) => 0,
                (Some(within), 0) => within.len() + 1,
                (Some(mut rest), length) => {
                    let mut count = 0;
                    while let Some(at) = position(rest, &wanted) {
                        count += 1;
                        rest = rest.get(at + length..).unwrap_or_default();
                    }
                    count
                }
            }));
        }
        match within.and_then(|within| position(within, &wanted)) {
            Some(at) => Ok(Value::size(start + at)),
            None if name == "find" => Ok(Value::Int(-1)),
            None => value_error("subsection not found"),
        }
    }

    fn starts_or_ends(&self, name: &str, args: Args) -> PyResult {
        let (affix, start, end) = search_arguments(name, args, self.0.len())?;
        let Some(bytes) = affix.downcast::<Self>() else {
            return type_error(format!(
                "{name} first arg must be bytes or a tuple of bytes, not {}",
                affix.type_name()
            ));
        };
        Ok(Value::Bool(self.0.get(start..end).is_some_and(|within| match name {
            "startswith" => within.starts_with(bytes),
            _ => within.ends_with(bytes),
        })))
    }

    fn replace(&self, rendering: &Rendering, args: Args) -> PyResult {
        let args = args.builtin("bytes.replace", 2, 3)?;
        let (old, new) = (bytes_like(args.first())?, bytes_like(args.get(1))?);
        let most = args.get(2).map_or(Ok(-1), size)?;
        let mut left = usize::try_from(most).unwrap_or(usize::MAX);
        let (mut out, mut rest) = (Vec::new(), self.0.as_slice());
        while let Some(at) = position(rest, &old).filter(|_| left > 0) {
            // An empty pattern is found before each byte, and once more at the end.
            let next = at + old.len().max(1);
            rendering.allocate(next + new.len())?;
            rendering.work(1)?;
            out.extend_from_slice(rest.get(..at).unwrap_or_default());
            out.extend_from_slice(&new);
            left -= 1;
            if old.is_empty() {
                match rest.split_first() {
                    Some((byte, after)) => {
                        out.push(*byte);
                        rest = after;
                    }
                    None => break,
                }
            } else {
                rest = rest.get(next..).unwrap_or_default();
            }
        }
        out.extend_from_slice(rest);
        Ok(Value::object(Self(out)))
    }

    fn split(&self, rendering: &Rendering, args: Args) -> PyResult {
        let mut args = args.keywords("split", &[], &["sep", "maxsplit"], 2)?.into_iter();
        let separator = args.next().flatten().unwrap_or(Value::None);
        let most = args.next().flatten().map_or(Ok(-1), |most| size(&most))?;
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let (mut parts, mut rest) = (Vec::new(), self.0.as_slice());
        let push = |parts: &mut Vec<Value>, part: &[u8]| {
            rendering.allocate(part.len() + size_of::<Value>())?;
            parts.push(Value::object(Self(part.to_vec())));
            Ok(())
        };
        if matches!(separator, Value::None) {
            rest = rest.trim_ascii_start();
            while !rest.is_empty() {
                let end = rest.iter().position(|byte| is_space(*byte)).filter(|_| parts.len() < most);
                let (part, after) = rest.split_at(end.unwrap_or(rest.len()));
                push(&mut parts, part)?;
                rest = after.trim_ascii_start();
            }
            return Ok(Value::list(parts));
        }
        let separator = bytes_like(Some(&separator))?;
        if separator.is_empty() {
            return value_error("empty separator");
        }
        while let Some(at) = position(rest, &separator).filter(|_| parts.len() < most) {
            push(&mut parts, rest.get(..at).unwrap_or_default())?;
            rest = rest.get(at + separator.len()..).unwrap_or_default();
        }
        push(&mut parts, rest)?;
        Ok(Value::list(parts))
    }

    fn strip(&self, name: &str, args: Args) -> PyResult {
        let unwanted = match args.builtin(&format!("bytes.{name}"), 0, 1)?.into_iter().next() {
            None | Some(Value::None) => None,
            other => Some(bytes_like(other.as_ref())?),
        };
        let kept = |byte: &u8| !unwanted.as_ref().map_or_else(|| is_space(*byte), |unwanted| unwanted.contains(byte));
        let start = if name == "rstrip" { 0 } else { self.0.iter().position(kept).unwrap_or(self.0.len()) };
        let end =
            if name == "lstrip" { self.0.len() } else { self.0.iter().rposition(kept).map_or(start, |at| at + 1) };
        Ok(Value::object(Self(self.0.get(start..end).unwrap_or_default().to_vec())))
    }

    fn cased(&self, name: &str) -> Value {
        let all = |wanted: fn(&u8) -> bool| Value::Bool(!self.0.is_empty() && self.0.iter().all(wanted));
        let only = |wanted: fn(&u8) -> bool, other: fn(&u8) -> bool| {
            Value::Bool(self.0.iter().any(wanted) && !self.0.iter().any(other))
        };
        match name {
            "lower" => Value::object(Self(self.0.to_ascii_lowercase())),
            "upper" => Value::object(Self(self.0.to_ascii_uppercase())),
            "isalnum" => all(u8::is_ascii_alphanumeric),
            "isalpha" => all(u8::is_ascii_alphabetic),
            "isascii" => Value::Bool(self.0.is_ascii()),
            "isdigit" => all(u8::is_ascii_digit),
            "isspace" => all(|byte| is_space(*byte)),
            "islower" => only(u8::is_ascii_lowercase, u8::is_ascii_uppercase),
            _ => only(u8::is_ascii_uppercase, u8::is_ascii_lowercase),
        }
    }
}

fn separator_character(separator: &Value) -> PyResult<char> {
    if separator.length()? != 1 {
        return value_error("sep must be length 1.");
    }
    match (separator.as_str().and_then(|text| text.chars().next()), separator.downcast::<Bytes>()) {
        (Some(c), _) if c.is_ascii() => Ok(c),
        (Some(_), _) => value_error("sep must be ASCII."),
        (None, Some(bytes)) => Ok(bytes.first().map_or('\0', |byte| char::from(*byte))),
        (None, None) => type_error("sep must be str or bytes."),
    }
}

fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

fn bytes_like(value: Option<&Value>) -> PyResult<Bytes> {
    match value.and_then(|value| value.downcast::<Bytes>()) {
        Some(bytes) => Ok(bytes.clone()),
        None => type_error(format!(
            "a bytes-like object is required, not '{}'",
            value.map_or("NoneType", |value| value.type_name())
        )),
    }
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    if wanted.is_empty() {
        return Some(0);
    }
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
