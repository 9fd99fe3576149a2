//! Objects, read without the fields that `managedFields` list.
//!
//! Who wrote an object, when and by which subresource is told there in a few words, and is kept; which fields it wrote
//! (`fieldsV1`) is a tree that can be larger than all else of the metadata. Nobody here needs it, and the API server leaves it out of
//! no answer: it is passed over as text.

use std::{collections::BTreeMap, fmt, iter, marker::PhantomData};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry, ObjectMeta, OwnerReference, Time};
use kube::Resource;
use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeOwned, DeserializeSeed, IntoDeserializer, MapAccess, Visitor,
        value::{MapAccessDeserializer, MapDeserializer},
    },
};

/// An object without those fields.
pub(crate) struct Slim<K>(pub(crate) K);

impl<'de, K: Resource + DeserializeOwned> Deserialize<'de> for Slim<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<K>(PhantomData<K>);

impl<'de, K: Resource + DeserializeOwned> Visitor<'de> for ObjectVisitor<K> {
    type Value = Slim<K>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of Kubernetes")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Slim<K>, A::Error> {
        let mut metadata = None;
        let fields = Fields { fields, metadata: &mut metadata, is_metadata: false };
        let mut object = K::deserialize(MapAccessDeserializer::new(fields))?;
        if let Some(SlimMeta(metadata)) = metadata {
            *object.meta_mut() = metadata;
        }
        Ok(Slim(object))
    }
}

/// The fields of an object. Its metadata is read apart: whoever reads the object is shown an empty one.
struct Fields<'a, A> {
    fields: A,
    metadata: &'a mut Option<SlimMeta>,
    /// Whether the next value is that of `metadata`.
    is_metadata: bool,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Fields<'_, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let Some(key) = self.fields.next_key::<String>()? else { return Ok(None) };
        self.is_metadata = key == "metadata";
        seed.deserialize(key.into_deserializer()).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        if !self.is_metadata {
            return self.fields.next_value_seed(seed);
        }
        *self.metadata = Some(self.fields.next_value()?);
        seed.deserialize(MapDeserializer::new(iter::empty::<(&str, &str)>()))
    }
}

/// The metadata of an object, without those fields.
#[derive(Deserialize)]
pub(crate) struct SlimMeta(#[serde(with = "Metadata")] pub(crate) ObjectMeta);

/// What is read of [`ObjectMeta`]. The compiler sees to it that no field is forgotten.
#[derive(Deserialize)]
#[serde(remote = "ObjectMeta", rename_all = "camelCase")]
struct Metadata {
    annotations: Option<BTreeMap<String, String>>,
    creation_timestamp: Option<Time>,
    deletion_grace_period_seconds: Option<i64>,
    deletion_timestamp: Option<Time>,
    finalizers: Option<Vec<String>>,
    generate_name: Option<String>,
    generation: Option<i64>,
    labels: Option<BTreeMap<String, String>>,
    #[serde(default, deserialize_with = "writes")]
    managed_fields: Option<Vec<ManagedFieldsEntry>>,
    name: Option<String>,
    namespace: Option<String>,
    owner_references: Option<Vec<OwnerReference>>,
    resource_version: Option<String>,
    self_link: Option<String>,
    uid: Option<String>,
}

/// What is read of an entry of `managedFields`.
#[derive(Deserialize)]
#[serde(remote = "ManagedFieldsEntry", rename_all = "camelCase")]
struct Write {
    api_version: Option<String>,
    fields_type: Option<String>,
    #[serde(skip)]
    fields_v1: Option<FieldsV1>,
    manager: Option<String>,
    operation: Option<String>,
    subresource: Option<String>,
    #[serde(default, deserialize_with = "time")]
    time: Option<Time>,
}

/// A time, if it is one that this program knows: people may write what they like, up to the end of the year 9999.
fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Time>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.and_then(|text| text.parse().ok()).map(Time))
}

