//! What came of an attack, and whether that is withstood.

use std::{fmt::Write as _, time::Duration};

use support::{Samples, ms};

use crate::attacks::Attack;

/// How long `/livez` may take under attack.
pub(crate) const LIVEZ: Duration = Duration::from_millis(100);
/// When a kubelet gives up.
const KUBELET: Duration = Duration::from_secs(1);
/// How many times as late as without the attack a neighbour may be.
const TIMES: f64 = 2.0;
/// What differs between two quiet runs on a machine that all share, in milliseconds: of the middle one, and of the latest.
const NOISE: (f64, f64) = (10.0, 150.0);

/// The latencies of a neighbour, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    /// The second longest: the longest may be the machine's, which has others to serve.
    pub(crate) late: f64,
    pub(crate) max: f64,
}

/// How long `/livez` took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Livez {
    pub(crate) max: Duration,
    /// How often it took longer than it may.
    pub(crate) late: usize,
}

impl Latency {
    pub(crate) fn of(mut samples: Samples) -> Self {
        let (p50, max) = (samples.percentile(50), samples.percentile(100));
        // In order by now.
        let late = samples.0.len().checked_sub(2).map_or(max, |second| samples.0[second]);
        Self { p50, late, max }
    }
}

/// What was seen of one attack.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    /// How the process ended, if it did.
    pub(crate) ended: Option<String>,
    /// The most that was resident, in MiB.
    pub(crate) peak: f64,
    /// Seconds of CPU, from the beginning of the attack.
    pub(crate) cpu: f64,
    /// The neighbour without and with the attack.
    pub(crate) neighbour: (Latency, Latency),
    /// How many of the neighbour's deliveries or calls were never answered.
    pub(crate) lost: usize,
    /// `/livez` without and with it.
    pub(crate) livez: (Livez, Livez),
    /// What the attacker got that it must not get.
    pub(crate) breaches: Vec<String>,
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    name: &'static str,
    seen: Result<Seen, String>,
}

impl Row {
    pub(crate) fn new(attack: &Attack, seen: Seen) -> Self {
        Self { name: attack.name, seen: Ok(seen) }
    }

    /// An attack that could not be made.
    pub(crate) fn untried(attack: &Attack, error: &anyhow::Error) -> Self {
        Self { name: attack.name, seen: Err(format!("{error:#}")) }
    }

    pub(crate) fn is_withstood(&self) -> bool {
        self.faults().is_empty()
    }

    pub(crate) fn verdict(&self) -> String {
        let faults = self.faults();
        if faults.is_empty() { "withstood".to_owned() } else { faults.join("; ") }
    }

    /// All that is not as it should be.
    fn faults(&self) -> Vec<String> {
        let seen = match &self.seen {
            Ok(seen) => seen,
            Err(error) => return vec![format!("NOT TRIED: {}", error.lines().next().unwrap_or_default())],
        };
        let mut faults: Vec<String> = seen.ended.iter().map(|how| format!("ENDED: {how}")).collect();
        if seen.lost > 0 {
            faults.push(format!("{} of the neighbour's were not done", seen.lost));
        }
        let (calm, attacked) = seen.neighbour;
        if calm.p50.is_nan() {
            faults.push("the neighbour was not there before".to_owned());
        }
        if attacked.p50.is_nan() {
            faults.push("nothing of the neighbour's was done".to_owned());
        }
        let late = [("p50", calm.p50, attacked.p50, NOISE.0), ("latest", calm.max, attacked.late, NOISE.1)];
        for (what, calm, attacked, noise) in late {
            if attacked > (calm * TIMES).max(calm + noise) {
                faults.push(format!("the neighbour's {what} is {attacked:.0} ms, not {calm:.0}"));
            }
        }
        let (calm, attacked) = seen.livez;
        // Once may be the machine's.
        if attacked.late > 1.max(2 * calm.late) || attacked.max > KUBELET.max(calm.max) {
            let (max, late) = (ms(attacked.max), attacked.late);
            faults.push(format!("/livez took {max:.0} ms, {late} times more than {:.0}", ms(LIVEZ)));
        }
        faults.extend(seen.breaches.iter().cloned());
        faults
    }
}

