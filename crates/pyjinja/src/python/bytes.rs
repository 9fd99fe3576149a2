//! `bytes`, and the codecs between them and text.

use std::{fmt::Write, ops::Deref};

use crate::{
    eval::rendering::Rendering,
    python::{
        arguments::{Args, argument_type, search_arguments, size},
        exception::{Exception, ExceptionClass, PyResult, other_error, type_error, value_error},
        object::{Object, Operator},
        quote,
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
        let encoding = codec_argument("decode", "encoding", args.next().flatten(), "utf-8")?;
        let errors = codec_argument("decode", "errors", args.next().flatten(), "strict")?;
        decode(rendering, &self.0, &encoding, &errors).map(Value::from)
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
            // Nothing is found before each byte, and once more at the end.
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

/// The name of a codec, or of what it does about errors.
pub(crate) fn codec_argument(method: &str, parameter: &str, value: Option<Value>, default: &str) -> PyResult<String> {
    match value {
        None => Ok(default.to_owned()),
        Some(Value::Str(text)) => Ok(text.to_string()),
        Some(other) => {
            type_error(format!("{method}() argument '{parameter}' must be str, not {}", argument_type(&other)))
        }
    }
}

#[derive(Clone, Copy)]
enum Codec {
    Utf8,
    /// With a byte order mark before it.
    Utf8Marked,
    Ascii,
    Latin1,
    Utf16 {
        big: bool,
        marked: bool,
    },
    Utf32 {
        big: bool,
        marked: bool,
    },
}

fn codec(name: &str) -> PyResult<Codec> {
    let plain = name.to_lowercase().replace(['-', ' '], "_");
    Ok(match plain.as_str() {
        "utf_8" | "utf8" | "u8" | "utf" | "cp65001" | "utf8_ucs2" | "utf8_ucs4" => Codec::Utf8,
        "utf_8_sig" | "utf8_sig" => Codec::Utf8Marked,
        "ascii" | "us_ascii" | "646" | "us" | "cp367" | "iso646_us" | "ansi_x3.4_1968" | "ansi_x3_4_1968" => {
            Codec::Ascii
        }
        "latin_1" | "latin1" | "latin" | "l1" | "iso_8859_1" | "iso8859_1" | "iso88591" | "8859" | "cp819"
        | "iso8859" => Codec::Latin1,
        "utf_16" | "utf16" | "u16" => Codec::Utf16 { big: false, marked: true },
        "utf_16_le" | "utf_16le" | "utf16_le" | "unicodelittleunmarked" => Codec::Utf16 { big: false, marked: false },
        "utf_16_be" | "utf_16be" | "utf16_be" | "unicodebigunmarked" => Codec::Utf16 { big: true, marked: false },
        "utf_32" | "utf32" | "u32" => Codec::Utf32 { big: false, marked: true },
        "utf_32_le" | "utf_32le" | "utf32_le" => Codec::Utf32 { big: false, marked: false },
        "utf_32_be" | "utf_32be" | "utf32_be" => Codec::Utf32 { big: true, marked: false },
        _ => return other_error(format!("unknown encoding: {name}")),
    })
}

/// `text.encode(encoding, errors)`
pub(crate) fn encode(rendering: &Rendering, text: &str, encoding: &str, errors: &str) -> PyResult {
    let bytes = match codec(encoding)? {
        Codec::Utf8 => text.as_bytes().to_vec(),
        Codec::Utf8Marked => [b"\xef\xbb\xbf".as_slice(), text.as_bytes()].concat(),
        Codec::Ascii => encode_narrow(rendering, text, errors, "ascii", 0x80)?,
        Codec::Latin1 => encode_narrow(rendering, text, errors, "latin-1", 0x100)?,
        Codec::Utf16 { big, marked } => {
            rendering.allocate(text.len() * 2)?;
            let mark = marked.then_some(0xfeff);
            mark.into_iter()
                .chain(text.encode_utf16())
                .flat_map(|unit: u16| if big { unit.to_be_bytes() } else { unit.to_le_bytes() })
                .collect()
        }
        Codec::Utf32 { big, marked } => {
            rendering.allocate(text.len() * 4)?;
            let mark = marked.then_some(0xfeff);
            mark.into_iter()
                .chain(text.chars().map(u32::from))
                .flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() })
                .collect()
        }
    };
    Ok(Value::object(Bytes(bytes)))
}

