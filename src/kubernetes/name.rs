//! Reads the core's `NamespacedName` from an object.

use kube::ResourceExt;

pub(crate) use crate::core::name::NamespacedName;

/// Takes the name of a namespaced object; a part that the object lacks is empty.
pub(crate) fn name_of(object: &impl ResourceExt) -> NamespacedName {
    let meta = object.meta();
    NamespacedName::new(meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Secret;
    use kube::api::ObjectMeta;

    use super::*;

    #[test]
    fn an_object_is_named_by_its_metadata() {
        let mut secret = Secret::default();
        assert_eq!(name_of(&secret), NamespacedName::new("", ""));
        secret.metadata =
            ObjectMeta { namespace: Some("team".to_owned()), name: Some("ci".to_owned()), ..ObjectMeta::default() };
        assert_eq!(name_of(&secret), NamespacedName::new("team", "ci"));
    }
}
