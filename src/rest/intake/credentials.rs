//! The token of a call that has it in the header `Authorization`.

use axum::http::{HeaderMap, header::AUTHORIZATION};
use base64::{Engine, prelude::BASE64_STANDARD};

/// The token: `Bearer`'s, or the password of `Basic`. None where there is no such header, or several.
pub(super) fn token(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    let (scheme, rest) = value.to_str().ok()?.split_once(' ')?;
    let rest = rest.trim_matches(' ');
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64_STANDARD.decode(rest).ok()?).ok()?;
    decoded.split_once(':').map(|(_, password)| password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_as_bearer_or_as_the_password_of_basic() {
        let basic = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text));
        let cases = [
            (vec!["Bearer t0ken".to_owned()], Some("t0ken")),
            (vec!["bearer  t0ken ".to_owned()], Some("t0ken")),
            (vec![basic("user:t0ken")], Some("t0ken")),
            (vec![basic(":t0:ken")], Some("t0:ken")),
            (vec![basic("t0ken")], None),
            (vec!["Basic !".to_owned()], None),
            (vec!["t0ken".to_owned()], None),
            (vec!["Digest t0ken".to_owned()], None),
            (vec!["Bearer one".to_owned(), "Bearer two".to_owned()], None),
            (vec![], None),
        ];
        for (values, expected) in cases {
            let headers = values.iter().map(|value| (AUTHORIZATION, value.parse().unwrap())).collect();
            assert_eq!(token(&headers).as_deref(), expected, "{values:?}");
        }
    }
}
