//! `datetime.datetime`: a day and a time, with or without a timezone, its attributes, methods and operators.

use std::{borrow::Cow, cmp::Ordering, sync::Arc};

use jiff::{Timestamp, civil, tz};

use crate::{
    eval::rendering::Rendering,
    python::{
        arguments::{Args, argument_type},
        datetime::{
            arguments::{
                fold_argument, integer, iso_argument, parsed, spec_argument, text_argument, timespec_argument,
            },
            calendar::{FIRST, LAST, MINUTE, SECOND, UNIX, from_ordinal, hashed, midnight, plus, since},
            date::{Date, date_attribute, date_method, iso_calendar_date, replaced_date, time_tuple},
            isoformat,
            strftime::strftime,
            strptime,
            time::{Time, replaced_time, repr_tail, time_attribute, time_parts, time_text},
            timedelta::{TimeDelta, quotient},
            timestamp,
            timezone::{TimeZone, UTC, tzinfo_argument, zone_method, zone_text},
        },
        exception::{PyResult, type_error, value_error},
        object::{Object, Operator},
        value::Value,
    },
};

/// A `datetime`.
#[derive(Clone)]
pub(crate) struct DateTime {
    /// The day and time in its zone.
    civil: civil::DateTime,
    zone: Option<TimeZone>,
    fold: bool,
}

impl DateTime {
    fn new(civil: civil::DateTime, zone: Option<TimeZone>) -> Self {
        Self { civil, zone, fold: false }
    }

    /// A datetime without a zone.
    fn naive(civil: civil::DateTime) -> Self {
        Self::new(civil, None)
    }

    /// django's `timezone.now()`
    pub(crate) fn now_utc() -> Self {
        Self::new(timestamp::now(), Some(UTC))
    }

    /// `datetime.fromtimestamp(timestamp)`, where local time is UTC.
    pub(crate) fn from_timestamp(timestamp: &Value) -> PyResult<Self> {
        timestamp::civil(timestamp).map(Self::naive)
    }

    /// `datetime.strptime(text, format)`
    pub(crate) fn strptime(text: &str, format: &str) -> PyResult<Self> {
        strptime::parse(text, format).map(|(civil, zone)| Self::new(civil, zone))
    }

    /// django's `parse_datetime(text)`; None for text that is no date.
    pub(crate) fn parse(text: &str) -> PyResult<Option<Self>> {
        Ok(isoformat::parse_leniently(text)?.map(|(civil, zone)| Self::new(civil, zone)))
    }

    /// `format(x, spec)`
    pub(super) fn format(&self, spec: &str) -> PyResult<String> {
        if spec.is_empty() { self.text(" ", "auto") } else { self.strftime(spec) }
    }

    pub(crate) fn value(self) -> Value {
        Value::object(self)
    }

    /// The datetime so many microseconds later.
    fn plus(&self, micros: i128) -> PyResult<Self> {
        Ok(Self { civil: plus(self.civil, micros)?, zone: self.zone.clone(), fold: false })
    }

    /// The offset from UTC in microseconds, 0 without a zone.
    fn offset(&self) -> i128 {
        self.zone.as_ref().map_or(0, |zone| zone.offset)
    }

    /// The microseconds since the start of 1970; a datetime without a zone counts as UTC.
    fn micros(&self) -> i128 {
        since(UNIX, self.civil) - self.offset()
    }

    /// `datetime.isoformat(separator, timespec)`
    fn text(&self, separator: &str, timespec: &str) -> PyResult<String> {
        let time = time_text(self.civil.time(), timespec)?;
        Ok(format!("{}{separator}{time}{}", Date(self.civil.date()).text(), zone_text(self.zone.as_ref())))
    }

    /// `datetime.timestamp()`, in seconds.
    fn timestamp(&self) -> f64 {
        if self.zone.is_some() {
            return quotient(self.micros(), SECOND);
        }
        quotient(self.micros().div_euclid(SECOND), 1) + quotient(self.micros().rem_euclid(SECOND), SECOND)
    }

    /// The same moment in UTC, with no zone set.
    fn utc(&self) -> PyResult<Self> {
        if self.zone.is_none() && self.civil < midnight(civil::date(1, 1, 2)) {
            return value_error("year 0 is out of range");
        }
        Self::naive(self.civil).plus(-self.offset())
    }

    /// The same moment in another zone.
    fn at(&self, zone: TimeZone) -> PyResult<Self> {
        let moved = self.utc()?.plus(zone.offset)?;
        Ok(Self { zone: Some(zone), ..moved })
    }

