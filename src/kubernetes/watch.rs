//! Watches, which resume by themselves. Objects that can't be read are logged and left out.
//!
//! ```text
//! Empty ─► Listing ─► Listed ─► Watching ─┐      a watch that ended goes on from the last version,
//!   ▲                   ▲─────────────────┤      one whose version has expired (410) begins with a list
//!   └─────────────────────────────────────┘
//! ```
//! It does what kube-runtime's `watcher` does, but for its lists: these come in pages that are bounded in bytes
//! ([`list`](super::list)), and one object of a page is read at a time.

use std::{fmt::Debug, sync::Arc, time::Duration, vec};

use futures::{
    Stream, StreamExt, TryStreamExt, future,
    stream::{self, BoxStream},
};
use http::HeaderValue;
use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ListParams, WatchParams},
    core::{PartialObjectMeta, WatchEvent},
    runtime::{
        WatchStreamExt,
        watcher::{self, Error, Event},
    },
};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::{sync::SetOnce, time::timeout};

use super::{
    backoff::WatchBackoff,
    client::api_of,
    joined::{Watch, joined},
    lenient::{Lenient, Unreadable},
    list::{Page, Pages, Texts},
    objects::METADATA_LIST,
    scope::Scope,
};
use crate::{
    errors::error_chain,
    metrics::{WatchMetrics, WatchSeries},
};

/// How long the API server is to keep a watch open, in seconds.
const OPEN: u32 = 290;
/// After so long without a word the connection is taken to be dead: the API server's end of the watch has not come.
const SILENCE: Duration = Duration::from_secs(OPEN as u64 + 5);

/// Says which objects are watched, by selectors as the API server takes them; the default is all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    pub(crate) labels: Option<String>,
    pub(crate) fields: Option<String>,
}

/// What all watches of a process have in common. Clones share it.
#[derive(Clone)]
pub(crate) struct Watches {
    client: Client,
    scope: Scope,
    /// Bound on a page of a list, in bytes.
    page: u64,
    metrics: WatchMetrics,
}

impl Watches {
    /// Watches are of a scope, and list in pages of up to `page` bytes.
    pub(crate) fn new(client: Client, scope: Scope, page: u64, metrics: WatchMetrics) -> Self {
        Self { client, scope, page, metrics }
    }

    /// Watches objects. Errors are logged, and the watch goes on after them.
    pub(crate) fn objects<K>(
        &self,
        selection: Selection,
    ) -> impl Stream<Item = watcher::Result<Event<Lenient<K>>>> + Send + use<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + DeserializeOwned
            + Send
            + 'static,
    {
        self.of_sources::<K, Lenient<K>>(None, selection)
    }

    /// Watches the metadata of objects, and does the same.
    pub(crate) fn metadata<K>(
        &self,
        selection: Selection,
    ) -> impl Stream<Item = watcher::Result<Event<PartialObjectMeta<K>>>> + Send + use<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + Send + 'static,
    {
        // For metadata, kube asks by itself for no more.
        valid(self.of_sources::<K, Lenient<PartialObjectMeta<K>>>(Some(METADATA_LIST), selection))
    }

    /// Watches the objects of kind `K`, as `S`.
    fn of_sources<K, S>(&self, accept: Option<HeaderValue>, selection: Selection) -> Watch<S>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + 'static,
        S: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + DeserializeOwned
            + Send
            + 'static,
    {
        let (client, page) = (self.client.clone(), self.page);
        // One for all namespaces, whose watches may be made again and again.
        let series = self.metrics.of(&K::kind(&()));
        watch_scope(&self.scope, move |namespace| {
            let source = Source {
                api: api_of::<S>(&client, namespace),
                client: client.clone(),
                path: K::url_path(&(), namespace),
                accept: accept.clone(),
                selection: selection.clone(),
                page,
                series: series.clone(),
            };
            let namespace = namespace.map(str::to_owned);
            let log = move |error: &Error| log_error::<K>(namespace.as_deref(), error);
            list_and_watch(source).backoff(WatchBackoff::default()).inspect_err(log).boxed()
        })
    }
}

