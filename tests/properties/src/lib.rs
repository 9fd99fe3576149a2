//! Properties that hold for every template, every URL and every answer, whatever bytes they are made of. Each panics where it
//! does not hold. The fuzz targets (fuzz/) try them on what libFuzzer makes, `cargo test --test fuzz` on the corpus and on what
//! was recorded from OnCall.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic is how a property tells that it does not hold")]

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::OnceLock,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use oncall_core::{
    address::{AddressPolicy, AllowedAddress, AllowedHost},
    event::{EventData, TemplateContext, WebhookContext},
    hints,
    json::Json,
    judgement,
    request::{Header, HttpRequest, Preparation, prepare},
    request_url::{RequestUrl, UrlError as Refusal, check},
    response::{CONTENT_LIMIT, Outcome, READ_LIMIT, ResponseRecord, decode, finish},
    retry::{self, RETRY_AFTER_MAX},
    signing,
    template::{LIMIT, Mode, Template, TemplateErrorKind, Verdict},
    webhook::{CompiledTemplate, HttpMethod, TriggerType, UrlSource, Webhook},
};
use secrecy::SecretString;
use serde_json::{Map, Value};
use url::{Host, Position};

/// Far more time than a template may take, so that even a slow machine stays below it unless something never ends.
const SOON: Duration = Duration::from_secs(20);

/// How many bytes a template may make in all. The message of a failure may quote all of them.
const MADE: usize = 24 << 20;

/// How many bytes a clause has at most that says why something is refused.
const CLAUSE: usize = 120;

/// The data that templates see here: that of the recorded cases whose data is odd.
fn context(mode: Mode) -> &'static TemplateContext {
    static CONTEXTS: OnceLock<[TemplateContext; 2]> = OnceLock::new();
    let [raw, json] = CONTEXTS.get_or_init(|| {
        let recorded = include_str!("../../conformance/templates.json");
        let mut recorded: Value = serde_json::from_str(recorded).unwrap();
        let shared: Map<String, Value> = serde_json::from_value(recorded["contexts"]["edge"].take()).unwrap();
        let data = EventData::new(shared.into_iter().map(|(key, value)| (key.into(), Json::from(value))).collect());
        [Mode::Raw, Mode::Json].map(|mode| data.context(mode, &WebhookContext::default()))
    });
    match mode {
        Mode::Raw => raw,
        Mode::Json => json,
    }
}

/// Holds `data`, the text of a template, to this: it renders or fails in bounded time, to bounded text. A failure names a line
/// that the template has. A text that does not compile can't be stored. What it rendered to is nothing that it is said never to render
/// to.
///
/// # Panics
/// The property does not hold.
pub fn template(data: &[u8]) {
    let Ok(source) = std::str::from_utf8(data) else { return };
    let lines = source.matches(['\n', '\r']).count() + 1;
    let started = Instant::now();
    for mode in [Mode::Raw, Mode::Json] {
        let compiled = Template::compile(source, mode);
        if let Err(error) = &compiled {
            assert_eq!(error.kind, TemplateErrorKind::Error);
            assert_eq!(Template::storable(source).as_ref(), Err(error));
        }
        match compiled.clone().and_then(|template| template.render(context(mode))) {
            Ok(text) => {
                assert!(text.chars().count() <= LIMIT + "..".len());
                let lower = text.to_ascii_lowercase();
                let is_short = lower.len() < 64 && lower.is_ascii();
                assert!(!is_short || compiled.is_ok_and(|template| template.can_render(&lower, false)), "{text:?}");
            }
            Err(error) => {
                assert!(error.message.len() <= MADE);
                assert!(error.line.is_none_or(|line| (1..=lines).contains(&line)), "line {:?} of {lines}", error.line);
            }
        }
    }
    // Either answer is right; only a panic is not.
    let storable = Template::storable(source);
    let took = started.elapsed();
    assert!(took < SOON, "took {took:?}");
    let started = Instant::now();
    assert_eq!(Verdict::on(source).error(), storable.err().as_ref());
    let _ = (judgement::judge_field("url", source), judgement::judge_field("headers", source));
    let _ = hints::of_template("triggerTemplate", source);
    let took = started.elapsed();
    assert!(took < SOON, "judging it took {took:?}");
}

const PASSWORD: &str = "Pa55-w0rd";

