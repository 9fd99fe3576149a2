//! Indexes that follow a list-and-watch: the one way in which watches reach the state of this process.
//!
//! ```text
//! watch ─► Event ─► Fold ─┬─► begin_list, list … list, retain     (at the start, and when the watch has to begin anew)
//!                         └─► apply, delete                       (in between)
//! ```
//! A list does not name what was deleted while nobody watched. Therefore [`Fold`] keeps a note of each object that a list
//! names, and hands the notes over at its end: the index then removes all other objects. An index whose objects depend on
//! each other notes down the objects themselves, and takes in the list as a whole.

use std::{collections::HashSet, future};

use futures::{Stream, StreamExt};
use kube::runtime::watcher::{self, Event};

use super::name::NamespacedName;

/// State that is computed from the objects of one kind.
pub(crate) trait Index {
    /// The objects that the watch shows.
    type Object;
    /// The note that is kept of each listed object until the list ends: enough to tell it from others.
    type Listed;

    /// Takes in that a list begins. One that was under way has no end.
    fn begin_list(&mut self) {}

    /// Takes in an object that a list names. It may be known, and may have changed.
    fn list(&mut self, object: &Self::Object) -> Self::Listed;

    /// Takes in that a list has ended, with the notes of all that it named, in its order: what else is known is gone.
    fn retain(&mut self, listed: Vec<Self::Listed>);

    /// Takes in an object that is new or has changed.
    fn apply(&mut self, object: &Self::Object);

    /// Takes in that an object is gone, with its last state.
    fn delete(&mut self, object: &Self::Object);
}

/// Folds the events of a list-and-watch into an index.
pub(crate) struct Fold<I: Index> {
    index: I,
    /// The notes of a list that is under way.
    listing: Option<Vec<I::Listed>>,
}

impl<I: Index> Fold<I> {
    /// Nothing is listed yet.
    pub(crate) fn new(index: I) -> Self {
        Self { index, listing: None }
    }

    /// Takes in an event of the watch. Events must come in the order of the watch.
    pub(crate) fn observe(&mut self, event: &Event<I::Object>) {
        match event {
            Event::Init => {
                self.listing = Some(Vec::new());
                self.index.begin_list();
            }
            Event::InitApply(object) => {
                let note = self.index.list(object);
                self.listing.get_or_insert_default().push(note);
            }
            Event::InitDone => self.index.retain(self.listing.take().unwrap_or_default()),
            Event::Apply(object) => self.index.apply(object),
            Event::Delete(object) => self.index.delete(object),
        }
    }
}

/// The names that are known and not `listed`: what a list that has ended says is gone.
pub(crate) fn unlisted<'a>(
    known: impl IntoIterator<Item = &'a NamespacedName>,
    listed: &[NamespacedName],
) -> Vec<NamespacedName> {
    let listed: HashSet<&NamespacedName> = listed.iter().collect();
    known.into_iter().filter(|name| !listed.contains(name)).cloned().collect()
}

