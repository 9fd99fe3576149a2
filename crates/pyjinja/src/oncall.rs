//! The filters that OnCall adds to Jinja2's: what they can't take gives None.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use crate::json;
use crate::{
    eval::rendering::Rendering,
    python::{
        arguments::{Args, Signature},
        datetime as time,
        dumps::{Options, dumps},
        exception::{Exception, ExceptionClass, PyResult, type_error, value_error},
        print, re as pattern,
        value::{Undefined, Value},
    },
};

const FORMAT: &str = "%H:%M / %d-%m-%Y";

type Filter = fn(&Rendering, Args) -> PyResult;

/// The filter of this name.
pub(crate) fn filter(name: &str) -> Option<Filter> {
    Some(match name {
        "datetimeformat" => |rendering, args| lenient(datetimeformat(rendering, args)),
        "datetimeformat_as_timezone" => |rendering, args| lenient(datetimeformat_as_timezone(rendering, args)),
        "datetimeparse" => |_, args| lenient(datetimeparse(args)),
        "iso8601_to_time" => |_, args| lenient(iso8601_to_time(args)),
        "timestamp_to_datetime" => |_, args| lenient(timestamp_to_datetime(args)),
        "timedeltaparse" => |_, args| lenient(timedeltaparse(args)),
        "tojson_pretty" => |rendering, args| lenient(tojson_pretty(rendering, args)),
        "json_dumps" => |rendering, args| lenient(json_dumps(rendering, args)),
        "parse_json" => |rendering, args| lenient(parse_json(rendering, args)),
        "b64decode" => |rendering, args| lenient(b64decode(rendering, args)),
        "regex_replace" => |rendering, args| lenient(regex_replace(rendering, args)),
        "regex_match" => |rendering, args| lenient(regex_match(rendering, args)),
        "regex_search" => |rendering, args| lenient(regex_search(rendering, args)),
        _ => return None,
    })
}

fn lenient(result: PyResult) -> PyResult {
    match result {
        Err(Exception {
            class: ExceptionClass::ValueError | ExceptionClass::AttributeError | ExceptionClass::TypeError,
            ..
        }) => Ok(Value::None),
        other => other,
    }
}

/// The arguments, bound: `N` of them, None where an optional one is not given.
fn bind<const N: usize>(
    args: Args,
    name: &'static str,
    required: &'static [&'static str],
    optional: &'static [&'static str],
) -> PyResult<[Option<Value>; N]> {
    let mut bound = args.bind(&Signature::new(name, 0, required, optional))?.into_iter();
    Ok(std::array::from_fn(|_| bound.next().flatten()))
}

fn required<const N: usize>(
    args: Args,
    name: &'static str,
    parameters: &'static [&'static str],
) -> PyResult<[Value; N]> {
    Ok(bind::<N>(args, name, parameters, &[])?.map(|value| value.unwrap_or(Value::None)))
}

/// `value.name`, called with one text or none.
fn method(rendering: &Rendering, value: &Value, name: &str, argument: Value) -> PyResult {
    match value {
        Value::Undefined(undefined) => Err(Undefined::raise(undefined)),
        Value::Object(object) if object.methods().contains(&name) => {
            object.call_method(rendering, name, Args { positional: vec![argument], named: Vec::new() })
        }
        other => Err(Exception::new(
            ExceptionClass::AttributeError,
            format!("'{}' object has no attribute '{name}'", other.operand_name()),
        )),
    }
}

fn datetimeformat(rendering: &Rendering, args: Args) -> PyResult {
    let [value, format] = bind(args, "datetimeformat", &["value"], &["format"])?;
    method(rendering, &value.unwrap_or(Value::None), "strftime", format.unwrap_or(Value::from(FORMAT)))
}

fn datetimeformat_as_timezone(rendering: &Rendering, args: Args) -> PyResult {
    let [value, format, zone] = bind(args, "datetimeformat_as_timezone", &["value"], &["format", "tz"])?;
    let value = value.unwrap_or(Value::None);
    let Some(moment) = value.downcast::<time::Moment>() else {
        return method(rendering, &value, "astimezone", Value::None);
    };
    let zone = zone.unwrap_or(Value::from("UTC"));
    let Some(known) = zone.as_str().and_then(|name| time::named_zone(name)) else {
        return Err(Exception::new(ExceptionClass::KeyError, print::repr(rendering, &zone)?));
    };
    moment.at_named(&known)?.strftime(text(&format.unwrap_or(Value::from(FORMAT)))?).map(Value::from)
}

