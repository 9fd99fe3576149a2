use super::*;

fn wire(text: &str) -> Result<String, String> {
    let url = RequestUrl::parse(text)?;
    Ok(format!("{} {} {}", url.scheme(), url.authority(), url.target()))
}

#[test]
fn a_url_is_written_as_requests_writes_it() {
    let cases = [
        ("http://a.example", "http a.example /"),
        ("HTTP://A.Example:80/Hook", "http a.example:80 /Hook"),
        ("https://a.example:/x", "https a.example /x"),
        (" \u{a0}http://a.example/hook ", "http a.example /hook%20"),
        ("http://a.example/p/é?x=ü y", "http a.example /p/%C3%A9?x=%C3%BC%20y"),
        ("http://a.example/one\ntwo\tthree\0", "http a.example /one%0Atwo%09three%00"),
        ("http://a.example/a%2fb?%7e=%41%2f", "http a.example /a%2Fb?~=A%2F"),
        ("http://a.example/a%2Fb%zz?c%2f", "http a.example /a%252Fb%25zz?c%2F"),
        ("http://a.example/100%", "http a.example /100%25"),
        ("http://a.example/a/./b/../c/d/..", "http a.example /a/c/"),
        ("http://a.example/../..", "http a.example /"),
        ("http://a.example//x//y", "http a.example /x//y"),
        ("http://a.example?q=1", "http a.example /?q=1"),
        ("http://a.example/x?", "http a.example /x"),
        ("http://a.example/x?a=1#frag?b", "http a.example /x?a=1"),
        ("http://a.example/x?f='y'&g=[1]|{}^`\"<>\\", "http a.example /x?f='y'&g=%5B1%5D%7C%7B%7D%5E%60%22%3C%3E%5C"),
        ("http://a.example/$a!*'();:@&=+,~-_.", "http a.example /$a!*'();:@&=+,~-_."),
        ("http://a.example\\@b.example/x", "http a.example /%5C@b.example/x"),
        ("http://u:p@a.example/x", "http a.example /x"),
        ("http://[2001:DB8::1]:8080/x", "http [2001:db8::1]:8080 /x"),
        ("http://bücher.example/x", "http xn--bcher-kva.example /x"),
        ("http://日本.example", "http xn--wgv71a.example /"),
    ];
    for (text, expected) in cases {
        assert_eq!(wire(text).as_deref(), Ok(expected), "{text:?}");
    }
}

#[test]
fn a_url_that_oncall_rejects_or_that_cannot_be_read_is_an_error() {
    let rejected = || Err(malformed());
    let checks = [
        ("http://a.example", Ok(())),
        ("\x01http://a.example", Ok(())),
        ("ht\ntp://a.example", Ok(())),
        ("a.example/hook", rejected()),
        ("", rejected()),
        ("http:///hook", rejected()),
        ("http:a.example", rejected()),
        ("http://?x", rejected()),
        ("ftp://a.example", rejected()),
        ("javascript:alert(1)//http://", rejected()),
    ];
    for (text, expected) in checks {
        assert_eq!(check(text), expected, "{text:?}");
    }
    for text in ["http://[::1/x", "http://[::g]/", "http://a]b/"] {
        assert!(matches!(check(text), Err(UrlError::Unreadable(_))), "{text:?}");
    }
    for text in [
        "\x01http://a.example",
        "ht\ntp://a.example",
        "http://a.example:99999/",
        "http://a.example:8o/",
        "http://1:2:3/",
        "http://:80/",
        "http://u:p@/x",
        "http://a%zz.example/",
        "http://.a.example",
        "http://*.a.example",
        "http://a..\u{e9}.\u{2260}/",
    ] {
        let message = wire(text).expect_err(text);
        assert!(message.starts_with("The ") && !message.contains("example"), "{text:?}: {message}");
    }
}

#[test]
fn redirects_lead_where_requests_goes() {
    let from = RequestUrl::parse("http://u:p@a.example:81/b/c?d=1").unwrap();
    let cases = [
        ("/landed", "http a.example:81 /landed"),
        ("landed?x#y", "http a.example:81 /b/landed?x"),
        ("../../up/./x", "http a.example:81 /up/x"),
        ("x//y/..", "http a.example:81 /b/x/"),
        ("?q=2", "http a.example:81 /b/c?q=2"),
        ("#top", "http a.example:81 /b/c?d=1"),
        ("//other.example/x", "http other.example /x"),
        ("https://other.example/a b?c=é%41", "https other.example /a%20b?c=%C3%A9A"),
        ("http://other.example/a/../b", "http other.example /a/../b"),
        ("HTTP://Other.Example", "http other.example /"),
        ("http:///x", "http a.example:81 /x"),
    ];
    for (location, expected) in cases {
        let url = from.redirect(location).unwrap();
        assert_eq!(format!("{} {} {}", url.scheme(), url.authority(), url.target()), expected, "{location:?}");
        assert_eq!(url.credentials(), None);
    }
    for location in ["ftp://127.0.0.1/x", "mailto:ann@a.example", "https:///x", "file:///etc/passwd"] {
        assert_eq!(from.redirect(location), Err(malformed()), "{location:?}");
    }
    assert!(matches!(from.redirect("http://a.example:x/"), Err(UrlError::Unreadable(_))));
}

#[test]
fn credentials_are_a_user_and_a_password_together() {
    for (text, expected) in [
        ("http://ann:p%40%77@a.example", Some(("ann", "p@w"))),
        ("http://ann:@a.example", Some(("ann", ""))),
        ("http://ann@a.example", None),
        ("http://:@a.example", None),
        ("http://a@b:c@a.example", Some(("a@b", "c"))),
        ("http://a.example", None),
    ] {
        let expected = expected.map(|(user, password)| (user.to_owned(), password.to_owned()));
        assert_eq!(RequestUrl::parse(text).unwrap().credentials(), expected, "{text}");
    }
}

#[test]
fn secrets_go_to_the_same_host_and_port_or_from_http_to_its_https() {
    let cases = [
        ("http://a.example/x", "http://a.example:80/y", true),
        ("http://a.example", "https://a.example", true),
        ("https://a.example", "http://a.example", false),
        ("http://a.example", "http://b.example", false),
        ("http://a.example:81", "http://a.example:82", false),
        ("http://a.example:81", "https://a.example:81", false),
        ("http://a.example:81", "http://A.example:81", true),
    ];
    for (from, to, expected) in cases {
        let (from, to) = (RequestUrl::parse(from).unwrap(), RequestUrl::parse(to).unwrap());
        assert_eq!(from.shares_secrets_with(&to), expected, "{from:?} {to:?}");
    }
}