    /// `self.astimezone(pytz.timezone(name))`
    pub(crate) fn in_timezone(&self, zone: &tz::TimeZone) -> PyResult<Self> {
        // The data of pytz ends with 2037, and has only the first offset before 1901; offsets are whole minutes.
        const LAST_KNOWN: i64 = 2_145_916_800;
        const FIRST_KNOWN: i64 = -2_147_483_648;
        let seconds = i64::try_from(self.utc()?.micros().div_euclid(SECOND)).unwrap_or(0).min(LAST_KNOWN);
        let seconds = if seconds < FIRST_KNOWN { -60_000_000_000 } else { seconds };
        let timestamp = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
        let info = zone.to_offset_info(timestamp);
        let minutes = (i128::from(info.offset().seconds()) + 30).div_euclid(60);
        self.at(TimeZone { offset: minutes * MINUTE, name: Some(Arc::from(info.abbreviation())) })
    }

    /// `datetime.strftime(format)`
    pub(crate) fn strftime(&self, format: &str) -> PyResult<String> {
        strftime(format, self.civil, self.zone.as_ref())
    }

    /// `datetime.fromtimestamp(timestamp, tz)`
    fn from_timestamp_in(args: Args) -> PyResult {
        let mut bound = parsed(args, "fromtimestamp", &["timestamp", "tz"], 1)?.into_iter();
        let datetime = Self::from_timestamp(&bound.next().flatten().unwrap_or(Value::None))?;
        match tzinfo_argument(bound.next().flatten())? {
            Some(zone) => Self { zone: Some(UTC), ..datetime }.at(zone).map(Self::value),
            None => Ok(datetime.value()),
        }
    }

    /// `datetime.combine(date, time, tzinfo)`
    fn combine(args: Args) -> PyResult {
        let mut bound = parsed(args, "combine", &["date", "time", "tzinfo"], 2)?.into_iter();
        let (date, time, zone) = (
            bound.next().flatten().unwrap_or(Value::None),
            bound.next().flatten().unwrap_or(Value::None),
            bound.next(),
        );
        let day = date.downcast::<Date>().map(|date| date.0);
        let Some(day) = day.or(date.downcast::<Self>().map(|datetime| datetime.civil.date())) else {
            return type_error(format!("combine() argument 1 must be datetime.date, not {}", date.operand_name()));
        };
        let Some(time) = time.downcast::<Time>() else {
            return type_error(format!("combine() argument 2 must be datetime.time, not {}", time.operand_name()));
        };
        let zone = match zone.flatten() {
            None => time.zone.clone(),
            given => tzinfo_argument(given)?,
        };
        Ok(Self { civil: day.to_datetime(time.time), zone, fold: time.fold }.value())
    }

    /// `datetime.replace(…)`
    fn replaced(&self, args: Args) -> PyResult {
        let names = ["year", "month", "day", "hour", "minute", "second", "microsecond", "tzinfo", "fold"];
        let mut bound = parsed(args, "replace", &names, 0)?;
        let zone = bound.get_mut(7).and_then(Option::take);
        let (day, time) = (replaced_date(self.civil.date(), &bound), bound.get(3..).unwrap_or_default());
        Ok(Self {
            civil: day?.to_datetime(replaced_time(self.civil.time(), time)?),
            zone: if zone.is_some() { tzinfo_argument(zone)? } else { self.zone.clone() },
            fold: fold_argument(bound.get(8), self.fold)?,
        }
        .value())
    }

    /// `datetime.isoformat(sep, timespec)`
    fn iso_format(&self, args: Args) -> PyResult {
        let bound = parsed(args, "isoformat", &["sep", "timespec"], 0)?;
        let separator = match bound.first() {
            Some(Some(Value::Str(text))) if text.chars().count() == 1 => Arc::clone(&text.text),
            Some(Some(other)) => {
                return type_error(format!(
                    "isoformat() argument 1 must be a unicode character, not {}",
                    argument_type(other)
                ));
            }
            _ => Arc::from("T"),
        };
        self.text(&separator, &timespec_argument(bound.get(1), 2)?).map(Value::from)
    }

