//! Reads from the metadata of an object its version (`metadata.resourceVersion`) and when it was created.

use jiff::Timestamp;
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

/// When an object was created, in whole seconds; 1970 if its metadata does not say.
pub(crate) fn created_in(meta: &ObjectMeta) -> Timestamp {
    meta.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0)
}
