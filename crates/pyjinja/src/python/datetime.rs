//! Python's `datetime` module, as templates meet it: `datetime`, `date`, `time`, `timedelta` and `timezone`.

use std::{
    borrow::Cow,
    cmp::Ordering,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, LazyLock},
};

use fancy_regex::Regex;
use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, DateTime, Time, date, time},
    tz::{TimeZone, TimeZoneDatabase},
};
use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{Signed, ToPrimitive, Zero};
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

use crate::{
    eval::rendering::Rendering,
    python::{
        arguments::Args,
        exception::{Exception, ExceptionClass, PyResult, other_error, type_error, value_error},
        operators::Operator,
        quote::quote,
        value::{Object, Value},
    },
};

const SECOND: i128 = 1_000_000;
const MINUTE: i128 = 60 * SECOND;
const DAY: i128 = 1440 * MINUTE;
const FIRST: DateTime = date(1, 1, 1).to_datetime(Time::midnight());
const LAST: DateTime = date(9999, 12, 31).to_datetime(time(23, 59, 59, 999_999_000));
const UNIX: DateTime = date(1970, 1, 1).to_datetime(Time::midnight());
const MOST_DAYS: i128 = 999_999_999;

const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// A `datetime`.
#[derive(Clone)]
pub(crate) struct Moment {
    civil: DateTime,
    zone: Option<Zone>,
    fold: bool,
}

/// A `date`.
#[derive(Clone, Copy)]
pub(crate) struct Day(Date);

/// A `time`.
#[derive(Clone)]
pub(crate) struct Clock {
    time: Time,
    zone: Option<Zone>,
    fold: bool,
}

/// A `timedelta`, in microseconds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(i128);

/// A `timezone`: its offset in microseconds, and its name if it was given one.
#[derive(Clone)]
pub(crate) struct Zone {
    offset: i128,
    name: Option<Arc<str>>,
}

/// A named tuple.
struct Record {
    class: &'static str,
    module: &'static str,
    fields: &'static [&'static str],
    values: Vec<i64>,
}

const UTC: Zone = Zone { offset: 0, name: None };

/// django's `timezone.now()`
pub(crate) fn now_utc() -> Value {
    Moment { zone: Some(UTC), ..now() }.value()
}

fn now() -> Moment {
    let now = Timestamp::now().as_microsecond();
    Moment::naive(UNIX).plus(i128::from(now)).unwrap_or(Moment::naive(UNIX))
}

/// `format(value, spec)`, if it is a date or a time.
pub(crate) fn format(value: &Value, spec: &str) -> Option<PyResult<String>> {
    let given = if let Some(moment) = value.downcast::<Moment>() {
        (moment.civil, moment.zone.as_ref(), moment.text(" ", "auto"))
    } else if let Some(day) = value.downcast::<Day>() {
        (day.0.to_datetime(Time::midnight()), None, Ok(day.text()))
    } else if let Some(clock) = value.downcast::<Clock>() {
        (clock.civil(), clock.zone.as_ref(), clock.text("auto"))
    } else {
        return None;
    };
    let (civil, zone, text) = given;
    Some(if spec.is_empty() { text } else { strftime(spec, civil, zone) })
}

/// `datetime.fromtimestamp(value)`, where local time is UTC.
pub(crate) fn from_timestamp(value: &Value) -> PyResult<Moment> {
    const EARLIEST: i128 = -62_135_510_400;
    const OF_C: i128 = 67_768_036_191_676_800;
    let micros = match value {
        Value::Float(float) if float.is_nan() => return value_error("Invalid value NaN (not a number)"),
        Value::Float(float) => {
            if float.abs() >= 9_223_372_036_854_775_808.0 {
                return other_error("timestamp out of range for platform time_t");
            }
            let micros = (float.fract() * 1e6).round_ties_even();
            float.trunc().to_i128().unwrap_or(0) * SECOND + micros.to_i128().unwrap_or(0)
        }
        other => match other.as_int().map(|int| int.to_i64()) {
            Some(Some(int)) => i128::from(int) * SECOND,
            Some(None) => return other_error("timestamp out of range for platform time_t"),
            None => {
                return type_error(format!("'{}' object cannot be interpreted as an integer", other.operand_name()));
            }
        },
    };
    let seconds = micros.div_euclid(SECOND);
    if !(-67_768_040_609_740_800..OF_C).contains(&seconds) {
        return other_error("[Errno 75] Value too large for defined data type");
    }
    let moment = Moment::naive(UNIX).plus(micros).ok().filter(|_| seconds >= EARLIEST);
    moment.map_or_else(
        || {
            let year = if seconds < EARLIEST { seconds.min(EARLIEST - 86_401) } else { seconds } / 31_556_952 + 1970;
            value_error(format!("year {} is out of range", year.min(if seconds < 0 { 0 } else { i128::MAX })))
        },
        Ok,
    )
}

/// What `([+-]?)(\d+)([smhdw])` gives of a timedelta, or None.
pub(crate) fn parse_span(text: &str) -> PyResult<Option<Span>> {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let Some(unit) = rest.chars().next_back() else { return Ok(None) };
    let size = match unit {
        's' => SECOND,
        'm' => MINUTE,
        'h' => 60 * MINUTE,
        'd' => DAY,
        'w' => 7 * DAY,
        _ => return Ok(None),
    };
    let digits: Option<String> =
        rest.chars().rev().skip(1).map(|c| digit(c).and_then(|digit| char::from_digit(digit, 10))).collect();
    let Some(digits) = digits.filter(|digits| !digits.is_empty()) else { return Ok(None) };
    if digits.len() > 4300 {
        return value_error("Exceeds the limit (4300 digits) for integer string conversion");
    }
    let digits: String = digits.chars().rev().collect();
    let amount = digits.parse::<BigInt>().unwrap_or_default();
    Span::new(&(amount * sign * size)).map(Some)
}

/// django's `parse_datetime`
pub(crate) fn parse_iso(text: &str) -> PyResult<Option<Moment>> {
    static LENIENT: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r"\A(?<Y>\d{4})-(?<m>\d{1,2})-(?<d>\d{1,2})[T ](?<H>\d{1,2}):(?<M>\d{1,2})(?::(?<S>\d{1,2})(?:[.,](?<f>\d{1,6})\d{0,6})?)?\s*(?<z>Z|[+-]\d{2}(?::?\d{2})?)?\n?\z",
        )
        .ok()
    });
    if let Ok(moment) = from_iso(text) {
        return Ok(Some(moment));
    }
    let Some(found) = LENIENT.as_ref().and_then(|lenient| lenient.captures(text).ok().flatten()) else {
        return Ok(None);
    };
    let number = |name: &str| found.name(name).map(|found| number(found.as_str()));
    let fraction = found.name("f").map_or(0, |found| number_padded(found.as_str()));
    let mut zone = None;
    if let Some(given) = found.name("z") {
        let digits: Vec<i64> = given.as_str().chars().filter_map(digit).map(i64::from).collect();
        let minutes = match digits.as_slice() {
            [a, b] => (a * 10 + b) * 60,
            [a, b, c, d] => (a * 10 + b) * 60 + c * 10 + d,
            _ => 0,
        };
        zone = Some(if given.as_str() == "Z" {
            UTC
        } else {
            let sign = if given.as_str().starts_with('-') { -1 } else { 1 };
            let name = format!("{}{:02}{:02}", if sign * minutes < 0 { '-' } else { '+' }, minutes / 60, minutes % 60);
            Zone::new(i128::from(sign * minutes) * MINUTE, Some(Arc::from(name)))?
        });
    }
    let part = |name: &str| number(name).unwrap_or(0);
    let day = new_date(part("Y"), part("m"), part("d"))?;
    let time = new_time(part("H"), part("M"), part("S"), fraction)?;
    Ok(Some(Moment { civil: day.to_datetime(time), zone, fold: false }))
}

/// The value of a decimal digit of any script.
fn digit(c: char) -> Option<u32> {
    let decimal = |c: char| c.general_category() == GeneralCategory::DecimalNumber;
    if c.is_ascii() || !decimal(c) {
        return c.to_digit(10);
    }
    // The digits of a script stand together, from 0 on.
    let before = (1..60).take_while(|back| char::from_u32(u32::from(c) - back).is_some_and(decimal)).count();
    u32::try_from(before % 10).ok()
}

fn number(text: &str) -> i64 {
    text.chars().filter_map(digit).fold(0_i64, |number, digit| number.saturating_mul(10).saturating_add(digit.into()))
}

/// The microseconds that stand behind a point.
fn number_padded(text: &str) -> i64 {
    let digits = u32::try_from(text.chars().count()).unwrap_or(6);
    number(text) * 10_i64.pow(6_u32.saturating_sub(digits))
}

fn new_date(year: i64, month: i64, day: i64) -> PyResult<Date> {
    if !(1..=9999).contains(&year) {
        return value_error(format!("year {year} is out of range"));
    }
    if !(1..=12).contains(&month) {
        return value_error("month must be in 1..12");
    }
    let small = |number: i64| i8::try_from(number).unwrap_or(0);
    Date::new(i16::try_from(year).unwrap_or(0), small(month), small(day))
        .map_err(|_| Exception::new(ExceptionClass::ValueError, "day is out of range for month"))
}

fn new_time(hour: i64, minute: i64, second: i64, microsecond: i64) -> PyResult<Time> {
    for (value, most, name) in
        [(hour, 23, "hour"), (minute, 59, "minute"), (second, 59, "second"), (microsecond, 999_999, "microsecond")]
    {
        if !(0..=most).contains(&value) {
            return value_error(format!("{name} must be in 0..{most}"));
        }
    }
    let small = |number: i64| i8::try_from(number).unwrap_or(0);
    Time::new(small(hour), small(minute), small(second), i32::try_from(microsecond * 1000).unwrap_or(0))
        .map_err(|error| Exception::new(ExceptionClass::ValueError, error.to_string()))
}

fn microsecond(time: Time) -> i64 {
    i64::from(time.subsec_nanosecond()) / 1000
}

fn since(start: DateTime, end: DateTime) -> i128 {
    end.duration_since(start).as_micros()
}

fn ordinal(day: Date) -> i64 {
    i64::try_from(since(FIRST, day.to_datetime(Time::midnight())) / DAY + 1).unwrap_or(0)
}

