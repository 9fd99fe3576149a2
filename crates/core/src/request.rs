//! Webhook and data in; a request, or the record of the field that failed, out. The checks come in OnCall's order:
//! trigger template, URL, headers, body; then what Python's `requests` would not send.

use std::{cell::OnceCell, fmt, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};

use super::{
    event::{EventData, TemplateContext, WebhookContext},
    json::{self, Json},
    request_url::{self, RequestUrl, UrlError},
    response::{MASK, ResponseRecord},
    signing::{self, SigningKey},
    template::{Mode, Template, TemplateError},
    tls::{self, TlsIdentity},
    webhook::{CompiledTemplate, HttpMethod, SecretKey, UrlSource, Webhook},
};

/// What is to be done for one webhook and one event.
#[derive(Debug)]
pub enum Preparation {
    /// The trigger template said no: nothing is sent and nothing recorded. Holds what it rendered to.
    Skip(String),
    /// A field failed: nothing is sent, and this is the record.
    Failed(ResponseRecord),
    /// To be sent; the record lacks only what comes of it.
    Send(Box<PreparedRequest>, ResponseRecord),
}

/// A request, ready for the wire.
#[derive(Debug)]
pub struct PreparedRequest {
    /// What is sent first; redirects may lead on.
    pub first: HttpRequest,
    /// What must not show in anything that comes of the request.
    pub secrets: Vec<SecretString>,
}

/// One message to a receiver.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// The method.
    pub method: HttpMethod,
    /// Where it goes.
    pub uri: RequestUrl,
    /// What goes with it. `Content-Length` is among them only where there is no body and it says so.
    pub headers: Vec<Header>,
    /// The body, for methods that have one.
    pub body: Option<Arc<str>>,
    /// What signs it. Stays on the host that it was made for.
    pub signing: Vec<SigningKey>,
    /// Whom to trust, and who to be; None for the system's authorities, and nobody. Stays on the host that it was made for.
    pub tls: Option<Arc<TlsIdentity>>,
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest")
            .field("method", &self.method)
            .field("host", &self.uri.host())
            .finish_non_exhaustive()
    }
}

/// A header as it is sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    /// A legal name.
    pub name: String,
    /// Bytes of Latin-1, without line breaks.
    pub value: Vec<u8>,
    /// Whether it stays on the host that it was made for.
    pub secret: bool,
}

impl Header {
    fn empty_body() -> Self {
        Self { name: "Content-Length".to_owned(), value: b"0".to_vec(), secret: false }
    }

    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// Shorter parts of a secret URL are words as a rule, such as `services`.
const SECRET_PART_MIN: usize = 12;

/// As many redirects as `requests` follows.
pub const MAX_REDIRECTS: usize = 30;

impl HttpRequest {
    /// Whether it names another host than its URL's, which only HTTP/1.1 has room for.
    pub fn names_host(&self) -> bool {
        self.headers.iter().any(|header| header.is("Host"))
    }

