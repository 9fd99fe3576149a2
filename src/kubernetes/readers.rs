//! Who may read a route of the health port: whoever brings a Kubernetes token whose user may `get` its path, as RBAC says
//! (`nonResourceURLs`).
//!
//! ```text
//! Prometheus ──Bearer token──► allowed? ──(the process' runtime) TokenReview, SubjectAccessReview──► API server
//!                                 └─► the route, or 401, 403, 503
//! ```
//! The client's connections are the process': one that began on the health port's thread would carry others' calls there, and end with
//! that port.
//!
//! Answers count for a while, so that a scrape costs next to nothing. Tokens of which nothing is known are asked about one at a time
//! and not more often than [`PACE`] says: whoever makes some up costs the API server little.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Error, Result};
use axum::{
    Router,
    extract::{Request, State},
    http::{
        HeaderMap, StatusCode,
        header::{AUTHORIZATION, WWW_AUTHENTICATE},
    },
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use k8s_openapi::{
    ClusterResourceScope,
    api::{
        authentication::v1::{TokenReview, TokenReviewSpec, UserInfo},
        authorization::v1::{NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
    },
};
use kube::{Client, Resource};
use quick_cache::sync::Cache;
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use tokio::{runtime::Handle, sync::Mutex, time::Instant as Time};
use tokio_util::task::AbortOnDropHandle;

use super::reviews;
use crate::errors::error_chain;

/// How long an answer counts: longer than the time from one scrape to the next.
const LIFETIME: Duration = Duration::from_secs(75);
/// How long one that lets somebody in counts while the API server gives no other: metrics are needed just then.
const LIFETIME_IN_OUTAGES: Duration = Duration::from_secs(60 * 60);
/// Bound on the answers that are kept.
const ANSWERS: usize = 256;
/// Bound on both questions together.
const TIMEOUT: Duration = Duration::from_secs(4);
/// The least time between questions about two tokens.
const PACE: Duration = Duration::from_millis(200);
/// Bound on a token, in bytes: the API server's own are a tenth of that.
const LONGEST: usize = 16 * 1024;

/// What is known of the bearer of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bearer {
    /// The API server does not know him.
    Unknown,
    /// He may not read it.
    Denied,
    /// He may.
    Allowed,
}

/// Whom to ask about tokens, and where: on the runtime that the client belongs to.
pub(super) type Asking = (Client, Handle);

/// Lets through to `routes` those who may read them.
pub(super) fn only_for_readers(routes: Router, asking: Asking) -> Router {
    let readers = Readers { asking, answers: Cache::new(ANSWERS), next: Mutex::new(Time::now()) };
    routes.route_layer(middleware::from_fn_with_state(Arc::new(readers), judge))
}

async fn judge(State(readers): State<Arc<Readers>>, request: Request, next: Next) -> Response {
    let Some(token) = token(request.headers()) else { return refusal(Bearer::Unknown) };
    match readers.of(token, request.uri().path()).await {
        Ok(Bearer::Allowed) => next.run(request).await,
        Ok(bearer) => refusal(bearer),
        Err(error) => {
            tracing::warn!(
                error = error_chain(error.as_ref()),
                "failed to ask the API server who reads the metrics; the call was answered with 503"
            );
            (StatusCode::SERVICE_UNAVAILABLE, "the Kubernetes API gives no answer about the token: try again\n")
                .into_response()
        }
    }
}

fn refusal(bearer: Bearer) -> Response {
    if bearer == Bearer::Denied {
        return (StatusCode::FORBIDDEN, "the token's user may not get this path: a ClusterRole allows it\n")
            .into_response();
    }
    (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")], "bring a Kubernetes token that is valid\n")
        .into_response()
}

/// The token of a request, if it looks like one.
fn token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.len() <= LONGEST).then_some(token)
}

/// Asks the API server about tokens.
struct Readers {
    asking: Asking,
    /// By the SHA-256 of token and path.
    answers: Cache<[u8; 32], (Instant, Bearer)>,
    /// When the next question may be asked.
    next: Mutex<Time>,
}

impl Readers {
    /// Whether the bearer of a token may read a path.
    async fn of(&self, token: &str, path: &str) -> Result<Bearer> {
        let key = Sha256::new().chain_update(token).chain_update([0]).chain_update(path).finalize().into();
        let known = self.answers.get(&key);
        if let Some((_, bearer)) = known.filter(|(asked, _)| asked.elapsed() < LIFETIME) {
            return Ok(bearer);
        }
        let asked = tokio::time::timeout(TIMEOUT, self.ask(token, path)).await.map_err(Error::from);
        match (asked.flatten(), known) {
            (Ok(bearer), _) => {
                self.answers.insert(key, (Instant::now(), bearer));
                Ok(bearer)
            }
            (Err(_), Some((asked, Bearer::Allowed))) if asked.elapsed() < LIFETIME_IN_OUTAGES => Ok(Bearer::Allowed),
            (Err(error), _) => Err(error),
        }
    }

    async fn ask(&self, token: &str, path: &str) -> Result<Bearer> {
        let mut next = self.next.lock().await;
        tokio::time::sleep_until(*next).await;
        *next = Time::now() + PACE;
        let spec = TokenReviewSpec { token: Some(token.to_owned()), ..TokenReviewSpec::default() };
        let review = self.review(TokenReview { spec, ..TokenReview::default() }).await?;
        let status = review.status.filter(|status| status.authenticated == Some(true));
        let Some(user) = status.and_then(|status| status.user) else { return Ok(Bearer::Unknown) };
        let review = self.review(access(user, path)).await?;
        Ok(if review.status.is_some_and(|status| status.allowed) { Bearer::Allowed } else { Bearer::Denied })
    }

    /// Has the API server answer a review. It is asked no longer than somebody waits for that.
    async fn review<K>(&self, review: K) -> Result<K>
    where
        K: Resource<Scope = ClusterResourceScope, DynamicType = ()>
            + Serialize
            + DeserializeOwned
            + Send
            + Sync
            + 'static,
    {
        let (client, runtime) = &self.asking;
        let client = client.clone();
        AbortOnDropHandle::new(runtime.spawn(async move { reviews::ask(&client, &review).await })).await?
    }
}

/// The question whether a user may get a path.
fn access(UserInfo { username, groups, uid, extra }: UserInfo, path: &str) -> SubjectAccessReview {
    let attributes = NonResourceAttributes { path: Some(path.to_owned()), verb: Some("get".to_owned()) };
    let spec = SubjectAccessReviewSpec {
        user: username,
        groups,
        uid,
        extra,
        non_resource_attributes: Some(attributes),
        resource_attributes: None,
    };
    SubjectAccessReview { spec, ..SubjectAccessReview::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_stands_behind_bearer_and_is_not_too_long() {
        let long = format!("Bearer {}", "a".repeat(LONGEST + 1));
        for (header, expected) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc ", Some("abc")),
            ("Bearer ", None),
            ("Bearer", None),
            ("Basic abc", None),
            ("abc", None),
            (&*long, None),
        ] {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, header.parse().unwrap())]);
            assert_eq!(token(&headers), expected, "{header}");
        }
        assert_eq!(token(&HeaderMap::new()), None);
    }
}
