//! The flags of `controller`.

use std::{net::SocketAddr, time::Duration};

use super::{
    Election, Memory, MetricOptions, MetricReaders, Proxy, Reach, Retention, WorkingNamespaces, positive,
    request_timeout,
};

/// Configures the operator.
#[derive(Clone, Debug, clap::Args)]
pub struct ControllerConfig {
    /// Says in which namespaces it works.
    #[command(flatten)]
    pub working: WorkingNamespaces,
    /// Address of /livez, /readyz and /metrics
    #[arg(long, env = "ONCALL_WEBHOOKS_HEALTH_ADDRESS", default_value = "0.0.0.0:8080")]
    pub health_address: SocketAddr,
    /// How many deliveries may be sent and not yet recorded; at the bound, sending waits
    #[arg(long, env = "ONCALL_WEBHOOKS_MAX_UNRECORDED", default_value_t = 256, value_parser = positive)]
    pub max_unrecorded: usize,
    /// How many requests of one webhook may be on the way at a time
    #[arg(long, env = "ONCALL_WEBHOOKS_MAX_PER_WEBHOOK", default_value_t = 32, value_parser = positive)]
    pub max_per_webhook: usize,
    /// Bound on one request of a Webhook that states no timeout, answer included; up to 1m
    #[arg(
        long,
        env = "ONCALL_WEBHOOKS_DEFAULT_TIMEOUT",
        default_value = "4s",
        value_name = "DURATION",
        value_parser = request_timeout
    )]
    pub default_timeout: Duration,
    /// The bound of the intake on open alert groups in a namespace, for the condition that tells of it: as api has it
    #[arg(long, env = "ONCALL_WEBHOOKS_INTAKE_MAX_OPEN", default_value_t = 5000, value_parser = positive)]
    pub intake_max_open: usize,
    /// Says what requests may reach.
    #[command(flatten)]
    pub reach: Reach,
    /// Says which proxies they go through.
    #[command(flatten)]
    pub proxy: Proxy,
    /// Says which replica works.
    #[command(flatten)]
    pub election: Election,
    /// Says how long finished objects are kept.
    #[command(flatten)]
    pub retention: Retention,
    /// How much memory it may have.
    #[command(flatten)]
    pub memory: Memory,
    /// Says how finely metrics tell whose they are.
    #[command(flatten)]
    pub metrics: MetricOptions,
    /// Says who may read metrics.
    #[command(flatten)]
    pub metric_readers: MetricReaders,
}