    /// What `requests` sends next after an answer with this status and `Location`; None if that answer is the last.
    /// A GET in place of the method, but for 307 and 308 (and 301 after anything but a POST); no body then.
    ///
    /// # Errors
    /// No request may go where the redirect leads.
    pub fn redirected(&self, status: u16, location: Option<&[u8]>) -> Option<Result<Self, UrlError>> {
        let location = location.filter(|location| !location.is_empty())?;
        if !matches!(status, 301 | 302 | 303 | 307 | 308) {
            return None;
        }
        let uri = match std::str::from_utf8(location) {
            Ok(location) => self.uri.redirect(location),
            Err(_) => Err(UrlError::Unreadable("The Location of the redirect is not UTF-8".to_owned())),
        };
        Some(uri.map(|uri| {
            let repeats = matches!(status, 307 | 308);
            let method = match status {
                302 | 303 => HttpMethod::Get,
                301 if self.method == HttpMethod::Post => HttpMethod::Get,
                _ => self.method,
            };
            let stays = self.uri.shares_secrets_with(&uri);
            let keeps = |header: &&Header| {
                let of_body = header.is("Content-Type") || header.is("Content-Length");
                !header.is("Cookie") && (repeats || !of_body) && (stays || !header.secret)
            };
            let mut headers: Vec<Header> = self.headers.iter().filter(keeps).cloned().collect();
            if !repeats && method.has_body() {
                headers.push(Header::empty_body());
            }
            let signing = if stays { self.signing.clone() } else { Vec::new() };
            let tls = self.tls.clone().filter(|_| stays);
            Self { method, uri, headers, body: self.body.clone().filter(|_| repeats), signing, tls }
        }))
    }
}

/// Gives the value of a Secret's key, or says in one clause why there is none.
pub type SecretLookup<'a> = &'a dyn Fn(&SecretKey) -> Result<SecretString, String>;

/// Prepares the request of `webhook` for `event`. `masked` hides the body in the record, as OnCall does for personal
/// notifications.
pub fn prepare(
    webhook: &Webhook,
    event: &EventData,
    own: &WebhookContext,
    masked: bool,
    secrets: SecretLookup,
) -> Preparation {
    let event_data = event.dumps(own);
    let contexts = [OnceCell::new(), OnceCell::new()];
    let mut builder = RequestBuilder { webhook, event, own, contexts, secrets, used: Vec::new() };
    let forwarded = webhook.forward_all && webhook.method.has_body();
    // The text is as long as the payload: copied only where it is sent as well.
    let body_of_all = forwarded.then(|| event_data.clone());
    let mut record = ResponseRecord { event_data: Some(event_data), ..ResponseRecord::default() };

    match builder.rendered(webhook.trigger_template.as_ref()) {
        Ok(Some(result)) if !matches!(result.to_lowercase().as_str(), "true" | "1") => {
            return Preparation::Skip(result);
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
        Err(UrlError::Rejected(message)) => return refused(record, |r| &mut r.url, &format!("URL - {message}")),
        Err(UrlError::Unreadable(message)) => return refused(record, |r| &mut r.content, &message),
    };
    let headers = match builder.headers() {
        Ok(headers) => headers,
        Err(message) => {
            return refused(record, |r| &mut r.request_headers, &format!("Headers - {message}"));
        }
    };
    let body = match builder.body(body_of_all) {
        Ok(body) => body,
        Err(error) => {
            return refused(record, |r| &mut r.request_data, &format!("Data - {error}"));
        }
    };
    // OnCall stumbles over it only here.
    let Some((headers, shown)) = headers else {
        return refused(record, |r| &mut r.content, "The headers rendered to JSON that is not an object");
    };
    record.request_headers = Some(shown);
    record.request_data = body.as_ref().map(|body| if masked { MASK } else { body.text.as_str() }.to_owned());
    match builder.hop(&url, headers, body) {
        Ok(first) => Preparation::Send(Box::new(PreparedRequest { first, secrets: builder.used }), record),
        Err(message) => refused(record, |r| &mut r.content, &message),
    }
}

fn refused(
    mut record: ResponseRecord,
    field: impl Fn(&mut ResponseRecord) -> &mut Option<String>,
    message: &str,
) -> Preparation {
    *field(&mut record) = Some(message.to_owned());
    Preparation::Failed(record)
}

struct Body {
    text: String,
    json: Option<Json>,
}

/// A header as it was stated: its value is any JSON; and whether it is a secret.
type Headers = Vec<(Arc<str>, Json, bool)>;

struct RequestBuilder<'a> {
    webhook: &'a Webhook,
    event: &'a EventData,
    own: &'a WebhookContext,
    /// What templates see, raw and escaped, made when the first one asks.
    contexts: [OnceCell<TemplateContext>; 2],
    secrets: SecretLookup<'a>,
    used: Vec<SecretString>,
}

impl RequestBuilder<'_> {
    fn rendered(&self, field: Option<&CompiledTemplate>) -> Result<Option<String>, TemplateError> {
        field.map(|field| self.render(field.template().map_err(Clone::clone)?)).transpose()
    }

    fn render(&self, template: &Template) -> Result<String, TemplateError> {
        let [raw, escaped] = &self.contexts;
        let context = match template.mode() {
            Mode::Raw => raw,
            Mode::Json => escaped,
        };
        template.render(context.get_or_init(|| self.event.context(template.mode(), self.own)))
    }

    fn secret(&mut self, key: &SecretKey) -> Result<SecretString, String> {
        let value = (self.secrets)(key)?;
        self.used.push(value.clone());
        Ok(value)
    }

    /// Notes a secret part of the URL, also as receivers read it.
    fn uses(&mut self, part: &str) {
        let decoded = percent_decode_str(part).decode_utf8_lossy();
        self.used.extend([part, &*decoded].map(SecretString::from));
    }