    /// A method that takes no arguments, or that `date` has too.
    fn without_arguments(&self, name: &str, args: Args) -> PyResult {
        if !["date", "time", "timetz", "timestamp", "utctimetuple", "utcnow", "today", "utcoffset", "dst", "tzname"]
            .contains(&name)
        {
            return date_method(self.civil, name, args, self.zone.as_ref(), "datetime");
        }
        let class = if name == "today" { "date" } else { "datetime" };
        args.builtin(&format!("{class}.{name}"), 0, 0)?;
        Ok(match name {
            "date" => Date(self.civil.date()).value(),
            "time" => Value::object(Time { time: self.civil.time(), zone: None, fold: self.fold }),
            "timetz" => Value::object(Time { time: self.civil.time(), zone: self.zone.clone(), fold: self.fold }),
            "timestamp" => Value::Float(self.timestamp()),
            "utctimetuple" => time_tuple(Self::naive(self.civil).plus(-self.offset())?.civil, 0),
            "utcnow" | "today" => Self::naive(timestamp::now()).value(),
            _ => zone_method(self.zone.as_ref(), name),
        })
    }
}

impl Object for DateTime {
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
            repr_tail(self.zone.as_ref(), self.fold)
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

    fn call_method(&self, rendering: &Rendering, name: &str, args: Args) -> PyResult {
        if matches!(name, "now" | "utcnow" | "today") {
            rendering.note_chance();
        }
        match name {
            "isoformat" => self.iso_format(args),
            "replace" => self.replaced(args),
            "combine" => Self::combine(args),
            "fromtimestamp" => Self::from_timestamp_in(args),
            "utcfromtimestamp" => Self::from_timestamp(&args.only("datetime.utcfromtimestamp")?).map(Self::value),
            "astimezone" => {
                let zone = parsed(args, "astimezone", &["tz"], 0)?.into_iter().next().flatten();
                let zone = tzinfo_argument(zone)?.unwrap_or(TimeZone { offset: 0, name: Some(Arc::from("UTC")) });
                self.at(zone).map(Self::value)
            }
            "now" => {
                let zone = parsed(args, "now", &["tz"], 0)?.into_iter().next().flatten();
                Ok(match tzinfo_argument(zone)? {
                    Some(zone) => Self::now_utc().at(zone)?,
                    None => Self::naive(timestamp::now()),
                }
                .value())
            }
            "strptime" => {
                if args.positional.len() != 2 || !args.named.is_empty() {
                    let given = args.positional.len();
                    return type_error(if args.named.is_empty() {
                        format!("strptime() takes exactly 2 arguments ({given} given)")
                    } else {
                        "strptime() takes no keyword arguments".to_owned()
                    });
                }
                let [text, format] = [args.positional.first(), args.positional.get(1)]
                    .map(|value| value.cloned().unwrap_or(Value::None));
                let text = text_argument(&text, "strptime", 1)?;
                Self::strptime(&text, &text_argument(&format, "strptime", 2)?).map(Self::value)
            }
            "fromisoformat" => {
                let text = iso_argument(args, "datetime")?;
                isoformat::parse(&text).map(|(civil, zone)| Self::new(civil, zone).value())
            }
            "fromordinal" => {
                let day = from_ordinal(integer(&args.only("datetime.fromordinal")?)?)?;
                Ok(Self::naive(midnight(day)).value())
            }
            "fromisocalendar" => {
                let day = iso_calendar_date(args)?;
                let date = day.downcast::<Date>().map_or(FIRST.date(), |day| day.0);
                Ok(Self::naive(midnight(date)).value())
            }
            "__format__" => self.format(&spec_argument(args)?).map(Value::from),
            _ => self.without_arguments(name, args),
        }
    }

    fn equals(&self, other: &Value) -> Option<bool> {
        other
            .downcast::<Self>()
            .map(|other| self.zone.is_some() == other.zone.is_some() && self.micros() == other.micros())
    }

    fn order(&self, other: &Value) -> Option<PyResult<Ordering>> {
        if other.downcast::<Date>().is_some() {
            return Some(type_error("can't compare datetime.datetime to datetime.date"));
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
        match (operator, other.downcast::<TimeDelta>(), other.downcast::<Self>()) {
            (Operator::Add, Some(delta), _) => Some(self.plus(delta.0).map(Self::value)),
            (Operator::Sub, Some(delta), _) if !reflected => Some(self.plus(-delta.0).map(Self::value)),
            (Operator::Sub, _, Some(other)) if self.zone.is_some() != other.zone.is_some() => {
                Some(type_error("can't subtract offset-naive and offset-aware datetimes"))
            }
            (Operator::Sub, _, Some(other)) => Some(Ok(TimeDelta(self.micros() - other.micros()).value())),
            _ => None,
        }
    }
}
