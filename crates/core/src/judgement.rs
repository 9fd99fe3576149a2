//! What is wrong with a webhook, as far as that can be told without an event. The same judgement is made of a manifest before it is
//! applied, of the object in the cluster, and, field by field, of what is sent to the REST API.
//!
//! ```text
//! template ─► Verdict ─┬─ never works ───────────► Fault
//!                      ├─ fails on empty data ───► Fault, which is no more than a warning where the object is there already
//!                      └─ works ─► url, headers ─► Fault: no request can be made of what it renders to with any data, or of
//!                                                  what that begins with
//! ```

use secrecy::{ExposeSecret, SecretString};

use super::{
    event::{EventData, WebhookContext},
    intake::{IntegrationTemplates, IntegrationType, TemplateSources},
    request::{self, Preparation},
    template::{Mode, Template, Verdict},
    webhook::{CompiledTemplate, HttpMethod, SecretKey, TriggerType, UrlSource, Webhook},
};

/// Bound on the message of a fault, in characters: it may quote a template.
pub(crate) const MESSAGE_LIMIT: usize = 1000;

/// Something for which a webhook can't work, or may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The field's name in a manifest, such as `triggerTemplate`.
    pub field: &'static str,
    /// The line of the field's text, from 1, where it is known.
    pub line: Option<usize>,
    /// The column in that line, in characters from 1, where it is known.
    pub column: Option<usize>,
    /// What kind of fault it is.
    pub kind: FaultKind,
    /// What is wrong, in one clause; that of a template in OnCall's words.
    pub message: String,
}

/// The kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The template fails whatever the data is.
    Template,
    /// The template fails on empty data, with which OnCall's API tries it out. It may work with the data of events.
    EmptyData,
    /// What the template renders to, with any data, is no URL that a request could go to.
    Url,
    /// What the template renders to, with any data, is no JSON object of headers.
    Headers,
}

impl FaultKind {
    /// Whether the webhook may work all the same.
    pub fn is_warning(self) -> bool {
        self == Self::EmptyData
    }
}

/// Judges all fields of a webhook that stand in its manifest and that it needs: a body's template that it never sends can't keep
/// it from working. May take seconds: its templates are tried out.
pub fn judge(webhook: &Webhook) -> Vec<Fault> {
    let sends_data = sends_data(webhook.method, webhook.forward_all);
    let used = webhook.templates().filter(|(field, _)| sends_data || *field != "data");
    used.filter_map(|(field, template)| judge_field(field, template.source())).collect()
}

/// Whether a webhook with this method ever sends what the template of its body, `data`, renders to.
pub fn sends_data(method: HttpMethod, forward_all: bool) -> bool {
    method.has_body() && !forward_all
}

/// Judges the templates of an Integration. One that fails on empty data may work with that of alerts, and is no fault: OnCall's API
/// does not try these out. May take seconds.
pub fn judge_integration(integration_type: IntegrationType, sources: &TemplateSources) -> Vec<Fault> {
    let (_, refused) = IntegrationTemplates::compile(integration_type, sources, true);
    let refused = refused.into_iter().map(|fault| Fault {
        field: fault.field,
        line: fault.line,
        column: fault.column,
        kind: FaultKind::Template,
        message: fault.message,
    });
    let mut faults: Vec<Fault> = refused.collect();
    for (field, source) in [
        ("templates.groupingId", &sources.grouping_id),
        ("templates.title", &sources.title),
        ("templates.resolveCondition", &sources.resolve_condition),
        ("templates.acknowledgeCondition", &sources.acknowledge_condition),
    ] {
        let judged = source.as_deref().filter(|source| !source.is_empty());
        let judged = judged.and_then(|source| judge_field(field, source));
        let is_new = |fault: &Fault| !fault.kind.is_warning() && faults.iter().all(|known| known.field != fault.field);
        if let Some(fault) = judged.filter(is_new) {
            faults.push(fault);
        }
    }
    faults
}