    /// The URL's text, checked, and what the record shows of it.
    fn url(&mut self) -> Result<(String, String), UrlError> {
        let refuse = |error: TemplateError| UrlError::Rejected(error.to_string());
        match &self.webhook.url {
            UrlSource::Template(field) => {
                let text = self.rendered(Some(field)).map_err(refuse)?.unwrap_or_default();
                request_url::check(&text)?;
                let shown = mask_credentials(&text);
                Ok((text, shown))
            }
            UrlSource::Secret(key) => {
                let source = self.secret(key).map_err(UrlError::Rejected)?;
                // The text is a secret: a message about it may quote it.
                let template = Template::compile(source.expose_secret(), Mode::Raw)
                    .map_err(|error| UrlError::Rejected(hidden(&error, key)))?;
                let text = self.render(&template).map_err(|error| UrlError::Rejected(hidden(&error, key)))?;
                request_url::check(&text)?;
                self.used.push(SecretString::from(text.as_str()));
                Ok((text, MASK.to_owned()))
            }
        }
    }

    /// The headers that the manifest states, and how the record shows them; None if the template gave other JSON.
    fn headers(&mut self) -> Result<Option<(Headers, String)>, String> {
        let rendered = self.rendered(self.webhook.headers.as_ref()).map_err(|error| error.to_string())?;
        let stated = match rendered.map(|text| json::loads(&text)) {
            None => json::Object::new(),
            Some(Ok(Json::Object(object))) => Arc::unwrap_or_clone(object),
            Some(Ok(_)) => return Ok(None),
            Some(Err(_)) => return Err("Template did not result in json/dict".to_owned()),
        };
        let is_authorization = |name: &str| name.eq_ignore_ascii_case("Authorization");
        let mut headers: Headers =
            stated.iter().map(|(name, value)| (Arc::clone(name), value.clone(), is_authorization(name))).collect();
        let mut shown = stated;
        let webhook = self.webhook;
        let from_secrets = webhook.headers_from.iter().map(|(name, key)| (name.as_str(), key));
        let authorization = webhook.authorization_header.iter().map(|key| ("Authorization", key));
        for (name, key) in from_secrets.chain(authorization) {
            let value = self.secret(key)?;
            headers.push((Arc::from(name), Json::from(value.expose_secret()), true));
            shown.insert(Arc::from(name), Json::from(MASK));
        }
        for (name, value) in &mut shown {
            if is_authorization(name) {
                *value = Json::from(MASK);
            }
        }
        Ok(Some((headers, json::dumps(&Json::Object(Arc::new(shown))))))
    }

    /// `all` is the whole data, where that is forwarded.
    fn body(&self, all: Option<String>) -> Result<Option<Body>, TemplateError> {
        if !self.webhook.method.has_body() {
            return Ok(None);
        }
        if let Some(event_data) = all {
            // Read back only for what JSON does not know, which the text shows.
            let json = if event_data.contains("NaN") || event_data.contains("Infinity") {
                json::loads(&event_data).unwrap_or(Json::Bool(true))
            } else {
                Json::Bool(true)
            };
            return Ok(Some(Body { text: event_data, json: Some(json) }));
        }
        let text = self.rendered(self.webhook.data.as_ref())?;
        Ok(text.map(|text| match json::rewrite(&text) {
            Ok((json, text)) => Body { text, json: Some(json) },
            Err(_) => Body { text, json: None },
        }))
    }

    fn signing(&mut self) -> Result<Vec<SigningKey>, String> {
        let Some(key) = &self.webhook.signing else { return Ok(Vec::new()) };
        let text = self.secret(key)?;
        signing::parse_keys(&text).map_err(|error| format!("Key '{}' of Secret '{}': {error}", key.key, key.name))
    }