/// All rows, below a head.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<24} {:>8} {:>6} {:>17} {:>17} {:>8}  {}\n",
        "attack", "peak MiB", "CPU s", "calm p50/max ms", "p50/max ms", "/livez", "verdict"
    );
    for row in rows {
        let line = match &row.seen {
            Ok(seen) => {
                let latency = |latency: Latency| format!("{:.0}/{:.0}", latency.p50, latency.max);
                let (calm, attacked) = (latency(seen.neighbour.0), latency(seen.neighbour.1));
                let livez = format!("{:.0} ms", ms(seen.livez.1.max));
                format!("{:>8.0} {:>6.1} {calm:>17} {attacked:>17} {livez:>8}", seen.peak, seen.cpu)
            }
            Err(_) => String::new(),
        };
        // A String takes all that is written to it.
        let _ = writeln!(text, "{:<24} {line:<60}  {}", row.name, row.verdict());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn withstood() -> Seen {
        let latency = |p50, late, max| Latency { p50, late, max };
        let livez = |max, late| Livez { max: Duration::from_millis(max), late };
        Seen {
            ended: None,
            peak: 90.0,
            cpu: 3.0,
            neighbour: (latency(50.0, 200.0, 300.0), latency(99.0, 599.0, 2000.0)),
            lost: 0,
            livez: (livez(5, 0), livez(200, 1)),
            breaches: vec![],
        }
    }

    fn faults(change: impl FnOnce(&mut Seen)) -> Vec<String> {
        let mut seen = withstood();
        change(&mut seen);
        Row { name: "attack", seen: Ok(seen) }.faults()
    }

    #[test]
    fn an_attack_is_withstood_only_if_nothing_of_it_shows() {
        let none: [&str; 0] = [];
        assert_eq!(faults(|_| {}), none);
        assert_eq!(faults(|seen| seen.ended = Some("signal: 9".to_owned())), ["ENDED: signal: 9"]);
        assert_eq!(faults(|seen| seen.lost = 2), ["2 of the neighbour's were not done"]);
        assert_eq!(faults(|seen| seen.neighbour.1.p50 = 101.0), ["the neighbour's p50 is 101 ms, not 50"]);
        assert_eq!(faults(|seen| seen.neighbour.1.late = 601.0), ["the neighbour's latest is 601 ms, not 300"]);
        let nothing = |seen: &mut Seen| seen.neighbour.1 = Latency::of(Samples::default());
        assert_eq!(faults(nothing), ["nothing of the neighbour's was done"]);
        // With nothing to compare it with, nothing is known.
        assert_eq!(
            faults(|seen| seen.neighbour.0 = Latency::of(Samples::default())),
            ["the neighbour was not there before"]
        );
        let late = |max, late| faults(|seen| seen.livez.1 = Livez { max: Duration::from_millis(max), late });
        assert_eq!(late(101, 2), ["/livez took 101 ms, 2 times more than 100"]);
        assert_eq!(late(1001, 1), ["/livez took 1001 ms, 1 times more than 100"]);
        assert_eq!(faults(|seen| seen.breaches = vec!["a secret shows".to_owned()]), ["a secret shows"]);
        let untried = Row { name: "attack", seen: Err("no disk\nmore".to_owned()) };
        assert_eq!((untried.is_withstood(), untried.verdict()), (false, "NOT TRIED: no disk".to_owned()));
    }

    #[test]
    fn what_is_hardly_anything_may_be_a_little_more() {
        let none: [&str; 0] = [];
        let quiet = |seen: &mut Seen, p50, late| {
            let latency = |p50, late| Latency { p50, late, max: late };
            seen.neighbour = (latency(4.0, 20.0), latency(p50, late));
        };
        assert_eq!(faults(|seen| quiet(seen, 13.0, 160.0)), none);
        assert_eq!(faults(|seen| quiet(seen, 15.0, 160.0)), ["the neighbour's p50 is 15 ms, not 4"]);
        assert_eq!(faults(|seen| quiet(seen, 13.0, 171.0)), ["the neighbour's latest is 171 ms, not 20"]);
    }
}