/// Judges one template of a webhook. `field` is its name in a manifest. May take seconds.
pub fn judge_field(field: &'static str, source: &str) -> Option<Fault> {
    let verdict = Verdict::on(source);
    if let Some(error) = verdict.error() {
        let kind = match verdict {
            Verdict::FailsOnEmptyData(_) => FaultKind::EmptyData,
            Verdict::NeverWorks(_) | Verdict::Works => FaultKind::Template,
        };
        let message = error.to_string().chars().take(MESSAGE_LIMIT).collect();
        return Some(Fault { field, line: error.line, column: error.column, kind, message });
    }
    let (kind, message) = match field {
        "url" | "urlFrom" => (FaultKind::Url, refused_url(source)?),
        "headers" => (FaultKind::Headers, refused_headers(source)?),
        _ => return None,
    };
    Some(Fault { field, line: None, column: None, kind, message })
}

/// Judges the template of a URL that is kept in a Secret. Its fault quotes nothing of it. May take seconds.
pub fn judge_secret_url(source: &SecretString, key: &SecretKey) -> Option<Fault> {
    let fault = judge_field("urlFrom", source.expose_secret())?;
    let SecretKey { name, key } = key;
    let message = match fault.kind {
        FaultKind::Url => format!("Key '{key}' of Secret '{name}': {}", fault.message),
        _ => format!("Key '{key}' of Secret '{name}': the template fails"),
    };
    Some(Fault { message, ..fault })
}

/// Why no request can go to what a URL's template renders to; None if one may.
fn refused_url(source: &str) -> Option<String> {
    let template = Template::compile(source, Mode::Raw).ok()?;
    if template.foregone().is_some() {
        return refused(source, None);
    }
    (!may_begin_url(&template.leading_text())).then(|| "Malformed url".to_owned())
}

/// Whether a URL that OnCall's check takes may begin so.
fn may_begin_url(text: &str) -> bool {
    let text: String = text.trim_start_matches(|char| char <= ' ').replace(['\t', '\r', '\n'], "");
    let Some((at, end)) = text.char_indices().find(|(_, char)| matches!(char, ':' | '/' | '?' | '#')) else {
        return true;
    };
    let (scheme, rest) = text.split_at(at);
    let is_http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    match rest.strip_prefix("://") {
        Some(authority) => is_http && !authority.starts_with(['/', '?', '#']),
        None => is_http && end == ':' && "://".starts_with(rest),
    }
}

/// Why what a headers' template renders to is no JSON object of headers; None if it may be one.
fn refused_headers(source: &str) -> Option<String> {
    if source.is_empty() {
        return None;
    }
    let template = Template::compile(source, Mode::Json).ok()?;
    if template.foregone().is_some() {
        return refused("http://receiver.invalid/", Some(CompiledTemplate::new(source, Mode::Json)));
    }
    let beginning = template.leading_text();
    let mut tokens = beginning.chars().filter(|char| !matches!(char, ' ' | '\t' | '\n' | '\r'));
    let may_begin = tokens.next().is_none_or(|first| first == '{')
        && tokens.next().is_none_or(|second| matches!(second, '"' | '}'));
    (!may_begin).then(|| "Template did not result in json/dict".to_owned())
}

