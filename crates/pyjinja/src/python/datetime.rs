//! Python's `datetime` module, over jiff's calendar.
//!
//! A class a file, with the formats that they share: `strftime`, `strptime` and `isoformat`. Each uses those above it:
//!
//! ```text
//! calendar, fields, arguments
//! timedelta ◄─ timezone
//! strftime, strptime, isoformat, timestamp, named_tuple
//! date, time ◄─ datetime
//! ```

mod arguments;
mod calendar;
mod date;
#[expect(clippy::module_inception, reason = "the class has the name of the module, as in Python")]
mod datetime;
mod fields;
mod isoformat;
mod named_tuple;
mod strftime;
mod strptime;
mod time;
mod timedelta;
mod timestamp;
mod timezone;

use self::{date::Date, time::Time};
pub(crate) use self::{
    datetime::DateTime,
    timedelta::{TimeDelta, parse_timedelta},
    timezone::named_timezone,
};
use crate::python::{exception::PyResult, value::Value};

/// `format(value, spec)`, if it is a date or a time.
pub(crate) fn format(value: &Value, spec: &str) -> Option<PyResult<String>> {
    if let Some(datetime) = value.downcast::<DateTime>() {
        return Some(datetime.format(spec));
    }
    if let Some(date) = value.downcast::<Date>() {
        return Some(date.format(spec));
    }
    value.downcast::<Time>().map(|time| time.format(spec))
}

// Under their old names.
pub(crate) use self::{
    DateTime as Moment, TimeDelta as Span, named_timezone as named_zone, parse_timedelta as parse_span,
};
pub(crate) fn now_utc() -> Value {
    DateTime::now_utc().value()
}
pub(crate) fn strptime(text: &str, format: &str) -> PyResult<DateTime> {
    DateTime::strptime(text, format)
}
pub(crate) fn parse_iso(text: &str) -> PyResult<Option<DateTime>> {
    DateTime::parse(text)
}
pub(crate) fn from_timestamp(value: &Value) -> PyResult<DateTime> {
    DateTime::from_timestamp(value)
}
impl DateTime {
    pub(crate) fn at_named(&self, zone: &jiff::tz::TimeZone) -> PyResult<Self> {
        self.in_timezone(zone)
    }
}
