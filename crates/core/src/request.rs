//! Prepares the request of a webhook for an event. A webhook and the event's data come in; the request to send, or the record
//! of the field that failed, goes out.
//!
//! ```text
//! trigger template ─► URL ─► headers ─► body ─► HttpRequest ─► redirected ─► HttpRequest ─► …
//! ```
//! The checks come in OnCall's order, as above; after them come the checks that Python's `requests` makes before it sends.
//!
//! - `http_request`: the request, and the next one after a redirect
//! - `headers`: headers from what is stated to what is sent
//! - `url_secrets`: parts of URLs to mask

use std::{cell::OnceCell, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::{ExposeSecret, SecretString};

use super::{
    event::{EventData, TemplateContext, WebhookContext},
    json::{self, Json},
    request_url::{self, RequestUrl, UrlError},
    response::{MASK, ResponseRecord},
    signing::{self, SigningKey},
    template::{Mode, Template, TemplateError},
    tls,
    webhook::{CompiledTemplate, HttpMethod, SecretKey, SecretLookup, UrlSource, Webhook},
};

mod headers;
mod http_request;
#[cfg(test)]
mod tests;
mod url_secrets;

pub use self::http_request::{Header, HttpRequest, MAX_REDIRECTS};
use self::{
    headers::{HEADERS_MAX, HeaderBudget, StatedHeader, latin1, wire_headers},
    url_secrets::{mask_credentials, url_secrets},
};

/// Says whether a request is to be sent for one webhook and one event.
#[derive(Debug)]
pub enum Preparation {
    /// Nothing is to be sent or recorded: the trigger template rendered to this text, which does not say yes.
    Skip(String),
    /// Nothing is to be sent: a field failed, and this is the record.
    Failed(ResponseRecord),
    /// The request is to be sent. The record is complete except for what comes of it.
    Send(Box<PreparedRequest>, ResponseRecord),
}

/// A request to send, and the secrets to mask afterwards.
#[derive(Debug)]
pub struct PreparedRequest {
    /// The request that is sent first; redirects may lead to others.
    pub first: HttpRequest,
    /// Secrets that must not show in anything that comes of the request.
    pub secrets: Vec<SecretString>,
}

impl Preparation {
    /// The same with its record cut.
    #[must_use]
    pub fn bounded(self, cut: impl FnOnce(ResponseRecord) -> ResponseRecord) -> Self {
        match self {
            Self::Skip(text) => Self::Skip(text),
            Self::Failed(record) => Self::Failed(cut(record)),
            Self::Send(request, record) => Self::Send(request, cut(record)),
        }
    }
}

impl PreparedRequest {
    /// About how many bytes it holds.
    pub fn size(&self) -> usize {
        let HttpRequest { headers, body, .. } = &self.first;
        let headers = headers.iter().map(|header| header.name.len() + header.value.len()).sum::<usize>();
        headers + body.as_ref().map_or(0, |body| body.len())
    }
}

/// Prepares the request of `webhook` for `event`. `context` is the part of the data that only this webhook sees. `masked`
/// hides the body in the record, as OnCall does for personal notifications.
pub fn prepare(
    webhook: &Webhook,
    event: &EventData,
    context: &WebhookContext,
    masked: bool,
    secrets: SecretLookup,
) -> Preparation {
    let event_data = event.dumps(context);
    let contexts = [OnceCell::new(), OnceCell::new()];
    let mut builder = RequestBuilder { webhook, event, context, contexts, secrets, used: Vec::new() };
    let forwarded = webhook.forward_all && webhook.method.has_body();
    // The text is as long as the payload: copied only where it is sent as well.
    let body_of_all = forwarded.then(|| event_data.clone());
    let mut record = ResponseRecord { event_data: Some(event_data), ..ResponseRecord::default() };

    match builder.rendered(webhook.trigger_template.as_ref()) {
        Ok(Some(result)) if !matches!(result.to_lowercase().as_str(), "true" | "1") => {
            return Preparation::Skip(result);
        }
        Ok(result) => record.request_trigger = Some(result.unwrap_or_default()),
        Err(error) => return failed(record, |r| &mut r.request_trigger, &format!("Trigger - {error}")),
    }
    let url = match builder.url() {
        Ok((url, shown)) => {
            record.url = Some(shown);
            url
        }
        Err(UrlError::Rejected(message)) => return failed(record, |r| &mut r.url, &format!("URL - {message}")),
        Err(UrlError::Unreadable(message)) => return failed(record, |r| &mut r.content, &message),
    };
    let headers = match builder.headers() {
        Ok(headers) => headers,
        Err(message) => return failed(record, |r| &mut r.request_headers, &format!("Headers - {message}")),
    };
    let body = match builder.body(body_of_all) {
        Ok(body) => body,
        Err(error) => return failed(record, |r| &mut r.request_data, &format!("Data - {error}")),
    };
    // OnCall finds this out only after the body is made.
    let Some((headers, shown)) = headers else {
        return failed(record, |r| &mut r.content, "The headers rendered to JSON that is not an object");
    };
    record.request_headers = Some(shown);
    record.request_data = body.as_ref().map(|body| if masked { MASK } else { body.text.as_str() }.to_owned());
    match builder.request(&url, headers, body) {
        Ok(first) => Preparation::Send(Box::new(PreparedRequest { first, secrets: builder.used }), record),
        Err(message) => failed(record, |r| &mut r.content, &message),
    }
}

/// Why no request could be made, as the record of a [`Preparation::Failed`] has it.
pub fn failure(record: &ResponseRecord) -> String {
    // The last field that has something is the one that failed.
    let fields = [&record.content, &record.request_data, &record.request_headers, &record.url, &record.request_trigger];
    fields.into_iter().flatten().next().cloned().unwrap_or_default()
}

fn failed(
    mut record: ResponseRecord,
    field: impl Fn(&mut ResponseRecord) -> &mut Option<String>,
    message: &str,
) -> Preparation {
    *field(&mut record) = Some(message.to_owned());
    Preparation::Failed(record)
}

/// A body as it was made, before the checks of `requests`.
struct Body {
    text: String,
    /// The JSON that the text is, if it is any.
    json: Option<Json>,
}

impl Body {
    /// Takes the event's data as the body.
    fn of_all(event_data: String) -> Self {
        // Parsed only if it may hold a number that JSON does not know. Otherwise any JSON will do.
        let json = if event_data.contains("NaN") || event_data.contains("Infinity") {
            json::loads(&event_data).unwrap_or(Json::Bool(true))
        } else {
            Json::Bool(true)
        };
        Self { text: event_data, json: Some(json) }
    }

    /// Takes text that a template rendered to. JSON is written anew, as Python writes it.
    fn rendered(text: String) -> Self {
        match json::rewrite(&text) {
            Ok((json, text)) => Self { text, json: Some(json) },
            Err(_) => Self { text, json: None },
        }
    }
}

struct RequestBuilder<'a> {
    webhook: &'a Webhook,
    event: &'a EventData,
    context: &'a WebhookContext,
    /// The data as templates see it, raw and escaped, made when the first template asks for it.
    contexts: [OnceCell<TemplateContext>; 2],
    secrets: SecretLookup<'a>,
    /// All secrets that the request shows so far.
    used: Vec<SecretString>,
}

