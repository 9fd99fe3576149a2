//! The latest response of each webhook for each alert group: what templates see as `responses`.
//!
//! Names are listed at the start, as metadata; after that every response is written by this process, which notes it.
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
use serde::Deserialize;

use super::journal::Journal;
use crate::{
    core::{
        delivery::EventKey,
        event::{response_value, value_size},
        id,
        json::{Json, Object},
        lifecycle::ListedResponses,
    },
    errors::error_chain,
    kubernetes::{
        name::{NamespacedName, name_of},
        objects::{self, Objects},
        resource_version::{ResourceVersion, version_of},
    },
    memory::{CACHE_ENTRY, cache},
    resources::{ALERT_GROUP_LABEL, EVENT_LABEL, WEBHOOK_LABEL, WebhookResponse, label_value, recorded_at},
};

/// About how many bytes a content usually has.
const USUAL: u64 = 2 * 1024;

/// Hash of an alert group: its namespace, and the label value of its id.
type GroupHash = u64;

/// The latest response of one webhook for an alert group. There may be hundreds of thousands.
#[derive(Clone, Debug)]
struct LatestResponse {
    /// Hash of the label value of the webhook.
    webhook: u64,
    /// Hash of the response's namespace and name.
    hash: u64,
    /// Name of the WebhookResponse.
    response: Box<str>,
    recorded: Recorded,
}

/// When a response was recorded. Later ones are greater: those that this process noted come after all that were listed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Recorded {
    /// Before it was listed: at this time, in microseconds (0 where that is not known), and with this version.
    Listed(i64, ResourceVersion),
    /// By this process: how many it had noted before.
    Here(u64),
}

/// The part of a response that templates see.
#[derive(Clone, Debug)]
pub(crate) struct ResponseContent {
    pub(crate) webhook_id: String,
    pub(crate) content: Option<String>,
}

impl ResponseContent {
    /// The part of a response that templates see.
    pub(crate) fn of(response: WebhookResponse) -> Self {
        let content = response.status.and_then(|status| status.content);
        Self { webhook_id: response.spec.webhook_ref.id, content }
    }
}

/// The same as a value, which all templates that see it share.
#[derive(Debug)]
struct ResponseValue {
    webhook_id: Arc<str>,
    value: Json,
}

impl From<&ResponseContent> for ResponseValue {
    fn from(content: &ResponseContent) -> Self {
        Self { webhook_id: Arc::from(content.webhook_id.as_str()), value: response_value(content.content.as_deref()) }
    }
}

/// A content at hand.
#[derive(Clone)]
enum Content {
    /// Nobody has asked for it yet.
    Text(Arc<ResponseContent>),
    Value(Arc<ResponseValue>),
}

#[derive(Clone)]
struct ContentWeight;

impl Weighter<NamespacedName, Content> for ContentWeight {
    fn weight(&self, name: &NamespacedName, content: &Content) -> u64 {
        let bytes = match content {
            Content::Text(content) => content.content.as_ref().map_or(0, String::len),
            Content::Value(value) => value_size(&value.value),
        };
        CACHE_ENTRY + (bytes + name.namespace.len() + name.name.len()) as u64
    }
}

/// What is read of a WebhookResponse for its content.
#[derive(Deserialize)]
struct ContentPart {
    spec: ContentSpec,
    status: Option<ContentStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContentSpec {
    webhook_ref: ContentWebhook,
}

#[derive(Deserialize)]
struct ContentWebhook {
    id: String,
}

#[derive(Deserialize)]
struct ContentStatus {
    content: Option<String>,
}

/// The label values of a response's webhook and alert group.
fn labels(response: &impl ResourceExt) -> Option<(String, String)> {
    let label = |key| response.labels().get(key).cloned();
    Some((label(WEBHOOK_LABEL)?, label(ALERT_GROUP_LABEL)?))
}

/// Hashes of the names of a listed response and of its event. There may be hundreds of thousands.
pub(crate) struct ListedHashes {
    response: u64,
    event: Option<u64>,
}

/// The latest responses, and which responses the last list has named.
pub(crate) struct History {
    objects: Objects,
    journal: Arc<Journal>,
    /// The same hashes of what other processes have left in the journal.
    adopted: RwLock<HashSet<u64>>,
    /// Hashes of the responses whose records were pending when the last list began.
    pending: Mutex<HashSet<u64>>,
    /// Hashes of the names of the responses that the last list named, but for those that are gone; and of the names of the
    /// events of all that it named.
    listed: RwLock<HashSet<u64>>,
    hasher: RandomState,
    groups: Mutex<HashMap<GroupHash, Vec<LatestResponse>>>,
    /// How many responses this process has noted.
    noted: AtomicU64,
    /// By the name of the WebhookResponse.
    contents: Cache<NamespacedName, Content, ContentWeight>,
}

impl History {
    /// Keeps contents of up to `budget` bytes at hand.
    pub(crate) fn new(objects: Objects, journal: Arc<Journal>, budget: u64) -> Self {
        Self {
            objects,
            journal,
            adopted: RwLock::default(),
            pending: Mutex::default(),
            listed: RwLock::default(),
            hasher: RandomState::new(),
            groups: Mutex::default(),
            noted: AtomicU64::new(0),
            contents: cache(budget, USUAL, ContentWeight),
        }
    }