    /// What is sent first, or why `requests` would not send it.
    fn hop(&mut self, url: &str, headers: Headers, body: Option<Body>) -> Result<HttpRequest, String> {
        let uri = RequestUrl::parse(url)?;
        if matches!(self.webhook.url, UrlSource::Secret(_)) {
            // Receivers repeat the part that they see, and failures name the host.
            self.used.extend([uri.target().as_str(), uri.path(), uri.host()].map(SecretString::from));
            let target = uri.target();
            let parts = target.split(['/', '?', '&', '=', ';']).filter(|part| part.len() >= SECRET_PART_MIN);
            parts.for_each(|part| self.uses(part));
        }
        if let Some(userinfo) = uri.userinfo() {
            let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
            self.uses(password);
            // A token may be the user; a name that is one is in answers too.
            if matches!(self.webhook.url, UrlSource::Secret(_)) && user.len() >= SECRET_PART_MIN {
                self.uses(user);
            }
        }
        let mut headers = wire_headers(headers)?;
        let secret = headers.iter().filter(|header| header.secret);
        self.used.extend(secret.map(|header| SecretString::from(String::from_utf8_lossy(&header.value).into_owned())));
        if let Some(number) = body.as_ref().and_then(|body| body.json.as_ref()?.beyond_json()) {
            return Err(format!("The body has {}, which JSON does not know", json::float(number)));
        }
        // To requests, null is no body, and so is no text.
        let body = body.filter(|body| !body.text.is_empty() && body.json != Some(Json::Null));
        if body.as_ref().is_some_and(|body| body.json.is_some()) && !headers.iter().any(|h| h.is("Content-Type")) {
            let value = b"application/json".to_vec();
            headers.push(Header { name: "Content-Type".to_owned(), value, secret: false });
        }
        let webhook = self.webhook;
        if body.is_none() && webhook.method != HttpMethod::Get {
            headers.push(Header::empty_body());
        }
        let credentials = match (&webhook.username, &webhook.password) {
            (Some(user), Some(key)) => Some((user.clone(), self.secret(key)?)),
            _ => uri.credentials().map(|(user, password)| (user, SecretString::from(password))),
        };
        if let Some((user, password)) = credentials {
            let pair = latin1(&format!("{user}:{}", password.expose_secret()))
                .ok_or("The user name or the password has a character outside Latin-1, which Basic auth can't send")?;
            let token = BASE64_STANDARD.encode(pair);
            self.used.push(password);
            self.used.push(SecretString::from(token.as_str()));
            headers.retain(|header| !header.is("Authorization"));
            let value = format!("Basic {token}").into_bytes();
            headers.push(Header { name: "Authorization".to_owned(), value, secret: true });
        }
        let signing = self.signing()?;
        // None of these is ever sent: nothing can repeat them.
        let tls = tls::load_identity(&webhook.tls, self.secrets).map_err(|fault| fault.to_string())?;
        Ok(HttpRequest {
            method: webhook.method,
            uri,
            headers,
            body: body.map(|body| Arc::from(body.text)),
            signing,
            tls,
        })
    }
}

fn hidden(error: &TemplateError, key: &SecretKey) -> String {
    let at = error.line.map_or_else(String::new, |line| format!(" in line {line}"));
    format!("the template in key '{}' of Secret '{}' fails{at}", key.key, key.name)
}

/// The headers that are sent. Of those that differ only in case the last counts, and null is one that is not sent.
/// What frames the message is not theirs to say.
fn wire_headers(headers: Headers) -> Result<Vec<Header>, String> {
    let mut last: Headers = Vec::with_capacity(headers.len());
    for header in headers {
        last.retain(|(name, ..)| !name.eq_ignore_ascii_case(&header.0));
        last.push(header);
    }
    let framing = |name: &str| {
        ["Content-Length", "Transfer-Encoding", "Connection"].iter().any(|framing| name.eq_ignore_ascii_case(framing))
    };
    last.into_iter()
        .filter(|(_, value, _)| *value != Json::Null)
        .map(|(name, value, secret)| wire_header(&name, &value, secret))
        .filter(|header| !header.as_ref().is_ok_and(|header| framing(&header.name)))
        .collect()
}

fn wire_header(name: &str, value: &Json, secret: bool) -> Result<Header, String> {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(format!("Header name {name:?} is not allowed: use letters, digits and -"));
    }
    let Json::Str(text) = value else {
        return Err(format!("Header {name} must be a string: put its value in quotes"));
    };
    if text.starts_with(request_url::is_python_space) {
        return Err(format!("Header {name} begins with white space, which no header may do"));
    }
    match latin1(text) {
        Some(value) if value.iter().all(|b| *b == b'\t' || (*b >= b' ' && *b != 0x7f)) => {
            Ok(Header { name: name.to_owned(), value, secret })
        }
        Some(_) => Err(format!("Header {name} has a line break or a control character, which no header may have")),
        None => Err(format!("Header {name} has a character outside Latin-1, which no header may have")),
    }
}

fn latin1(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|c| u8::try_from(c).ok()).collect()
}

/// `text` with `user:password@` hidden; also where the password has a slash, which ends the host for everybody else.
fn mask_credentials(text: &str) -> String {
    // Line breaks and tabs do not count in a URL.
    let text = if text.contains(['\t', '\n', '\r']) && text.contains('@') {
        &*text.replace(['\t', '\n', '\r'], "")
    } else {
        text
    };
    let start = text.find("//").map_or(0, |at| at + 2);
    let end = text[start..].find(['/', '?', '#']).map_or(text.len(), |at| start + at);
    let (_, _, port) = request_url::split_authority(&text[start..end]);
    let is_port = port.is_none_or(|port| port.bytes().all(|b| b.is_ascii_digit()));
    let end = if is_port { end } else { text.len() };
    match text[start..end].rfind('@') {
        Some(at) if at > 0 => format!("{}{MASK}{}", &text[..start], &text[start + at..]),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
