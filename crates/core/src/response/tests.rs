use super::*;

fn answer(status: u16, body: &str) -> Outcome {
    Outcome::Answer { status, body: body.as_bytes().to_vec(), announced: None, content_type: None, retry_after: None }
}

fn bytes(body: &[u8], content_type: &str) -> Outcome {
    let content_type = Some(content_type.to_owned());
    Outcome::Answer { status: 200, body: body.to_vec(), announced: None, content_type, retry_after: None }
}

#[test]
fn the_record_of_a_refused_url_says_so_in_place_of_the_url() {
    let text = |text: &str| Some(text.to_owned());
    let sent = ResponseRecord {
        url: text("http://a"),
        request_headers: text("{}"),
        request_data: text("{}"),
        ..ResponseRecord::default()
    };
    for (was_sent, expected) in [(false, None), (true, text("{}"))] {
        let outcome = Outcome::UrlRefused { message: "Malformed url".to_owned(), sent: was_sent, retryable: false };
        let record = ResponseRecord {
            url: text("URL - Malformed url"),
            request_headers: expected.clone(),
            request_data: expected,
            ..ResponseRecord::default()
        };
        assert_eq!(finish(sent.clone(), &outcome, &[]), record);
    }
}

#[test]
fn the_record_shows_the_answer_as_oncall_does() {
    let text = |text: &str| Some(text.to_owned());
    let sent = ResponseRecord { url: text("http://a.example"), request_data: text("{}"), ..ResponseRecord::default() };
    let cases = [
        (answer(200, r#"{"ok":true,"name":"é"}"#), Some(200), r#"{"ok": true, "name": "\u00e9"}"#),
        (answer(500, "oops"), Some(500), "oops"),
        (answer(204, ""), Some(204), ""),
        (answer(200, "{nope"), Some(200), "{nope"),
        (answer(200, r#"["\ud83d",1]"#), Some(200), r#"["\ud83d", 1]"#),
        (
            answer(200, r#"[NaN, 123456789012345678901, {"a": 1, "a": 2}]"#),
            Some(200),
            r#"[NaN, 123456789012345678901, {"a": 2}]"#,
        ),
        (answer(200, "a\0b"), Some(200), "a\0b"),
        (bytes(b"\xff\xfe\xfa", ""), Some(200), "The answer is not UTF-8 at byte 0"),
        (bytes(b"caf\xe9", "text/plain; charset=iso-8859-1"), Some(200), "The answer is not UTF-8 at byte 3"),
        (bytes(b"\"caf\xe9\"", "application/json; charset=\"Latin1\"; x=y"), Some(200), r#""caf\u00e9""#),
        (bytes(b"\"caf\xe9\"", "text/plain"), Some(200), r#""caf\u00e9""#),
        (bytes(b"\"caf\xe9\"", "application/json"), Some(200), r#""caf\ufffd""#),
        // `requests` takes Latin-1 for the charset of `text`.
        (bytes("\"é\"".as_bytes(), "text/plain"), Some(200), r#""\u00c3\u00a9""#),
        (bytes("é".as_bytes(), "text/plain"), Some(200), "é"),
        (bytes(b"\"\x93\xfa\"", "application/json; charset=shift_jis"), Some(200), r#""\u65e5""#),
        (bytes(b"\"caf\xe9\"", "application/json; charset=windows-1252"), Some(200), r#""caf\u00e9""#),
        (bytes(b"\"caf\xe9\"", "application/json; charset=us-ascii"), Some(200), r#""caf\ufffd""#),
        (bytes(b"\"caf\xe9\"", "application/json; charset=nonsense"), Some(200), r#""caf\ufffd""#),
        (bytes(b"\xef\xbb\xbf{\"a\":1}", "application/problem+json"), Some(200), r#"{"a": 1}"#),
        (bytes(b"[\x001\x00]\x00", ""), Some(200), "[1]"),
        (answer(200, &"x".repeat(50_000)), Some(200), &"x".repeat(50_000)),
        (answer(200, &"x".repeat(50_001)), Some(200), "Response content 50001 exceeds 50000 character limit"),
        (
            answer(200, &"x".repeat(READ_LIMIT + 1)),
            Some(200),
            "Response content over 1000000 exceeds 50000 character limit",
        ),
        (
            Outcome::Answer {
                status: 200,
                body: Vec::new(),
                announced: Some(60_000),
                content_type: None,
                retry_after: None,
            },
            Some(200),
            "Response content 60000 exceeds 50000 character limit",
        ),
        (Outcome::Failure { message: "Connection refused".to_owned(), retryable: true }, None, "Connection refused"),
        (Outcome::TimedOut { message: "No answer".to_owned() }, None, "No answer"),
    ];
    for (outcome, status_code, content) in cases {
        let expected = ResponseRecord { status_code, content: text(content), ..sent.clone() };
        assert_eq!(finish(sent.clone(), &outcome, &[]), expected);
    }
}

#[test]
fn secrets_that_an_answer_repeats_are_masked() {
    let secrets = ["Bearer s3cret", "ok", "p4\"ss\\wörd"].map(SecretString::from);
    let cases = [
        (r#"{"ok": "got s3cret"}"#, r#"{"ok": "got ****************"}"#),
        ("got p4\"ss\\wörd", "got ****************"),
        (r#"["p4\"ss\\wörd", "p4\"ss\\w\u00f6rd"]"#, r#"["****************", "****************"]"#),
    ];
    for (body, content) in cases {
        let record = finish(ResponseRecord::default(), &answer(200, body), &secrets);
        assert_eq!(record.content.as_deref(), Some(content), "{body}");
    }
}

#[test]
fn only_2xx_is_a_success() {
    for (outcome, expected) in [
        (answer(200, ""), true),
        (answer(299, ""), true),
        (answer(302, ""), false),
        (answer(503, ""), false),
        (Outcome::Failure { message: String::new(), retryable: true }, false),
        (Outcome::TimedOut { message: String::new() }, false),
    ] {
        assert_eq!(outcome.is_success(), expected, "{outcome:?}");
    }
}
