//! Decides which deliveries of an alert group may make their first attempt.
//!
//! A webhook sees the events in their order: a later one waits until an earlier one was tried. One whose templates read what
//! other webhooks were answered waits for theirs as well, so that "resolve" finds the ticket that "created" opened;
//! but not for those of an endpoint that is known to be down.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// The deliveries of one alert group that have not been tried. Events have numbers in the order of their creation.
#[derive(Debug, Default)]
pub struct AlertGroupOrder {
    webhooks: HashMap<Arc<str>, BTreeMap<u64, Position>>,
    /// The webhooks whose deliveries of an event others wait for.
    awaited: BTreeMap<u64, BTreeSet<Arc<str>>>,
}

/// The place of a delivery among those of its webhook.
#[derive(Debug)]
struct Position {
    /// Its templates read what other webhooks were answered.
    reads: bool,
    /// Its turn has come.
    begun: bool,
}

/// A delivery: the number of its event and the name of its webhook.
pub type DeliveryKey = (u64, Arc<str>);

impl AlertGroupOrder {
    /// Whether no delivery waits.
    pub fn is_empty(&self) -> bool {
        self.webhooks.is_empty()
    }

    /// Adds a delivery; `awaited` says whether others wait for it. Returns it if its turn has come.
    pub fn add(&mut self, event: u64, webhook: &Arc<str>, reads: bool, awaited: bool) -> Option<DeliveryKey> {
        self.webhooks.entry(Arc::clone(webhook)).or_default().insert(event, Position { reads, begun: false });
        if awaited {
            self.awaited.entry(event).or_default().insert(Arc::clone(webhook));
        }
        self.next_of(webhook)
    }

    /// Removes a delivery that was tried, or that there is no more. Returns those whose turn has come.
    pub fn tried(&mut self, event: u64, webhook: &Arc<str>) -> Vec<DeliveryKey> {
        if let Some(positions) = self.webhooks.get_mut(webhook) {
            positions.remove(&event);
            if positions.is_empty() {
                self.webhooks.remove(webhook);
            }
        }
        let mut next: Vec<DeliveryKey> = self.next_of(webhook).into_iter().collect();
        if self.forget(event, webhook) {
            next.extend(self.next());
        }
        next
    }

    /// Lets nobody wait for the webhook's deliveries any more. Returns the deliveries whose turn has come.
    pub fn stop_waiting_for(&mut self, webhook: &str) -> Vec<DeliveryKey> {
        let events: Vec<u64> = self.webhooks.get(webhook).into_iter().flat_map(BTreeMap::keys).copied().collect();
        let mut changed = false;
        for event in events {
            changed |= self.forget(event, webhook);
        }
        if changed { self.next() } else { Vec::new() }
    }

    /// Lets nobody wait for one delivery any more. Returns whether that may let others go.
    fn forget(&mut self, event: u64, webhook: &str) -> bool {
        let Some(webhooks) = self.awaited.get_mut(&event) else { return false };
        webhooks.remove(webhook);
        if webhooks.is_empty() {
            self.awaited.remove(&event);
            return true;
        }
        false
    }

    /// The deliveries whose turn has come, in order.
    fn next(&mut self) -> Vec<DeliveryKey> {
        let webhooks: Vec<Arc<str>> = self.webhooks.keys().map(Arc::clone).collect();
        let mut next: Vec<DeliveryKey> = webhooks.iter().filter_map(|webhook| self.next_of(webhook)).collect();
        next.sort();
        next
    }

