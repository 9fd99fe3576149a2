//! `strftime`: dates and times written by a format, as the C library does in the locale `C`.

use jiff::civil;

use crate::python::{
    datetime::{
        calendar::{MONTHS, SECOND, UNIX, WEEKDAYS, microsecond, since, weekday},
        timezone::{TimeZone, offset_text, zone_text},
    },
    exception::{PyResult, value_error},
};

/// `strftime(format)`
pub(super) fn strftime(format: &str, civil: civil::DateTime, zone: Option<&TimeZone>) -> PyResult<String> {
    if format.contains('\0') {
        return value_error("embedded null character");
    }
    Ok(expand(format, civil, zone))
}

/// `format` with its directives written out.
pub(super) fn expand(format: &str, civil: civil::DateTime, zone: Option<&TimeZone>) -> String {
    let mut out = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        let (plain, directive) = rest.split_at(at);
        out.push_str(plain);
        let mut chars = directive.chars();
        chars.next();
        let flags = flags(&mut chars);
        let text = match chars.next() {
            Some(':') if chars.as_str().starts_with('z') => {
                chars.next();
                Some(zone_text(zone))
            }
            Some(c) => expand_directive(c, flags, civil, zone),
            None => None,
        };
        rest = chars.as_str();
        match text {
            Some(text) => out.push_str(&text),
            // Anything that is no directive is written as it is.
            None => out.push_str(directive.get(..directive.len() - rest.len()).unwrap_or("%")),
        }
    }
    out.push_str(rest);
    out
}

/// The flags and the width between `%` and the directive, as C's `strftime` has them.
#[derive(Clone, Copy, Default)]
struct DirectiveFlags {
    pad: Option<char>,
    upper: bool,
    /// Whether to swap the case.
    swap: bool,
    width: Option<usize>,
}

impl DirectiveFlags {
    /// Whether there are none.
    fn plain(self) -> bool {
        self.pad.is_none() && !self.upper && !self.swap && self.width.is_none()
    }
}

/// Takes the flags and the width.
fn flags(chars: &mut std::str::Chars) -> DirectiveFlags {
    let mut flags = DirectiveFlags::default();
    loop {
        let mut ahead = chars.clone();
        match ahead.next() {
            Some(c @ ('-' | '_' | '0')) if flags.width.is_none() => flags.pad = Some(c),
            Some('^') if flags.width.is_none() => flags.upper = true,
            Some('#') if flags.width.is_none() => flags.swap = true,
            Some(c) if c.is_ascii_digit() => {
                let digit = c.to_digit(10).and_then(|digit| usize::try_from(digit).ok()).unwrap_or(0);
                // Nobody needs a wider field.
                flags.width = Some((flags.width.unwrap_or(0) * 10 + digit).min(1000));
            }
            Some('E' | 'O') if ahead.clone().next().is_some_and(|c| c.is_ascii_alphabetic()) => {}
            _ => return flags,
        }
        *chars = ahead;
    }
}

/// The text of one directive; None if there is no such.
fn expand_directive(
    directive: char,
    flags: DirectiveFlags,
    civil: civil::DateTime,
    zone: Option<&TimeZone>,
) -> Option<String> {
    if let Some((number, digits, pad)) = number(directive, civil) {
        return Some(pad_number(number, digits, pad, flags));
    }
    if directive == 'z' && !flags.plain() {
        return Some(String::new());
    }
    text(directive, flags, civil, zone).map(|text| pad_text(text, flags, "aAbBh".contains(directive)))
}

