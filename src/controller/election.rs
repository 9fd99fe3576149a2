//! The arguments of leader election.

use std::{env, fs, io, time::Duration};

use anyhow::{Context, Result};

use crate::kubernetes::lease::Candidate;

/// Which of several replicas works.
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

impl Election {
    /// Makes the candidate for the Lease; None without a Lease.
    ///
    /// # Errors
    /// There is no identity, and this host has no name.
    pub(super) fn candidate(self) -> Result<Option<Candidate>> {
        let Some((namespace, name)) = self.lease else { return Ok(None) };
        let duration = Duration::from_secs(self.lease_seconds.into());
        let identity = match self.identity {
            Some(identity) => identity,
            // In a pod, its name: containers of one pod run one after the other.
            None => host_name().context("find this host's name: give --identity")?,
        };
        Ok(Some(Candidate { namespace, name, identity, duration }))
    }
}

fn host_name() -> io::Result<String> {
    match env::var("HOSTNAME") {
        Ok(name) if !name.is_empty() => Ok(name),
        _ => Ok(fs::read_to_string("/etc/hostname")?.trim().to_owned()),
    }
}
