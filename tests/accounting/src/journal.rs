//! The operator's journal, as anybody sees it who may list it: segments that appear and are removed.

use std::{collections::BTreeMap, pin::Pin};

use anyhow::{Context, Result};
use futures::{Stream, StreamExt};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, PostParams},
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use serde_json::json;

use crate::load;

/// Says whose segment it is.
const SCOPE: &str = "oncall.dev/journal-scope";
const KIND: &str = "DeliveryJournal";

/// The segments of all operators, in one namespace.
#[derive(Clone)]
pub(crate) struct Journal {
    client: Client,
    namespace: String,
}

/// What happened to a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It is there, with these labels.
    Appeared(String, BTreeMap<String, String>),
    Removed,
}

/// Changes of segments, from those on that are there.
pub(crate) type Changes = Pin<Box<dyn Stream<Item = Change> + Send>>;

impl Journal {
    pub(crate) fn new(client: Client, namespace: &str) -> Self {
        Self { client, namespace: namespace.to_owned() }
    }

    /// Watches the segments. What the API server refuses is asked for again.
    pub(crate) fn changes(&self) -> Changes {
        let api: Api<PartialObjectMeta<DynamicObject>> = load::api(&self.client, &self.namespace, KIND);
        let events = watcher(api, watcher::Config::default().labels(SCOPE)).default_backoff();
        let changes = events.filter_map(async |event| match event.ok()? {
            Event::Apply(segment) | Event::InitApply(segment) => {
                Some(Change::Appeared(segment.name_any(), segment.labels().clone()))
            }
            Event::Delete(_) => Some(Change::Removed),
            Event::Init | Event::InitDone => None,
        });
        Box::pin(changes)
    }

    /// Deletes a segment. False if somebody else has.
    pub(crate) async fn delete(&self, name: &str) -> Result<bool> {
        match self.api().delete(name, &DeleteParams::default()).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(false),
            Err(error) => Err(error).with_context(|| format!("delete {KIND} {name}")),
        }
    }

    /// Puts a segment there that is none, of the same operators as one with such labels.
    pub(crate) async fn put_broken(&self, name: &str, labels: BTreeMap<String, String>) -> Result<()> {
        // Base64, but nothing that was compressed.
        let spec = json!({"spec": {"records": 1, "data": "bm8gcmVjb3Jkcw=="}});
        let mut segment = DynamicObject::new(name, &load::resource(KIND)).data(spec);
        segment.metadata.labels = Some(labels);
        self.api().create(&PostParams::default(), &segment).await.with_context(|| format!("create {KIND} {name}"))?;
        Ok(())
    }

    /// The names of all segments; none where the API server knows no journal.
    pub(crate) async fn segments(&self) -> Result<Vec<String>> {
        match self.api().list_metadata(&ListParams::default().labels(SCOPE)).await {
            Ok(list) => Ok(list.items.iter().map(ResourceExt::name_any).collect()),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(Vec::new()),
            Err(error) => Err(error).with_context(|| format!("list {KIND}s")),
        }
    }

    fn api(&self) -> Api<DynamicObject> {
        load::api(&self.client, &self.namespace, KIND)
    }
}
