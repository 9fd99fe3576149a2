//! What the subcommands that talk to a cluster share: the cluster of the environment, a namespace, who asks, and the events that are
//! created.

use std::{error::Error as _, fmt::Debug, time::Duration};

use http::HeaderValue;

use anyhow::{Context, Result, anyhow};
use futures::{Stream, StreamExt, future};
use k8s_openapi::{NamespaceResourceScope, api::authentication::v1::SelfSubjectReview};
use kube::{
    Api, Client, Resource,
    api::{ListParams, ObjectMeta, PostParams},
    runtime::{
        WatchStreamExt,
        watcher::{self, watch_object},
    },
};
use serde::de::DeserializeOwned;

use super::{cluster::ClusterOptions, progress::Progress};
pub(super) use crate::config::{name, namespace as namespace_name};
use crate::{
    errors::error_chain,
    kubernetes::{
        client::connect_to,
        list::{Page, Pages, Texts},
        objects::{self, Cause, Objects, TABLE},
        table::Table,
    },
    resources::AlertGroupEvent,
};

const FIELD_MANAGER: &str = "oncall-webhooks-cli";
/// Bound on a call of the API server.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Bound on one page of a list, in bytes: what is held of it at a time.
pub(super) const PAGE: u64 = 4 * 1024 * 1024;

/// A cluster, and the namespace to work in.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) objects: Objects,
    pub(super) namespace: String,
}

impl Session {
    /// Finds the cluster, and works in the namespace that is named, or in that of the kubeconfig.
    ///
    /// # Errors
    /// There is no cluster.
    pub(super) async fn open(cluster: &ClusterOptions) -> Result<Self> {
        let client = connect_to(cluster.kubeconfig.as_deref(), cluster.context.as_deref()).await?;
        let namespace = cluster.namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
        Ok(Self { objects: Objects::new(client.clone(), FIELD_MANAGER), client, namespace })
    }

    /// Reads objects of one namespace, or of all, one by one as JSON texts; `params` may select some. No more than a page of them is
    /// held.
    ///
    /// # Errors
    /// The API server refuses it or does not answer, or `take` fails.
    pub(super) async fn each_text<K>(
        &self,
        namespace: Option<&str>,
        params: ListParams,
        progress: &Progress,
        mut take: impl FnMut(&str) -> Result<()>,
    ) -> Result<()>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        let mut pages = self.pages::<K>(namespace, None, params);
        while let Some(page) = self.page::<K, Texts>(&mut pages, progress).await? {
            page.into_items().iter().try_for_each(|text| take(text.get()))?;
        }
        Ok(())
    }

    /// Reads the metadata of objects and the texts of these columns of `kubectl get`, and no more of them.
    ///
    /// # Errors
    /// The API server refuses it or does not answer, or there is no such column.
    pub(super) async fn each_row<K, const N: usize>(
        &self,
        namespace: Option<&str>,
        params: ListParams,
        columns: [&'static str; N],
        progress: &Progress,
        mut take: impl FnMut(ObjectMeta, [String; N]),
    ) -> Result<()>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        let mut pages = self.pages::<K>(namespace, Some(TABLE), params);
        while let Some(page) = self.page::<K, Table>(&mut pages, progress).await? {
            page.rows(columns)?.for_each(|(metadata, texts)| take(metadata, texts));
        }
        Ok(())
    }

    pub(super) fn pages<K>(&self, namespace: Option<&str>, accept: Option<HeaderValue>, params: ListParams) -> Pages
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Pages::new(&self.client, K::url_path(&(), namespace), accept, params, PAGE)
    }

    async fn page<K, P: Page>(&self, pages: &mut Pages, progress: &Progress) -> Result<Option<P>>
    where
        K: Resource<DynamicType = ()>,
    {
        let page = self.objects.next_page::<P>(pages).await.map_err(|cause| {
            let why = match &cause {
                Cause::Client(kube::Error::Api(status)) => status.message.clone(),
                cause => error_chain(cause),
            };
            anyhow!("list {}: {why}", K::plural(&()))
        })?;
        progress.add(page.as_ref().map_or(0, Page::count));
        Ok(page)
    }

    /// The name of the user who asks, as the API server knows it.
    ///
    /// # Errors
    /// It does not say.
    pub(super) async fn username(&self) -> Result<String> {
        let reviews: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let (params, review) = (PostParams::default(), SelfSubjectReview::default());
        let asking = reviews.create(&params, &review);
        let review =
            tokio::time::timeout(TIMEOUT, asking).await.context("no answer in time").and_then(|said| Ok(said?));
        let review = review.context("ask the API server who you are: create SelfSubjectReview")?;
        let user = review.status.and_then(|status| status.user_info).and_then(|user| user.username);
        user.context("the API server does not say who you are")
    }

    /// Creates an event.
    ///
    /// # Errors
    /// The API server refuses it, or does not answer.
    pub(super) async fn create(&self, event: &AlertGroupEvent) -> Result<AlertGroupEvent> {
        let prefix = event.metadata.generate_name.as_deref().unwrap_or_default();
        self.objects.insert(&self.namespace, prefix, event).await.map_err(|error| explain(&error))
    }

    /// Follows an object: its state now, and each later one; None while it is not there. Ends with an error where watching it is not
    /// allowed.
    pub(super) fn follow<K>(&self, name: &str) -> impl Stream<Item = Result<Option<K>>> + Send + use<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + DeserializeOwned
            + Send
            + 'static,
    {
        let states = watch_object(Api::<K>::namespaced(self.client.clone(), &self.namespace), name).default_backoff();
        states.filter_map(|state| {
            future::ready(match state {
                Ok(state) => Some(Ok(state)),
                Err(error) => is_refused(&error).then(|| {
                    let kind = K::kind(&());
                    Err(anyhow!("watch {kind}: {}", error_chain(&error)))
                }),
            })
        })
    }
}

/// Whether a watch is refused, rather than interrupted.
pub(super) fn is_refused(error: &watcher::Error) -> bool {
    use watcher::Error::{InitialListFailed, WatchError, WatchFailed, WatchStartFailed};
    match error {
        InitialListFailed(kube::Error::Api(status))
        | WatchStartFailed(kube::Error::Api(status))
        | WatchFailed(kube::Error::Api(status)) => [401, 403].contains(&status.code),
        WatchError(status) => [401, 403].contains(&status.code),
        _ => false,
    }
}

/// Explains why a call failed: in the API server's own words where it has some.
pub(super) fn explain(error: &objects::Error) -> anyhow::Error {
    match error.source().and_then(|source| source.downcast_ref()) {
        Some(Cause::Client(kube::Error::Api(status))) => anyhow!("{error}: {}", status.message),
        _ => anyhow!(error_chain(error)),
    }
}

/// Parses how long to wait, or to be silent: `0s` or more.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    match text.parse::<kube::core::Duration>() {
        // The parser takes an empty text for a duration of 0.
        Ok(duration) if !text.is_empty() && !duration.is_negative() => Ok(duration.into()),
        _ => Err("give a duration such as 30s or 2h".to_owned()),
    }
}