/// Watches a scope: with what `open` makes, where it is one namespace or all, else with what it makes for each that is open.
pub(crate) fn watch_scope<K: Send + 'static>(
    scope: &Scope,
    open: impl Fn(Option<&str>) -> Watch<K> + Send + Sync + 'static,
) -> Watch<K> {
    if !scope.is_several() {
        return open(scope.names().first().map(String::as_str));
    }
    let (namespaces, doubts) = (scope.clone(), scope.clone());
    let namespaces = async move { namespaces.parts().await.flatten().map(str::to_owned).collect() };
    let open = move |namespace: &str| {
        let (scope, name) = (doubts.clone(), namespace.to_owned());
        let doubt = move |error: &Error| {
            if is_refused(error) {
                scope.doubt(&name);
            }
        };
        open(Some(namespace)).inspect_err(doubt).boxed()
    };
    joined(namespaces, open).boxed()
}

/// Whether the API server refuses to list or to watch.
fn is_refused(error: &Error) -> bool {
    let (Error::InitialListFailed(error) | Error::WatchStartFailed(error)) = error else { return false };
    matches!(error, kube::Error::Api(status) if status.code == 403)
}

/// What is watched.
struct Source<K> {
    api: Api<K>,
    client: Client,
    path: String,
    /// The form in which lists are asked for.
    accept: Option<HeaderValue>,
    selection: Selection,
    /// Bound on a page, in bytes.
    page: u64,
    series: WatchSeries,
}

impl<K> Source<K> {
    fn pages(&self) -> Pages {
        let Selection { labels, fields } = self.selection.clone();
        let params = ListParams { label_selector: labels, field_selector: fields, ..ListParams::default() };
        Pages::new(&self.client, self.path.clone(), self.accept.clone(), params, self.page)
    }

    fn watch_params(&self) -> WatchParams {
        let Selection { labels, fields } = self.selection.clone();
        WatchParams { label_selector: labels, field_selector: fields, timeout: Some(OPEN), ..WatchParams::default() }
    }
}

/// How far a watch is.
enum State<K> {
    /// Nothing is known: all objects are to be listed.
    Empty,
    /// A list is under way: the objects of its page that are still to be read, and the version of the list.
    Listing { pages: Box<Pages>, texts: vec::IntoIter<Box<RawValue>>, version: Option<String> },
    /// All up to this version is known.
    Listed { version: String },
    /// Changes come.
    Watching { version: String, changes: BoxStream<'static, kube::Result<WatchEvent<K>>> },
}

fn list_and_watch<K>(source: Source<K>) -> impl Stream<Item = watcher::Result<Event<K>>> + Send
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    stream::unfold((source, State::Empty), |(source, mut state)| async {
        loop {
            let (event, next) = step(&source, state).await;
            state = next;
            if let Some(event) = event {
                if event.is_err() {
                    source.series.restarted();
                }
                return Some((event, (source, state)));
            }
        }
    })
}

/// One step: what there is to tell, if anything, and the state after it.
async fn step<K>(source: &Source<K>, state: State<K>) -> (Option<watcher::Result<Event<K>>>, State<K>)
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    match state {
        // What has not begun is not told of: a list that fails at once is waited for longer and longer.
        State::Empty => match next_page(Box::new(source.pages()), None).await {
            (None, listing) => {
                source.series.active();
                (Some(Ok(Event::Init)), listing)
            }
            failed => failed,
        },
        State::Listing { pages, mut texts, version } => match texts.next() {
            Some(text) => match serde_json::from_str(text.get()) {
                Ok(object) => (Some(Ok(Event::InitApply(object))), State::Listing { pages, texts, version }),
                Err(error) => (Some(Err(Error::InitialListFailed(kube::Error::SerdeError(error)))), State::Empty),
            },
            None => {
                let (event, next) = next_page(pages, version).await;
                if !matches!(event, Some(Err(_))) {
                    source.series.active();
                }
                (event, next)
            }
        },
        State::Listed { version } => match source.api.watch(&source.watch_params(), &version).await {
            Ok(changes) => {
                source.series.active();
                (None, State::Watching { version, changes: changes.boxed() })
            }
            Err(error) => (Some(Err(Error::WatchStartFailed(error))), State::Listed { version }),
        },
        State::Watching { version, mut changes } => match timeout(SILENCE, changes.next()).await {
            Ok(Some(change)) => {
                if change.is_ok() {
                    source.series.active();
                }
                changed(change, version, changes)
            }
            Ok(None) => (None, State::Listed { version }),
            Err(_) => {
                source.series.restarted();
                (None, State::Listed { version })
            }
        },
    }
}

