//! Times as OnCall writes them.

use jiff::{Timestamp, tz::TimeZone};

/// Writes a time as Django REST framework does, which takes Python's `isoformat`: with microseconds, or without fractions if they
/// are 0, and `Z` for UTC.
pub(crate) fn python_time(time: Timestamp) -> String {
    let format = if time.subsec_microsecond() == 0 { "%Y-%m-%dT%H:%M:%SZ" } else { "%Y-%m-%dT%H:%M:%S.%6fZ" };
    time.to_zoned(TimeZone::UTC).strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_as_python_shows_them() {
        for (time, expected) in [
            ("2023-08-18T16:38:23.106015Z", "2023-08-18T16:38:23.106015Z"),
            ("2023-08-18T16:38:23.5Z", "2023-08-18T16:38:23.500000Z"),
            ("2023-08-18T16:38:23Z", "2023-08-18T16:38:23Z"),
            ("1970-01-03T17:05:16.311077Z", "1970-01-03T17:05:16.311077Z"),
        ] {
            assert_eq!(python_time(time.parse().unwrap()), expected);
        }
    }
}
