//! Divides an amount of memory among namespaces, and what a namespace gets among its webhooks.
//!
//! ```text
//! limit ──► namespace: at most twice what is free ──► its webhooks: a quarter of that in all, each at most what is left of it
//! ```
//! Nobody gets all there is, so whoever comes next finds something, however many are there; and nobody has to be known
//! before. Where little is taken at a time, who holds nothing may always take something: so everybody gets on, at one event or delivery at a time if need be.

use std::{collections::HashMap, sync::Arc};

use crate::name::NamespacedName;

/// Counts who holds how many bytes.
#[derive(Debug)]
pub struct Shares {
    limit: usize,
    used: usize,
    namespaces: HashMap<Arc<str>, NamespaceShare>,
}

#[derive(Debug, Default)]
struct NamespaceShare {
    used: usize,
    /// The part of that which is held for webhooks: in all, and by their names.
    for_webhooks: usize,
    webhooks: HashMap<Arc<str>, usize>,
}

impl Shares {
    /// Nobody holds anything of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, used: 0, namespaces: HashMap::new() }
    }

    /// How many bytes all hold together.
    pub fn used(&self) -> usize {
        self.used
    }

    /// The bytes there are.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// How many bytes a namespace holds.
    pub fn used_by(&self, namespace: &str) -> usize {
        self.namespaces.get(namespace).map_or(0, |share| share.used)
    }

    /// How many bytes a namespace may hold, as things are.
    pub fn allowance(&self, namespace: &str) -> usize {
        let (used, free) = (self.used_by(namespace), self.limit.saturating_sub(self.used));
        (2 * free).min(used + free)
    }

    /// Whether a namespace may take so many bytes more.
    pub fn has_room(&self, namespace: &str, bytes: usize) -> bool {
        let used = self.used_by(namespace);
        used == 0 || used + bytes <= self.allowance(namespace)
    }

    /// Whether a namespace may take so many bytes more, also where it holds nothing. If nobody holds anything it may.
    pub fn has_room_at_all(&self, namespace: &str, bytes: usize) -> bool {
        self.used == 0 || self.used_by(namespace) + bytes <= self.allowance(namespace)
    }

    /// How many bytes are held for a webhook, and how many the webhooks of its namespace may still take.
    fn webhook(&self, webhook: &NamespacedName) -> (usize, usize) {
        let share = self.namespaces.get(&webhook.namespace);
        let used = share.and_then(|share| share.webhooks.get(&webhook.name)).map_or(0, |used| *used);
        let all = self.allowance(&webhook.namespace) / 4;
        (used, all.saturating_sub(share.map_or(0, |share| share.for_webhooks)))
    }

    /// Whether so many bytes more may be taken for a webhook.
    pub fn has_room_for(&self, webhook: &NamespacedName, bytes: usize) -> bool {
        let (used, room) = self.webhook(webhook);
        used == 0 || used + bytes <= room
    }

    /// Whether so little is held for a webhook that it is worth while to look for more: half of what may be.
    pub fn is_low_for(&self, webhook: &NamespacedName) -> bool {
        let (used, room) = self.webhook(webhook);
        2 * used <= room || used == 0
    }

    /// Notes that a namespace has taken so many bytes.
    pub fn take(&mut self, namespace: &Arc<str>, bytes: usize) {
        self.used += bytes;
        self.namespaces.entry(Arc::clone(namespace)).or_default().used += bytes;
    }

    /// Notes that a namespace has given back so many bytes.
    pub fn give_back(&mut self, namespace: &str, bytes: usize) {
        let Some(share) = self.namespaces.get_mut(namespace) else { return };
        share.used -= bytes;
        self.used -= bytes;
        if share.used == 0 {
            self.namespaces.remove(namespace);
        }
    }

    /// Notes that so many bytes are held for a webhook.
    pub fn take_for(&mut self, webhook: &NamespacedName, bytes: usize) {
        self.take(&webhook.namespace, bytes);
        if let Some(share) = self.namespaces.get_mut(&webhook.namespace) {
            share.for_webhooks += bytes;
            *share.webhooks.entry(Arc::clone(&webhook.name)).or_default() += bytes;
        }
    }

    /// Notes that so many bytes that were held for a webhook are given back.
    pub fn give_back_for(&mut self, webhook: &NamespacedName, bytes: usize) {
        if let Some(share) = self.namespaces.get_mut(&webhook.namespace)
            && let Some(used) = share.webhooks.get_mut(&webhook.name)
        {
            *used -= bytes;
            share.for_webhooks -= bytes;
            if *used == 0 {
                share.webhooks.remove(&webhook.name);
            }
        }
        self.give_back(&webhook.namespace, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Arc<str> {
        Arc::from(text)
    }

    /// Lets a namespace take all that it may, a byte at a time.
    fn fill(shares: &mut Shares, namespace: &str) -> usize {
        while shares.has_room(namespace, 1) {
            shares.take(&name(namespace), 1);
        }
        shares.used_by(namespace)
    }

    #[test]
    fn whoever_comes_next_finds_something() {
        let mut shares = Shares::new(900);
        assert_eq!(["a", "b", "c"].map(|namespace| fill(&mut shares, namespace)), [600, 200, 67]);
        // Who holds nothing may take something, whatever it is; unless there must be room for it.
        assert!(shares.has_room("late", 1000) && !shares.has_room_at_all("late", 1000));
        shares.give_back("a", 600);
        assert_eq!((shares.used(), fill(&mut shares, "b")), (267, 556));
    }

    #[test]
    fn the_webhooks_of_a_namespace_leave_something_for_its_others() {
        let mut shares = Shares::new(1200);
        let (one, two) = (NamespacedName::new("a", "one"), NamespacedName::new("a", "two"));
        let fill = |shares: &mut Shares, webhook: &NamespacedName| {
            while shares.has_room_for(webhook, 1) {
                shares.take_for(webhook, 1);
            }
            shares.webhook(webhook).0
        };
        assert_eq!((fill(&mut shares, &one), fill(&mut shares, &two)), (150, 75));
        assert_eq!((shares.used_by("a"), shares.has_room("a", 500), shares.is_low_for(&one)), (225, true, false));
        shares.give_back_for(&one, 100);
        assert_eq!((shares.used_by("a"), shares.used(), shares.is_low_for(&one)), (125, 125, true));
        shares.give_back_for(&one, 50);
        shares.give_back_for(&two, 75);
        assert!(shares.namespaces.is_empty());
    }
}
