//! An integration as `/api/v1/integrations/` shows it.

use kube::ResourceExt;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{core::intake::IntegrationType, resources::Integration};

/// An integration: what receives alerts, and how they are grouped. What OnCall has and is not here is null.
// In OnCall's order.
#[derive(Serialize, ToSchema)]
#[schema(as = Integration)]
pub(crate) struct IntegrationBody<'a> {
    #[schema(required)]
    maintenance_mode: Option<String>,
    #[schema(required)]
    maintenance_started_at: Option<String>,
    #[schema(required)]
    maintenance_end_at: Option<String>,
    /// Its id.
    id: String,
    /// Its name for people.
    name: String,
    #[schema(required)]
    description_short: Option<String>,
    /// Team that it belongs to.
    #[schema(required)]
    team_id: Option<&'a str>,
    /// Where it receives alerts, with its token in the header `Authorization`: the token itself is not shown.
    #[schema(format = "uri")]
    link: String,
    #[schema(required)]
    inbound_email: Option<String>,
    /// What sends to it.
    #[serde(rename = "type")]
    type_: IntegrationType,
    default_route: DefaultRoute,
    templates: Templates<'a>,
    /// Where it is told that its source is well; null where it expects nothing. Alerts say so too.
    #[schema(required)]
    heartbeat: Option<HeartbeatBody>,
}

/// Where OnCall's alert groups go that no other route takes: there are no routes here.
#[derive(Default, Serialize, ToSchema)]
struct DefaultRoute {
    #[schema(required)]
    id: Option<String>,
    slack: SlackRoute,
    telegram: TelegramRoute,
    #[schema(required)]
    escalation_chain_id: Option<String>,
}

#[derive(Default, Serialize, ToSchema)]
struct SlackRoute {
    #[schema(required)]
    channel_id: Option<String>,
    enabled: bool,
}

#[derive(Default, Serialize, ToSchema)]
struct TelegramRoute {
    #[schema(required)]
    id: Option<String>,
    enabled: bool,
}

/// Its templates; null where it has that of its type.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = IntegrationTemplates)]
struct Templates<'a> {
    /// What alerts of one alert group have in common.
    #[schema(required)]
    grouping_key: Option<&'a str>,
    /// Whether an alert is over.
    #[schema(required)]
    resolve_signal: Option<&'a str>,
    /// Whether somebody works on an alert.
    #[schema(required)]
    acknowledge_signal: Option<&'a str>,
    #[schema(required)]
    source_link: Option<&'a str>,
    slack: Message<'a>,
    /// Its title is the title of alert groups.
    web: Message<'a>,
    sms: Title<'a>,
    phone_call: Title<'a>,
    telegram: Message<'a>,
}

#[derive(Default, Serialize, ToSchema)]
#[schema(as = MessageTemplates)]
struct Message<'a> {
    #[schema(required)]
    title: Option<&'a str>,
    #[schema(required)]
    message: Option<&'a str>,
    #[schema(required)]
    image_url: Option<&'a str>,
}

#[derive(Default, Serialize, ToSchema)]
#[schema(as = TitleTemplate)]
struct Title<'a> {
    #[schema(required)]
    title: Option<&'a str>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Heartbeat)]
struct HeartbeatBody {
    #[schema(format = "uri")]
    link: String,
}

impl<'a> IntegrationBody<'a> {
    /// An integration that is reached at `base`: scheme and host, and a proxy's path.
    pub(crate) fn new(integration: &'a Integration, base: &str) -> Self {
        let spec = &integration.spec;
        let (namespace, name) = (integration.namespace().unwrap_or_default(), integration.name_any());
        let link = format!("{base}/integrations/v1/{}/namespaces/{namespace}/{name}/", spec.type_.as_str());
        let template = |source: &'a Option<String>| source.as_deref();
        Self {
            maintenance_mode: None,
            maintenance_started_at: None,
            maintenance_end_at: None,
            id: integration.id(),
            name: integration.display_name(),
            description_short: None,
            team_id: spec.team.as_deref().filter(|team| !team.is_empty()),
            inbound_email: None,
            type_: spec.type_,
            default_route: DefaultRoute::default(),
            templates: Templates {
                grouping_key: template(&spec.templates.grouping_id),
                resolve_signal: template(&spec.templates.resolve_condition),
                acknowledge_signal: template(&spec.templates.acknowledge_condition),
                web: Message { title: template(&spec.templates.title), ..Message::default() },
                ..Templates::default()
            },
            heartbeat: spec.heartbeat.as_ref().map(|_| HeartbeatBody { link: format!("{link}heartbeat/") }),
            link,
        }
    }
}