fn from_ordinal(ordinal: i64) -> PyResult<Date> {
    if ordinal < 1 {
        return value_error("ordinal must be >= 1");
    }
    match Moment::naive(FIRST).plus((i128::from(ordinal) - 1) * DAY) {
        Ok(moment) => Ok(moment.civil.date()),
        Err(_) => value_error(format!("year {} is out of range", (ordinal - 1).saturating_mul(400) / 146_097 + 1)),
    }
}

fn weekday(day: Date) -> i64 {
    i64::from(day.weekday().to_monday_zero_offset())
}

// ---------------------------------------------------------------------------------------------------- zones

impl Zone {
    fn new(offset: i128, name: Option<Arc<str>>) -> PyResult<Self> {
        if offset.abs() >= DAY {
            return value_error(format!(
                "offset must be a timedelta strictly between -timedelta(hours=24) and timedelta(hours=24), not {}",
                Span(offset).shown()
            ));
        }
        Ok(Self { offset, name })
    }

    fn value(&self) -> Value {
        Value::object(self.clone())
    }

    fn name(&self) -> Arc<str> {
        self.name.clone().unwrap_or_else(|| match self.offset {
            0 => Arc::from("UTC"),
            offset => Arc::from(format!("UTC{}", offset_text(offset, ":"))),
        })
    }

    fn shown(&self) -> String {
        match &self.name {
            None if self.offset == 0 => "datetime.timezone.utc".to_owned(),
            None => format!("datetime.timezone({})", Span(self.offset).shown()),
            Some(name) => format!("datetime.timezone({}, {})", Span(self.offset).shown(), quote(name)),
        }
    }
}

/// `+02:00`, with seconds and more only if there are some.
fn offset_text(offset: i128, separator: &str) -> String {
    let sign = if offset < 0 { '-' } else { '+' };
    let (minutes, rest) = (offset.abs() / MINUTE, offset.abs() % MINUTE);
    let mut text = format!("{sign}{:02}{separator}{:02}", minutes / 60, minutes % 60);
    if rest > 0 {
        text += &format!("{separator}{:02}", rest / SECOND);
    }
    if rest % SECOND > 0 {
        text += &format!(".{:06}", rest % SECOND);
    }
    text
}

fn zone_argument(value: Option<Value>) -> PyResult<Option<Zone>> {
    match value {
        None | Some(Value::None) => Ok(None),
        Some(value) => match value.downcast::<Zone>() {
            Some(zone) => Ok(Some(zone.clone())),
            None => type_error(format!(
                "tzinfo argument must be None or of a tzinfo subclass, not type '{}'",
                value.operand_name()
            )),
        },
    }
}

fn zone_value(zone: Option<&Zone>) -> Value {
    zone.map_or(Value::None, Zone::value)
}

fn zone_offset(zone: Option<&Zone>) -> Value {
    zone.map_or(Value::None, |zone| Span(zone.offset).value())
}

fn zone_name(zone: Option<&Zone>) -> Value {
    zone.map_or(Value::None, |zone| Value::text(zone.name()))
}

impl Object for Zone {
    fn type_name(&self) -> &'static str {
        "timezone"
    }

    fn described(&self) -> Cow<'static, str> {
        Cow::Borrowed("datetime.timezone")
    }

    fn repr(&self, _rendering: &Rendering) -> PyResult<String> {
        Ok(self.shown())
    }

    fn str(&self, _rendering: &Rendering) -> PyResult<String> {
        Ok(self.name().as_ref().to_owned())
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        let most = 1439 * MINUTE;
        let offset = match name {
            "utc" => 0,
            "min" => -most,
            "max" => most,
            _ => return None,
        };
        Some(Self { offset, name: None }.value())
    }

    fn methods(&self) -> &'static [&'static str] {
        &["utcoffset", "tzname", "dst", "fromutc"]
    }

    fn call_method(&self, _rendering: &Rendering, name: &str, args: Args) -> PyResult {
        let given = args.builtin(&format!("timezone.{name}"), 1, 1)?.into_iter().next().unwrap_or(Value::None);
        let moment = given.downcast::<Moment>();
        if name == "fromutc" {
            return match moment {
                Some(moment) => moment.plus(self.offset).map(Moment::value),
                None => type_error("fromutc() argument must be a datetime instance"),
            };
        }
        if moment.is_none() && !matches!(given, Value::None) {
            return type_error(format!(
                "{name}(dt) argument must be a datetime instance or None, not {}",
                given.type_name()
            ));
        }
        Ok(match name {
            "utcoffset" => Span(self.offset).value(),
            "tzname" => Value::text(self.name()),
            _ => Value::None,
        })
    }

    fn equals(&self, other: &Value) -> Option<bool> {
        other.downcast::<Self>().map(|other| other.offset == self.offset)
    }

    fn hash(&self) -> Option<u64> {
        Some(hashed(self.offset))
    }
}

fn hashed(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

// ------------------------------------------------------------------------------------------------- timedelta

impl Span {
    fn new(micros: &BigInt) -> PyResult<Self> {
        let days = micros.div_floor(&BigInt::from(DAY));
        match (days.to_i32(), micros.to_i128()) {
            (Some(days), Some(micros)) if i128::from(days).abs() <= MOST_DAYS => Ok(Self(micros)),
            (Some(days), _) => other_error(format!("days={days}; must have magnitude <= {MOST_DAYS}")),
            (None, _) => other_error("Python int too large to convert to C int"),
        }
    }

    fn checked(micros: i128) -> PyResult {
        Self::new(&BigInt::from(micros)).map(Self::value)
    }

    pub(crate) fn value(self) -> Value {
        Value::object(self)
    }

    /// Days, seconds, microseconds.
    fn parts(self) -> (i128, i128, i128) {
        let rest = self.0.rem_euclid(DAY);
        (self.0.div_euclid(DAY), rest / SECOND, rest % SECOND)
    }

    fn shown(self) -> String {
        let (days, seconds, micros) = self.parts();
        let parts: Vec<String> = [("days", days), ("seconds", seconds), ("microseconds", micros)]
            .iter()
            .filter(|(_, value)| *value != 0)
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        format!("datetime.timedelta({})", if parts.is_empty() { "0".to_owned() } else { parts.join(", ") })
    }

    fn text(self) -> String {
        let (days, seconds, micros) = self.parts();
        let mut text = match days {
            0 => String::new(),
            1 | -1 => format!("{days} day, "),
            _ => format!("{days} days, "),
        };
        text += &format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
        if micros > 0 {
            text += &format!(".{micros:06}");
        }
        text
    }

    /// Times or divided by a number.
    fn scaled(self, numerator: &BigInt, denominator: &BigInt) -> PyResult {
        Self::new(&nearest(&(BigInt::from(self.0) * numerator), denominator)).map(Self::value)
    }
}

/// `a / b`, rounded to the nearest, and to the even one of two.
fn nearest(a: &BigInt, b: &BigInt) -> BigInt {
    let (quotient, rest) = a.div_mod_floor(b);
    let twice = (rest * 2_i8).abs();
    match twice.cmp(&b.abs()) {
        Ordering::Greater => quotient + 1,
        Ordering::Equal if quotient.is_odd() => quotient + 1,
        _ => quotient,
    }
}

/// `float.as_integer_ratio()`
fn ratio(float: f64) -> PyResult<(BigInt, BigInt)> {
    if float.is_nan() {
        return value_error("cannot convert NaN to integer ratio");
    }
    if float.is_infinite() {
        return other_error("cannot convert Infinity to integer ratio");
    }
    let (mantissa, exponent, sign) = num_traits::float::FloatCore::integer_decode(float);
    let mantissa = BigInt::from(mantissa) * sign;
    let shift = usize::from(exponent.unsigned_abs());
    Ok(if exponent >= 0 { (mantissa << shift, BigInt::from(1)) } else { (mantissa, BigInt::from(1) << shift) })
}

/// The float that is nearest to a/b.
fn quotient(a: i128, b: i128) -> f64 {
    // A quotient with many bits, its last one set if there is a rest, rounds as the exact one does.
    const BITS: i32 = 130;
    let (quotient, rest) = (BigInt::from(a.unsigned_abs()) << BITS).div_rem(&BigInt::from(b.unsigned_abs().max(1)));
    let sticky = quotient | BigInt::from(u8::from(!rest.is_zero()));
    let float = sticky.to_f64().unwrap_or(f64::INFINITY) * 2_f64.powi(-BITS);
    if (a < 0) == (b < 0) { float } else { -float }
}

impl Object for Span {
    fn type_name(&self) -> &'static str {
        "timedelta"
    }

    fn described(&self) -> Cow<'static, str> {
        Cow::Borrowed("datetime.timedelta")
    }

    fn repr(&self, _rendering: &Rendering) -> PyResult<String> {
        Ok(self.shown())
    }

    fn str(&self, _rendering: &Rendering) -> PyResult<String> {
        Ok(self.text())
    }

    fn truth(&self) -> bool {
        self.0 != 0
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        let (days, seconds, micros) = self.parts();
        let number = match name {
            "days" => days,
            "seconds" => seconds,
            "microseconds" => micros,
            "min" => return Some(Self(-MOST_DAYS * DAY).value()),
            "max" => return Some(Self((MOST_DAYS + 1) * DAY - 1).value()),
            "resolution" => return Some(Self(1).value()),
            _ => return None,
        };
        Some(Value::int(BigInt::from(number)))
    }

    fn methods(&self) -> &'static [&'static str] {
        &["total_seconds"]
    }

    fn call_method(&self, _rendering: &Rendering, name: &str, args: Args) -> PyResult {
        args.builtin(&format!("timedelta.{name}"), 0, 0)?;
        Ok(Value::Float(quotient(self.0, SECOND)))
    }

    fn equals(&self, other: &Value) -> Option<bool> {
        other.downcast::<Self>().map(|other| other == self)
    }

    fn order(&self, other: &Value) -> Option<PyResult<Ordering>> {
        other.downcast::<Self>().map(|other| Ok(self.0.cmp(&other.0)))
    }

    fn hash(&self) -> Option<u64> {
        Some(hashed(self.0))
    }

    fn operate(&self, operator: Operator, other: &Value, reflected: bool) -> Option<PyResult> {
        match operator {
            Operator::Neg => return Some(Self::checked(-self.0)),
            Operator::Pos => return Some(Ok(self.value())),
            _ => {}
        }
        if let Some(Self(other)) = other.downcast::<Self>() {
            let (a, b) = if reflected { (*other, self.0) } else { (self.0, *other) };
            return spans(operator, a, b);
        }
        if !(operator == Operator::Mul || !reflected && matches!(operator, Operator::Div | Operator::FloorDiv)) {
            return None;
        }
        let one = BigInt::from(1);
        let (numerator, denominator) = match other {
            Value::Float(_) if operator == Operator::FloorDiv => return None,
            Value::Float(float) => match ratio(*float) {
                Ok(ratio) => ratio,
                Err(exception) => return Some(Err(exception)),
            },
            other => (other.as_int()?.into_owned(), one),
        };
        if operator == Operator::Mul {
            return Some(self.scaled(&numerator, &denominator));
        }
        if numerator.is_zero() {
            return Some(other_error("integer division or modulo by zero"));
        }
        Some(if operator == Operator::Div {
            self.scaled(&denominator, &numerator)
        } else {
            Self::new(&BigInt::from(self.0).div_floor(&numerator)).map(Self::value)
        })
    }
}

