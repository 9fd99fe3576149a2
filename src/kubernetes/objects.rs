//! Calls of the Kubernetes API: each has a time limit, and asks for no more of the object back than is needed.

use std::{fmt::Debug, future::Future, sync::Arc, time::Duration};

use http::header::{ACCEPT, HeaderValue};
use k8s_openapi::NamespaceResourceScope;
pub(crate) use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, GetParams, ListParams, Patch, PatchParams, PostParams, Preconditions},
    core::{PartialObjectMeta, Request, Status},
    runtime::controller::Action,
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::{sync::Semaphore, time::Instant};

use super::{
    list::{self, Page, Pages, Texts},
    resource_version::{ResourceVersion, version_in},
    slim::Slim,
    writes::{Priority, Writes},
};
use crate::errors::error_chain;

/// Bound on one call. The client would wait for ever.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait before a call is tried again: the first time, and at most. It doubles in between.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// Bounds on the pages of calls that ask for one object, and for metadata that is looked at once in a while, in bytes.
const FEW_OBJECTS: u64 = 4 * 1024 * 1024;
const SMALL_PAGE: u64 = 1024 * 1024;
/// Bound on the text of objects that are held all at a time, in bytes.
const FEW: usize = 4 * 1024 * 1024;

const METADATA_ONLY: HeaderValue =
    HeaderValue::from_static("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1");
pub(crate) const METADATA_LIST: HeaderValue =
    HeaderValue::from_static("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1");
pub(crate) const TABLE: HeaderValue = HeaderValue::from_static("application/json;as=Table;g=meta.k8s.io;v=v1");

/// A call that failed: the verb and the object, and why.
#[derive(Debug, thiserror::Error)]
#[error("{verb} {kind} {namespace}/{name}")]
pub(crate) struct Error {
    verb: &'static str,
    kind: String,
    namespace: String,
    name: String,
    source: Cause,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cause {
    /// The API server refused it, or could not be reached.
    #[error(transparent)]
    Client(#[from] kube::Error),
    /// The request could not be made.
    #[error(transparent)]
    Request(#[from] kube::core::request::Error),
    /// The object is not JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// No answer came in time.
    #[error("no answer within {} s", TIMEOUT.as_secs())]
    Timeout,
}

impl Cause {
    /// The code of the answer; None if the API server did not answer.
    pub(crate) fn code(&self) -> Option<u16> {
        match self {
            Self::Client(kube::Error::Api(status)) => Some(status.code),
            _ => None,
        }
    }
}

impl Error {
    /// The namespace of the object, as a field of log lines; None for one that belongs to none.
    pub(crate) fn namespace(&self) -> Option<&str> {
        Some(&*self.namespace).filter(|namespace| !namespace.is_empty())
    }

    /// The kind of the object.
    pub(crate) fn kind(&self) -> &str {
        &self.kind
    }

    /// The name of the object.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn code(&self) -> Option<u16> {
        self.source.code()
    }

    /// Whether the object does not exist.
    pub(crate) fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// Whether the object does not exist, as the API server knows for certain: one that does not know the kind, as while it starts,
    /// answers with 404 too, and names no object.
    pub(crate) fn is_missing(&self) -> bool {
        let details = self.status().and_then(|status| status.details.as_ref());
        self.is_not_found() && details.is_some_and(|details| !details.name.is_empty())
    }

    /// Whether an object of that name exists, or is not as the call expected.
    pub(crate) fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }

    /// Whether an object of that name exists.
    pub(crate) fn is_already_exists(&self) -> bool {
        self.status().is_some_and(|status| status.reason == "AlreadyExists")
    }

    /// The status that the API server answered with; None if it did not answer.
    pub(crate) fn status(&self) -> Option<&Status> {
        match &self.source {
            Cause::Client(kube::Error::Api(status)) => Some(status),
            _ => None,
        }
    }

    /// Whether the call is not allowed. That may pass: an API server that has just started does not know its rules yet.
    pub(crate) fn is_forbidden(&self) -> bool {
        matches!(self.code(), Some(401 | 403)) && !self.is_in_ending_namespace()
    }

    /// Whether the namespace is being deleted, with all that is in it.
    pub(crate) fn is_in_ending_namespace(&self) -> bool {
        let causes = self.status().and_then(|status| status.details.as_ref()).map(|details| &details.causes);
        causes.into_iter().flatten().any(|cause| cause.reason == "NamespaceTerminating")
    }

    /// Whether the object would be larger than etcd takes.
    pub(crate) fn is_too_large(&self) -> bool {
        self.status()
            .is_some_and(|status| status.code == 413 || (status.code == 500 && status.message.contains("is too large")))
    }

    /// Whether the same call will fail again.
    pub(crate) fn is_final(&self) -> bool {
        match &self.source {
            Cause::Client(kube::Error::Api(status)) => {
                let is_final = matches!(status.code, 400 | 402..=407 | 409..=428 | 430..=499) || self.is_too_large();
                is_final && (status.code != 404 || self.is_missing())
            }
            // An object that is not what its schema says stays so.
            Cause::Client(kube::Error::SerdeError(_)) | Cause::Request(_) | Cause::Json(_) => true,
            Cause::Client(_) | Cause::Timeout => false,
        }
    }
}

/// Which object it is, and in which state: two that are equal tell that nothing of it has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ObjectState {
    uid: Option<String>,
    version: ResourceVersion,
}

