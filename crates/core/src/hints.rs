//! What people probably did not mean in a template: names that it never sees, and a trigger template that never says yes. The
//! text of a template comes in; hints go out.

use super::template::{Mode, Template};

/// The names that templates see, beside the environment's globals.
pub const NAMES: [&str; 12] = [
    "event",
    "user",
    "alert_group",
    "alert_group_id",
    "alert_payload",
    "integration",
    "notified_users",
    "users_to_be_notified",
    "alert_group_acknowledged_by",
    "alert_group_resolved_by",
    "responses",
    "webhook",
];

/// The environment's globals, and what macros see.
const OTHERS: [&str; 11] =
    ["range", "dict", "lipsum", "cycler", "joiner", "namespace", "time", "self", "varargs", "kwargs", "caller"];

/// What has no other fields than these, by the path that leads there. Users, labels and payloads have whatever they were sent with.
pub const FIELDS: [(&[&str], &[&str]); 5] = [
    (&["event"], &["type", "time", "until", "user"]),
    (
        &["alert_group"],
        &[
            "id",
            "integration_id",
            "team_id",
            "route_id",
            "alerts_count",
            "state",
            "created_at",
            "resolved_at",
            "resolved_by",
            "acknowledged_at",
            "acknowledged_by",
            "labels",
            "title",
            "permalinks",
            "silenced_at",
            "last_alert",
        ],
    ),
    (&["alert_group", "permalinks"], &["slack", "slack_app", "telegram", "web"]),
    (&["integration"], &["id", "type", "name", "team", "labels"]),
    (&["webhook"], &["id", "name", "labels"]),
];

/// The methods of a `dict`, which templates call in the place of a field.
const METHODS: [&str; 11] =
    ["clear", "copy", "fromkeys", "get", "items", "keys", "pop", "popitem", "setdefault", "update", "values"];

/// What is meant where people write a name that is not near to it: names of OnCall's other templates, of its payloads, and fields
/// without what they belong to.
const MEANT: [(&str, &str); 43] = [
    ("payload", "alert_payload"),
    ("alert", "alert_payload"),
    ("alerts", "alert_payload.alerts"),
    ("annotations", "alert_payload.annotations"),
    ("labels", "alert_payload.labels"),
    ("commonLabels", "alert_payload.commonLabels"),
    ("commonAnnotations", "alert_payload.commonAnnotations"),
    ("groupLabels", "alert_payload.groupLabels"),
    ("externalURL", "alert_payload.externalURL"),
    ("message", "alert_payload.message"),
    ("users_to_notify", "users_to_be_notified"),
    ("users_to_be_notified_list", "users_to_be_notified"),
    ("users_notified", "notified_users"),
    ("users", "notified_users"),
    ("acknowledged_by", "alert_group_acknowledged_by"),
    ("resolved_by", "alert_group_resolved_by"),
    ("incident", "alert_group"),
    ("group", "alert_group"),
    ("incident_id", "alert_group_id"),
    ("group_id", "alert_group_id"),
    ("grafana_oncall_incident_id", "alert_group_id"),
    ("grafana_oncall_link", "alert_group.permalinks.web"),
    ("amixr_incident_id", "alert_group_id"),
    ("amixr_link", "alert_group.permalinks.web"),
    ("integration_name", "integration.name"),
    ("integration_id", "integration.id"),
    ("title", "alert_group.title"),
    ("web_title", "alert_group.title"),
    ("state", "alert_group.state"),
    ("status", "alert_group.state"),
    ("permalinks", "alert_group.permalinks"),
    ("permalink", "alert_group.permalinks.web"),
    ("event_type", "event.type"),
    ("username", "user.username"),
    ("email", "user.email"),
    ("response", "responses"),
    ("alert_group.status", "alert_group.state"),
    ("alert_group.name", "alert_group.title"),
    ("alert_group.url", "alert_group.permalinks.web"),
    ("alert_group.link", "alert_group.permalinks.web"),
    ("alert_group.permalink", "alert_group.permalinks.web"),
    ("alert_group.alerts", "alert_payload.alerts"),
    ("alert_group.payload", "alert_payload"),
];