    /// This moment, among those at which responses were recorded: later ones are not less.
    pub(crate) fn now(&self) -> Recorded {
        Recorded::Here(self.noted.load(Ordering::Relaxed))
    }

    /// Takes in that a list begins. Returns this moment.
    pub(crate) fn begin_list(&self) -> Recorded {
        // They may be written out after the list was made, and before it has ended.
        let pending = self.journal.pending();
        *self.pending.lock() = pending.iter().map(|name| self.hash(&name.namespace, &name.name)).collect();
        self.now()
    }

    /// Takes in a response that another process has left in the journal.
    pub(crate) fn adopt(&self, response: &WebhookResponse) {
        let ListedHashes { response, event } = self.found(response);
        self.adopted.write().extend([response].into_iter().chain(event));
    }

    /// Takes in a response that a list names.
    pub(crate) fn found(&self, response: &impl ResourceExt) -> ListedHashes {
        let NamespacedName { namespace, name } = name_of(response);
        let event = response.labels().get(EVENT_LABEL);
        let hashes = ListedHashes {
            response: self.hash(&namespace, &name),
            event: event.map(|event| self.hash_of_event(&namespace, event)),
        };
        if let Some((webhook, group)) = labels(response) {
            let latest = LatestResponse {
                webhook: self.hasher.hash_one(webhook),
                hash: hashes.response,
                response: Box::from(&*name),
                recorded: Recorded::Listed(recorded_at(response.meta()).unwrap_or_default(), version_of(response)),
            };
            self.set_latest(self.hash_of_group(&namespace, &group), latest);
        }
        hashes
    }

    /// Forgets the responses that a list did not name, unless they were recorded since it `began`.
    pub(crate) fn retain(&self, listed: Vec<ListedHashes>, began: &Recorded) {
        let listed: HashSet<u64> =
            listed.into_iter().flat_map(|hashes| [hashes.response].into_iter().chain(hashes.event)).collect();
        let pending = std::mem::take(&mut *self.pending.lock());
        let mut groups = self.groups.lock();
        groups.retain(|_, all| {
            let is_there = |latest: &LatestResponse| {
                latest.recorded >= *began || listed.contains(&latest.hash) || pending.contains(&latest.hash)
            };
            all.retain(is_there);
            !all.is_empty()
        });
        groups.shrink_to_fit();
        drop(groups);
        *self.listed.write() = listed;
    }

    /// Forgets a response that was deleted.
    pub(crate) fn forget(&self, response: &PartialObjectMeta<WebhookResponse>) {
        let name = name_of(response);
        self.listed.write().remove(&self.hash(&name.namespace, &name.name));
        if let Some((_, group)) = labels(response) {
            let mut groups = self.groups.lock();
            let key = self.hash_of_group(&name.namespace, &group);
            if let Some(all) = groups.get_mut(&key) {
                all.retain(|latest| *latest.response != *name.name);
                if all.is_empty() {
                    groups.remove(&key);
                }
            }
        }
        self.contents.remove(&name);
    }

    fn hash(&self, namespace: &str, response: &str) -> u64 {
        self.hasher.hash_one((namespace, response))
    }

    /// Differs from the hashes of responses: no name is like the label's key.
    fn hash_of_event(&self, namespace: &str, label: &str) -> u64 {
        self.hasher.hash_one((namespace, EVENT_LABEL, label))
    }

    fn hash_of_group(&self, namespace: &str, label: &str) -> GroupHash {
        self.hasher.hash_one((namespace, label))
    }

    fn set_latest(&self, group: GroupHash, latest: LatestResponse) {
        let mut groups = self.groups.lock();
        let all = groups.entry(group).or_default();
        match all.iter_mut().find(|other| other.webhook == latest.webhook) {
            Some(other) if other.recorded <= latest.recorded => *other = latest,
            Some(_) => {}
            None => all.push(latest),
        }
    }

    /// Whether a response of this name may have been named by the last list. False is certain.
    pub(crate) fn was_there(&self, namespace: &str, response: &str) -> bool {
        self.listed.read().contains(&self.hash(namespace, response))
    }

    /// Whether the last list may have named responses of an event of this name. False is certain.
    fn had_responses(&self, namespace: &str, event: &str) -> bool {
        self.listed.read().contains(&self.hash_of_event(namespace, &label_value(event)))
    }

