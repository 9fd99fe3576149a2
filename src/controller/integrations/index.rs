//! What the watch shows of Integrations.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{Integrations, Known};
use crate::{
    controller::deliveries::Deliveries,
    core::{
        alert_groups::{IntegrationFacts, inherited_labels},
        lifecycle::Input,
    },
    kubernetes::{
        index::{Index, unlisted},
        lenient::Lenient,
        name::{NamespacedName, name_of},
    },
    resources::{EventIntegration, Integration},
    source_tokens::SecretTokens,
};

/// Feeds them with what the watch shows.
pub(crate) struct IntegrationIndex {
    pub(crate) integrations: Arc<Integrations>,
    pub(crate) tokens: Arc<Mutex<SecretTokens>>,
    pub(crate) deliveries: Arc<Deliveries>,
}

impl IntegrationIndex {
    fn remove(&self, name: &NamespacedName) {
        self.integrations.remove(name);
        let change = self.tokens.lock().refer(name, None);
        change.affected.iter().for_each(|name| self.integrations.review(name));
        self.deliveries.handle(Input::IntegrationGone(name.clone()));
    }
}

impl Index for IntegrationIndex {
    type Object = Lenient<Integration>;
    type Listed = NamespacedName;

    fn list(&mut self, object: &Lenient<Integration>) -> NamespacedName {
        self.apply(object);
        name_of(object)
    }

    fn retain(&mut self, listed: Vec<NamespacedName>) {
        let gone = unlisted(self.integrations.known.read().keys(), &listed);
        gone.iter().for_each(|name| self.remove(name));
        self.tokens.lock().listed();
    }

    fn apply(&mut self, object: &Lenient<Integration>) {
        // One that can't be read any more stays as it was.
        let Ok(integration) = &object.0 else { return };
        let (name, spec) = (name_of(integration), &integration.spec);
        let facts = EventIntegration {
            id: Some(integration.id()),
            type_: Some(spec.type_.as_str().to_owned()),
            name: Some(integration.display_name()),
            team: spec.team.clone(),
            labels: Some(Some(spec.labels.clone().unwrap_or_default())),
        };
        let generation = integration.metadata.generation.unwrap_or_default();
        self.integrations.known.write().insert(name.clone(), Known { facts, generation });
        let change = self.tokens.lock().refer(&name, integration.token_key());
        change.affected.iter().for_each(|name| self.integrations.review(name));
        let facts = IntegrationFacts {
            id: Arc::from(integration.id()),
            labels: spec.labels.as_ref().map(inherited_labels).unwrap_or_default(),
            escalation: integration.escalation(),
            // What is refused is not missing.
            heartbeat: spec
                .heartbeat
                .as_ref()
                .filter(|_| spec.suspend != Some(true))
                .map(|heartbeat| heartbeat.every.into()),
            last_received: integration.status.as_ref().and_then(|status| status.last_alert_time),
        };
        self.deliveries.handle(Input::IntegrationSeen(name, facts));
    }

    fn delete(&mut self, object: &Lenient<Integration>) {
        self.remove(&name_of(object));
    }
}