fn spans(operator: Operator, a: i128, b: i128) -> Option<PyResult> {
    Some(match operator {
        Operator::Add => Span::checked(a + b),
        Operator::Sub => Span::checked(a - b),
        Operator::Div if b == 0 => other_error("division by zero"),
        Operator::FloorDiv if b == 0 => other_error("integer division or modulo by zero"),
        Operator::Mod if b == 0 => other_error("integer modulo by zero"),
        Operator::Div => Ok(Value::Float(quotient(a, b))),
        Operator::FloorDiv => Ok(Value::int(BigInt::from(Integer::div_floor(&a, &b)))),
        Operator::Mod => Ok(Span(a.mod_floor(&b)).value()),
        _ => return None,
    })
}

// ------------------------------------------------------------------------------------------------- arguments

/// The arguments of a function written in C that takes some by name.
fn parsed(args: Args, name: &str, parameters: &[&str], required: usize) -> PyResult<Vec<Option<Value>>> {
    let (positional, given) = (args.positional.len(), args.positional.len() + args.named.len());
    if given > parameters.len() {
        let (most, s) = (parameters.len(), if parameters.len() == 1 { "" } else { "s" });
        let keyword = if positional == 0 { "keyword " } else { "" };
        return type_error(format!("{name}() takes at most {most} {keyword}argument{s} ({given} given)"));
    }
    for (at, parameter) in parameters.iter().enumerate().take(required).skip(positional) {
        if !args.named.iter().any(|(key, _)| key == parameter) {
            return type_error(format!("{name}() missing required argument '{parameter}' (pos {})", at + 1));
        }
    }
    let mut bound: Vec<Option<Value>> = args.positional.into_iter().map(Some).collect();
    bound.resize(parameters.len(), None);
    for (key, value) in args.named {
        let at = parameters.iter().position(|parameter| *parameter == key);
        match at.and_then(|at| Some((at, bound.get_mut(at)?))) {
            None => return type_error(format!("'{key}' is an invalid keyword argument for {name}()")),
            Some((at, Some(_))) => {
                return type_error(format!("argument for {name}() given by name ('{key}') and position ({})", at + 1));
            }
            Some((_, slot)) => *slot = Some(value),
        }
    }
    Ok(bound)
}

fn integer(value: &Value) -> PyResult<i64> {
    match value {
        Value::Float(_) => type_error("'float' object cannot be interpreted as an integer"),
        other => match other.index()? {
            number if i32::try_from(number).is_ok() => Ok(number),
            number if number < 0 => other_error("signed integer is less than minimum"),
            _ => other_error("signed integer is greater than maximum"),
        },
    }
}

fn integer_or(value: Option<&Option<Value>>, default: i64) -> PyResult<i64> {
    match value {
        Some(Some(value)) => integer(value),
        _ => Ok(default),
    }
}

fn text_argument(value: &Value, name: &str, position: usize) -> PyResult<Arc<str>> {
    match value {
        Value::Str(text) => Ok(Arc::clone(&text.text)),
        other => {
            let other = if matches!(other, Value::None) { Cow::Borrowed("None") } else { other.operand_name() };
            type_error(format!("{name}() argument {position} must be str, not {other}"))
        }
    }
}

fn only(args: Args, name: &str) -> PyResult<Value> {
    Ok(args.builtin(name, 1, 1)?.into_iter().next().unwrap_or(Value::None))
}

fn format_argument(args: Args) -> PyResult<Arc<str>> {
    let format = parsed(args, "strftime", &["format"], 1)?.into_iter().next().flatten();
    text_argument(&format.unwrap_or(Value::None), "strftime", 1)
}

fn spec_argument(args: Args) -> PyResult<Arc<str>> {
    text_argument(&only(args, "__format__")?, "__format__", 1)
}

fn fold_argument(value: Option<&Option<Value>>, default: bool) -> PyResult<bool> {
    match integer_or(value, default.into())? {
        0 => Ok(false),
        1 => Ok(true),
        _ => value_error("fold must be either 0 or 1"),
    }
}

// ------------------------------------------------------------------------------------------------------ date

impl Day {
    fn value(self) -> Value {
        Value::object(self)
    }

    fn text(self) -> String {
        format!("{:04}-{:02}-{:02}", self.0.year(), self.0.month(), self.0.day())
    }

    fn plus(self, micros: i128) -> PyResult {
        // Only whole days count.
        let moment = Moment::naive(self.0.to_datetime(Time::midnight())).plus(micros.div_euclid(DAY) * DAY)?;
        Ok(Self(moment.civil.date()).value())
    }
}

fn date_attribute(day: Date, name: &str) -> Option<Value> {
    Some(Value::Int(match name {
        "year" => day.year().into(),
        "month" => day.month().into(),
        "day" => day.day().into(),
        _ => return None,
    }))
}

const DATE_METHODS: &[&str] = &[
    "isoformat",
    "strftime",
    "replace",
    "weekday",
    "isoweekday",
    "isocalendar",
    "timetuple",
    "ctime",
    "toordinal",
    "today",
    "fromtimestamp",
    "fromisoformat",
    "fromordinal",
    "fromisocalendar",
    "__format__",
];

/// What is the same for `date` and `datetime`.
fn date_method(day: DateTime, name: &str, args: Args, zone: Option<&Zone>, class: &str) -> PyResult {
    if name == "strftime" {
        return strftime(&format_argument(args)?, day, zone).map(Value::from);
    }
    if name == "fromisocalendar" {
        return iso_calendar_date(args);
    }
    args.builtin(&format!("{class}.{name}"), 0, 0)?;
    let date = day.date();
    Ok(match name {
        "weekday" => Value::Int(weekday(date)),
        "isoweekday" => Value::Int(weekday(date) + 1),
        "toordinal" => Value::Int(ordinal(date)),
        "ctime" => Value::from(strftime_parts("%a %b %e %H:%M:%S ", day, None) + &format!("{:04}", date.year())),
        "isocalendar" => {
            let week = date.iso_week_date();
            Value::object(Record {
                class: "IsoCalendarDate",
                module: "datetime",
                fields: &["year", "week", "weekday"],
                values: vec![week.year().into(), week.week().into(), weekday(date) + 1],
            })
        }
        "timetuple" => time_tuple(day, -1),
        _ => return missing(class, name),
    })
}

fn missing(class: &str, name: &str) -> PyResult {
    Err(Exception::new(ExceptionClass::AttributeError, format!("'datetime.{class}' object has no attribute '{name}'")))
}

fn iso_calendar_date(args: Args) -> PyResult {
    let bound = parsed(args, "fromisocalendar", &["year", "week", "day"], 3)?;
    let part = |at: usize| integer_or(bound.get(at), 0);
    iso_week_date(part(0)?, part(1)?, part(2)?).map(|day| Day(day).value())
}

fn iso_week_date(year: i64, week: i64, day: i64) -> PyResult<Date> {
    if !(1..=9999).contains(&year) {
        return value_error(format!("Year is out of range: {year}"));
    }
    let fourth = new_date(year, 1, 4)?;
    let start = ordinal(fourth) - weekday(fourth);
    let long = {
        let first = weekday(new_date(year, 1, 1)?);
        first == 3 || first == 2 && fourth.in_leap_year()
    };
    if !(1..=if long { 53 } else { 52 }).contains(&week) {
        return value_error(format!("Invalid week: {week}"));
    }
    if !(1..=7).contains(&day) {
        return value_error(format!("Invalid day: {day} (range is [1, 7])"));
    }
    from_ordinal(start + (week - 1) * 7 + day - 1)
}

fn time_tuple(civil: DateTime, saving: i64) -> Value {
    Value::object(Record {
        class: "struct_time",
        module: "time",
        fields: &["tm_year", "tm_mon", "tm_mday", "tm_hour", "tm_min", "tm_sec", "tm_wday", "tm_yday", "tm_isdst"],
        values: vec![
            civil.year().into(),
            civil.month().into(),
            civil.day().into(),
            civil.hour().into(),
            civil.minute().into(),
            civil.second().into(),
            weekday(civil.date()),
            civil.date().day_of_year().into(),
            saving,
        ],
    })
}

