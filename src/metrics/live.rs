//! Series that vanish when nobody has them any more: of webhooks and namespaces that are gone.

use std::{
    collections::BTreeMap,
    ops::Deref,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;

/// The series that somebody has, by whose they are. Clones share them.
#[derive(Debug)]
pub(super) struct Live<K: Ord, S>(Arc<Mutex<Known<K, S>>>);

type Known<K, S> = BTreeMap<K, Weak<Held<K, S>>>;

/// Series that live as long as somebody has them.
#[derive(Debug)]
pub(super) struct Held<K: Ord, S> {
    pub(super) key: K,
    series: S,
    among: Live<K, S>,
}

impl<K: Ord + Clone, S> Live<K, S> {
    /// The series of `key`, which are made by `make` if nobody has them.
    pub(super) fn get_or_make(&self, key: K, make: impl FnOnce(&K) -> S) -> Arc<Held<K, S>> {
        let mut known = self.0.lock();
        if let Some(held) = known.get(&key).and_then(Weak::upgrade) {
            return held;
        }
        let held = Arc::new(Held { series: make(&key), key: key.clone(), among: self.clone() });
        known.insert(key, Arc::downgrade(&held));
        held
    }

    /// All that somebody has, in order.
    pub(super) fn all(&self) -> Vec<Arc<Held<K, S>>> {
        self.0.lock().values().filter_map(Weak::upgrade).collect()
    }
}

impl<K: Ord, S> Clone for Live<K, S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Ord, S> Default for Live<K, S> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Ord, S> Deref for Held<K, S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.series
    }
}

impl<K: Ord, S> Drop for Held<K, S> {
    fn drop(&mut self) {
        let mut known = self.among.0.lock();
        // Somebody may have made new ones since the last of these was let go.
        if known.get(&self.key).is_some_and(|held| held.strong_count() == 0) {
            known.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(live: &Live<&'static str, u8>) -> Vec<&'static str> {
        live.all().iter().map(|held| held.key).collect()
    }

    #[test]
    fn series_are_shared_by_all_that_ask_and_vanish_with_the_last() {
        let live = Live::default();
        let (b, a) = (live.get_or_make("b", |_| 1), live.get_or_make("a", |_| 2));
        let again = live.get_or_make("b", |_| 3);
        assert_eq!((**b, **again), (1, 1));
        assert_eq!(keys(&live), ["a", "b"]);
        drop(b);
        assert_eq!(keys(&live), ["a", "b"]);
        drop(again);
        assert_eq!(keys(&live), ["a"]);
        assert_eq!(live.0.lock().len(), 1);
        let anew = live.get_or_make("b", |_| 4);
        assert_eq!((**anew, keys(&live)), (4, vec!["a", "b"]));
        drop(a);
        assert_eq!(keys(&live), ["b"]);
    }
}