async fn next_page<K>(mut pages: Box<Pages>, version: Option<String>) -> (Option<watcher::Result<Event<K>>>, State<K>) {
    match pages.next::<Texts>().await {
        Ok(Some(page)) => {
            // All pages of a list have the version of the first one.
            let version = page.version().map(str::to_owned).or(version);
            if version.is_none() && page.next_page().is_none() {
                return (Some(Err(Error::NoResourceVersion)), State::Empty);
            }
            (None, State::Listing { pages, texts: page.into_items().into_iter(), version })
        }
        Ok(None) => match version {
            Some(version) => (Some(Ok(Event::InitDone)), State::Listed { version }),
            None => (Some(Err(Error::NoResourceVersion)), State::Empty),
        },
        Err(error) => (Some(Err(Error::InitialListFailed(error))), State::Empty),
    }
}

fn changed<K: Resource>(
    change: kube::Result<WatchEvent<K>>,
    version: String,
    changes: BoxStream<'static, kube::Result<WatchEvent<K>>>,
) -> (Option<watcher::Result<Event<K>>>, State<K>) {
    let event = match change {
        Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => Event::Apply(object),
        Ok(WatchEvent::Deleted(object)) => Event::Delete(object),
        Ok(WatchEvent::Bookmark(bookmark)) => {
            return (None, State::Watching { version: bookmark.metadata.resource_version, changes });
        }
        Ok(WatchEvent::Error(error)) => {
            // Changes are missing: what is known is listed anew.
            let next = if error.code == 410 { State::Empty } else { State::Watching { version, changes } };
            return (Some(Err(Error::WatchError(error))), next);
        }
        Err(error) => return (Some(Err(Error::WatchFailed(error))), State::Watching { version, changes }),
    };
    let (Event::Apply(object) | Event::Delete(object)) = &event else { return (None, State::Empty) };
    match object.resource_version().filter(|version| !version.is_empty()) {
        Some(version) => (Some(Ok(event)), State::Watching { version, changes }),
        None => (Some(Err(Error::NoResourceVersion)), State::Empty),
    }
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
    let kind = K::kind(&());
    tracing::error!(namespace, name, %kind, error = unreadable.error, "this version can't read an object; it stays as it was known");
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

fn log_error<K: Resource<DynamicType = ()>>(namespace: Option<&str>, error: &Error) {
    tracing::warn!(namespace, error = error_chain(error), kind = %K::kind(&()), "a watch of the API server failed; it begins again by itself");
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use kube::core::Status;

    use super::*;

    fn refusal(code: u16) -> kube::Error {
        kube::Error::Api(Status::failure("no", "no").with_code(code).boxed())
    }

    #[test]
    fn a_namespace_of_several_in_which_something_is_refused_is_doubted() {
        type Failure = fn(kube::Error) -> Error;
        let cases: [(Failure, u16, bool); 4] = [
            (Error::InitialListFailed, 403, true),
            (Error::WatchStartFailed, 403, true),
            (Error::InitialListFailed, 500, false),
            (Error::WatchFailed, 403, false),
        ];
        for (failure, code, expected) in cases {
            let scope = Scope::new(["a", "b"].map(str::to_owned));
            scope.settle(Default::default());
            let events = watch_scope(&scope, move |namespace| {
                let error = (namespace == Some("b")).then(|| Err(failure(refusal(code))));
                let events: Vec<watcher::Result<Event<()>>> =
                    error.into_iter().chain([Ok(Event::Init), Ok(Event::InitDone)]).collect();
                stream::iter(events).chain(stream::pending()).boxed()
            });
            // Until nothing comes any more.
            assert!(events.for_each(|_| future::ready(())).now_or_never().is_none());
            assert_eq!(scope.doubted(), expected.then(|| "b".to_owned()).into_iter().collect(), "{failure:?} {code}");
        }
    }
}
