//! Functions of Python's library for filters that give templates more of it.

/// Dates and times, as Python's `datetime` has them. Local time is UTC.
pub mod datetime {
    use crate::{
        Arguments, Exception, Rendering, Value,
        python::datetime::{DateTime, TimeDelta, named_timezone},
    };

    /// `datetime.now(timezone.utc)`
    pub fn now_utc() -> Value {
        DateTime::now_utc().value()
    }

    /// `datetime.strptime(text, format)`
    ///
    /// # Errors
    /// As Python: a `ValueError` where the text does not match.
    pub fn strptime(text: &str, format: &str) -> Result<Value, Exception> {
        DateTime::strptime(text, format).map(DateTime::value)
    }

    /// `datetime.fromtimestamp(timestamp)`
    ///
    /// # Errors
    /// As Python: it is no number, or out of range.
    pub fn from_timestamp(timestamp: &Value) -> Result<Value, Exception> {
        DateTime::from_timestamp(timestamp).map(DateTime::value)
    }

    /// The `datetime` that text in ISO 8601 tells, as django's `parse_datetime` reads it. None if it is of another form.
    ///
    /// # Errors
    /// A `ValueError`: there is no such time.
    pub fn parse_iso(text: &str) -> Result<Option<Value>, Exception> {
        Ok(DateTime::parse(text)?.map(DateTime::value))
    }

    /// The `timedelta` that text such as `90m` or `-1w` tells: an amount of seconds (`s`), minutes (`m`), hours (`h`), days
    /// (`d`) or weeks (`w`). None if it is of another form.
    ///
    /// # Errors
    /// An `OverflowError`: a `timedelta` can't be as long.
    pub fn parse_timedelta(text: &str) -> Result<Option<Value>, Exception> {
        Ok(TimeDelta::parse(text)?.map(TimeDelta::value))
    }

    /// `value.astimezone(pytz.timezone(zone))`; None if `pytz` does not know the zone.
    ///
    /// # Errors
    /// The value is no `datetime`, or out of range there.
    pub fn in_zone(rendering: &Rendering, value: &Value, zone: &str) -> Result<Option<Value>, Exception> {
        let Some(moment) = value.downcast::<DateTime>() else {
            return value.call_method(rendering, "astimezone", Arguments::positional([Value::None])).map(Some);
        };
        named_timezone(zone).map(|zone| moment.in_timezone(&zone).map(DateTime::value)).transpose()
    }
}

/// Regular expressions, as Python's `regex` has them. Matching is bounded in backtracks; what is compiled counts against the
/// rendering's bytes.
pub mod re {
    use crate::{
        Exception, Rendering, Value,
        python::re::{self, Anchor},
    };

    /// Bound on the bytes of compiled patterns that all threads of the process together keep between renderings.
    pub const CACHE_BYTES: usize = re::CACHE_BYTES;

    /// `bool(regex.match(pattern, text))`: whether the text begins with it.
    ///
    /// # Errors
    /// The pattern is none, the text is no `str`, or it takes too long.
    pub fn is_match(rendering: &Rendering, pattern: &str, text: &Value) -> Result<bool, Exception> {
        re::matches(rendering, pattern, text, Anchor::Start)
    }

    /// `bool(regex.search(pattern, text))`: whether it stands anywhere in the text.
    ///
    /// # Errors
    /// As [`is_match`].
    pub fn search(rendering: &Rendering, pattern: &str, text: &Value) -> Result<bool, Exception> {
        re::matches(rendering, pattern, text, Anchor::Anywhere)
    }

    /// `regex.sub(pattern, replacement, text)`, where `replacement` is text or a function.
    ///
    /// # Errors
    /// As [`is_match`], and where the replacement names a group that does not exist.
    pub fn sub(rendering: &Rendering, pattern: &str, replacement: &Value, text: &Value) -> Result<Value, Exception> {
        re::replace(rendering, pattern, replacement, text)
    }
}

/// JSON of values, as Python's `json` reads and writes it.
pub mod json {
    pub use crate::python::json::Options;
    use crate::{Exception, ExceptionClass, Rendering, Value, json, python};

    /// `json.dumps(value, **options)`
    ///
    /// # Errors
    /// As Python: a `TypeError` for values that JSON can't hold; or a limit is reached.
    pub fn dumps(rendering: &Rendering, value: &Value, options: Options) -> Result<String, Exception> {
        python::json::dumps(rendering, value, options)
    }

    /// `json.loads(text)`
    ///
    /// # Errors
    /// A `ValueError`: the text is no JSON; or a limit is reached.
    pub fn loads(rendering: &Rendering, text: &str) -> Result<Value, Exception> {
        // Each character can become a value of its own.
        rendering.allocate(text.len().saturating_mul(8))?;
        match json::loads(text) {
            Ok(json) => Ok(Value::from(&json)),
            Err(message) => Err(Exception::new(ExceptionClass::ValueError, message)),
        }
    }
}
