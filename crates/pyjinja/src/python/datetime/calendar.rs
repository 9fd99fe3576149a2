//! Days and times of Python's calendar, from year 1 to 9999.

use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::{SignedDuration, civil};

use crate::python::exception::{Exception, ExceptionClass, PyResult, other_error, value_error};

/// A second in microseconds, in which all durations and offsets are counted.
pub(super) const SECOND: i128 = 1_000_000;
/// A minute in microseconds.
pub(super) const MINUTE: i128 = 60 * SECOND;
/// A day in microseconds.
pub(super) const DAY: i128 = 1440 * MINUTE;
/// `datetime.min`
pub(super) const FIRST: civil::DateTime = civil::date(1, 1, 1).to_datetime(civil::Time::midnight());
/// `datetime.max`
pub(super) const LAST: civil::DateTime = civil::date(9999, 12, 31).to_datetime(civil::time(23, 59, 59, 999_999_000));
/// The start of Unix time.
pub(super) const UNIX: civil::DateTime = civil::date(1970, 1, 1).to_datetime(civil::Time::midnight());

/// The names of the days of a week, from Monday on.
pub(super) const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
/// The names of the months.
pub(super) const MONTHS: [&str; 12] = [
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

/// `date(year, month, day)`
pub(super) fn new_date(year: i64, month: i64, day: i64) -> PyResult<civil::Date> {
    if !(1..=9999).contains(&year) {
        return value_error(format!("year {year} is out of range"));
    }
    if !(1..=12).contains(&month) {
        return value_error("month must be in 1..12");
    }
    let small = |number: i64| i8::try_from(number).unwrap_or(0);
    civil::Date::new(i16::try_from(year).unwrap_or(0), small(month), small(day))
        .map_err(|_| Exception::new(ExceptionClass::ValueError, "day is out of range for month"))
}

/// `time(hour, minute, second, microsecond)`
pub(super) fn new_time(hour: i64, minute: i64, second: i64, microsecond: i64) -> PyResult<civil::Time> {
    for (value, most, name) in
        [(hour, 23, "hour"), (minute, 59, "minute"), (second, 59, "second"), (microsecond, 999_999, "microsecond")]
    {
        if !(0..=most).contains(&value) {
            return value_error(format!("{name} must be in 0..{most}"));
        }
    }
    let small = |number: i64| i8::try_from(number).unwrap_or(0);
    civil::Time::new(small(hour), small(minute), small(second), i32::try_from(microsecond * 1000).unwrap_or(0))
        .map_err(|error| Exception::new(ExceptionClass::ValueError, error.to_string()))
}

/// The microseconds within the second.
pub(super) fn microsecond(time: civil::Time) -> i64 {
    i64::from(time.subsec_nanosecond()) / 1000
}

/// The microseconds from `start` to `end`.
pub(super) fn since(start: civil::DateTime, end: civil::DateTime) -> i128 {
    end.duration_since(start).as_micros()
}

/// `date.toordinal`: the first of January of the year 1 is 1.
pub(super) fn ordinal(day: civil::Date) -> i64 {
    i64::try_from(since(FIRST, day.to_datetime(civil::Time::midnight())) / DAY + 1).unwrap_or(0)
}

/// `date.fromordinal`
pub(super) fn from_ordinal(ordinal: i64) -> PyResult<civil::Date> {
    if ordinal < 1 {
        return value_error("ordinal must be >= 1");
    }
    match plus(FIRST, (i128::from(ordinal) - 1) * DAY) {
        Ok(civil) => Ok(civil.date()),
        Err(_) => value_error(format!("year {} is out of range", (ordinal - 1).saturating_mul(400) / 146_097 + 1)),
    }
}

/// `date.weekday`: Monday is 0.
pub(super) fn weekday(day: civil::Date) -> i64 {
    i64::from(day.weekday().to_monday_zero_offset())
}

/// `date.fromisocalendar`: the day of an ISO week, Monday is 1.
pub(super) fn iso_week_date(year: i64, week: i64, day: i64) -> PyResult<civil::Date> {
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

/// The hash of an object that is equal to others by `value`.
pub(super) fn hashed(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// The day and time so many microseconds later.
///
/// # Errors
/// It is out of the calendar.
pub(super) fn plus(civil: civil::DateTime, micros: i128) -> PyResult<civil::DateTime> {
    let moved = i64::try_from(micros)
        .ok()
        .and_then(|micros| civil.checked_add(SignedDuration::from_micros(micros)).ok())
        .filter(|civil| (FIRST..=LAST).contains(civil));
    moved.map_or_else(|| other_error("date value out of range"), Ok)
}

/// Midnight of a day.
pub(super) fn midnight(day: civil::Date) -> civil::DateTime {
    day.to_datetime(civil::Time::midnight())
}
