//! Webhook and data in; a request, or the record of the field that failed, out. The checks come in OnCall's order:
//! trigger template, URL, headers, body.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use url::{Position, Url as ParsedUrl};

use super::{
    event::{EventData, Own},
    json,
    response::{MASK, Record},
    template::{Template, TemplateError},
    webhook::{Field, HttpMethod, SecretKey, Url, Webhook},
};

/// What is to be done for one webhook and one event.
#[derive(Debug)]
pub enum Prepared {
    /// The trigger template said no: nothing is sent and nothing recorded. Holds what it rendered to.
    Skip(String),
    /// A field failed: nothing is sent, and this is the record.
    Refused(Record),
    /// To be sent; the record lacks only what comes of it.
    Send(Request, Record),
}

/// A request, ready for the wire.
pub struct Request {
    /// The method.
    pub method: HttpMethod,
    /// The URL, without user and password.
    pub url: ParsedUrl,
    /// Names (legal) and values (bytes of Latin-1, without line breaks), Content-Type and Authorization among them.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body, for methods that have one.
    pub body: Option<String>,
    /// What must not show in anything that comes of the request.
    pub secrets: Vec<SecretString>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("host", &self.url.host_str())
            .finish_non_exhaustive()
    }
}

/// Gives the value of a Secret's key, or says in one clause why there is none.
pub type Secrets<'a> = &'a dyn Fn(&SecretKey) -> Result<SecretString, String>;

/// Prepares the request of `webhook` for `event`. `masked` hides the body in the record, as OnCall does for personal
/// notifications.
pub fn prepare(webhook: &Webhook, event: &EventData, own: &Own, masked: bool, secrets: Secrets) -> Prepared {
    let mut record = Record::default();
    match event.dumps(own) {
        Ok(text) => record.event_data = Some(text),
        Err(message) => {
            return refused(record, |r| &mut r.request_data, &format!("Data - {message}"));
        }
    }
    let mut builder = Builder { webhook, event, own, secrets, used: Vec::new() };

    match builder.rendered(webhook.trigger_template.as_ref()) {
        Ok(Some(result)) if !matches!(result.to_lowercase().as_str(), "true" | "1") => {
            return Prepared::Skip(result);
        }
        Ok(result) => record.request_trigger = Some(result.unwrap_or_default()),
        Err(error) => {
            return refused(record, |r| &mut r.request_trigger, &format!("Trigger - {error}"));
        }
    }
    let url = match builder.url() {
        Ok((url, shown)) => {
            record.url = Some(shown);
            url
        }
        Err(message) => return refused(record, |r| &mut r.url, &format!("URL - {message}")),
    };
    let headers = match builder.headers() {
        Ok((headers, shown)) => {
            record.request_headers = Some(shown);
            headers
        }
        Err(message) => {
            return refused(record, |r| &mut r.request_headers, &format!("Headers - {message}"));
        }
    };
    let body = match builder.body(record.event_data.as_deref()) {
        Ok(body) => {
            record.request_data = body.as_ref().map(|body| if masked { MASK } else { body.text.as_str() }.to_owned());
            body
        }
        Err(message) => {
            return refused(record, |r| &mut r.request_data, &format!("Data - {message}"));
        }
    };
    match builder.wire_headers(headers, &url, body.as_ref().is_some_and(|body| body.is_json)) {
        Ok(headers) => {
            let request = Request {
                method: webhook.method,
                url: without_credentials(url),
                headers,
                body: body.map(|body| body.text),
                secrets: builder.used,
            };
            Prepared::Send(request, record)
        }
        Err(message) => refused(record, |r| &mut r.content, &message),
    }
}

fn refused(mut record: Record, field: impl Fn(&mut Record) -> &mut Option<String>, message: &str) -> Prepared {
    *field(&mut record) = Some(message.to_owned());
    Prepared::Refused(record)
}

struct Body {
    text: String,
    is_json: bool,
}

/// A header's value: what is sent, and whether the record may show it.
type Headers = Vec<(String, Value)>;

