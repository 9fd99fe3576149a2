//! What the process takes of the machine, by the names that Prometheus' own libraries use. On Linux: elsewhere only when it began.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::{
    collector::Collector,
    encoding::DescriptorEncoder,
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};

use super::labels::{NO_LABELS, encode_family};

/// Reads it at each scrape.
#[derive(Debug)]
pub(super) struct Process {
    /// Seconds since 1970.
    began: f64,
}

impl Process {
    /// It begins now.
    pub(super) fn begin() -> Self {
        let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { began: began.as_secs_f64() }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let encoder = &mut encoder;
        encode_family(
            encoder,
            "process_start_time_seconds",
            "When the process began",
            [(NO_LABELS, ConstGauge::new(self.began))],
        )?;
        #[cfg(target_os = "linux")]
        if let Ok(usage) = Usage::read() {
            usage.encode(encoder)?;
        }
        Ok(())
    }
}

/// What `/proc/self` says.
#[cfg(target_os = "linux")]
struct Usage {
    cpu_seconds: f64,
    resident_bytes: u64,
    virtual_bytes: u64,
    open_files: u64,
    /// None if there is no bound.
    most_files: Option<u64>,
    threads: i64,
}

#[cfg(target_os = "linux")]
impl Usage {
    fn read() -> procfs::ProcResult<Self> {
        use procfs::{
            page_size,
            process::{LimitValue, Process},
            ticks_per_second,
        };

        let process = Process::myself()?;
        let stat = process.stat()?;
        // Ticks of all threads; exact up to some thousand years.
        #[expect(clippy::cast_precision_loss, reason = "f64 is what the format has")]
        let cpu_seconds = (stat.utime + stat.stime) as f64 / ticks_per_second() as f64;
        Ok(Self {
            cpu_seconds,
            resident_bytes: stat.rss * page_size(),
            virtual_bytes: stat.vsize,
            open_files: u64::try_from(process.fd_count()?).unwrap_or(u64::MAX),
            most_files: match process.limits()?.max_open_files.soft_limit {
                LimitValue::Value(most) => Some(most),
                LimitValue::Unlimited => None,
            },
            threads: stat.num_threads,
        })
    }

    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        encode_family(
            encoder,
            "process_cpu_seconds",
            "CPU time of the process",
            [(NO_LABELS, ConstCounter::new(self.cpu_seconds))],
        )?;
        for (name, help, value) in [
            ("process_resident_memory_bytes", "Resident memory of the process", Some(self.resident_bytes)),
            ("process_virtual_memory_bytes", "Virtual memory of the process", Some(self.virtual_bytes)),
            ("process_open_fds", "Open files and connections of the process", Some(self.open_files)),
            ("process_max_fds", "The bound on these", self.most_files),
        ] {
            if let Some(value) = value {
                encode_family(encoder, name, help, [(NO_LABELS, ConstGauge::new(value))])?;
            }
        }
        encode_family(
            encoder,
            "process_threads",
            "Threads of the process",
            [(NO_LABELS, ConstGauge::new(self.threads))],
        )
    }
}
