//! Tools that manage objects: they undo the changes of others.

use std::fmt::{self, Display};

use kube::api::ObjectMeta;

/// A tool that keeps objects as they are in Git or in a chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manager {
    /// The tool, as people call it.
    tool: &'static str,
    /// The object of the tool that the manifest comes from: a Kustomization, an Application, a release.
    source: String,
}

impl Display for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.tool, self.source)
    }
}

impl Manager {
    /// Finds the tool that manages an object, by the labels and annotations that the tools document: Flux's `kustomize.` and
    /// `helm.toolkit.fluxcd.io/name`, Argo CD's `argocd.argoproj.io/tracking-id` and `/instance`, Helm's
    /// `meta.helm.sh/release-name`.
    pub fn of(meta: &ObjectMeta) -> Option<Self> {
        let label = |key: &str| meta.labels.as_ref()?.get(key).map(String::as_str);
        let annotation = |key: &str| meta.annotations.as_ref()?.get(key).map(String::as_str);
        let named = |tool, kind: &str, name: &str, namespace: Option<&str>| {
            let namespace = namespace.map_or_else(String::new, |namespace| format!("{namespace}/"));
            Self { tool, source: format!("{kind} {namespace}{name}") }
        };
        let flux = |kind: &str, prefix: &str| {
            let name = label(&format!("{prefix}.toolkit.fluxcd.io/name"))?;
            Some(named("Flux", kind, name, label(&format!("{prefix}.toolkit.fluxcd.io/namespace"))))
        };
        let argo = |id: &str| {
            // APPLICATION:GROUP/KIND:NAMESPACE/NAME
            named("Argo CD", "Application", id.split(':').next().unwrap_or(id), None)
        };
        flux("Kustomization", "kustomize")
            .or_else(|| flux("HelmRelease", "helm"))
            .or_else(|| annotation("argocd.argoproj.io/tracking-id").map(argo))
            .or_else(|| label("argocd.argoproj.io/instance").map(argo))
            .or_else(|| {
                let name = annotation("meta.helm.sh/release-name")?;
                Some(named("Helm", "release", name, annotation("meta.helm.sh/release-namespace")))
            })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn objects_of_flux_argo_cd_and_helm_are_told_from_others() {
        let cases = [
            (json!({}), None),
            (json!({"labels": {"app.kubernetes.io/managed-by": "Helm"}}), None),
            (
                json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}}),
                Some("Flux (Kustomization flux-system/apps)"),
            ),
            (json!({"labels": {"helm.toolkit.fluxcd.io/name": "apps"}}), Some("Flux (HelmRelease apps)")),
            (
                json!({"annotations": {"argocd.argoproj.io/tracking-id": "apps:oncall.dev/Webhook:team/jira"}}),
                Some("Argo CD (Application apps)"),
            ),
            (json!({"labels": {"argocd.argoproj.io/instance": "apps"}}), Some("Argo CD (Application apps)")),
            (
                json!({"annotations": {"meta.helm.sh/release-name": "hooks", "meta.helm.sh/release-namespace": "team"}}),
                Some("Helm (release team/hooks)"),
            ),
        ];
        for (meta, expected) in cases {
            let meta: Value = meta;
            let found = Manager::of(&serde_json::from_value(meta.clone()).unwrap()).map(|manager| manager.to_string());
            assert_eq!(found.as_deref(), expected, "{meta}");
        }
    }
}
