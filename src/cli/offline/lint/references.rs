//! Webhooks that events and escalations name, looked for among the files.

use std::collections::{HashMap, HashSet};

use super::super::{
    findings::{Finding, Severity},
    manifest::{IntegrationManifest, ManifestSource},
    manifests::Manifests,
    wording::quoted,
    yaml::{Data, Node},
};
use crate::core::webhook::TriggerType;

/// The Webhooks among the files, by namespace, and name or id.
struct Known<'a> {
    /// Of those that have errors it is not known what fires them.
    all: HashSet<(&'a str, &'a str)>,
    triggers: HashMap<(&'a str, &'a str), TriggerType>,
}

/// Finds events and steps of escalations that name webhooks which are not among the files, and steps whose webhooks another trigger
/// fires: they never run for it.
pub(super) fn check(manifests: &Manifests, found: &mut Vec<Finding>) {
    let known = Known::of(manifests);
    for source in &manifests.event_sources {
        for (index, item) in items(&source.node, &["spec", "webhookRefs"]).enumerate() {
            found.extend(known.missing(source, item, &format!("spec.webhookRefs[{index}]")));
        }
    }
    for IntegrationManifest { source, .. } in &manifests.integrations {
        for (step, node) in items(&source.node, &["spec", "escalation"]).enumerate() {
            for (index, item) in items(node, &["webhookRefs"]).enumerate() {
                let field = format!("spec.escalation[{step}].webhookRefs[{index}]");
                let missing = known.missing(source, item, &field);
                found.extend(missing.or_else(|| known.of_another_trigger(source, item, &field)));
            }
        }
    }
}

/// The items of a list; none where it is no list.
fn items<'a>(node: &'a Node, path: &[&str]) -> impl Iterator<Item = &'a Node> + use<'a> {
    let list = match node.at(path).map(|node| &node.data) {
        Some(Data::List(items)) => items.as_slice(),
        _ => &[],
    };
    list.iter().map(|item| &**item)
}

impl<'a> Known<'a> {
    fn of(manifests: &'a Manifests) -> Self {
        let mut triggers = HashMap::new();
        for manifest in &manifests.webhooks {
            for name in [&manifest.webhook.name, &manifest.webhook.id] {
                triggers.insert((manifest.source.namespace.as_str(), name.as_str()), manifest.webhook.trigger_type);
            }
        }
        let with_errors = manifests
            .webhook_sources
            .iter()
            .filter_map(|source| Some((source.namespace.as_str(), source.node.text_at(&["metadata", "name"])?)));
        Self { all: triggers.keys().copied().chain(with_errors).collect(), triggers }
    }

    fn missing(&self, source: &ManifestSource, item: &Node, field: &str) -> Option<Finding> {
        let name = item.text().filter(|name| !self.all.contains(&(source.namespace.as_str(), *name)))?;
        let message = format!("no Webhook of namespace {} among the files is {}", source.namespace, quoted(name));
        Some(source.finding(Severity::Hint, item.line, field, message))
    }

    fn of_another_trigger(&self, source: &ManifestSource, item: &Node, field: &str) -> Option<Finding> {
        let name = item.text()?;
        let trigger = self.triggers.get(&(source.namespace.as_str(), name))?;
        let word = serde_json::to_value(trigger).ok()?;
        let message = format!(
            "Webhook {} has triggerType {}, and escalations run those of triggerType escalation",
            quoted(name),
            word.as_str()?
        );
        (*trigger != TriggerType::Escalation).then(|| source.finding(Severity::Hint, item.line, field, message))
    }
}
