//! Finds out in which of several namespaces this process may list what it needs.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::{Future, pending},
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, ListParams},
};
use tokio::time::{sleep, timeout};

use super::Scope;
use crate::{errors::error_chain, kubernetes::objects::FORBIDDEN, metrics::WatchMetrics};

/// How soon to ask again where there was no answer, or nothing is allowed yet; and how soon after [`FORBIDDEN`].
const SOON: Duration = Duration::from_secs(1);
const LATER: Duration = Duration::from_secs(15);
/// How often to look whether anything has changed.
const LOOK: Duration = Duration::from_secs(10);
/// How far apart replicas end.
const SPREAD: Duration = Duration::from_secs(20);
/// Bound on one question.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How many namespaces are asked about at a time.
const QUESTIONS: usize = 4;

/// What the API server says of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    /// All that is needed may be listed there.
    Open,
    /// Objects of this kind may not.
    Refused(String),
    /// Nothing: this went wrong.
    None(String),
}

/// What follows from the answers about all namespaces.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// The process begins, without these.
    Begin(BTreeSet<String>),
    /// It asks again.
    Again,
    /// It may do nothing anywhere, and that does not pass by itself.
    Nowhere,
}

/// Settles a scope of several namespaces; resolves when what was found out then has changed. Never resolves for other scopes.
pub(crate) async fn keep(scope: &Scope, client: &Client, kinds: &[ApiResource], metrics: &WatchMetrics) {
    if !scope.is_several() {
        return pending().await;
    }
    let ask = |namespace: &str| answer(client, namespace.to_owned(), kinds);
    scope.settle(begin(scope, ask, metrics).await);
    changed(scope, ask).await;
}

/// Waits a while, another one in each replica: those that serve calls do not end all at once.
pub(crate) async fn spread() {
    let share = getrandom::u32().unwrap_or_default() % 1000;
    sleep(SPREAD * share / 1000).await;
}

/// Asks until the process may begin. Returns the namespaces that are closed to it.
async fn begin<F: Future<Output = Answer>>(
    scope: &Scope,
    ask: impl Fn(&str) -> F,
    metrics: &WatchMetrics,
) -> BTreeSet<String> {
    let since = Instant::now();
    let (mut said, mut before) = (false, None);
    loop {
        let names = scope.names().iter();
        let ask_one = |name: &String| {
            let (name, asked) = (name.clone(), ask(name));
            async move { (name, asked.await) }
        };
        let answers: BTreeMap<String, Answer> =
            stream::iter(names.map(ask_one)).buffer_unordered(QUESTIONS).collect().await;
        metrics.closed(refused(&answers).len());
        let again = match verdict(&answers, before.as_ref(), since.elapsed()) {
            Verdict::Begin(closed) => {
                answers.iter().for_each(|(namespace, answer)| say_if_refused(namespace, answer));
                return closed;
            }
            Verdict::Again => {
                before = Some(refused(&answers));
                SOON
            }
            Verdict::Nowhere => {
                if !std::mem::replace(&mut said, true) {
                    answers.iter().for_each(|(namespace, answer)| say_if_refused(namespace, answer));
                }
                LATER
            }
        };
        for (namespace, answer) in &answers {
            if let Answer::None(error) = answer {
                tracing::warn!(namespace, error, "failed to find out what may be listed in a namespace; trying again");
            }
        }
        sleep(again).await;
    }
}

fn say_if_refused(namespace: &str, answer: &Answer) {
    if let Answer::Refused(kind) = answer {
        tracing::error!(
            namespace,
            kind,
            "the API server refuses to list a kind in a namespace of --namespace: nothing is done in this namespace until it may be \
             listed; give the ServiceAccount its Role there, or take the namespace off the list"
        );
    }
}

/// Where something is refused.
fn refused(answers: &BTreeMap<String, Answer>) -> BTreeSet<String> {
    let refused = answers.iter().filter(|(_, answer)| matches!(answer, Answer::Refused(_)));
    refused.map(|(namespace, _)| namespace.clone()).collect()
}

/// What follows from answers, so long after the first question, and where something was refused when it was asked before. An API server
/// that has just started does not know its rules yet, and refuses everything; it may come to know them between two questions.
fn verdict(answers: &BTreeMap<String, Answer>, before: Option<&BTreeSet<String>>, waited: Duration) -> Verdict {
    let closed = refused(answers);
    let is_early = waited < FORBIDDEN;
    if answers.values().any(|answer| matches!(answer, Answer::None(_))) {
        Verdict::Again
    } else if closed.is_empty() || (closed.len() < answers.len() && (before == Some(&closed) || !is_early)) {
        Verdict::Begin(closed)
    } else if closed.len() < answers.len() || is_early {
        Verdict::Again
    } else {
        Verdict::Nowhere
    }
}

