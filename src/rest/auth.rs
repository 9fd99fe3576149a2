//! Who may call the REST API: from a call's headers and what it is to do, to the namespace that it works in, or a refusal.
//!
//! ```text
//! Secrets oncall.dev/api-token=true ──► tokens ───────────┐
//! Authorization ──┬─ bare ──► one of these? ──────────────┴─► limit ─► may it write? ────────┬─► Caller
//!                 └─ a JWT ─► may it be valid? (jwt) ─► its peer's turn (strangers)          │
//!                              ─► TokenReview (service_accounts) ─► limit ─► SubjectAccessReview ┘
//! ```

mod jwt;
mod limit;
mod problems;
mod service_accounts;
mod strangers;
mod tokens;

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, TryStreamExt, channel::mpsc, future};
use http::{HeaderMap, HeaderValue, StatusCode, header::AUTHORIZATION};
use kube::{
    Client,
    runtime::{
        WatchStreamExt,
        watcher::{self, watcher},
    },
};
use parking_lot::RwLock;
use tokio::sync::SetOnce;

use self::{
    jwt::is_jwt,
    limit::LimitKey,
    service_accounts::{AccessReviews, KubernetesUser, Permission},
    tokens::{ReadSecret, SecretProblem, TokenAccess, TokenSecret, Tokens},
};
pub(crate) use self::{
    jwt::{Issuers, issuer},
    limit::{MINUTE, RateLimiter, seconds as whole_seconds},
    strangers::StrangerLimits,
    tokens::{TOKEN_HASH, TokenHash},
};
use super::error::ApiError;
use crate::{
    errors::error_chain,
    kubernetes::{
        backoff::WatchBackoff,
        client::api_of,
        index::{Index, follow},
        scope::Scope,
        watch::watch_scope,
    },
    resources::{API_TOKEN_LABEL, READ_ONLY_LABEL, is_name},
    server::PeerKey,
};

/// How many Secrets come in one page of a list: each may have 1 MiB.
const PAGE: u32 = 10;

/// After how many seconds to call again where a namespace can't be read: it may have been looked at again by then.
const CLOSED: u64 = 15;

/// The header in which callers with a Kubernetes token name the namespace.
pub(crate) const NAMESPACE_HEADER: &str = "X-OnCall-Namespace";

/// A verb of Kubernetes, for what a call does.
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

/// A resource of Kubernetes, for what a call does it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Resource {
    Webhooks,
    Responses,
    Integrations,
    AlertGroups,
    AlertGroupEvents,
}

impl Resource {
    fn plural(self) -> &'static str {
        match self {
            Self::Webhooks => "webhooks",
            Self::Responses => "webhookresponses",
            Self::Integrations => "integrations",
            Self::AlertGroups => "alertgroups",
            Self::AlertGroupEvents => "alertgroupevents",
        }
    }
}

/// Who makes a call that is permitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The namespace that the call sees and changes.
    pub(crate) namespace: Arc<str>,
    /// `Secret team/ci`, or a Kubernetes user's name.
    pub(crate) name: String,
    /// Who does what the call asks for, as alert groups name their users: `ci`, or a Kubernetes user's name.
    pub(crate) username: String,
}

