//! The answers that webhooks got, which templates see as `responses`.

use std::sync::Arc;

use kube::ResourceExt;

use crate::{
    core::{
        event::response_value,
        json::{Json, Object},
    },
    resources::WebhookResponse,
};

/// The latest answer to each webhook, by namespace and alert group.
#[derive(Default)]
pub(super) struct ResponseHistory(Vec<LatestResponse>);

struct LatestResponse {
    namespace: String,
    alert_group_id: String,
    webhook: String,
    webhook_id: Arc<str>,
    content: Json,
}

impl ResponseHistory {
    /// Begins with the responses among the files.
    pub(super) fn new(mut responses: Vec<WebhookResponse>) -> Self {
        responses.sort_by_key(|response| response.status.as_ref().and_then(|status| status.timestamp));
        let mut history = Self::default();
        responses.iter().for_each(|response| history.add(response));
        history
    }

    /// Takes in a response, if it has ended, as the latest one of its webhook.
    pub(super) fn add(&mut self, response: &WebhookResponse) {
        let Some(status) = response.status.as_ref().filter(|status| status.timestamp.is_some()) else { return };
        let spec = &response.spec;
        let latest = LatestResponse {
            namespace: response.namespace().unwrap_or_default(),
            alert_group_id: spec.alert_group_id.clone(),
            webhook: spec.webhook_ref.name.clone(),
            webhook_id: Arc::from(spec.webhook_ref.id.as_str()),
            content: response_value(status.content.as_deref()),
        };
        self.0.retain(|old| old.key() != latest.key());
        self.0.push(latest);
    }

    /// The answers to the other webhooks of an alert group, by webhook id.
    pub(super) fn of_others(&self, namespace: &str, alert_group_id: &str, webhook: &str) -> Object {
        let others = self.0.iter().filter(|latest| {
            latest.namespace == namespace && latest.alert_group_id == alert_group_id && latest.webhook != webhook
        });
        others.map(|latest| (Arc::clone(&latest.webhook_id), latest.content.clone())).collect()
    }
}

impl LatestResponse {
    fn key(&self) -> (&str, &str, &str) {
        (&self.namespace, &self.alert_group_id, &self.webhook)
    }
}