/// Folds what a watch shows into an index, as long as the watch lasts; `then` is shown each event that the index has taken in. Whoever
/// watches logs what fails.
pub(crate) async fn follow<I: Index>(
    events: impl Stream<Item = watcher::Result<Event<I::Object>>>,
    index: I,
    mut then: impl FnMut(&Event<I::Object>),
) {
    let mut fold = Fold::new(index);
    let seen = events.filter_map(|event| future::ready(event.ok())).for_each(|event| {
        fold.observe(&event);
        then(&event);
        future::ready(())
    });
    seen.await;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// An object: its name and its state.
    type Object = (&'static str, u32);

    /// Objects by name, and what was called.
    #[derive(Default)]
    struct Objects {
        by_name: BTreeMap<&'static str, u32>,
        lists: u32,
    }

    impl Index for &mut Objects {
        type Object = Object;
        type Listed = &'static str;

        fn begin_list(&mut self) {
            self.lists += 1;
        }

        fn list(&mut self, object: &Object) -> &'static str {
            self.apply(object);
            object.0
        }

        fn retain(&mut self, listed: Vec<&'static str>) {
            self.by_name.retain(|name, _| listed.contains(name));
        }

        fn apply(&mut self, (name, state): &Object) {
            self.by_name.insert(name, *state);
        }

        fn delete(&mut self, (name, _): &Object) {
            self.by_name.remove(name);
        }
    }

    fn folded(events: &[Event<Object>]) -> (Vec<Object>, u32) {
        let mut objects = Objects::default();
        let mut fold = Fold::new(&mut objects);
        events.iter().for_each(|event| fold.observe(event));
        (objects.by_name.into_iter().collect(), objects.lists)
    }

    #[test]
    fn an_index_holds_what_the_watch_has_shown() {
        let cases = [
            ("nothing", vec![], vec![], 0),
            ("an empty list", vec![Event::Init, Event::InitDone], vec![], 1),
            (
                "a list, and what comes after it",
                vec![
                    Event::Init,
                    Event::InitApply(("a", 1)),
                    Event::InitApply(("b", 1)),
                    Event::InitDone,
                    Event::Apply(("b", 2)),
                    Event::Apply(("c", 2)),
                    Event::Delete(("a", 1)),
                ],
                vec![("b", 2), ("c", 2)],
                1,
            ),
            (
                "a list that has not ended removes nothing",
                vec![Event::Apply(("a", 1)), Event::Init, Event::InitApply(("b", 2))],
                vec![("a", 1), ("b", 2)],
                1,
            ),
            (
                "what a later list does not name is gone",
                vec![
                    Event::Init,
                    Event::InitApply(("a", 1)),
                    Event::InitApply(("b", 1)),
                    Event::InitDone,
                    Event::Apply(("c", 2)),
                    Event::Init,
                    Event::InitApply(("b", 3)),
                    Event::InitDone,
                ],
                vec![("b", 3)],
                2,
            ),
            (
                "a list that was broken off counts for nothing",
                vec![Event::Init, Event::InitApply(("a", 1)), Event::Init, Event::InitApply(("b", 2)), Event::InitDone],
                vec![("b", 2)],
                2,
            ),
        ];
        for (case, events, expected, lists) in cases {
            assert_eq!(folded(&events), (expected, lists), "{case}");
        }
    }

    #[test]
    fn what_is_known_and_not_listed_is_gone() {
        let names = |names: &[(&str, &str)]| -> Vec<NamespacedName> {
            names.iter().map(|(namespace, name)| NamespacedName::new(*namespace, *name)).collect()
        };
        let known = names(&[("a", "one"), ("a", "two"), ("b", "one")]);
        let gone = |listed: &[(&str, &str)]| unlisted(&known, &names(listed));
        assert_eq!(gone(&[]), known);
        assert_eq!(gone(&[("b", "one"), ("a", "one"), ("b", "two")]), names(&[("a", "two")]));
    }

    #[test]
    fn an_index_may_take_in_a_list_as_a_whole_in_the_order_of_the_list() {
        struct Batches(Vec<Vec<Object>>);
        impl Index for &mut Batches {
            type Object = Object;
            type Listed = Object;

            fn list(&mut self, object: &Object) -> Object {
                *object
            }

            fn retain(&mut self, listed: Vec<Object>) {
                self.0.push(listed);
            }

            fn apply(&mut self, object: &Object) {
                self.0.push(vec![*object]);
            }

            fn delete(&mut self, _: &Object) {}
        }
        let mut batches = Batches(Vec::new());
        let mut fold = Fold::new(&mut batches);
        let listed = [("b", 1), ("a", 1)].map(Event::InitApply);
        let events = [Event::Init].into_iter().chain(listed).chain([Event::InitDone, Event::Apply(("c", 2))]);
        events.for_each(|event| fold.observe(&event));
        assert_eq!(batches.0, [vec![("b", 1), ("a", 1)], vec![("c", 2)]]);
    }
}