/// The token in an `Authorization` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Credential<'a> {
    /// Without `Bearer`, as OnCall has it: any token.
    Bare(&'a str),
    /// A Kubernetes token with `Bearer`, as Kubernetes has it.
    Bearer(&'a str),
}

impl<'a> Credential<'a> {
    /// Finds the token; None for what can't be one.
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

/// The value of a header that is there at most once; `Err` where it is there several times.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a HeaderValue>, ()> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() { Err(()) } else { Ok(first) }
}

/// The namespace that a caller names in [`NAMESPACE_HEADER`], if any.
fn named_namespace(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let value = only(headers, NAMESPACE_HEADER);
    let text = value.and_then(|value| value.map(HeaderValue::to_str).transpose().or(Err(())));
    // An empty header counts as none.
    let text = text.map(|text| text.filter(|text| !text.is_empty()));
    match text {
        Ok(text) if text.is_none_or(|text| is_name(text, 63, false)) => Ok(text),
        _ => Err(ApiError::denied(format_args!(
            "{NAMESPACE_HEADER} is not the name of a namespace: lower-case letters, digits and -, at most 63, a letter \
             or digit first and last."
        ))),
    }
}

/// Permits a call with an API token, or says why not.
fn permit(access: &TokenAccess, named: Option<&str>, verb: Verb) -> Result<Caller, ApiError> {
    let TokenAccess { secret, read_only } = access;
    let namespace = &secret.namespace;
    if named.is_some_and(|named| named != &**namespace) {
        return Err(ApiError::denied(format_args!(
            "This token opens namespace {namespace} alone: leave {NAMESPACE_HEADER} out."
        )));
    }
    if *read_only && !verb.only_reads() {
        return Err(ApiError::denied(format_args!(
            "This token is for reading only: Secret {secret} has the label {READ_ONLY_LABEL}=true."
        )));
    }
    let (name, username) = (format!("Secret {secret}"), secret.name.to_string());
    Ok(Caller { namespace: Arc::clone(namespace), name, username })
}

fn throttled(wait: Duration) -> ApiError {
    ApiError::throttled(limit::seconds(wait))
}

/// Whose token a call came with.
enum Identity {
    Token(TokenAccess),
    User(Arc<KubernetesUser>),
}

/// Tells who may call. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Auth(Arc<Inner>);

struct Inner {
    tokens: RwLock<Tokens>,
    /// Set when the Secrets have been listed for the first time.
    listed: SetOnce<()>,
    reviews: AccessReviews,
    limit: RateLimiter<LimitKey>,
    /// The namespaces that are served.
    scope: Scope,
}

/// Says whose calls are let in, and how many.
#[derive(Clone, Debug, Default)]
pub(crate) struct AuthSettings {
    /// The namespaces that are served.
    pub(crate) scope: Scope,
    /// How many calls in a minute are taken of each token, or of each Kubernetes user in a namespace.
    pub(crate) calls_per_minute: usize,
    /// Whose JWTs are worth a question.
    pub(crate) issuers: Issuers,
    /// How often the API server is asked about tokens that it has not taken so far.
    pub(crate) strangers: StrangerLimits,
}

impl Auth {
    /// Lets callers in as `settings` say. The future that is returned watches the tokens' Secrets, and never ends.
    pub(crate) fn new(client: Client, settings: AuthSettings) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let AuthSettings { scope, calls_per_minute, issuers, strangers } = settings;
        let labelled = watcher::Config::default().labels(&format!("{API_TOKEN_LABEL}=true")).page_size(PAGE);
        let secrets = client.clone();
        let changes = watch_scope(&scope, move |namespace| {
            let changes =
                watcher(api_of::<ReadSecret>(&secrets, namespace), labelled.clone()).backoff(WatchBackoff::default());
            let namespace = namespace.map(str::to_owned);
            let changes = changes.inspect_err(move |error| {
                tracing::warn!(
                    namespace,
                    error = error_chain(error),
                    "the watch of the Secrets with API tokens failed; it begins again by itself"
                );
            });
            changes.boxed()
        });
        let (told, untold) = mpsc::channel(problems::QUEUE);
        let telling = problems::tell(client.clone(), untold);
        let auth = Self(Arc::new(Inner {
            tokens: RwLock::default(),
            listed: SetOnce::new(),
            reviews: AccessReviews::new(client, issuers, strangers),
            limit: RateLimiter::new(calls_per_minute, MINUTE),
            scope,
        }));
        let watching = follow(changes, TokenIndex { auth: auth.clone(), told }, |_| {});
        let work = async {
            future::join(watching, telling).await;
        };
        (auth, work)
    }

    /// Waits until the Secrets have been listed.
    pub(crate) async fn ready(&self) {
        self.0.listed.wait().await;
    }

    /// Lets a call of `peer` in, or says why not: authentication, then the limit on calls, then permission.
    pub(crate) async fn admit(
        &self,
        headers: &HeaderMap,
        peer: PeerKey,
        verb: Verb,
        resource: Resource,
    ) -> Result<Caller, ApiError> {
        let credential = Credential::read(headers).ok_or_else(ApiError::invalid_token)?;
        let (Credential::Bare(token) | Credential::Bearer(token)) = credential;
        let hash = TokenHash::of(token);
        let identity = self.identify(credential, hash, peer).await?;
        match identity {
            Identity::Token(access) => {
                self.0.limit.call(LimitKey::Token(hash), Instant::now()).map_err(throttled)?;
                self.open(permit(&access, named_namespace(headers)?, verb)?)
            }
            Identity::User(user) => {
                let denied = LimitKey::Denied { name: user.name().to_owned() };
                self.0.limit.room(&denied, Instant::now()).map_err(throttled)?;
                let admitted = self.admit_user(&user, hash, headers, verb, resource).await;
                if admitted.as_ref().is_err_and(|error| error.status == StatusCode::FORBIDDEN) {
                    // This call is answered already.
                    let _ = self.0.limit.call(denied, Instant::now());
                }
                admitted
            }
        }
    }

    async fn admit_user(
        &self,
        user: &KubernetesUser,
        hash: TokenHash,
        headers: &HeaderMap,
        verb: Verb,
        resource: Resource,
    ) -> Result<Caller, ApiError> {
        let name = user.name().to_owned();
        let namespace: Arc<str> = user.namespace(named_namespace(headers)?, &self.0.scope)?.into();
        let counted = LimitKey::User { name: name.clone(), namespace: Arc::clone(&namespace) };
        self.0.limit.call(counted, Instant::now()).map_err(throttled)?;
        let permission = Permission { verb, resource, namespace: Arc::clone(&namespace) };
        self.0.reviews.permit(hash, user, permission).await?;
        self.open(Caller { namespace, username: name.clone(), name })
    }

    /// Lets a caller into its namespace, unless that is closed.
    fn open(&self, caller: Caller) -> Result<Caller, ApiError> {
        let namespace = &caller.namespace;
        if self.0.scope.is_closed(namespace) {
            let detail = format!("Namespace {namespace} can't be read now: see the log of this process.");
            return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, detail).after(CLOSED));
        }
        Ok(caller)
    }

    async fn identify(&self, credential: Credential<'_>, hash: TokenHash, peer: PeerKey) -> Result<Identity, ApiError> {
        let token = match credential {
            Credential::Bare(token) => {
                if let Some(access) = self.0.tokens.read().get(&hash) {
                    return Ok(Identity::Token(access.clone()));
                }
                token
            }
            Credential::Bearer(token) => token,
        };
        if is_jwt(token) {
            return self.0.reviews.user(hash, token, peer).await.map(Identity::User);
        }
        if self.0.scope.is_partly_closed() {
            let detail = "The token can't be checked: not all namespaces can be read now.";
            return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, detail).after(CLOSED));
        }
        if self.0.listed.initialized() {
            return Err(ApiError::invalid_token());
        }
        let detail = "The token can't be checked: the tokens are not read yet.";
        Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, detail).after(1))
    }
}

