use super::*;
use crate::webhook::{self, ClientCertificate, TlsSettings, TriggerType};
use serde_json::json;

fn mk_webhook() -> Webhook {
    webhook::mk_webhook(TriggerType::Acknowledge)
}

fn mk_url(source: &str) -> UrlSource {
    UrlSource::Template(CompiledTemplate::new(source, Mode::Raw))
}

fn mk_json(source: &str) -> CompiledTemplate {
    CompiledTemplate::new(source, Mode::Json)
}

fn mk_secret(name: &str) -> SecretKey {
    SecretKey { name: name.to_owned(), key: "key".to_owned() }
}

const EVENT_DATA: &str =
    r#"{"alert_payload": {"text": "say \"hi\""}, "webhook": {"id": "WHP936BM1GPVHQ", "name": "Jira", "labels": {}}}"#;

fn run(webhook: &Webhook) -> Preparation {
    let event = EventData::new(vec![(Arc::from("alert_payload"), Json::from(json!({"text": "say \"hi\""})))]);
    let context = WebhookContext::new(webhook.template_data(), json::Object::new());
    prepare(webhook, &event, &context, false, &|key| match key.name.as_str() {
        "missing" => Err("Secret 'missing' does not exist".to_owned()),
        "url" => Ok(SecretString::from("http://hooks.example/s3cret-path")),
        name => Ok(SecretString::from(format!("{name}-value"))),
    })
}

/// The headers as text, in the order in which they are sent, and the body.
fn sent(webhook: &Webhook) -> (Vec<(String, String)>, Option<String>) {
    let request = first(webhook);
    let body = request.body.as_deref().map(str::to_owned);
    (wire(&request), body)
}

fn first(webhook: &Webhook) -> HttpRequest {
    match run(webhook) {
        Preparation::Send(request, _) => request.first,
        other => panic!("not sent: {other:?}"),
    }
}

fn wire(request: &HttpRequest) -> Vec<(String, String)> {
    let text = |value: &[u8]| value.iter().copied().map(char::from).collect();
    request.headers.iter().map(|header| (header.name.clone(), text(&header.value))).collect()
}

fn record(webhook: &Webhook) -> ResponseRecord {
    match run(webhook) {
        Preparation::Send(_, record) | Preparation::Failed(record) => record,
        other @ Preparation::Skip(_) => panic!("skipped: {other:?}"),
    }
}

fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn bodies_are_the_whole_data_or_the_rendered_text() {
    let json_type = headers(&[("Content-Type", "application/json")]);
    let empty = headers(&[("Content-Length", "0")]);
    let data = |source: &str| Webhook { data: Some(mk_json(source)), ..mk_webhook() };
    let get = |forward_all, data| Webhook { method: HttpMethod::Get, forward_all, data, ..mk_webhook() };
    let cases = [
        (Webhook { forward_all: true, ..mk_webhook() }, json_type.clone(), Some(EVENT_DATA)),
        (get(true, None), headers(&[]), None),
        (get(false, Some(mk_json("x"))), headers(&[]), None),
        (Webhook { method: HttpMethod::Options, forward_all: true, ..mk_webhook() }, empty.clone(), None),
        (mk_webhook(), empty.clone(), None),
        (data("{{ nope }}"), empty.clone(), None),
        (data("null"), empty, None),
        (
            data(r#"{"t":"{{ alert_payload.text }}","n":1e3}"#),
            json_type.clone(),
            Some(r#"{"t": "say \"hi\"", "n": 1000.0}"#),
        ),
        (
            data(r#"{"a": 1, "b": 2, "a": 18446744073709551616}"#),
            json_type.clone(),
            Some(r#"{"a": 18446744073709551616, "b": 2}"#),
        ),
        (data(r#""é\u0000""#), json_type.clone(), Some(r#""\u00e9\u0000""#)),
        (data("plain é {{ nope }}"), headers(&[]), Some("plain é ")),
        (data(r#"["\ud83d",1]"#), json_type, Some(r#"["\ud83d", 1]"#)),
        (data("{'a': 1}"), headers(&[]), Some("{'a': 1}")),
        (data("\u{feff}{}"), headers(&[]), Some("\u{feff}{}")),
        (
            Webhook { headers: Some(mk_json(r#"{"content-type": "text/plain"}"#)), ..data("{}") },
            headers(&[("content-type", "text/plain")]),
            Some("{}"),
        ),
        (
            Webhook { headers: Some(mk_json(r#"{"Content-Type": null}"#)), ..data("{}") },
            headers(&[("Content-Type", "application/json")]),
            Some("{}"),
        ),
    ];
    for (webhook, expected_headers, expected_body) in cases {
        assert_eq!(sent(&webhook), (expected_headers, expected_body.map(str::to_owned)), "{webhook:?}");
    }
}

#[test]
fn a_mapping_with_an_apostrophe_can_stand_between_quotes_in_a_body_and_a_header() {
    let webhook = Webhook {
        headers: Some(mk_json(r#"{"X-Payload": "{{ alert_payload }}"}"#)),
        data: Some(mk_json(r#"{"data" : "{{ alert_payload }}"}"#)),
        ..mk_webhook()
    };
    let event = EventData::new(vec![(Arc::from("alert_payload"), Json::from(json!({"text": "Hi, it's alert"})))]);
    let prepared = prepare(&webhook, &event, &WebhookContext::default(), false, &|_| Err("no secret".to_owned()));
    let Preparation::Send(request, record) = prepared else { panic!("not sent: {prepared:?}") };
    let expected = headers(&[("X-Payload", r#"{'text': "Hi, it's alert"}"#), ("Content-Type", "application/json")]);
    assert_eq!(wire(&request.first), expected);
    let body = r#"{"data": "{'text': \"Hi, it's alert\"}"}"#;
    assert_eq!((request.first.body.as_deref(), record.request_data.as_deref()), (Some(body), Some(body)));
}

#[test]
fn the_record_shows_the_body_that_was_made_even_if_none_is_sent() {
    for (source, expected) in [("{{ nope }}", ""), ("null", "null"), ("[1,2]", "[1, 2]"), ("NaN", "NaN")] {
        let webhook = Webhook { data: Some(mk_json(source)), ..mk_webhook() };
        assert_eq!(record(&webhook).request_data.as_deref(), Some(expected), "{source}");
    }
    assert_eq!(record(&mk_webhook()).request_data, None);
}

#[test]
fn no_webhook_sets_headers_that_frame_the_message_or_are_for_one_connection() {
    let webhook = Webhook {
        headers: Some(mk_json(
            r#"{"Host": "other.example", "content-length": "5", "Transfer-Encoding": "chunked", "Connection": "close",
            "keep-alive": "timeout=9", "Proxy-Connection": "x", "PROXY-AUTHORIZATION": "Basic eA==", "TE": "trailers",
            "Trailer": "X-A", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQAAP__", "Expect": "100-continue", "x-a": "1",
            "X-A": "caf\u00e9"}"#,
        )),
        headers_from: ["Upgrade", "expect"].map(|name| (name.to_owned(), mk_secret("token"))).to_vec(),
        ..mk_webhook()
    };
    let expected = headers(&[("Host", "other.example"), ("X-A", "caf\u{e9}"), ("Content-Length", "0")]);
    assert_eq!(sent(&webhook).0, expected);
}

#[test]
fn headers_are_bounded_in_all_and_the_refusal_names_the_one_that_is_too_much() {
    let large = "s3cret".repeat(10_000);
    let secrets = |_: &_| Ok(SecretString::from(large.as_str()));
    let prepared =
        |webhook: &Webhook| prepare(webhook, &EventData::new(Vec::new()), &WebhookContext::default(), false, &secrets);
    let from = |count: usize| (0..count).map(|number| (format!("X-{number}"), mk_secret("large"))).collect();
    let bounded = Webhook { headers_from: from(4), ..mk_webhook() };
    assert!(matches!(prepared(&bounded), Preparation::Send(..)));
    let stated = mk_json(r#"{"X-Long": "{{ 'y' * 40000 }}"}"#);
    // What the template states counts too.
    let cases = [(64, None, "X-4"), (4, Some(stated), "X-3")];
    for (count, headers, name) in cases {
        let webhook = Webhook { headers, headers_from: from(count), ..mk_webhook() };
        let Preparation::Failed(record) = prepared(&webhook) else { panic!("sent") };
        let expected =
            format!("Headers - With header {name} (key 'key' of Secret 'large'), the headers are over 256 KiB in all");
        assert_eq!(record.request_headers, Some(expected));
    }
}

#[test]
fn redirects_are_followed_as_requests_follows_them() {
    let webhook = |method| Webhook {
        method,
        forward_all: true,
        headers: Some(mk_json(r#"{"X-One": "1", "Cookie": "a=b", "Content-Type": "text/x"}"#)),
        headers_from: vec![("X-Token".to_owned(), mk_secret("token"))],
        authorization_header: Some(mk_secret("auth")),
        ..mk_webhook()
    };
    let next = |method, status, location: &str| {
        let request = first(&webhook(method)).redirected(status, Some(location.as_bytes())).unwrap().unwrap();
        let mut names: Vec<String> = request.headers.iter().map(|header| header.name.clone()).collect();
        names.sort();
        (
            request.method.as_str(),
            request.url.authority() + &request.url.target(),
            names.join(" "),
            request.body.is_some(),
        )
    };
    let (post, put, delete) = (HttpMethod::Post, HttpMethod::Put, HttpMethod::Delete);
    let landed = || "receiver.example/landed".to_owned();
    let plain = || "Authorization X-One X-Token".to_owned();
    for (method, status, expected, has_length) in [
        (post, 301, "GET", false),
        (post, 302, "GET", false),
        (put, 303, "GET", false),
        (put, 302, "GET", false),
        (put, 301, "PUT", true),
        (delete, 301, "DELETE", false),
        (delete, 303, "GET", false),
    ] {
        let names = if has_length { "Authorization Content-Length X-One X-Token".to_owned() } else { plain() };
        assert_eq!(next(method, status, "/landed"), (expected, landed(), names, false), "{method:?} {status}");
    }
    for status in [307, 308] {
        let names = "Authorization Content-Type X-One X-Token".to_owned();
        assert_eq!(next(post, status, "landed"), ("POST", landed(), names, true));
        let names = "Authorization Content-Length Content-Type X-One X-Token".to_owned();
        assert_eq!(next(delete, status, "/landed"), ("DELETE", landed(), names, false));
    }
    let other = ("GET", "other.example/x".to_owned(), "X-One".to_owned(), false);
    assert_eq!(next(post, 302, "http://other.example/x"), other);
}

#[test]
fn a_tls_identity_stays_on_its_host() {
    let webhook = Webhook { tls: TlsSettings { insecure: true, ..TlsSettings::default() }, ..mk_webhook() };
    let request = first(&webhook);
    assert!(request.tls.as_ref().is_some_and(|identity| identity.insecure()));
    for (location, expected) in [
        ("/landed", true),
        ("http://receiver.example/x", true),
        ("https://receiver.example/x", true),
        ("http://receiver.example:8080/x", false),
        ("http://other.example/x", false),
        ("https://a.receiver.example/x", false),
    ] {
        let next = request.redirected(307, Some(location.as_bytes())).unwrap().unwrap();
        assert_eq!(next.tls.is_some(), expected, "{location}");
        // A redirect back does not bring it back.
        let back = next.redirected(307, Some(b"http://receiver.example/hook")).unwrap().unwrap();
        assert!(expected || back.tls.is_none(), "{location}");
    }
}

#[test]
fn only_a_redirect_with_a_location_leads_to_another_request() {
    let request = first(&mk_webhook());
    for (status, location) in [(302, None), (302, Some("")), (304, Some("/x")), (200, Some("/x")), (300, Some("/x"))] {
        assert!(request.redirected(status, location.map(str::as_bytes)).is_none(), "{status} {location:?}");
    }
    assert!(matches!(request.redirected(302, Some(b"/\xff")), Some(Err(UrlError::Unreadable(_)))));
    assert!(matches!(request.redirected(307, Some(b"ftp://a.example")), Some(Err(UrlError::Rejected(_)))));
}

#[test]
fn basic_auth_is_sent_in_latin1() {
    let webhook = |url: &str| Webhook { url: mk_url(url), method: HttpMethod::Get, ..mk_webhook() };
    let basic = |token: &str| headers(&[("Authorization", &format!("Basic {token}"))]);
    assert_eq!(sent(&webhook("http://\u{e9}:@a.example")).0, basic("6To="));
    assert_eq!(sent(&webhook("http://ann@a.example")).0, headers(&[]));
    let refused = record(&webhook("http://ann:\u{6771}@a.example"));
    assert!(refused.content.unwrap().contains("outside Latin-1"));
    let slash = record(&webhook("http://ann:p/w?@a.example"));
    assert_eq!(slash.url.as_deref(), Some("http://****************@a.example"));
    let mail = "http://[2001:db8::ab]/to?mail=ann@a.example";
    assert_eq!(record(&webhook(mail)).url.as_deref(), Some(mail));
    assert_eq!(refused.url.as_deref(), Some("http://****************@a.example"));
}

#[test]
fn secrets_are_sent_and_never_recorded() {
    let webhook = Webhook {
        headers: Some(mk_json(r#"{"authorization": "old", "X-One": "1", "X-Gone": null}"#)),
        headers_from: vec![("X-Token".to_owned(), mk_secret("token"))],
        authorization_header: Some(mk_secret("auth")),
        method: HttpMethod::Get,
        ..mk_webhook()
    };
    assert_eq!(
        sent(&webhook).0,
        headers(&[("X-One", "1"), ("X-Token", "token-value"), ("Authorization", "auth-value")])
    );
    assert_eq!(
        record(&webhook).request_headers.as_deref(),
        Some(
            r#"{"authorization": "****************", "X-One": "1", "X-Gone": null, "X-Token": "****************", "Authorization": "****************"}"#
        )
    );
    let webhook = Webhook { url: UrlSource::Secret(mk_secret("url")), ..mk_webhook() };
    assert_eq!(record(&webhook).url.as_deref(), Some(MASK));
}

#[test]
fn user_and_password_win_over_the_authorization_header() {
    let basic = headers(&[("Authorization", "Basic YW5uOnB3LXZhbHVl")]);
    let webhook = Webhook {
        username: Some("ann".to_owned()),
        password: Some(mk_secret("pw")),
        authorization_header: Some(mk_secret("auth")),
        method: HttpMethod::Get,
        ..mk_webhook()
    };
    assert_eq!(sent(&webhook).0, basic);
    assert_eq!(record(&webhook).request_headers.as_deref(), Some(r#"{"Authorization": "****************"}"#));

    let webhook =
        Webhook { url: mk_url("http://ann:pw-value@receiver.example/hook"), method: HttpMethod::Get, ..mk_webhook() };
    assert_eq!(sent(&webhook).0, basic);
    assert_eq!(record(&webhook).url.as_deref(), Some("http://****************@receiver.example/hook"));
}

#[test]
fn a_failure_is_recorded_in_the_field_that_failed() {
    let url = "http://receiver.example/hook";
    let at_url = ResponseRecord {
        event_data: Some(EVENT_DATA.to_owned()),
        request_trigger: Some(String::new()),
        ..ResponseRecord::default()
    };
    let at_headers = ResponseRecord { url: Some(url.to_owned()), ..at_url.clone() };
    let at_data = ResponseRecord { request_headers: Some("{}".to_owned()), ..at_headers.clone() };
    let text = |text: &str| Some(text.to_owned());
    let url_case = |source: &str, message: &str| {
        (Webhook { url: mk_url(source), ..mk_webhook() }, ResponseRecord { url: text(message), ..at_url.clone() })
    };
    let header_case = |source: &str, message: &str| {
        let record = ResponseRecord { request_headers: text(source), content: text(message), ..at_data.clone() };
        (Webhook { headers: Some(mk_json(source)), ..mk_webhook() }, record)
    };
    let tls_case = |tls: TlsSettings, message: &str| {
        (Webhook { tls, ..mk_webhook() }, ResponseRecord { content: text(message), ..at_data.clone() })
    };
    let undefined = "Template Warning: Object of type Undefined is not JSON serializable";
    let cases = [
        (
            Webhook { trigger_template: Some(CompiledTemplate::new("{{ nope | tojson }}", Mode::Raw)), ..mk_webhook() },
            ResponseRecord { request_trigger: text(&format!("Trigger - {undefined}")), ..at_url.clone() },
        ),
        url_case("receiver.example/hook", "URL - Malformed url"),
        url_case("{{ nope }}", "URL - Malformed url"),
        url_case("http:///hook", "URL - Malformed url"),
        url_case("ftp://receiver.example", "URL - Malformed url"),
        url_case("http://{{ nope | tojson }}", &format!("URL - {undefined}")),
        (
            Webhook { headers: Some(mk_json("[1]")), ..mk_webhook() },
            ResponseRecord {
                content: text("The headers rendered to JSON that is not an object"),
                ..at_headers.clone()
            },
        ),
        (
            Webhook { headers: Some(mk_json("{{ nope }}")), ..mk_webhook() },
            ResponseRecord {
                request_headers: text("Headers - Template did not result in json/dict"),
                ..at_headers.clone()
            },
        ),
        (
            Webhook { authorization_header: Some(mk_secret("missing")), ..mk_webhook() },
            ResponseRecord { request_headers: text("Headers - Secret 'missing' does not exist"), ..at_headers.clone() },
        ),
        (
            Webhook { data: Some(mk_json("{{ nope | tojson() }}")), ..mk_webhook() },
            ResponseRecord { request_data: text(&format!("Data - {undefined}")), ..at_headers },
        ),
        (
            Webhook { data: Some(mk_json(r#"{"n": [1, -Infinity]}"#)), ..mk_webhook() },
            ResponseRecord {
                request_data: text(r#"{"n": [1, -Infinity]}"#),
                content: text("The body has -Infinity, which JSON does not know"),
                ..at_data.clone()
            },
        ),
        (
            Webhook { url: mk_url("http://receiver.example:99999/hook"), ..mk_webhook() },
            ResponseRecord {
                url: text("http://receiver.example:99999/hook"),
                content: text("The port in the url is over 65535"),
                ..at_data.clone()
            },
        ),
        tls_case(
            TlsSettings { authorities: Some(mk_secret("missing")), ..TlsSettings::default() },
            "tls.caSecretRef: Secret 'missing' does not exist",
        ),
        tls_case(
            TlsSettings { authorities: Some(mk_secret("ca")), ..TlsSettings::default() },
            "tls.caSecretRef: Key 'key' of Secret 'ca' has no certificate in PEM",
        ),
        tls_case(
            TlsSettings {
                client: Some(ClientCertificate { certificate: mk_secret("crt"), key: mk_secret("missing") }),
                ..TlsSettings::default()
            },
            "tls.clientCertSecretRef: Secret 'missing' does not exist",
        ),
        header_case(r#"{"X-Q": 7}"#, "Header X-Q must be a string: put its value in quotes"),
        header_case(r#"{"X-Q": [true]}"#, "Header X-Q must be a string: put its value in quotes"),
        header_case(r#"{"X-Q": " a"}"#, "Header X-Q begins with white space, which no header may do"),
        header_case(r#"{"X-Q": "\u6771"}"#, "Header X-Q has a character outside Latin-1, which no header may have"),
        header_case(
            r#"{"X-Q": "\u0000"}"#,
            "Header X-Q has a line break or a control character, which no header may have",
        ),
        header_case(r#"{"X-Q\nEvil": "a"}"#, r#"Header name "X-Q\nEvil" is not allowed: use letters, digits and -"#),
        (
            Webhook { headers: Some(mk_json(r#"{"X Q": "v"}"#)), ..mk_webhook() },
            ResponseRecord {
                request_headers: text(r#"{"X Q": "v"}"#),
                content: text("Header name \"X Q\" is not allowed: use letters, digits and -"),
                ..at_data.clone()
            },
        ),
        (
            Webhook { headers: Some(mk_json(r#"{"X-Q": "a\r\nEvil: b"}"#)), ..mk_webhook() },
            ResponseRecord {
                request_headers: text(r#"{"X-Q": "a\r\nEvil: b"}"#),
                content: text("Header X-Q has a line break or a control character, which no header may have"),
                ..at_data.clone()
            },
        ),
    ];
    for (webhook, expected) in cases {
        match run(&webhook) {
            Preparation::Failed(record) => {
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
        let webhook = Webhook { trigger_template: Some(CompiledTemplate::new(source, Mode::Raw)), ..mk_webhook() };
        assert_eq!(matches!(run(&webhook), Preparation::Send(..)), runs, "{source:?}");
    }
}

#[test]
fn every_form_of_a_secret_that_an_answer_may_repeat_is_masked() {
    let webhook = Webhook {
        url: UrlSource::Secret(SecretKey { name: "long".to_owned(), key: "key".to_owned() }),
        headers: Some(mk_json(r#"{"authorization": "Bearer inline-token"}"#)),
        ..mk_webhook()
    };
    let known = known(&webhook, "https://tenant.example/services/abcdefghijkl?token=0123%2B456789a&x=1");
    for secret in ["tenant.example", "abcdefghijkl", "0123%2B456789a", "0123+456789a", "Bearer inline-token"] {
        assert!(known.iter().any(|known| known == secret), "{secret} not in {known:?}");
    }
}

/// The secrets that are masked in the answer, if every Secret has this value.
fn known(webhook: &Webhook, value: &str) -> Vec<String> {
    let secrets = |_: &_| Ok(SecretString::from(value));
    let prepared = prepare(webhook, &EventData::new(Vec::new()), &WebhookContext::default(), false, &secrets);
    let Preparation::Send(request, _) = prepared else { panic!("not sent: {prepared:?}") };
    request.secrets.iter().map(|secret| secret.expose_secret().to_owned()).collect()
}

#[test]
fn a_password_in_a_url_is_masked_alone_too_and_so_is_a_user_that_may_be_a_token() {
    let from_secret = || Webhook { url: UrlSource::Secret(mk_secret("url")), ..mk_webhook() };
    let url = "https://sk%2Flive_abc:p%3Ass@api.example/v1";
    let in_clear = Webhook { url: mk_url(url), ..mk_webhook() };
    // The webhook, the value of its Secret, texts that are masked, texts that are not.
    let cases: [(Webhook, &str, &[&str], &[&str]); 4] = [
        (from_secret(), url, &["sk%2Flive_abc", "sk/live_abc", "p%3Ass", "p:ss"], &[]),
        (in_clear, "", &["p%3Ass", "p:ss"], &["sk/live_abc"]),
        (from_secret(), "https://sk_live_abcdef@api.example/v1", &["sk_live_abcdef"], &[]),
        (from_secret(), "https://jira:secret@api.example/v1", &["secret"], &["jira"]),
    ];
    for (webhook, value, masked, shown) in cases {
        let known = known(&webhook, value);
        let is_known = |secret: &&&str| known.iter().any(|known| known == **secret);
        assert!(masked.iter().all(|secret| is_known(&secret)), "{masked:?} in {known:?}");
        assert!(!shown.iter().any(|secret| is_known(&secret)), "{shown:?} not in {known:?}");
    }
}

#[test]
fn debug_output_shows_no_secret() {
    let webhook = Webhook {
        authorization_header: Some(mk_secret("auth")),
        url: UrlSource::Secret(mk_secret("url")),
        ..mk_webhook()
    };
    let shown = format!("{:?}", run(&webhook));
    assert!(!shown.contains("auth-value") && !shown.contains("s3cret-path"), "{shown}");
}
