//! The latest response of each webhook for each alert group: what templates see as `responses`.
//!
//! Names are listed at the start, as metadata; after that every response is one of ours and is noted when it is recorded.
//! Contents are read only when an event of the same alert group needs them and they are not at hand.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::StreamExt;
use kube::{ResourceExt, core::PartialObjectMeta};
use parking_lot::{Mutex, RwLock};
use quick_cache::{Weighter, sync::Cache};

use crate::{
    core::{event::response_value, json::Object},
    errors::error_chain,
    kubernetes::{
        objects::{self, Objects},
        resource_version::ResourceVersion,
    },
    resources::{ALERT_GROUP_LABEL, EVENT_LABEL, WEBHOOK_LABEL, WebhookResponse, label_value},
};

/// Bound on the contents that are kept at hand, in bytes.
const CONTENTS: u64 = 32 * 1024 * 1024;

/// About what the cache needs for one of them beside the content, in bytes.
const ENTRY: u64 = 500;

/// Namespace and label value of an alert group.
type Group = (String, String);

/// The latest response of one webhook.
#[derive(Clone, Debug)]
struct Latest {
    /// Label value of the webhook.
    webhook: String,
    /// Name of the WebhookResponse.
    response: String,
    recorded: Recorded,
}

/// When a response was recorded. Later ones are greater: what this process noted comes after all that a list named.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Recorded {
    /// Before it was listed, with this version.
    Listed(ResourceVersion),
    /// By this process, as the so many-th.
    Here(u64),
}

/// What templates need of a response.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) webhook_id: String,
    pub(crate) content: Option<String>,
}

#[derive(Clone)]
struct Bytes;

/// The label values of a response's webhook and alert group.
fn labels(response: &PartialObjectMeta<WebhookResponse>) -> Option<(String, String)> {
    let label = |key| response.labels().get(key).cloned();
    Some((label(WEBHOOK_LABEL)?, label(ALERT_GROUP_LABEL)?))
}

impl Weighter<(String, String), Arc<Content>> for Bytes {
    fn weight(&self, _: &(String, String), value: &Arc<Content>) -> u64 {
        value.content.as_ref().map_or(0, String::len) as u64 + ENTRY
    }
}

pub(crate) struct History {
    objects: Objects,
    /// Hashes of the namespaces and names that the last list had, but for those that are gone; and of the events of all that it
    /// had.
    listed: RwLock<HashSet<u64>>,
    /// What a list that is under way has named so far, and the next turn when it began.
    listing: Mutex<(HashSet<u64>, u64)>,
    hasher: RandomState,
    groups: Mutex<HashMap<Group, Vec<Latest>>>,
    noted: AtomicU64,
    /// By namespace and name of the WebhookResponse.
    contents: Cache<(String, String), Arc<Content>, Bytes>,
}

impl History {
    pub(crate) fn new(objects: Objects) -> Self {
        Self {
            objects,
            listed: RwLock::default(),
            listing: Mutex::default(),
            hasher: RandomState::new(),
            groups: Mutex::default(),
            noted: AtomicU64::new(0),
            contents: Cache::with_weighter(10_000, CONTENTS, Bytes),
        }
    }

    /// A list begins.
    pub(crate) fn list(&self) {
        *self.listing.lock() = (HashSet::new(), self.noted.load(Ordering::Relaxed));
    }

    /// Takes in a response that a list names.
    pub(crate) fn found(&self, response: &PartialObjectMeta<WebhookResponse>) {
        let (namespace, name) = (response.namespace().unwrap_or_default(), response.name_any());
        {
            let listed = &mut self.listing.lock().0;
            listed.insert(self.hash(&namespace, &name));
            listed.extend(response.labels().get(EVENT_LABEL).map(|event| self.hash_of_event(&namespace, event)));
        }
        let Some((webhook, group)) = labels(response) else { return };
        let recorded = Recorded::Listed(ResourceVersion::of(response));
        self.latest((namespace, group), Latest { webhook, response: name, recorded });
    }

    /// A list has ended: forgets what it does not have.
    pub(crate) fn listed(&self) {
        let (listed, began) = std::mem::take(&mut *self.listing.lock());
        self.groups.lock().retain(|(namespace, _), all| {
            all.retain(|latest| {
                latest.recorded >= Recorded::Here(began) || listed.contains(&self.hash(namespace, &latest.response))
            });
            !all.is_empty()
        });
        *self.listed.write() = listed;
    }

    /// Forgets a response that is gone.
    pub(crate) fn gone(&self, response: &PartialObjectMeta<WebhookResponse>) {
        let (namespace, name) = (response.namespace().unwrap_or_default(), response.name_any());
        self.listed.write().remove(&self.hash(&namespace, &name));
        if let Some((_, group)) = labels(response) {
            let mut groups = self.groups.lock();
            let key = (namespace.clone(), group);
            if let Some(all) = groups.get_mut(&key) {
                all.retain(|latest| latest.response != name);
                if all.is_empty() {
                    groups.remove(&key);
                }
            }
        }
        self.contents.remove(&(namespace, name));
    }