impl Object for Day {
    fn type_name(&self) -> &'static str {
        "date"
    }

    fn described(&self) -> Cow<'static, str> {
        Cow::Borrowed("datetime.date")
    }

    fn repr(&self, _rendering: &Rendering) -> PyResult<String> {
        Ok(format!("datetime.date({}, {}, {})", self.0.year(), self.0.month(), self.0.day()))
    }

    fn str(&self, _rendering: &Rendering) -> PyResult<String> {
        Ok(self.text())
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        match name {
            "min" => Some(Self(FIRST.date()).value()),
            "max" => Some(Self(LAST.date()).value()),
            "resolution" => Some(Span(DAY).value()),
            _ => date_attribute(self.0, name),
        }
    }

    fn methods(&self) -> &'static [&'static str] {
        DATE_METHODS
    }

    fn call_method(&self, _rendering: &Rendering, name: &str, args: Args) -> PyResult {
        let civil = self.0.to_datetime(Time::midnight());
        Ok(Self(match name {
            "isoformat" => {
                args.builtin("date.isoformat", 0, 0)?;
                return Ok(Value::from(self.text()));
            }
            "__format__" => {
                let spec = spec_argument(args)?;
                return format(&self.value(), &spec).unwrap_or_else(|| Ok(String::new())).map(Value::from);
            }
            "replace" => {
                let bound = parsed(args, "replace", &["year", "month", "day"], 0)?;
                replaced_date(self.0, &bound)?
            }
            "today" => {
                args.builtin("date.today", 0, 0)?;
                now().civil.date()
            }
            "fromtimestamp" => from_timestamp(&only(args, "date.fromtimestamp")?)?.civil.date(),
            "fromordinal" => from_ordinal(integer(&only(args, "date.fromordinal")?)?)?,
            "fromisoformat" => {
                let text = iso_argument(args, "date")?;
                let parsed = Cursor::new(&text).date(text.len()).filter(|_| [7, 8, 10].contains(&text.len()));
                match parsed {
                    Some(day) => day?,
                    None => return invalid_iso(&text),
                }
            }
            _ => return date_method(civil, name, args, None, "date"),
        })
        .value())
    }

    fn equals(&self, other: &Value) -> Option<bool> {
        other.downcast::<Self>().map(|other| other.0 == self.0)
    }

    fn order(&self, other: &Value) -> Option<PyResult<Ordering>> {
        match other.downcast::<Self>() {
            Some(other) => Some(Ok(self.0.cmp(&other.0))),
            None => other.downcast::<Moment>().map(|_| type_error(MOMENT_AND_DAY)),
        }
    }

    fn hash(&self) -> Option<u64> {
        Some(hashed(self.0))
    }

    fn operate(&self, operator: Operator, other: &Value, reflected: bool) -> Option<PyResult> {
        match (operator, other.downcast::<Span>(), other.downcast::<Self>()) {
            (Operator::Add, Some(span), _) => Some(self.plus(span.0)),
            (Operator::Sub, Some(span), _) if !reflected => Some(self.plus(-(span.0.div_euclid(DAY) * DAY))),
            (Operator::Sub, _, Some(other)) => {
                Some(Ok(Span(i128::from(ordinal(self.0) - ordinal(other.0)) * DAY).value()))
            }
            _ => None,
        }
    }
}

const MOMENT_AND_DAY: &str = "can't compare datetime.datetime to datetime.date";

fn replaced_date(day: Date, bound: &[Option<Value>]) -> PyResult<Date> {
    let year = integer_or(bound.first(), day.year().into())?;
    let month = integer_or(bound.get(1), day.month().into())?;
    new_date(year, month, integer_or(bound.get(2), day.day().into())?)
}

fn replaced_time(time: Time, bound: &[Option<Value>]) -> PyResult<Time> {
    let hour = integer_or(bound.first(), time.hour().into())?;
    let minute = integer_or(bound.get(1), time.minute().into())?;
    let second = integer_or(bound.get(2), time.second().into())?;
    new_time(hour, minute, second, integer_or(bound.get(3), microsecond(time))?)
}

// ------------------------------------------------------------------------------------------------------ time

fn time_text(time: Time, precision: &str) -> PyResult<String> {
    let [hour, minute, second] = [time.hour(), time.minute(), time.second()];
    let micros = microsecond(time);
    Ok(match precision {
        "auto" if micros == 0 => format!("{hour:02}:{minute:02}:{second:02}"),
        "auto" | "microseconds" => format!("{hour:02}:{minute:02}:{second:02}.{micros:06}"),
        "milliseconds" => format!("{hour:02}:{minute:02}:{second:02}.{:03}", micros / 1000),
        "seconds" => format!("{hour:02}:{minute:02}:{second:02}"),
        "minutes" => format!("{hour:02}:{minute:02}"),
        "hours" => format!("{hour:02}"),
        _ => return value_error("Unknown timespec value"),
    })
}

fn zone_text(zone: Option<&Zone>) -> String {
    zone.map_or_else(String::new, |zone| offset_text(zone.offset, ":"))
}

fn time_attribute(time: Time, zone: Option<&Zone>, fold: bool, name: &str) -> Option<Value> {
    Some(Value::Int(match name {
        "hour" => time.hour().into(),
        "minute" => time.minute().into(),
        "second" => time.second().into(),
        "microsecond" => microsecond(time),
        "fold" => fold.into(),
        "tzinfo" => return Some(zone_value(zone)),
        "resolution" => return Some(Span(1).value()),
        _ => return None,
    }))
}

fn time_parts(time: Time) -> String {
    let (second, micros) = (time.second(), microsecond(time));
    let mut text = format!("{}, {}", time.hour(), time.minute());
    if second != 0 || micros != 0 {
        text += &format!(", {second}");
    }
    if micros != 0 {
        text += &format!(", {micros}");
    }
    text
}

fn keywords(zone: Option<&Zone>, fold: bool) -> String {
    let fold = if fold { ", fold=1" } else { "" };
    let zone = zone.map_or_else(String::new, |zone| format!(", tzinfo={}", zone.shown()));
    format!("{fold}{zone}")
}

impl Clock {
    fn civil(&self) -> DateTime {
        date(1900, 1, 1).to_datetime(self.time)
    }

    fn text(&self, precision: &str) -> PyResult<String> {
        Ok(time_text(self.time, precision)? + &zone_text(self.zone.as_ref()))
    }

    fn micros(&self) -> i128 {
        since(date(1900, 1, 1).to_datetime(Time::midnight()), self.civil())
            - self.zone.as_ref().map_or(0, |zone| zone.offset)
    }
}

impl Object for Clock {
    fn type_name(&self) -> &'static str {
        "time"
    }

    fn described(&self) -> Cow<'static, str> {
        Cow::Borrowed("datetime.time")
    }

    fn repr(&self, _rendering: &Rendering) -> PyResult<String> {
        Ok(format!("datetime.time({}{})", time_parts(self.time), keywords(self.zone.as_ref(), self.fold)))
    }

    fn str(&self, _rendering: &Rendering) -> PyResult<String> {
        self.text("auto")
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        match name {
            "min" => Some(Value::object(Self { time: FIRST.time(), zone: None, fold: false })),
            "max" => Some(Value::object(Self { time: LAST.time(), zone: None, fold: false })),
            _ => time_attribute(self.time, self.zone.as_ref(), self.fold, name),
        }
    }

    fn methods(&self) -> &'static [&'static str] {
        &["isoformat", "strftime", "replace", "utcoffset", "dst", "tzname", "fromisoformat", "__format__"]
    }

    fn call_method(&self, _rendering: &Rendering, name: &str, args: Args) -> PyResult {
        match name {
            "isoformat" => {
                let bound = parsed(args, "isoformat", &["timespec"], 0)?;
                let precision = precision_argument(bound.first(), 1)?;
                self.text(&precision).map(Value::from)
            }
            "strftime" => strftime(&format_argument(args)?, self.civil(), self.zone.as_ref()).map(Value::from),
            "__format__" => {
                let spec = spec_argument(args)?;
                format(&Value::object(self.clone()), &spec).unwrap_or_else(|| Ok(String::new())).map(Value::from)
            }
            "replace" => {
                let names = ["hour", "minute", "second", "microsecond", "tzinfo", "fold"];
                let mut bound = parsed(args, "replace", &names, 0)?;
                let zone = bound.get_mut(4).and_then(Option::take);
                Ok(Value::object(Self {
                    time: replaced_time(self.time, &bound)?,
                    zone: if zone.is_some() { zone_argument(zone)? } else { self.zone.clone() },
                    fold: fold_argument(bound.get(5), self.fold)?,
                }))
            }
            "fromisoformat" => {
                let text = iso_argument(args, "time")?;
                let rest = text.strip_prefix('T').unwrap_or(&text);
                match Cursor::new(rest).time() {
                    Some(parts) => {
                        let (time, zone) = parts?;
                        Ok(Value::object(Self { time, zone, fold: false }))
                    }
                    None => invalid_iso(&text),
                }
            }
            _ => {
                args.builtin(&format!("time.{name}"), 0, 0)?;
                Ok(zone_method(self.zone.as_ref(), name))
            }
        }
    }

    fn equals(&self, other: &Value) -> Option<bool> {
        other
            .downcast::<Self>()
            .map(|other| self.zone.is_some() == other.zone.is_some() && self.micros() == other.micros())
    }

    fn order(&self, other: &Value) -> Option<PyResult<Ordering>> {
        other.downcast::<Self>().map(|other| {
            if self.zone.is_some() != other.zone.is_some() {
                return type_error("can't compare offset-naive and offset-aware times");
            }
            Ok(self.micros().cmp(&other.micros()))
        })
    }

    fn hash(&self) -> Option<u64> {
        Some(hashed(self.micros()))
    }
}

fn zone_method(zone: Option<&Zone>, name: &str) -> Value {
    match name {
        "utcoffset" => zone_offset(zone),
        "tzname" => zone_name(zone),
        // A fixed offset knows nothing of daylight saving.
        _ => Value::None,
    }
}

fn precision_argument(value: Option<&Option<Value>>, position: usize) -> PyResult<Arc<str>> {
    match value {
        Some(Some(value)) => text_argument(value, "isoformat", position),
        _ => Ok(Arc::from("auto")),
    }
}

// -------------------------------------------------------------------------------------------------- datetime

impl Moment {
    fn naive(civil: DateTime) -> Self {
        Self { civil, zone: None, fold: false }
    }

    pub(crate) fn value(self) -> Value {
        Value::object(self)
    }

    fn plus(&self, micros: i128) -> PyResult<Self> {
        let moved = i64::try_from(micros)
            .ok()
            .and_then(|micros| self.civil.checked_add(SignedDuration::from_micros(micros)).ok())
            .filter(|civil| (FIRST..=LAST).contains(civil));
        match moved {
            Some(civil) => Ok(Self { civil, zone: self.zone.clone(), fold: false }),
            None => other_error("date value out of range"),
        }
    }

    fn offset(&self) -> i128 {
        self.zone.as_ref().map_or(0, |zone| zone.offset)
    }

    /// Microseconds since 1970, read as UTC if it has no zone.
    fn micros(&self) -> i128 {
        since(UNIX, self.civil) - self.offset()
    }

    fn text(&self, separator: &str, precision: &str) -> PyResult<String> {
        let time = time_text(self.civil.time(), precision)?;
        Ok(format!("{}{separator}{time}{}", Day(self.civil.date()).text(), zone_text(self.zone.as_ref())))
    }

    fn timestamp(&self) -> f64 {
        if self.zone.is_some() {
            return quotient(self.micros(), SECOND);
        }
        quotient(self.micros().div_euclid(SECOND), 1) + quotient(self.micros().rem_euclid(SECOND), SECOND)
    }