struct Builder<'a> {
    webhook: &'a Webhook,
    event: &'a EventData,
    own: &'a Own,
    secrets: Secrets<'a>,
    used: Vec<SecretString>,
}

impl Builder<'_> {
    fn rendered(&self, field: Option<&Field>) -> Result<Option<String>, TemplateError> {
        field.map(|field| self.render(field.template().map_err(Clone::clone)?)).transpose()
    }

    fn render(&self, template: &Template) -> Result<String, TemplateError> {
        template.render(&self.event.context(template.mode(), self.own))
    }

    fn secret(&mut self, key: &SecretKey) -> Result<SecretString, String> {
        let value = (self.secrets)(key)?;
        self.used.push(value.clone());
        Ok(value)
    }

    fn url(&mut self) -> Result<(ParsedUrl, String), String> {
        match &self.webhook.url {
            Url::Template(field) => {
                let text = self.rendered(Some(field)).map_err(|error| error.to_string())?.unwrap_or_default();
                let url = parse_url(&text)?;
                let shown = mask_credentials(&text, &url);
                Ok((url, shown))
            }
            Url::Secret(key) => {
                let source = self.secret(key)?;
                // The text is a secret: a message about it may quote it.
                let template = Template::compile(source.expose_secret(), super::template::Mode::Raw)
                    .map_err(|error| hidden(&error, key))?;
                let text = self.render(&template).map_err(|error| hidden(&error, key))?;
                let url = parse_url(&text)?;
                // Receivers repeat the part that they see.
                let path_and_query = &url[Position::BeforePath..Position::AfterQuery];
                self.used.extend([text.as_str(), path_and_query, url.path()].map(SecretString::from));
                Ok((url, MASK.to_owned()))
            }
        }
    }

    /// The headers that the manifest states, and how the record shows them.
    fn headers(&mut self) -> Result<(Headers, String), String> {
        let rendered = self.rendered(self.webhook.headers.as_ref()).map_err(|error| error.to_string())?;
        let mut headers: Headers = match rendered.filter(|text| !text.is_empty()) {
            None => Vec::new(),
            Some(text) => match serde_json::from_str::<Map<String, Value>>(&text) {
                Ok(map) => map.into_iter().collect(),
                Err(_) => return Err("Template did not result in json/dict".to_owned()),
            },
        };
        let mut shown = headers.clone();
        let webhook = self.webhook;
        let from_secrets = webhook.headers_from.iter().map(|(name, key)| (name.as_str(), key));
        let authorization = webhook.authorization_header.iter().map(|key| ("Authorization", key));
        for (name, key) in from_secrets.chain(authorization) {
            let value = self.secret(key)?;
            replace(&mut headers, name, Value::from(value.expose_secret()));
            replace(&mut shown, name, Value::from(MASK));
        }
        for (name, value) in &mut shown {
            if name.eq_ignore_ascii_case("Authorization") {
                *value = Value::from(MASK);
            }
        }
        let shown = json::dumps(&Map::from_iter(shown)).map_err(|error| error.to_string())?;
        Ok((headers, shown))
    }

    fn body(&self, event_data: Option<&str>) -> Result<Option<Body>, String> {
        if !self.webhook.method.has_body() {
            return Ok(None);
        }
        if self.webhook.forward_all {
            return Ok(event_data.map(|text| Body { text: text.to_owned(), is_json: true }));
        }
        let Some(text) = self.rendered(self.webhook.data.as_ref()).map_err(|error| error.to_string())? else {
            return Ok(None);
        };
        Ok(Some(match serde_json::from_str::<Value>(&text).ok().and_then(|value| json::dumps(&value).ok()) {
            Some(text) => Body { text, is_json: true },
            None => Body { text, is_json: false },
        }))
    }

    /// The headers as they are sent: user and password before `Authorization`, a content type for JSON.
    fn wire_headers(
        &mut self,
        mut headers: Headers,
        url: &ParsedUrl,
        is_json: bool,
    ) -> Result<Vec<(String, Vec<u8>)>, String> {
        let webhook = self.webhook;
        let credentials = match (&webhook.username, &webhook.password) {
            (Some(user), Some(key)) => Some((user.clone(), self.secret(key)?)),
            _ => url_credentials(url)?,
        };
        if let Some((user, password)) = credentials {
            let token = BASE64_STANDARD.encode(format!("{user}:{}", password.expose_secret()));
            self.used.push(password);
            self.used.push(SecretString::from(token.as_str()));
            replace(&mut headers, "Authorization", Value::from(format!("Basic {token}")));
        }
        if is_json && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("Content-Type")) {
            headers.push(("Content-Type".to_owned(), Value::from("application/json")));
        }
        // A null header is one that is not sent.
        headers
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| wire_header(name, &value))
            .collect()
    }
}