    /// Notes a response that has just been recorded.
    pub(crate) fn note(&self, namespace: &str, group: &str, webhook: &str, response: &str, content: ResponseContent) {
        self.contents.insert(NamespacedName::new(namespace, response), Content::Text(Arc::new(content)));
        let latest = LatestResponse {
            webhook: self.hasher.hash_one(label_value(webhook)),
            hash: self.hash(namespace, response),
            response: response.into(),
            recorded: Recorded::Here(self.noted.fetch_add(1, Ordering::Relaxed)),
        };
        self.set_latest(self.hash_of_group(namespace, &label_value(group)), latest);
    }

    /// The `responses` that a webhook's templates see: the latest content of every other webhook for the alert group.
    pub(crate) async fn responses(&self, namespace: &str, group: &str, webhook: &str) -> Object {
        let own = self.hasher.hash_one(label_value(webhook));
        let others: Vec<NamespacedName> =
            match self.groups.lock().get(&self.hash_of_group(namespace, &label_value(group))) {
                None => return Object::new(),
                Some(all) => {
                    let others = all.iter().filter(|latest| latest.webhook != own);
                    others.map(|latest| NamespacedName::new(namespace, &*latest.response)).collect()
                }
            };
        let values = others.into_iter().map(|response| self.value(response));
        let values: Vec<_> = values.collect::<futures::stream::FuturesOrdered<_>>().collect().await;
        values.into_iter().flatten().map(|value| (Arc::clone(&value.webhook_id), value.value.clone())).collect()
    }

    /// The content of a response; None if it is gone, or can't be read. One read serves all who ask meanwhile.
    async fn value(&self, response: NamespacedName) -> Option<Arc<ResponseValue>> {
        let guard = match self.contents.get_value_or_guard_async(&response).await {
            Ok(Content::Value(value)) => return Some(value),
            Ok(Content::Text(content)) => {
                let value = Arc::new(ResponseValue::from(&*content));
                self.contents.insert(response, Content::Value(Arc::clone(&value)));
                return Some(value);
            }
            Err(guard) => guard,
        };
        let value = Arc::new(ResponseValue::from(&self.read(&response).await?));
        // It fails where the response was removed, or noted again, meanwhile.
        let _ = guard.insert(Content::Value(Arc::clone(&value)));
        Some(value)
    }
}

impl History {
    /// Reads the content of a response: from the journal, if that has it, else from its object. None if it is gone, or can't be read.
    async fn read(&self, response: &NamespacedName) -> Option<ResponseContent> {
        if let Some(pending) = self.journal.get(response).await {
            return Some(ResponseContent::of(pending));
        }
        let read = || self.objects.get_part::<WebhookResponse, ContentPart>(&response.namespace, &response.name);
        match objects::persist(read).await {
            Ok(found) => found.map(|found| {
                let content = found.status.and_then(|status| status.content);
                ResponseContent { webhook_id: found.spec.webhook_ref.id, content }
            }),
            Err(error) => {
                tracing::error!(
                    namespace = &*response.namespace,
                    response = &*response.name,
                    error = error_chain(&error),
                    "failed to read an earlier response; templates don't see it"
                );
                None
            }
        }
    }
}

impl ListedResponses for History {
    fn has(&self, event: &EventKey, webhook: &str) -> bool {
        let response = NamespacedName::new(Arc::clone(&event.namespace), id::response_name(&event.uid, webhook));
        self.was_there(&response.namespace, &response.name)
            || self.adopted.read().contains(&self.hash(&response.namespace, &response.name))
            || self.journal.is_pending(&response)
    }

    fn has_any(&self, event: &EventKey) -> bool {
        let name = || NamespacedName::new(Arc::clone(&event.namespace), event.name.as_str());
        self.had_responses(&event.namespace, &event.name)
            || self.adopted.read().contains(&self.hash_of_event(&event.namespace, &label_value(&event.name)))
            || self.journal.has_event(&name())
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
    async fn a_list_removes_what_it_does_not_name_but_not_what_is_newer_than_it() {
        // It is never called.
        let client = Client::try_from(Config::new(Uri::from_static("http://127.0.0.1:1"))).unwrap();
        let objects = Objects::new(client, "test");
        let (journal, _) = Journal::for_tests(&objects);
        let history = History::new(objects, journal, 1024);
        let began = history.now();
        history.retain(["a", "b"].map(|webhook| history.found(&response(webhook, 1))).into(), &began);
        let began = history.now();
        let content = ResponseContent { webhook_id: "WHC".to_owned(), content: None };
        history.note("team", "I1", "c", "response-of-c", content);
        history.retain(vec![history.found(&response("b", 1))], &began);

        let there = ["a", "b", "c"].map(|webhook| history.was_there("team", &format!("response-of-{webhook}")));
        assert_eq!(there, [false, true, false]);
        let group = history.groups.lock().remove(&history.hash_of_group("team", "I1")).unwrap();
        assert_eq!(
            group.iter().map(|latest| &*latest.response).collect::<Vec<_>>(),
            ["response-of-b", "response-of-c"]
        );
    }
}
