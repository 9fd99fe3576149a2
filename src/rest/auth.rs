//! Who may call the REST API: a call's headers and what it is to do in; out, the namespace it works in, or a refusal.
//!
//! ```text
//! Secrets oncall.dev/api-token=true ──► tokens ───────────┐
//! Authorization ──┬─ bare ──► one of these? ──────────────┴─► limit ─► may it write? ────────┬─► Caller
//!                 └─ a JWT ─► TokenReview (service_accounts) ─► limit ─► SubjectAccessReview ┘
//! ```

mod limit;
mod service_accounts;
mod tokens;

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::StreamExt;
use http::{HeaderMap, HeaderValue, StatusCode, header::AUTHORIZATION};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Client,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use parking_lot::RwLock;
use tokio::sync::SetOnce;

pub(crate) use self::tokens::{TOKEN_HASH, TokenHash};
use self::{
    limit::{Counted, Limit},
    service_accounts::{Deed, Reviews, User, is_jwt},
    tokens::{Entry, Grant, Tokens},
};
use super::refusal::Refusal;
use crate::{
    errors::error_chain,
    kubernetes::client::api_of,
    resources::{API_TOKEN_LABEL, READ_ONLY_LABEL, is_name},
};

/// The header in which callers with a Kubernetes token name the namespace.
pub(crate) const NAMESPACE_HEADER: &str = "X-OnCall-Namespace";

/// What a call does, in Kubernetes' words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Verb {
    Get,
    List,
    Create,
    Update,
    Delete,
}

impl Verb {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    fn only_reads(self) -> bool {
        matches!(self, Self::Get | Self::List)
    }
}

/// What a call does it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Resource {
    Webhooks,
    Responses,
}

impl Resource {
    fn plural(self) -> &'static str {
        match self {
            Self::Webhooks => "webhooks",
            Self::Responses => "webhookresponses",
        }
    }
}

/// Who calls, once it is known that they may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The one that the call sees and changes.
    pub(crate) namespace: Arc<str>,
    /// `Secret team/ci`, or a Kubernetes user's name.
    pub(crate) name: String,
}

/// What an `Authorization` header holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Credential<'a> {
    /// Without `Bearer`, as OnCall has it: any token.
    Bare(&'a str),
    /// A Kubernetes token with `Bearer`, as Kubernetes has it.
    Bearer(&'a str),
}

impl<'a> Credential<'a> {
    /// None for what can't be a token.
    fn read(headers: &'a HeaderMap) -> Option<Self> {
        let text = only(headers, AUTHORIZATION.as_str()).ok()??.to_str().ok()?;
        match text.split_once(' ') {
            None => Some(Self::Bare(text)).filter(|_| !text.is_empty()),
            Some((scheme, token)) => {
                let token = token.trim_matches(' ');
                (scheme.eq_ignore_ascii_case("bearer") && is_jwt(token)).then_some(Self::Bearer(token))
            }
        }
    }
}

/// The one value of a header; `Err` where there are several.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a HeaderValue>, ()> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() { Err(()) } else { Ok(first) }
}

/// The namespace that a caller names, if any.
fn named_namespace(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let value = only(headers, NAMESPACE_HEADER);
    let text = value.and_then(|value| value.map(HeaderValue::to_str).transpose().or(Err(())));
    // Empty is as good as none.
    let text = text.map(|text| text.filter(|text| !text.is_empty()));
    match text {
        Ok(text) if text.is_none_or(|text| is_name(text, 63, false)) => Ok(text),
        _ => Err(Refusal::denied(format_args!(
            "{NAMESPACE_HEADER} is not the name of a namespace: lower-case letters, digits and -, at most 63, a letter \
             or digit first and last."
        ))),
    }
}

/// Whether an API token goes as far as a call does.
fn permit(grant: &Grant, named: Option<&str>, verb: Verb) -> Result<Caller, Refusal> {
    let Grant { namespace, secret, read_only } = grant;
    if named.is_some_and(|named| named != &**namespace) {
        return Err(Refusal::denied(format_args!(
            "This token opens namespace {namespace} alone: leave {NAMESPACE_HEADER} out."
        )));
    }
    if *read_only && !verb.only_reads() {
        return Err(Refusal::denied(format_args!(
            "This token is for reading only: Secret {namespace}/{secret} has the label {READ_ONLY_LABEL}=true."
        )));
    }
    Ok(Caller { namespace: Arc::clone(namespace), name: format!("Secret {namespace}/{secret}") })
}