/// Resolves when a namespace that was closed may be listed, or one that was open may not, for longer than that passes by itself.
async fn changed<F: Future<Output = Answer>>(scope: &Scope, ask: impl Fn(&str) -> F) {
    let mut refused = Refused::default();
    loop {
        sleep(LOOK).await;
        let doubted = scope.doubted();
        for namespace in scope.names() {
            let is_closed = scope.is_closed(namespace);
            if !is_closed && !doubted.contains(namespace) {
                continue;
            }
            match refused.note(namespace, is_closed, ask(namespace).await, Instant::now()) {
                Change::None => {}
                Change::Trusted => scope.trust(namespace),
                Change::Opened => {
                    tracing::info!(
                        namespace,
                        "a namespace of --namespace may be listed now: this process ends soon, and begins anew with it"
                    );
                    return;
                }
                Change::Closed(kind) => {
                    tracing::error!(
                        namespace,
                        kind,
                        "the API server refuses to list a kind in a namespace of --namespace that could be listed before: this process \
                         ends soon, and begins anew without it"
                    );
                    return;
                }
            }
        }
    }
}

/// What an answer changes.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    None,
    /// The namespace was doubted, and is open.
    Trusted,
    /// It was closed, and is open.
    Opened,
    /// It was open, and is closed for this kind.
    Closed(String),
}

/// Since when open namespaces are refused.
#[derive(Default)]
struct Refused(BTreeMap<String, Instant>);

impl Refused {
    /// Takes in what is answered now about a namespace that was found closed, or open.
    fn note(&mut self, namespace: &str, was_closed: bool, answer: Answer, now: Instant) -> Change {
        match (was_closed, answer) {
            (true, Answer::Open) => Change::Opened,
            (false, Answer::Open) => {
                self.0.remove(namespace);
                Change::Trusted
            }
            (false, Answer::Refused(kind)) => {
                let since = *self.0.entry(namespace.to_owned()).or_insert(now);
                let is_lasting = now.saturating_duration_since(since) >= FORBIDDEN;
                if is_lasting { Change::Closed(kind) } else { Change::None }
            }
            (false, Answer::None(_)) => {
                self.0.remove(namespace);
                Change::None
            }
            (true, Answer::Refused(_) | Answer::None(_)) => Change::None,
        }
    }
}

/// Asks the API server for one object of each kind, and no more of it than its metadata.
async fn answer(client: &Client, namespace: String, kinds: &[ApiResource]) -> Answer {
    for kind in kinds {
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, kind);
        let listed = match timeout(TIMEOUT, api.list_metadata(&ListParams::default().limit(1))).await {
            Ok(listed) => listed.map(drop),
            Err(_) => return Answer::None(format!("list {}: no answer within {TIMEOUT:?}", kind.plural)),
        };
        match listed {
            // There may be no such kind, which is said elsewhere.
            Ok(()) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(kube::Error::Api(status)) if status.code == 403 => return Answer::Refused(kind.kind.clone()),
            Err(error) => return Answer::None(format!("list {}: {}", kind.plural, error_chain(&error))),
        }
    }
    Answer::Open
}

#[cfg(test)]
mod tests {
    use axum::http::{Request, Response};
    use k8s_openapi::api::core::v1::Secret;
    use kube::client::Body;
    use parking_lot::Mutex;
    use serde_json::json;
    use tower::{BoxError, service_fn};

    use super::*;
    use crate::resources::Webhook;

    #[tokio::test]
    async fn a_namespace_is_open_where_each_kind_may_be_listed_or_is_not_there() {
        let kinds = [ApiResource::erase::<Webhook>(&()), ApiResource::erase::<Secret>(&())];
        let refused = |kind: &str| Answer::Refused(kind.to_owned());
        for (of_webhooks, of_secrets, expected) in [
            (200, 200, Answer::Open),
            (404, 200, Answer::Open),
            (403, 200, refused("Webhook")),
            (200, 403, refused("Secret")),
            (404, 403, refused("Secret")),
        ] {
            assert_eq!(answered(of_webhooks, of_secrets, &kinds).await, expected, "{of_webhooks} {of_secrets}");
        }
        let Answer::None(error) = answered(200, 500, &kinds).await else { panic!("it is not known") };
        assert!(error.starts_with("list secrets: "), "{error}");
    }

