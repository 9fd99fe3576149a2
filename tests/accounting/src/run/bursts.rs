//! Faults of the operator's journal. Each comes in a burst of events, so that more is to be recorded than is written at once.

use std::{collections::HashSet, sync::Arc, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
use futures::StreamExt;
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, ListParams},
};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{CALL, Experiment, LOOK};
use crate::{
    Settings,
    faults::{Disturbance, Fault},
    journal::{Change, Changes},
    load::{self, EventId},
};

/// How long it may take in a burst until a segment of the journal appears, or is removed.
const APPEARANCE: Duration = Duration::from_secs(60);
/// How long segments are deleted.
const DELETING: Duration = Duration::from_secs(4);

impl Experiment<'_> {
    /// Writes a burst of events, does what is to be done when its journal is seen, and waits until all that was open then is
    /// completed, so that no other fault comes meanwhile.
    pub(super) async fn burst(&mut self, fault: Fault, settings: &Settings) -> Result<()> {
        self.chronicle.say(&fault.to_string());
        let groups = load::groups_of_burst(settings, self.bursts);
        self.bursts += 1;
        let mut changes = self.journal.changes();
        let writing = {
            let (events, settings) = (self.api("AlertGroupEvent"), settings.clone());
            let (clock, created) = (self.clock, Arc::clone(&self.created));
            tokio::spawn(async move { load::write_at_once(events, &settings, clock, created, groups).await })
        };
        match self.disturb_journal(fault, &mut changes).await? {
            Some(came) => {
                self.chronicle.note(came);
            }
            None => self.chronicle.say(&format!("no segment is seen: {fault} does not come")),
        }
        self.watch(settings.patience, LOOK, async || Ok(writing.is_finished())).await?;
        let events: Api<DynamicObject> = self.api("AlertGroupEvent");
        let before = open(&events).await?;
        let completed = async || Ok(open(&events).await.is_ok_and(|open| before.is_disjoint(&open)));
        if !self.watch(settings.patience, LOOK, completed).await? {
            let open = open(&events).await?;
            let some: Vec<String> = before.intersection(&open).take(4).map(ToString::to_string).collect();
            self.chronicle.say(&format!("{} events are not completed, such as {}", open.len(), some.join(", ")));
        }
        writing.abort();
        Ok(())
    }

    /// None if no segment is seen.
    async fn disturb_journal(&mut self, fault: Fault, changes: &mut Changes) -> Result<Option<Disturbance>> {
        let deadline = Instant::now() + APPEARANCE;
        let seen = loop {
            match timeout_at(deadline, changes.next()).await {
                Ok(Some(change)) if (change == Change::Removed) == (fault == Fault::KilledAtWriteOut) => break change,
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return Ok(None),
            }
        };
        let from = self.clock.now();
        match (fault, seen) {
            (Fault::SegmentsDeleted, Change::Appeared(name, _)) => {
                // Some are written out before they can be deleted.
                let (mut deleted, mut until) = (0, deadline);
                let mut appeared = Some(name);
                loop {
                    // The broken ones are to stay.
                    if let Some(name) = appeared.take().filter(|name| !self.broken_segments.contains(name))
                        && self.journal.delete(&name).await?
                    {
                        until = if deleted == 0 { Instant::now() + DELETING } else { until };
                        deleted += 1;
                    }
                    match timeout_at(until, changes.next()).await {
                        Ok(Some(Change::Appeared(name, _))) => appeared = Some(name),
                        Ok(Some(Change::Removed)) => {}
                        Ok(None) | Err(_) => break,
                    }
                }
                self.chronicle.say(&format!("  {deleted} segments deleted"));
                let to = self.clock.now();
                return Ok((deleted > 0).then_some(Disturbance { fault, from, to, resumed: None }));
            }
            (Fault::BrokenSegment, Change::Appeared(_, labels)) => {
                let name = format!("broken-{}", self.broken_segments.len());
                self.journal.put_broken(&name, labels).await?;
                self.broken_segments.push(name);
            }
            _ => {}
        }
        let operators = self.operators.as_mut().ok_or_else(|| anyhow!("there is no operator"))?;
        let kill = operators.kill(self.cluster.processes()).await?;
        Ok(Some(Disturbance { fault, ..kill }))
    }

    /// Waits until of the segments only those are left that are broken, and the operators have named these. Returns how many
    /// are left all the same, and how many broken ones are gone or not named.
    pub(super) async fn account_for_segments(&mut self, settings: &Settings) -> Result<(usize, usize)> {
        let deadline = Instant::now() + settings.patience;
        loop {
            let segments = self.journal.segments().await?;
            let left = segments.iter().filter(|name| !self.broken_segments.contains(name)).count();
            let named = |name: &str| self.operators.as_ref().is_some_and(|operators| operators.warned_of(name));
            let unnamed = self.broken_segments.iter().filter(|name| !segments.contains(name) || !named(name)).count();
            if (left, unnamed) == (0, 0) || Instant::now() > deadline {
                return Ok((left, unnamed));
            }
            sleep(LOOK).await;
        }
    }
}

/// The events that are not completed. An API server that has just started is asked again.
async fn open(events: &Api<DynamicObject>) -> Result<HashSet<EventId>> {
    let open = ListParams::default().fields("status.phase!=Completed");
    let deadline = Instant::now() + APPEARANCE;
    let list = loop {
        match timeout(CALL, events.list_metadata(&open)).await {
            Ok(Ok(list)) => break list,
            Ok(Err(error)) if Instant::now() > deadline => {
                return Err(error).context("list the events that are not completed");
            }
            Err(_) if Instant::now() > deadline => {
                bail!("no list of the events that are not completed within {APPEARANCE:?}")
            }
            _ => sleep(LOOK).await,
        }
    };
    Ok(list.iter().filter_map(|event| EventId::of_name(&event.name_any())).collect())
}