impl ObjectState {
    pub(crate) fn new(uid: Option<String>, version: ResourceVersion) -> Self {
        Self { uid, version }
    }

    pub(crate) fn in_metadata(metadata: &ObjectMeta) -> Self {
        Self { uid: metadata.uid.clone(), version: version_in(metadata) }
    }

    pub(crate) fn version(&self) -> &ResourceVersion {
        &self.version
    }
}

/// What is read of the answer to a write.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    metadata: AnsweredMetadata,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct AnsweredMetadata {
    resource_version: String,
}

/// Bound on the reads that are under way at a time. More of them make an API server refuse some, not faster; after a restart
/// there may be a read for each event that waits. Memory may allow fewer.
const READS: usize = 32;

/// Makes the calls. Cheap to clone; clones share the bounds on calls that are under way.
#[derive(Clone)]
pub(crate) struct Objects {
    client: Client,
    /// The name under which the writes stand in `managedFields`.
    manager: &'static str,
    reads: Arc<Semaphore>,
    writes: Writes,
    priority: Priority,
    /// When a write last had to wait for others.
    held_up: Arc<Mutex<Option<Instant>>>,
}

/// How long a write waits for its turn where there are too many of them, and for how long after that it counts.
const HELD_UP: Duration = Duration::from_millis(100);
const RECENTLY: Duration = Duration::from_secs(2);

impl Objects {
    pub(crate) fn new(client: Client, manager: &'static str) -> Self {
        let reads = Arc::new(Semaphore::new(READS));
        let (writes, held_up) = Default::default();
        Self { client, manager, reads, writes, priority: Priority::First, held_up }
    }

    /// The same calls, but with a bound of their own on the reads that are under way at a time.
    pub(crate) fn reading(mut self, reads: usize) -> Self {
        self.reads = Arc::new(Semaphore::new(reads.clamp(1, READS)));
        self
    }

    /// The same calls, whose writes yield to the others: nobody waits for them.
    pub(crate) fn yielding(self) -> Self {
        self.with_priority(Priority::Later)
    }

    /// The same calls, whose writes have this priority.
    pub(crate) fn with_priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Bounds how many writes may be under way that nobody waits for.
    pub(crate) fn pace(&self, unawaited: usize) {
        self.writes.pace(unawaited);
    }

    /// Whether writes have to wait for each other, so that one more makes others late.
    pub(crate) fn are_busy(&self) -> bool {
        self.held_up.lock().is_some_and(|at| at.elapsed() < RECENTLY)
    }

