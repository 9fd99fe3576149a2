//! Whether a template can work, found out without an event: it is tried out as OnCall's API tries it out, and where that fails it is
//! looked at whether it would with any data.

use super::{ENVIRONMENT, Template, TemplateError};

/// What trying a template out showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is against it.
    Works,
    /// It fails on empty data, with which OnCall's API tries templates out. With the data of an event it may work.
    FailsOnEmptyData(TemplateError),
    /// It fails whatever the data is. Nothing but certainty makes it this.
    NeverWorks(TemplateError),
}

/// The environment's globals that are the same in each rendering. None of them is a name of the data.
const STEADY: [&str; 5] = ["cycler", "dict", "joiner", "namespace", "range"];

impl Verdict {
    /// Tries a template of any field out. May take about four times as long as a rendering.
    pub fn on(source: &str) -> Self {
        let Err(error) = Template::storable(source) else { return Self::Works };
        let is_certain = ENVIRONMENT.compile(source).map_or(true, |compiled| compiled.surely_fails(&STEADY));
        if is_certain { Self::NeverWorks(error) } else { Self::FailsOnEmptyData(error) }
    }

    /// Why it may not work; None if nothing is against it.
    pub fn error(&self) -> Option<&TemplateError> {
        match self {
            Self::Works => None,
            Self::FailsOnEmptyData(error) | Self::NeverWorks(error) => Some(error),
        }
    }
}

impl Template {
    /// What it renders to or fails with, if it looks nothing up in its data and neither time nor chance play a part: the same with
    /// any data. May take as long as a rendering.
    pub fn foregone(&self) -> Option<Result<String, TemplateError>> {
        Some(self.compiled.foregone(&STEADY)?.map_err(TemplateError::from))
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
            ("{{ alert_payload.x | regex_match('[' ~ alert_payload.y) }}", EMPTY),
            ("{{ alert_payload.x | regex_search('(' ~ alert_payload.y) }}", EMPTY),
            ("{{ alert_payload.x | regex_search('*') }}{{ alert_payload.y }}", NEVER),
            ("{% if alert_payload.x is defined %}{{ alert_payload.x | regex_search('*') }}{% endif %}", EMPTY),
            ("{% set pattern = '*' %}{{ alert_payload.x | regex_search(pattern) }}", NEVER),
            ("{{ alert_payload.x | truncate(-1) }}", NEVER),
            ("{{ 'some text' | truncate(1) }}", NEVER),
            ("{{ 'some text' | truncate(alert_payload.n|int) }}", EMPTY),
            ("{% for alert in alert_payload.get('alerts', [1]) %}{{ alert.x | truncate(-1) }}{% endfor %}", EMPTY),
            // Data that is false, or a number, a flag, a list or a mapping.
            (
                "{% set ns = namespace(n=0) %}{% for a in alert_payload.alerts %}{% if not a.resolved %}\
                 {% set ns.n = ns.n + 1 %}{% endif %}{% endfor %}{{ 100 / ns.n }}",
                EMPTY,
            ),
            ("{{ 100 / (alert_payload.alerts | rejectattr('resolved') | list | length) }}", EMPTY),
            ("{{ 100 / (alert_payload.alerts | selectattr('active', 'true') | list | length) }}", EMPTY),
            ("{{ 100 / (1 if alert_payload.code == 503 else 0) }}", EMPTY),
            ("{{ 100 / (alert_payload.n|float > 0.6 and alert_payload.n|float < 0.9)|int }}", EMPTY),
            ("{{ 100 / (alert_payload.n is number)|int }}", EMPTY),
            ("{{ 100 / (alert_payload.n is mapping and alert_payload.n is not string)|int }}", EMPTY),
            ("{{ 100 / (alert_payload.n|int < -5)|int }}", EMPTY),
            ("{{ 100 / (5 < alert_payload.n|int < 8)|int }}", EMPTY),
            ("{{ 100 / (not alert_payload.x and alert_payload.y == 1)|int }}", EMPTY),
            ("{{ 100 / alert_payload.n|int - 1 }}", EMPTY),
            // Names that are data's at first.
            ("{% set alert_payload = alert_payload.labels %}{{ 100 / alert_payload|length }}", EMPTY),
            ("{{ 1 / alert_payload.n|int }}{% set alert_payload = {} %}", EMPTY),
            // Chance.
            ("{{ 1 / ([0, 0, 0] | random) }}", EMPTY),
            ("{{ 1 / (('2020' | datetimeparse('%Y')).now().year * 0) }}", EMPTY),
            ("{{ 1 / (('2020' | datetimeparse('%Y')).date().today().year * 0) }}", EMPTY),
            // What is refused where data may not lead to it.
            ("{% if not alert_payload.x %}{{ range(3) }}{% endif %}{{ alert_payload.y + 1 }}", EMPTY),
            ("{% if not alert_payload.x %}{% include 'x' %}{% endif %}{{ alert_payload.y + 1 }}", EMPTY),
            ("{% if not alert_payload.x %}{{ 1 | nope }}{% endif %}{{ alert_payload.y + 1 }}", EMPTY),
            ("{% if not alert_payload.x %}{{ 1 is nope }}{% endif %}{{ alert_payload.y + 1 }}", EMPTY),
            ("{% if not alert_payload.x %}{{ alert_payload.__class__.y }}{% endif %}", EMPTY),
            ("{{ alert_payload.x or range(3) }}", EMPTY),
            ("{{ not alert_payload.x and range(3) }}", EMPTY),
            ("{{ alert_payload.x if alert_payload.x else range(3) }}", EMPTY),
            ("{% for a in alert_payload.alerts %}{{ a }}{% else %}{{ range(3) }}{% endfor %}", EMPTY),
            ("{% if alert_payload.x %}{{ range(3) }}{% else %}{% include 'x' %}{% endif %}", NEVER),
            (
                "{% macro m(n) %}{% for i in range(n) %}{{ i }}{% endfor %}{% endmacro %}{{ m(alert_payload.n|int) }}",
                NEVER,
            ),
            ("{% set items = range(3) %}{{ alert_payload.x }}", NEVER),
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
