//! What answers show of objects whose lists are kept here: read from the API server when it is asked for, and kept at hand as far
//! as memory is given.
//!
//! ```text
//! an index, filled by a watch ─► names and versions of a page ─► at hand, or read ─► texts, and a permit for their memory
//! ```

use std::{collections::HashMap, sync::Arc};

use axum::body::Bytes;
use futures::{StreamExt, stream};
use k8s_openapi::NamespaceResourceScope;
use kube::Resource;
use quick_cache::{Weighter, sync::Cache};
use serde::de::DeserializeOwned;

use super::{
    error::ApiError,
    permits::{Permit, Permits},
};
use crate::{
    kubernetes::{
        name::NamespacedName,
        objects::{self, Objects},
        resource_version::ResourceVersion,
    },
    memory::{CACHE_ENTRY, cache},
};

/// About how many bytes an object usually has.
const USUAL: u64 = 4 * 1024;
/// How many objects of one page are read at a time.
const READS: usize = 8;
/// How many large pages, or with objects that had to be read, are in memory at a time; and how many of one namespace.
const PAGES: (u32, u32) = (2, 1);
/// A page of objects at hand that have up to so many bytes is written at once: the texts are copies.
const SMALL: usize = 1024 * 1024;

/// The part of an object that answers show.
pub(crate) trait Shown: DeserializeOwned + Send + Sync + 'static {
    /// The object.
    type Object: Resource<Scope = NamespaceResourceScope, DynamicType = ()>;

    /// The version of the object that it is a part of.
    fn version(&self) -> ResourceVersion;

    /// About how many bytes it takes.
    fn size(&self) -> usize;
}

struct ShownWeight;

impl Clone for ShownWeight {
    fn clone(&self) -> Self {
        Self
    }
}

impl<T: Shown> Weighter<NamespacedName, Arc<T>> for ShownWeight {
    fn weight(&self, name: &NamespacedName, shown: &Arc<T>) -> u64 {
        CACHE_ENTRY + (name.namespace.len() + name.name.len() + shown.size()) as u64
    }
}

/// The objects of one kind, as answers show them.
pub(crate) struct ShownObjects<T: Shown> {
    at_hand: Cache<NamespacedName, Arc<T>, ShownWeight>,
    pages: Permits,
    objects: Objects,
}

/// An object that is asked for, and what of it.
pub(crate) struct Wanted<W> {
    pub(crate) name: NamespacedName,
    /// The version that is known of it.
    pub(crate) version: ResourceVersion,
    pub(crate) what: W,
}

/// Some objects as texts, in the order in which they were asked for; those that are gone meanwhile are left out.
pub(crate) struct ShownPage {
    pub(crate) texts: Vec<Bytes>,
    /// Keep it as long as them, where they are many bytes, or some objects had to be read.
    pub(crate) permit: Option<Permit>,
}

/// What is asked for of one object: the latest version that is known, and each part with its place among all.
struct Parts<W> {
    version: ResourceVersion,
    parts: Vec<(usize, W)>,
}

/// What is asked for by object: each is read once.
fn by_object<W>(wanted: Vec<Wanted<W>>) -> HashMap<NamespacedName, Parts<W>> {
    let mut objects = HashMap::new();
    for (place, Wanted { name, version, what }) in wanted.into_iter().enumerate() {
        let known = objects.entry(name).or_insert_with(|| Parts { version: version.clone(), parts: Vec::new() });
        known.version = version.max(known.version.clone());
        known.parts.push((place, what));
    }
    objects
}

impl<T: Shown> ShownObjects<T> {
    /// Keeps objects of up to `budget` bytes at hand.
    pub(crate) fn new(objects: Objects, budget: u64) -> Self {
        let pages = Permits::new(PAGES.0, PAGES.1, "Too many pages are being read: try again.");
        Self { at_hand: cache(budget, USUAL, ShownWeight), pages, objects }
    }

    /// A page of objects of a namespace, each of this version or of a later one, as `text` writes what is wanted of each, if it still
    /// has that: no more of them is in memory at a time than are read at a time.
    ///
    /// # Errors
    /// One is not at hand and can't be read, or can't be now; or can't be written.
    pub(crate) async fn page<W>(
        &self,
        namespace: &Arc<str>,
        wanted: Vec<Wanted<W>>,
        text: impl Fn(&T, &W) -> Result<Option<Bytes>, ApiError>,
    ) -> Result<ShownPage, ApiError> {
        let at_hand: Option<Vec<_>> =
            wanted.iter().map(|Wanted { name, version, .. }| self.at_hand(name, version)).collect();
        if let Some(objects) =
            at_hand.filter(|objects| objects.iter().map(|shown| shown.size()).sum::<usize>() <= SMALL)
        {
            let texts = objects.iter().zip(&wanted).map(|(shown, wanted)| text(shown, &wanted.what).transpose());
            let texts: Result<_, _> = texts.flatten().collect();
            return Ok(ShownPage { texts: texts?, permit: None });
        }
        let permit = self.pages.take(namespace, 1).await?;
        let mut texts = vec![None; wanted.len()];
        let read = async |(name, Parts { version, parts })| (self.read(name, version).await, parts);
        let mut reads = stream::iter(by_object(wanted)).map(read).buffer_unordered(READS);
        while let Some((shown, parts)) = reads.next().await {
            let Some(shown) = shown.map_err(|error| ApiError::from(&error))? else { continue };
            for (place, what) in parts {
                texts[place] = text(&shown, &what)?;
            }
        }
        Ok(ShownPage { texts: texts.into_iter().flatten().collect(), permit: Some(permit) })
    }

    /// One object, of this version or of a later one.
    ///
    /// # Errors
    /// It is gone: 404. Or it can't be read.
    pub(crate) async fn one(&self, name: NamespacedName, version: ResourceVersion) -> Result<Arc<T>, ApiError> {
        let found = self.read(name, version).await.map_err(|error| ApiError::from(&error))?;
        found.ok_or_else(ApiError::not_found)
    }

    /// Takes in that an object is gone.
    pub(crate) fn forget(&self, name: &NamespacedName) {
        self.at_hand.remove(name);
    }

    /// Takes in that all objects are listed anew, from a cluster that may have been restored: versions may begin anew.
    pub(crate) fn forget_all(&self) {
        self.at_hand.clear();
    }

    fn at_hand(&self, name: &NamespacedName, version: &ResourceVersion) -> Option<Arc<T>> {
        self.at_hand.get(name).filter(|shown| shown.version() >= *version)
    }

    /// The object; None if it is gone.
    async fn read(&self, name: NamespacedName, version: ResourceVersion) -> Result<Option<Arc<T>>, objects::Error> {
        if let Some(shown) = self.at_hand(&name, &version) {
            return Ok(Some(shown));
        }
        let found = self.objects.get_part::<T::Object, T>(&name.namespace, &name.name).await?.map(Arc::new);
        if let Some(shown) = &found {
            self.at_hand.insert(name, Arc::clone(shown));
        }
        Ok(found)
    }
}
