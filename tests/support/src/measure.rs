//! Times of a run, and the memory, files and threads of a process.

use std::{fs, time::Duration};

use anyhow::{Context, Result};

/// Any number of measurements, as a rule in milliseconds.
#[derive(Clone, Debug, Default)]
pub struct Samples(pub Vec<f64>);

impl Samples {
    /// The smallest measurement that so many percent of all are not above. Not a number where there are none.
    pub fn percentile(&mut self, percent: usize) -> f64 {
        self.0.sort_by(f64::total_cmp);
        let rank = (self.0.len() * percent).div_ceil(100);
        self.0.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }
}

/// Milliseconds.
pub fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The memory, files and threads of a process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Footprint {
    /// Resident memory in MiB.
    pub resident: f64,
    /// The most of it there ever was, in MiB.
    pub peak: f64,
    /// Open files, sockets included.
    pub files: usize,
    /// Threads.
    pub threads: usize,
}

impl Footprint {
    /// Reads it from /proc, which only Linux has.
    ///
    /// # Errors
    /// There is no such process of this user, or no /proc.
    pub fn of(pid: u32) -> Result<Self> {
        let path = format!("/proc/{pid}/status");
        let status = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        let field = |name: &str| -> Result<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
            number.with_context(|| format!("find {name} in {path}"))
        };
        let files = fs::read_dir(format!("/proc/{pid}/fd")).context("list a process's open files")?.count();
        let (resident, peak) = (field("VmRSS")? / 1024.0, field("VmHWM")? / 1024.0);
        Ok(Self { resident, peak, files, threads: field("Threads")? as usize })
    }
}
