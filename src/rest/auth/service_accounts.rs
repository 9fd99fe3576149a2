//! Kubernetes' own tokens: from a JWT to its user (TokenReview), and whether that user has a permission
//! (SubjectAccessReview).
//!
//! Answers are cached for a while, so that a loop over a list asks once. About a token that the API server has not taken so far,
//! it is asked only within bounds ([`Strangers`]); refusals are kept apart, so that a flood of them displaces no others.

use std::{
    fmt::Debug,
    future::Future,
    hash::Hash,
    sync::Arc,
    time::{Duration, Instant},
};

use http::StatusCode;
use jiff::Timestamp;
use k8s_openapi::{
    ClusterResourceScope,
    api::{
        authentication::v1::{TokenReview, TokenReviewSpec, UserInfo},
        authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
    },
};
use kube::{Client, Resource as _};
use quick_cache::sync::Cache;
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::Semaphore;

use super::{
    NAMESPACE_HEADER, Resource, Verb,
    jwt::Issuers,
    strangers::{StrangerLimits, Strangers, Turn},
    tokens::TokenHash,
};
use crate::{
    errors::error_chain,
    kubernetes::{reviews, scope::Scope},
    resources::Webhook,
    rest::error::ApiError,
    server::PeerKey,
};

/// How long an answer counts.
const LIFETIME: Duration = Duration::from_secs(10);
/// Bound on the answers of each kind that are kept.
const ANSWERS: usize = 4096;
/// Bound on one review, the wait for a permit included.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Bound on the reviews of users that are known, and of tokens that were taken before, that are under way at a time.
const REVIEWS: usize = 8;

/// The user that a token belongs to, as the API server says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct KubernetesUser(UserInfo);

impl KubernetesUser {
    pub(crate) fn name(&self) -> &str {
        self.0.username.as_deref().unwrap_or_default()
    }

    /// The namespace that a call works in: the one that it names, else the ServiceAccount's own. It must be one of
    /// those that are served.
    pub(crate) fn namespace<'a>(&'a self, named: Option<&'a str>, served: &Scope) -> Result<&'a str, ApiError> {
        let own =
            || self.name().strip_prefix("system:serviceaccount:")?.split_once(':').map(|(namespace, _)| namespace);
        let namespace = named.or_else(own).ok_or_else(|| {
            let name = self.name();
            ApiError::denied(format_args!("{name} is no ServiceAccount: name a namespace in {NAMESPACE_HEADER}."))
        })?;
        match served.names() {
            _ if served.contains(namespace) => Ok(namespace),
            [only] => Err(ApiError::denied(format_args!("Only namespace {only} is served here, not {namespace}."))),
            _ => Err(ApiError::denied(format_args!("Namespace {namespace} is not served here."))),
        }
    }
}

/// The permission to do something in a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Permission {
    pub(crate) verb: Verb,
    pub(crate) resource: Resource,
    pub(crate) namespace: Arc<str>,
}

impl Permission {
    fn review(&self, user: &KubernetesUser) -> SubjectAccessReview {
        let UserInfo { username, groups, uid, extra } = user.0.clone();
        let resource_attributes = ResourceAttributes {
            group: Some(Webhook::group(&()).into_owned()),
            resource: Some(self.resource.plural().to_owned()),
            verb: Some(self.verb.word().to_owned()),
            namespace: Some(String::from(&*self.namespace)),
            ..ResourceAttributes::default()
        };
        let spec = SubjectAccessReviewSpec {
            user: username,
            groups,
            uid,
            extra,
            resource_attributes: Some(resource_attributes),
            non_resource_attributes: None,
        };
        SubjectAccessReview { spec, ..SubjectAccessReview::default() }
    }

    /// The refusal of a call without the permission, in kubectl's words.
    fn denied(&self, user: &KubernetesUser) -> ApiError {
        ApiError::denied(format_args!(
            "{} may not {} {}.{} in namespace {}.",
            user.name(),
            self.verb.word(),
            self.resource.plural(),
            Webhook::group(&()),
            self.namespace
        ))
    }
}

/// Answers by question, each for as long as it counts.
struct AnswerCache<K, V>(Cache<K, (Instant, V)>);

impl<K: Clone + Eq + Hash, V: Clone> AnswerCache<K, V> {
    fn new() -> Self {
        Self(Cache::new(ANSWERS))
    }

    /// The answer that is cached, or the one that `ask` gives now. However many callers wait for the same answer, one of them
    /// asks.
    async fn get<E>(&self, key: &K, now: Instant, ask: impl Future<Output = Result<V, E>>) -> Result<V, E> {
        self.0.remove_if(key, |(asked, _)| now.saturating_duration_since(*asked) >= LIFETIME);
        let ask = async { Ok((now, ask.await?)) };
        self.0.get_or_insert_async(key, ask).await.map(|(_, answer)| answer)
    }
}

