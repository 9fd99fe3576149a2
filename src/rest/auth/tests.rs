//! Who is let in, with the API server answering as a test says.

use std::sync::atomic::{AtomicU32, Ordering};

use http::{HeaderName, Request, Response};
use kube::{client::Body, runtime::watcher::Event};
use serde_json::json;
use tower::{BoxError, service_fn};

use super::*;

const TOKEN: &str = "oncall_0123456789";
const JWT: &str = "eyJh.eyJp.c2ln";

fn headers(pairs: &[(&'static str, &[u8])]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &[u8])| {
        (HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap())
    };
    pairs.iter().map(pair).collect()
}

fn authorization(value: &str) -> HeaderMap {
    headers(&[("authorization", value.as_bytes())])
}

fn secret(name: &str, token: &str, more: &serde_json::Value) -> Secret {
    let mut labels = json!({API_TOKEN_LABEL: "true"});
    labels.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let mut secret: Secret =
        serde_json::from_value(json!({"metadata": {"namespace": "team", "name": name, "labels": labels}})).unwrap();
    let token = k8s_openapi::ByteString(token.as_bytes().to_vec());
    secret.data = Some([("token".to_owned(), token)].into());
    secret
}

/// With an API server that is away, and counts who asks for it.
fn unlisted(calls_per_minute: usize) -> (Auth, Arc<AtomicU32>) {
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let away = service_fn(move |_: Request<Body>| {
        count.fetch_add(1, Ordering::Relaxed);
        async { Err::<Response<Body>, BoxError>("connection refused".into()) }
    });
    (Auth::new(Client::new(away, "default"), None, calls_per_minute).0, asked)
}

/// The same after these Secrets were listed.
fn auth(calls_per_minute: usize, secrets: &[Secret]) -> (Auth, Arc<AtomicU32>) {
    let (auth, asked) = unlisted(calls_per_minute);
    let mut index = Fold::new(TokenIndex(auth.clone()));
    let listed = secrets.iter().cloned().map(Event::InitApply);
    for event in [Event::Init].into_iter().chain(listed).chain([Event::InitDone]) {
        index.observe(&event);
    }
    (auth, asked)
}

fn team(name: &str) -> Caller {
    Caller { namespace: "team".into(), name: format!("Secret team/{name}") }
}

#[test]
fn a_token_is_bare_and_a_kubernetes_one_may_have_bearer() {
    let bearer = format!("Bearer {JWT}");
    let cases: [(&[u8], _); 15] = [
        (TOKEN.as_bytes(), Some(Credential::Bare(TOKEN))),
        (JWT.as_bytes(), Some(Credential::Bare(JWT))),
        (bearer.as_bytes(), Some(Credential::Bearer(JWT))),
        (b"bearer eyJh.eyJp.c2ln", Some(Credential::Bearer(JWT))),
        (b"BEARER  eyJh.eyJp.c2ln", Some(Credential::Bearer(JWT))),
        (b"Bearer oncall_0123456789", None),
        (b"Token oncall_0123456789", None),
        (b"Basic eyJh.eyJp.c2ln", None),
        (b"Bearer", Some(Credential::Bare("Bearer"))),
        (b"Bearer ", None),
        (b"", None),
        (b" ", None),
        (b"oncall 0123456789", None),
        ("töken_0123456789".as_bytes(), None),
        (b"\xff\xfe", None),
    ];
    for (value, expected) in cases {
        assert_eq!(Credential::read(&headers(&[("authorization", value)])), expected, "{value:?}");
    }
    assert_eq!(Credential::read(&HeaderMap::new()), None);
    let twice = headers(&[("authorization", TOKEN.as_bytes()), ("authorization", TOKEN.as_bytes())]);
    assert_eq!(Credential::read(&twice), None);
}

#[test]
fn the_namespace_header_holds_one_name_or_nothing() {
    let long = "a".repeat(63);
    for (value, expected) in [("team-1", Some("team-1")), (&*long, Some(&*long)), ("", None)] {
        let headers = headers(&[("x-oncall-namespace", value.as_bytes())]);
        assert_eq!(named_namespace(&headers), Ok(expected), "{value}");
    }
    assert_eq!(named_namespace(&HeaderMap::new()), Ok(None));
    let detail = "You do not have permission to perform this action. X-OnCall-Namespace is not the name of a \
                  namespace: lower-case letters, digits and -, at most 63, a letter or digit first and last.";
    let refused = ApiError::new(StatusCode::FORBIDDEN, detail);
    let longer = "a".repeat(64);
    for value in ["Team", "-team", "team-", "a/b", "a,b", "a.b", "téam", &*longer] {
        let headers = headers(&[("x-oncall-namespace", value.as_bytes())]);
        assert_eq!(named_namespace(&headers), Err(refused.clone()), "{value}");
    }
    let twice = headers(&[("x-oncall-namespace", b"a"), ("x-oncall-namespace", b"a")]);
    assert_eq!(named_namespace(&twice), Err(refused));
}

#[tokio::test]
async fn a_secret_opens_its_namespace_and_no_other() {
    let read_only = secret("reader", "oncall_reader_0123456789", &json!({READ_ONLY_LABEL: "true"}));
    let (auth, asked) = auth(300, &[secret("ci", TOKEN, &json!({})), read_only]);
    auth.ready().await;
    for verb in [Verb::Get, Verb::List, Verb::Create, Verb::Update, Verb::Delete] {
        for resource in [Resource::Webhooks, Resource::Responses] {
            assert_eq!(auth.admit(&authorization(TOKEN), verb, resource).await, Ok(team("ci")));
        }
        let read = auth.admit(&authorization("oncall_reader_0123456789"), verb, Resource::Webhooks).await;
        let detail = "You do not have permission to perform this action. This token is for reading only: Secret \
                      team/reader has the label oncall.dev/read-only=true.";
        match verb {
            Verb::Get | Verb::List => assert_eq!(read, Ok(team("reader"))),
            _ => assert_eq!(read, Err(ApiError::new(StatusCode::FORBIDDEN, detail))),
        }
    }
    let with = |namespace: &[u8]| headers(&[("authorization", TOKEN.as_bytes()), ("x-oncall-namespace", namespace)]);
    assert_eq!(auth.admit(&with(b"team"), Verb::Get, Resource::Webhooks).await, Ok(team("ci")));
    let detail = "You do not have permission to perform this action. This token opens namespace team alone: leave \
                  X-OnCall-Namespace out.";
    assert_eq!(
        auth.admit(&with(b"other"), Verb::Get, Resource::Webhooks).await,
        Err(ApiError::new(StatusCode::FORBIDDEN, detail))
    );
    for value in ["oncall_0123456780", "Bearer oncall_0123456789", "oncall_012345678", "oncall_01234567890", ""] {
        let refused = auth.admit(&authorization(value), Verb::Get, Resource::Webhooks).await;
        assert_eq!(refused, Err(ApiError::invalid_token()), "{value}");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 0, "the API server is not asked for these");
}

#[tokio::test]
async fn a_secret_that_goes_takes_its_token_with_it() {
    let (auth, _) = auth(300, &[secret("ci", TOKEN, &json!({}))]);
    let call = async || auth.admit(&authorization(TOKEN), Verb::Get, Resource::Webhooks).await;
    assert_eq!(call().await, Ok(team("ci")));
    let mut index = Fold::new(TokenIndex(auth.clone()));
    index.observe(&Event::Init);
    assert_eq!(call().await, Ok(team("ci")), "until a new list has come to its end");
    index.observe(&Event::InitDone);
    assert_eq!(call().await, Err(ApiError::invalid_token()));
    index.observe(&Event::Apply(secret("ci", TOKEN, &json!({}))));
    assert_eq!(call().await, Ok(team("ci")));
    index.observe(&Event::Delete(secret("ci", TOKEN, &json!({}))));
    assert_eq!(call().await, Err(ApiError::invalid_token()));
}

#[tokio::test]
async fn calls_are_counted_for_valid_tokens_before_permission_is_looked_at() {
    let (auth, _) = auth(2, &[secret("ci", TOKEN, &json!({READ_ONLY_LABEL: "true"}))]);
    let call = async |token, verb| auth.admit(&authorization(token), verb, Resource::Webhooks).await;
    for _ in 0..5 {
        assert_eq!(call("oncall_wrong_0123456789", Verb::Get).await, Err(ApiError::invalid_token()));
    }
    let status = |result: Result<Caller, ApiError>| result.map_or_else(|error| error.status.as_u16(), |_| 200);
    assert_eq!(status(call(TOKEN, Verb::Delete).await), 403);
    assert_eq!(status(call(TOKEN, Verb::Get).await), 200);
    let refused = call(TOKEN, Verb::Get).await.unwrap_err();
    assert_eq!(refused, ApiError::throttled(refused.retry_after.unwrap()));
}

#[tokio::test]
async fn kubernetes_tokens_of_a_user_count_together_in_a_namespace_and_what_is_denied_counts_for_all() {
    // Any JWT is the bot's, who may do all but in namespaces that begin with x.
    let server = service_fn(|request: Request<Body>| async {
        let review: serde_json::Value = serde_json::from_slice(&request.into_body().collect_bytes().await?)?;
        let attributes = &review["spec"]["resourceAttributes"];
        let denied = attributes["namespace"].as_str().is_some_and(|namespace| namespace.starts_with('x'));
        let mut answer = review.clone();
        answer["status"] = if attributes.is_null() {
            json!({"authenticated": true, "user": {"username": "system:serviceaccount:team:bot"}})
        } else {
            json!({"allowed": !denied})
        };
        Ok::<_, BoxError>(Response::new(Body::from(answer.to_string().into_bytes())))
    });
    let (auth, _) = Auth::new(Client::new(server, "default"), None, 2);
    let call = async |token: &'static str, namespace: &'static str| {
        let headers = headers(&[("authorization", token.as_bytes()), ("x-oncall-namespace", namespace.as_bytes())]);
        let admitted = auth.admit(&headers, Verb::Get, Resource::Webhooks).await;
        admitted.map_or_else(|error| error.status.as_u16(), |_| 200)
    };
    let cases = [
        ("a.b.c", "team", 200),
        ("d.e.f", "", 200),
        ("g.h.i", "team", 429),
        ("a.b.c", "other", 200),
        ("a.b.c", "x1", 403),
        ("d.e.f", "x2", 403),
        ("g.h.i", "x3", 429),
        ("g.h.i", "other", 429),
    ];
    for (token, namespace, expected) in cases {
        assert_eq!(call(token, namespace).await, expected, "{token} {namespace}");
    }
}

#[tokio::test]
async fn a_token_that_can_not_be_checked_is_not_called_invalid() {
    let away = |detail| Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, detail).after(1));
    let (listed, asked) = auth(300, &[]);
    for (index, value) in (1..).zip([JWT.to_owned(), format!("Bearer {JWT}")]) {
        assert_eq!(
            listed.admit(&authorization(&value), Verb::Get, Resource::Webhooks).await,
            away("The token can't be checked: the Kubernetes API gives no answer.")
        );
        assert_eq!(asked.load(Ordering::Relaxed), index, "a failure is no answer");
    }
    let (unlisted, _) = unlisted(300);
    assert_eq!(
        unlisted.admit(&authorization(TOKEN), Verb::Get, Resource::Webhooks).await,
        away("The token can't be checked: the tokens are not read yet.")
    );
}
