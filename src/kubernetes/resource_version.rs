//! Reads the core's `ResourceVersion` from an object (`metadata.resourceVersion`).

use kube::ResourceExt;

pub(crate) use crate::core::version::ResourceVersion;

/// Takes the version of an object; the least one if it has none.
pub(crate) fn version_of(object: &impl ResourceExt) -> ResourceVersion {
    ResourceVersion::from(object.meta().resource_version.as_deref().unwrap_or_default())
}