/// Something in a template that is probably not meant so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// The trigger template never renders to exactly `true` or `1`. `space` says that it does without the white space around its
    /// statements.
    NeverTriggers {
        /// Whether white space is what is wrong.
        space: bool,
    },
    /// A name, or a field of one, that templates never see.
    Unseen {
        /// The template's line, from 1.
        line: usize,
        /// What has no such field, with dots between; None for a name by itself.
        of: Option<String>,
        /// The name or the field.
        name: String,
        /// What is probably meant, in full, where that is known.
        meant: Option<&'static str>,
        /// The names or fields that there are.
        known: &'static [&'static str],
    },
}

/// Finds what is probably not meant so in the template of a `field`, as manifests name it. Nothing of a text that is none.
pub fn of_template(field: &str, source: &str) -> Vec<Hint> {
    let Ok(template) = Template::compile(source, Mode::Raw) else { return Vec::new() };
    let mut hints = Vec::new();
    if field == "triggerTemplate" && !source.is_empty() && !says_yes(&template, false) {
        hints.push(Hint::NeverTriggers { space: says_yes(&template, true) });
    }
    let mut seen = Vec::new();
    for lookup in template.lookups() {
        let path: Vec<&str> = [&*lookup.name].into_iter().chain(lookup.path.iter().map(|key| &**key)).collect();
        let Some((depth, known)) = unseen(&path) else { continue };
        // The template provides for it. `payload` is there, and None.
        if lookup.is_optional && depth + 1 == path.len() && path != ["payload"] {
            continue;
        }
        let (of, name) = path.split_at(depth);
        let (of, name) = (of.join("."), name.first().copied().unwrap_or_default());
        let whole = if of.is_empty() { name.to_owned() } else { format!("{of}.{name}") };
        if seen.contains(&whole) {
            continue;
        }
        let meant = MEANT.iter().find(|(written, _)| *written == whole).map(|(_, meant)| *meant);
        let of = Some(of).filter(|of| !of.is_empty());
        hints.push(Hint::Unseen { line: lookup.line, of, name: name.to_owned(), meant, known });
        seen.push(whole);
    }
    hints
}

fn says_yes(template: &Template, ignoring_space: bool) -> bool {
    ["true", "1"].iter().any(|text| template.can_render(text, ignoring_space))
}