/// Keeps the tokens as the watch shows their Secrets. What is listed counts together, at the end of the list.
struct TokenIndex {
    auth: Auth,
    told: mpsc::Sender<SecretProblem>,
}

impl TokenIndex {
    fn update(&mut self, update: impl FnOnce(&mut Tokens) -> Vec<SecretProblem>) {
        let problems = update(&mut self.auth.0.tokens.write());
        for problem in problems {
            let (namespace, secret) = (&*problem.secret.namespace, &*problem.secret.name);
            tracing::warn!(namespace, secret, "{problem}");
            // Where too many wait, it stands in the log.
            let _ = self.told.try_send(problem);
        }
    }
}

impl Index for TokenIndex {
    type Object = ReadSecret;
    type Listed = TokenSecret;

    fn list(&mut self, secret: &ReadSecret) -> TokenSecret {
        TokenSecret::read(secret)
    }

    fn retain(&mut self, listed: Vec<TokenSecret>) {
        self.update(|tokens| tokens.replace(listed));
        // It is set again after each time that the watch had to begin anew.
        let _ = self.auth.0.listed.set(());
    }

    fn apply(&mut self, secret: &ReadSecret) {
        self.update(|tokens| tokens.apply(TokenSecret::read(secret)));
    }

    fn delete(&mut self, secret: &ReadSecret) {
        self.update(|tokens| tokens.remove(&TokenSecret::read(secret)));
    }
}

#[cfg(test)]
mod tests;