    /// The same moment in UTC, without a zone.
    fn utc(&self) -> PyResult<Self> {
        if self.zone.is_none() && self.civil < date(1, 1, 2).to_datetime(Time::midnight()) {
            return value_error("year 0 is out of range");
        }
        Self::naive(self.civil).plus(-self.offset())
    }

    fn at(&self, zone: Zone) -> PyResult<Self> {
        let moved = self.utc()?.plus(zone.offset)?;
        Ok(Self { zone: Some(zone), ..moved })
    }

    /// `self.astimezone(pytz.timezone(name))`
    pub(crate) fn at_named(&self, zone: &TimeZone) -> PyResult<Self> {
        // The data of pytz ends with 2037, and has only the first offset before 1901; offsets are whole minutes.
        const LAST_KNOWN: i64 = 2_145_916_800;
        const FIRST_KNOWN: i64 = -2_147_483_648;
        let seconds = i64::try_from(self.utc()?.micros().div_euclid(SECOND)).unwrap_or(0).min(LAST_KNOWN);
        let seconds = if seconds < FIRST_KNOWN { -60_000_000_000 } else { seconds };
        let timestamp = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
        let info = zone.to_offset_info(timestamp);
        let minutes = (i128::from(info.offset().seconds()) + 30).div_euclid(60);
        self.at(Zone { offset: minutes * MINUTE, name: Some(Arc::from(info.abbreviation())) })
    }

    pub(crate) fn strftime(&self, format: &str) -> PyResult<String> {
        strftime(format, self.civil, self.zone.as_ref())
    }

    fn from_timestamp(args: Args) -> PyResult {
        let mut bound = parsed(args, "fromtimestamp", &["timestamp", "tz"], 1)?.into_iter();
        let moment = from_timestamp(&bound.next().flatten().unwrap_or(Value::None))?;
        match zone_argument(bound.next().flatten())? {
            Some(zone) => Self { zone: Some(UTC), ..moment }.at(zone).map(Self::value),
            None => Ok(moment.value()),
        }
    }

    fn combine(args: Args) -> PyResult {
        let mut bound = parsed(args, "combine", &["date", "time", "tzinfo"], 2)?.into_iter();
        let (day, clock, zone) = (
            bound.next().flatten().unwrap_or(Value::None),
            bound.next().flatten().unwrap_or(Value::None),
            bound.next(),
        );
        let day_of = day.downcast::<Day>().map(|day| day.0).or(day.downcast::<Self>().map(|day| day.civil.date()));
        let Some(date) = day_of else {
            return type_error(format!("combine() argument 1 must be datetime.date, not {}", day.operand_name()));
        };
        let Some(clock) = clock.downcast::<Clock>() else {
            return type_error(format!("combine() argument 2 must be datetime.time, not {}", clock.operand_name()));
        };
        let zone = match zone.flatten() {
            None => clock.zone.clone(),
            given => zone_argument(given)?,
        };
        Ok(Self { civil: date.to_datetime(clock.time), zone, fold: clock.fold }.value())
    }

    fn replaced(&self, args: Args) -> PyResult {
        let names = ["year", "month", "day", "hour", "minute", "second", "microsecond", "tzinfo", "fold"];
        let mut bound = parsed(args, "replace", &names, 0)?;
        let zone = bound.get_mut(7).and_then(Option::take);
        let (day, time) = (replaced_date(self.civil.date(), &bound), bound.get(3..).unwrap_or_default());
        Ok(Self {
            civil: day?.to_datetime(replaced_time(self.civil.time(), time)?),
            zone: if zone.is_some() { zone_argument(zone)? } else { self.zone.clone() },
            fold: fold_argument(bound.get(8), self.fold)?,
        }
        .value())
    }

    fn iso_format(&self, args: Args) -> PyResult {
        let bound = parsed(args, "isoformat", &["sep", "timespec"], 0)?;
        let separator = match bound.first() {
            Some(Some(Value::Str(text))) if text.chars().count() == 1 => Arc::clone(&text.text),
            Some(Some(other)) => {
                return type_error(format!(
                    "isoformat() argument 1 must be a unicode character, not {}",
                    other.operand_name()
                ));
            }
            _ => Arc::from("T"),
        };
        self.text(&separator, &precision_argument(bound.get(1), 2)?).map(Value::from)
    }

    fn without_arguments(&self, name: &str, args: Args) -> PyResult {
        if !["date", "time", "timetz", "timestamp", "utctimetuple", "utcnow", "today", "utcoffset", "dst", "tzname"]
            .contains(&name)
        {
            return date_method(self.civil, name, args, self.zone.as_ref(), "datetime");
        }
        let class = if name == "today" { "date" } else { "datetime" };
        args.builtin(&format!("{class}.{name}"), 0, 0)?;
        Ok(match name {
            "date" => Day(self.civil.date()).value(),
            "time" => Value::object(Clock { time: self.civil.time(), zone: None, fold: self.fold }),
            "timetz" => Value::object(Clock { time: self.civil.time(), zone: self.zone.clone(), fold: self.fold }),
            "timestamp" => Value::Float(self.timestamp()),
            "utctimetuple" => time_tuple(Self::naive(self.civil).plus(-self.offset())?.civil, 0),
            "utcnow" | "today" => now().value(),
            _ => zone_method(self.zone.as_ref(), name),
        })
    }
}

impl Object for Moment {
    fn type_name(&self) -> &'static str {
        "datetime"
    }

    fn described(&self) -> Cow<'static, str> {
        Cow::Borrowed("datetime.datetime")
    }

    fn repr(&self, _rendering: &Rendering) -> PyResult<String> {
        Ok(format!(
            "datetime.datetime({}, {}, {}, {}{})",
            self.civil.year(),
            self.civil.month(),
            self.civil.day(),
            time_parts(self.civil.time()),
            keywords(self.zone.as_ref(), self.fold)
        ))
    }

    fn str(&self, _rendering: &Rendering) -> PyResult<String> {
        self.text(" ", "auto")
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        match name {
            "min" => Some(Self::naive(FIRST).value()),
            "max" => Some(Self::naive(LAST).value()),
            _ => date_attribute(self.civil.date(), name)
                .or_else(|| time_attribute(self.civil.time(), self.zone.as_ref(), self.fold, name)),
        }
    }

    fn methods(&self) -> &'static [&'static str] {
        &[
            "isoformat",
            "strftime",
            "replace",
            "weekday",
            "isoweekday",
            "isocalendar",
            "timetuple",
            "ctime",
            "toordinal",
            "today",
            "fromtimestamp",
            "fromisoformat",
            "fromordinal",
            "fromisocalendar",
            "__format__",
            "date",
            "time",
            "timetz",
            "timestamp",
            "utctimetuple",
            "utcnow",
            "utcoffset",
            "dst",
            "tzname",
            "now",
            "astimezone",
            "utcfromtimestamp",
            "strptime",
            "combine",
        ]
    }

    fn call_method(&self, _rendering: &Rendering, name: &str, args: Args) -> PyResult {
        match name {
            "isoformat" => self.iso_format(args),
            "replace" => self.replaced(args),
            "combine" => Self::combine(args),
            "fromtimestamp" => Self::from_timestamp(args),
            "utcfromtimestamp" => from_timestamp(&only(args, "datetime.utcfromtimestamp")?).map(Self::value),
            "astimezone" => {
                let zone = parsed(args, "astimezone", &["tz"], 0)?.into_iter().next().flatten();
                let zone = zone_argument(zone)?.unwrap_or(Zone { offset: 0, name: Some(Arc::from("UTC")) });
                self.at(zone).map(Self::value)
            }
            "now" => {
                let zone = parsed(args, "now", &["tz"], 0)?.into_iter().next().flatten();
                Ok(match zone_argument(zone)? {
                    Some(zone) => Self { zone: Some(UTC), ..now() }.at(zone)?,
                    None => now(),
                }
                .value())
            }
            "strptime" => {
                if args.positional.len() != 2 || !args.named.is_empty() {
                    let given = args.positional.len();
                    return type_error(if args.named.is_empty() {
                        format!("strptime() takes exactly 2 arguments ({given} given)")
                    } else {
                        "datetime.strptime() takes no keyword arguments".to_owned()
                    });
                }
                let [text, format] = [args.positional.first(), args.positional.get(1)]
                    .map(|value| value.cloned().unwrap_or(Value::None));
                let text = text_argument(&text, "strptime", 1)?;
                strptime(&text, &text_argument(&format, "strptime", 2)?).map(Self::value)
            }
            "fromisoformat" => {
                let text = iso_argument(args, "datetime")?;
                from_iso(&text).map(Self::value)
            }
            "fromordinal" => {
                let day = from_ordinal(integer(&only(args, "datetime.fromordinal")?)?)?;
                Ok(Self::naive(day.to_datetime(Time::midnight())).value())
            }
            "fromisocalendar" => {
                let day = iso_calendar_date(args)?;
                let date = day.downcast::<Day>().map_or(FIRST.date(), |day| day.0);
                Ok(Self::naive(date.to_datetime(Time::midnight())).value())
            }
            "__format__" => {
                let spec = spec_argument(args)?;
                if spec.is_empty() { self.text(" ", "auto") } else { self.strftime(&spec) }.map(Value::from)
            }
            _ => self.without_arguments(name, args),
        }
    }

    fn equals(&self, other: &Value) -> Option<bool> {
        other
            .downcast::<Self>()
            .map(|other| self.zone.is_some() == other.zone.is_some() && self.micros() == other.micros())
    }

    fn order(&self, other: &Value) -> Option<PyResult<Ordering>> {
        if other.downcast::<Day>().is_some() {
            return Some(type_error(MOMENT_AND_DAY));
        }
        other.downcast::<Self>().map(|other| {
            if self.zone.is_some() != other.zone.is_some() {
                return type_error("can't compare offset-naive and offset-aware datetimes");
            }
            Ok(self.micros().cmp(&other.micros()))
        })
    }

    fn hash(&self) -> Option<u64> {
        Some(hashed(self.micros()))
    }

    fn operate(&self, operator: Operator, other: &Value, reflected: bool) -> Option<PyResult> {
        match (operator, other.downcast::<Span>(), other.downcast::<Self>()) {
            (Operator::Add, Some(span), _) => Some(self.plus(span.0).map(Self::value)),
            (Operator::Sub, Some(span), _) if !reflected => Some(self.plus(-span.0).map(Self::value)),
            (Operator::Sub, _, Some(other)) if self.zone.is_some() != other.zone.is_some() => {
                Some(type_error("can't subtract offset-naive and offset-aware datetimes"))
            }
            (Operator::Sub, _, Some(other)) => Some(Ok(Span(self.micros() - other.micros()).value())),
            _ => None,
        }
    }
}