    /// Reads one object; None if it does not exist.
    pub(crate) async fn get<K>(&self, namespace: &str, name: &str) -> Result<Option<K>, Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        self.get_part::<K, K>(namespace, name).await
    }

    /// Reads of one object what `T` has of it; None if it does not exist, and an error where the API server does not know the kind.
    /// No text of it gets into the log.
    pub(crate) async fn get_part<K, T>(&self, namespace: &str, name: &str) -> Result<Option<T>, Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
        T: DeserializeOwned,
    {
        match self.get_as::<K, T>(namespace, name, None).await {
            Err(error) if error.is_missing() => Ok(None),
            found => found.map(Some),
        }
    }

    /// Reads of one object which it is and its version, as they are when this is called; None if it does not exist. An API server
    /// has little work with that, however large the object is.
    pub(crate) async fn get_state<K>(&self, namespace: &str, name: &str) -> Result<Option<ObjectState>, Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        match self.get_as::<K, Slim<PartialObjectMeta<K>>>(namespace, name, Some(METADATA_ONLY)).await {
            Ok(Slim(found)) => Ok(Some(ObjectState::in_metadata(&found.metadata))),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads one object in the form that `accept` names.
    async fn get_as<K, T>(&self, namespace: &str, name: &str, accept: Option<HeaderValue>) -> Result<T, Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
        T: DeserializeOwned,
    {
        // The semaphore is never closed. The time limit begins when this call has its permit.
        let _permit = self.reads.acquire().await;
        let call = async {
            let mut request = Request::new(K::url_path(&(), Some(namespace))).get(name, &GetParams::default())?;
            if let Some(accept) = accept {
                request.headers_mut().insert(ACCEPT, accept);
            }
            let text = list::body(&self.client, request, list::ONE_OBJECT).await?;
            let text = text.ok_or_else(|| kube::Error::Service("it is larger than any object can be".into()))?;
            Ok(serde_json::from_slice(&text)?)
        };
        named::<K, _>("get", namespace, name, call).await
    }

    /// Reads one object; None if it does not exist or lacks these labels. Without them the API server discloses nothing of it.
    /// No text of it gets into the log.
    pub(crate) async fn get_labelled<K>(&self, namespace: &str, name: &str, labels: &str) -> Result<Option<K>, Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let _permit = self.reads.acquire().await;
        let only = ListParams::default().labels(labels).fields(&field_selector("metadata.name", name));
        let mut pages = Pages::new(&self.client, K::url_path(&(), Some(namespace)), None, only, FEW_OBJECTS);
        let call = async {
            while let Some(page) = pages.next::<Texts>().await? {
                if let Some(text) = page.into_items().pop() {
                    return Ok(Some(serde_json::from_str(text.get())?));
                }
            }
            Ok(None)
        };
        named::<K, _>("get", namespace, name, call).await
    }

    /// Reads all objects with these labels, of one namespace or of all.
    ///
    /// # Errors
    /// The API server refuses it or does not answer, or they have more than [`FEW`] bytes of text.
    pub(crate) async fn list<K>(&self, namespace: Option<&str>, labels: &str) -> Result<Vec<K>, kube::Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + DeserializeOwned,
    {
        let _permit = self.reads.acquire().await;
        let path = K::url_path(&(), namespace);
        let mut pages = Pages::new(&self.client, path, None, ListParams::default().labels(labels), SMALL_PAGE);
        let (mut found, mut bytes) = (Vec::new(), 0);
        while let Some(page) = pages.next::<Texts>().await? {
            for text in page.into_items() {
                bytes += text.get().len();
                if bytes > FEW {
                    return Err(kube::Error::Service(format!("there are more than {FEW} bytes of them").into()));
                }
                found.push(serde_json::from_str(text.get()).map_err(kube::Error::SerdeError)?);
            }
        }
        Ok(found)
    }

    /// Reads the metadata of the objects with these labels, of one namespace or of all, without annotations and without who
    /// wrote what. Only those that `keep` wants are held.
    pub(crate) async fn list_metadata<K>(
        &self,
        namespace: Option<&str>,
        labels: &str,
        keep: impl Fn(&ObjectMeta) -> bool,
    ) -> Result<Vec<ObjectMeta>, Cause>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        let mut found = Vec::new();
        let take = |mut metadata: ObjectMeta| {
            if keep(&metadata) {
                metadata.annotations = None;
                metadata.managed_fields = None;
                found.push(metadata);
            }
        };
        self.each_metadata::<K>(namespace, ListParams::default().labels(labels), take).await?;
        Ok(found)
    }

    /// Reads the metadata of objects, of one namespace or of all, one after the other. `params` may select some.
    pub(crate) async fn each_metadata<K>(
        &self,
        namespace: Option<&str>,
        params: ListParams,
        mut take: impl FnMut(ObjectMeta),
    ) -> Result<(), Cause>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        let path = K::url_path(&(), namespace);
        let mut pages = Pages::new(&self.client, path, Some(METADATA_LIST), params, SMALL_PAGE);
        while let Some(page) = self.next_page::<Texts>(&mut pages).await? {
            for text in page.into_items() {
                let Slim(PartialObjectMeta::<K> { metadata, .. }) = serde_json::from_str(text.get())?;
                take(metadata);
            }
        }
        Ok(())
    }

    /// Lists the objects of one namespace, or of all, as tables of up to `page` bytes of text. `params` may select some.
    pub(crate) fn tables<K>(&self, namespace: Option<&str>, params: ListParams, page: u64) -> Pages
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Pages::new(&self.client, K::url_path(&(), namespace), Some(TABLE), params, page)
    }

    /// Reads the next page of a list; None after the last one.
    pub(crate) async fn next_page<P: Page>(&self, pages: &mut Pages) -> Result<Option<P>, Cause> {
        let _permit = self.reads.acquire().await;
        let page = tokio::time::timeout(TIMEOUT, pages.next()).await.map_err(|_| Cause::Timeout)?;
        page.map_err(Cause::from)
    }

    /// Creates one object, and reads no more of it than its version.
    pub(crate) async fn create<K>(&self, namespace: &str, name: &str, object: &K) -> Result<ResourceVersion, Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Serialize,
    {
        self.create_manifest::<K>(namespace, name, object).await
    }

    /// Creates one object, given as its manifest, to which the API server may give a name: `name` tells of it in errors. Reads no
    /// more of it than its version.
    pub(crate) async fn create_manifest<K>(
        &self,
        namespace: &str,
        name: &str,
        manifest: &impl Serialize,
    ) -> Result<ResourceVersion, Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        let call = async { self.send(self.creation::<K>(namespace, manifest)?).await };
        self.write::<K, _>("create", namespace, name, call).await
    }

    /// Merges `status` into the status of one object. If a version is given, the object must still have that one.
    pub(crate) async fn patch_status<K>(
        &self,
        namespace: &str,
        name: &str,
        version: Option<&ResourceVersion>,
        status: &impl Serialize,
    ) -> Result<ResourceVersion, Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        let call = async {
            let patch = serde_json::json!({"status": serde_json::to_value(status)?});
            let (patch, params) = (Patch::Merge(at_version(patch, version)), self.patch_params());
            let request = Request::new(K::url_path(&(), Some(namespace)));
            self.send(request.patch_subresource("status", name, &params, &patch)?).await
        };
        self.write::<K, _>("patch status of", namespace, name, call).await
    }

    /// Merges `patch` into one object. If a version is given, the object must still have that one.
    pub(crate) async fn patch_at<K>(
        &self,
        namespace: &str,
        name: &str,
        version: Option<&ResourceVersion>,
        patch: &Value,
    ) -> Result<ResourceVersion, Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        let call = async {
            let (patch, params) = (Patch::Merge(at_version(patch.clone(), version)), self.patch_params());
            let request = Request::new(K::url_path(&(), Some(namespace)));
            self.send(request.patch(name, &params, &patch)?).await
        };
        self.write::<K, _>("patch", namespace, name, call).await
    }

    fn patch_params(&self) -> PatchParams {
        PatchParams { field_manager: Some(self.manager.to_owned()), ..PatchParams::default() }
    }

    /// Puts `status` in the place of the status of one object, which must still have this version. That costs the API server less
    /// than a patch does, which has it decode and encode the object once more.
    pub(crate) async fn replace_status<K>(
        &self,
        namespace: &str,
        name: &str,
        version: &ResourceVersion,
        status: &impl Serialize,
    ) -> Result<ResourceVersion, Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        let call = async {
            let mut status = serde_json::to_value(status)?;
            if let Value::Object(fields) = &mut status {
                // In a patch null takes a field away; here it would be kept.
                fields.retain(|_, value| !value.is_null());
            }
            // The API server takes all else from the object that it has.
            let object = serde_json::json!({
                "apiVersion": K::api_version(&()),
                "kind": K::kind(&()),
                "metadata": {"namespace": namespace, "name": name, "resourceVersion": version.to_string()},
                "status": status,
            });
            let params = PostParams { field_manager: Some(self.manager.to_owned()), ..PostParams::default() };
            let (request, object) = (Request::new(K::url_path(&(), Some(namespace))), serde_json::to_vec(&object)?);
            self.send(request.replace_subresource("status", name, &params, object)?).await
        };
        self.write::<K, _>("replace status of", namespace, name, call).await
    }

    /// Creates one object, given as its manifest, and reads what became of it.
    pub(crate) async fn insert<K>(&self, namespace: &str, name: &str, manifest: &impl Serialize) -> Result<K, Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + DeserializeOwned,
    {
        let call = async { Ok(self.client.request(self.creation::<K>(namespace, manifest)?).await?) };
        self.write::<K, _>("create", namespace, name, call).await
    }

    /// Merges `patch` into one object and reads what became of it.
    pub(crate) async fn merge<K>(&self, namespace: &str, name: &str, patch: &Value) -> Result<K, Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let params = self.patch_params();
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        let call = async { api.patch(name, &params, &Patch::Merge(patch)).await.map_err(Cause::from) };
        self.write::<K, _>("patch", namespace, name, call).await
    }

    /// Deletes one object, if it still is as expected.
    pub(crate) async fn delete<K>(&self, namespace: &str, name: &str, expected: Preconditions) -> Result<(), Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let params = DeleteParams { preconditions: Some(expected), ..DeleteParams::default() };
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        let call = async { api.delete(name, &params).await.map(|_| ()).map_err(Cause::from) };
        self.write::<K, _>("delete", namespace, name, call).await
    }

    /// Makes a write, in its turn. The time limit begins with that.
    async fn write<K, T>(
        &self,
        verb: &'static str,
        namespace: &str,
        name: &str,
        call: impl Future<Output = Result<T, Cause>>,
    ) -> Result<T, Error>
    where
        K: Resource<DynamicType = ()>,
    {
        let asked = Instant::now();
        let _turn = self.writes.turn(namespace, self.priority).await;
        if asked.elapsed() >= HELD_UP && self.priority != Priority::Last {
            *self.held_up.lock() = Some(Instant::now());
        }
        named::<K, _>(verb, namespace, name, call).await
    }

    fn creation<K>(&self, namespace: &str, object: &impl Serialize) -> Result<http::Request<Vec<u8>>, Cause>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        let params = PostParams { field_manager: Some(self.manager.to_owned()), ..PostParams::default() };
        let request = Request::new(K::url_path(&(), Some(namespace)));
        Ok(request.create(&params, serde_json::to_vec(object)?)?)
    }

    async fn send(&self, mut request: http::Request<Vec<u8>>) -> Result<ResourceVersion, Cause> {
        request.headers_mut().insert(ACCEPT, METADATA_ONLY);
        let Answer { metadata } = self.client.request(request).await?;
        Ok(ResourceVersion::from(&*metadata.resource_version))
    }
}

