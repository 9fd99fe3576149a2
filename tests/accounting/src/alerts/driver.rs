//! Fires and resolves alerts, as Prometheus does.
//!
//! When an occurrence has begun and ended is taken from the API server: it is said again every second until its AlertGroup is
//! there, and the next one of that label set begins when all that it has opened are resolved. That hides nothing. What is lost
//! opens or resolves nothing, and the wait ends in vain; an AlertGroup too many, or one that was joined by the next occurrence, is
//! counted in the end, where each occurrence must have one of its own. Alertmanager keeps the order in a group by itself: it
//! notifies of a group again when it has been answered, or has waited ten seconds.
//!
//! Two in a cluster don't: each looks at its alerts, and the second waits for the first (`--cluster.peer-timeout`) before it
//! looks who has notified. One that has looked just before an alert ends, and finds the end notified, notifies that it fires, and
//! later that it is over: that opens another AlertGroup, rightly. So there an occurrence has ended when nothing of it was open for
//! longer than that. Where both notify at the same moment, they may also agree that the end was the last that was said, though it
//! came first, and leave the other alert group open: the same occurrence fires once more then, and is over.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use parking_lot::Mutex;
use support::{Alert, Alertmanager};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{AlertSettings, groups::SeenGroups};

/// How often an alert is said again while it fires. Alertmanager takes it for over five minutes after that.
const AGAIN: Duration = Duration::from_secs(1);
/// For how long an occurrence fires, in milliseconds.
const FIRING: std::ops::Range<u64> = 500..4000;
/// For how long no AlertGroup of an occurrence has to be open with two Alertmanagers: twice the time for which the second waits.
const QUIET: Duration = Duration::from_secs(4);
/// After how long what one of two has opened again counts as left open.
const LEFT_OPEN: Duration = Duration::from_secs(20);
/// How long it takes at least until two have notified of what changed: longer than they wait between two looks at a group.
const NOTIFIED: Duration = Duration::from_secs(6);

/// Fires alerts.
#[derive(Clone)]
pub(crate) struct Driver {
    pub(crate) alertmanagers: Arc<Vec<Alertmanager>>,
    pub(crate) settings: AlertSettings,
    pub(crate) seen: watch::Receiver<SeenGroups>,
    /// The numbers of the occurrences that have begun.
    pub(crate) fired: Arc<Mutex<BTreeSet<usize>>>,
    /// How often two Alertmanagers have left open what one of them had opened again.
    pub(crate) left_open: Arc<AtomicUsize>,
}

impl Driver {
    /// Has all label sets fire as often as they should, some at a time.
    pub(crate) async fn drive(self) -> Result<()> {
        let next = Arc::new(Mutex::new(0..self.settings.label_sets));
        let mut drivers = JoinSet::new();
        for _ in 0..self.settings.at_a_time {
            let (mut driver, next) = (self.clone(), Arc::clone(&next));
            drivers.spawn(async move {
                loop {
                    let set = next.lock().next();
                    let Some(set) = set else { return anyhow::Ok(()) };
                    driver.play(set).await?;
                }
            });
        }
        while let Some(ended) = drivers.join_next().await {
            ended??;
        }
        Ok(())
    }

    /// All occurrences of a label set, until one does not come to its end.
    async fn play(&mut self, set: usize) -> Result<()> {
        let mut chance = fastrand::Rng::with_seed(self.settings.seed.wrapping_mul(1_000_003).wrapping_add(set as u64));
        for number in 0..self.settings.occurrences {
            let occurrence = set * self.settings.occurrences + number;
            let alert = Alert::new(&format!("Alert{set:04}")).annotation("occurrence", &occurrence.to_string());
            let firing = Duration::from_millis(chance.u64(FIRING));
            if !self.occur(&alert, occurrence, firing).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// One occurrence, from its beginning to its end; false if that does not come.
    async fn occur(&mut self, alert: &Alert, occurrence: usize, firing: Duration) -> Result<bool> {
        let (alert, patience) = ([alert.clone()], self.settings.patience);
        self.fired.lock().insert(occurrence);
        let begin = Instant::now();
        loop {
            self.fire(&alert).await?;
            if timeout(AGAIN, self.seen.wait_for(|seen| seen.is_there(occurrence))).await.is_ok() {
                break;
            }
            if begin.elapsed() > patience {
                return Ok(false);
            }
        }
        let end = Instant::now() + firing;
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            sleep(left.min(AGAIN)).await;
            if Instant::now() < end {
                self.fire(&alert).await?;
            }
        }
        self.resolve(&alert).await?;
        self.end(&alert, occurrence).await
    }

    /// Waits until an occurrence is over; false if that does not come.
    async fn end(&mut self, alert: &[Alert], occurrence: usize) -> Result<bool> {
        let (patience, is_alone, begin) = (self.settings.patience, self.alertmanagers.len() == 1, Instant::now());
        loop {
            let is_over = self.seen.wait_for(|seen| seen.is_over(occurrence));
            if timeout(LEFT_OPEN.min(patience), is_over).await.is_ok() {
                let is_open = self.seen.wait_for(|seen| !seen.is_over(occurrence));
                if is_alone || timeout(QUIET, is_open).await.is_err() {
                    return Ok(true);
                }
            } else if begin.elapsed() > patience {
                return Ok(false);
            } else if !is_alone && self.seen.borrow().is_open_again(occurrence) {
                self.left_open.fetch_add(1, Ordering::Relaxed);
                self.fire(alert).await?;
                sleep(NOTIFIED).await;
                self.resolve(alert).await?;
            }
        }
    }

    async fn resolve(&self, alert: &[Alert]) -> Result<()> {
        for alertmanager in &*self.alertmanagers {
            alertmanager.resolve(alert).await?;
        }
        Ok(())
    }

    async fn fire(&self, alert: &[Alert]) -> Result<()> {
        for alertmanager in &*self.alertmanagers {
            alertmanager.fire(alert).await?;
        }
        Ok(())
    }
}
