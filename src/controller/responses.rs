//! Watches WebhookResponses, of which no more than the metadata: which were there at the start, which are gone, and which
//! people want to be sent again.

use std::{collections::HashMap, sync::Arc};

use futures::{StreamExt, future};
use kube::{
    Client, ResourceExt,
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use tokio::sync::SetOnce;

use super::{history::History, runs::Runs};
use crate::{
    kubernetes::{client::api_of, watch::log_errors},
    resources::{REDELIVER_ANNOTATION, WebhookResponse},
};

type Metadata = PartialObjectMeta<WebhookResponse>;

/// Takes in what the watch says, for ever. Sets `listed` when the first list has ended.
pub(crate) async fn watch(
    client: &Client,
    namespace: Option<&str>,
    history: Arc<History>,
    runs: Arc<Runs>,
    listed: Arc<SetOnce<()>>,
) {
    let mut responses = Responses { history, runs, asked: HashMap::new() };
    let changes = watcher(api_of::<Metadata>(client, namespace), watcher::Config::default()).default_backoff();
    log_errors::<Metadata, _>(changes)
        .for_each(|event| {
            match event {
                Event::InitApply(response) => responses.found(&response),
                Event::Apply(response) => responses.changed(&response),
                Event::Delete(response) => responses.gone(&response),
                Event::Init => responses.history.list(),
                Event::InitDone => {
                    responses.listed();
                    // It is set again after each time that the watch had to begin anew.
                    let _ = listed.set(());
                }
            }
            future::ready(())
        })
        .await;
}

struct Responses {
    history: Arc<History>,
    runs: Arc<Runs>,
    /// The values of the annotation that were seen, by namespace and name.
    asked: HashMap<(String, String), String>,
}

impl Responses {
    fn found(&mut self, response: &Metadata) {
        self.history.found(response);
        self.changed(response);
    }

    fn listed(&mut self) {
        self.history.listed();
        self.asked.retain(|(namespace, name), _| self.history.was_there(namespace, name));
    }

    fn changed(&mut self, response: &Metadata) {
        let Some(value) = response.annotations().get(REDELIVER_ANNOTATION) else { return };
        let key = (response.namespace().unwrap_or_default(), response.name_any());
        // Most changes are our own.
        if self.asked.get(&key) != Some(value) {
            self.runs.redeliver(key.0.clone(), key.1.clone(), value.clone());
            self.asked.insert(key, value.clone());
        }
    }

    fn gone(&mut self, response: &Metadata) {
        self.history.gone(response);
        self.asked.remove(&(response.namespace().unwrap_or_default(), response.name_any()));
    }
}