fn throttled(wait: Duration) -> Refusal {
    Refusal::throttled(limit::seconds(wait))
}

/// Whose token a call has.
enum Identity {
    Token(Grant),
    User(Arc<User>),
}

/// Knows who may call.
#[derive(Clone)]
pub(crate) struct Auth(Arc<Inner>);

struct Inner {
    tokens: RwLock<Tokens>,
    /// Set when the Secrets were listed for the first time.
    listed: SetOnce<()>,
    reviews: Reviews,
    limit: Limit,
    /// The one that is served, or all.
    namespace: Option<Arc<str>>,
}

impl Auth {
    /// For the objects of `namespace` or of all, and for so many calls in a minute of each token, or of each Kubernetes
    /// user in a namespace. The future watches
    /// the tokens' Secrets, for ever.
    pub(crate) fn new(
        client: Client,
        namespace: Option<&str>,
        calls_per_minute: usize,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let labelled = watcher::Config::default().labels(&format!("{API_TOKEN_LABEL}=true"));
        let mut changes = watcher(api_of::<Secret>(&client, namespace), labelled).default_backoff().boxed();
        let auth = Self(Arc::new(Inner {
            tokens: RwLock::default(),
            listed: SetOnce::new(),
            reviews: Reviews::new(client),
            limit: Limit::new(calls_per_minute),
            namespace: namespace.map(Into::into),
        }));
        let watching = auth.clone();
        let watch = async move {
            let mut listing = Vec::new();
            while let Some(change) = changes.next().await {
                match change {
                    Ok(event) => watching.observe(event, &mut listing),
                    Err(error) => tracing::warn!(error = error_chain(&error), "watch the Secrets of API tokens"),
                }
            }
        };
        (auth, watch)
    }

    /// `listing` is what was seen so far of a list that has not come to its end.
    fn observe(&self, event: Event<Secret>, listing: &mut Vec<Entry>) {
        let faults = match event {
            Event::Init => {
                listing.clear();
                return;
            }
            Event::InitApply(secret) => {
                listing.push(Entry::read(&secret));
                return;
            }
            Event::InitDone => self.0.tokens.write().replace(listing.drain(..)),
            Event::Apply(secret) => self.0.tokens.write().apply(Entry::read(&secret)),
            Event::Delete(secret) => self.0.tokens.write().remove(&Entry::read(&secret)),
        };
        for fault in faults {
            tracing::warn!("{fault}");
        }
        // What comes after the end of a list does not matter: it is set only once.
        let _ = self.0.listed.set(());
    }

    /// Waits until the Secrets were listed.
    pub(crate) async fn ready(&self) {
        self.0.listed.wait().await;
    }

    /// Who calls, and whether they may: authentication, then the limit on calls, then permission.
    pub(crate) async fn admit(&self, headers: &HeaderMap, verb: Verb, resource: Resource) -> Result<Caller, Refusal> {
        let credential = Credential::read(headers).ok_or_else(Refusal::invalid_token)?;
        let (Credential::Bare(token) | Credential::Bearer(token)) = credential;
        let hash = TokenHash::of(token);
        let identity = self.identify(credential, hash).await?;
        match identity {
            Identity::Token(grant) => {
                self.0.limit.call(Counted::Token(hash), Instant::now()).map_err(throttled)?;
                permit(&grant, named_namespace(headers)?, verb)
            }
            Identity::User(user) => {
                let denied = Counted::Denied { name: user.name().to_owned() };
                self.0.limit.room(&denied, Instant::now()).map_err(throttled)?;
                let admitted = self.admit_user(&user, hash, headers, verb, resource).await;
                if admitted.as_ref().is_err_and(|refusal| refusal.status == StatusCode::FORBIDDEN) {
                    // This one is answered already.
                    let _ = self.0.limit.call(denied, Instant::now());
                }
                admitted
            }
        }
    }

    async fn admit_user(
        &self,
        user: &User,
        hash: TokenHash,
        headers: &HeaderMap,
        verb: Verb,
        resource: Resource,
    ) -> Result<Caller, Refusal> {
        let name = user.name().to_owned();
        let namespace: Arc<str> = user.namespace(named_namespace(headers)?, self.0.namespace.as_deref())?.into();
        let counted = Counted::User { name: name.clone(), namespace: Arc::clone(&namespace) };
        self.0.limit.call(counted, Instant::now()).map_err(throttled)?;
        let deed = Deed { verb, resource, namespace: Arc::clone(&namespace) };
        self.0.reviews.permit(hash, user, deed).await?;
        Ok(Caller { namespace, name })
    }

