//! `datetime.time`: a time of day, with or without a timezone.

use std::{borrow::Cow, cmp::Ordering};

use jiff::civil;

use crate::{
    eval::rendering::Rendering,
    python::{
        arguments::Args,
        datetime::{
            arguments::{
                fold_argument, format_argument, integer_or, iso_argument, parsed, spec_argument, timespec_argument,
            },
            calendar::{FIRST, LAST, hashed, microsecond, new_time, since},
            isoformat,
            strftime::strftime,
            timedelta::TimeDelta,
            timezone::{TimeZone, tzinfo, tzinfo_argument, zone_method, zone_text},
        },
        exception::{PyResult, type_error, value_error},
        object::Object,
        value::Value,
    },
};

/// A `time`.
#[derive(Clone)]
pub(crate) struct Time {
    pub(super) time: civil::Time,
    pub(super) zone: Option<TimeZone>,
    pub(super) fold: bool,
}

impl Time {
    /// `format(x, spec)`
    pub(super) fn format(&self, spec: &str) -> PyResult<String> {
        if spec.is_empty() { self.text("auto") } else { strftime(spec, self.civil(), self.zone.as_ref()) }
    }

    /// The time on the day that `strftime` takes it for.
    fn civil(&self) -> civil::DateTime {
        civil::date(1900, 1, 1).to_datetime(self.time)
    }

    /// `time.isoformat(timespec)`
    fn text(&self, timespec: &str) -> PyResult<String> {
        Ok(time_text(self.time, timespec)? + &zone_text(self.zone.as_ref()))
    }

    /// The microseconds since midnight in UTC, or of its own if it has no zone.
    fn micros(&self) -> i128 {
        since(civil::date(1900, 1, 1).to_datetime(civil::Time::midnight()), self.civil())
            - self.zone.as_ref().map_or(0, |zone| zone.offset)
    }
}

/// The time as `isoformat` writes it.
pub(super) fn time_text(time: civil::Time, timespec: &str) -> PyResult<String> {
    let [hour, minute, second] = [time.hour(), time.minute(), time.second()];
    let micros = microsecond(time);
    Ok(match timespec {
        "auto" if micros == 0 => format!("{hour:02}:{minute:02}:{second:02}"),
        "auto" | "microseconds" => format!("{hour:02}:{minute:02}:{second:02}.{micros:06}"),
        "milliseconds" => format!("{hour:02}:{minute:02}:{second:02}.{:03}", micros / 1000),
        "seconds" => format!("{hour:02}:{minute:02}:{second:02}"),
        "minutes" => format!("{hour:02}:{minute:02}"),
        "hours" => format!("{hour:02}"),
        _ => return value_error("Unknown timespec value"),
    })
}

/// An attribute that `time` and `datetime` share.
pub(super) fn time_attribute(time: civil::Time, zone: Option<&TimeZone>, fold: bool, name: &str) -> Option<Value> {
    Some(Value::Int(match name {
        "hour" => time.hour().into(),
        "minute" => time.minute().into(),
        "second" => time.second().into(),
        "microsecond" => microsecond(time),
        "fold" => fold.into(),
        "tzinfo" => return Some(tzinfo(zone)),
        "resolution" => return Some(TimeDelta(1).value()),
        _ => return None,
    }))
}

/// The time as the arguments that `repr` shows.
pub(super) fn time_parts(time: civil::Time) -> String {
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

/// The arguments by name that end a `repr`.
pub(super) fn repr_tail(zone: Option<&TimeZone>, fold: bool) -> String {
    let fold = if fold { ", fold=1" } else { "" };
    let zone = zone.map_or_else(String::new, |zone| format!(", tzinfo={}", zone.shown()));
    format!("{fold}{zone}")
}

/// The time with those parts replaced that were given by argument.
pub(super) fn replaced_time(time: civil::Time, bound: &[Option<Value>]) -> PyResult<civil::Time> {
    let hour = integer_or(bound.first(), time.hour().into())?;
    let minute = integer_or(bound.get(1), time.minute().into())?;
    let second = integer_or(bound.get(2), time.second().into())?;
    new_time(hour, minute, second, integer_or(bound.get(3), microsecond(time))?)
}

impl Object for Time {
    fn type_name(&self) -> &'static str {
        "time"
    }

    fn described(&self) -> Cow<'static, str> {
        Cow::Borrowed("datetime.time")
    }

    fn repr(&self, _rendering: &Rendering) -> PyResult<String> {
        Ok(format!("datetime.time({}{})", time_parts(self.time), repr_tail(self.zone.as_ref(), self.fold)))
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
                let timespec = timespec_argument(bound.first(), 1)?;
                self.text(&timespec).map(Value::from)
            }
            "strftime" => strftime(&format_argument(args)?, self.civil(), self.zone.as_ref()).map(Value::from),
            "__format__" => self.format(&spec_argument(args)?).map(Value::from),
            "replace" => {
                let names = ["hour", "minute", "second", "microsecond", "tzinfo", "fold"];
                let mut bound = parsed(args, "replace", &names, 0)?;
                let zone = bound.get_mut(4).and_then(Option::take);
                Ok(Value::object(Self {
                    time: replaced_time(self.time, &bound)?,
                    zone: if zone.is_some() { tzinfo_argument(zone)? } else { self.zone.clone() },
                    fold: fold_argument(bound.get(5), self.fold)?,
                }))
            }
            "fromisoformat" => {
                let text = iso_argument(args, "time")?;
                match isoformat::time(text.strip_prefix('T').unwrap_or(&text)) {
                    Some(parts) => {
                        let (time, zone) = parts?;
                        Ok(Value::object(Self { time, zone, fold: false }))
                    }
                    None => isoformat::invalid(&text),
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
