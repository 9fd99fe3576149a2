//! Watches, which resume by themselves. Objects that can't be read are logged and left out.

use std::{fmt::Debug, sync::Arc};

use futures::{Stream, StreamExt, TryStreamExt, future};
use kube::{
    Api, Client, Resource,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use serde::de::DeserializeOwned;
use tokio::sync::SetOnce;

use super::{
    client::api_of,
    lenient::{Lenient, Unreadable},
};
use crate::errors::error_chain;

/// Watches the objects of one namespace, or of all. Errors are logged, and the watch goes on after them.
pub(crate) fn watch<K>(
    client: &Client,
    namespace: Option<&str>,
    config: watcher::Config,
) -> impl Stream<Item = watcher::Result<Event<Lenient<K>>>> + Send + use<K>
where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + 'static,
{
    let api: Api<Lenient<K>> = api_of(client, namespace);
    watcher(api, config).default_backoff().inspect_err(log_error::<K>)
}

/// Leaves out objects that can't be read, and logs why.
pub(crate) fn valid<K>(
    stream: impl Stream<Item = watcher::Result<Event<Lenient<K>>>>,
) -> impl Stream<Item = watcher::Result<Event<K>>>
where
    K: Resource<DynamicType = ()>,
{
    let object = |object: Lenient<K>| match object.0 {
        Ok(object) => Some(object),
        Err(unreadable) => {
            log_unreadable::<K>(&unreadable);
            None
        }
    };
    stream.try_filter_map(move |event| {
        future::ready(Ok(match event {
            Event::Apply(lenient) => object(lenient).map(Event::Apply),
            Event::InitApply(lenient) => object(lenient).map(Event::InitApply),
            Event::Delete(lenient) => object(lenient).map(Event::Delete),
            Event::Init => Some(Event::Init),
            Event::InitDone => Some(Event::InitDone),
        }))
    })
}

/// Logs that an object can't be read, and why.
pub(crate) fn log_unreadable<K: Resource<DynamicType = ()>>(unreadable: &Unreadable) {
    let meta = &unreadable.metadata;
    let (namespace, name) = (meta.namespace.as_deref(), meta.name.as_deref());
    tracing::error!(namespace, name, error = unreadable.error, "read {}", K::kind(&()));
}

/// Makes a function that sets the latch when it is shown the end of a list.
pub(crate) fn on_listed<K>(latch: &Arc<SetOnce<()>>) -> impl FnMut(&Event<K>) + use<K> {
    let latch = Arc::clone(latch);
    move |event| {
        if matches!(event, Event::InitDone) {
            // It is set again after each time that the watch had to begin anew.
            let _ = latch.set(());
        }
    }
}

/// Leaves out the errors of a watch of `K`, and logs them. The watch goes on after them.
pub(crate) fn log_errors<K, T>(stream: impl Stream<Item = watcher::Result<T>>) -> impl Stream<Item = T>
where
    K: Resource<DynamicType = ()>,
{
    stream.inspect_err(log_error::<K>).filter_map(|result| future::ready(result.ok()))
}

fn log_error<K: Resource<DynamicType = ()>>(error: &watcher::Error) {
    tracing::warn!(error = error_chain(error), "watch {}", K::kind(&()));
}