fn text(value: &Value) -> PyResult<&str> {
    match value {
        Value::Str(text) => Ok(text),
        other => type_error(format!("expected str, not {}", other.operand_name())),
    }
}

fn datetimeparse(args: Args) -> PyResult {
    let [value, format] = bind(args, "datetimeparse", &["value"], &["format"])?;
    let value = value.unwrap_or(Value::None);
    time::strptime(text(&value)?, text(&format.unwrap_or(Value::from(FORMAT)))?).map(time::Moment::value)
}

fn iso8601_to_time(args: Args) -> PyResult {
    let [value] = required(args, "iso8601_to_time", &["value"])?;
    Ok(time::parse_iso(text(&value)?)?.map_or(Value::None, time::Moment::value))
}

fn timestamp_to_datetime(args: Args) -> PyResult {
    let [value] = required(args, "timestamp_to_datetime", &["value"])?;
    time::from_timestamp(&value).map(time::Moment::value)
}

fn timedeltaparse(args: Args) -> PyResult {
    let [value] = required(args, "timedeltaparse", &["value"])?;
    Ok(time::parse_span(text(&value)?)?.map_or(Value::None, time::Span::value))
}

fn tojson_pretty(rendering: &Rendering, args: Args) -> PyResult {
    let [value] = required(args, "tojson_pretty", &["value"])?;
    let options = Options { sort_keys: true, indent: Some("    ".into()), ensure_ascii: false };
    dumps(rendering, &value, options).map(Value::from)
}

fn json_dumps(rendering: &Rendering, args: Args) -> PyResult {
    let [value] = required(args, "json_dumps", &["value"])?;
    dumps(rendering, &value, Options::default()).map(Value::from)
}

fn parse_json(rendering: &Rendering, args: Args) -> PyResult {
    let [value] = required(args, "parse_json", &["value"])?;
    let text = text(&value)?;
    // Each character can become a value of its own.
    rendering.allocate(text.len().saturating_mul(8))?;
    match json::loads(text) {
        Ok(json) => Ok(Value::from(&json)),
        Err(message) => value_error(message),
    }
}

fn b64decode(rendering: &Rendering, args: Args) -> PyResult {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(DecodePaddingMode::RequireNone),
    );
    let [value] = required(args, "b64decode", &["value"])?;
    let text = text(&value)?;
    if !text.is_ascii() {
        return value_error("string argument should contain only ASCII characters");
    }
    rendering.allocate(text.len().saturating_mul(2))?;
    let Some(digits) = base64_digits(text) else { return value_error("Incorrect padding") };
    let bytes =
        LENIENT.decode(digits).map_err(|error| Exception::new(ExceptionClass::ValueError, error.to_string()))?;
    let decoded =
        String::from_utf8(bytes).map_err(|error| Exception::new(ExceptionClass::ValueError, error.to_string()))?;
    Ok(Value::from(decoded))
}

/// The digits up to where the padding is complete; whatever is none is skipped, as Python does. None if one lacks.
fn base64_digits(text: &str) -> Option<String> {
    let (mut digits, mut pads) = (String::with_capacity(text.len()), 0);
    for c in text.chars() {
        let rest = digits.len() % 4;
        match c {
            '=' if rest >= 2 => {
                pads += 1;
                if rest + pads >= 4 {
                    return Some(digits);
                }
            }
            'A'..='Z' | 'a'..='z' | '0'..='9' | '+' | '/' => {
                pads = 0;
                digits.push(c);
            }
            _ => {}
        }
    }
    (digits.len() % 4 == 0).then_some(digits)
}

fn regex_replace(rendering: &Rendering, args: Args) -> PyResult {
    let [value, find, replace] = required(args, "regex_replace", &["value", "find", "replace"])?;
    pattern::replace(rendering, text(&find)?, &replace, &value)
}

fn regex_match(rendering: &Rendering, args: Args) -> PyResult {
    // The text comes first, the pattern second, whatever the names say.
    let [searched, find] = required(args, "regex_match", &["pattern", "value"])?;
    pattern::matches(rendering, text(&find)?, &searched, pattern::Anchor::Start).map(Value::Bool)
}

