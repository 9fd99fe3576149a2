//! `strptime`: dates and times read by a format.

use std::sync::Arc;

use fancy_regex::Regex;
use jiff::civil;

use crate::python::{
    datetime::{
        calendar::{MONTHS, SECOND, WEEKDAYS, from_ordinal, new_date, new_time, ordinal, weekday},
        fields::{fraction, number},
        timezone::TimeZone,
    },
    exception::{Exception, ExceptionClass, PyResult, other_error, value_error},
    quote::quote,
    unicode::decimal,
};

/// The regular expression of a directive, as Python's `_strptime` has it; None if there is no such directive.
fn directive_pattern(directive: char) -> Option<String> {
    let names = |names: &[&str], length: usize| {
        let mut names: Vec<&str> = names.iter().map(|name| name.get(..length).unwrap_or(name)).collect();
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        names.join("|")
    };
    let pattern = match directive {
        'd' => r"3[0-1]|[1-2]\d|0[1-9]|[1-9]| [1-9]".to_owned(),
        'f' => "[0-9]{1,6}".to_owned(),
        'H' => r"2[0-3]|[0-1]\d|\d".to_owned(),
        'I' => "1[0-2]|0[1-9]|[1-9]".to_owned(),
        'G' | 'Y' => r"\d\d\d\d".to_owned(),
        'j' => r"36[0-6]|3[0-5]\d|[1-2]\d\d|0[1-9]\d|00[1-9]|[1-9]\d|0[1-9]|[1-9]".to_owned(),
        'm' => "1[0-2]|0[1-9]|[1-9]".to_owned(),
        'M' => r"[0-5]\d|\d".to_owned(),
        'S' => r"6[0-1]|[0-5]\d|\d".to_owned(),
        'U' | 'W' => r"5[0-3]|[0-4]\d|\d".to_owned(),
        'w' => "[0-6]".to_owned(),
        'u' => "[1-7]".to_owned(),
        'V' => r"5[0-3]|0[1-9]|[1-4]\d|\d".to_owned(),
        'y' => r"\d\d".to_owned(),
        'z' => r"[+-]\d\d:?[0-5]\d(:?[0-5]\d(\.\d{1,6})?)?|(?-i:Z)".to_owned(),
        'A' => names(&WEEKDAYS, usize::MAX),
        'a' => names(&WEEKDAYS, 3),
        'B' => names(&MONTHS, usize::MAX),
        'b' => names(&MONTHS, 3),
        'p' => "am|pm".to_owned(),
        'Z' => "utc|gmt".to_owned(),
        '%' => return Some("%".to_owned()),
        'c' => return format_pattern("%a %b %d %H:%M:%S %Y").ok(),
        'x' => return format_pattern("%m/%d/%y").ok(),
        'X' => return format_pattern("%H:%M:%S").ok(),
        _ => return None,
    };
    Some(format!("(?P<{directive}>{pattern})"))
}

/// The regular expression of a format.
fn format_pattern(format: &str) -> PyResult<String> {
    let mut pattern = String::new();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '%' {
            let Some(directive) = chars.next() else {
                return value_error(format!("stray % in format '{format}'"));
            };
            match directive_pattern(directive) {
                Some(part) => pattern += &part,
                None => {
                    // Python escapes first: a space or a special character is a backslash by then.
                    let special = directive.is_whitespace() || r"\.^$*+?(){}[]|".contains(directive);
                    let named = if special { '%' } else { directive };
                    return value_error(format!("'{named}' is a bad directive in format '{format}'"));
                }
            }
        } else if c.is_whitespace() {
            while chars.next_if(|c| c.is_whitespace()).is_some() {}
            pattern += r"\s+";
        } else if r"\.^$*+?(){}[]|".contains(c) {
            pattern.extend(['\\', c]);
        } else {
            pattern.push(c);
        }
    }
    Ok(pattern)
}

