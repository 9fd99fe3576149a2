//! Fair shares of memory that is held for as long as its objects exist.

use std::{collections::HashMap, sync::Arc};

/// Bytes that namespaces share: one may have as much as it leaves to the others.
///
/// A namespace that is alone may have half of all, and one that comes to it half of what is left: whatever the others hold,
/// there is something for one that holds little. That is the dynamic threshold of switches' buffers (Choudhury and Hahne,
/// 1998).
#[derive(Debug)]
pub(crate) struct Shares {
    total: u64,
    used: u64,
    by_namespace: HashMap<Arc<str>, u64>,
}

impl Shares {
    /// Shares of `total` bytes.
    pub(crate) fn new(total: u64) -> Self {
        Self { total, used: 0, by_namespace: HashMap::new() }
    }

    /// Takes bytes for a namespace. False if they are not within its share.
    #[must_use]
    pub(crate) fn take(&mut self, namespace: &Arc<str>, bytes: u64) -> bool {
        let own = self.by_namespace.get(namespace).copied().unwrap_or_default().saturating_add(bytes);
        let free = self.total.saturating_sub(self.used).checked_sub(bytes);
        if free.is_none_or(|free| own > free) {
            return false;
        }
        self.used += bytes;
        self.by_namespace.insert(Arc::clone(namespace), own);
        true
    }

    /// Gives back bytes that were taken.
    pub(crate) fn give_back(&mut self, namespace: &Arc<str>, bytes: u64) {
        let Some(own) = self.by_namespace.get_mut(namespace) else { return };
        *own = own.saturating_sub(bytes);
        if *own == 0 {
            self.by_namespace.remove(namespace);
        }
        self.used = self.used.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_has_what_it_leaves_to_others_and_there_is_something_left_for_one_more() {
        let mut shares = Shares::new(1000);
        let [a, b, c, d] = ["a", "b", "c", "d"].map(Arc::<str>::from);
        let mut all = |namespace: &Arc<str>| (0..1000).take_while(|_| shares.take(namespace, 10)).count();
        assert_eq!([&a, &b, &c, &d].map(&mut all), [50, 25, 12, 6]);
        assert!(!shares.take(&a, 1));
        shares.give_back(&a, 500);
        assert!(!shares.take(&b, 400) && shares.take(&b, 150), "what is given back is there for others");
        let mut empty = Shares::new(10);
        assert!(!empty.take(&a, 6) && empty.take(&a, 5) && empty.take(&b, 0));
        empty.give_back(&a, 5);
        empty.give_back(&b, 0);
        assert_eq!((empty.used, empty.by_namespace.len()), (0, 0));
    }
}