    fn hash(&self, namespace: &str, response: &str) -> u64 {
        self.hasher.hash_one((namespace, response))
    }

    /// No name is like that.
    fn hash_of_event(&self, namespace: &str, label: &str) -> u64 {
        self.hasher.hash_one((namespace, EVENT_LABEL, label))
    }

    fn latest(&self, group: Group, latest: Latest) {
        let mut groups = self.groups.lock();
        let all = groups.entry(group).or_default();
        match all.iter_mut().find(|other| other.webhook == latest.webhook) {
            Some(other) if other.recorded <= latest.recorded => *other = latest,
            Some(_) => {}
            None => all.push(latest),
        }
    }

    /// Whether a response of this name may have been there at the last list. False is certain.
    pub(crate) fn was_there(&self, namespace: &str, response: &str) -> bool {
        self.listed.read().contains(&self.hash(namespace, response))
    }

    /// Whether an event of this name may have had responses at the last list. False is certain.
    pub(crate) fn had_responses(&self, namespace: &str, event: &str) -> bool {
        self.listed.read().contains(&self.hash_of_event(namespace, &label_value(event)))
    }

    /// Notes a response that has just been recorded.
    pub(crate) fn note(&self, namespace: &str, group: &str, webhook: &str, response: &str, content: Content) {
        self.contents.insert((namespace.to_owned(), response.to_owned()), Arc::new(content));
        let recorded = Recorded::Here(self.noted.fetch_add(1, Ordering::Relaxed));
        let latest = Latest { webhook: label_value(webhook), response: response.to_owned(), recorded };
        self.latest((namespace.to_owned(), label_value(group)), latest);
    }

    /// What a webhook sees as `responses`: the latest content of every other webhook for the alert group.
    pub(crate) async fn responses(&self, namespace: &str, group: &str, webhook: &str) -> Object {
        let own = label_value(webhook);
        let others: Vec<String> = match self.groups.lock().get(&(namespace.to_owned(), label_value(group))) {
            None => return Object::new(),
            Some(all) => {
                all.iter().filter(|latest| latest.webhook != own).map(|latest| latest.response.clone()).collect()
            }
        };
        let contents = others.into_iter().map(|response| self.content(namespace, response));
        let contents: Vec<_> = contents.collect::<futures::stream::FuturesOrdered<_>>().collect().await;
        contents
            .into_iter()
            .flatten()
            .map(|content| (Arc::from(content.webhook_id.as_str()), response_value(content.content.as_deref())))
            .collect()
    }

    /// None if it is gone, or can't be read.
    async fn content(&self, namespace: &str, response: String) -> Option<Arc<Content>> {
        let key = (namespace.to_owned(), response);
        if let Some(content) = self.contents.get(&key) {
            return Some(content);
        }
        let found = match objects::persist(|| self.objects.get::<WebhookResponse>(namespace, &key.1)).await {
            Ok(found) => found?,
            Err(error) => {
                tracing::error!(error = error_chain(&error), "leave a response out of what templates see");
                return None;
            }
        };
        let content = Arc::new(Content {
            webhook_id: found.spec.webhook_ref.id,
            content: found.status.and_then(|status| status.content),
        });
        self.contents.insert(key, Arc::clone(&content));
        Some(content)
    }
}

#[cfg(test)]
mod tests {
    use http::Uri;
    use kube::{Client, Config};
    use serde_json::json;

    use super::*;

    fn response(webhook: &str, version: u64) -> PartialObjectMeta<WebhookResponse> {
        let labels = json!({WEBHOOK_LABEL: webhook, ALERT_GROUP_LABEL: "I1"});
        let name = format!("response-of-{webhook}");
        let metadata =
            json!({"name": name, "namespace": "team", "labels": labels, "resourceVersion": version.to_string()});
        serde_json::from_value(json!({"metadata": metadata})).unwrap()
    }

    #[tokio::test]
    async fn a_list_shows_what_is_gone_but_not_what_is_newer_than_it() {
        // Nobody is asked.
        let client = Client::try_from(Config::new(Uri::from_static("http://127.0.0.1:1"))).unwrap();
        let history = History::new(Objects::new(client, "test"));
        history.list();
        ["a", "b"].into_iter().for_each(|webhook| history.found(&response(webhook, 1)));
        history.listed();
        history.list();
        let content = Content { webhook_id: "WHC".to_owned(), content: None };
        history.note("team", "I1", "c", "response-of-c", content);
        history.found(&response("b", 1));
        history.listed();

        let there = ["a", "b", "c"].map(|webhook| history.was_there("team", &format!("response-of-{webhook}")));
        assert_eq!(there, [false, true, false]);
        let group = history.groups.lock().remove(&("team".to_owned(), "I1".to_owned())).unwrap();
        assert_eq!(
            group.into_iter().map(|latest| latest.response).collect::<Vec<_>>(),
            ["response-of-b", "response-of-c"]
        );
    }
}
