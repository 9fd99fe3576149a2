//! The flags of `api`.

use std::{net::SocketAddr, path::PathBuf};

use ipnet::IpNet;

use super::{Memory, MetricReaders, WorkingNamespaces, positive};

/// Configures the REST API.
#[derive(Clone, Debug, clap::Args)]
pub struct ApiConfig {
    /// Says in which namespaces it works.
    #[command(flatten)]
    pub working: WorkingNamespaces,
    /// Where and how it listens
    #[command(flatten)]
    pub listen: Listen,
    /// Another address of /livez and /readyz, which answers also when all connections of the API are taken; and of /metrics
    #[arg(long, env = "ONCALL_WEBHOOKS_API_HEALTH_ADDRESS")]
    pub health_address: Option<SocketAddr>,
    /// Networks of proxies whose X-Forwarded-* headers are believed, such as 10.0.0.0/8
    #[arg(long, env = "ONCALL_WEBHOOKS_TRUSTED_PROXIES", value_delimiter = ',', value_name = "CIDR")]
    pub trusted_proxies: Vec<IpNet>,
    /// Also change objects that Flux, Argo CD or Helm manage, which may undo it
    #[arg(long, env = "ONCALL_WEBHOOKS_ALLOW_MANAGED")]
    pub allow_managed: bool,
    /// Issuers of Kubernetes tokens that are taken beside the cluster's own: `https://login.example.com` of people who
    /// sign in with OpenID Connect [default: none, but any where the operator's own token does not tell the cluster's]
    #[arg(long, env = "ONCALL_WEBHOOKS_TOKEN_ISSUERS", value_delimiter = ',', value_name = "URL")]
    pub token_issuers: Vec<String>,
    /// Keep a webhook's password and Authorization header when its URL comes to lead to another scheme, host or port, as OnCall
    /// does: whoever may write can then have them sent to a host of their own
    #[arg(long, env = "ONCALL_WEBHOOKS_KEEP_CREDENTIALS_ON_URL_CHANGE")]
    pub keep_credentials_on_url_change: bool,
    /// How many calls a token, or a Kubernetes user in a namespace, may make in a minute
    #[arg(long, env = "ONCALL_WEBHOOKS_CALLS_PER_MINUTE", default_value_t = 300, value_parser = positive)]
    pub calls_per_minute: usize,
    /// How many alerts a minute are taken for an Integration by this process; more of them are refused: with 429, or 503 to Alertmanager, which tries only that again
    #[arg(long, env = "ONCALL_WEBHOOKS_INTAKE_RATE", default_value_t = 3000, value_parser = positive)]
    pub intake_rate: usize,
    /// With more open alert groups in a namespace, alerts that may open another are answered with 503
    #[arg(long, env = "ONCALL_WEBHOOKS_INTAKE_MAX_OPEN", default_value_t = 5000, value_parser = positive)]
    pub intake_max_open: usize,
    /// Where the admission webhook is served
    #[command(flatten)]
    pub admission: AdmissionListen,
    /// How much memory it may have.
    #[command(flatten)]
    pub memory: Memory,
    /// Says who may read metrics.
    #[command(flatten)]
    pub metric_readers: MetricReaders,
}

/// Says where the API server finds the admission webhook.
#[derive(Clone, Debug, clap::Args)]
pub struct AdmissionListen {
    /// Address of the admission webhook, which the API server asks about Webhooks and Integrations that are written [default: none]
    #[arg(
        long,
        env = "ONCALL_WEBHOOKS_ADMISSION_ADDRESS",
        requires_all = ["admission_certificate", "admission_key"],
    )]
    pub admission_address: Option<SocketAddr>,
    /// PEM file of the admission webhook's certificate and its chain. Waited for where it is not there yet, and read again when it
    /// changes
    #[arg(long, env = "ONCALL_WEBHOOKS_ADMISSION_CERTIFICATE", requires = "admission_address")]
    pub admission_certificate: Option<PathBuf>,
    /// PEM file of that certificate's private key
    #[arg(long, env = "ONCALL_WEBHOOKS_ADMISSION_KEY", requires = "admission_address")]
    pub admission_key: Option<PathBuf>,
}

/// Says where and how the REST API listens.
#[derive(Clone, Debug, clap::Args)]
pub struct Listen {
    /// Address of the REST API, /livez and /readyz
    #[arg(long, env = "ONCALL_WEBHOOKS_API_ADDRESS", default_value = "0.0.0.0:8081")]
    pub address: SocketAddr,
    /// PEM file of the certificate and its chain; with it, the REST API speaks TLS. Read again when it changes
    #[arg(long, env = "ONCALL_WEBHOOKS_TLS_CERTIFICATE", requires = "tls_key")]
    pub tls_certificate: Option<PathBuf>,
    /// PEM file of the certificate's private key
    #[arg(long, env = "ONCALL_WEBHOOKS_TLS_KEY", requires = "tls_certificate")]
    pub tls_key: Option<PathBuf>,
    /// How many connections may be open at a time, a quarter of them of one address that is no trusted proxy; at the bound,
    /// those without a request give way, then new ones wait
    #[arg(
        long,
        env = "ONCALL_WEBHOOKS_MAX_CONNECTIONS",
        default_value_t = 512,
        value_parser = clap::value_parser!(u16).range(1..),
    )]
    pub max_connections: u16,
}
