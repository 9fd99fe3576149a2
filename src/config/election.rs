//! The flags of the leader election.

/// Says which of several replicas works.
#[derive(Clone, Debug, clap::Args)]
pub struct Election {
    /// The Lease that a replica must hold to work, as NAMESPACE/NAME; without one, nothing keeps two from working at a time
    #[arg(long, env = "ONCALL_WEBHOOKS_LEASE", value_name = "NAMESPACE/NAME", value_parser = lease_name)]
    pub lease: Option<(String, String)>,
    /// Who this replica is, in the Lease [default: the host's name]
    #[arg(long, env = "ONCALL_WEBHOOKS_IDENTITY")]
    pub identity: Option<String>,
    /// For how many seconds a Lease lasts after it was written: so long after a replica died does another one take over. One
    /// that can't write it stops sending after two thirds of that
    #[arg(long, env = "ONCALL_WEBHOOKS_LEASE_SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u16).range(2..))]
    pub lease_seconds: u16,
}

fn lease_name(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
            Ok((namespace.to_owned(), name.to_owned()))
        }
        _ => Err("give it as NAMESPACE/NAME".to_owned()),
    }
}
