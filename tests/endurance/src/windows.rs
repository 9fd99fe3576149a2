//! Compares the windows of a run.

use std::fmt;

use support::{Footprint, Samples};

/// A part of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stretch {
    /// All are well, at first.
    Before,
    /// Two are sick.
    Sick,
    /// All are well again.
    After,
}

impl fmt::Display for Stretch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Before => "before",
            Self::Sick => "two sick",
            Self::After => "after",
        })
    }
}

/// A stretch of a few seconds.
pub(crate) struct Window {
    pub(crate) stretch: Stretch,
    /// From the creation of its events to their requests at healthy endpoints, in milliseconds.
    pub(crate) latency: Samples,
    /// The memory, files and threads of the operator at its end.
    pub(crate) footprint: Footprint,
}

pub(crate) fn print(windows: &mut [Window]) {
    println!("\nwindow           events  p50 ms  p99 ms  max ms     MiB   open files  threads");
    for Window { stretch, latency, footprint } in windows {
        println!(
            "{stretch:<15}{:>8}{:>8.1}{:>8.1}{:>8.1}{:>8.1}{:>13}{:>9}",
            latency.0.len(),
            latency.percentile(50),
            latency.percentile(99),
            latency.percentile(100),
            footprint.resident,
            footprint.files,
            footprint.threads
        );
    }
    println!();
}

/// A measurement that is compared with an earlier one.
pub(crate) struct Verdict {
    what: &'static str,
    was: f64,
    is: f64,
    limit: f64,
    pub(crate) good: bool,
}

impl Verdict {
    /// Good if it is at most so many times what it was, and a little more, which is noise.
    fn new(what: &'static str, was: f64, is: f64, times: f64, more: f64) -> Self {
        let limit = was * times + more;
        Self { what, was, is, limit, good: is <= limit }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, was, is, limit, good } = self;
        let word = if *good { "flat" } else { "NOT FLAT" };
        write!(f, "{word:<9}{what}: {was:.1}, then {is:.1} (up to {limit:.1} is flat)")
    }
}

/// Compares the last third of the time with the sick endpoints with its second third (in the first they pile up what they
/// are given until it is given up), and that time with the time without them.
pub(crate) fn verdicts(windows: &mut [Window]) -> Vec<Verdict> {
    let latency = |windows: &mut [&mut Window]| -> f64 {
        // The middle one of the windows' 99th percentiles: one bad second of the machine does not count.
        Samples(windows.iter_mut().map(|window| window.latency.percentile(99)).collect()).percentile(50)
    };
    let mean = |windows: &[&mut Window], of: fn(&Footprint) -> f64| -> f64 {
        windows.iter().map(|window| of(&window.footprint)).sum::<f64>() / windows.len().max(1) as f64
    };
    let (mut sick, mut well): (Vec<_>, Vec<_>) = windows.iter_mut().partition(|window| window.stretch == Stretch::Sick);
    let with_sick_ones = latency(&mut sick);
    let without = latency(&mut well);
    let third = sick.len().div_ceil(3);
    let mut last = sick.split_off((2 * third).min(sick.len()));
    let mut middle = sick.split_off(third.min(sick.len()));
    let mut verdicts = vec![
        Verdict::new(
            "memory of the operator, MiB",
            mean(&middle, |footprint| footprint.resident),
            mean(&last, |footprint| footprint.resident),
            1.03,
            1.0,
        ),
        Verdict::new(
            "its open files",
            mean(&middle, |footprint| footprint.files as f64),
            mean(&last, |footprint| footprint.files as f64),
            1.05,
            4.0,
        ),
        Verdict::new(
            "its threads",
            mean(&middle, |footprint| footprint.threads as f64),
            mean(&last, |footprint| footprint.threads as f64),
            1.0,
            0.5,
        ),
        Verdict::new("p99 at the healthy endpoints, ms", latency(&mut middle), latency(&mut last), 1.25, 2.0),
    ];
    verdicts.push(Verdict::new(
        "p99 at the healthy endpoints without the sick ones, and with them, ms",
        without,
        with_sick_ones,
        1.25,
        2.0,
    ));
    verdicts
}
