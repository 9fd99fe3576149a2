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
pub(crate) use self::{datetime::DateTime, timedelta::TimeDelta, timezone::named_timezone};
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
