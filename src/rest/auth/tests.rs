//! Who is let in, with the API server answering as a test says.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicU32, AtomicUsize, Ordering},
};

use http::{HeaderName, Request, Response};
use kube::{client::Body, runtime::watcher::Event};
use parking_lot::Mutex;
use serde_json::Value;
use serde_json::json;
use tokio::task::JoinSet;
use tower::{BoxError, service_fn};

use super::{jwt::tests::signed, *};
use crate::kubernetes::index::Fold;

const TOKEN: &str = "oncall_0123456789";
/// `{"alg":"RS256"}`, `{}` and a signature that is nobody's.
const JWT: &str = "eyJhbGciOiJSUzI1NiJ9.e30.c2ln";

fn headers(pairs: &[(&'static str, &[u8])]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &[u8])| {
        (HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap())
    };
    pairs.iter().map(pair).collect()
}

fn authorization(value: &str) -> HeaderMap {
    headers(&[("authorization", value.as_bytes())])
}

fn secret(name: &str, token: &str, more: &Value) -> ReadSecret {
    serde_json::from_value(manifest(name, token, more)).unwrap()
}

fn manifest(name: &str, token: &str, more: &Value) -> Value {
    let mut labels = json!({API_TOKEN_LABEL: "true"});
    labels.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let token = k8s_openapi::ByteString(token.as_bytes().to_vec());
    json!({
        "metadata": {"namespace": "team", "name": name, "uid": format!("uid-of-{name}"), "labels": labels},
        "data": {"token": token},
    })
}

fn peer(number: u8) -> PeerKey {
    IpAddr::from([10, 0, 0, number]).into()
}

fn settings(calls_per_minute: usize) -> AuthSettings {
    AuthSettings { calls_per_minute, ..AuthSettings::default() }
}

/// With an API server that is away, and counts who asks for it.
fn unlisted(calls_per_minute: usize) -> (Auth, Arc<AtomicU32>) {
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let away = service_fn(move |_: Request<Body>| {
        count.fetch_add(1, Ordering::Relaxed);
        async { Err::<Response<Body>, BoxError>("connection refused".into()) }
    });
    (Auth::new(Client::new(away, "default"), settings(calls_per_minute)).0, asked)
}

/// The same after these Secrets were listed.
fn auth(calls_per_minute: usize, secrets: &[ReadSecret]) -> (Auth, Arc<AtomicU32>) {
    let (auth, asked) = unlisted(calls_per_minute);
    let mut index = Fold::new(index(&auth));
    let listed = secrets.iter().cloned().map(Event::InitApply);
    for event in [Event::Init].into_iter().chain(listed).chain([Event::InitDone]) {
        index.observe(&event);
    }
    (auth, asked)
}

/// An index whose problems nobody is told.
fn index(auth: &Auth) -> TokenIndex {
    TokenIndex { auth: auth.clone(), told: mpsc::channel(1).0 }
}

fn team(name: &str) -> Caller {
    Caller { namespace: "team".into(), name: format!("Secret team/{name}"), username: name.to_owned() }
}

#[test]
fn a_token_is_bare_and_a_kubernetes_one_may_have_bearer() {
    let bearer = format!("Bearer {JWT}");
    let cases: [(&[u8], _); 15] = [
        (TOKEN.as_bytes(), Some(Credential::Bare(TOKEN))),
        (JWT.as_bytes(), Some(Credential::Bare(JWT))),
        (bearer.as_bytes(), Some(Credential::Bearer(JWT))),
        (b"bearer eyJhbGciOiJSUzI1NiJ9.e30.c2ln", Some(Credential::Bearer(JWT))),
        (b"BEARER  eyJhbGciOiJSUzI1NiJ9.e30.c2ln", Some(Credential::Bearer(JWT))),
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
            assert_eq!(auth.admit(&authorization(TOKEN), peer(1), verb, resource).await, Ok(team("ci")));
        }
        let read = auth.admit(&authorization("oncall_reader_0123456789"), peer(1), verb, Resource::Webhooks).await;
        let detail = "You do not have permission to perform this action. This token is for reading only: Secret \
                      team/reader has the label oncall.dev/read-only=true.";
        match verb {
            Verb::Get | Verb::List => assert_eq!(read, Ok(team("reader"))),
            _ => assert_eq!(read, Err(ApiError::new(StatusCode::FORBIDDEN, detail))),
        }
    }
    let with = |namespace: &[u8]| headers(&[("authorization", TOKEN.as_bytes()), ("x-oncall-namespace", namespace)]);
    assert_eq!(auth.admit(&with(b"team"), peer(1), Verb::Get, Resource::Webhooks).await, Ok(team("ci")));
    let detail = "You do not have permission to perform this action. This token opens namespace team alone: leave \
                  X-OnCall-Namespace out.";
    assert_eq!(
        auth.admit(&with(b"other"), peer(1), Verb::Get, Resource::Webhooks).await,
        Err(ApiError::new(StatusCode::FORBIDDEN, detail))
    );
    for value in ["oncall_0123456780", "Bearer oncall_0123456789", "oncall_012345678", "oncall_01234567890", ""] {
        let refused = auth.admit(&authorization(value), peer(1), Verb::Get, Resource::Webhooks).await;
        assert_eq!(refused, Err(ApiError::invalid_token()), "{value}");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 0, "the API server is not asked for these");
}