impl RequestBuilder<'_> {
    fn rendered(&self, field: Option<&CompiledTemplate>) -> Result<Option<String>, TemplateError> {
        field.map(|field| self.render(&*field.template()?)).transpose()
    }

    fn render(&self, template: &Template) -> Result<String, TemplateError> {
        let [raw, escaped] = &self.contexts;
        let context = match template.mode() {
            Mode::Raw => raw,
            Mode::Json => escaped,
        };
        template.render(context.get_or_init(|| self.event.context(template.mode(), self.context)))
    }

    fn secret(&mut self, key: &SecretKey) -> Result<SecretString, String> {
        let value = (self.secrets)(key)?;
        self.used.push(value.clone());
        Ok(value)
    }

    /// The URL's text, checked, and how the record shows it.
    fn url(&mut self) -> Result<(String, String), UrlError> {
        let reject = |error: TemplateError| UrlError::Rejected(error.to_string());
        match &self.webhook.url {
            UrlSource::Template(field) => {
                let text = self.rendered(Some(field)).map_err(reject)?.unwrap_or_default();
                request_url::check(&text)?;
                let shown = mask_credentials(&text);
                Ok((text, shown))
            }
            UrlSource::Secret(key) => {
                let source = self.secret(key).map_err(UrlError::Rejected)?;
                // The text is a secret, and a message about it may quote it.
                let template = Template::compile(source.expose_secret(), Mode::Raw)
                    .map_err(|error| UrlError::Rejected(hide_source(&error, key)))?;
                let text = self.render(&template).map_err(|error| UrlError::Rejected(hide_source(&error, key)))?;
                request_url::check(&text)?;
                self.used.push(SecretString::from(text.as_str()));
                Ok((text, MASK.to_owned()))
            }
        }
    }

    /// The headers that the webhook states, and how the record shows them. None if its template gave other JSON than an
    /// object.
    fn headers(&mut self) -> Result<Option<(Vec<StatedHeader>, String)>, String> {
        let rendered = self.rendered(self.webhook.headers.as_ref()).map_err(|error| error.to_string())?;
        let stated = match rendered.map(|text| json::loads(&text)) {
            None => json::Object::new(),
            Some(Ok(Json::Object(object))) => Arc::unwrap_or_clone(object),
            Some(Ok(_)) => return Ok(None),
            Some(Err(_)) => return Err("Template did not result in json/dict".to_owned()),
        };
        let is_authorization = |name: &str| name.eq_ignore_ascii_case("Authorization");
        let from_template = |(name, value): (&Arc<str>, &Json)| StatedHeader {
            name: Arc::clone(name),
            value: value.clone(),
            secret: is_authorization(name),
        };
        let mut budget = HeaderBudget::new();
        for (name, value) in &stated {
            let length = if let Json::Str(text) = value { text.len() } else { 0 };
            budget.take(name, length, None)?;
        }
        let mut headers: Vec<StatedHeader> = stated.iter().map(from_template).collect();
        let mut shown = stated;
        let webhook = self.webhook;
        let from_secrets = webhook.headers_from.iter().map(|(name, key)| (name.as_str(), key));
        let authorization = webhook.authorization_header.iter().map(|key| ("Authorization", key));
        for (name, key) in from_secrets.chain(authorization) {
            let value = (self.secrets)(key)?;
            budget.take(name, value.expose_secret().len(), Some(key))?;
            self.used.push(value.clone());
            let value = Json::from(value.expose_secret());
            headers.push(StatedHeader { name: Arc::from(name), value, secret: true });
            shown.insert(Arc::from(name), Json::from(MASK));
        }
        for (name, value) in &mut shown {
            if is_authorization(name) {
                *value = Json::from(MASK);
            }
        }
        Ok(Some((headers, json::dumps(&Json::Object(Arc::new(shown))))))
    }

    /// The body. `all` is the event's data, if the webhook forwards that.
    fn body(&self, all: Option<String>) -> Result<Option<Body>, TemplateError> {
        if !self.webhook.method.has_body() {
            return Ok(None);
        }
        match all {
            Some(event_data) => Ok(Some(Body::of_all(event_data))),
            None => Ok(self.rendered(self.webhook.data.as_ref())?.map(Body::rendered)),
        }
    }

    fn signing(&mut self) -> Result<Vec<SigningKey>, String> {
        let Some(key) = &self.webhook.signing else { return Ok(Vec::new()) };
        let text = self.secret(key)?;
        signing::parse_keys(&text).map_err(|error| format!("Key '{}' of Secret '{}': {error}", key.key, key.name))
    }

    /// The request that is sent first, or why `requests` would not send it.
    fn request(&mut self, url: &str, headers: Vec<StatedHeader>, body: Option<Body>) -> Result<HttpRequest, String> {
        let webhook = self.webhook;
        let url = RequestUrl::parse(url)?;
        self.used.extend(url_secrets(&url, matches!(webhook.url, UrlSource::Secret(_))));
        let mut headers = wire_headers(headers)?;
        let secret = headers.iter().filter(|header| header.secret);
        self.used.extend(secret.map(|header| SecretString::from(String::from_utf8_lossy(&header.value).into_owned())));
        if let Some(number) = body.as_ref().and_then(|body| body.json.as_ref()?.beyond_json()) {
            return Err(format!("The body has {}, which JSON does not know", json::float(number)));
        }
        // To `requests`, null is no body, and neither is empty text.
        let body = body.filter(|body| !body.text.is_empty() && body.json != Some(Json::Null));
        if body.as_ref().is_some_and(|body| body.json.is_some()) && !headers.iter().any(|h| h.is("Content-Type")) {
            let value = b"application/json".to_vec();
            headers.push(Header { name: "Content-Type".to_owned(), value, secret: false });
        }
        if body.is_none() && webhook.method != HttpMethod::Get {
            headers.push(Header::empty_body());
        }
        if let Some(authorization) = self.basic_auth(&url)? {
            headers.retain(|header| !header.is("Authorization"));
            headers.push(authorization);
        }
        let signing = self.signing()?;
        // Nothing of these is ever sent, so nothing can repeat it.
        let tls = tls::load_identity(&webhook.tls, self.secrets).map_err(|error| error.to_string())?;
        Ok(HttpRequest {
            method: webhook.method,
            url,
            headers,
            body: body.map(|body| Arc::from(body.text)),
            signing,
            tls,
        })
    }

    /// The header of Basic auth: for the webhook's user and password, or else for those in the URL.
    fn basic_auth(&mut self, url: &RequestUrl) -> Result<Option<Header>, String> {
        let (user, password) = match (&self.webhook.username, &self.webhook.password) {
            (Some(user), Some(key)) => (user.clone(), self.secret(key)?),
            _ => match url.credentials() {
                Some((user, password)) => (user, SecretString::from(password)),
                None => return Ok(None),
            },
        };
        if password.expose_secret().len() > HEADERS_MAX {
            return Err(format!("The password is over {} KiB, which no header may be", HEADERS_MAX / 1024));
        }
        let pair = latin1(&format!("{user}:{}", password.expose_secret()))
            .ok_or("The user name or the password has a character outside Latin-1, which Basic auth can't send")?;
        let token = BASE64_STANDARD.encode(pair);
        self.used.push(password);
        self.used.push(SecretString::from(token.as_str()));
        let value = format!("Basic {token}").into_bytes();
        Ok(Some(Header { name: "Authorization".to_owned(), value, secret: true }))
    }
}

/// A message about the template in a Secret that does not quote it.
fn hide_source(error: &TemplateError, key: &SecretKey) -> String {
    let at = error.line.map_or_else(String::new, |line| format!(" in line {line}"));
    format!("the template in key '{}' of Secret '{}' fails{at}", key.key, key.name)
}
