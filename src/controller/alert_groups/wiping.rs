//! Removes what is left of wiped alert groups in their events and responses.
//!
//! ```text
//! AlertGroup with status.wiped ─► list WebhookResponses, AlertGroupEvents ─► core::retention::remains ─► delete
//!        ▲                                                                        │ nothing is left
//!        └──────────────────────────── status.wiped.completed ◄──────────────────┘
//! ```
//! What still is being delivered stays until it has ended; it is looked for again. Whoever leads next begins with the alert groups of
//! which it is not written that nothing is left.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use futures::{StreamExt, channel::mpsc::UnboundedReceiver};
use kube::api::ListParams;
use serde_json::{Value, json};
use tokio::{sync::SetOnce, time::Instant};

use crate::{
    controller::{
        deliveries::Deliveries,
        events::now,
        journal::Journal,
        retention::{object, remove, responses},
    },
    core::{
        lifecycle::Progress,
        retention::{FoldableEvent, Remains, StoredEvent, StoredResponse, WipedGroup, remains},
    },
    errors::error_chain,
    kubernetes::{name::NamespacedName, objects::Objects, table::Table},
    resources::{ALERT_GROUP_LABEL, AlertGroup, AlertGroupEvent, AlertGroupStatus, WebhookResponse, label_value},
};

/// How soon to look again whether something is left, and how late at most: what fails is tried for an hour, as a rule.
const SOON: Duration = Duration::from_secs(1);
const LATE: Duration = Duration::from_secs(300);
/// Bound on the alert groups of a namespace that are looked at together.
const TOGETHER: usize = 50;

/// Cleans up after wipes.
pub(crate) struct Wiping {
    pub(crate) objects: Objects,
    pub(crate) journal: Arc<Journal>,
    pub(crate) deliveries: Arc<Deliveries>,
    /// Bound on a page of a list, in bytes.
    pub(crate) page: u64,
}

/// When to look again for what is left of an alert group, and how long after that.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Turn {
    due: Instant,
    pause: Duration,
    /// What was known of it: somebody may delete it before it is cleaned.
    known: Option<WipedGroup>,
}

impl Turn {
    fn first(now: Instant) -> Self {
        Self { due: now, pause: SOON, known: None }
    }

    /// The next turn; soon where something was removed by this one.
    fn next(&self, now: Instant, has_removed: bool) -> Self {
        let pause = if has_removed { SOON } else { self.pause };
        Self { due: now + pause, pause: (2 * pause).min(LATE), known: self.known.clone() }
    }
}

/// What came of looking for what is left of an alert group.
enum Looked {
    /// Nothing is.
    Done,
    /// Something is, or was.
    Again { has_removed: bool },
}

