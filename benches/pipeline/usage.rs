//! CPU time: of the operator, of kube-apiserver and etcd, of this program, and of the whole machine.

use std::{fs, ops::Sub};

use anyhow::{Context, Result};
use cluster::{Cluster, Server};
use support::Operator;

/// The unit in which /proc counts CPU time: so many of them are a millisecond (USER_HZ), on every platform that matters.
const TICKS_PER_MS: f64 = 0.1;

/// CPU time in milliseconds.
#[derive(Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) operator: f64,
    pub(crate) api_server: f64,
    pub(crate) etcd: f64,
    pub(crate) own: f64,
    pub(crate) busy: f64,
    pub(crate) idle: f64,
}

impl Usage {
    /// What has been used until now.
    pub(crate) fn now(cluster: &Cluster, operator: Option<&Operator>) -> Result<Self> {
        let (busy, idle) = machine()?;
        Ok(Self {
            operator: operator.map_or(Ok(0.0), |operator| process(operator.pid()))?,
            api_server: process(cluster.pid(Server::ApiServer))?,
            etcd: process(cluster.pid(Server::Etcd))?,
            own: process(std::process::id())?,
            busy,
            idle,
        })
    }

    /// What the machine did beside the processes that are named.
    pub(crate) fn rest(&self) -> f64 {
        self.busy - self.operator - self.api_server - self.etcd - self.own
    }

    /// Percent of the time in which the machine had nothing to do.
    pub(crate) fn idle_percent(&self) -> f64 {
        100.0 * self.idle / (self.idle + self.busy)
    }
}

impl Sub for Usage {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            operator: self.operator - before.operator,
            api_server: self.api_server - before.api_server,
            etcd: self.etcd - before.etcd,
            own: self.own - before.own,
            busy: self.busy - before.busy,
            idle: self.idle - before.idle,
        }
    }
}

/// Milliseconds that a process has used until now.
pub(crate) fn process(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    // The second field, a name in parentheses, may hold anything. User and system time are the 14th and the 15th.
    let (_, fields) = stat.rsplit_once(')').context("read a process's times")?;
    let times = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    Ok(times.sum::<f64>() / TICKS_PER_MS)
}

/// Busy and idle.
fn machine() -> Result<(f64, f64)> {
    let stat = fs::read_to_string("/proc/stat").context("read /proc/stat")?;
    let all = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
    // user nice system idle iowait irq softirq steal; guests are in user.
    let all: Vec<f64> =
        all.take(8).filter_map(|field| field.parse().ok()).map(|ticks: f64| ticks / TICKS_PER_MS).collect();
    let idle: f64 = all.iter().skip(3).take(2).sum();
    Ok((all.iter().sum::<f64>() - idle, idle))
}

/// How many tasks wanted a core, of the last minute, five and fifteen.
pub(crate) fn load_average() -> Result<String> {
    let load = fs::read_to_string("/proc/loadavg").context("read /proc/loadavg")?;
    Ok(load.split_whitespace().take(3).collect::<Vec<_>>().join(" "))
}