    async fn identify(&self, credential: Credential<'_>, hash: TokenHash) -> Result<Identity, Refusal> {
        let token = match credential {
            Credential::Bare(token) => {
                if let Some(grant) = self.0.tokens.read().get(&hash) {
                    return Ok(Identity::Token(grant.clone()));
                }
                token
            }
            Credential::Bearer(token) => token,
        };
        if is_jwt(token) {
            return self.0.reviews.user(hash, token).await.map(Identity::User);
        }
        if self.0.listed.initialized() {
            return Err(Refusal::invalid_token());
        }
        let detail = "The token can't be checked: the tokens are not read yet.";
        Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, detail).after(1))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use http::{HeaderName, Request, Response};
    use kube::client::Body;
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
        let mut listing = Vec::new();
        let listed = secrets.iter().cloned().map(Event::InitApply);
        for event in [Event::Init].into_iter().chain(listed).chain([Event::InitDone]) {
            auth.observe(event, &mut listing);
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
        let refused = Refusal::new(StatusCode::FORBIDDEN, detail);
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
                _ => assert_eq!(read, Err(Refusal::new(StatusCode::FORBIDDEN, detail))),
            }
        }
        let with =
            |namespace: &[u8]| headers(&[("authorization", TOKEN.as_bytes()), ("x-oncall-namespace", namespace)]);
        assert_eq!(auth.admit(&with(b"team"), Verb::Get, Resource::Webhooks).await, Ok(team("ci")));
        let detail = "You do not have permission to perform this action. This token opens namespace team alone: leave \
                      X-OnCall-Namespace out.";
        assert_eq!(
            auth.admit(&with(b"other"), Verb::Get, Resource::Webhooks).await,
            Err(Refusal::new(StatusCode::FORBIDDEN, detail))
        );
        for value in ["oncall_0123456780", "Bearer oncall_0123456789", "oncall_012345678", "oncall_01234567890", ""] {
            let refused = auth.admit(&authorization(value), Verb::Get, Resource::Webhooks).await;
            assert_eq!(refused, Err(Refusal::invalid_token()), "{value}");
        }
        assert_eq!(asked.load(Ordering::Relaxed), 0, "the API server is not asked for these");
    }

    #[tokio::test]
    async fn a_secret_that_goes_takes_its_token_with_it() {
        let (auth, _) = auth(300, &[secret("ci", TOKEN, &json!({}))]);
        let call = async || auth.admit(&authorization(TOKEN), Verb::Get, Resource::Webhooks).await;
        assert_eq!(call().await, Ok(team("ci")));
        let mut listing = Vec::new();
        auth.observe(Event::Init, &mut listing);
        assert_eq!(call().await, Ok(team("ci")), "until a new list has come to its end");
        auth.observe(Event::InitDone, &mut listing);
        assert_eq!(call().await, Err(Refusal::invalid_token()));
        auth.observe(Event::Apply(secret("ci", TOKEN, &json!({}))), &mut listing);
        assert_eq!(call().await, Ok(team("ci")));
        auth.observe(Event::Delete(secret("ci", TOKEN, &json!({}))), &mut listing);
        assert_eq!(call().await, Err(Refusal::invalid_token()));
    }

    #[tokio::test]
    async fn calls_are_counted_for_valid_tokens_before_permission_is_looked_at() {
        let (auth, _) = auth(2, &[secret("ci", TOKEN, &json!({READ_ONLY_LABEL: "true"}))]);
        let call = async |token, verb| auth.admit(&authorization(token), verb, Resource::Webhooks).await;
        for _ in 0..5 {
            assert_eq!(call("oncall_wrong_0123456789", Verb::Get).await, Err(Refusal::invalid_token()));
        }
        let status = |result: Result<Caller, Refusal>| result.map_or_else(|refusal| refusal.status.as_u16(), |_| 200);
        assert_eq!(status(call(TOKEN, Verb::Delete).await), 403);
        assert_eq!(status(call(TOKEN, Verb::Get).await), 200);
        let refused = call(TOKEN, Verb::Get).await.unwrap_err();
        assert_eq!(refused, Refusal::throttled(refused.retry_after.unwrap()));
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
            admitted.map_or_else(|refusal| refusal.status.as_u16(), |_| 200)
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
        let away = |detail| Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, detail).after(1));
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
}