fn writes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<ManagedFieldsEntry>>, D::Error> {
    #[derive(Deserialize)]
    struct Entry(#[serde(with = "Write")] ManagedFieldsEntry);

    let entries = Option::<Vec<Entry>>::deserialize(deserializer)?;
    Ok(entries.map(|entries| entries.into_iter().map(|Entry(entry)| entry).collect()))
}

#[cfg(test)]
mod tests {
    use kube::core::PartialObjectMeta;
    use serde_json::{Value, json};

    use super::*;
    use crate::resources::AlertGroupEvent;

    /// An event that somebody has created and the operator has completed, as the API server shows it; with every field of the
    /// metadata.
    fn event() -> Value {
        let entry = |manager: &str, more: Value| {
            let mut entry = json!({
                "manager": manager, "operation": "Update", "apiVersion": "oncall.dev/v1alpha1", "time": "2026-01-02T00:00:05Z",
                "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {".": {}, "f:type": {}}},
            });
            entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            entry
        };
        json!({
            "apiVersion": "oncall.dev/v1alpha1",
            "kind": "AlertGroupEvent",
            "metadata": {
                "annotations": {"a": "1"},
                "creationTimestamp": "2026-01-02T00:00:05Z",
                "deletionGracePeriodSeconds": 0,
                "deletionTimestamp": "2026-01-02T00:00:07Z",
                "finalizers": ["foregroundDeletion"],
                "generateName": "event-",
                "generation": 1,
                "labels": {"b": "2"},
                "managedFields": [
                    entry("kubectl-create", json!({})),
                    entry("oncall-webhooks", json!({"subresource": "status", "fieldsV1": {"f:status": {}}})),
                ],
                "name": "event-1",
                "namespace": "team",
                "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "u1"}],
                "resourceVersion": "12",
                "selfLink": "/x",
                "uid": "u2",
            },
            "spec": {"type": "resolve", "alertGroup": {"id": "I1"}, "alertPayload": {"metadata": {"managedFields": [1]}}},
            "status": {"phase": "Completed", "matched": 1, "succeeded": 1, "failed": 0, "skipped": 0},
        })
    }

    /// What is left of the metadata of an object that was read whole.
    fn without_fields(mut meta: ObjectMeta) -> ObjectMeta {
        meta.managed_fields.iter_mut().flatten().for_each(|entry| entry.fields_v1 = None);
        meta
    }

    #[test]
    fn an_object_is_read_as_it_is_but_for_the_fields_that_were_written() {
        let text = event().to_string();
        let mut whole: AlertGroupEvent = serde_json::from_str(&text).unwrap();
        assert!(whole.metadata.managed_fields.iter().flatten().all(|entry| entry.fields_v1.is_some()));
        whole.metadata = without_fields(whole.metadata);
        let Slim(read) = serde_json::from_str::<Slim<AlertGroupEvent>>(&text).unwrap();
        assert_eq!(read, whole);

        let Slim(read) = serde_json::from_str::<Slim<PartialObjectMeta<AlertGroupEvent>>>(&text).unwrap();
        assert_eq!((read.metadata, read.types.unwrap().kind), (whole.metadata, "AlertGroupEvent".to_owned()));
    }

    #[test]
    fn fields_that_are_null_or_missing_are_read_as_ever() {
        let nulls: Value =
            event()["metadata"].as_object().unwrap().keys().map(|key| (key.clone(), Value::Null)).collect();
        for metadata in [nulls, json!({}), json!({"managedFields": []}), json!({"managedFields": [{}], "unknown": [1]})]
        {
            let text = json!({"metadata": metadata}).to_string();
            let whole: PartialObjectMeta<AlertGroupEvent> = serde_json::from_str(&text).unwrap();
            let Slim(read) = serde_json::from_str::<Slim<PartialObjectMeta<AlertGroupEvent>>>(&text).unwrap();
            assert_eq!(read.metadata, whole.metadata, "{text}");
        }
    }

    #[test]
    fn a_time_of_somebody_s_write_that_no_clock_shows_spoils_no_list() {
        for (time, expected) in [
            (json!("2026-01-02T00:00:05Z"), Some("2026-01-02T00:00:05Z")),
            (json!("9999-12-31T23:59:59Z"), None),
            (json!("soon"), None),
        ] {
            let text =
                json!({"metadata": {"name": "a", "managedFields": [{"manager": "m", "time": time}]}}).to_string();
            let Slim(read) = serde_json::from_str::<Slim<PartialObjectMeta<AlertGroupEvent>>>(&text).unwrap();
            let writes = read.metadata.managed_fields.unwrap();
            let times: Vec<_> =
                writes.iter().map(|write| write.time.as_ref().map(|Time(time)| time.to_string())).collect();
            assert_eq!(times, [expected.map(str::to_owned)], "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_the_same_of_where_and_why() {
        for text in [
            r#"{"metadata": {"name": 1}, "spec": {"type": "resolve"}}"#,
            r#"{"metadata": {"name": "a"}, "spec": {"type": "no"}}"#,
            r#"{"metadata": {"name": "a"}}"#,
            r#"{"metadata": {"name": "a"}, "spec": {"type": "resolve"}"#,
        ] {
            let whole = serde_json::from_str::<AlertGroupEvent>(text).unwrap_err().to_string();
            let Err(read) = serde_json::from_str::<Slim<AlertGroupEvent>>(text) else { panic!("{text} is read") };
            assert_eq!(read.to_string(), whole, "{text}");
        }
    }
}