fn hidden(error: &TemplateError, key: &SecretKey) -> String {
    let at = error.line.map_or_else(String::new, |line| format!(" in line {line}"));
    format!("the template in key '{}' of Secret '{}' fails{at}", key.key, key.name)
}

/// Sets header `name`, whatever its case, where the first of that name stands.
fn replace(headers: &mut Headers, name: &str, value: Value) {
    let at = headers.iter().position(|(other, _)| other.eq_ignore_ascii_case(name));
    headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
    headers.insert(at.unwrap_or(headers.len()).min(headers.len()), (name.to_owned(), value));
}

fn wire_header(name: String, value: &Value) -> Result<(String, Vec<u8>), String> {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(format!("Header name {name:?} is not allowed: use letters, digits and -"));
    }
    let Value::String(text) = value else {
        return Err(format!("Header {name} must be a string, not {value}: put it in quotes"));
    };
    let bytes = text.chars().map(u8::try_from).collect::<Result<Vec<_>, _>>();
    match bytes {
        Ok(bytes) if bytes.iter().all(|b| *b == b'\t' || (*b >= b' ' && *b != 0x7f)) => Ok((name, bytes)),
        Ok(_) => Err(format!("Header {name} has a line break or a control character, which no header may have")),
        Err(_) => Err(format!("Header {name} has a character outside Latin-1, which no header may have")),
    }
}

fn parse_url(text: &str) -> Result<ParsedUrl, String> {
    let malformed = || "Malformed url".to_owned();
    let (scheme, rest) = text.trim_start().split_once("://").ok_or_else(malformed)?;
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let is_http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    if !is_http || authority.is_empty() {
        return Err(malformed());
    }
    ParsedUrl::parse(text).map_err(|_| malformed())
}

fn url_credentials(url: &ParsedUrl) -> Result<Option<(String, SecretString)>, String> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let decode = |text: &str| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8()
            .map(std::borrow::Cow::into_owned)
            .map_err(|_| "The user or password in the url is not UTF-8".to_owned())
    };
    Ok(Some((decode(url.username())?, SecretString::from(decode(url.password().unwrap_or_default())?))))
}

