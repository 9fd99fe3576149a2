//! Whether a template can work, found out without an event: it is tried out with what OnCall's API tries it out with, and where
//! that fails with other data too.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use pyjinja::{ExceptionClass, Value};

use super::{ENVIRONMENT, Template, TemplateError, TemplateErrorKind};

/// What trying a template out showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is against it.
    Works,
    /// It fails on empty data, with which OnCall's API tries templates out. With the data of an event it may work.
    FailsOnEmptyData(TemplateError),
    /// It fails whatever the data is.
    NeverWorks(TemplateError),
}

/// Bound on the literals of a template that are tried as data, and on the length of each, in bytes.
const LITERALS: (usize, usize) = (16, 200);

/// How often literals are dealt out among the names.
const DEALS: u64 = 64;

/// How often a limit may be reached before no more data is tried: each time takes as long as a rendering may.
const STOPPED: usize = 2;

/// How long more and more data is tried. One rendering more may end after that.
const PATIENCE: Duration = Duration::from_secs(2);

impl Verdict {
    /// Tries a template of any field out. May take about four times as long as a rendering.
    pub fn on(source: &str) -> Self {
        let Err(error) = Template::storable(source) else { return Self::Works };
        if works_with_other_data(source) { Self::FailsOnEmptyData(error) } else { Self::NeverWorks(error) }
    }

    /// Why it may not work; None if nothing is against it.
    pub fn error(&self) -> Option<&TemplateError> {
        match self {
            Self::Works => None,
            Self::FailsOnEmptyData(error) | Self::NeverWorks(error) => Some(error),
        }
    }
}

/// Whether a template that fails on empty data may work on other: it does with some of the data that is made up here, or it is not
/// certain that it does not.
fn works_with_other_data(source: &str) -> bool {
    let Ok(compiled) = ENVIRONMENT.compile(source) else { return false };
    if compiled.lookups().is_empty() {
        // It looks at no data.
        return false;
    }
    let literals: Rc<[String]> =
        compiled.literals().into_iter().filter(|text| text.len() <= LITERALS.1).take(LITERALS.0).collect();
    let numbers = [10, 1000, 1_700_000_000, 1].map(MadeUp::Number);
    let texts = ["0.5", "-1", "true"].map(|text| MadeUp::Same(text.to_owned()));
    let compared_with = literals.iter().cloned().map(MadeUp::Same);
    let deals = if literals.len() > 1 { DEALS } else { 0 };
    let dealt = (0..deals).map(|deal| MadeUp::Dealt(Rc::clone(&literals), deal));
    let data = numbers.into_iter().chain([MadeUp::Word, MadeUp::Time]).chain(texts).chain(compared_with).chain(dealt);
    let (started, mut stopped, mut uncertain) = (Instant::now(), 0, false);
    for made_up in data {
        let rendered = compiled.render_with(&[], |rendering| {
            rendering.define("payload", Value::None);
            rendering.stand_in(move |name| Value::from(made_up.value_of(name)));
        });
        let Err(error) = rendered else { return true };
        let class = error.class;
        match TemplateErrorKind::from(class) {
            // It does not fit the data that is made up: it may have come beyond what failed, or not to it.
            TemplateErrorKind::Warning => uncertain = true,
            TemplateErrorKind::Error if class == ExceptionClass::AttributeError => uncertain = true,
            TemplateErrorKind::Error if class == ExceptionClass::LimitReached => {
                stopped += 1;
                if stopped == STOPPED {
                    break;
                }
            }
            TemplateErrorKind::Error => {}
        }
        if started.elapsed() > PATIENCE {
            uncertain = true;
            break;
        }
    }
    uncertain && !fails_whatever_it_meets(source)
}

/// Whether the failure on empty data is of a kind that no data makes good: what a template asks for is not there at all.
fn fails_whatever_it_meets(source: &str) -> bool {
    let class = Template::tried(source).err().map(|error| error.class);
    matches!(
        class,
        Some(ExceptionClass::SecurityError | ExceptionClass::TemplateNotFound | ExceptionClass::TemplateRuntimeError)
    )
}

/// Data that is made up: every name, attribute and item is a text.
enum MadeUp {
    /// A whole number, from this on, another one for each name.
    Number(u64),
    /// A word, another one for each name.
    Word,
    /// A time, another one for each name.
    Time,
    /// The same text for each name.
    Same(String),
    /// One of these texts for each name, in another way for each number.
    Dealt(Rc<[String]>, u64),
}

