//! The templates of each type where an Integration has none of its own: what OnCall's defaults come to.

use std::sync::LazyLock;

use super::IntegrationType;
use crate::template::{Mode, Template};

/// Alertmanager's own key of the group; Grafana has it too.
const GROUP_KEY: &str = "{{ payload.groupKey }}";

/// `alertname (values of the other labels of the group)`. Where a payload is one alert, as old versions of OnCall took them, its own
/// `alertname`.
const GROUP_TITLE: &str = "\
{%- set group = payload.groupLabels or {} -%}
{%- set is_alert = 'labels' in payload -%}
{%- set others = group.items() | list if is_alert else group.items() | rejectattr(0, 'equalto', 'alertname') | list -%}
{{ payload.labels.alertname if is_alert else group.alertname }} {% if others -%}
({{ others | map(attribute=1) | join(', ') }})
{%- endif %}";

const IS_GROUP_RESOLVED: &str = "{{ payload.status == 'resolved' }}";

/// The whole payload, but for OnCall's own heartbeats.
const WHOLE_PAYLOAD: &str = "{{ payload.alert_uid if 'is_oncall_heartbeat' in payload else payload }}";

const IS_STATE_OK: &str = "{{ payload.state | string | upper == 'OK' }}";

/// The default templates of a type. None acknowledges by default.
pub(super) struct Defaults {
    pub(super) grouping_id: Option<Template>,
    pub(super) title: Option<Template>,
    pub(super) resolve_condition: Option<Template>,
}

impl Defaults {
    fn new(grouping_id: &str, title: &str, resolve_condition: &str) -> Self {
        let compiled = |source: &str| Template::compile(source, Mode::Raw).ok();
        Self {
            grouping_id: compiled(grouping_id),
            title: compiled(title),
            resolve_condition: compiled(resolve_condition),
        }
    }

    /// Those of a type.
    pub(super) fn of(integration_type: IntegrationType) -> &'static Self {
        match integration_type {
            IntegrationType::Alertmanager | IntegrationType::GrafanaAlerting => &GROUP,
            IntegrationType::Webhook => &WEBHOOK,
            IntegrationType::FormattedWebhook => &FORMATTED_WEBHOOK,
        }
    }
}

static GROUP: LazyLock<Defaults> = LazyLock::new(|| Defaults::new(GROUP_KEY, GROUP_TITLE, IS_GROUP_RESOLVED));
static WEBHOOK: LazyLock<Defaults> = LazyLock::new(|| Defaults::new(WHOLE_PAYLOAD, "Incident", IS_STATE_OK));
static FORMATTED_WEBHOOK: LazyLock<Defaults> = LazyLock::new(|| {
    Defaults::new("{{ payload.get('alert_uid', '') }}", "{{ payload.get('title', 'Title undefined') }}", IS_STATE_OK)
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_them_are_templates() {
        for integration_type in IntegrationType::ALL {
            let Defaults { grouping_id, title, resolve_condition } = Defaults::of(integration_type);
            assert!(grouping_id.is_some() && title.is_some() && resolve_condition.is_some(), "{integration_type}");
        }
    }
}