/// The zone that pytz knows by this name.
pub(crate) fn named_zone(name: &str) -> Option<TimeZone> {
    TimeZoneDatabase::bundled().get(name).ok().filter(|_| !name.eq_ignore_ascii_case("factory"))
}

// ----------------------------------------------------------------------------------------------- named tuples

impl Object for Record {
    fn type_name(&self) -> &'static str {
        self.class
    }

    fn described(&self) -> Cow<'static, str> {
        Cow::Owned(format!("{}.{}", self.module, self.class))
    }

    fn repr(&self, _rendering: &Rendering) -> PyResult<String> {
        let parts: Vec<String> =
            self.fields.iter().zip(&self.values).map(|(field, value)| format!("{field}={value}")).collect();
        Ok(format!("{}({})", self.described(), parts.join(", ")))
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        let at = self.fields.iter().position(|field| *field == name)?;
        self.values.get(at).map(|value| Value::Int(*value))
    }

    fn length(&self) -> Option<usize> {
        Some(self.values.len())
    }

    fn iterable(&self) -> bool {
        true
    }

    fn iterate(&self, _rendering: &Rendering) -> Option<PyResult<Vec<Value>>> {
        Some(Ok(self.values.iter().map(|value| Value::Int(*value)).collect()))
    }

    fn equals(&self, other: &Value) -> Option<bool> {
        match other {
            Value::Tuple(tuple) => Some(
                tuple.items.len() == self.values.len()
                    && self
                        .values
                        .iter()
                        .zip(&tuple.items)
                        .all(|(a, b)| crate::python::operators::equal(&Value::Int(*a), b)),
            ),
            other => other.downcast::<Self>().map(|other| other.values == self.values),
        }
    }

    fn hash(&self) -> Option<u64> {
        Some(hashed(&self.values))
    }
}

// -------------------------------------------------------------------------------------------------- ISO 8601

fn iso_argument(args: Args, class: &str) -> PyResult<Arc<str>> {
    match only(args, &format!("{class}.fromisoformat"))? {
        Value::Str(text) => Ok(text.text),
        _ => type_error("fromisoformat: argument must be str"),
    }
}

fn invalid_iso<T>(text: &str) -> PyResult<T> {
    value_error(format!("Invalid isoformat string: {}", quote(text)))
}

/// `datetime.fromisoformat(text)`
fn from_iso(text: &str) -> PyResult<Moment> {
    let bytes = text.as_bytes();
    if bytes.len() < 7 {
        return invalid_iso(text);
    }
    let split = iso_separator(bytes).and_then(|at| {
        let head = text.get(..at)?;
        let mut rest = text.get(at..)?.chars();
        let separated = rest.next().is_some();
        Some((head, separated.then_some(rest.as_str())))
    });
    let Some((head, rest)) = split else { return invalid_iso(text) };
    let Some(day) = Cursor::new(head).date(head.len()) else { return invalid_iso(text) };
    let (time, zone) = match rest.filter(|rest| !rest.is_empty()).map(|rest| Cursor::new(rest).time()) {
        _ if rest == Some("") => return invalid_iso(text),
        None => (Ok(Time::midnight()), Ok(None)),
        Some(None) => return invalid_iso(text),
        Some(Some(Ok((time, zone)))) => (Ok(time), Ok(zone)),
        Some(Some(Err(exception))) => (Err(exception.clone()), Err(exception)),
    };
    Ok(Moment { civil: day?.to_datetime(time?), zone: zone?, fold: false })
}

/// Where the date ends.
fn iso_separator(text: &[u8]) -> Option<usize> {
    let is = |at: usize, byte: u8| text.get(at) == Some(&byte);
    let digit = |at: usize| text.get(at).is_some_and(u8::is_ascii_digit);
    let length = text.len();
    if length == 7 {
        return Some(7);
    }
    if is(4, b'-') {
        if !is(5, b'W') {
            return Some(10);
        }
        return match () {
            () if !is(8, b'-') => Some(8),
            () if length == 9 => None,
            () if length > 10 && digit(10) => Some(8),
            () => Some(10),
        };
    }
    if !is(4, b'W') {
        return Some(8);
    }
    let end = (7..length).find(|at| !digit(*at)).unwrap_or(length);
    Some(match end {
        ..9 => end,
        even if even % 2 == 0 => 7,
        _ => 8,
    })
}

struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn new(text: &'a str) -> Self {
        Self { text: text.as_bytes(), at: 0 }
    }

    fn digits(&mut self, count: usize) -> Option<i64> {
        let digits = self.text.get(self.at..self.at + count)?;
        self.at += count;
        digits.iter().try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
    }

    fn take(&mut self, byte: u8) -> bool {
        let taken = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(taken);
        taken
    }

    /// None if it is not of the form at all.
    fn date(mut self, length: usize) -> Option<PyResult<Date>> {
        let year = self.digits(4)?;
        let separated = self.take(b'-');
        if self.take(b'W') {
            let week = self.digits(2)?;
            let day = if self.at < length {
                if separated && !self.take(b'-') {
                    return None;
                }
                self.digits(1)?
            } else {
                1
            };
            return (self.at == length).then(|| iso_week_date(year, week, day));
        }
        let month = self.digits(2)?;
        if separated && !self.take(b'-') {
            return None;
        }
        let day = self.digits(2)?;
        (self.at == length).then(|| new_date(year, month, day))
    }

    fn time(self) -> Option<PyResult<(Time, Option<Zone>)>> {
        let length = self.text.len();
        let end = self.text.iter().position(|byte| b"+-Z".contains(byte)).unwrap_or(length);
        let ([hour, minute, second, micros], rest) = clock(self.text, end)?;
        let mut zone = None;
        if end == length {
            if rest {
                return None;
            }
        } else if self.text.get(end) == Some(&b'Z') {
            if end + 1 != length {
                return None;
            }
            zone = Some(Ok(UTC));
        } else {
            let sign = if self.text.get(end) == Some(&b'-') { -1 } else { 1 };
            let offset = self.text.get(end + 1..)?;
            let ([hour, minute, second, micros], rest) = clock(offset, offset.len())?;
            if rest {
                return None;
            }
            let offset = i128::from((hour * 60 + minute) * 60 + second) * SECOND + i128::from(micros);
            zone = Some(Zone::new(sign * offset, None));
        }
        Some(new_time(hour, minute, second, micros).and_then(|time| Ok((time, zone.transpose()?))))
    }
}

/// `HH[:?MM[:?SS[.ffffff]]]` up to `end`, and whether something else follows it.
fn clock(text: &[u8], end: usize) -> Option<([i64; 4], bool)> {
    let mut cursor = Cursor { text, at: 0 };
    let mut parts = [0; 4];
    let mut separated = true;
    for index in 0..3 {
        *parts.get_mut(index)? = cursor.digits(2)?;
        let next = text.get(cursor.at).copied();
        cursor.at += 1;
        if index == 0 {
            separated = next == Some(b':');
        }
        if cursor.at >= end {
            return Some((parts, next.is_some()));
        }
        match next {
            Some(b':') if separated => {}
            Some(b'.' | b',') => break,
            _ if !separated => cursor.at -= 1,
            _ => return None,
        }
    }
    let count = end.checked_sub(cursor.at)?.min(6);
    let fraction = cursor.digits(count)?;
    *parts.get_mut(3)? = fraction * 10_i64.pow(6 - u32::try_from(count).ok()?);
    while text.get(cursor.at).is_some_and(u8::is_ascii_digit) {
        cursor.at += 1;
    }
    Some((parts, cursor.at < text.len()))
}

// -------------------------------------------------------------------------------------------------- strftime

fn strftime(format: &str, civil: DateTime, zone: Option<&Zone>) -> PyResult<String> {
    if format.contains('\0') {
        return value_error("embedded null character");
    }
    Ok(strftime_parts(format, civil, zone))
}

/// What C's `strftime` is told beside the directive.
#[derive(Clone, Copy, Default)]
struct Style {
    pad: Option<char>,
    upper: bool,
    swap: bool,
    width: Option<usize>,
}

impl Style {
    fn plain(self) -> bool {
        self.pad.is_none() && !self.upper && !self.swap && self.width.is_none()
    }
}

fn strftime_parts(format: &str, civil: DateTime, zone: Option<&Zone>) -> String {
    let mut out = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        let (plain, directive) = rest.split_at(at);
        out.push_str(plain);
        let mut chars = directive.chars();
        chars.next();
        let style = style(&mut chars);
        let text = match chars.next() {
            Some(':') if chars.as_str().starts_with('z') => {
                chars.next();
                Some(zone_text(zone))
            }
            Some(c) => expand(c, style, civil, zone),
            None => None,
        };
        rest = chars.as_str();
        match text {
            Some(text) => out.push_str(&text),
            // What is no directive stands for itself.
            None => out.push_str(directive.get(..directive.len() - rest.len()).unwrap_or("%")),
        }
    }
    out.push_str(rest);
    out
}

fn style(chars: &mut std::str::Chars) -> Style {
    let mut style = Style::default();
    loop {
        let mut ahead = chars.clone();
        match ahead.next() {
            Some(c @ ('-' | '_' | '0')) if style.width.is_none() => style.pad = Some(c),
            Some('^') if style.width.is_none() => style.upper = true,
            Some('#') if style.width.is_none() => style.swap = true,
            Some(c) if c.is_ascii_digit() => {
                let digit = c.to_digit(10).and_then(|digit| usize::try_from(digit).ok()).unwrap_or(0);
                // More than this is of no use to anybody.
                style.width = Some((style.width.unwrap_or(0) * 10 + digit).min(1000));
            }
            Some('E' | 'O') if ahead.clone().next().is_some_and(|c| c.is_ascii_alphabetic()) => {}
            _ => return style,
        }
        *chars = ahead;
    }
}

