//! How much memory this process may have, and which part of it each use of it may have.
//!
//! ```text
//! --memory-limit, else cgroup, else the machine ─► limit ─► ControllerBudget or ApiBudget ─► caches, queues, pages
//! ```
//! A budget is a function of the limit: its parts and the base, which nothing here counts, are never more than the limit
//! together. What holds memory for tenants is given its part when it is made, and says what it does where that is used up.

mod cache;
mod cgroup;
mod quantity;
mod shares;

use std::path::Path;

use anyhow::{Result, bail};

pub use self::quantity::parse_quantity;
pub(crate) use self::{
    cache::{CACHE_ENTRY, cache},
    shares::Shares,
};
use crate::config::Memory;

/// One mebibyte, in bytes.
pub const MIB: u64 = 1024 * 1024;

/// The least limit that a process works with, in bytes.
pub const LEAST: u64 = 64 * MIB;

/// The limit where neither the flag nor the system says one, in bytes, if the machine has as much.
const USUAL: u64 = 1024 * MIB;

/// What the base is at least, in bytes: the program, its runtime, TLS and connections of an idle process.
const LEAST_BASE: u64 = 24 * MIB;

/// What one rendering may hold, in bytes: the bound that `pyjinja` keeps.
pub const RENDERING: u64 = 24 * MIB;

/// Bound on a page of a list at least, in bytes: it is to have several objects where they are small.
const LEAST_PAGE: u64 = MIB / 2;

/// How many renderings are under way at a time at most, whatever the limit.
const MOST_RENDERINGS: u64 = 8;

/// Where a limit comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitSource {
    /// The flag or its environment variable.
    Flag,
    /// The control group that the process runs in: a container's own limit.
    Cgroup,
    /// Nothing limits the process: what the machine has, up to 1 GiB.
    Machine,
}

impl LimitSource {
    fn text(self) -> &'static str {
        match self {
            Self::Flag => "--memory-limit",
            Self::Cgroup => "the container's limit (cgroup)",
            Self::Machine => "the machine: no limit is set",
        }
    }
}

/// The memory that the process may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimit {
    /// In bytes; at least [`LEAST`].
    pub bytes: u64,
    /// Where it comes from.
    pub source: LimitSource,
}

impl MemoryLimit {
    /// Finds the limit: what the flag says, else what the system says.
    ///
    /// # Errors
    /// It is too small to work with.
    pub fn find(config: &Memory) -> Result<Self> {
        let system = Path::new("/");
        Self::of(config.memory_limit, cgroup::limit(system), cgroup::machine(system))
    }

    /// The limit, from what the flag, the control groups and the machine say.
    fn of(flag: Option<u64>, cgroup: Option<u64>, machine: Option<u64>) -> Result<Self> {
        let (bytes, source) = match (flag, cgroup) {
            (Some(bytes), _) => (bytes, LimitSource::Flag),
            // A limit above what the machine has limits nothing.
            (None, Some(bytes)) if machine.is_none_or(|machine| bytes <= machine) => (bytes, LimitSource::Cgroup),
            (None, _) => (machine.unwrap_or(USUAL).min(USUAL), LimitSource::Machine),
        };
        if bytes < LEAST {
            bail!(
                "the memory limit is {bytes} bytes ({}): the least is {} MiB; raise the container's limit, or set \
                 --memory-limit",
                source.text(),
                LEAST / MIB
            );
        }
        Ok(Self { bytes, source })
    }
}

/// The parts of the operator's memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControllerBudget {
    /// All of it.
    pub limit: MemoryLimit,
    /// The program, its runtime, connections, what the allocator wastes, and all that is counted nowhere else.
    pub base: u64,
    /// Renderings that are under way: [`ControllerBudget::renderings`] times [`RENDERING`].
    pub rendering: u64,
    /// Data, requests, records and answers of the deliveries that are in flight.
    pub in_flight: u64,
    /// Events and deliveries that wait.
    pub waiting: u64,
    /// Webhooks, compiled, and their statuses.
    pub webhooks: u64,
    /// Data of events that is kept at hand.
    pub payloads: u64,
    /// What responses said, kept at hand for templates that see `responses`.
    pub contents: u64,
    /// Records that are in the journal, compressed, and a few segments of it as text.
    pub journal: u64,
    /// The keys of Secrets that webhooks refer to.
    pub secrets: u64,
    /// Pages of lists that are under way, as text and as objects.
    pub lists: u64,
}

impl ControllerBudget {
    /// Divides a limit.
    pub fn of(limit: MemoryLimit) -> Self {
        let Division { base, rendering, rest } = Division::of(limit.bytes);
        let percent = |percent: u64| rest / 100 * percent;
        Self {
            limit,
            base,
            rendering,
            in_flight: percent(26),
            waiting: percent(16),
            webhooks: percent(12),
            payloads: percent(10),
            contents: percent(7),
            journal: percent(11),
            secrets: percent(8),
            lists: percent(10),
        }
    }

