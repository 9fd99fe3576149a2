//! The filters that OnCall adds to Jinja2's. They give None for values that they can't take, and fail on a wrong call.

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

/// The exceptions for which most of OnCall's filters give None.
const UNFIT: &[ExceptionClass] =
    &[ExceptionClass::ValueError, ExceptionClass::AttributeError, ExceptionClass::TypeError];

/// A function of Python as a call sees it.
struct Signature {
    /// As messages name it.
    name: &'static str,
    required: &'static [&'static str],
    optional: &'static [&'static str],
    /// One for each optional parameter.
    defaults: &'static [&'static str],
    /// The exceptions for which it gives None. A call that does not fit is none of them: it fails.
    catches: &'static [ExceptionClass],
}

impl Signature {
    /// A function without optional parameters that gives None for values that it can't take.
    const fn new(name: &'static str, required: &'static [&'static str]) -> Self {
        Self { name, required, optional: &[], defaults: &[], catches: UNFIT }
    }

    const fn with(self, optional: &'static [&'static str], defaults: &'static [&'static str]) -> Self {
        Self { optional, defaults, ..self }
    }

    /// One value for each parameter.
    fn bind<const N: usize>(&self, arguments: Arguments) -> Result<[Value; N], Exception> {
        let mut bound = arguments.bind_to(self.name, self.required, self.optional)?;
        for (value, default) in bound.iter_mut().skip(self.required.len()).zip(self.defaults) {
            value.get_or_insert_with(|| Value::from(*default));
        }
        Ok(bound.map(Option::unwrap_or_default))
    }

    /// The filter that calls `body`, which has a value for each parameter.
    fn calls<const N: usize>(self, body: fn(&Rendering, [Value; N]) -> Result<Value, Exception>) -> Filter {
        Box::new(move |rendering, arguments| {
            let values = self.bind(arguments)?;
            match body(rendering, values) {
                Err(exception) if self.catches.contains(&exception.class) => Ok(Value::None),
                result => result,
            }
        })
    }
}

type Filter = Box<dyn Fn(&Rendering, Arguments) -> Result<Value, Exception> + Send + Sync>;

/// OnCall's filters by name.
fn filters() -> [(&'static str, Filter); 13] {
    let of_value = |name| Signature::new(name, &["value"]);
    let formatting = Signature {
        catches: &[ExceptionClass::AttributeError],
        ..of_value("datetimeformat").with(&["format"], &[FORMAT])
    };
    let in_timezone = of_value("datetimeformat_as_timezone").with(&["format", "tz"], &[FORMAT, "UTC"]);
    let parsing = of_value("datetimeparse").with(&["format"], &[FORMAT]);
    [
        ("datetimeformat", formatting.calls(datetimeformat)),
        ("datetimeformat_as_timezone", in_timezone.calls(datetimeformat_as_timezone)),
        ("datetimeparse", parsing.calls(datetimeparse)),
        ("iso8601_to_time", of_value("iso8601_to_time").calls(iso8601_to_time)),
        ("timestamp_to_datetime", of_value("timestamp_to_datetime").calls(timestamp_to_datetime)),
        ("timedeltaparse", of_value("timedeltaparse").calls(timedeltaparse)),
        ("tojson_pretty", of_value("to_pretty_json").calls(tojson_pretty)),
        ("json_dumps", of_value("json_dumps").calls(json_dumps)),
        ("parse_json", of_value("parse_json").calls(parse_json)),
        ("b64decode", of_value("b64decode").calls(b64decode)),
        ("regex_replace", Signature::new("regex_replace", &["value", "find", "replace"]).calls(regex_replace)),
        ("regex_match", Signature::new("regex_match", &["pattern", "value"]).calls(regex_match)),
        ("regex_search", Signature::new("regex_search", &["pattern", "value"]).calls(regex_search)),
    ]
}

/// Adds OnCall's filters.
pub(super) fn register(environment: &mut Environment) {
    for (name, filter) in filters() {
        environment.add_filter(name, filter);
    }
}

fn value_error<T>(message: impl Into<String>) -> Result<T, Exception> {
    Err(Exception::new(ExceptionClass::ValueError, message))
}

fn datetimeformat(rendering: &Rendering, [value, format]: [Value; 2]) -> Result<Value, Exception> {
    strftime(rendering, &value, format)
}

/// `value.strftime(format)`
fn strftime(rendering: &Rendering, value: &Value, format: Value) -> Result<Value, Exception> {
    value.call_method(rendering, "strftime", Arguments::positional([format]))
}

fn datetimeformat_as_timezone(rendering: &Rendering, [value, format, zone]: [Value; 3]) -> Result<Value, Exception> {
    let name = zone.as_str().map_or("", |name| &**name);
    match datetime::in_zone(rendering, &value, name)? {
        Some(moment) => strftime(rendering, &moment, format),
        None => {
            // `pytz.timezone` knows None for no zone, and asks anything else for its upper case.
            if !zone.is_none() {
                zone.call_method(rendering, "upper", Arguments::default())?;
            }
            Err(Exception::new(ExceptionClass::KeyError, zone.to_repr(rendering)?))
        }
    }
}

fn text(value: &Value) -> Result<&str, Exception> {
    match value.as_str() {
        Some(text) => Ok(text),
        None => Err(Exception::new(ExceptionClass::TypeError, format!("expected str, not {}", value.type_name()))),
    }
}

fn datetimeparse(_: &Rendering, [value, format]: [Value; 2]) -> Result<Value, Exception> {
    datetime::strptime(text(&value)?, text(&format)?)
}

fn iso8601_to_time(_: &Rendering, [value]: [Value; 1]) -> Result<Value, Exception> {
    Ok(datetime::parse_iso(text(&value)?)?.unwrap_or_default())
}

fn timestamp_to_datetime(_: &Rendering, [value]: [Value; 1]) -> Result<Value, Exception> {
    datetime::from_timestamp(&value)
}

fn timedeltaparse(_: &Rendering, [value]: [Value; 1]) -> Result<Value, Exception> {
    Ok(datetime::parse_timedelta(text(&value)?)?.unwrap_or_default())
}

fn tojson_pretty(rendering: &Rendering, [value]: [Value; 1]) -> Result<Value, Exception> {
    let options = json::Options { sort_keys: true, indent: Some("    ".into()), ensure_ascii: false };
    json::dumps(rendering, &value, options).map(Value::from)
}

fn json_dumps(rendering: &Rendering, [value]: [Value; 1]) -> Result<Value, Exception> {
    json::dumps(rendering, &value, json::Options::default()).map(Value::from)
}

fn parse_json(rendering: &Rendering, [value]: [Value; 1]) -> Result<Value, Exception> {
    json::loads(rendering, text(&value)?)
}

fn b64decode(rendering: &Rendering, [value]: [Value; 1]) -> Result<Value, Exception> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(DecodePaddingMode::RequireNone),
    );
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

fn regex_replace(rendering: &Rendering, [value, find, replace]: [Value; 3]) -> Result<Value, Exception> {
    re::sub(rendering, text(&find)?, &replace, &value)
}

/// The text comes first, the pattern second, whatever the names say.
fn regex_match(rendering: &Rendering, [searched, find]: [Value; 2]) -> Result<Value, Exception> {
    re::is_match(rendering, text(&find)?, &searched).map(Value::from)
}

/// As [`regex_match`].
fn regex_search(rendering: &Rendering, [searched, find]: [Value; 2]) -> Result<Value, Exception> {
    re::search(rendering, text(&find)?, &searched).map(Value::from)
}

#[cfg(test)]
mod tests;
