//! The filters that OnCall adds to Jinja2's. They give None for values that they can't take.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use pyjinja::{
    Arguments, Environment, Exception, ExceptionClass, Rendering, Value,
    stdlib::{datetime, json, re},
};

/// The format of times where none is given.
const FORMAT: &str = "%H:%M / %d-%m-%Y";

type Filter = fn(&Rendering, Arguments) -> Result<Value, Exception>;

/// OnCall's filters by name.
const FILTERS: [(&str, Filter); 13] = [
    ("datetimeformat", datetimeformat),
    ("datetimeformat_as_timezone", datetimeformat_as_timezone),
    ("datetimeparse", datetimeparse),
    ("iso8601_to_time", iso8601_to_time),
    ("timestamp_to_datetime", timestamp_to_datetime),
    ("timedeltaparse", timedeltaparse),
    ("tojson_pretty", tojson_pretty),
    ("json_dumps", json_dumps),
    ("parse_json", parse_json),
    ("b64decode", b64decode),
    ("regex_replace", regex_replace),
    ("regex_match", regex_match),
    ("regex_search", regex_search),
];

/// Adds OnCall's filters.
pub(super) fn register(environment: &mut Environment) {
    for (name, filter) in FILTERS {
        environment.add_filter(name, move |rendering, arguments| lenient(filter(rendering, arguments)));
    }
}

/// None for the exceptions that OnCall's filters catch.
fn lenient(result: Result<Value, Exception>) -> Result<Value, Exception> {
    match result {
        Err(Exception {
            class: ExceptionClass::ValueError | ExceptionClass::AttributeError | ExceptionClass::TypeError,
            ..
        }) => Ok(Value::None),
        other => other,
    }
}

/// The value of each of a filter's parameters, all of which are required.
fn required<const N: usize>(
    arguments: Arguments,
    name: &'static str,
    parameters: &'static [&'static str],
) -> Result<[Value; N], Exception> {
    Ok(arguments.bind_to(name, parameters, &[])?.map(Option::unwrap_or_default))
}

fn value_error<T>(message: impl Into<String>) -> Result<T, Exception> {
    Err(Exception::new(ExceptionClass::ValueError, message))
}

fn datetimeformat(rendering: &Rendering, arguments: Arguments) -> Result<Value, Exception> {
    let [value, format] = arguments.bind_to("datetimeformat", &["value"], &["format"])?;
    strftime(rendering, &value.unwrap_or_default(), format)
}

/// `value.strftime(format)`
fn strftime(rendering: &Rendering, value: &Value, format: Option<Value>) -> Result<Value, Exception> {
    let format = format.unwrap_or_else(|| Value::from(FORMAT));
    value.call_method(rendering, "strftime", Arguments::positional([format]))
}

fn datetimeformat_as_timezone(rendering: &Rendering, arguments: Arguments) -> Result<Value, Exception> {
    let [value, format, zone] = arguments.bind_to("datetimeformat_as_timezone", &["value"], &["format", "tz"])?;
    let (value, zone) = (value.unwrap_or_default(), zone.unwrap_or_else(|| Value::from("UTC")));
    let name = zone.as_str().map_or("", |name| &**name);
    match datetime::in_zone(rendering, &value, name)? {
        Some(moment) => strftime(rendering, &moment, format),
        None => Err(Exception::new(ExceptionClass::KeyError, zone.to_repr(rendering)?)),
    }
}

fn text(value: &Value) -> Result<&str, Exception> {
    match value.as_str() {
        Some(text) => Ok(text),
        None => Err(Exception::new(ExceptionClass::TypeError, format!("expected str, not {}", value.type_name()))),
    }
}

fn datetimeparse(_: &Rendering, arguments: Arguments) -> Result<Value, Exception> {
    let [value, format] = arguments.bind_to("datetimeparse", &["value"], &["format"])?;
    let format = format.unwrap_or_else(|| Value::from(FORMAT));
    datetime::strptime(text(&value.unwrap_or_default())?, text(&format)?)
}

fn iso8601_to_time(_: &Rendering, arguments: Arguments) -> Result<Value, Exception> {
    let [value] = required(arguments, "iso8601_to_time", &["value"])?;
    Ok(datetime::parse_iso(text(&value)?)?.unwrap_or_default())
}

fn timestamp_to_datetime(_: &Rendering, arguments: Arguments) -> Result<Value, Exception> {
    let [value] = required(arguments, "timestamp_to_datetime", &["value"])?;
    datetime::from_timestamp(&value)
}

fn timedeltaparse(_: &Rendering, arguments: Arguments) -> Result<Value, Exception> {
    let [value] = required(arguments, "timedeltaparse", &["value"])?;
    Ok(datetime::parse_timedelta(text(&value)?)?.unwrap_or_default())
}

fn tojson_pretty(rendering: &Rendering, arguments: Arguments) -> Result<Value, Exception> {
    let [value] = required(arguments, "tojson_pretty", &["value"])?;
    let options = json::Options { sort_keys: true, indent: Some("    ".into()), ensure_ascii: false };
    json::dumps(rendering, &value, options).map(Value::from)
}

fn json_dumps(rendering: &Rendering, arguments: Arguments) -> Result<Value, Exception> {
    let [value] = required(arguments, "json_dumps", &["value"])?;
    json::dumps(rendering, &value, json::Options::default()).map(Value::from)
}

fn parse_json(rendering: &Rendering, arguments: Arguments) -> Result<Value, Exception> {
    let [value] = required(arguments, "parse_json", &["value"])?;
    json::loads(rendering, text(&value)?)
}

fn b64decode(rendering: &Rendering, arguments: Arguments) -> Result<Value, Exception> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(DecodePaddingMode::RequireNone),
    );
    let [value] = required(arguments, "b64decode", &["value"])?;
    let text = text(&value)?;
    if !text.is_ascii() {
        return value_error("string argument should contain only ASCII characters");
    }
    rendering.allocate(text.len().saturating_mul(2))?;
    let Some(digits) = base64_digits(text) else { return value_error("Incorrect padding") };
    let decoded = match LENIENT.decode(digits) {
        Ok(bytes) => String::from_utf8(bytes).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    decoded.map_or_else(value_error, |text| Ok(Value::from(text)))
}

/// The digits up to where the padding is complete, without what is no digit, as Python skips it. None if one lacks.
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

fn regex_replace(rendering: &Rendering, arguments: Arguments) -> Result<Value, Exception> {
    let [value, find, replace] = required(arguments, "regex_replace", &["value", "find", "replace"])?;
    re::sub(rendering, text(&find)?, &replace, &value)
}

fn regex_match(rendering: &Rendering, arguments: Arguments) -> Result<Value, Exception> {
    // The text comes first, the pattern second, whatever the names say.
    let [searched, find] = required(arguments, "regex_match", &["pattern", "value"])?;
    re::is_match(rendering, text(&find)?, &searched).map(Value::from)
}

fn regex_search(rendering: &Rendering, arguments: Arguments) -> Result<Value, Exception> {
    let [searched, find] = required(arguments, "regex_search", &["pattern", "value"])?;
    re::search(rendering, text(&find)?, &searched).map(Value::from)
}

#[cfg(test)]
mod tests;
