//! Names of objects within a cluster.

use std::{
    fmt::{self, Display},
    sync::Arc,
};

use kube::ResourceExt;

/// The namespace and the name of an object. Cheap to clone; ordered by namespace, then by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NamespacedName {
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Arc<str>,
}

impl NamespacedName {
    pub(crate) fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

/// `namespace/name`.
impl Display for NamespacedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

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
    fn names_are_shown_as_kubectl_shows_them_and_ordered_by_namespace_first() {
        assert_eq!(NamespacedName::new("team", "jira").to_string(), "team/jira");
        assert!(NamespacedName::new("a", "z") < NamespacedName::new("b", "a"));
        assert!(NamespacedName::new("a", "a") < NamespacedName::new("a", "b"));
    }

    #[test]
    fn an_object_is_named_by_its_metadata() {
        let mut secret = Secret::default();
        assert_eq!(name_of(&secret), NamespacedName::new("", ""));
        secret.metadata =
            ObjectMeta { namespace: Some("team".to_owned()), name: Some("ci".to_owned()), ..ObjectMeta::default() };
        assert_eq!(name_of(&secret), NamespacedName::new("team", "ci"));
    }
}
