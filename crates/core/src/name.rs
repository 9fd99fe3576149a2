//! Names of objects within a cluster.

use std::{
    fmt::{self, Display},
    sync::Arc,
};

/// The namespace and the name of an object. Cheap to clone; ordered by namespace, then by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamespacedName {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The name.
    pub name: Arc<str>,
}

impl NamespacedName {
    /// The name of an object in a namespace.
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

/// `namespace/name`.
impl Display for NamespacedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_as_kubectl_shows_them_and_ordered_by_namespace_first() {
        assert_eq!(NamespacedName::new("team", "jira").to_string(), "team/jira");
        assert!(NamespacedName::new("a", "z") < NamespacedName::new("b", "a"));
        assert!(NamespacedName::new("a", "a") < NamespacedName::new("a", "b"));
    }
}