    /// How many renderings may be under way at a time; fewer if there are fewer cores.
    pub fn renderings(&self) -> usize {
        renderings(self.rendering)
    }

    /// Bound on the text of one page of a list, in bytes.
    pub fn page(&self) -> u64 {
        page(self.lists)
    }

    /// How many objects may be read at a time.
    pub fn reads(&self) -> usize {
        reads(self.lists)
    }

    /// Writes it to the log.
    pub fn log(&self) {
        let Self { limit, base, rendering, in_flight, waiting, webhooks, payloads, contents, journal, secrets, lists } =
            *self;
        let MemoryLimit { bytes: limit, source } = limit;
        tracing::info!(
            limit,
            source = source.text(),
            base,
            rendering,
            in_flight,
            waiting,
            webhooks,
            payloads,
            contents,
            journal,
            secrets,
            lists,
            "how the memory limit is divided, in bytes"
        );
    }
}

/// The parts of the REST API's memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiBudget {
    /// All of it.
    pub limit: MemoryLimit,
    /// The program, its runtime, what the allocator wastes, and all that is counted nowhere else.
    pub base: u64,
    /// Renderings that are under way: [`ApiBudget::renderings`] times [`RENDERING`].
    pub rendering: u64,
    /// Connections, and requests of which nobody knows yet who sends them.
    pub unauthenticated: u64,
    /// Bodies of requests that are being read and worked on.
    pub bodies: u64,
    /// Webhooks, and the texts that show them.
    pub catalog: u64,
    /// Integrations that alerts come to, with their templates compiled.
    pub sources: u64,
    /// The tokens that sources of alerts send.
    pub secrets: u64,
    /// Texts of responses that are kept at hand.
    pub responses: u64,
    /// Alert groups with their last alerts that are kept at hand.
    pub alert_groups: u64,
    /// Integrations with their templates that are kept at hand.
    pub integrations: u64,
    /// Hashes of tokens, and what is remembered of who may do what.
    pub credentials: u64,
    /// Pages of lists that are under way, as text and as objects, and answers that are being written.
    pub lists: u64,
}

impl ApiBudget {
    /// Divides a limit.
    pub fn of(limit: MemoryLimit) -> Self {
        let Division { base, rendering, rest } = Division::of(limit.bytes);
        let percent = |percent: u64| rest / 100 * percent;
        Self {
            limit,
            base,
            rendering,
            unauthenticated: percent(15),
            bodies: percent(20),
            catalog: percent(16),
            sources: percent(6),
            secrets: percent(2),
            responses: percent(13),
            alert_groups: percent(6),
            integrations: percent(2),
            credentials: percent(5),
            lists: percent(15),
        }
    }

    /// How many renderings may be under way at a time; fewer if there are fewer cores.
    pub fn renderings(&self) -> usize {
        renderings(self.rendering)
    }

    /// Bound on the text of one page of a list, in bytes.
    pub fn page(&self) -> u64 {
        page(self.lists)
    }

    /// How many objects may be read at a time.
    pub fn reads(&self) -> usize {
        reads(self.lists)
    }

    /// Writes it to the log.
    pub fn log(&self) {
        let Self {
            limit,
            base,
            rendering,
            unauthenticated,
            bodies,
            catalog,
            sources,
            secrets,
            responses,
            alert_groups,
            integrations,
            credentials,
            lists,
        } = *self;
        let MemoryLimit { bytes: limit, source } = limit;
        tracing::info!(
            limit,
            source = source.text(),
            base,
            rendering,
            unauthenticated,
            bodies,
            catalog,
            sources,
            secrets,
            responses,
            alert_groups,
            integrations,
            credentials,
            lists,
            "how the memory limit is divided, in bytes"
        );
    }
}

/// A limit divided into what every process needs, and the rest.
struct Division {
    base: u64,
    rendering: u64,
    rest: u64,
}

impl Division {
    fn of(limit: u64) -> Self {
        // What the allocator wastes grows with what is held: where threads free what others have allocated, up to as much again.
        let base = (limit / 3).max(LEAST_BASE);
        let free = limit.saturating_sub(base);
        let rendering = (free / 4 / RENDERING).clamp(1, MOST_RENDERINGS) * RENDERING;
        Self { base, rendering, rest: free.saturating_sub(rendering) }
    }
}

fn renderings(bytes: u64) -> usize {
    usize::try_from(bytes / RENDERING).unwrap_or(1).max(1)
}

/// An object has up to a megabyte and a half, and is held several times while it is read.
fn reads(lists: u64) -> usize {
    usize::try_from(lists / (5 * MIB)).unwrap_or(usize::MAX).clamp(2, 32)
}

/// Up to four kinds are listed at a time, and of each a page is held as it came and cut into objects.
fn page(lists: u64) -> u64 {
    (lists / 8).max(LEAST_PAGE)
}

#[cfg(test)]
mod tests;
