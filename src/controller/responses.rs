//! Watches the metadata of WebhookResponses: which existed at the start, which are deleted, and which people want to be sent
//! again.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use kube::{ResourceExt, core::PartialObjectMeta, runtime::watcher::Event};

use super::{
    deliveries::Deliveries,
    history::{History, ListedHashes, Recorded},
};
use crate::{
    core::lifecycle::Input,
    kubernetes::{
        index::{Index, follow},
        name::{NamespacedName, name_of},
        watch::{Selection, Watches},
    },
    resources::{REDELIVER_ANNOTATION, WebhookResponse},
};

type Metadata = PartialObjectMeta<WebhookResponse>;

/// Takes in what the watch shows. Never returns. Tells the deliveries when a list has ended.
pub(crate) async fn watch(watches: &Watches, history: Arc<History>, deliveries: Arc<Deliveries>) {
    let list_began = history.now();
    let waiting = Arc::clone(&deliveries);
    let index =
        ResponseIndex { history, deliveries, list_began, redeliver: HashMap::new(), hasher: RandomState::new() };
    follow(watches.metadata::<WebhookResponse>(Selection::default()), index, |event| {
        if matches!(event, Event::InitDone) {
            tracing::debug!("the responses are listed");
            waiting.handle(Input::ResponsesListed);
        }
    })
    .await;
}

/// Keeps the history as the watch shows the responses, and asks for the deliveries that people want to be sent again.
struct ResponseIndex {
    history: Arc<History>,
    deliveries: Arc<Deliveries>,
    list_began: Recorded,
    /// Hashes of the values of [`REDELIVER_ANNOTATION`] that were seen: people may write 256 KiB.
    redeliver: HashMap<NamespacedName, u64>,
    hasher: RandomState,
}

impl Index for ResponseIndex {
    type Object = Metadata;
    type Listed = ListedHashes;

    fn begin_list(&mut self) {
        self.list_began = self.history.begin_list();
    }

    fn list(&mut self, response: &Metadata) -> ListedHashes {
        let hashes = self.history.found(response);
        self.apply(response);
        hashes
    }

    fn retain(&mut self, listed: Vec<ListedHashes>) {
        self.history.retain(listed, &self.list_began);
        self.redeliver.retain(|response, _| self.history.was_there(&response.namespace, &response.name));
    }

    fn apply(&mut self, response: &Metadata) {
        let Some(value) = response.annotations().get(REDELIVER_ANNOTATION) else { return };
        let name = name_of(response);
        // Most changes are our own.
        let hash = self.hasher.hash_one(value);
        if self.redeliver.get(&name) != Some(&hash) {
            self.deliveries.redeliver(name.clone(), value);
            self.redeliver.insert(name, hash);
        }
    }

    fn delete(&mut self, response: &Metadata) {
        self.history.forget(response);
        self.redeliver.remove(&name_of(response));
    }
}