fn expand(directive: char, style: Style, civil: DateTime, zone: Option<&Zone>) -> Option<String> {
    let (day, clock) = (civil.date(), civil.time());
    let (year, hour) = (i64::from(civil.year()), i64::from(civil.hour()));
    let (week_day, year_day) = (weekday(day), i64::from(day.day_of_year()) - 1);
    let twelve = if hour % 12 == 0 { 12 } else { hour % 12 };
    let name = |names: &[&str], at: i64| {
        usize::try_from(at).ok().and_then(|at| names.get(at).copied()).unwrap_or("?").to_owned()
    };
    let short = |name: String| name.get(..3).unwrap_or("?").to_owned();
    let inner = |format: &str| strftime_parts(format, civil, zone);
    let (number, digits, pad) = match directive {
        'C' => (year.div_euclid(100), 1, '0'),
        'd' => (civil.day().into(), 2, '0'),
        'e' => (civil.day().into(), 2, ' '),
        'g' => (i64::from(day.iso_week_date().year()).rem_euclid(100), 2, '0'),
        'G' => (day.iso_week_date().year().into(), 1, '0'),
        'H' => (hour, 2, '0'),
        'I' => (twelve, 2, '0'),
        'j' => (year_day + 1, 3, '0'),
        'k' => (hour, 2, ' '),
        'l' => (twelve, 2, ' '),
        'm' => (civil.month().into(), 2, '0'),
        'M' => (civil.minute().into(), 2, '0'),
        's' => (i64::try_from(since(UNIX, civil).div_euclid(SECOND)).unwrap_or(0), 1, '0'),
        'S' => (civil.second().into(), 2, '0'),
        'u' => (week_day + 1, 1, '0'),
        'U' => ((year_day + 7 - (week_day + 1) % 7) / 7, 2, '0'),
        'V' => (day.iso_week_date().week().into(), 2, '0'),
        'w' => ((week_day + 1) % 7, 1, '0'),
        'W' => ((year_day + 7 - week_day) / 7, 2, '0'),
        'y' => (year.rem_euclid(100), 2, '0'),
        'Y' => (year, 1, '0'),
        _ => {
            let text = match directive {
                'a' => short(name(&WEEKDAYS, week_day)),
                'A' => name(&WEEKDAYS, week_day),
                'b' | 'h' => short(name(&MONTHS, i64::from(civil.month()) - 1)),
                'B' => name(&MONTHS, i64::from(civil.month()) - 1),
                'c' => inner("%a %b %e %H:%M:%S %Y"),
                'D' | 'x' => inner("%m/%d/%y"),
                // These are of Python itself, which knows no style.
                'f' if style.plain() => format!("{:06}", microsecond(clock)),
                'F' => inner("%Y-%m-%d"),
                'n' => "\n".to_owned(),
                'p' if style.swap => if hour < 12 { "am" } else { "pm" }.to_owned(),
                'p' => if hour < 12 { "AM" } else { "PM" }.to_owned(),
                'P' => if hour < 12 { "am" } else { "pm" }.to_owned(),
                'r' => inner("%I:%M:%S %p"),
                'R' => inner("%H:%M"),
                't' => "\t".to_owned(),
                'T' | 'X' => inner("%H:%M:%S"),
                'z' if !style.plain() => return Some(String::new()),
                'Z' if !style.plain() => String::new(),
                'z' => zone.map_or_else(String::new, |zone| offset_text(zone.offset, "")),
                'Z' => zone.map_or_else(String::new, |zone| zone.name().as_ref().to_owned()),
                '%' => "%".to_owned(),
                _ => return None,
            };
            return Some(styled(text, style, "aAbBh".contains(directive)));
        }
    };
    let pad = match style.pad {
        Some('-') => None,
        Some('_') => Some(' '),
        Some(_) => Some('0'),
        None => Some(pad),
    };
    let text = number.to_string();
    Some(match pad {
        None => text,
        Some(pad) => {
            let missing = style.width.unwrap_or(digits).max(digits).saturating_sub(text.len());
            pad.to_string().repeat(missing) + &text
        }
    })
}

fn styled(text: String, style: Style, name: bool) -> String {
    let text = if style.upper || style.swap && name { text.to_uppercase() } else { text };
    let pad = if style.pad == Some('0') { "0" } else { " " };
    let missing = style.width.unwrap_or(0).saturating_sub(text.chars().count());
    pad.repeat(missing) + &text
}

// -------------------------------------------------------------------------------------------------- strptime

/// The regular expression of a directive, as Python has them.
fn directive_pattern(directive: char) -> Option<String> {
    let names = |names: &[&str], length: usize| {
        let mut names: Vec<&str> = names.iter().map(|name| name.get(..length).unwrap_or(name)).collect();
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        names.join("|")
    };
    let pattern = match directive {
        'd' => r"3[0-1]|[1-2]\d|0[1-9]|[1-9]| [1-9]".to_owned(),
        'f' => "[0-9]{1,6}".to_owned(),
        'H' => r"2[0-3]|[0-1]\d|\d".to_owned(),
        'I' => "1[0-2]|0[1-9]|[1-9]".to_owned(),
        'G' | 'Y' => r"\d\d\d\d".to_owned(),
        'j' => r"36[0-6]|3[0-5]\d|[1-2]\d\d|0[1-9]\d|00[1-9]|[1-9]\d|0[1-9]|[1-9]".to_owned(),
        'm' => "1[0-2]|0[1-9]|[1-9]".to_owned(),
        'M' => r"[0-5]\d|\d".to_owned(),
        'S' => r"6[0-1]|[0-5]\d|\d".to_owned(),
        'U' | 'W' => r"5[0-3]|[0-4]\d|\d".to_owned(),
        'w' => "[0-6]".to_owned(),
        'u' => "[1-7]".to_owned(),
        'V' => r"5[0-3]|0[1-9]|[1-4]\d|\d".to_owned(),
        'y' => r"\d\d".to_owned(),
        'z' => r"[+-]\d\d:?[0-5]\d(:?[0-5]\d(\.\d{1,6})?)?|(?-i:Z)".to_owned(),
        'A' => names(&WEEKDAYS, usize::MAX),
        'a' => names(&WEEKDAYS, 3),
        'B' => names(&MONTHS, usize::MAX),
        'b' => names(&MONTHS, 3),
        'p' => "am|pm".to_owned(),
        'Z' => "utc|gmt".to_owned(),
        '%' => return Some("%".to_owned()),
        'c' => return format_pattern("%a %b %d %H:%M:%S %Y").ok(),
        'x' => return format_pattern("%m/%d/%y").ok(),
        'X' => return format_pattern("%H:%M:%S").ok(),
        _ => return None,
    };
    Some(format!("(?P<{directive}>{pattern})"))
}

fn format_pattern(format: &str) -> PyResult<String> {
    let mut pattern = String::new();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '%' {
            let Some(directive) = chars.next() else {
                return value_error(format!("stray % in format '{format}'"));
            };
            match directive_pattern(directive) {
                Some(part) => pattern += &part,
                None => {
                    // Python escapes first: a space or a special character is a backslash by then.
                    let special = directive.is_whitespace() || r"\.^$*+?(){}[]|".contains(directive);
                    let named = if special { '%' } else { directive };
                    return value_error(format!("'{named}' is a bad directive in format '{format}'"));
                }
            }
        } else if c.is_whitespace() {
            while chars.next_if(|c| c.is_whitespace()).is_some() {}
            pattern += r"\s+";
        } else if r"\.^$*+?(){}[]|".contains(c) {
            pattern.extend(['\\', c]);
        } else {
            pattern.push(c);
        }
    }
    Ok(pattern)
}

/// A directive can stand only once.
fn unique(pattern: &str) -> PyResult<()> {
    let mut known: Vec<(char, usize)> = Vec::new();
    let mut groups = 0;
    let mut before = ' ';
    for (at, c) in pattern.char_indices() {
        let rest = pattern.get(at..).unwrap_or_default();
        if c == '(' && before != '\\' && !rest.starts_with("(?-i") {
            groups += 1;
            if let Some(name) = rest.strip_prefix("(?P<").and_then(|name| name.chars().next()) {
                if let Some((_, group)) = known.iter().find(|(known, _)| *known == name) {
                    let position = pattern.get(..at).unwrap_or_default().chars().count() + 4;
                    return other_error(format!(
                        "redefinition of group name '{name}' as group {groups}; was group {group} at position {position}"
                    ));
                }
                known.push((name, groups));
            }
        }
        before = if before == '\\' { ' ' } else { c };
    }
    Ok(())
}

/// `datetime.strptime(text, format)`
pub(crate) fn strptime(text: &str, format: &str) -> PyResult<Moment> {
    let pattern = format_pattern(format)?;
    unique(&pattern)?;
    let regex = Regex::new(&format!(r"\A(?i:{pattern})"))
        .map_err(|error| Exception::new(ExceptionClass::Other, error.to_string()))?;
    let Some(found) = regex.captures(text).ok().flatten() else {
        return value_error(format!("time data {} does not match format {}", quote(text), quote(format)));
    };
    let end = found.get(0).map_or(0, |whole| whole.end());
    if end < text.len() {
        return value_error(format!("unconverted data remains: {}", text.get(end..).unwrap_or_default()));
    }
    let part = |name: char| found.name(name.encode_utf8(&mut [0; 4])).map(|part| part.as_str());
    let time = parsed_time(&part);
    let date = parsed_date(&part)?;
    let zone = match part('z') {
        None => None,
        Some(offset) => Some(parsed_zone(offset, part('Z'))?),
    };
    // A leap second can be read, but not held.
    Ok(Moment { civil: date.to_datetime(time?), zone, fold: false })
}

type Part<'a> = dyn Fn(char) -> Option<&'a str> + 'a;

fn parsed_time(part: &Part) -> PyResult<Time> {
    let value = |name: char| part(name).map(number);
    let mut hour = value('H').unwrap_or(0);
    if let Some(twelve) = value('I') {
        let after_noon = part('p').is_some_and(|half| half.eq_ignore_ascii_case("pm"));
        hour = twelve % 12 + if after_noon { 12 } else { 0 };
    }
    let fraction = part('f').map_or(0, number_padded);
    new_time(hour, value('M').unwrap_or(0), value('S').unwrap_or(0), fraction)
}

