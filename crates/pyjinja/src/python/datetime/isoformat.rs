//! Dates and times read as ISO 8601 writes them: `fromisoformat`, and django's more lenient way.

use std::sync::{Arc, LazyLock};

use fancy_regex::Regex;
use jiff::civil;

use crate::python::{
    datetime::{
        calendar::{MINUTE, SECOND, iso_week_date, new_date, new_time},
        fields::{fraction, number},
        timezone::{TimeZone, UTC},
    },
    exception::{PyResult, value_error},
    quote::quote,
    unicode::decimal,
};

/// The day that `date.fromisoformat(text)` gives; None if it is not of the form at all.
pub(super) fn date(text: &str) -> Option<PyResult<civil::Date>> {
    IsoText::new(text).date(text.len()).filter(|_| [7, 8, 10].contains(&text.len()))
}

/// The time and zone that `time.fromisoformat(text)` gives; None if it is not of the form at all.
pub(super) fn time(text: &str) -> Option<PyResult<(civil::Time, Option<TimeZone>)>> {
    IsoText::new(text).time()
}

/// The day, time and zone that django's `parse_datetime` gives; None for text that is no date.
pub(super) fn parse_leniently(text: &str) -> PyResult<Option<(civil::DateTime, Option<TimeZone>)>> {
    static LENIENT: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r"\A(?<Y>\d{4})-(?<m>\d{1,2})-(?<d>\d{1,2})[T ](?<H>\d{1,2}):(?<M>\d{1,2})(?::(?<S>\d{1,2})(?:[.,](?<f>\d{1,6})\d{0,6})?)?\s*(?<z>Z|[+-]\d{2}(?::?\d{2})?)?\n?\z",
        )
        .ok()
    });
    if let Ok(parsed) = parse(text) {
        return Ok(Some(parsed));
    }
    let Some(found) = LENIENT.as_ref().and_then(|lenient| lenient.captures(text).ok().flatten()) else {
        return Ok(None);
    };
    let part = |name: &str| found.name(name).map_or(0, |found| number(found.as_str()));
    let microsecond = found.name("f").map_or(0, |found| fraction(found.as_str()));
    let mut zone = None;
    if let Some(given) = found.name("z") {
        let digits: Vec<i64> = given.as_str().chars().filter_map(decimal).map(i64::from).collect();
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
            TimeZone::new(i128::from(sign * minutes) * MINUTE, Some(Arc::from(name)))?
        });
    }
    let day = new_date(part("Y"), part("m"), part("d"))?;
    let time = new_time(part("H"), part("M"), part("S"), microsecond)?;
    Ok(Some((day.to_datetime(time), zone)))
}

/// The ValueError of `fromisoformat`.
pub(super) fn invalid<T>(text: &str) -> PyResult<T> {
    value_error(format!("Invalid isoformat string: {}", quote(text)))
}

/// The day, time and zone that `datetime.fromisoformat(text)` gives.
pub(super) fn parse(text: &str) -> PyResult<(civil::DateTime, Option<TimeZone>)> {
    let bytes = text.as_bytes();
    if bytes.len() < 7 {
        return invalid(text);
    }
    let split = separator(bytes).and_then(|at| {
        let head = text.get(..at)?;
        let mut rest = text.get(at..)?.chars();
        let separated = rest.next().is_some();
        Some((head, separated.then_some(rest.as_str())))
    });
    let Some((head, rest)) = split else { return invalid(text) };
    let Some(day) = IsoText::new(head).date(head.len()) else { return invalid(text) };
    let (time, zone) = match rest.filter(|rest| !rest.is_empty()).map(|rest| IsoText::new(rest).time()) {
        _ if rest == Some("") => return invalid(text),
        None => (Ok(civil::Time::midnight()), Ok(None)),
        Some(None) => return invalid(text),
        Some(Some(Ok((time, zone)))) => (Ok(time), Ok(zone)),
        Some(Some(Err(exception))) => (Err(exception.clone()), Err(exception)),
    };
    Ok((day?.to_datetime(time?), zone?))
}

/// The byte at which the date ends; None if it is not of the form at all.
fn separator(text: &[u8]) -> Option<usize> {
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

/// Text that is read from its start.
struct IsoText<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> IsoText<'a> {
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

    /// The day in a text of this length; None if it is not of the form at all.
    fn date(mut self, length: usize) -> Option<PyResult<civil::Date>> {
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

    /// The time and zone; None if it is not of the form at all.
    fn time(self) -> Option<PyResult<(civil::Time, Option<TimeZone>)>> {
        let length = self.text.len();
        let end = self.text.iter().position(|byte| b"+-Z".contains(byte)).unwrap_or(length);
        let ([hour, minute, second, micros], rest) = time_of_day(self.text, end)?;
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
            let ([hour, minute, second, micros], rest) = time_of_day(offset, offset.len())?;
            if rest {
                return None;
            }
            let offset = i128::from((hour * 60 + minute) * 60 + second) * SECOND + i128::from(micros);
            zone = Some(TimeZone::new(sign * offset, None));
        }
        Some(new_time(hour, minute, second, micros).and_then(|time| Ok((time, zone.transpose()?))))
    }
}

/// Hour, minute, second and microsecond of `HH[:?MM[:?SS[.ffffff]]]` up to `end`, and whether anything follows them.
fn time_of_day(text: &[u8], end: usize) -> Option<([i64; 4], bool)> {
    let mut cursor = IsoText { text, at: 0 };
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
