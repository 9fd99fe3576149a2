//! The flag that says how much memory the process may have.

use crate::memory::parse_quantity;

/// Says how much memory the process may have.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Memory {
    /// How much memory this process may have, in bytes or as Kubernetes writes it: 512Mi. What it holds for tenants is bounded
    /// by that [default: the container's own limit (cgroup), else what the machine has, up to 1Gi]
    #[arg(long, env = "ONCALL_WEBHOOKS_MEMORY_LIMIT", value_name = "QUANTITY", value_parser = parse_quantity)]
    pub memory_limit: Option<u64>,
}