    /// The answer about `team` of an API server that answers so where objects are listed there.
    async fn answered(of_webhooks: u16, of_secrets: u16, kinds: &[ApiResource]) -> Answer {
        let asked = std::sync::Arc::<Mutex<Vec<String>>>::default();
        let log = std::sync::Arc::clone(&asked);
        let server = service_fn(move |request: Request<Body>| {
            let uri = request.uri().to_string();
            let code = if uri.contains("/secrets") { of_secrets } else { of_webhooks };
            log.lock().push(uri);
            let body = match code {
                200 => {
                    json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList", "metadata": {}, "items": []})
                }
                code => {
                    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": "no"})
                }
            };
            async move {
                Ok::<_, BoxError>(Response::builder().status(code).body(Body::from(body.to_string().into_bytes()))?)
            }
        });
        let answer = answer(&Client::new(server, "default"), "team".to_owned(), kinds).await;
        assert!(asked.lock().iter().all(|uri| uri.contains("/namespaces/team/") && uri.contains("limit=1")));
        answer
    }

    fn answers(all: &[(&str, Answer)]) -> BTreeMap<String, Answer> {
        all.iter().map(|(name, answer)| ((*name).to_owned(), answer.clone())).collect()
    }

    #[test]
    fn a_process_begins_where_it_may_and_not_before_each_namespace_has_an_answer() {
        let refused = || Answer::Refused("Webhook".to_owned());
        let none = || Answer::None("away".to_owned());
        let without = |names: &[&str]| Verdict::Begin(names.iter().map(|name| (*name).to_owned()).collect());
        let (early, late) = (FORBIDDEN - SOON, FORBIDDEN);
        // What is answered, where something was refused before, after how long; and what follows.
        let cases: [(_, Option<&[&str]>, _, _); 12] = [
            ([Answer::Open, Answer::Open], None, early, without(&[])),
            ([Answer::Open, Answer::Open], Some(&["a"]), early, without(&[])),
            ([Answer::Open, refused()], None, early, Verdict::Again),
            ([Answer::Open, refused()], Some(&["b"]), early, without(&["b"])),
            ([Answer::Open, refused()], Some(&["a", "b"]), early, Verdict::Again),
            ([refused(), Answer::Open], Some(&["b"]), late, without(&["a"])),
            ([Answer::Open, none()], Some(&[]), late, Verdict::Again),
            ([refused(), none()], Some(&["a"]), late, Verdict::Again),
            ([refused(), refused()], None, early, Verdict::Again),
            ([refused(), refused()], Some(&["a", "b"]), early, Verdict::Again),
            ([refused(), refused()], Some(&["a", "b"]), late, Verdict::Nowhere),
            ([refused(), refused()], None, late, Verdict::Nowhere),
        ];
        for ([a, b], before, waited, expected) in cases {
            let all = answers(&[("a", a), ("b", b)]);
            let earlier = before.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
            assert_eq!(
                verdict(&all, earlier.as_ref(), waited),
                expected,
                "{all:?}, before {before:?}, after {waited:?}"
            );
        }
    }

    #[test]
    fn a_namespace_has_changed_when_it_is_open_that_was_closed_or_is_refused_for_long_that_was_open() {
        let refused = || Answer::Refused("Webhook".to_owned());
        let none = || Answer::None("away".to_owned());
        let start = Instant::now();
        // Whether it was closed; what is answered after how many seconds, and what that changes.
        let cases = [
            (true, vec![(0, refused(), Change::None), (60, none(), Change::None), (61, Answer::Open, Change::Opened)]),
            (false, vec![(0, refused(), Change::None), (10, none(), Change::None), (20, refused(), Change::None)]),
            (false, vec![(0, refused(), Change::None), (20, refused(), Change::Closed("Webhook".to_owned()))]),
            (
                false,
                vec![
                    (0, refused(), Change::None),
                    (10, Answer::Open, Change::Trusted),
                    (20, refused(), Change::None),
                    (39, refused(), Change::None),
                    (40, refused(), Change::Closed("Webhook".to_owned())),
                ],
            ),
        ];
        for (was_closed, answers) in cases {
            let mut known = Refused::default();
            for (second, answer, expected) in answers {
                let now = start + Duration::from_secs(second);
                assert_eq!(known.note("b", was_closed, answer, now), expected, "{was_closed} after {second} s");
            }
        }
    }
}
