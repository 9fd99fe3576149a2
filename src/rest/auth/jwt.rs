//! What a JWT says of itself: whether it is worth asking the API server about it. Anybody can make such a token up, so that
//! nothing follows from it but a refusal.

use base64::{
    Engine as _,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde::Deserialize;

/// The issuer of tokens that stand in Secrets of type `kubernetes.io/service-account-token`: the same in every cluster.
const OF_SECRETS: &str = "kubernetes/serviceaccount";
/// The longest token that is looked at, in bytes: those of identity providers with hundreds of groups have about 8 KiB.
const LONGEST: usize = 12 * 1024;
/// How far clocks may differ, in seconds; the API server lets as much pass.
const LEEWAY: f64 = 60.0;

/// As RFC 7515 has it, and as lenient as the API server is.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    /// Seconds since 1970.
    exp: Option<f64>,
}

/// Whether this could be a JWT: three parts of base64url.
pub(crate) fn is_jwt(text: &str) -> bool {
    let is_part =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    text.split('.').count() == 3 && text.split('.').all(is_part)
}

/// The issuer that a token names.
pub(crate) fn issuer(token: &str) -> Option<String> {
    claims(token)?.iss
}

/// The claims of a token of the right shape.
fn claims(token: &str) -> Option<Claims> {
    let mut parts = token.split('.');
    let (header, claims, signature, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else {
        return None;
    };
    let decoded = |part: &str| BASE64.decode(part).ok();
    let Header { alg } = serde_json::from_slice(&decoded(header)?).ok()?;
    let is_signed = !alg.eq_ignore_ascii_case("none") && !decoded(signature)?.is_empty();
    serde_json::from_slice(&decoded(claims)?).ok().filter(|_| is_signed)
}

/// Whose tokens the API server may take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Issuers {
    /// None: anybody's.
    known: Option<Vec<String>>,
}

impl Issuers {
    /// The issuer of ServiceAccounts' tokens, where it is known, and `more`, such as identity providers of people. Without
    /// either, any issuer may do.
    pub(crate) fn new(own: Option<String>, more: impl IntoIterator<Item = String>) -> Self {
        let mut known: Vec<String> = own.into_iter().chain(more).collect();
        if known.is_empty() {
            return Self::default();
        }
        known.push(OF_SECRETS.to_owned());
        Self { known: Some(known) }
    }

    /// Whether the API server may take this token at `now`, in seconds since 1970: it is a signed JWT, comes from one of these
    /// issuers and has not expired.
    pub(crate) fn may_be_valid(&self, token: &str, now: i64) -> bool {
        if token.len() > LONGEST {
            return false;
        }
        let Some(Claims { iss, exp }) = claims(token) else { return false };
        let is_known = match (&self.known, iss) {
            (Some(known), Some(iss)) => known.contains(&iss),
            (Some(_), None) => false,
            (None, _) => true,
        };
        // The seconds of any time that a clock shows are exact as a float.
        #[expect(clippy::cast_precision_loss)]
        let now = now as f64;
        is_known && exp.is_none_or(|exp| exp + LEEWAY > now)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A JWT with these claims, and a signature that is nobody's.
    pub(crate) fn signed(claims: &Value) -> String {
        with_header(&json!({"alg": "RS256", "kid": "k"}), claims, "c2lnbmF0dXJl")
    }

    fn with_header(header: &Value, claims: &Value, signature: &str) -> String {
        let [header, claims] = [header, claims].map(|part| BASE64.encode(part.to_string()));
        format!("{header}.{claims}.{signature}")
    }

    #[test]
    fn three_parts_of_base64url_could_be_a_jwt() {
        let cases = [
            ("eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln-_", true),
            ("a.b.c", true),
            ("a.b", false),
            ("a.b.c.d", false),
            ("a..c", false),
            (".b.c", false),
            ("a.b.", false),
            ("a.b=.c", false),
            ("a.b.c d", false),
            ("oncall_0123456789abcdef", false),
            ("", false),
        ];
        for (text, expected) in cases {
            assert_eq!(is_jwt(text), expected, "{text}");
        }
    }

    #[test]
    fn only_a_token_that_may_be_valid_is_worth_a_question() {
        const NOW: i64 = 1_800_000_000;
        let cluster = "https://kubernetes.default.svc.cluster.local";
        let issuers = Issuers::new(Some(cluster.to_owned()), ["https://people.example".to_owned()]);
        let from = |iss: &str| json!({"iss": iss, "exp": NOW + 3600, "sub": "system:serviceaccount:team:bot"});
        let (header, good) = (json!({"alg": "RS256"}), from(cluster));
        let deep = "[".repeat(5000);
        let cases = [
            ("a ServiceAccount's", signed(&good), true),
            ("a person's", signed(&from("https://people.example")), true),
            ("a Secret's, which has no end", signed(&json!({"iss": "kubernetes/serviceaccount"})), true),
            ("of another issuer", signed(&from("https://evil.example")), false),
            ("of no issuer", signed(&json!({"exp": NOW + 3600})), false),
            ("an issuer that is no text", signed(&json!({"iss": [cluster]})), false),
            ("expired within the leeway", signed(&json!({"iss": cluster, "exp": NOW - 59})), true),
            ("expired", signed(&json!({"iss": cluster, "exp": NOW - 60})), false),
            ("expired long ago", signed(&json!({"iss": cluster, "exp": -1e300})), false),
            ("an end that is no number", signed(&json!({"iss": cluster, "exp": "never"})), false),
            ("without a signature", with_header(&header, &good, ""), false),
            ("a signature that is not base64url", with_header(&header, &good, "a+b"), false),
            ("unsigned", with_header(&json!({"alg": "none"}), &good, "c2ln"), false),
            ("unsigned, in other letters", with_header(&json!({"alg": "nOnE"}), &good, "c2ln"), false),
            ("without an algorithm", with_header(&json!({"typ": "JWT"}), &good, "c2ln"), false),
            ("claims that are a list", signed(&json!([cluster])), false),
            ("claims that are deep", format!("e30.{}.c2ln", BASE64.encode(deep)), false),
            (
                "claims that are no JSON",
                format!("{}.{}.c2ln", BASE64.encode(header.to_string()), BASE64.encode("{")),
                false,
            ),
            ("letters", "eyJh.eyJp.c2ln".to_owned(), false),
            ("two parts", "e30.e30".to_owned(), false),
            ("four parts", format!("{}.e30", signed(&good)), false),
            ("long", signed(&json!({"iss": cluster, "groups": "g".repeat(8000)})), true),
            ("too long", signed(&json!({"iss": cluster, "groups": "g".repeat(12_000)})), false),
        ];
        for (case, token, expected) in cases {
            assert_eq!(issuers.may_be_valid(&token, NOW), expected, "{case}: {token:.80}");
        }
        assert_eq!(issuer(&signed(&good)).as_deref(), Some(cluster));
    }

    #[test]
    fn any_issuer_may_do_where_none_is_known() {
        let token = signed(&json!({"iss": "https://other.example"}));
        let issuers = |own: Option<&str>, more: &[&str]| {
            Issuers::new(own.map(str::to_owned), more.iter().map(|issuer| (*issuer).to_owned()))
        };
        for (issuers, expected) in [
            (issuers(None, &[]), true),
            (issuers(Some("https://own.example"), &[]), false),
            (issuers(None, &["https://people.example"]), false),
            (issuers(Some("https://own.example"), &["https://other.example"]), true),
        ] {
            assert_eq!(issuers.may_be_valid(&token, 0), expected, "{issuers:?}");
        }
    }
}