fn without_credentials(mut url: ParsedUrl) -> ParsedUrl {
    // Both fail only for URLs that have no host, which these do.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}

/// `text` with `user:password@` hidden.
fn mask_credentials(text: &str, url: &ParsedUrl) -> String {
    if url.username().is_empty() && url.password().is_none() {
        return text.to_owned();
    }
    let start = text.find("://").map_or(0, |at| at + 3);
    let end = text[start..].find(['/', '?', '#']).map_or(text.len(), |at| start + at);
    match text[start..end].rfind('@') {
        Some(at) => format!("{}{MASK}{}", &text[..start], &text[start + at..]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{
        template::Mode,
        webhook::{self, TriggerType},
    };
    use serde_json::json;

    fn mk_webhook() -> Webhook {
        webhook::mk_webhook(TriggerType::Acknowledge)
    }

    fn mk_url(source: &str) -> Url {
        Url::Template(Field::new(source, Mode::Raw))
    }

    fn mk_json(source: &str) -> Field {
        Field::new(source, Mode::Json)
    }

    fn mk_secret(name: &str) -> SecretKey {
        SecretKey { name: name.to_owned(), key: "key".to_owned() }
    }

    const EVENT_DATA: &str = r#"{"alert_payload": {"text": "say \"hi\""}, "webhook": {"id": "WHP936BM1GPVHQ", "name": "Jira", "labels": {}}}"#;

    fn run(webhook: &Webhook) -> Prepared {
        let event = EventData::new(Map::from_iter([("alert_payload".to_owned(), json!({"text": "say \"hi\""}))]));
        let own = Own::new(webhook.template_data(), Map::new());
        prepare(webhook, &event, &own, false, &|key| match key.name.as_str() {
            "missing" => Err("Secret 'missing' does not exist".to_owned()),
            "url" => Ok(SecretString::from("http://hooks.example/s3cret-path")),
            name => Ok(SecretString::from(format!("{name}-value"))),
        })
    }

    /// Headers as text, in the order they are sent, and the body.
    fn sent(webhook: &Webhook) -> (Vec<(String, String)>, Option<String>) {
        match run(webhook) {
            Prepared::Send(request, _) => (
                request.headers.into_iter().map(|(name, value)| (name, String::from_utf8(value).unwrap())).collect(),
                request.body,
            ),
            other => panic!("not sent: {other:?}"),
        }
    }

    fn record(webhook: &Webhook) -> Record {
        match run(webhook) {
            Prepared::Send(_, record) | Prepared::Refused(record) => record,
            other @ Prepared::Skip(_) => panic!("skipped: {other:?}"),
        }
    }

    fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn bodies_are_the_whole_data_or_the_rendered_text() {
        let json_type = headers(&[("Content-Type", "application/json")]);
        let cases = [
            (Webhook { forward_all: true, ..mk_webhook() }, json_type.clone(), Some(EVENT_DATA)),
            (Webhook { forward_all: true, method: HttpMethod::Get, ..mk_webhook() }, headers(&[]), None),
            (
                Webhook { data: Some(mk_json(r#"{"t":"{{ alert_payload.text }}","n":1e3}"#)), ..mk_webhook() },
                json_type,
                Some(r#"{"t": "say \"hi\"", "n": 1000.0}"#),
            ),
            (Webhook { data: Some(mk_json("plain {{ nope }}")), ..mk_webhook() }, headers(&[]), Some("plain ")),
            (
                Webhook {
                    data: Some(mk_json("{}")),
                    headers: Some(mk_json(r#"{"content-type": "text/plain"}"#)),
                    ..mk_webhook()
                },
                headers(&[("content-type", "text/plain")]),
                Some("{}"),
            ),
            (mk_webhook(), headers(&[]), None),
        ];
        for (webhook, expected_headers, expected_body) in cases {
            assert_eq!(sent(&webhook), (expected_headers, expected_body.map(str::to_owned)));
        }
    }

    #[test]
    fn secrets_are_sent_and_never_recorded() {
        let webhook = Webhook {
            headers: Some(mk_json(r#"{"authorization": "old", "X-One": "1", "X-Gone": null}"#)),
            headers_from: vec![("X-Token".to_owned(), mk_secret("token"))],
            authorization_header: Some(mk_secret("auth")),
            ..mk_webhook()
        };
        assert_eq!(
            sent(&webhook).0,
            headers(&[("Authorization", "auth-value"), ("X-One", "1"), ("X-Token", "token-value")])
        );
        assert_eq!(
            record(&webhook).request_headers.as_deref(),
            Some(
                r#"{"Authorization": "****************", "X-One": "1", "X-Gone": null, "X-Token": "****************"}"#
            )
        );
        let webhook = Webhook { url: Url::Secret(mk_secret("url")), ..mk_webhook() };
        assert_eq!(record(&webhook).url.as_deref(), Some(MASK));
    }

    #[test]
    fn user_and_password_win_over_the_authorization_header() {
        let basic = headers(&[("Authorization", "Basic YW5uOnB3LXZhbHVl")]);
        let webhook = Webhook {
            username: Some("ann".to_owned()),
            password: Some(mk_secret("pw")),
            authorization_header: Some(mk_secret("auth")),
            ..mk_webhook()
        };
        assert_eq!(sent(&webhook).0, basic);
        assert_eq!(record(&webhook).request_headers.as_deref(), Some(r#"{"Authorization": "****************"}"#));

        let webhook = Webhook { url: mk_url("http://ann:pw-value@receiver.example/hook"), ..mk_webhook() };
        assert_eq!(sent(&webhook).0, basic);
        assert_eq!(record(&webhook).url.as_deref(), Some("http://****************@receiver.example/hook"));
    }

    #[test]
    fn a_failure_is_recorded_in_the_field_that_failed() {
        let url = "http://receiver.example/hook";
        let at_url = Record {
            event_data: Some(EVENT_DATA.to_owned()),
            request_trigger: Some(String::new()),
            ..Record::default()
        };
        let at_headers = Record { url: Some(url.to_owned()), ..at_url.clone() };
        let at_data = Record { request_headers: Some("{}".to_owned()), ..at_headers.clone() };
        let text = |text: &str| Some(text.to_owned());
        let url_case = |source: &str, message: &str| {
            (Webhook { url: mk_url(source), ..mk_webhook() }, Record { url: text(message), ..at_url.clone() })
        };
        let undefined = "Template Warning: Object of type Undefined is not JSON serializable";
        let cases = [
            (
                Webhook { trigger_template: Some(Field::new("{{ nope | tojson }}", Mode::Raw)), ..mk_webhook() },
                Record { request_trigger: text(&format!("Trigger - {undefined}")), ..at_url.clone() },
            ),
            url_case("receiver.example/hook", "URL - Malformed url"),
            url_case("{{ nope }}", "URL - Malformed url"),
            url_case("http:///hook", "URL - Malformed url"),
            url_case("ftp://receiver.example", "URL - Malformed url"),
            url_case("http://{{ nope | tojson }}", &format!("URL - {undefined}")),
            (
                Webhook { headers: Some(mk_json("[1]")), ..mk_webhook() },
                Record {
                    request_headers: text("Headers - Template did not result in json/dict"),
                    ..at_headers.clone()
                },
            ),
            (
                Webhook { authorization_header: Some(mk_secret("missing")), ..mk_webhook() },
                Record { request_headers: text("Headers - Secret 'missing' does not exist"), ..at_headers },
            ),
            (
                Webhook { data: Some(mk_json("{{ nope | tojson() }}")), ..mk_webhook() },
                Record { request_data: text(&format!("Data - {undefined}")), ..at_data.clone() },
            ),
            (
                Webhook { headers: Some(mk_json(r#"{"X Q": "v"}"#)), ..mk_webhook() },
                Record {
                    request_headers: text(r#"{"X Q": "v"}"#),
                    content: text("Header name \"X Q\" is not allowed: use letters, digits and -"),
                    ..at_data.clone()
                },
            ),
            (
                Webhook { headers: Some(mk_json(r#"{"X-Q": "a\r\nEvil: b"}"#)), ..mk_webhook() },
                Record {
                    request_headers: text(r#"{"X-Q": "a\r\nEvil: b"}"#),
                    content: text("Header X-Q has a line break or a control character, which no header may have"),
                    ..at_data
                },
            ),
        ];
        for (webhook, expected) in cases {
            match run(&webhook) {
                Prepared::Refused(record) => {
                    assert_eq!(record, expected);
                }
                other => panic!("{other:?} in place of {expected:?}"),
            }
        }
    }

    #[test]
    fn a_webhook_runs_if_its_trigger_template_says_true_or_1() {
        for (source, runs) in
            [("TRUE", true), ("1", true), ("", false), ("yes", false), (" true", false), ("{{ 1 == 2 }}", false)]
        {
            let webhook = Webhook { trigger_template: Some(Field::new(source, Mode::Raw)), ..mk_webhook() };
            assert_eq!(matches!(run(&webhook), Prepared::Send(..)), runs, "{source:?}");
        }
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let webhook = Webhook {
            authorization_header: Some(mk_secret("auth")),
            url: Url::Secret(mk_secret("url")),
            ..mk_webhook()
        };
        let shown = format!("{:?}", run(&webhook));
        assert!(!shown.contains("auth-value") && !shown.contains("s3cret-path"), "{shown}");
    }
}