/// A patch that is for an object of this version only.
fn at_version(mut patch: Value, version: Option<&ResourceVersion>) -> Value {
    if let Some(version) = version {
        patch["metadata"]["resourceVersion"] = version.to_string().into();
    }
    patch
}

async fn named<K, T>(
    verb: &'static str,
    namespace: &str,
    name: &str,
    call: impl Future<Output = Result<T, Cause>>,
) -> Result<T, Error>
where
    K: Resource<DynamicType = ()>,
{
    tokio::time::timeout(TIMEOUT, call).await.unwrap_or(Err(Cause::Timeout)).map_err(|source| Error {
        verb,
        kind: K::kind(&()).into_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        source,
    })
}

/// The selector of objects of which a field has this value.
pub(crate) fn field_selector(field: &str, value: &str) -> String {
    let escaped = value.replace('\\', r"\\").replace(',', r"\,").replace('=', r"\=");
    format!("{field}={escaped}")
}

/// How long a call that is not allowed is tried again.
pub(crate) const FORBIDDEN: Duration = Duration::from_secs(20);

/// Makes a call until it succeeds or will fail again.
pub(crate) async fn persist<T, F>(mut call: impl FnMut() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let (mut delay, max) = RETRY;
    let mut forbidden = None;
    loop {
        match call().await {
            Err(error)
                if !error.is_final()
                    || (error.is_forbidden() && forbidden.get_or_insert_with(Instant::now).elapsed() < FORBIDDEN) =>
            {
                tracing::warn!(
                    namespace = error.namespace(),
                    kind = error.kind(),
                    name = error.name(),
                    error = error_chain(&error),
                    "a call of the API server failed; trying again in {delay:?}"
                );
                tokio::time::sleep(delay).await;
                delay = (delay * 2).min(max);
            }
            result => return result,
        }
    }
}

/// Tells when a reconciliation that failed is to be tried again, and logs why.
pub(crate) fn retry_later(error: &Error) -> Action {
    let delay = Duration::from_secs(if error.is_final() { 60 } else { 1 });
    tracing::warn!(
        namespace = error.namespace(),
        kind = error.kind(),
        name = error.name(),
        error = error_chain(error),
        "failed to bring the status of an object up to date; trying again in {delay:?}"
    );
    Action::requeue(delay)
}
