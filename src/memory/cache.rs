//! Caches that are bounded in bytes.

use std::hash::Hash;

use quick_cache::{
    DefaultHashBuilder, OptionsBuilder, Weighter,
    sync::{Cache, DefaultLifecycle},
};

/// About how many bytes the cache itself needs for an entry.
pub(crate) const CACHE_ENTRY: u64 = 300;

/// A cache of up to `budget` bytes, as `weighter` counts them, whose entries usually have `usual` bytes. One entry may have nearly
/// all of it: there is one shard, since each of several has only its part of the budget.
pub(crate) fn cache<K, V, W>(budget: u64, usual: u64, weighter: W) -> Cache<K, V, W>
where
    K: Eq + Hash,
    V: Clone,
    W: Weighter<K, V> + Clone,
{
    let items = usize::try_from(budget / usual.max(1)).unwrap_or(usize::MAX).clamp(32, 100_000);
    let options = OptionsBuilder::new().shards(1).estimated_items_capacity(items).weight_capacity(budget).build();
    match options {
        Ok(options) => {
            Cache::with_options(options, weighter, DefaultHashBuilder::default(), DefaultLifecycle::default())
        }
        // Nothing is missing among the options.
        Err(_) => Cache::with_weighter(items, budget, weighter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone)]
    struct Length;

    impl Weighter<u32, String> for Length {
        fn weight(&self, _: &u32, text: &String) -> u64 {
            text.len() as u64
        }
    }

    #[test]
    fn a_cache_never_holds_more_than_its_budget_and_takes_an_entry_of_nearly_all_of_it() {
        let cache = cache(1000, 10, Length);
        for number in 0..500 {
            cache.insert(number, "x".repeat(number as usize % 90));
            assert!(cache.weight() <= 1000);
        }
        cache.insert(1000, "x".repeat(960));
        assert_eq!(cache.get(&1000).map(|text| text.len()), Some(960));
        assert!(cache.weight() <= 1000);
        cache.insert(1001, "x".repeat(1001));
        assert_eq!(cache.get(&1001), None);
    }
}
