//! Turns the flags of the leader election into the candidate for the Lease.

use std::{env, fs, io, time::Duration};

use anyhow::{Context, Result};

use crate::{config::Election, kubernetes::lease::Candidate};

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