/// The place in a path of the first name that templates never see, and those that there are in its place.
fn unseen(path: &[&str]) -> Option<(usize, &'static [&'static str])> {
    let first = path.first()?;
    if !NAMES.contains(first) && !OTHERS.contains(first) {
        return Some((0, &NAMES));
    }
    (1..path.len()).find_map(|depth| {
        let (_, known) = FIELDS.iter().find(|(of, _)| **of == path[..depth])?;
        (!known.contains(&path[depth]) && !METHODS.contains(&path[depth])).then_some((depth, *known))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_templates_never_see_are_found_with_what_was_meant() {
        /// Line, name in full, and what was meant.
        type Expected = (usize, &'static str, Option<&'static str>);
        let cases: [(&str, &[Expected]); 30] = [
            ("{{ event.type }}{{ user.id }}{{ user.phone }}{{ webhook.name }}{{ time() }}{{ alert_group_id }}", &[]),
            ("{{ alert_payload.anything.at.all }}{{ responses['WH1'].id }}{{ responses.WH1.id }}", &[]),
            (
                "{{ alert_group.labels.team }}{{ alert_group['permalinks'].slack_app }}{{ alert_group.last_alert.x }}",
                &[],
            ),
            ("{{ alert_group.get('x') }}{% for k, v in alert_group.items() %}{{ k }}{% endfor %}", &[]),
            ("{% set title = alert_group.title %}{{ title }}{% for u in notified_users %}{{ u.x }}{% endfor %}", &[]),
            ("{% macro m(x) %}{{ x }}{% endmacro %}{{ m(1) }}{{ dict(a=1) }}{% set ns = namespace(a=1) %}", &[]),
            ("{{ varargs }}{{ kwargs.x }}{% if caller is defined %}{{ caller() }}{% endif %}", &[]),
            // What the template provides for.
            ("{{ foo is defined }}{{ foo is undefined }}{% if foo is not defined %}{% endif %}", &[]),
            ("{{ foo | default('x') }}{{ foo | d(1) | int }}{{ (foo | default({})).x }}", &[]),
            ("{{ alert_group.ttile | default('x') }}{{ event['name'] is defined }}", &[]),
            ("{{ foo is defined }}{{ foo }}", &[(1, "foo", None)]),
            ("{{ foo.x | default('x') }}", &[(1, "foo", None)]),
            ("{{ foo | upper | default('x') }}", &[(1, "foo", None)]),
            ("{{ x | default(foo) }}", &[(1, "foo", None)]),
            ("{{ foo is string }}", &[(1, "foo", None)]),
            ("{{ payload | default('x') }}", &[(1, "payload", Some("alert_payload"))]),
            ("{{ payload.x }}", &[(1, "payload", Some("alert_payload"))]),
            ("{{ payload['x'] }}{{ payload }}", &[(1, "payload", Some("alert_payload"))]),
            ("\n{{ users_to_notify }}", &[(2, "users_to_notify", Some("users_to_be_notified"))]),
            ("{{ alert_paylod.x }}", &[(1, "alert_paylod", None)]),
            ("{{ alert_group.ttile }}", &[(1, "alert_group.ttile", None)]),
            ("{{ alert_group['status'] }}", &[(1, "alert_group.status", Some("alert_group.state"))]),
            ("{{ alert_group.permalinks.wbe }}", &[(1, "alert_group.permalinks.wbe", None)]),
            ("{{ integration.url }}", &[(1, "integration.url", None)]),
            ("{{ event.name }}{{ webhook.url }}", &[(1, "event.name", None), (1, "webhook.url", None)]),
            ("{% if labels.x %}\n{{ x.y }}{% endif %}", &[(1, "labels", Some("alert_payload.labels")), (2, "x", None)]),
            ("{% for a in alerts %}{{ a.b }}{% endfor %}", &[(1, "alerts", Some("alert_payload.alerts"))]),
            ("{{ payload.a }}{{ payload.b }}\n{{ payload.c }}", &[(1, "payload", Some("alert_payload"))]),
            ("{{ grafana_oncall_link }}", &[(1, "grafana_oncall_link", Some("alert_group.permalinks.web"))]),
            ("{{ x", &[]),
        ];
        for (source, expected) in cases {
            let hints = of_template("data", source);
            let met: Vec<_> = hints
                .iter()
                .map(|hint| match hint {
                    Hint::Unseen { line, of, name, meant, .. } => {
                        let of = of.as_ref().map_or_else(String::new, |of| format!("{of}."));
                        (*line, format!("{of}{name}"), *meant)
                    }
                    Hint::NeverTriggers { .. } => panic!("{source}: not of this field"),
                })
                .collect();
            let expected: Vec<_> =
                expected.iter().map(|(line, name, meant)| (*line, (*name).to_owned(), *meant)).collect();
            assert_eq!(met, expected, "{source}");
        }
    }

    #[test]
    fn what_is_meant_is_there() {
        for (written, meant) in MEANT {
            let path = |text: &'static str| text.split('.').collect::<Vec<_>>();
            assert!(unseen(&path(written)).is_some(), "{written} is there itself");
            assert_eq!(unseen(&path(meant)), None, "{meant}");
        }
    }

    #[test]
    fn a_trigger_template_that_never_says_yes_is_found() {
        let (space, other) = (Some(true), Some(false));
        let cases = [
            ("", None),
            ("true", None),
            ("1", None),
            ("{{ alert_payload.severity == 'critical' }}", None),
            ("{{ alert_payload.severity == 'critical' }}\n", None),
            ("{% if alert_payload.x %}true{% else %}false{% endif %}", None),
            ("{{ 1 if alert_payload.x else 0 }}", None),
            ("{{ alert_payload.x }}", None),
            ("{{ alert_payload.x }} ", space),
            (" {{ alert_payload.x == 'y' }}", space),
            ("{% if alert_payload.x %}\ntrue\n{% endif %}", space),
            ("{% if alert_payload.x %}\n  1\n{% else %}\n  0\n{% endif %}", space),
            ("{% set x = alert_payload.x %}\n{{ x == 'y' }}", space),
            ("{{ alert_payload.x == 'y' }}\n\n", space),
            ("{# only some #}\n{{ alert_payload.x == 'y' }}", space),
            ("{%- if alert_payload.x -%}\n  true\n{%- endif -%}", None),
            ("yes", other),
            ("false", other),
            ("{{ 'yes' if alert_payload.x else 'no' }}", other),
            ("severity == 'critical'", other),
            (" ", other),
        ];
        for (source, expected) in cases {
            let met = of_template("triggerTemplate", source).into_iter().find_map(|hint| match hint {
                Hint::NeverTriggers { space } => Some(space),
                Hint::Unseen { .. } => None,
            });
            assert_eq!(met, expected, "{source:?}");
            assert_eq!(of_template("data", source), []);
        }
    }
}
