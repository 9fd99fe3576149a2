//! Times as people read them: ages in kubectl's form, and times to the second.

use jiff::Timestamp;

use super::session::duration;

/// A time to the second, in UTC.
pub(super) fn seconds(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

/// How long ago something was, as kubectl tells ages.
pub(super) fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(since).as_secs().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let both = |large: i64, unit: &str, small: i64, part: &str| match small {
        0 => format!("{large}{unit}"),
        _ => format!("{large}{unit}{small}{part}"),
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => both(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => both(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => both(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        _ => both(days / 365, "y", days % 365, "d"),
    }
}

/// Parses how far back, such as `2h`, into the time then.
pub(super) fn since(text: &str) -> Result<Timestamp, String> {
    let length = duration(text)?;
    // Whatever is longer ago than times can say is everything.
    Ok(Timestamp::now().checked_sub(length).unwrap_or(Timestamp::MIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_told_as_kubectl_tells_them() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        for (seconds, expected) in [
            (-5, "0s"),
            (119, "119s"),
            (120, "2m"),
            (272, "4m32s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (12_060, "3h21m"),
            (28_800, "8h"),
            (172_799, "47h"),
            (180_000, "2d2h"),
            (691_200, "8d"),
            (63_072_000, "2y"),
            (70_000_000, "2y80d"),
        ] {
            let then = now.checked_sub(jiff::SignedDuration::from_secs(seconds)).unwrap();
            assert_eq!(age(then, now), expected, "{seconds}");
        }
        assert_eq!(seconds("2026-01-01T01:02:03.9Z".parse().unwrap()), "2026-01-01T01:02:03Z");
    }
}
