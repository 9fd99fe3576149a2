//! The flag that says how finely metrics tell whose they are.

use clap::ValueEnum;

/// Says how finely metrics tell whose they are.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct MetricOptions {
    /// Whose series metrics have: of each webhook and Integration, of each namespace, or of all together. With many thousand webhooks,
    /// `namespace` keeps Prometheus small
    #[arg(long, env = "ONCALL_WEBHOOKS_METRICS_LABELS", default_value = "webhook", value_name = "LABELS")]
    pub metrics_labels: MetricLabels,
}

/// Says who may read metrics.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct MetricReaders {
    /// Answer /metrics only to whoever brings a Kubernetes token (`Authorization: Bearer`) whose user may get that path: `nonResourceURLs`
    /// of a ClusterRole. It takes the right to create TokenReviews and SubjectAccessReviews
    #[arg(long, env = "ONCALL_WEBHOOKS_METRICS_PROTECTED")]
    pub metrics_protected: bool,
}

/// The labels by which metrics tell whose they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum MetricLabels {
    /// `namespace`, and `webhook` or `integration`.
    #[default]
    Webhook,
    /// `namespace`.
    Namespace,
    /// None.
    None,
}