impl Wiping {
    /// Removes what is left of the alert groups that come, each wiped. Never returns. Begins when `events_listed` is set.
    pub(crate) async fn run(self, mut wiped: UnboundedReceiver<NamespacedName>, events_listed: Arc<SetOnce<()>>) {
        events_listed.wait().await;
        // It knows which records are not in their responses yet.
        self.journal.opened().await;
        let mut turns: HashMap<NamespacedName, Turn> = HashMap::new();
        loop {
            let due = turns.values().map(|turn| turn.due).min();
            let next = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // So that many that come are looked at together.
                biased;
                // Its sender lives as long as the process.
                Some(name) = wiped.next() => drop(turns.insert(name, Turn::first(Instant::now()))),
                () = next => self.take_turns(&mut turns).await,
            }
        }
    }

    async fn take_turns(&self, turns: &mut HashMap<NamespacedName, Turn>) {
        let now = Instant::now();
        let mut due: BTreeMap<Arc<str>, Vec<NamespacedName>> = BTreeMap::new();
        for (name, _) in turns.iter().filter(|(_, turn)| turn.due <= now) {
            due.entry(Arc::clone(&name.namespace)).or_default().push(name.clone());
        }
        for (namespace, names) in due {
            for names in names.chunks(TOGETHER) {
                for name in names {
                    self.read(name, turns).await;
                }
                let looked = self.look(&namespace, names, turns).await.unwrap_or_else(|error| {
                    tracing::warn!(
                        namespace = &*namespace,
                        error = error_chain(error.as_ref()),
                        "failed to remove what is left of wiped alert groups; trying again"
                    );
                    names.iter().map(|_| Looked::Again { has_removed: false }).collect()
                });
                for (name, looked) in names.iter().zip(looked) {
                    match (looked, turns.get(name)) {
                        (Looked::Again { has_removed }, Some(turn)) => {
                            turns.insert(name.clone(), turn.next(Instant::now(), has_removed));
                        }
                        _ => drop(turns.remove(name)),
                    }
                }
            }
        }
    }

    /// Looks once for what is left of alert groups of a namespace, and removes what may be.
    async fn look(
        &self,
        namespace: &str,
        names: &[NamespacedName],
        turns: &HashMap<NamespacedName, Turn>,
    ) -> Result<Vec<Looked>> {
        let wiped: Vec<Option<&WipedGroup>> = names.iter().map(|name| turns.get(name)?.known.as_ref()).collect();
        let groups: BTreeSet<&str> = wiped.iter().flatten().map(|wiped| wiped.group.as_str()).collect();
        if groups.is_empty() {
            return Ok(names.iter().map(|_| Looked::Done).collect());
        }
        // What is written out meanwhile may be in no list.
        let is_journaled = self.journal.has_namespace(namespace);
        // In this order, so that the event of each listed response is known.
        let labels = format!("{ALERT_GROUP_LABEL} in ({})", groups.into_iter().collect::<Vec<_>>().join(","));
        let of_them = ListParams::default().labels(&labels);
        let responses = responses(&self.objects, Some(namespace), of_them, self.page).await;
        let responses = responses.context("list WebhookResponses")?;
        let events = self.events(namespace).await.context("list AlertGroupEvents")?;
        let is_pending = |response: &StoredResponse| {
            self.journal.is_pending(&NamespacedName::new(namespace, response.object.name.as_str()))
        };
        let mut looked = Vec::new();
        for (name, wiped) in names.iter().zip(&wiped) {
            looked.push(match wiped {
                Some(wiped) => {
                    let mut left = remains(wiped, &events, &responses, is_pending);
                    left.is_more_later |= is_journaled;
                    self.remove(name, &left).await?
                }
                None => Looked::Done,
            });
        }
        Ok(looked)
    }

    /// Removes what is left of an alert group; if nothing is, says so in its status.
    async fn remove(&self, name: &NamespacedName, left: &Remains<'_>) -> Result<Looked> {
        if !self.deliveries.may_write().await {
            return Ok(Looked::Again { has_removed: false });
        }
        let Remains { events, responses, is_more_later } = left;
        let (removed_events, rest) = remove::<AlertGroupEvent>(&self.objects, events).await;
        rest.context("delete AlertGroupEvents")?;
        let (removed_responses, rest) = remove::<WebhookResponse>(&self.objects, responses).await;
        rest.context("delete WebhookResponses")?;
        let has_removed = removed_events + removed_responses > 0;
        // What was listed may not be all: something may have been recorded meanwhile.
        if *is_more_later || !events.is_empty() || !responses.is_empty() {
            return Ok(Looked::Again { has_removed });
        }
        let NamespacedName { namespace, name } = name;
        let patch = json!({"status": {"wiped": {"completed": now()}}});
        match self.objects.patch_at::<AlertGroup>(namespace, name, None, &patch).await {
            Err(error) if !error.is_not_found() => Err(error.into()),
            _ => {
                tracing::info!(
                    namespace = &**namespace,
                    alert_group = &**name,
                    "nothing is left of a wiped alert group"
                );
                Ok(Looked::Done)
            }
        }
    }

    /// Reads what is to be cleaned of an alert group. What was known of one that is gone stays known.
    async fn read(&self, name: &NamespacedName, turns: &mut HashMap<NamespacedName, Turn>) {
        let Some(turn) = turns.get_mut(name) else { return };
        match self.objects.get::<AlertGroup>(&name.namespace, &name.name).await {
            Ok(Some(found)) => turn.known = found.status.as_ref().and_then(wiped),
            Ok(None) => {}
            Err(error) => tracing::warn!(
                namespace = &*name.namespace,
                alert_group = &*name.name,
                error = error_chain(&error),
                "failed to read a wiped alert group; what was known of it counts"
            ),
        }
    }

    /// Lists the events of a namespace, in pages.
    async fn events(&self, namespace: &str) -> Result<Vec<FoldableEvent>> {
        let mut events = Vec::new();
        let mut pages = self.objects.tables::<AlertGroupEvent>(Some(namespace), ListParams::default(), self.page);
        while let Some(table) = self.objects.next_page::<Table>(&mut pages).await? {
            let rows = table.rows(["Alert Group", "Group ID", "Verdict", "Phase"])?;
            events.extend(rows.map(|(meta, [given, folded, verdict, phase])| {
                let object = object(meta, phase == "Completed");
                let name = NamespacedName::new(namespace, object.name.as_str());
                let is_under_way = !matches!(self.deliveries.progress(&object.uid), Progress::Settled);
                let group = label_value(if given.is_empty() { &folded } else { &given });
                FoldableEvent {
                    event: StoredEvent { object, group },
                    verdict: serde_json::from_value(Value::from(verdict)).ok(),
                    is_pending: self.journal.has_event(&name) || is_under_way,
                }
            }));
        }
        Ok(events)
    }
}

/// What is to be cleaned of an alert group; None if it is not wiped, or nothing is left of it.
fn wiped(status: &AlertGroupStatus) -> Option<WipedGroup> {
    let wiped = status.wiped.as_ref().filter(|wiped| wiped.completed.is_none())?;
    let group = label_value(&status.id);
    (!group.is_empty()).then_some(WipedGroup { group, at: wiped.act.time })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_looked_for_ever_later_and_soon_after_something_went() {
        let now = Instant::now();
        let mut turn = Turn::first(now);
        let mut pauses = Vec::new();
        for has_removed in [false, false, false, true, false] {
            let next = turn.next(now, has_removed);
            pauses.push(next.due.duration_since(now).as_secs());
            turn = next;
        }
        assert_eq!(pauses, [1, 2, 4, 1, 2]);
        let late = (0..20).fold(turn, |turn, _| turn.next(now, false));
        assert_eq!(late.due - now, LATE);
    }
}