    /// The first delivery of a webhook, if its turn has come and was not said before.
    fn next_of(&mut self, webhook: &Arc<str>) -> Option<DeliveryKey> {
        let (event, position) = self.webhooks.get_mut(webhook)?.iter_mut().next()?;
        let waits = position.reads && self.awaited.keys().next().is_some_and(|first| first < event);
        if position.begun || waits {
            return None;
        }
        position.begun = true;
        Some((*event, Arc::clone(webhook)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Arc<str> {
        Arc::from(text)
    }

    #[test]
    fn a_webhook_sees_the_events_one_after_the_other() {
        let mut order = AlertGroupOrder::default();
        let (a, b) = (name("a"), name("b"));
        assert_eq!(order.add(1, &a, false, true), Some((1, name("a"))));
        assert_eq!(order.add(1, &b, false, true), Some((1, name("b"))));
        assert_eq!(order.add(2, &a, false, true), None);
        assert_eq!(order.add(3, &a, false, true), None);
        // One that does not read answers waits for nobody else.
        assert_eq!(order.tried(1, &name("b")), []);
        assert_eq!(order.add(2, &b, false, true), Some((2, name("b"))));
        assert_eq!(order.tried(1, &name("a")), [(2, name("a"))]);
        assert_eq!(order.tried(2, &name("a")), [(3, name("a"))]);
        assert_eq!(order.tried(2, &name("b")), []);
        assert_eq!(order.tried(3, &name("a")), []);
        assert!(order.is_empty());
    }

    #[test]
    fn one_that_reads_answers_waits_for_those_of_earlier_events() {
        let mut order = AlertGroupOrder::default();
        let (ticket, close) = (name("ticket"), name("close"));
        assert_eq!(order.add(1, &ticket, false, true), Some((1, name("ticket"))));
        assert_eq!(order.add(2, &close, true, true), None);
        // Not for what the same event sends to others.
        assert_eq!(order.add(2, &ticket, false, true), None);
        assert_eq!(order.tried(1, &name("ticket")), [(2, name("ticket")), (2, name("close"))]);
    }

    #[test]
    fn nobody_waits_for_an_endpoint_that_is_down_but_its_own_events() {
        let mut order = AlertGroupOrder::default();
        let (dead, reader) = (name("dead"), name("reader"));
        assert_eq!(order.add(1, &dead, false, true), Some((1, name("dead"))));
        assert_eq!(order.add(2, &dead, false, true), None);
        assert_eq!(order.add(3, &reader, true, true), None);
        assert_eq!(order.stop_waiting_for("dead"), [(3, name("reader"))]);
        assert_eq!(order.add(4, &dead, false, false), None);
        assert_eq!(order.tried(3, &name("reader")), []);
        assert_eq!(order.add(5, &reader, true, true), Some((5, name("reader"))));
        assert_eq!(order.tried(1, &name("dead")), [(2, name("dead"))]);
        assert_eq!(order.tried(7, &name("nobody")), []);
    }

    #[test]
    fn a_webhook_that_comes_late_begins_with_the_earliest() {
        let mut order = AlertGroupOrder::default();
        let (old, late) = (name("old"), name("late"));
        assert_eq!(order.add(1, &old, false, true), Some((1, name("old"))));
        assert_eq!(order.add(1, &late, true, true), Some((1, name("late"))));
        assert_eq!(order.add(2, &late, true, true), None);
        assert_eq!(order.tried(1, &name("late")), []);
        assert_eq!(order.tried(1, &name("old")), [(2, name("late"))]);
    }

    proptest! {
        /// Whatever is tried when: everything gets its turn once, a webhook's in order, a reader's after all before.
        #[test]
        fn every_delivery_gets_its_turn_in_order(
            deliveries in proptest::collection::btree_set((0_u64..20, 0_usize..4), 1..60),
            choices in proptest::collection::vec(any::<u16>(), 60),
        ) {
            // Webhooks 2 and 3 read answers.
            let names = ["a", "b", "c", "d"].map(name);
            let mut order = AlertGroupOrder::default();
            let mut begun: Vec<DeliveryKey> =
                deliveries.iter().filter_map(|(event, webhook)| order.add(*event, &names[*webhook], *webhook > 1, true)).collect();
            let mut tried: Vec<(u64, usize)> = Vec::new();
            for choice in choices {
                if begun.is_empty() {
                    break;
                }
                let (event, webhook) = begun.swap_remove(usize::from(choice) % begun.len());
                let number = names.iter().position(|name| *name == webhook).unwrap();
                let before = |(other, of): &&(u64, usize)| *other < event && (*of == number || number > 1);
                prop_assert!(deliveries.iter().filter(before).all(|delivery| tried.contains(delivery)));
                tried.push((event, number));
                begun.extend(order.tried(event, &webhook));
            }
            prop_assert!(order.is_empty());
            let mut all = tried.clone();
            all.sort_unstable();
            prop_assert_eq!(all, deliveries.into_iter().collect::<Vec<_>>());
        }
    }
}
