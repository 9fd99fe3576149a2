//! What is seen of a process from outside while it is attacked: `/livez` as a kubelet asks for it, memory and CPU. On a thread of its
//! own, so that what this program does meanwhile does not count.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use support::Footprint;

/// How often to ask.
const EVERY: Duration = Duration::from_millis(50);
/// When an answer is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// Ticks of a second in /proc/PID/stat, which Linux shows to programs so on all its machines.
const TICKS: f64 = 100.0;

/// What was seen at one time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight {
    pub(crate) at: Instant,
    /// How long `/livez` took; the whole patience where it failed.
    pub(crate) livez: Duration,
    /// The most that ever was resident, in MiB.
    pub(crate) peak: f64,
    /// Seconds of CPU that were used so far.
    pub(crate) cpu: f64,
}

/// Looks until it is stopped.
pub(crate) struct Probe {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Sight>>,
}

impl Probe {
    pub(crate) fn start(pid: u32, health: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut sights = Vec::new();
            // Ends with the process too.
            while !stopped.load(Ordering::Relaxed) && Footprint::of(pid).is_ok() {
                let at = Instant::now();
                let livez = if is_alive(health) { at.elapsed() } else { PATIENCE };
                if let (Ok(footprint), Some(cpu)) = (Footprint::of(pid), cpu(pid)) {
                    sights.push(Sight { at, livez, peak: footprint.peak, cpu });
                }
                thread::sleep(EVERY.saturating_sub(at.elapsed()));
            }
            sights
        });
        Self { stop, thread }
    }

    pub(crate) fn stop(self) -> Vec<Sight> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

fn is_alive(health: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&health, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(head == *b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}

/// Seconds of CPU that a process has used.
fn cpu(pid: u32) -> Option<f64> {
    parse_cpu(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Those of /proc/PID/stat: the 14th and 15th field, after a name in brackets that may have spaces in it.
fn parse_cpu(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_of_a_process_is_found_whatever_its_name_is() {
        let stat = "12 (a) b) S 1 12 12 0 -1 4194560 900 0 0 0 150 50 0 0 20 0 3 0 100 1 1 18446744073709551615";
        assert_eq!(parse_cpu(stat), Some(2.0));
        assert_eq!(parse_cpu("12 (a"), None);
    }
}