/// Asks the API server about tokens and users.
pub(crate) struct AccessReviews {
    client: Client,
    issuers: Issuers,
    /// For tokens that the API server has not taken so far.
    strangers: Strangers,
    /// For all others.
    reviews_under_way: Semaphore,
    users: AnswerCache<TokenHash, Option<Arc<KubernetesUser>>>,
    permissions: AnswerCache<(TokenHash, Permission), bool>,
    /// When tokens were refused.
    refused: Cache<TokenHash, Instant>,
    /// Tokens that were taken, some of which have been revoked since.
    taken: Cache<TokenHash, ()>,
}

impl AccessReviews {
    pub(crate) fn new(client: Client, issuers: Issuers, limits: StrangerLimits) -> Self {
        Self {
            client,
            issuers,
            strangers: Strangers::new(limits),
            reviews_under_way: Semaphore::new(REVIEWS),
            users: AnswerCache::new(),
            permissions: AnswerCache::new(),
            refused: Cache::new(ANSWERS),
            taken: Cache::new(ANSWERS),
        }
    }

    /// Finds the user of a token that `peer` has brought.
    pub(crate) async fn user(
        &self,
        hash: TokenHash,
        token: &str,
        peer: PeerKey,
    ) -> Result<Arc<KubernetesUser>, ApiError> {
        let (now, seconds) = (Instant::now(), Timestamp::now().as_second());
        let was_refused = self.refused.get(&hash).is_some_and(|at| now.saturating_duration_since(at) < LIFETIME);
        if was_refused || !self.issuers.may_be_valid(token, seconds) {
            return Err(ApiError::invalid_token());
        }
        let ask = async {
            let turn = match self.taken.get(&hash) {
                Some(()) => None,
                None => Some(self.strangers.turn(peer).await?),
            };
            self.review(token, turn).await
        };
        match answered(self.users.get(&hash, now, ask)).await? {
            Some(user) => {
                self.taken.insert(hash, ());
                Ok(user)
            }
            None => {
                // It makes room in the cache of those that are taken.
                if self.users.0.remove(&hash).is_some() {
                    self.strangers.refused(peer);
                }
                self.taken.remove(&hash);
                self.refused.insert(hash, Instant::now());
                Err(ApiError::invalid_token())
            }
        }
    }

    /// Asks whose a token is; None if it is nobody's. `turn` is the turn of a token that nobody knows.
    async fn review(&self, token: &str, turn: Option<Turn<'_>>) -> Result<Option<Arc<KubernetesUser>>, AskError> {
        let spec = TokenReviewSpec { token: Some(token.to_owned()), ..TokenReviewSpec::default() };
        let review = TokenReview { spec, ..TokenReview::default() };
        let review = match turn {
            Some(_turn) => reviews::ask(&self.client, &review).await?,
            None => self.ask_in_turn(&review).await?,
        };
        let status = review.status.filter(|status| status.authenticated == Some(true));
        let user = status.and_then(|status| status.user).map(KubernetesUser).filter(|user| !user.name().is_empty());
        Ok(user.map(Arc::new))
    }

    /// Finds out whether a user has a permission.
    pub(crate) async fn permit(
        &self,
        hash: TokenHash,
        user: &KubernetesUser,
        permission: Permission,
    ) -> Result<(), ApiError> {
        let ask = async {
            let review = self.ask_in_turn(&permission.review(user)).await?;
            Ok(review.status.is_some_and(|status| status.allowed))
        };
        let key = (hash, permission.clone());
        if answered(self.permissions.get(&key, Instant::now(), ask)).await? {
            Ok(())
        } else {
            Err(permission.denied(user))
        }
    }

    async fn ask_in_turn<K>(&self, review: &K) -> anyhow::Result<K>
    where
        K: kube::Resource<Scope = ClusterResourceScope, DynamicType = ()> + Serialize + DeserializeOwned,
    {
        // The semaphore is never closed.
        let _permit = self.reviews_under_way.acquire().await;
        reviews::ask(&self.client, review).await
    }
}

/// Why there is no answer.
#[derive(Debug)]
enum AskError {
    /// Nobody was asked.
    NotAsked(ApiError),
    /// The API server gave none.
    Failed(anyhow::Error),
}

impl From<ApiError> for AskError {
    fn from(error: ApiError) -> Self {
        Self::NotAsked(error)
    }
}

