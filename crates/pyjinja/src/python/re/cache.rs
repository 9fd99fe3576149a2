//! Patterns that are ready to be used: those of a rendering, and those that renderings before it have left.
//!
//! ```text
//! kept (of the thread) ─► Patterns (of one rendering) ─► kept
//! ```
//! What a rendering has counts against its bytes. What is kept is bounded for each thread and for the process, in bytes; a
//! pattern is in one place at a time.

use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    rc::Rc,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::pattern::Pattern;

/// Bound on the bytes of patterns that a thread keeps.
const THREAD_BYTES: usize = 4 << 20;
/// Bound on the bytes of patterns that all threads keep.
pub(crate) const PROCESS_BYTES: usize = 16 << 20;

/// The bytes of all patterns that threads keep.
static KEPT_BYTES: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static KEPT: RefCell<Kept> = RefCell::new(Kept::default());
}

/// Patterns that wait for another rendering of this thread, each with its bytes, the latest at the end.
#[derive(Default)]
struct Kept {
    patterns: VecDeque<(Rc<Pattern>, usize)>,
    bytes: usize,
}

impl Kept {
    fn take(&mut self, source: &str) -> Option<Rc<Pattern>> {
        let at = self.patterns.iter().position(|(pattern, _)| pattern.source == source)?;
        let (pattern, bytes) = self.patterns.remove(at)?;
        self.release(bytes);
        Some(pattern)
    }

    fn keep(&mut self, pattern: Rc<Pattern>) {
        drop(self.take(&pattern.source));
        let bytes = pattern.shrink();
        let reserve = |kept: usize| kept.checked_add(bytes).filter(|kept| *kept <= PROCESS_BYTES);
        while self.bytes.saturating_add(bytes) > THREAD_BYTES
            || KEPT_BYTES.fetch_update(Ordering::Relaxed, Ordering::Relaxed, reserve).is_err()
        {
            // Other threads have the rest where there is none to give up.
            let Some((_, bytes)) = self.patterns.pop_front() else { return };
            self.release(bytes);
        }
        self.bytes += bytes;
        self.patterns.push_back((pattern, bytes));
    }

    fn release(&mut self, bytes: usize) {
        self.bytes -= bytes;
        KEPT_BYTES.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.release(self.bytes);
    }
}

/// The patterns of one rendering.
#[derive(Default)]
pub(crate) struct Patterns(RefCell<HashMap<String, Rc<Pattern>>>);

impl Patterns {
    /// The pattern, if it is known to this rendering or was to one before it.
    pub(super) fn get(&self, source: &str) -> Option<Rc<Pattern>> {
        let mut own = self.0.borrow_mut();
        if let Some(known) = own.get(source) {
            return Some(Rc::clone(known));
        }
        let kept = KEPT.try_with(|kept| kept.borrow_mut().take(source)).ok().flatten()?;
        own.insert(source.to_owned(), Rc::clone(&kept));
        Some(kept)
    }

    pub(super) fn insert(&self, pattern: Rc<Pattern>) {
        self.0.borrow_mut().insert(pattern.source.clone(), pattern);
    }

    /// Gives up all patterns that are not in use at this moment. Returns the bytes that counted for them.
    #[cold]
    pub(crate) fn give_up(&self) -> usize {
        let idle = self.0.borrow_mut().extract_if(|_, pattern| Rc::strong_count(pattern) == 1).collect::<Vec<_>>();
        let mut bytes = 0_usize;
        for (_, pattern) in idle {
            bytes = bytes.saturating_add(pattern.counted_bytes());
            keep(pattern);
        }
        bytes
    }
}

impl Drop for Patterns {
    fn drop(&mut self) {
        self.0.take().into_values().for_each(keep);
    }
}

/// Keeps a pattern for a later rendering, if there is room. A thread that ends keeps none.
fn keep(pattern: Rc<Pattern>) {
    let _ = KEPT.try_with(|kept| kept.borrow_mut().keep(pattern));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{eval::rendering::Rendering, python::re};

    /// Searches a text for each of these patterns in a rendering of its own. Returns the bytes that this thread keeps then.
    fn searched(patterns: impl IntoIterator<Item = String>) -> usize {
        for pattern in patterns {
            let text = "a line of text".into();
            re::matches(&Rendering::new(&[]), &pattern, &text, re::Anchor::Anywhere).unwrap();
        }
        KEPT.with_borrow(|kept| {
            assert_eq!(kept.bytes, kept.patterns.iter().map(|(_, bytes)| bytes).sum::<usize>());
            kept.bytes
        })
    }

    #[test]
    fn patterns_are_kept_up_to_a_bound_in_bytes_for_a_thread_and_for_all() {
        let few = || searched([r"\w+".to_owned(), r"\w+".to_owned(), "(?i)line".to_owned()]);
        assert!((1..1 << 20).contains(&few()));
        let many = || searched((0..200).map(|number| format!(r"\w{{1,3}}{number}|(?i)é{number}")));
        let full = many();
        assert!((THREAD_BYTES / 2..=THREAD_BYTES).contains(&full), "{full}");
        let giant = || searched([r"\w{1,60}".to_owned()]);
        std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| (giant(), many(), KEPT_BYTES.load(Ordering::Relaxed)))).collect();
            for thread in threads {
                let (giant, many, all) = thread.join().unwrap();
                assert!(giant < 1 << 10, "of a giant, only the text is kept: {giant}");
                assert!(many <= THREAD_BYTES && all <= PROCESS_BYTES, "{many} {all}");
            }
        });
        assert_eq!(
            KEPT_BYTES.load(Ordering::Relaxed),
            KEPT.with_borrow(|kept| kept.bytes),
            "threads that ended keep none"
        );
    }
}