impl MadeUp {
    fn value_of(&self, name: &str) -> String {
        // FNV-1a: the same on each day and machine.
        let hash = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        match self {
            Self::Number(least) => (least + hash % (least * 8)).to_string(),
            Self::Word => format!("word{}", hash % 1000),
            Self::Time => format!("2026-01-{:02}T12:00:00Z", 1 + hash % 28),
            Self::Same(text) => text.clone(),
            Self::Dealt(texts, deal) => {
                // The end of MurmurHash3.
                let mut mixed = hash.wrapping_add(deal.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
                mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
                mixed ^= mixed >> 33;
                let index = usize::try_from(mixed).unwrap_or_default() % texts.len().max(1);
                texts.get(index).cloned().unwrap_or_default()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_told_from_one_that_fails_on_empty_data_alone_and_from_one_that_never_works() {
        const WORKS: &str = "works";
        const EMPTY: &str = "fails on empty data";
        const NEVER: &str = "never works";
        let cases = [
            ("", WORKS),
            ("text", WORKS),
            ("{{ alert_payload.a.b.c }}", WORKS),
            ("{{ alert_group.title.x.y }}", WORKS),
            ("{{ alert_payload.x | tojson }}", WORKS),
            ("{{ alert_payload.n + 1 }}", WORKS),
            ("{% if alert_payload.x %}{% for i in range(3) %}{% endfor %}{% endif %}", WORKS),
            // What can't be parsed, or names what is not there.
            ("{{ x", NEVER),
            ("{% if x %}", NEVER),
            ("{{ x | nope }}", NEVER),
            ("{{ x is nope }}", NEVER),
            ("{% if not alert_payload.x %}{{ y | nope }}{% endif %}", EMPTY),
            ("{% if 1 %}{{ y | nope }}{% endif %}", NEVER),
            // What the sandbox and OnCall refuse.
            ("{% for i in range(3) %}{{ i }}{% endfor %}", NEVER),
            ("{{ range(alert_payload.n | int) | list }}", NEVER),
            ("{{ alert_payload.x.__class__ }}", WORKS),
            ("{{ alert_payload.x.__class__.__mro__ }}", NEVER),
            ("{{ ''['__class__']() }}", NEVER),
            ("{{ alert_payload.x.y.__class__.z }}", NEVER),
            ("{{ 'x'.__class__.__mro__ }}", NEVER),
            ("{% include 'x' %}", NEVER),
            ("{% import 'x' as y %}", NEVER),
            ("{% from 'x' import y %}", NEVER),
            ("{% extends 'x' %}", NEVER),
            ("{% include alert_payload.name %}", NEVER),
            ("{% for k, v in alert_payload.items() %}{{ k }}{% endfor %}{% include 'x' %}", NEVER),
            ("{% for k, v in alert_payload.items() %}{{ k }}{% endfor %}{{ range(3) }}", NEVER),
            // Divisions.
            ("{{ 1 / 0 }}", NEVER),
            ("{{ 1 % (2 - 2) }}", NEVER),
            ("{{ 100 / alert_payload.total|int }}", EMPTY),
            ("{{ 100 // alert_payload.total|int }}", EMPTY),
            ("{{ 100 % alert_payload['total']|float }}", EMPTY),
            ("{{ 100 / alert_payload.commonLabels.total|int }}", WORKS),
            ("{{ 100 / alert_payload.commonLabels.total|default(0)|int }}", EMPTY),
            ("{{ 100 / alert_payload.count|int }}", EMPTY),
            ("{{ 100 / alert_payload.labels['count']|int }}", EMPTY),
            ("{{ 100 / (alert_payload.alerts[0] | default({})).values.B|default(0)|float }}", EMPTY),
            ("{{ 100 / alert_payload.get('total')|int }}", EMPTY),
            ("{{ 1 / (alert_payload.a|int - alert_payload.b|int) }}", EMPTY),
            ("{{ 1 / (alert_payload.severity == 'critical')|int }}", EMPTY),
            ("{{ 1 / (alert_payload.code|int == 503)|int }}", EMPTY),
            ("{{ 1 / (alert_payload.a == 'x' and alert_payload.b == 'y')|int }}", EMPTY),
            ("{{ 1 / (alert_payload.a == 'x' and alert_payload.b == 'y' and alert_payload.c == 'x')|int }}", EMPTY),
            ("{{ 1 / (0 < alert_payload.n|int < 4)|int }}", EMPTY),
            ("{{ 1 / (0 < alert_payload.n|float < 1)|int }}", EMPTY),
            ("{{ 1 / (alert_payload.n|int < 0)|int }}", EMPTY),
            ("{{ 1 / alert_payload.text|length }}", EMPTY),
            ("{{ 1 / (alert_payload.text | parse_json).total|default(0)|int }}", EMPTY),
            ("{% set l = alert_payload.labels %}{{ 1 / l.total|d(0)|int }}", EMPTY),
            ("{% set n = alert_payload.n|int %}{% if n > 5 %}{{ 1 / (n - 5) }}{% else %}{{ 1 / n }}{% endif %}", EMPTY),
            // Filters of mappings, which a text is not.
            ("{{ alert_payload.labels | dictsort }}", EMPTY),
            ("{% for k, v in alert_payload.labels | dictsort %}{{ k }}{% endfor %}", EMPTY),
            ("{{ 'x' | dictsort }}", NEVER),
            // Arguments of filters.
            ("{{ alert_payload.x | regex_search('*') }}", NEVER),
            ("{{ alert_payload.x.y | regex_replace('(', 'a') }}", NEVER),
            ("{{ alert_payload.x | regex_match('[' ~ alert_payload.y) }}", NEVER),
            ("{{ alert_payload.x | truncate(-1) }}", NEVER),
            ("{{ 'some text' | truncate(1) }}", NEVER),
            ("{{ 'some text' | truncate(alert_payload.n|int) }}", EMPTY),
            // Bounds.
            ("{{ 'x' * 1000000000 }}", NEVER),
            ("{{ 'x' * (1000000000 // (alert_payload.n|int + 1)) }}", EMPTY),
        ];
        for (source, expected) in cases {
            let verdict = Verdict::on(source);
            let met = match &verdict {
                Verdict::Works => WORKS,
                Verdict::FailsOnEmptyData(_) => EMPTY,
                Verdict::NeverWorks(_) => NEVER,
            };
            assert_eq!(met, expected, "{source}: {verdict:?}");
            assert_eq!(verdict.error(), Template::storable(source).err().as_ref(), "{source}");
        }
    }
}