impl From<anyhow::Error> for AskError {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

/// Waits for an answer, within a bound.
async fn answered<T>(answer: impl Future<Output = Result<T, AskError>>) -> Result<T, ApiError> {
    let reason = match tokio::time::timeout(TIMEOUT, answer).await {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(AskError::NotAsked(error))) => return Err(error),
        Ok(Err(AskError::Failed(error))) => error_chain(error.as_ref()),
        Err(_) => format!("no answer within {} s", TIMEOUT.as_secs()),
    };
    tracing::warn!(
        error = reason,
        "failed to ask the API server about a Kubernetes token; the call was answered with 503"
    );
    let detail = "The token can't be checked: the Kubernetes API gives no answer.";
    Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, detail).after(1))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use serde_json::json;

    use super::*;

    fn user(name: &str) -> KubernetesUser {
        KubernetesUser(UserInfo { username: Some(name.to_owned()), ..UserInfo::default() })
    }

    fn permission(verb: Verb, resource: Resource) -> Permission {
        Permission { verb, resource, namespace: "team".into() }
    }

    #[test]
    fn the_header_names_the_namespace_else_it_is_the_service_accounts() {
        let bot = "system:serviceaccount:team:bot";
        let denied = |why| Err(ApiError::denied(why));
        let unnamed = "admin is no ServiceAccount: name a namespace in X-OnCall-Namespace.";
        let cases = [
            (bot, None, &[][..], Ok("team")),
            (bot, Some("other"), &[], Ok("other")),
            ("admin", Some("other"), &[], Ok("other")),
            ("admin", None, &[], denied(unnamed)),
            (bot, None, &["team"], Ok("team")),
            (bot, Some("other"), &["other"], Ok("other")),
            (bot, None, &["other"], denied("Only namespace other is served here, not team.")),
            (bot, Some("other"), &["team"], denied("Only namespace team is served here, not other.")),
            ("admin", None, &["team"], denied(unnamed)),
            (bot, None, &["other", "team"], Ok("team")),
            (bot, Some("other"), &["other", "team"], Ok("other")),
            (bot, Some("third"), &["other", "team"], denied("Namespace third is not served here.")),
            ("admin", None, &["other", "team"], denied(unnamed)),
        ];
        for (name, named, served, expected) in cases {
            let scope = Scope::new(served.iter().map(|name| (*name).to_owned()));
            assert_eq!(user(name).namespace(named, &scope), expected, "{name} {named:?} {served:?}");
        }
    }

    #[test]
    fn a_review_names_the_user_the_verb_the_resource_and_the_namespace() {
        let info = json!({"username": "bot", "uid": "1", "groups": ["g"], "extra": {"k": ["v"]}});
        let bot = KubernetesUser(serde_json::from_value(info).unwrap());
        let cases = [
            (Verb::List, Resource::Webhooks, "list", "webhooks"),
            (Verb::Get, Resource::Webhooks, "get", "webhooks"),
            (Verb::Create, Resource::Webhooks, "create", "webhooks"),
            (Verb::Update, Resource::Webhooks, "update", "webhooks"),
            (Verb::Delete, Resource::Webhooks, "delete", "webhooks"),
            (Verb::List, Resource::Responses, "list", "webhookresponses"),
        ];
        for (verb, resource, word, plural) in cases {
            let spec = serde_json::to_value(permission(verb, resource).review(&bot).spec).unwrap();
            let attributes = json!({"group": "oncall.dev", "resource": plural, "verb": word, "namespace": "team"});
            let expected = json!({
                "user": "bot", "uid": "1", "groups": ["g"], "extra": {"k": ["v"]}, "resourceAttributes": attributes,
            });
            assert_eq!(spec, expected);
            let detail = format!(
                "You do not have permission to perform this action. bot may not {word} {plural}.oncall.dev in namespace team."
            );
            assert_eq!(permission(verb, resource).denied(&bot), ApiError::new(StatusCode::FORBIDDEN, detail));
        }
    }

    #[tokio::test]
    async fn an_answer_counts_for_ten_seconds_and_a_failure_not_at_all() {
        let (answers, asked) = (AnswerCache::<&str, bool>::new(), Cell::new(0));
        let start = Instant::now();
        let get = async |key, second, answer: Result<bool, &'static str>| {
            let now = start + Duration::from_secs(second);
            let ask = async {
                asked.set(asked.get() + 1);
                answer
            };
            answers.get(&key, now, ask).await
        };
        let cases = [
            ("a", 0, Err("away"), Err("away"), 1),
            ("a", 0, Ok(true), Ok(true), 2),
            ("a", 9, Ok(false), Ok(true), 2),
            ("b", 9, Ok(false), Ok(false), 3),
            ("a", 10, Ok(false), Ok(false), 4),
            ("b", 18, Ok(true), Ok(false), 4),
            ("b", 19, Err("away"), Err("away"), 5),
            ("b", 19, Ok(true), Ok(true), 6),
        ];
        for (key, second, answer, expected, count) in cases {
            assert_eq!((get(key, second, answer).await, asked.get()), (expected, count), "{key} {second}");
        }
    }

    #[tokio::test]
    async fn callers_that_wait_for_the_same_answer_ask_once() {
        let (answers, asked) = (AnswerCache::<&str, bool>::new(), Cell::new(0));
        let now = Instant::now();
        let calls = (0..50).map(|_| {
            answers.get(&"a", now, async {
                asked.set(asked.get() + 1);
                tokio::task::yield_now().await;
                Ok::<_, ()>(true)
            })
        });
        assert_eq!(futures::future::join_all(calls).await, vec![Ok(true); 50]);
        assert_eq!(asked.get(), 1);
    }
}
