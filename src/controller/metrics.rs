//! What there is at a time: what waits, what is in flight, and what the statuses of Webhooks and Integrations say. It is read when
//! it is asked for, and no lock is held while it is written down.

use std::{collections::BTreeMap, fmt, sync::Arc};

use jiff::Timestamp;
use kube::runtime::reflector::Store;
use parking_lot::RwLock;
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder, metrics::gauge::ConstGauge};

use super::{deliveries::Deliveries, journal::Journal};
use crate::{
    config::MetricLabels,
    kubernetes::name::{NamespacedName, name_of},
    metrics::{DeliveryMetrics, NO_LABELS, Owner, encode_family},
    resources::{
        Condition, ConditionStatus, Integration, Webhook,
        conditions::{BACKLOGGED, FAILING, HEARTBEAT, READY, SUSPENDED},
    },
};

/// The conditions that are shown of a Webhook, and of an Integration.
const OF_WEBHOOK: [&str; 4] = [READY, FAILING, SUSPENDED, BACKLOGGED];
const OF_INTEGRATION: [&str; 2] = [READY, HEARTBEAT];

/// What the leader does at a time. Clones share it; a replica that stands by has nothing to show.
#[derive(Clone)]
pub(crate) struct LeaderState {
    deliveries: DeliveryMetrics,
    shown: Arc<RwLock<Shown>>,
}

/// The parts of a process that leads, as far as it has them.
#[derive(Clone, Default)]
struct Shown {
    work: Option<(Arc<Deliveries>, Arc<Journal>)>,
    webhooks: Option<Store<Webhook>>,
    integrations: Option<Store<Integration>>,
}

/// The labels of a condition.
type ConditionLabels = (Owner, [(&'static str, &'static str); 2]);

impl LeaderState {
    /// Nothing is shown yet.
    pub(crate) fn new(deliveries: DeliveryMetrics) -> Self {
        Self { deliveries, shown: Arc::default() }
    }

    /// Shows what this process does, from the time on that it leads.
    pub(crate) fn show(&self, deliveries: &Arc<Deliveries>, journal: &Arc<Journal>) {
        self.shown.write().work = Some((Arc::clone(deliveries), Arc::clone(journal)));
    }

    /// Shows the statuses of webhooks.
    pub(crate) fn show_webhooks(&self, webhooks: Store<Webhook>) {
        self.shown.write().webhooks = Some(webhooks);
    }

    /// Shows the statuses of Integrations.
    pub(crate) fn show_integrations(&self, integrations: Store<Integration>) {
        self.shown.write().integrations = Some(integrations);
    }

    fn labels(&self) -> MetricLabels {
        self.deliveries.labels()
    }

    /// How many deliveries wait for each owner, and the age of the oldest one in each namespace, in seconds.
    fn waiting(&self, work: Option<&Arc<Deliveries>>) -> (BTreeMap<Owner, u64>, BTreeMap<Owner, f64>) {
        let owners = self.deliveries.owners();
        let mut oldest: BTreeMap<Owner, f64> = owners.iter().map(|owner| (owner.without_object(), 0.0)).collect();
        let mut counts: BTreeMap<Owner, u64> = owners.into_iter().map(|owner| (owner, 0)).collect();
        let now = Timestamp::now();
        for waiting in work.map(|deliveries| deliveries.waiting()).unwrap_or_default() {
            let NamespacedName { namespace, name } = &waiting.webhook;
            let owner = Owner::webhook(self.labels(), namespace, name);
            let of_namespace = owner.without_object();
            *counts.entry(owner).or_default() += u64::try_from(waiting.count).unwrap_or(u64::MAX);
            // Whoever suspends a webhook knows that its deliveries get old.
            if !waiting.is_held {
                let age = now.duration_since(waiting.since).as_secs_f64().max(0.0);
                let oldest = oldest.entry(of_namespace).or_default();
                *oldest = oldest.max(age);
            }
        }
        (counts, oldest)
    }

    fn encode_webhooks(&self, encoder: &mut DescriptorEncoder<'_>, shown: &Shown) -> fmt::Result {
        let (waiting, oldest) = self.waiting(shown.work.as_ref().map(|(deliveries, _)| deliveries));
        encode_family(
            encoder,
            "deliveries_waiting",
            "Deliveries that wait: for their turn, their next attempt, or their webhook",
            waiting.into_iter().map(|(owner, count)| (owner, ConstGauge::new(count))),
        )?;
        encode_family(
            encoder,
            "oldest_waiting_seconds",
            "Age of the oldest event of which a delivery waits, but for webhooks that are suspended or unreadable; 0 if none does",
            oldest.into_iter().map(|(owner, age)| (owner, ConstGauge::new(age))),
        )?;
        let mut conditions = BTreeMap::new();
        for webhook in shown.webhooks.iter().flat_map(Store::state) {
            let NamespacedName { namespace, name } = name_of(&*webhook);
            let of = webhook.status.iter().flat_map(|status| &status.conditions);
            count(&mut conditions, &Owner::webhook(self.labels(), &namespace, &name), &OF_WEBHOOK, of);
        }
        encode_conditions(encoder, "webhook_condition", "Webhooks with this condition in their status", conditions)
    }

