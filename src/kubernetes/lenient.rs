//! Objects of a list or a watch, each read by itself, and without what nobody needs ([`slim`](super::slim)): one that can't be
//! read does not spoil the others.
//!
//! kube's `DeserializeGuard` reads a list as a whole before it looks at its objects. An object with JSON that is nested deeper
//! than serde_json reads (the API server takes much more) would end the watch of all objects.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, IgnoredAny},
};
use serde_json::value::RawValue;

use super::slim::{Slim, SlimMeta};

/// An object, or why it can't be read.
#[derive(Clone, Debug)]
pub(crate) struct Lenient<K>(pub(crate) Result<K, Unreadable>);

/// Holds what is known of an object that can't be read.
#[derive(Clone, Debug)]
pub(crate) struct Unreadable {
    pub(crate) metadata: ObjectMeta,
    /// Whether it has a status.
    pub(crate) has_status: bool,
    /// Why it can't be read.
    pub(crate) error: String,
}

/// The fields that every object has. kube's `PartialObjectMeta` reads the other fields as well.
#[derive(Deserialize)]
struct Named {
    metadata: SlimMeta,
    status: Option<IgnoredAny>,
}

impl<'de, K: Resource + DeserializeOwned> Deserialize<'de> for Lenient<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Taken as text, without recursion.
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let error = match serde_json::from_str(text.get()) {
            Ok(Slim(object)) => return Ok(Self(Ok(object))),
            Err(error) => error.to_string(),
        };
        let Named { metadata: SlimMeta(metadata), status } =
            serde_json::from_str(text.get()).map_err(D::Error::custom)?;
        Ok(Self(Err(Unreadable { metadata, has_status: status.is_some(), error })))
    }
}

impl<K: Resource> Resource for Lenient<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn metadata_api() -> bool {
        K::metadata_api()
    }

    fn kind(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(dt)
    }

    fn group(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::group(dt)
    }

    fn version(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::version(dt)
    }

    fn plural(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(dt)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.as_ref().map_or_else(|unreadable| &unreadable.metadata, K::meta)
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.as_mut().map_or_else(|unreadable| &mut unreadable.metadata, K::meta_mut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::AlertGroupEvent;

    #[test]
    fn an_object_that_cannot_be_read_leaves_the_others_of_its_list_alone() {
        let event = |name: &str, payload: &str| {
            format!(
                r#"{{"metadata": {{"name": "{name}"}}, "spec": {{"type": "resolve", "alertGroup": {{"id": "I1"}}, "alertPayload": {payload}}}}}"#
            )
        };
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let list = format!(
            "[{}, {}, {}]",
            event("deep", &deep),
            event("fine", "[1]"),
            event("typed", "{}").replace("resolve", "no")
        );
        let objects: Vec<Lenient<AlertGroupEvent>> = serde_json::from_str(&list).unwrap();
        let read: Vec<_> = objects
            .iter()
            .map(|object| {
                (object.meta().name.as_deref().unwrap(), object.0.as_ref().map(|_| ()).map_err(|e| e.error.as_str()))
            })
            .collect();
        let [("deep", Err(too_deep)), ("fine", Ok(())), ("typed", Err(no_type))] = read.as_slice() else {
            panic!("{read:?}");
        };
        assert!(too_deep.starts_with("recursion limit exceeded"), "{too_deep}");
        assert!(no_type.starts_with("unknown variant `no`"), "{no_type}");
    }
}
