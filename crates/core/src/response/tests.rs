use super::*;
use flate2::{
    Compression,
    write::{DeflateEncoder, GzEncoder, ZlibEncoder},
};
use std::io::Write;

fn answer(status: u16, body: &str) -> Outcome {
    Outcome::Answer { status, body: body.as_bytes().to_vec(), announced: None, content_type: None, retry_after: None }
}

fn bytes(body: &[u8], content_type: &str) -> Outcome {
    let content_type = Some(content_type.to_owned());
    Outcome::Answer { status: 200, body: body.to_vec(), announced: None, content_type, retry_after: None }
}

#[test]
fn bodies_are_decoded_as_far_as_they_go_and_bombs_are_bounded() {
    let gzip = |text: &[u8]| {
        let mut out = GzEncoder::new(Vec::new(), Compression::best());
        out.write_all(text).unwrap();
        out.finish().unwrap()
    };
    let zipped = gzip(b"zipped");
    let half = zipped[..zipped.len() - 6].to_vec();
    // The checksum comes last but four.
    let mut wrong = zipped.clone();
    let checksum = wrong.len() - 5;
    wrong[checksum] ^= 1;
    let mut deflated = DeflateEncoder::new(Vec::new(), Compression::fast());
    deflated.write_all(b"raw").unwrap();
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(b"zlib").unwrap();
    let cases = [
        ("", b"plain".to_vec(), Ok(&b"plain"[..])),
        ("br", b"kept".to_vec(), Ok(b"kept")),
        ("gzip", Vec::new(), Ok(b"")),
        ("GZIP", zipped.clone(), Ok(b"zipped")),
        ("gzip, gzip", gzip(&zipped), Ok(b"zipped")),
        ("gzip", half, Ok(b"zipped")),
        ("deflate", deflated.finish().unwrap(), Ok(b"raw")),
        ("deflate", zlib.finish().unwrap(), Ok(b"zlib")),
        ("gzip", [zipped.clone(), b"rubbish".to_vec()].concat(), Ok(b"zipped")),
        ("gzip", [zipped.clone(), gzip(b" twice")].concat(), Ok(b"zipped twice")),
        ("gzip", b"not gzip".to_vec(), Err("The answer says that it is encoded with gzip, and is not")),
        ("gzip", wrong, Err("The answer says that it is encoded with gzip, and is not")),
        (
            "gzip, gzip, gzip, gzip, gzip, gzip",
            zipped.clone(),
            Err("The answer lists more than 5 encodings, which are not undone"),
        ),
        ("gzip", [zipped.clone(), gzip(b"").repeat(MEMBERS - 1)].concat(), Ok(b"zipped")),
        (
            "x-gzip",
            gzip(b"").repeat(MEMBERS + 1),
            Err("The answer has over 1000 members of x-gzip, which are not undone"),
        ),
    ];
    for (encodings, body, expected) in cases {
        let expected = expected.map(<[u8]>::to_vec).map_err(str::to_owned);
        assert_eq!(decode(encodings, body), expected, "{encodings}");
    }
    let bomb = gzip(&gzip(&vec![0; 100 * READ_LIMIT]));
    assert_eq!(decode("gzip, gzip", bomb).map(|body| body.len()), Ok(READ_LIMIT + 1));
    // As long at each step.
    let stored = |text: Vec<u8>| {
        let mut out = GzEncoder::new(Vec::new(), Compression::none());
        out.write_all(&text).unwrap();
        out.finish().unwrap()
    };
    let long = stored(stored(stored(vec![0; READ_LIMIT])));
    let refused = "The answer is encoded as over 2000000 bytes, which are not undone".to_owned();
    assert_eq!(decode("gzip, gzip, gzip", long), Err(refused));
}

#[test]
fn a_url_that_no_request_may_go_to_takes_the_place_of_the_url() {
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
        // As `requests` reads what is `text`.
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
fn secrets_that_overlap_are_covered_whole_however_many_there_are() {
    let many: Vec<String> = (0..FEW).map(|number| format!("part-{number:04}")).collect();
    let all = many.iter().map(String::as_str).chain(["abcd-1", "1-efgh", "cd-1", "Host-Token", "part-0001", "tail"]);
    let secrets: Vec<SecretString> = all.map(SecretString::from).collect();
    let cases = [
        ("abcd-1-efgh", "<>"),
        ("abcd-1,1-efghtail", "<>,<><>"),
        ("part-0001part-0063/part-9999 é", "<><>/part-9999 é"),
        ("Host-Token at host-token.example", "<> at <>.example"),
        ("[\"tail\", \"x\"]", "[\"<>\", \"x\"]"),
    ];
    for some in [&secrets[..], &secrets[FEW..]] {
        for (text, expected) in cases.iter().filter(|(text, _)| some.len() > FEW || !text.contains("0063")) {
            assert_eq!(SecretMasker::new(some).put((*text).to_owned()), expected.replace("<>", MASK), "{text}");
        }
    }
}

#[test]
fn a_secret_that_is_named_again_is_looked_for_once() {
    let secrets = ["t0k3n", "t0k3n", "Bearer t0k3n"].map(SecretString::from);
    let spelled: Vec<_> = SecretMasker::new(&secrets).spelled.into_iter().collect();
    assert_eq!(spelled, ["Bearer t0k3n", "bearer t0k3n", "t0k3n"]);
}

#[test]
fn a_host_is_secret_if_it_shows_a_secret_or_is_part_of_one() {
    let secrets = ["https://Tenant.example/x", "S3cret-Token", "abc"].map(SecretString::from);
    for (host, expected) in [
        ("tenant.example", true),
        ("TENANT.example", true),
        ("s3cret-token.evil.example", true),
        ("x-S3CRET-TOKEN.evil.example", true),
        ("abc.example", false),
        ("other.example", false),
    ] {
        assert_eq!(is_secret(host, &secrets), expected, "{host}");
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
    ] {
        assert_eq!(outcome.is_success(), expected, "{outcome:?}");
    }
}