/// Holds `data`, the text of a URL or of a `Location` header, to this: it is refused in a clause, or leads where it says. The
/// client, which has a parser of its own, connects to the same host and port; no address that is refused is reached under
/// another name; secrets stay on their host.
///
/// # Panics
/// The property does not hold.
pub fn url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = (text.parse::<AllowedAddress>(), text.parse::<AllowedHost>());
    match check(text).map(|()| RequestUrl::parse(text)) {
        Ok(Ok(uri)) => {
            leads_where_it_says(&uri);
            for location in ["/x", "y/../z?q", "//other.example", text] {
                redirected(&uri, location);
            }
        }
        Ok(Err(clause)) => assert!(clause.len() <= CLAUSE, "{clause}"),
        Err(refusal) => is_clause(&refusal),
    }
    for first in ["http://a.example", "https://a.example:8443/b/c?d", "http://[2001:db8::1]/"] {
        redirected(&RequestUrl::parse(first).unwrap(), text);
    }
    shows_no_password(text);
}

fn is_clause(refusal: &Refusal) {
    let (Refusal::Rejected(clause) | Refusal::Unreadable(clause)) = refusal;
    assert!(clause.len() <= CLAUSE, "{clause}");
}

/// The URL that the client is given. None where nothing is sent, since there is no such host.
fn sent(uri: &RequestUrl) -> Option<url::Url> {
    // As in src/delivery/request.rs.
    url::Url::parse(&format!("{}://{}{}", uri.scheme(), uri.authority(), uri.target())).ok()
}

fn leads_where_it_says(uri: &RequestUrl) {
    let Some(url) = sent(uri) else { return };
    assert_eq!(url.scheme(), uri.scheme());
    assert_eq!((url.username(), url.password(), url.fragment()), ("", None, None), "{url}");
    assert_eq!(url.host().map(|host| host.to_owned()), Host::parse(uri.host()).ok(), "{url}");
    let authority = uri.authority();
    let port = match authority.strip_prefix(uri.host()).and_then(|port| port.strip_prefix(':')) {
        Some(port) => port.parse().ok(),
        None => Some(if uri.scheme() == "https" { 443 } else { 80 }),
    };
    assert_eq!(url.port_or_known_default(), port, "{url}");
    let target = uri.target();
    // The client takes dots out of a path.
    if !target.contains("/.") && !target.to_ascii_lowercase().contains("%2e") {
        let (path, query) = target.split_once('?').map_or((&*target, None), |(path, query)| (path, Some(query)));
        let query = query.map_or_else(String::new, |query| format!("?{}", query.replace('\'', "%27")));
        assert_eq!(&url[Position::BeforePath..], format!("{path}{query}"));
    }
    let policy = AddressPolicy::new("cluster.local");
    let judged = |address: IpAddr| {
        let found = policy.judge(Some("team"), None, address, false);
        assert!(found.is_err() || !is_local(address), "{url} goes to {address}");
    };
    match url.host() {
        Some(Host::Ipv4(address)) => judged(address.into()),
        Some(Host::Ipv6(address)) => judged(address.into()),
        // The system's look-up takes more for an address than a URL does.
        Some(Host::Domain(name)) => assert!(!ends_in_number(name), "{url} has a number for a name"),
        None => panic!("{url} has no host"),
    }
}

/// Whether the standard library knows the address as one that no request may go to.
fn is_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_local_v4(address),
        IpAddr::V6(address) => {
            let [.., high, low] = address.segments();
            let last = Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
            let is_nat64 = address.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
            address.is_loopback()
                || address.is_unspecified()
                || address.is_multicast()
                || address.is_unique_local()
                || address.is_unicast_link_local()
                || (is_nat64 && is_local_v4(last))
        }
    }
}

fn is_local_v4(address: Ipv4Addr) -> bool {
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_unspecified()
        || address.is_broadcast()
        || address.is_multicast()
        || address.is_documentation()
}

fn ends_in_number(name: &str) -> bool {
    let last = name.strip_suffix('.').unwrap_or(name).rsplit('.').next().unwrap_or_default();
    let hex = last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    hex || (!last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()))
}

/// Holds the request that follows a redirect from `from` to `location` to the same, and looks whether it gets the secrets of
/// the first one only where it may.
fn redirected(from: &RequestUrl, location: &str) {
    let secret = Header { name: "Authorization".to_owned(), value: b"Bearer t0k3n".to_vec(), secret: true };
    let key = SecretString::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let hop = HttpRequest {
        method: HttpMethod::Post,
        url: from.clone(),
        headers: vec![secret],
        body: None,
        signing: signing::parse_keys(&key).unwrap(),
        tls: None,
    };
    let next = match hop.redirected(307, Some(location.as_bytes())) {
        None => return,
        Some(Err(refusal)) => return is_clause(&refusal),
        Some(Ok(next)) => next,
    };
    leads_where_it_says(&next.url);
    let knows = !next.signing.is_empty() || next.headers.iter().any(|header| header.secret);
    if let (true, Some(from), Some(to)) = (knows, sent(from), sent(&next.url)) {
        let port = |url: &url::Url| url.port_or_known_default();
        let same = (from.scheme(), port(&from)) == (to.scheme(), port(&to));
        let safer = (from.scheme(), port(&from), to.scheme(), port(&to)) == ("http", Some(80), "https", Some(443));
        assert!(from.host() == to.host() && (same || safer), "{from} lets {to} in on its secrets");
    }
}

