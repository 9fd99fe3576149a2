//! Reads from the metadata of an object its version (`metadata.resourceVersion`) and when it was created.

use jiff::Timestamp;
use kube::ResourceExt;

pub(crate) use crate::core::version::ResourceVersion;

/// Takes the version of an object; the least one if it has none.
pub(crate) fn version_of(object: &impl ResourceExt) -> ResourceVersion {
    ResourceVersion::from(object.meta().resource_version.as_deref().unwrap_or_default())
}

/// When an object was created, in whole seconds; 1970 if it does not say.
pub(crate) fn created_of(object: &impl ResourceExt) -> Timestamp {
    object.meta().creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0)
}