/// Encodes into a codec whose characters are the first `limit` of Unicode.
fn encode_narrow(rendering: &Rendering, text: &str, errors: &str, codec: &str, limit: u32) -> PyResult<Vec<u8>> {
    let mut out = Vec::new();
    for (index, c) in text.chars().enumerate() {
        let code = u32::from(c);
        if let Some(byte) = u8::try_from(code).ok().filter(|_| code < limit) {
            out.push(byte);
            continue;
        }
        rendering.allocate(10)?;
        match errors {
            "ignore" => {}
            "replace" => out.push(b'?'),
            "xmlcharrefreplace" => out.extend(format!("&#{code};").bytes()),
            "backslashreplace" => out.extend(escape(c).bytes()),
            "strict" | "surrogateescape" | "surrogatepass" => {
                let count = text.chars().skip(index).take_while(|c| u32::from(*c) >= limit).count();
                return value_error(format!(
                    "'{codec}' codec can't encode {}: ordinal not in range({limit})",
                    if count == 1 {
                        format!("character '{}' in position {index}", escape(c))
                    } else {
                        format!("characters in position {index}-{}", index + count - 1)
                    }
                ));
            }
            other => return other_error(format!("unknown error handler name '{other}'")),
        }
    }
    Ok(out)
}

fn escape(c: char) -> String {
    let mut escape = String::new();
    quote::push_escape(&mut escape, c);
    escape
}

/// `bytes.decode(encoding, errors)`
pub(crate) fn decode(rendering: &Rendering, bytes: &[u8], encoding: &str, errors: &str) -> PyResult<String> {
    rendering.allocate(bytes.len().saturating_mul(2))?;
    match codec(encoding)? {
        Codec::Utf8 => decode_utf8(bytes, errors),
        Codec::Utf8Marked => decode_utf8(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes), errors),
        Codec::Latin1 => Ok(bytes.iter().map(|byte| char::from(*byte)).collect()),
        Codec::Ascii => {
            let mut out = String::new();
            for (index, byte) in bytes.iter().enumerate() {
                if byte.is_ascii() {
                    out.push(char::from(*byte));
                } else {
                    let fault =
                        Fault { codec: "ascii", start: index, bytes: &[*byte], reason: "ordinal not in range(128)" };
                    out.push_str(&fault.handle(errors)?);
                }
            }
            Ok(out)
        }
        Codec::Utf16 { big, marked } => {
            let (big, bytes) = match bytes {
                [0xff, 0xfe, rest @ ..] if marked => (false, rest),
                [0xfe, 0xff, rest @ ..] if marked => (true, rest),
                _ => (big, bytes),
            };
            let (pairs, rest) = bytes.as_chunks::<2>();
            let units =
                pairs.iter().map(|pair| if big { u16::from_be_bytes(*pair) } else { u16::from_le_bytes(*pair) });
            let name = if big { "utf-16-be" } else { "utf-16-le" };
            let mut out = String::new();
            let mut at = 0;
            for unit in char::decode_utf16(units) {
                match unit {
                    Ok(c) => {
                        out.push(c);
                        at += c.len_utf16() * 2;
                    }
                    Err(_) => {
                        let half = bytes.get(at..at + 2).unwrap_or_default();
                        let fault = Fault { codec: name, start: at, bytes: half, reason: "illegal encoding" };
                        out.push_str(&fault.handle(errors)?);
                        at += 2;
                    }
                }
            }
            if !rest.is_empty() {
                let fault = Fault { codec: name, start: at, bytes: rest, reason: "truncated data" };
                out.push_str(&fault.handle(errors)?);
            }
            Ok(out)
        }
        Codec::Utf32 { big, marked } => {
            let (big, bytes) = match bytes {
                [0xff, 0xfe, 0, 0, rest @ ..] if marked => (false, rest),
                [0, 0, 0xfe, 0xff, rest @ ..] if marked => (true, rest),
                _ => (big, bytes),
            };
            let name = if big { "utf-32-be" } else { "utf-32-le" };
            let mut out = String::new();
            for (index, chunk) in bytes.chunks(4).enumerate() {
                let code = <[u8; 4]>::try_from(chunk)
                    .ok()
                    .map(|code| if big { u32::from_be_bytes(code) } else { u32::from_le_bytes(code) });
                match code.and_then(char::from_u32) {
                    Some(c) => out.push(c),
                    None => {
                        let reason =
                            if chunk.len() < 4 { "truncated data" } else { "code point not in range(0x110000)" };
                        let fault = Fault { codec: name, start: index * 4, bytes: chunk, reason };
                        out.push_str(&fault.handle(errors)?);
                    }
                }
            }
            Ok(out)
        }
    }
}