    fn encode_integrations(&self, encoder: &mut DescriptorEncoder<'_>, shown: &Shown) -> fmt::Result {
        let integrations: Vec<_> = shown.integrations.iter().flat_map(Store::state).collect();
        let names: Vec<NamespacedName> = integrations.iter().map(|integration| name_of(&**integration)).collect();
        let open = shown.work.as_ref().map(|(deliveries, _)| deliveries.open_alert_groups_of(&names));
        let (mut open, mut groups) = (open.unwrap_or_default().into_iter(), BTreeMap::<Owner, u64>::new());
        let (mut conditions, mut last_alerts) = (BTreeMap::new(), BTreeMap::<Owner, f64>::new());
        for (integration, NamespacedName { namespace, name }) in integrations.iter().zip(&names) {
            let owner = Owner::integration(self.labels(), namespace, name);
            let of = integration.status.iter().flat_map(|status| &status.conditions);
            count(&mut conditions, &owner, &OF_INTEGRATION, of);
            if let Some(last) = integration.status.as_ref().and_then(|status| status.last_alert_time) {
                let seconds = last.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64();
                let known = last_alerts.entry(owner.clone()).or_default();
                *known = known.max(seconds);
            }
            *groups.entry(owner).or_default() += u64::try_from(open.next().unwrap_or_default()).unwrap_or(u64::MAX);
        }
        encode_conditions(
            encoder,
            "integration_condition",
            "Integrations with this condition in their status",
            conditions,
        )?;
        encode_family(
            encoder,
            "alert_groups_open",
            "Alert groups that are not resolved",
            groups.into_iter().map(|(owner, count)| (owner, ConstGauge::new(count))),
        )?;
        encode_family(
            encoder,
            "integration_last_alert_timestamp_seconds",
            "When an Integration last received an alert or a heartbeat, as its status says",
            last_alerts.into_iter().map(|(owner, seconds)| (owner, ConstGauge::new(seconds))),
        )
    }
}

/// Counts the conditions of an object that are shown.
fn count<'a>(
    counts: &mut BTreeMap<ConditionLabels, u64>,
    owner: &Owner,
    shown: &[&'static str],
    conditions: impl Iterator<Item = &'a Condition>,
) {
    for condition in conditions {
        let Some(type_) = shown.iter().find(|type_| **type_ == condition.type_) else { continue };
        let status = match condition.status {
            ConditionStatus::True => "true",
            ConditionStatus::False => "false",
            ConditionStatus::Unknown => "unknown",
        };
        *counts.entry((owner.clone(), [("type", *type_), ("status", status)])).or_default() += 1;
    }
}

fn encode_conditions(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    counts: BTreeMap<ConditionLabels, u64>,
) -> fmt::Result {
    encode_family(encoder, name, help, counts.into_iter().map(|(labels, count)| (labels, ConstGauge::new(count))))
}

impl fmt::Debug for LeaderState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeaderState")
    }
}

impl Collector for LeaderState {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let shown = self.shown.read().clone();
        encode_load(&mut encoder, &shown)?;
        self.encode_webhooks(&mut encoder, &shown)?;
        self.encode_integrations(&mut encoder, &shown)
    }
}

fn encode_load(encoder: &mut DescriptorEncoder<'_>, shown: &Shown) -> fmt::Result {
    let load = shown.work.as_ref().map(|(deliveries, _)| deliveries.load()).unwrap_or_default();
    let journal = shown.work.as_ref().map(|(_, journal)| journal.load()).unwrap_or_default();
    let gauges = [
        (
            "leader",
            "Whether this replica leads, and so does the work: 1, or 0 while it stands by",
            usize::from(shown.work.is_some()),
        ),
        ("deliveries_in_flight", "Deliveries that are sent and not yet recorded", load.in_flight),
        ("deliveries_in_flight_limit", "The bound on these, at which sending waits", load.limit),
        (
            "sending_waits",
            "Whether something would be sent but for what is in flight already: 1 or 0",
            usize::from(load.blocked),
        ),
        ("records_pending", "Records that are in the journal, and not in their WebhookResponses yet", journal.records),
        ("records_pending_bytes", "Memory of these: an estimate", journal.bytes),
        ("journal_segments", "DeliveryJournals that are known, and not deleted yet", journal.segments),
        ("endpoints_failing", "Webhooks whose endpoint fails, and is tried with one delivery at a time", load.failing),
        ("waiting_bytes", "Memory of the events and deliveries that wait: an estimate", load.held_bytes),
        ("waiting_bytes_limit", "The bound on that, of which each namespace has a share", load.held_limit),
        ("in_flight_bytes", "Memory of the deliveries in flight: an estimate", load.in_flight_bytes),
        ("in_flight_bytes_limit", "The bound on that, of which each namespace has a share", load.in_flight_limit),
        (
            "namespaces_backlogged",
            "Namespaces whose new events wait in the API server since their shares of memory are used up",
            load.backlog.namespaces,
        ),
        (
            "webhooks_backlogged",
            "Webhooks of which deliveries wait in the API server since their shares of memory are used up",
            load.backlog.webhooks,
        ),
    ];
    for (name, help, value) in gauges {
        encode_family(encoder, name, help, [(NO_LABELS, ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)))])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