/// The number that a directive writes, with the least digits and the character that fills them up.
fn number(directive: char, civil: civil::DateTime) -> Option<(i64, usize, char)> {
    let day = civil.date();
    let (year, hour) = (i64::from(civil.year()), i64::from(civil.hour()));
    let (week_day, year_day) = (weekday(day), i64::from(day.day_of_year()) - 1);
    let twelve = if hour % 12 == 0 { 12 } else { hour % 12 };
    Some(match directive {
        'C' => (year.div_euclid(100), 1, '0'),
        'd' => (civil.day().into(), 2, '0'),
        'e' => (civil.day().into(), 2, ' '),
        'g' => (i64::from(day.iso_week_date().year()).rem_euclid(100), 2, '0'),
        'G' => (day.iso_week_date().year().into(), 1, '0'),
        'H' => (hour, 2, '0'),
        'I' => (twelve, 2, '0'),
        'j' => (year_day + 1, 3, '0'),
        'k' => (hour, 2, ' '),
        'l' => (twelve, 2, ' '),
        'm' => (civil.month().into(), 2, '0'),
        'M' => (civil.minute().into(), 2, '0'),
        's' => (i64::try_from(since(UNIX, civil).div_euclid(SECOND)).unwrap_or(0), 1, '0'),
        'S' => (civil.second().into(), 2, '0'),
        'u' => (week_day + 1, 1, '0'),
        'U' => ((year_day + 7 - (week_day + 1) % 7) / 7, 2, '0'),
        'V' => (day.iso_week_date().week().into(), 2, '0'),
        'w' => ((week_day + 1) % 7, 1, '0'),
        'W' => ((year_day + 7 - week_day) / 7, 2, '0'),
        'y' => (year.rem_euclid(100), 2, '0'),
        'Y' => (year, 1, '0'),
        _ => return None,
    })
}

/// The text that a directive writes.
fn text(directive: char, flags: DirectiveFlags, civil: civil::DateTime, zone: Option<&TimeZone>) -> Option<String> {
    let (hour, week_day, month) = (civil.hour(), weekday(civil.date()), i64::from(civil.month()) - 1);
    let name = |names: &[&str], at: i64| {
        usize::try_from(at).ok().and_then(|at| names.get(at).copied()).unwrap_or("?").to_owned()
    };
    let short = |name: String| name.get(..3).unwrap_or("?").to_owned();
    let inner = |format: &str| expand(format, civil, zone);
    Some(match directive {
        'a' => short(name(&WEEKDAYS, week_day)),
        'A' => name(&WEEKDAYS, week_day),
        'b' | 'h' => short(name(&MONTHS, month)),
        'B' => name(&MONTHS, month),
        'c' => inner("%a %b %e %H:%M:%S %Y"),
        'D' | 'x' => inner("%m/%d/%y"),
        // Python itself writes these, and knows no flags.
        'f' if flags.plain() => format!("{:06}", microsecond(civil.time())),
        'F' => inner("%Y-%m-%d"),
        'n' => "\n".to_owned(),
        'p' if flags.swap => if hour < 12 { "am" } else { "pm" }.to_owned(),
        'p' => if hour < 12 { "AM" } else { "PM" }.to_owned(),
        'P' => if hour < 12 { "am" } else { "pm" }.to_owned(),
        'r' => inner("%I:%M:%S %p"),
        'R' => inner("%H:%M"),
        't' => "\t".to_owned(),
        'T' | 'X' => inner("%H:%M:%S"),
        'Z' if !flags.plain() => String::new(),
        'z' => zone.map_or_else(String::new, |zone| offset_text(zone.offset, "")),
        'Z' => zone.map_or_else(String::new, |zone| zone.name().as_ref().to_owned()),
        '%' => "%".to_owned(),
        _ => return None,
    })
}

/// The number with its flags.
fn pad_number(number: i64, digits: usize, pad: char, flags: DirectiveFlags) -> String {
    let pad = match flags.pad {
        Some('-') => None,
        Some('_') => Some(' '),
        Some(_) => Some('0'),
        None => Some(pad),
    };
    let text = number.to_string();
    match pad {
        None => text,
        Some(pad) => {
            let missing = flags.width.unwrap_or(digits).max(digits).saturating_sub(text.len());
            pad.to_string().repeat(missing) + &text
        }
    }
}

/// The text of a directive that is no number, with its flags; `name` if it is the name of a day or month.
fn pad_text(text: String, flags: DirectiveFlags, name: bool) -> String {
    let text = if flags.upper || flags.swap && name { text.to_uppercase() } else { text };
    let pad = if flags.pad == Some('0') { "0" } else { " " };
    let missing = flags.width.unwrap_or(0).saturating_sub(text.chars().count());
    pad.repeat(missing) + &text
}