fn decode_utf8(bytes: &[u8], errors: &str) -> PyResult<String> {
    let mut out = String::new();
    let mut at = 0;
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        at += chunk.valid().len();
        if let [first, ..] = chunk.invalid() {
            let end = at + chunk.invalid().len();
            let reason = match first {
                0x80..=0xc1 | 0xf5..=0xff => "invalid start byte",
                _ if end == bytes.len() => "unexpected end of data",
                _ => "invalid continuation byte",
            };
            let fault = Fault { codec: "utf-8", start: at, bytes: chunk.invalid(), reason };
            out.push_str(&fault.handle(errors)?);
            at = end;
        }
    }
    Ok(out)
}

/// Bytes that are none of a codec's.
struct Fault<'a> {
    codec: &'a str,
    start: usize,
    bytes: &'a [u8],
    reason: &'a str,
}

impl Fault<'_> {
    fn handle(&self, errors: &str) -> PyResult<String> {
        match errors {
            "ignore" => Ok(String::new()),
            "replace" => Ok(char::REPLACEMENT_CHARACTER.to_string()),
            // Halves of surrogate pairs can't be held.
            "surrogateescape" => Ok(char::REPLACEMENT_CHARACTER.to_string().repeat(self.bytes.len())),
            "backslashreplace" => Ok(self.bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect()),
            "strict" | "surrogatepass" => Err(self.raise()),
            other => other_error(format!("unknown error handler name '{other}'")),
        }
    }

    fn raise(&self) -> Exception {
        let place = match self.bytes {
            [byte] => format!("byte 0x{byte:02x} in position {}", self.start),
            bytes => format!("bytes in position {}-{}", self.start, self.start + bytes.len() - 1),
        };
        Exception::new(
            ExceptionClass::ValueError,
            format!("'{}' codec can't decode {place}: {}", self.codec, self.reason),
        )
    }
}

#[cfg(test)]
mod tests {
    use crate::python::containers::table::{Row, check};