/// Why no request can be made of a webhook with only these fields; None if one can.
fn refused(url: &str, headers: Option<CompiledTemplate>) -> Option<String> {
    let url = UrlSource::Template(CompiledTemplate::new(url, Mode::Raw));
    let webhook = Webhook { method: HttpMethod::Get, headers, ..Webhook::bare(TriggerType::Escalation, url) };
    let no_secrets = |_: &SecretKey| Err(String::new());
    match request::prepare(&webhook, &EventData::new(Vec::new()), &WebhookContext::default(), false, &no_secrets) {
        Preparation::Failed(record) => {
            let message = request::failure(&record);
            // A fault names its field beside the message.
            let short = ["URL - ", "Headers - "].iter().find_map(|prefix| message.strip_prefix(prefix));
            Some(short.unwrap_or(&message).chars().take(MESSAGE_LIMIT).collect())
        }
        Preparation::Send(..) | Preparation::Skip(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_tells_the_field_and_the_line_and_whether_it_is_more_than_a_warning() {
        let url = |source| UrlSource::Template(CompiledTemplate::new(source, Mode::Raw));
        let template = |source, mode| Some(CompiledTemplate::new(source, mode));
        let webhook = Webhook {
            trigger_template: template("{{ 1 }}\n{% for i in range(3) %}{% endfor %}", Mode::Raw),
            headers: template("{\"a\": \"{{ 1 / alert_payload.n|int }}\"}", Mode::Json),
            data: template("{\n  \"a\": {{ x. }}\n}", Mode::Json),
            ..Webhook::bare(TriggerType::Resolve, url("ftp://nope"))
        };
        let faults: Vec<_> = judge(&webhook)
            .into_iter()
            .map(|Fault { field, line, column, kind, message }| (field, line, column, kind, message))
            .collect();
        let expected = [
            ("triggerTemplate", Some(2), None, FaultKind::Template, "Template Error: use of 'range' is restricted"),
            ("url", None, None, FaultKind::Url, "Malformed url"),
            ("headers", Some(1), None, FaultKind::EmptyData, "Template Error: division by zero"),
            ("data", Some(2), Some(14), FaultKind::Template, "Template Error: expected name or number"),
        ]
        .map(|(field, line, column, kind, message)| (field, line, column, kind, message.to_owned()));
        assert_eq!(faults, expected);
        assert_eq!(judge(&Webhook::bare(TriggerType::Resolve, url("https://x.example/{{ alert_group_id }}"))), []);
    }

    #[test]
    fn a_body_that_is_never_sent_is_no_fault_of_its_webhook() {
        let fault = ("data", FaultKind::Template);
        let cases = [
            (HttpMethod::Post, false, Some(fault)),
            (HttpMethod::Put, false, Some(fault)),
            (HttpMethod::Patch, false, Some(fault)),
            (HttpMethod::Post, true, None),
            (HttpMethod::Patch, true, None),
            (HttpMethod::Get, false, None),
            (HttpMethod::Delete, true, None),
            (HttpMethod::Options, false, None),
        ];
        for (method, forward_all, expected) in cases {
            let url = UrlSource::Template(CompiledTemplate::new("https://x.example/", Mode::Raw));
            let webhook = Webhook {
                method,
                forward_all,
                data: Some(CompiledTemplate::new("{% include 'x' %}", Mode::Json)),
                headers: Some(CompiledTemplate::new("no json", Mode::Json)),
                ..Webhook::bare(TriggerType::Resolve, url)
            };
            let met: Vec<_> = judge(&webhook).into_iter().map(|fault| (fault.field, fault.kind)).collect();
            let expected: Vec<_> = [("headers", FaultKind::Headers)].into_iter().chain(expected).collect();
            assert_eq!(met, expected, "{method:?} {forward_all}");
        }
    }

    #[test]
    fn a_url_that_no_request_can_go_to_is_a_fault_whatever_is_filled_in() {
        let cases = [
            ("https://receiver.example/hook", true),
            ("HTTP://receiver.example", true),
            (" https://receiver.example", true),
            ("http://[::1]/", true),
            ("ftp://nope", false),
            ("nope", false),
            ("http://", false),
            ("http://x:99999/", false),
            ("//receiver.example/x", false),
            ("mailto:a@b.example", false),
            ("{# why #}ftp://nope", false),
            ("{% raw %}https://receiver.example/{{ x }}{% endraw %}", true),
            // It looks nothing up.
            ("{{ \"ftp://nope\" }}", false),
            ("{% set a = 1 %}ftp://nope", false),
            ("{% set scheme = 'ftp' %}{{ scheme }}://nope", false),
            ("{% if 1 %}nope{% endif %}", false),
            ("{{ 'nope' | upper }}", false),
            ("{% macro m(x) %}{{ x }}://nope{% endmacro %}{{ m('ftp') }}", false),
            ("{{ namespace(url='ftp://nope').url }}", false),
            ("{{ 1 + 'a' }}", false),
            ("{{ \"https://receiver.example\" }}", true),
            ("{% set a = 1 %}https://receiver.example/{{ a }}", true),
            // Time or chance may make it one.
            ("{{ ['ftp://nope', 'https://receiver.example'] | random }}", true),
            ("{{ lipsum() }}", true),
            ("{{ time() }}", true),
            // What is filled in may make it one.
            ("{{ alert_payload.url }}", true),
            ("{% set url = alert_payload.url %}{{ url }}", true),
            ("{% set alert_payload = alert_payload.x %}{{ alert_payload }}", true),
            ("{{ alert_payload.scheme }}://nope", true),
            ("http{{ alert_payload.s }}://nope", true),
            ("https:{{ alert_payload.rest }}", true),
            ("https:/{{ alert_payload.rest }}", true),
            ("https://{{ alert_payload.host }}/x", true),
            ("https://x:{{ alert_payload.port }}/x", true),
            ("https://[{{ alert_payload.ip }}]/x", true),
            ("{% if alert_payload.x %}ftp://nope{% endif %}", true),
            // It may not.
            ("ftp://{{ alert_payload.host }}/x", false),
            ("{% set host = alert_payload.host %}ftp://{{ host }}/x", false),
            ("{{ 'ftp://' }}{{ alert_payload.host }}/x", false),
            ("receiver.example/{{ alert_payload.x }}", false),
            ("localhost:8080/{{ alert_payload.x }}", false),
            ("https:x{{ alert_payload.x }}", false),
            ("https:///{{ alert_payload.x }}", false),
            ("?{{ alert_payload.x }}", false),
        ];
        for (source, expected) in cases {
            let fault = judge_field("url", source);
            assert_eq!(fault.is_none(), expected, "{source}: {fault:?}");
            assert!(fault.is_none_or(|fault| fault.kind == FaultKind::Url), "{source}");
        }
    }

    #[test]
    fn headers_that_can_be_no_json_object_are_a_fault_whatever_is_filled_in() {
        let cases = [
            ("", true),
            ("{}", true),
            ("{\"X-A\": \"b\"}", true),
            ("no json", false),
            ("[1]", false),
            (" ", false),
            ("{'X-A': 'b'}", false),
            ("{\"X-A\": 1}", false),
            ("{\"X-A\": \"a\\nb\"}", false),
            // It looks nothing up.
            ("{{ \"no json\" }}", false),
            ("{% set a = 1 %}no json", false),
            ("{% set a = [1] %}{{ a | tojson }}", false),
            ("{{ {'X-A': 'b'} }}", false),
            ("{{ {'X-A': 'b'} | tojson }}", true),
            ("{% set a = 'b' %}{\"X-A\": \"{{ a }}\"}", true),
            // Time may make it one.
            ("{{ time() }}", true),
            // What is filled in may make it one.
            ("{{ alert_payload.headers | tojson }}", true),
            ("{\"X-A\": \"{{ alert_payload.x }}\"}", true),
            ("{ {% if alert_payload.x %}\"X-A\": \"b\"{% endif %} }", true),
            ("\n{\n  {{ alert_payload.x }}", true),
            // It may not.
            ("X-A: {{ alert_payload.x }}", false),
            ("{% set x = alert_payload.x %}X-A: {{ x }}", false),
            ("{'X-A': '{{ alert_payload.x }}'}", false),
            ("{X-A: {{ alert_payload.x }}}", false),
            ("[\"{{ alert_payload.x }}\"]", false),
        ];
        for (source, expected) in cases {
            let fault = judge_field("headers", source);
            assert_eq!(fault.is_none(), expected, "{source}: {fault:?}");
            assert!(fault.is_none_or(|fault| fault.kind == FaultKind::Headers), "{source}");
        }
    }

    #[test]
    fn a_fault_of_a_url_in_a_secret_does_not_quote_it() {
        let key = SecretKey { name: "s".to_owned(), key: "k".to_owned() };
        let cases = [
            ("https://x.example/s3cret", None),
            ("s3cret", Some((None, FaultKind::Url, "Key 'k' of Secret 's': Malformed url"))),
            ("{{ 1 | s3cret }}", Some((Some(1), FaultKind::Template, "Key 'k' of Secret 's': the template fails"))),
            (
                "http://x/\n{{ 1 / alert_payload.s3cret|int }}",
                Some((Some(2), FaultKind::EmptyData, "Key 'k' of Secret 's': the template fails")),
            ),
        ];
        for (source, expected) in cases {
            let fault = judge_secret_url(&SecretString::from(source), &key);
            let met = fault.as_ref().map(|fault| (fault.line, fault.kind, &*fault.message));
            assert_eq!(met, expected, "{source}");
        }
    }
}
