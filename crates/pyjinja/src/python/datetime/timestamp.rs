//! Unix time as days and times, in UTC, which is the local time too.

use jiff::{Timestamp, civil};
use num_traits::ToPrimitive;

use crate::python::{
    datetime::calendar::{SECOND, UNIX, plus},
    exception::{PyResult, other_error, type_error, value_error},
    value::Value,
};

/// The day and time of now.
pub(super) fn now() -> civil::DateTime {
    plus(UNIX, i128::from(Timestamp::now().as_microsecond())).unwrap_or(UNIX)
}

/// The day and time in UTC, `value` seconds after the start of 1970.
pub(super) fn civil(value: &Value) -> PyResult<civil::DateTime> {
    const EARLIEST: i128 = -62_135_510_400;
    const PAST_LAST_OF_C: i128 = 67_768_036_191_676_800;
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
    if !(-67_768_040_609_740_800..PAST_LAST_OF_C).contains(&seconds) {
        return other_error("[Errno 75] Value too large for defined data type");
    }
    let civil = plus(UNIX, micros).ok().filter(|_| seconds >= EARLIEST);
    civil.map_or_else(
        || {
            let year = if seconds < EARLIEST { seconds.min(EARLIEST - 86_401) } else { seconds } / 31_556_952 + 1970;
            value_error(format!("year {} is out of range", year.min(if seconds < 0 { 0 } else { i128::MAX })))
        },
        Ok,
    )
}
