//! `datetime.date`: a day of the calendar, its attributes and methods.

use std::{borrow::Cow, cmp::Ordering};

use jiff::civil;

use crate::{
    eval::rendering::Rendering,
    python::{
        arguments::Args,
        datetime::{
            arguments::{format_argument, integer, integer_or, iso_argument, parsed, spec_argument},
            calendar::{
                DAY, FIRST, LAST, from_ordinal, hashed, iso_week_date, midnight, new_date, ordinal, plus, weekday,
            },
            isoformat,
            named_tuple::NamedTuple,
            strftime::{expand, strftime},
            timedelta::TimeDelta,
            timestamp,
            timezone::TimeZone,
        },
        exception::{Exception, ExceptionClass, PyResult},
        object::{Object, Operator},
        value::Value,
    },
};

/// A `date`.
#[derive(Clone, Copy)]
pub(crate) struct Date(pub(super) civil::Date);

impl Date {
    pub(super) fn value(self) -> Value {
        Value::object(self)
    }

    /// `str(x)`
    pub(super) fn text(self) -> String {
        format!("{:04}-{:02}-{:02}", self.0.year(), self.0.month(), self.0.day())
    }

    /// `format(x, spec)`
    pub(super) fn format(self, spec: &str) -> PyResult<String> {
        if spec.is_empty() { Ok(self.text()) } else { strftime(spec, midnight(self.0), None) }
    }

    /// The day so many microseconds later.
    fn plus(self, micros: i128) -> PyResult {
        // Only whole days count.
        let moved = plus(midnight(self.0), micros.div_euclid(DAY) * DAY)?;
        Ok(Self(moved.date()).value())
    }
}

/// An attribute that `date` and `datetime` share.
pub(super) fn date_attribute(day: civil::Date, name: &str) -> Option<Value> {
    Some(Value::Int(match name {
        "year" => day.year().into(),
        "month" => day.month().into(),
        "day" => day.day().into(),
        _ => return None,
    }))
}

/// The names of the methods of `date`.
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

/// A method that `date` and `datetime` share, of the class of this name.
pub(super) fn date_method(
    day: civil::DateTime,
    name: &str,
    args: Args,
    zone: Option<&TimeZone>,
    class: &str,
) -> PyResult {
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
        "ctime" => Value::from(expand("%a %b %e %H:%M:%S ", day, None) + &format!("{:04}", date.year())),
        "isocalendar" => {
            let week = date.iso_week_date();
            Value::object(NamedTuple {
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

/// The AttributeError that the class of this name has no such method.
fn missing(class: &str, name: &str) -> PyResult {
    Err(Exception::new(ExceptionClass::AttributeError, format!("'datetime.{class}' object has no attribute '{name}'")))
}

/// `fromisocalendar`
pub(super) fn iso_calendar_date(args: Args) -> PyResult {
    let bound = parsed(args, "fromisocalendar", &["year", "week", "day"], 3)?;
    let part = |at: usize| integer_or(bound.get(at), 0);
    iso_week_date(part(0)?, part(1)?, part(2)?).map(|day| Date(day).value())
}

/// The `struct_time` that `timetuple` gives; `saving` is its `tm_isdst`.
pub(super) fn time_tuple(civil: civil::DateTime, saving: i64) -> Value {
    Value::object(NamedTuple {
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

/// The day with those parts replaced that were given by argument.
pub(super) fn replaced_date(day: civil::Date, bound: &[Option<Value>]) -> PyResult<civil::Date> {
    let year = integer_or(bound.first(), day.year().into())?;
    let month = integer_or(bound.get(1), day.month().into())?;
    new_date(year, month, integer_or(bound.get(2), day.day().into())?)
}

impl Object for Date {
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
            "resolution" => Some(TimeDelta(DAY).value()),
            _ => date_attribute(self.0, name),
        }
    }

    fn methods(&self) -> &'static [&'static str] {
        DATE_METHODS
    }

    fn call_method(&self, rendering: &Rendering, name: &str, args: Args) -> PyResult {
        let civil = midnight(self.0);
        Ok(Self(match name {
            "isoformat" => {
                args.builtin("date.isoformat", 0, 0)?;
                return Ok(Value::from(self.text()));
            }
            "__format__" => return self.format(&spec_argument(args)?).map(Value::from),
            "replace" => {
                let bound = parsed(args, "replace", &["year", "month", "day"], 0)?;
                replaced_date(self.0, &bound)?
            }
            "today" => {
                rendering.note_chance();
                args.builtin("date.today", 0, 0)?;
                timestamp::now().date()
            }
            "fromtimestamp" => timestamp::civil(&args.only("date.fromtimestamp")?)?.date(),
            "fromordinal" => from_ordinal(integer(&args.only("date.fromordinal")?)?)?,
            "fromisoformat" => {
                let text = iso_argument(args, "date")?;
                match isoformat::date(&text) {
                    Some(day) => day?,
                    None => return isoformat::invalid(&text),
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
        // A datetime raises when it is compared to a date.
        other.downcast::<Self>().map(|other| Ok(self.0.cmp(&other.0)))
    }

    fn hash(&self) -> Option<u64> {
        Some(hashed(self.0))
    }

    fn operate(&self, operator: Operator, other: &Value, reflected: bool) -> Option<PyResult> {
        match (operator, other.downcast::<TimeDelta>(), other.downcast::<Self>()) {
            (Operator::Add, Some(delta), _) => Some(self.plus(delta.0)),
            (Operator::Sub, Some(delta), _) if !reflected => Some(self.plus(-(delta.0.div_euclid(DAY) * DAY))),
            (Operator::Sub, _, Some(other)) => {
                Some(Ok(TimeDelta(i128::from(ordinal(self.0) - ordinal(other.0)) * DAY).value()))
            }
            _ => None,
        }
    }
}