#[tokio::test]
async fn a_secret_that_goes_takes_its_token_with_it() {
    let (auth, _) = auth(300, &[secret("ci", TOKEN, &json!({}))]);
    let call = async || auth.admit(&authorization(TOKEN), peer(1), Verb::Get, Resource::Webhooks).await;
    assert_eq!(call().await, Ok(team("ci")));
    let mut index = Fold::new(index(&auth));
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
    let call = async |token, verb| auth.admit(&authorization(token), peer(1), verb, Resource::Webhooks).await;
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
        let review: Value = serde_json::from_slice(&request.into_body().collect_bytes().await?)?;
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
    let (auth, _) = Auth::new(Client::new(server, "default"), settings(2));
    let call = async |token: &'static str, namespace: &'static str| {
        let token = signed(&json!({"jti": token}));
        let headers = headers(&[("authorization", token.as_bytes()), ("x-oncall-namespace", namespace.as_bytes())]);
        let admitted = auth.admit(&headers, peer(1), Verb::Get, Resource::Webhooks).await;
        admitted.map_or_else(|error| error.status.as_u16(), |_| 200)
    };
    let cases = [
        ("abc", "team", 200),
        ("def", "", 200),
        ("ghi", "team", 429),
        ("abc", "other", 200),
        ("abc", "x1", 403),
        ("def", "x2", 403),
        ("ghi", "x3", 429),
        ("ghi", "other", 429),
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
            listed.admit(&authorization(&value), peer(1), Verb::Get, Resource::Webhooks).await,
            away("The token can't be checked: the Kubernetes API gives no answer.")
        );
        assert_eq!(asked.load(Ordering::Relaxed), index, "a failure is no answer");
    }
    let (unlisted, _) = unlisted(300);
    assert_eq!(
        unlisted.admit(&authorization(TOKEN), peer(1), Verb::Get, Resource::Webhooks).await,
        away("The token can't be checked: the tokens are not read yet.")
    );
}

/// An API server that knows a user for each JWT whose claim `sub` is not `nobody`, and counts what it is asked about: the
/// claims of the tokens.
#[derive(Clone)]
struct Reviewer {
    asked: Arc<Mutex<Vec<Value>>>,
    in_flight: Arc<AtomicUsize>,
    peak: Arc<AtomicUsize>,
}

impl Reviewer {
    fn new(mut settings: AuthSettings) -> (Auth, Self) {
        let reviewer = Self { asked: Arc::default(), in_flight: Arc::default(), peak: Arc::default() };
        let server = {
            let reviewer = reviewer.clone();
            service_fn(move |request: Request<Body>| {
                let reviewer = reviewer.clone();
                async move { Ok::<_, BoxError>(reviewer.answer(request).await) }
            })
        };
        settings.calls_per_minute = 100_000;
        (Auth::new(Client::new(server, "default"), settings).0, reviewer)
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let bytes = request.into_body().collect_bytes().await.expect("a body");
        let mut review: Value = serde_json::from_slice(&bytes).expect("a review");
        review["status"] = json!({"allowed": true});
        if let Some(token) = review["spec"]["token"].as_str() {
            let running = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
            self.peak.fetch_max(running, Ordering::SeqCst);
            let claims = claims(token);
            self.asked.lock().push(claims.clone());
            // Others come meanwhile.
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            let name = claims["sub"].as_str().unwrap_or("nobody").to_owned();
            let user = json!({"username": format!("system:serviceaccount:team:{name}")});
            review["status"] = json!({"authenticated": name != "nobody", "user": user});
            self.in_flight.fetch_sub(1, Ordering::SeqCst);
        }
        Response::new(Body::from(review.to_string().into_bytes()))
    }