/// Holds the record of a request to `text` to this: a password in the URL does not show.
fn shows_no_password(text: &str) {
    let webhook = Webhook::bare(TriggerType::Acknowledge, UrlSource::Template(CompiledTemplate::new(text, Mode::Raw)));
    let secrets = |_: &_| Err("no Secrets".to_owned());
    let event = EventData::new(Vec::new());
    if let Preparation::Send(request, record) = prepare(&webhook, &event, &WebhookContext::default(), false, &secrets) {
        let uri = &request.first.url;
        leads_where_it_says(uri);
        let has_password = uri.credentials().is_some_and(|(_, password)| password == PASSWORD);
        if has_password && text.matches(PASSWORD).count() == 1 {
            let shown = record.url.unwrap_or_default();
            assert!(!shown.contains(PASSWORD), "{shown}");
        }
    }
}

/// The secrets of a webhook, which its receiver may repeat.
const SECRETS: [&str; 3] = ["Bearer t0k3n-0f", "p4\"ss\\wörd", "4711"];

/// Texts that must not show in the record: each secret without the word before it, as JSON spells it, with and without escapes
/// of what is not ASCII, escaped for a URL and for HTML, in hex and in base64.
const SPELLED: [&str; 11] = [
    "t0k3n-0f",
    "T0K3N-0F",
    "p4\"ss\\wörd",
    r#"p4\"ss\\wörd"#,
    r#"p4\"ss\\w\u00f6rd"#,
    "p4%22ss%5Cw%C3%B6rd",
    "p4&quot;ss\\w&#246;rd",
    "74306b336e2d3066",
    "dDBrM24tMG",
    "4711",
    "%34%37%31%31",
];

/// Holds `data`, an answer, to this: it is decoded and recorded in bounds, without the secrets that it repeats; the time until
/// the next attempt that it asks for is believed up to a bound. The first three lines of `data` are the values of
/// `Content-Encoding`, `Content-Type` and `Retry-After`; the body follows.
///
/// # Panics
/// The property does not hold.
pub fn answer(data: &[u8]) {
    let mut parts = data.splitn(4, |byte| *byte == b'\n');
    let mut line = || std::str::from_utf8(parts.next().unwrap_or_default()).unwrap_or_default();
    let (encodings, content_type, wait) = (line(), line(), line());
    let body = parts.next().unwrap_or_default();

    let now = Timestamp::UNIX_EPOCH;
    let retry_after = retry::retry_after(wait, now);
    let policy = retry::RetryPolicy { deadline: Duration::from_secs(86_400), ..retry::RetryPolicy::default() };
    let next = policy.next(1, now, now, retry_after, 0.5).map(|next| next.duration_since(now).unsigned_abs());
    assert!(next.is_some_and(|next| !next.is_zero() && next <= RETRY_AFTER_MAX), "{next:?}");

    let started = Instant::now();
    let decoded = match decode(encodings, body.to_vec()) {
        Ok(decoded) => decoded,
        Err(clause) => return assert!(clause.len() <= CLAUSE, "{clause}"),
    };
    // The last member of many may be as long as all of them may.
    assert!(decoded.len() <= body.len().max(2 * READ_LIMIT + 1), "{} bytes", decoded.len());
    let announced = encodings.is_empty().then_some(body.len() as u64);
    let content_type = Some(content_type.to_owned());
    let outcome = Outcome::Answer { status: 200, body: decoded, announced, content_type, retry_after };
    let record = finish(ResponseRecord::default(), &outcome, &SECRETS.map(SecretString::from));
    let content = record.content.as_deref().unwrap_or_default();
    // A byte of Latin-1 is six of JSON.
    assert!(content.len() <= 6 * CONTENT_LIMIT, "{} bytes", content.len());
    for secret in SPELLED {
        assert!(!content.contains(secret), "{content:?} shows {secret:?}");
    }
    let took = started.elapsed();
    assert!(took < SOON, "took {took:?}");
}