/// Checks that no directive stands twice.
fn unique(pattern: &str) -> PyResult<()> {
    let mut known: Vec<(char, usize)> = Vec::new();
    let mut groups = 0;
    let mut before = ' ';
    for (at, c) in pattern.char_indices() {
        let rest = pattern.get(at..).unwrap_or_default();
        if c == '(' && before != '\\' && !rest.starts_with("(?-i") {
            groups += 1;
            if let Some(name) = rest.strip_prefix("(?P<").and_then(|name| name.chars().next()) {
                if let Some((_, group)) = known.iter().find(|(known, _)| *known == name) {
                    let position = pattern.get(..at).unwrap_or_default().chars().count() + 4;
                    return other_error(format!(
                        "redefinition of group name '{name}' as group {groups}; was group {group} at position {position}"
                    ));
                }
                known.push((name, groups));
            }
        }
        before = if before == '\\' { ' ' } else { c };
    }
    Ok(())
}

/// The day, time and zone that `text` gives by `format`.
pub(super) fn parse(text: &str, format: &str) -> PyResult<(civil::DateTime, Option<TimeZone>)> {
    let pattern = format_pattern(format)?;
    unique(&pattern)?;
    let regex = Regex::new(&format!(r"\A(?i:{pattern})"))
        .map_err(|error| Exception::new(ExceptionClass::Other, error.to_string()))?;
    let Some(found) = regex.captures(text).ok().flatten() else {
        return value_error(format!("time data {} does not match format {}", quote(text), quote(format)));
    };
    let end = found.get(0).map_or(0, |whole| whole.end());
    if end < text.len() {
        return value_error(format!("unconverted data remains: {}", text.get(end..).unwrap_or_default()));
    }
    let part = |name: char| found.name(name.encode_utf8(&mut [0; 4])).map(|part| part.as_str());
    let time = parsed_time(&part);
    let date = parsed_date(&part)?;
    let zone = match part('z') {
        None => None,
        Some(offset) => Some(parsed_zone(offset, part('Z'))?),
    };
    // A leap second matches the pattern, but is no time.
    Ok((date.to_datetime(time?), zone))
}

/// The text that matched a directive, if the format has it.
type Matched<'a> = dyn Fn(char) -> Option<&'a str> + 'a;

/// The time that the directives give.
fn parsed_time(part: &Matched) -> PyResult<civil::Time> {
    let value = |name: char| part(name).map(number);
    let mut hour = value('H').unwrap_or(0);
    if let Some(twelve) = value('I') {
        let after_noon = part('p').is_some_and(|half| half.eq_ignore_ascii_case("pm"));
        hour = twelve % 12 + if after_noon { 12 } else { 0 };
    }
    let microsecond = part('f').map_or(0, fraction);
    new_time(hour, value('M').unwrap_or(0), value('S').unwrap_or(0), microsecond)
}

/// The zone that the text of `%z`, and that of `%Z` if there is one, give.
fn parsed_zone(offset: &str, name: Option<&str>) -> PyResult<TimeZone> {
    let name = name.map(Arc::from);
    if offset == "Z" {
        return TimeZone::new(0, name);
    }
    let colons = offset.matches(':').count();
    let plain = offset.replace(':', "");
    let (digits, decimals) = plain.split_once('.').unwrap_or((&plain, ""));
    let long = digits.chars().count() > 5;
    if offset.chars().nth(3) != Some(':') && colons > 0 {
        let second: String = offset.chars().skip(5).take(2).collect();
        return value_error(format!("invalid literal for int() with base 10: {}", quote(&second)));
    }
    if offset.chars().nth(3) == Some(':') && long && colons == 1 {
        return value_error(format!("Inconsistent use of : in {offset}"));
    }
    let digits: Vec<i128> = digits.chars().filter_map(decimal).map(i128::from).collect();
    let pair = |at: usize| digits.get(at).zip(digits.get(at + 1)).map_or(0, |(a, b)| a * 10 + b);
    let micros = if decimals.is_empty() { 0 } else { i128::from(fraction(decimals)) };
    let offset_size = ((pair(0) * 60 + pair(2)) * 60 + pair(4)) * SECOND + micros;
    TimeZone::new(if offset.starts_with('-') { -offset_size } else { offset_size }, name)
}