    /// How many tokens of a user it was asked about.
    fn asked(&self, user: &str) -> usize {
        self.asked.lock().iter().filter(|claims| claims["sub"] == user).count()
    }
}

fn claims(token: &str) -> Value {
    use base64::Engine as _;
    let claims = token.split('.').nth(1).expect("claims");
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).expect("base64"))
        .expect("JSON")
}

/// One of the tokens of a user.
fn jwt_of(user: &str, number: usize) -> String {
    signed(&json!({"sub": user, "iss": "https://cluster.example", "jti": number}))
}

async fn status(auth: &Auth, token: String, from: PeerKey) -> u16 {
    let admitted = auth.admit(&authorization(&token), from, Verb::Get, Resource::Webhooks).await;
    admitted.map_or_else(|error| error.status.as_u16(), |_| 200)
}

#[tokio::test]
async fn a_flood_of_made_up_tokens_is_asked_about_within_bounds_and_holds_up_no_other_peer() {
    let strangers = StrangerLimits { refusals_each: 5, ..StrangerLimits::default() };
    let (auth, reviewer) = Reviewer::new(AuthSettings { strangers, ..AuthSettings::default() });
    assert_eq!(status(&auth, jwt_of("bot", 0), peer(1)).await, 200, "it was taken before the flood");
    let mut flood = JoinSet::new();
    for number in 0..500 {
        let auth = auth.clone();
        flood.spawn(async move { status(&auth, jwt_of("nobody", number), peer(1)).await });
    }
    tokio::task::yield_now().await;
    assert_eq!(status(&auth, jwt_of("other", 0), peer(2)).await, 200, "another peer is let in meanwhile");
    let statuses = flood.join_all().await;
    assert!(statuses.iter().all(|status| [403, 429, 503].contains(status)), "{statuses:?}");
    let asked = reviewer.asked("nobody");
    assert!((5..=5 + strangers.in_flight.1).contains(&asked), "{asked}");
    assert!(reviewer.peak.load(Ordering::SeqCst) <= strangers.in_flight.0);
    // The peer has no more turns for tokens that nobody knows; what it had is good.
    assert_eq!(status(&auth, jwt_of("bot", 1), peer(1)).await, 429);
    assert_eq!(status(&auth, jwt_of("bot", 0), peer(1)).await, 200);
    assert_eq!(status(&auth, jwt_of("bot", 1), peer(2)).await, 200);
}

#[tokio::test]
async fn a_refusal_is_remembered() {
    let (auth, reviewer) = Reviewer::new(AuthSettings::default());
    for _ in 0..100 {
        assert_eq!(status(&auth, jwt_of("nobody", 1), peer(1)).await, 403);
    }
    assert_eq!(reviewer.asked("nobody"), 1);
}

#[tokio::test]
async fn nobody_is_asked_about_a_token_that_can_not_be_valid() {
    let issuers = Issuers::new(Some("https://cluster.example".to_owned()), []);
    let (auth, reviewer) = Reviewer::new(AuthSettings { issuers, ..AuthSettings::default() });
    let of = |claims: Value| signed(&claims);
    for token in [
        of(json!({"sub": "bot", "iss": "https://evil.example"})),
        of(json!({"sub": "bot", "iss": "https://cluster.example", "exp": 1_000_000_000})),
        "a.b.c".to_owned(),
    ] {
        assert_eq!(status(&auth, token.clone(), peer(1)).await, 403, "{token}");
        assert_eq!(status(&auth, format!("Bearer {token}"), peer(1)).await, 403, "{token}");
    }
    assert_eq!(reviewer.asked.lock().len(), 0);
    assert_eq!(status(&auth, jwt_of("bot", 1), peer(1)).await, 200);
}