    #[rustfmt::skip]
    const ROWS: &[Row] = &[
        (r#"{"$b": []}"#, "decode", "[1]", "TypeError: decode() argument 'encoding' must be str, not int"),
        (r#"{"$b": []}"#, "isalnum", "[null]", "TypeError: bytes.isalnum() takes no arguments (1 given)"),
        (r#"{"$b": []}"#, "isascii", r#"["utf-16"]"#, "TypeError: bytes.isascii() takes no arguments (1 given)"),
        (r#"{"$b": []}"#, "islower", r#"["utf-16"]"#, "TypeError: bytes.islower() takes no arguments (1 given)"),
        (r#"{"$b": []}"#, "replace", "[1]", "TypeError: replace expected at least 2 arguments, got 1"),
        (r#"{"$b": []}"#, "rstrip", r#"[{"$b": []}]"#, "b''"),
        (r#"{"$b": []}"#, "startswith", "[]", "TypeError: startswith() takes at least 1 argument (0 given)"),
        (r#"{"$b": []}"#, "startswith", r#"[{"$b": [97]}]"#, "False"),
        (r#"{"$b": []}"#, "strip", r#"[{"$b": [44]}]"#, "b''"),
        (r#"{"$b": []}"#, "strip", r#"["utf-16"]"#, "TypeError: a bytes-like object is required, not 'str'"),
        (r#"{"$b": [105, 116, 39, 115]}"#, "index", r#"[{"$b": []}]"#, "0"),
        (r#"{"$b": [105, 116, 39, 115]}"#, "count", "[1]", "0"),
        (r#"{"$b": [105, 116, 39, 115]}"#, "decode", r#"["a"]"#, "Other: unknown encoding: a"),
        (r#"{"$b": [105, 116, 39, 115]}"#, "isupper", "[]", "False"),
        (r#"{"$b": [105, 116, 39, 115]}"#, "isalnum", "[]", "False"),
        (r#"{"$b": [192, 128]}"#, "hex", "[null]", "TypeError: object of type 'NoneType' has no len()"),
        (r#"{"$b": [192, 128]}"#, "decode", r#"["utf-8", "nope"]"#, "Other: unknown error handler name 'nope'"),
        (r#"{"$b": [192, 128]}"#, "isdigit", "[]", "False"),
        (r#"{"$b": [192, 128]}"#, "isalnum", "[]", "False"),
        (r#"{"$b": [192, 128]}"#, "isascii", "[]", "False"),
        (r#"{"$b": [240, 159, 152, 128]}"#, "strip", "[null]", r"b'\xf0\x9f\x98\x80'"),
        (r#"{"$b": [240, 159, 152]}"#, "upper", "[]", r"b'\xf0\x9f\x98'"),
        (r#"{"$b": [240, 159, 152, 128]}"#, "isascii", "[]", "False"),
        (r#"{"$b": [240, 159, 152, 128]}"#, "endswith", r#"[{"$b": [44]}, 1]"#, "False"),
        (r#"{"$b": [240, 159, 152]}"#, "decode", r#"["utf-8", "replace"]"#, "'�'"),
        (r#"{"$b": [237, 160, 128]}"#, "lower", "[]", r"b'\xed\xa0\x80'"),
        (r#"{"$b": [237, 160, 128]}"#, "count", r#"[{"$b": []}]"#, "4"),
        (r#"{"$b": [237, 160, 128]}"#, "find", "[]", "TypeError: find() takes at least 1 argument (0 given)"),
        (r#"{"$b": [237, 160, 128]}"#, "index", r#"[{"$b": [97]}]"#, "ValueError: subsection not found"),
        (r#"{"$b": [237, 160, 128]}"#, "replace", r#"[{"$b": []}, {"$b": [45]}]"#, r"b'-\xed-\xa0-\x80-'"),
        (r#"{"$b": [237, 160, 128]}"#, "split", "[1]", "TypeError: a bytes-like object is required, not 'int'"),
        (r#"{"$b": [195, 169]}"#, "isalpha", "[]", "False"),
        (r#"{"$b": [195, 169]}"#, "endswith", r#"[{"$b": []}]"#, "True"),
        (r#"{"$b": [195, 169]}"#, "isalpha", "[1]", "TypeError: bytes.isalpha() takes no arguments (1 given)"),
        (r#"{"$b": [195, 169]}"#, "lower", "[null]", "TypeError: bytes.lower() takes no arguments (1 given)"),
        (r#"{"$b": [195, 169]}"#, "index", r#"[{"$b": []}]"#, "0"),
        (r#"{"$b": [97, 226, 130]}"#, "isspace", "[]", "False"),
        (r#"{"$b": [97, 226, 130]}"#, "islower", "[]", "True"),
        (r#"{"$b": [97, 226, 40, 161]}"#, "replace", r#"[{"$b": []}, {"$b": [45]}]"#, r"b'-a-\xe2-(-\xa1-'"),
        (r#"{"$b": [97, 226, 40, 161]}"#, "rstrip", r#"[{"$b": []}]"#, r"b'a\xe2(\xa1'"),
        (r#"{"$b": [97, 226, 130]}"#, "hex", r#"[{"$b": [44]}, 1]"#, "'61,e2,82'"),
        (r#"{"$b": [97, 226, 40, 161]}"#, "decode", r#"["ascii", "replace"]"#, "'a�(�'"),
        (r#"{"$b": [97, 226, 130]}"#, "isupper", "[]", "False"),
        (r#"{"$b": [97, 226, 40, 161]}"#, "split", r#"[{"$b": []}]"#, "ValueError: empty separator"),
        (r#"{"$b": [255, 254, 97]}"#, "lstrip", "[1]", "TypeError: a bytes-like object is required, not 'int'"),
        (r#"{"$b": [255, 254, 97]}"#, "split", r#"[{"$b": [44]}, 1]"#, r"[b'\xff\xfea']"),
        (r#"{"$b": [255, 254, 97]}"#, "split", r#"[{"$b": [97]}]"#, r"[b'\xff\xfe', b'']"),
        (r#"{"$b": [255, 254, 97]}"#, "islower", "[]", "True"),
        (r#"{"$b": [255, 254, 97]}"#, "find", r#"[{"$b": []}]"#, "0"),
        (r#"{"$b": [34, 39]}"#, "count", "[]", "TypeError: count() takes at least 1 argument (0 given)"),
        (r#"{"$b": [34, 39]}"#, "startswith", r#"[{"$b": []}]"#, "True"),
        (r#"{"$b": [34, 39]}"#, "isdigit", "[1]", "TypeError: bytes.isdigit() takes no arguments (1 given)"),
        (r#"{"$b": [34, 39]}"#, "hex", r#"["latin-1"]"#, "ValueError: sep must be length 1."),
        (r#"{"$b": [34, 39]}"#, "lstrip", "[null]", r#"b'"\''"#),
        (r#"{"$b": [34, 39]}"#, "upper", r#"["a"]"#, "TypeError: bytes.upper() takes no arguments (1 given)"),
        (r#"{"$b": [34, 39]}"#, "index", "[]", "TypeError: index() takes at least 1 argument (0 given)"),
        (r#"{"$b": [120, 44, 121, 44, 122]}"#, "isspace", "[]", "False"),
        (r#"{"$b": [65, 49]}"#, "hex", r#"[{"$b": [97]}]"#, "'41a31'"),
        (r#"{"$b": [65, 49]}"#, "rstrip", "[1]", "TypeError: a bytes-like object is required, not 'int'"),
        (r#"{"$b": [65, 49]}"#, "endswith", "[]", "TypeError: endswith() takes at least 1 argument (0 given)"),
        (r#"{"$b": [65, 49]}"#, "isspace", "[null]", "TypeError: bytes.isspace() takes no arguments (1 given)"),
        (r#"{"$b": [65, 49]}"#, "isdigit", "[]", "False"),
        (r#"{"$b": [32, 97, 32, 98, 32]}"#, "isalpha", "[]", "False"),
        (r#"{"$b": [32, 97, 32, 98, 32]}"#, "lower", "[]", "b' a b '"),
        (r#"{"$b": [97, 98, 99]}"#, "lstrip", "[]", "b'abc'"),
        (r#"{"$b": [97, 98, 99]}"#, "isupper", "[1]", "TypeError: bytes.isupper() takes no arguments (1 given)"),
        (r#"{"$b": [97, 98, 99]}"#, "find", r#"[{"$b": [44]}, 1]"#, "-1"),
        (r#"{"$b": [97, 98, 99]}"#, "upper", "[]", "b'ABC'"),
    ];

    #[test]
    fn methods_of_bytes_do_as_in_python() {
        check(ROWS);
    }
}