fn parsed_zone(offset: &str, name: Option<&str>) -> PyResult<Zone> {
    let name = name.map(Arc::from);
    if offset == "Z" {
        return Zone::new(0, name);
    }
    let colons = offset.matches(':').count();
    let plain = offset.replace(':', "");
    let (digits, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
    let long = digits.chars().count() > 5;
    if offset.chars().nth(3) != Some(':') && colons > 0 {
        let second: String = offset.chars().skip(5).take(2).collect();
        return value_error(format!("invalid literal for int() with base 10: {}", quote(&second)));
    }
    if offset.chars().nth(3) == Some(':') && long && colons == 1 {
        return value_error(format!("Inconsistent use of : in {offset}"));
    }
    let digits: Vec<i128> = digits.chars().filter_map(digit).map(i128::from).collect();
    let pair = |at: usize| digits.get(at).zip(digits.get(at + 1)).map_or(0, |(a, b)| a * 10 + b);
    let micros = if fraction.is_empty() { 0 } else { i128::from(number_padded(fraction)) };
    let offset_size = ((pair(0) * 60 + pair(2)) * 60 + pair(4)) * SECOND + micros;
    Zone::new(if offset.starts_with('-') { -offset_size } else { offset_size }, name)
}

fn parsed_date(part: &Part) -> PyResult<Date> {
    let value = |name: char| part(name).map(number);
    let position = |names: &[&str], length: usize, text: &str| {
        let at = names.iter().position(|name| name.get(..length).unwrap_or(name).eq_ignore_ascii_case(text));
        i64::try_from(at.unwrap_or(0)).unwrap_or(0)
    };
    let month_name = part('B')
        .map(|text| position(&MONTHS, usize::MAX, text) + 1)
        .or(part('b').map(|text| position(&MONTHS, 3, text) + 1));
    let month = value('m').or(month_name).unwrap_or(1);
    let day = value('d').unwrap_or(1);
    let named_day = part('A')
        .map(|text| position(&WEEKDAYS, usize::MAX, text))
        .or(part('a').map(|text| position(&WEEKDAYS, 3, text)));
    let week_day = named_day.or(value('w').map(|day| (day + 6) % 7)).or(value('u').map(|day| day - 1));
    let short_year = value('y').map(|year| if year <= 68 { year + 2000 } else { year + 1900 });
    let mut year = value('Y').or(short_year);
    let (iso_year, iso_week, mut year_day) = (value('G'), value('V'), value('j'));
    let week = value('U').map(|week| (week, 6)).or(value('W').map(|week| (week, 0)));
    if let (None, Some(_)) = (year, iso_year) {
        if iso_week.is_none() || week_day.is_none() {
            return value_error(
                "ISO year directive '%G' must be used with the ISO week directive '%V' and a weekday directive ('%A', '%a', '%w', or '%u').",
            );
        }
        if year_day.is_some() {
            return value_error(
                "Day of the year directive '%j' is not compatible with ISO year directive '%G'. Use '%Y' instead.",
            );
        }
    } else if week.is_none() && iso_week.is_some() {
        return value_error(if week_day.is_none() {
            "ISO week directive '%V' must be used with the ISO year directive '%G' and a weekday directive ('%A', '%a', '%w', or '%u')."
        } else {
            "ISO week directive '%V' is incompatible with the year directive '%Y'. Use the ISO year '%G' instead."
        });
    }
    // The first leap year of the century.
    let leap = year.is_none() && month == 2 && day == 29;
    let mut known = year.get_or_insert(if leap { 1904 } else { 1900 }).to_owned();
    if let (None, Some(week_day)) = (year_day, week_day) {
        if let Some((week, start)) = week {
            year_day = Some(day_of_week(known, week, week_day, start)?);
        } else if let (Some(iso_year), Some(iso_week)) = (iso_year, iso_week) {
            let fourth = new_date(iso_year, 1, 4)?;
            known = iso_year;
            year_day = Some(iso_week * 7 + week_day + 1 - (weekday(fourth) + 1 + 3));
        }
    }
    let date = match year_day {
        None => new_date(known, month, day)?,
        Some(year_day) => from_ordinal(ordinal(new_date(known, 1, 1)?) + year_day - 1)?,
    };
    if leap { new_date(1900, date.month().into(), date.day().into()) } else { Ok(date) }
}

/// The day of the year that is this day of this week, counted from the first day `start` of the year.
fn day_of_week(year: i64, week: i64, day: i64, start: i64) -> PyResult<i64> {
    let shift = i64::from(start == 6);
    let first = (weekday(new_date(year, 1, 1)?) + shift) % 7;
    let day = (day + shift) % 7;
    Ok(if week == 0 { 1 + day - first } else { 1 + (7 - first) % 7 + 7 * (week - 1) + day })
}

#[cfg(test)]
mod tests {
    use crate::told;

    #[test]
    fn dates_print_count_and_compare_as_in_python() {
        let given = concat!(
            "{% set d = '2023-08-18T16:34:27.678406Z' | iso8601_to_time %}",
            "{% set n = '2023-08-18T16:34:27' | iso8601_to_time %}",
            "{% set o = '2023-08-18T16:34:27+02:00' | iso8601_to_time %}",
            "{% set w = '1w' | timedeltaparse %}{% set h = '90m' | timedeltaparse %}",
        );
        let cases = [
            ("{{ d }}", "2023-08-18 16:34:27.678406+00:00"),
            ("{{ d | string | length }}", "32"),
            ("{{ [d] }}", "[datetime.datetime(2023, 8, 18, 16, 34, 27, 678406, tzinfo=datetime.timezone.utc)]"),
            ("{{ d.year }}/{{ d.month }}/{{ d.microsecond }}", "2023/8/678406"),
            ("{{ d.isoformat() }}", "2023-08-18T16:34:27.678406+00:00"),
            ("{{ d.isoformat(' ', 'minutes') }}", "2023-08-18 16:34+00:00"),
            (
                "{{ d.strftime('%a %A %b %B %d %e %H %I %j %m %M %p %S %f %y %Y %z %Z %%') }}",
                "Fri Friday Aug August 18 18 16 04 230 08 34 PM 27 678406 23 2023 +0000 UTC %",
            ),
            (
                "{{ d.strftime('%U %W %V %G %u %w %x %X %c %D %F %T %R') }}",
                "33 33 33 2023 5 5 08/18/23 16:34:27 Fri Aug 18 16:34:27 2023 08/18/23 2023-08-18 16:34:27 16:34",
            ),
            (
                "{{ d.date() }} {{ d.time() }} {{ [d.date(), d.time()] }}",
                "2023-08-18 16:34:27.678406 [datetime.date(2023, 8, 18), datetime.time(16, 34, 27, 678406)]",
            ),
            (
                "{{ d.weekday() }}{{ d.isoweekday() }} {{ d.isocalendar() }}",
                "45 datetime.IsoCalendarDate(year=2023, week=33, weekday=5)",
            ),
            ("{{ d.timestamp() }}", "1692376467.678406"),
            ("{{ d.replace(year=2020, microsecond=0) }}", "2020-08-18 16:34:27+00:00"),
            ("{{ d + w }} {{ d - w }}", "2023-08-25 16:34:27.678406+00:00 2023-08-11 16:34:27.678406+00:00"),
            ("{{ d - d }} {{ [d - d.replace(year=2020)] }}", "0:00:00 [datetime.timedelta(days=1095)]"),
            (
                "{{ w }} {{ [w] }} {{ -w }} {{ w * 2 }} {{ w / 7 }} {{ w // 7 }} {{ w.total_seconds() }} {{ w.days }}",
                "7 days, 0:00:00 [datetime.timedelta(days=7)] -7 days, 0:00:00 14 days, 0:00:00 1 day, 0:00:00 1 day, 0:00:00 604800.0 7",
            ),
            ("{{ w > h }} {{ d > d - h }} {{ d == d }} {{ h % w }}", "True True True 1:30:00"),
            ("{{ d - n }}", "Template Warning: can't subtract offset-naive and offset-aware datetimes"),
            ("{{ d < n }}", "Template Warning: can't compare offset-naive and offset-aware datetimes"),
            ("{{ d + 1 }}", "Template Warning: unsupported operand type(s) for +: 'datetime.datetime' and 'int'"),
            (
                "{{ n.tzinfo }} {{ d.tzinfo }} {{ [d.tzinfo] }} {{ n.utcoffset() }} {{ d.utcoffset() }}",
                "None UTC [datetime.timezone.utc] None 0:00:00",
            ),
            (
                "{{ o }} {{ o.tzinfo }} {{ o.astimezone(d.tzinfo) }}",
                "2023-08-18 16:34:27+02:00 UTC+02:00 2023-08-18 14:34:27+00:00",
            ),
            ("{{ d | datetimeformat }}", "16:34 / 18-08-2023"),
            ("{{ d | datetimeformat_as_timezone('%d.%m.%Y %H:%M %Z', 'Europe/Berlin') }}", "18.08.2023 18:34 CEST"),
            ("{{ d | datetimeformat_as_timezone('%H:%M', 'america/new_york') }}", "12:34"),
            ("{{ d | datetimeformat_as_timezone('%H:%M', 'Nowhere/At_All') }}", "Template Warning: 'Nowhere/At_All'"),
            ("{{ '18:34 / 01-02-2023' | datetimeparse }}", "2023-02-01 18:34:00"),
            ("{{ '2023-13-01' | datetimeparse('%Y-%m-%d') }}", "None"),
            ("{{ '2024-02-30' | iso8601_to_time }}", "None"),
            (
                "{{ '20230818T163427Z' | iso8601_to_time }} {{ '2023-W33-5' | iso8601_to_time }} {{ '2023-08-18 16:34:27.5+0530' | iso8601_to_time }}",
                "2023-08-18 16:34:27+00:00 2023-08-18 00:00:00 2023-08-18 16:34:27.500000+05:30",
            ),
            ("{{ d + ('999999999d' | timedeltaparse) }}", "Template Error: date value out of range"),
            ("{{ '9999999999w' | timedeltaparse }}", "Template Error: Python int too large to convert to C int"),
            ("{{ d.nope }}|{{ d | tojson }}", "Template Warning: Object of type datetime is not JSON serializable"),
            (
                "{{ '%s' % h }} {{ '{:%Y}'.format(d) }} {{ d | abs }}",
                "Template Warning: bad operand type for abs(): 'datetime.datetime'",
            ),
            ("{{ h | abs }} {{ (-h) | abs }} {{ h | string }}", "1:30:00 1:30:00 1:30:00"),
        ];
        for (source, expected) in cases {
            assert_eq!(told(&format!("{given}{source}")), expected, "{source}");
        }
    }
}