#[tokio::test]
async fn large_secrets_are_listed_in_small_pages_and_only_what_counts_is_kept() {
    const SECRETS: usize = 25;
    let (limits, events) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let server = {
        let (limits, events) = (Arc::clone(&limits), Arc::clone(&events));
        service_fn(move |request: Request<Body>| {
            let (limits, events) = (Arc::clone(&limits), Arc::clone(&events));
            async move {
                let query = request.uri().query().unwrap_or_default().to_owned();
                let value = |key: &str| query.split('&').find_map(|pair| pair.strip_prefix(key)).map(str::to_owned);
                if request.method() == http::Method::POST {
                    let bytes = request.into_body().collect_bytes().await?;
                    let event: Value = serde_json::from_slice(&bytes)?;
                    events.lock().push((event["regarding"]["name"].clone(), event["note"].clone()));
                    return Ok(Response::new(Body::from(bytes.to_vec())));
                }
                if query.contains("watch=") {
                    return std::future::pending::<Result<_, BoxError>>().await;
                }
                let limit = value("limit=").and_then(|limit| limit.parse().ok()).unwrap_or(usize::MAX);
                let from: usize = value("continue=").and_then(|from| from.parse().ok()).unwrap_or_default();
                limits.lock().push(limit);
                let until = from.saturating_add(limit).min(SECRETS);
                let items: Vec<Value> = (from..until)
                    .map(|number| {
                        // The last is longer than a token may be.
                        let token = "t".repeat(if number + 1 == SECRETS { 1_000_000 } else { 16 + number });
                        let mut secret = manifest(&format!("s{number}"), &token, &json!({}));
                        secret["data"]["other"] = "A".repeat(1024 * 1024).into();
                        secret
                    })
                    .collect();
                let next = (until < SECRETS).then(|| until.to_string());
                let list = json!({
                    "apiVersion": "v1", "kind": "SecretList", "items": items,
                    "metadata": {"resourceVersion": "1", "continue": next},
                });
                Ok::<_, BoxError>(Response::new(Body::from(list.to_string().into_bytes())))
            }
        })
    };
    let (auth, watch) = Auth::new(Client::new(server, "default"), settings(300));
    let watch = tokio::spawn(watch);
    auth.ready().await;
    assert_eq!(*limits.lock(), [10, 10, 10]);
    for number in 0..SECRETS - 1 {
        let token = "t".repeat(16 + number);
        let admitted = auth.admit(&authorization(&token), peer(1), Verb::Get, Resource::Webhooks).await;
        assert_eq!(admitted, Ok(team(&format!("s{number}"))));
    }
    while events.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    let note = "data.token: has more than 4096 characters: make a shorter token";
    assert_eq!(*events.lock(), [(json!("s24"), json!(note))], "an Event tells of the one that opens nothing");
    watch.abort();
}

#[tokio::test]
async fn no_token_is_invalid_and_no_namespace_empty_while_one_is_closed() {
    let answers = async |closed: &[&str]| {
        let scope = Scope::new(["team", "other"].map(str::to_owned));
        scope.settle(closed.iter().map(|namespace| (*namespace).to_owned()).collect());
        let (auth, _) = Reviewer::new(AuthSettings { scope, ..AuthSettings::default() });
        let mut index = Fold::new(index(&auth));
        let listed = Event::InitApply(secret("ci", TOKEN, &json!({})));
        [Event::Init, listed, Event::InitDone].iter().for_each(|event| index.observe(event));
        let call = async |token: &str, namespace: &str| {
            let headers = headers(&[("authorization", token.as_bytes()), ("x-oncall-namespace", namespace.as_bytes())]);
            match auth.admit(&headers, peer(1), Verb::Get, Resource::Webhooks).await {
                Ok(caller) => (200, caller.namespace.to_string()),
                Err(error) => (error.status.as_u16(), error.body["detail"].as_str().unwrap_or_default().to_owned()),
            }
        };
        let jwt = jwt_of("bot", 0);
        [call(TOKEN, "").await, call("oncall_9876543210", "").await, call(&jwt, "").await, call(&jwt, "other").await]
    };
    let named = |status: u16, text: &str| (status, text.to_owned());
    let (team, invalid) = (named(200, "team"), named(403, "Invalid token."));
    assert_eq!(answers(&[]).await, [team.clone(), invalid, team.clone(), named(200, "other")]);
    let unknown = named(503, "The token can't be checked: not all namespaces can be read now.");
    let unread = named(503, "Namespace other can't be read now: see the log of this process.");
    assert_eq!(answers(&["other"]).await, [team.clone(), unknown.clone(), team, unread.clone()]);
    let own = named(503, "Namespace team can't be read now: see the log of this process.");
    assert_eq!(answers(&["other", "team"]).await, [own.clone(), unknown, own, unread], "its own is closed");
}
