//! Reads from the metadata of an object its version (`metadata.resourceVersion`) and when it was created.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::{ResourceExt, api::ObjectMeta};

pub(crate) use crate::core::version::ResourceVersion;

/// Takes the version of an object; the least one if it has none.
pub(crate) fn version_of(object: &impl ResourceExt) -> ResourceVersion {
    version_in(object.meta())
}

/// Takes the version from the metadata of an object; the least one if it has none.
pub(crate) fn version_in(meta: &ObjectMeta) -> ResourceVersion {
    ResourceVersion::from(meta.resource_version.as_deref().unwrap_or_default())
}

/// Whether an object was changed in a later second than that of its creation, its status aside, as far as its metadata tells.
pub(crate) fn is_changed(meta: &ObjectMeta) -> bool {
    let created = meta.creation_timestamp.as_ref();
    let is_later = |fields: &ManagedFieldsEntry| fields.subresource.is_none() && fields.time.as_ref() > created;
    meta.managed_fields.iter().flatten().any(is_later)
}

/// When an object was created, in whole seconds; 1970 if its metadata does not say.
pub(crate) fn created_in(meta: &ObjectMeta) -> Timestamp {
    meta.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_is_changed_if_anything_but_its_status_was_written_after_its_creation() {
        let at = |second: u32| format!("2026-01-02T00:00:{second:02}Z");
        let entry = |second, subresource: Option<&str>| json!({"manager": "kubectl", "time": at(second), "subresource": subresource});
        let cases = [
            (json!(null), false),
            (json!([entry(5, None)]), false),
            (json!([entry(5, None), entry(9, Some("status"))]), false),
            (json!([entry(5, None), entry(6, None)]), true),
            (json!([{"manager": "kubectl"}]), false),
        ];
        for (fields, expected) in cases {
            let meta = json!({"creationTimestamp": at(5), "managedFields": fields});
            assert_eq!(is_changed(&serde_json::from_value(meta).unwrap()), expected, "{fields}");
        }
    }
}
