//! `timezone`: a fixed offset from UTC.

use std::{borrow::Cow, sync::Arc};

use jiff::tz;

use crate::{
    eval::rendering::Rendering,
    python::{
        arguments::Args,
        datetime::{
            calendar::{DAY, MINUTE, SECOND, hashed},
            timedelta::TimeDelta,
        },
        exception::{PyResult, type_error, value_error},
        object::{Object, Operator},
        quote::quote,
        value::Value,
    },
};

/// A `timezone`: its offset in microseconds, and its name if it was given one.
#[derive(Clone)]
pub(crate) struct TimeZone {
    pub(super) offset: i128,
    pub(super) name: Option<Arc<str>>,
}

/// `timezone.utc`
pub(super) const UTC: TimeZone = TimeZone { offset: 0, name: None };

impl TimeZone {
    /// `timezone(offset, name)`, the offset in microseconds.
    pub(super) fn new(offset: i128, name: Option<Arc<str>>) -> PyResult<Self> {
        if offset.abs() >= DAY {
            return value_error(format!(
                "offset must be a timedelta strictly between -timedelta(hours=24) and timedelta(hours=24), not {}",
                TimeDelta(offset).shown()
            ));
        }
        Ok(Self { offset, name })
    }

    pub(super) fn value(&self) -> Value {
        Value::object(self.clone())
    }

    /// `tzname(x)`
    pub(super) fn name(&self) -> Arc<str> {
        self.name.clone().unwrap_or_else(|| match self.offset {
            0 => Arc::from("UTC"),
            offset => Arc::from(format!("UTC{}", offset_text(offset, ":"))),
        })
    }

    /// `repr(x)`
    pub(super) fn shown(&self) -> String {
        match &self.name {
            None if self.offset == 0 => "datetime.timezone.utc".to_owned(),
            None => format!("datetime.timezone({})", TimeDelta(self.offset).shown()),
            Some(name) => format!("datetime.timezone({}, {})", TimeDelta(self.offset).shown(), quote(name)),
        }
    }
}

/// `+02:00`, with seconds and microseconds only if there are any.
pub(super) fn offset_text(offset: i128, separator: &str) -> String {
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

/// The argument `tzinfo` or `tz`.
pub(super) fn tzinfo_argument(value: Option<Value>) -> PyResult<Option<TimeZone>> {
    match value {
        None | Some(Value::None) => Ok(None),
        Some(value) => match value.downcast::<TimeZone>() {
            Some(zone) => Ok(Some(zone.clone())),
            None => type_error(format!(
                "tzinfo argument must be None or of a tzinfo subclass, not type '{}'",
                value.operand_name()
            )),
        },
    }
}

/// The attribute `tzinfo`.
pub(super) fn tzinfo(zone: Option<&TimeZone>) -> Value {
    zone.map_or(Value::None, TimeZone::value)
}

fn zone_offset(zone: Option<&TimeZone>) -> Value {
    zone.map_or(Value::None, |zone| TimeDelta(zone.offset).value())
}

fn zone_name(zone: Option<&TimeZone>) -> Value {
    zone.map_or(Value::None, |zone| Value::text(zone.name()))
}

/// The offset as `isoformat` writes it.
pub(super) fn zone_text(zone: Option<&TimeZone>) -> String {
    zone.map_or_else(String::new, |zone| offset_text(zone.offset, ":"))
}

/// The methods `utcoffset`, `tzname` and `dst` of a datetime or time.
pub(super) fn zone_method(zone: Option<&TimeZone>, name: &str) -> Value {
    match name {
        "utcoffset" => zone_offset(zone),
        "tzname" => zone_name(zone),
        // A fixed offset knows nothing of daylight saving.
        _ => Value::None,
    }
}

impl Object for TimeZone {
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
        let datetime = match &given {
            Value::Object(object) if object.described() == "datetime.datetime" => Some(object),
            _ => None,
        };
        if name == "fromutc" {
            return datetime
                .and_then(|datetime| datetime.operate(Operator::Add, &TimeDelta(self.offset).value(), false))
                .unwrap_or_else(|| type_error("fromutc() argument must be a datetime instance"));
        }
        if datetime.is_none() && !matches!(given, Value::None) {
            return type_error(format!(
                "{name}(dt) argument must be a datetime instance or None, not {}",
                given.type_name()
            ));
        }
        Ok(match name {
            "utcoffset" => TimeDelta(self.offset).value(),
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

/// `pytz.timezone(name)`; None if pytz knows no such zone.
pub(crate) fn named_timezone(name: &str) -> Option<tz::TimeZone> {
    tz::TimeZoneDatabase::bundled().get(name).ok().filter(|_| !name.eq_ignore_ascii_case("factory"))
}