/// The day that the directives give.
fn parsed_date(part: &Matched) -> PyResult<civil::Date> {
    let value = |name: char| part(name).map(number);
    let position = |names: &[&str], length: usize, text: &str| {
        let at = names.iter().position(|name| name.get(..length).unwrap_or(name).eq_ignore_ascii_case(text));
        i64::try_from(at.unwrap_or(0)).unwrap_or(0)
    };
    let month_name = part('B')
        .map(|text| position(&MONTHS, usize::MAX, text) + 1)
        .or(part('b').map(|text| position(&MONTHS, 3, text) + 1));
    let month = value('m').or(month_name).unwrap_or(1);
    let day = value('d').unwrap_or(1);
    let named_day = part('A')
        .map(|text| position(&WEEKDAYS, usize::MAX, text))
        .or(part('a').map(|text| position(&WEEKDAYS, 3, text)));
    let week_day = named_day.or(value('w').map(|day| (day + 6) % 7)).or(value('u').map(|day| day - 1));
    let short_year = value('y').map(|year| if year <= 68 { year + 2000 } else { year + 1900 });
    let given_year = value('Y').or(short_year);
    let (iso_year, iso_week, mut year_day) = (value('G'), value('V'), value('j'));
    let week = value('U').map(|week| (week, 6)).or(value('W').map(|week| (week, 0)));
    check_iso_week(part, given_year.is_some(), week_day.is_some())?;
    // 1904 is the first leap year of the century.
    let leap = given_year.is_none() && month == 2 && day == 29;
    let mut year = given_year.unwrap_or(if leap { 1904 } else { 1900 });
    if let (None, Some(week_day)) = (year_day, week_day) {
        if let Some((week, start)) = week {
            year_day = Some(day_of_week(year, week, week_day, start)?);
        } else if let (Some(iso_year), Some(iso_week)) = (iso_year, iso_week) {
            let fourth = new_date(iso_year, 1, 4)?;
            year = iso_year;
            year_day = Some(iso_week * 7 + week_day + 1 - (weekday(fourth) + 1 + 3));
        }
    }
    let date = match year_day {
        None => new_date(year, month, day)?,
        Some(year_day) => from_ordinal(ordinal(new_date(year, 1, 1)?) + year_day - 1)?,
    };
    if leap { new_date(1900, date.month().into(), date.day().into()) } else { Ok(date) }
}

/// Checks that `%G` and `%V` come together, with a day of the week.
fn check_iso_week(part: &Matched, year: bool, week_day: bool) -> PyResult<()> {
    let has = |name: char| part(name).is_some();
    if !year && has('G') {
        if !has('V') || !week_day {
            return value_error(
                "ISO year directive '%G' must be used with the ISO week directive '%V' and a weekday directive ('%A', '%a', '%w', or '%u').",
            );
        }
        if has('j') {
            return value_error(
                "Day of the year directive '%j' is not compatible with ISO year directive '%G'. Use '%Y' instead.",
            );
        }
    } else if !has('U') && !has('W') && has('V') {
        return value_error(if !week_day {
            "ISO week directive '%V' must be used with the ISO year directive '%G' and a weekday directive ('%A', '%a', '%w', or '%u')."
        } else {
            "ISO week directive '%V' is incompatible with the year directive '%Y'. Use the ISO year '%G' instead."
        });
    }
    Ok(())
}

/// The day of the year of a day in a week of `%U` (`start` is 6, Sunday) or `%W` (`start` is 0, Monday).
fn day_of_week(year: i64, week: i64, day: i64, start: i64) -> PyResult<i64> {
    let shift = i64::from(start == 6);
    let first = (weekday(new_date(year, 1, 1)?) + shift) % 7;
    let day = (day + shift) % 7;
    Ok(if week == 0 { 1 + day - first } else { 1 + (7 - first) % 7 + 7 * (week - 1) + day })
}