fn regex_search(rendering: &Rendering, args: Args) -> PyResult {
    let [searched, find] = required(args, "regex_search", &["pattern", "value"])?;
    pattern::matches(rendering, text(&find)?, &searched, pattern::Anchor::Anywhere).map(Value::Bool)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_give_what_oncall_gives() {
        let cases = [
            ("iso8601_to_time", "[\"2023W335T10\"]", Ok("2023-08-18 10:00:00")),
            ("iso8601_to_time", "[\"2018-12-25T15:47:47.377363503Z\"]", Ok("2018-12-25 15:47:47.377363+00:00")),
            ("iso8601_to_time", "[\"2023-W33-5T10:11\"]", Ok("2023-08-18 10:11:00")),
            ("iso8601_to_time", "[\"2023-W33-5\"]", Ok("2023-08-18 00:00:00")),
            ("iso8601_to_time", "[\"2018-12-25T15:47:47.377363503+00:00\"]", Ok("2018-12-25 15:47:47.377363+00:00")),
            ("iso8601_to_time", "[\"2023-08-18\"]", Ok("2023-08-18 00:00:00")),
            ("iso8601_to_time", "[\"2023W335\"]", Ok("2023-08-18 00:00:00")),
            ("iso8601_to_time", "[\"2023-08-18T16:34:27,678\"]", Ok("2023-08-18 16:34:27.678000")),
            ("iso8601_to_time", "[\"2023-08-18T16:34:60Z\"]", Ok("None")),
            ("iso8601_to_time", "[\"10000-01-01T00:00:00\"]", Ok("None")),
            ("iso8601_to_time", "[\"x\"]", Ok("None")),
            ("datetimeformat", "[null]", Ok("None")),
            ("datetimeformat", "[\"x\"]", Ok("None")),
            ("datetimeformat", "[]", Ok("None")),
            ("datetimeformat_as_timezone", "[5]", Ok("None")),
            ("datetimeformat_as_timezone", "[null]", Ok("None")),
            ("datetimeformat_as_timezone", "[]", Ok("None")),
            ("timestamp_to_datetime", "[-1]", Ok("1969-12-31 23:59:59")),
            ("timestamp_to_datetime", "[-62135510400]", Ok("0001-01-02 00:00:00")),
            ("timestamp_to_datetime", "[-10000000000000000000]", Err("timestamp out of range for platform time_t")),
            ("timestamp_to_datetime", "[0]", Ok("1970-01-01 00:00:00")),
            ("timestamp_to_datetime", "[true]", Ok("1970-01-01 00:00:01")),
            ("timestamp_to_datetime", "[1000000000000000000]", Err("[Errno 75] Value too large for defined data type")),
            ("timestamp_to_datetime", "[1692376467]", Ok("2023-08-18 16:34:27")),
            ("timestamp_to_datetime", "[253402300799]", Ok("9999-12-31 23:59:59")),
            ("timestamp_to_datetime", "[-62135596800]", Ok("None")),
            ("timestamp_to_datetime", "[\"5\"]", Ok("None")),
            ("timestamp_to_datetime", "[67768036191676799]", Ok("None")),
            ("timedeltaparse", "[\"99999999999d\"]", Err("Python int too large to convert to C int")),
            ("timedeltaparse", "[\"999999999d\"]", Ok("999999999 days, 0:00:00")),
            ("timedeltaparse", "[\"5m\\n\"]", Ok("0:05:00")),
            ("timedeltaparse", "[\"1w\"]", Ok("7 days, 0:00:00")),
            ("timedeltaparse", "[\"86399999999999999s\"]", Err("Python int too large to convert to C int")),
            ("timedeltaparse", "[\"1000000000d\"]", Err("days=1000000000; must have magnitude <= 999999999")),
            ("timedeltaparse", "[\"99999999999999999999w\"]", Err("Python int too large to convert to C int")),
            ("timedeltaparse", "[\"-1s\"]", Ok("-1 day, 23:59:59")),
            ("timedeltaparse", "[\"\"]", Ok("None")),
            ("timedeltaparse", "[\"5m\\n\\n\"]", Ok("None")),
            ("timedeltaparse", "[[]]", Ok("None")),
            (
                "datetimeparse",
                "[\"2023-8-1\", \"%d%d\"]",
                Err("redefinition of group name 'd' as group 2; was group 1 at position 45"),
            ),
            (
                "datetimeparse",
                "[\"+02:00:30\", \"%d%d\"]",
                Err("redefinition of group name 'd' as group 2; was group 1 at position 45"),
            ),
            (
                "datetimeparse",
                "[\"+02:0030\", \"%d%d\"]",
                Err("redefinition of group name 'd' as group 2; was group 1 at position 45"),
            ),
            ("datetimeparse", "[\"16:34 UTC\", \"%H:%M %Z\"]", Ok("1900-01-01 16:34:00")),
            (
                "datetimeparse",
                "[\"Friday, August 18 2023 04:34 PM\", \"%A, %B %d %Y %I:%M %p\"]",
                Ok("2023-08-18 16:34:00"),
            ),
            (
                "datetimeparse",
                "[\"16:34 CET\", \"%d%d\"]",
                Err("redefinition of group name 'd' as group 2; was group 1 at position 45"),
            ),
            (
                "datetimeparse",
                "[\"Fri 18 Aug 2023\", \"%d%d\"]",
                Err("redefinition of group name 'd' as group 2; was group 1 at position 45"),
            ),
            ("datetimeparse", "[\"2023 366\", \"%Y %j\"]", Ok("2024-01-01 00:00:00")),
            ("datetimeparse", "[\"12 AM\", \"%Y%m%d\"]", Ok("None")),
            ("datetimeparse", "[\"2024 366\", \"%c\"]", Ok("None")),
            ("datetimeparse", "[\"2023-08-18\", \"%Y  %m\"]", Ok("None")),
            (
                "tojson_pretty",
                "[[1, [2, [3]]]]",
                Ok("[\n    1,\n    [\n        2,\n        [\n            3\n        ]\n    ]\n]"),
            ),
            ("tojson_pretty", "[{}]", Ok("{}")),
            ("tojson_pretty", "[null]", Ok("null")),
            ("tojson_pretty", "[1]", Ok("1")),
            ("tojson_pretty", "[[]]", Ok("[]")),
            ("tojson_pretty", "[\"x\"]", Ok("\"x\"")),
            ("tojson_pretty", "[true]", Ok("true")),
            (
                "tojson_pretty",
                "[{\"b\": 1, \"a\": {\"z\": [], \"y\": {}}}]",
                Ok("{\n    \"a\": {\n        \"y\": {},\n        \"z\": []\n    },\n    \"b\": 1\n}"),
            ),
            ("json_dumps", "[\"x\"]", Ok("\"x\"")),
            ("json_dumps", "[1]", Ok("1")),
            ("json_dumps", "[null]", Ok("null")),
            ("json_dumps", "[[]]", Ok("[]")),
            ("json_dumps", "[[1, [2, [3]]]]", Ok("[1, [2, [3]]]")),
            ("json_dumps", "[true]", Ok("true")),
            ("json_dumps", "[{}]", Ok("{}")),
            (
                "json_dumps",
                "[{\"b\": 1, \"a\": {\"z\": [], \"y\": {}}}]",
                Ok("{\"b\": 1, \"a\": {\"z\": [], \"y\": {}}}"),
            ),
            ("b64decode", "[\"aG===\"]", Ok("h")),
            ("b64decode", "[\"aGk==\"]", Ok("hi")),
            ("b64decode", "[\"=\"]", Ok("")),
            ("b64decode", "[\"\"]", Ok("")),
            ("b64decode", "[\"aGVsbG8g5p2x5Lqs\"]", Ok("hello 東京")),
            ("b64decode", "[\"aGk=\"]", Ok("hi")),
            ("b64decode", "[\"a G k =\"]", Ok("hi")),
            ("b64decode", "[\"a=G=k=\"]", Ok("hi")),
            ("b64decode", "[null]", Ok("None")),
            ("b64decode", "[[]]", Ok("None")),
            ("b64decode", "[\"/w==\"]", Ok("None")),
            ("parse_json", "[\"NaN\"]", Ok("nan")),
            ("parse_json", "[\"1\"]", Ok("1")),
            ("parse_json", "[\"[1e400]\"]", Ok("[inf]")),
            ("parse_json", "[\"111111111111111111111111111111\"]", Ok("111111111111111111111111111111")),
            ("parse_json", "[\"{\\\"a\\\":[1,2.50,null,true]}\"]", Ok("{'a': [1, 2.5, None, True]}")),
            ("parse_json", "[5]", Ok("None")),
            ("parse_json", "[\"[1\"]", Ok("None")),
            ("parse_json", "[null]", Ok("None")),
            ("regex_match", "[\"foo bar\", \"(?Pz\"]", Err("unknown extension at position 3")),
            ("regex_match", "[\"a\\nb\\n\", \"a++a\"]", Ok("False")),
            ("regex_match", "[\"a\\nb\\n\", \"(?P<x>a\"]", Err("missing ) at position 7")),
            ("regex_match", "[\"a\\nb\\n\", \"a.c\"]", Ok("False")),
            ("regex_match", "[\"a\\nb\\n\", \"|\"]", Ok("True")),
            ("regex_match", "[\"\", \"b\\\\Z\"]", Ok("False")),
            ("regex_match", "[\"abab\", \"\\\\q\"]", Err("bad escape \\q at position 2")),
            ("regex_match", "[\"a\"]", Ok("None")),
            ("regex_match", "[\"a\", 5]", Ok("None")),
            ("regex_match", "[5, \"a\"]", Ok("None")),
            ("regex_search", "[\"foo bar\", \"\\\\ \"]", Ok("True")),
            ("regex_search", "[\"2023-08 http://x.y/z:80\", \"a|b|\"]", Ok("True")),
            ("regex_search", "[\"foo bar\", \"{\"]", Ok("False")),
            ("regex_search", "[\"2023-08 http://x.y/z:80\", \"(?z)a\"]", Err("unknown extension at position 2")),
            ("regex_search", "[\"a\\nb\\n\", \"a{\"]", Ok("False")),
            ("regex_search", "[\"abab\", \"(?-i)a\"]", Ok("True")),
            ("regex_search", "[\"2023-08 http://x.y/z:80\", \"[a\"]", Err("unterminated character set at position 2")),
            ("regex_search", "[\"a\"]", Ok("None")),
            ("regex_search", "[\"a\", 5]", Ok("None")),
            ("regex_search", "[5, \"a\"]", Ok("None")),
            ("regex_replace", "[\"a\\nb\\n\", \"https?://[^\\\\s]+\", \"<\\\\g<0>>\"]", Ok("a\nb\n")),
            ("regex_replace", "[\"2023-08 http://x.y/z:80\", \"(?Pz\", \"-\"]", Err("unknown extension at position 3")),
            ("regex_replace", "[\"\", \"(?<=a)b\", \"<\\\\g<0>>\"]", Ok("")),
            ("regex_replace", "[\"abcab\", \"(?P<x>a)\", \"\\\\2\"]", Err("invalid group reference")),
            ("regex_replace", "[\"foo bar\", \"[a&&b]\", \"-\"]", Ok("foo --r")),
            (
                "regex_replace",
                "[\"2023-08 http://x.y/z:80\", \"[a&&b]\", \"<\\\\g<0>>\"]",
                Ok("2023-08 http://x.y/z:80"),
            ),
            ("regex_replace", "[\"aab\", \"a{2}\", \"<\\\\g<0>>\"]", Ok("<aa>b")),
            ("regex_replace", "[\"\", \"x*\", \"-\"]", Ok("-")),
            ("regex_replace", "[\"a\", 5, \"b\"]", Ok("None")),
            ("regex_replace", "[\"a\", \"a\"]", Ok("None")),
            ("regex_replace", "[5, \"a\", \"b\"]", Ok("None")),
        ];
        for (name, args, expected) in cases {
            let rendering = Rendering::new(&[]);
            let args = Value::from(&json::loads(args).unwrap()).iterate(&rendering).unwrap();
            let result = filter(name).unwrap()(&rendering, Args { positional: args.clone(), named: Vec::new() })
                .and_then(|value| print::string(&rendering, &value))
                .map(|text| text.as_ref().to_owned())
                .map_err(|exception| exception.message);
            let shown = print::repr(&rendering, &Value::list(args)).unwrap();
            assert_eq!(result.as_deref().map_err(String::as_str), expected, "{name} {shown}");
        }
    }
}
