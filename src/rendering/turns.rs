//! Whose turn it is: a queue for each namespace, and one of each in turn.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// Things to do, by namespace.
pub(super) struct Turns<T> {
    queues: HashMap<Arc<str>, Queue<T>>,
    /// The namespaces that have something to do and are let to, the next one first.
    order: VecDeque<Arc<str>>,
    /// How many things of a namespace may be under way at a time.
    each: usize,
}

/// The things of one namespace.
struct Queue<T> {
    waiting: VecDeque<T>,
    under_way: usize,
}

impl<T> Turns<T> {
    /// Nothing is to be done. Of a namespace, up to `each` things are let to be under way.
    pub(super) fn new(each: usize) -> Self {
        Self { queues: HashMap::new(), order: VecDeque::new(), each }
    }

    /// Adds a thing to do.
    pub(super) fn push(&mut self, namespace: &str, thing: T) {
        let namespace = match self.queues.get_key_value(namespace) {
            Some((known, _)) => Arc::clone(known),
            None => Arc::from(namespace),
        };
        let queue = self
            .queues
            .entry(Arc::clone(&namespace))
            .or_insert_with(|| Queue { waiting: VecDeque::new(), under_way: 0 });
        queue.waiting.push_back(thing);
        // The others of it are in the order already, or wait for those under way.
        if queue.waiting.len() == 1 && queue.under_way < self.each {
            self.order.push_back(namespace);
        }
    }

    /// The next thing to do, which is under way then. None if there is none, or none that is let.
    pub(super) fn next(&mut self) -> Option<(Arc<str>, T)> {
        let namespace = self.order.pop_front()?;
        let queue = self.queues.get_mut(&namespace)?;
        let thing = queue.waiting.pop_front()?;
        queue.under_way += 1;
        if !queue.waiting.is_empty() && queue.under_way < self.each {
            self.order.push_back(Arc::clone(&namespace));
        }
        Some((namespace, thing))
    }

    /// Takes in that a thing of this namespace is done.
    pub(super) fn done(&mut self, namespace: &Arc<str>) {
        let Some(queue) = self.queues.get_mut(namespace) else { return };
        let was_full = queue.under_way >= self.each;
        queue.under_way -= 1;
        if queue.waiting.is_empty() {
            if queue.under_way == 0 {
                self.queues.remove(namespace);
            }
        } else if was_full {
            self.order.push_back(Arc::clone(namespace));
        }
    }

    /// How many things wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.queues.values().map(|queue| queue.waiting.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A step, and what the turns then say is next.
    enum Step {
        Push(&'static str),
        Next(Option<&'static str>),
        /// The oldest thing of this namespace that is under way is done.
        Done(&'static str),
    }

    #[test]
    fn namespaces_take_turns_and_none_has_all() {
        use Step::{Done, Next, Push};
        let cases = [
            ("nothing", 2, vec![Next(None)]),
            (
                "one namespace, in its own order",
                2,
                vec![Push("a1"), Push("a2"), Next(Some("a1")), Next(Some("a2")), Next(None)],
            ),
            (
                "one that came late waits for one of the other's only",
                9,
                vec![
                    Push("a1"),
                    Push("a2"),
                    Push("a3"),
                    Next(Some("a1")),
                    Push("b1"),
                    Push("b2"),
                    Next(Some("a2")),
                    Next(Some("b1")),
                    Next(Some("a3")),
                    Next(Some("b2")),
                    Next(None),
                ],
            ),
            (
                "a namespace at its bound waits, others go on",
                1,
                vec![
                    Push("a1"),
                    Push("a2"),
                    Next(Some("a1")),
                    Next(None),
                    Push("a3"),
                    Push("b1"),
                    Next(Some("b1")),
                    Next(None),
                    Done("a"),
                    Next(Some("a2")),
                    Next(None),
                    Done("b"),
                    Next(None),
                    Done("a"),
                    Next(Some("a3")),
                ],
            ),
            (
                "what is done and has nothing more is forgotten, and comes again",
                2,
                vec![
                    Push("a1"),
                    Next(Some("a1")),
                    Done("a"),
                    Next(None),
                    Push("a2"),
                    Next(Some("a2")),
                    Done("a"),
                    Next(None),
                ],
            ),
            (
                "three take turns",
                9,
                vec![
                    Push("a1"),
                    Push("a2"),
                    Push("b1"),
                    Push("b2"),
                    Push("c1"),
                    Next(Some("a1")),
                    Next(Some("b1")),
                    Next(Some("c1")),
                    Next(Some("a2")),
                    Next(Some("b2")),
                    Next(None),
                ],
            ),
        ];
        for (case, each, steps) in cases {
            let mut turns = Turns::new(each);
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Push(thing) => turns.push(&thing[..1], thing),
                    Next(expected) => {
                        let next = turns.next();
                        let namespaced = next.as_ref().is_none_or(|(namespace, thing)| thing.starts_with(&**namespace));
                        assert!(namespaced, "{case}, step {number}");
                        assert_eq!(next.map(|(_, thing)| thing), expected, "{case}, step {number}");
                    }
                    Done(namespace) => turns.done(&Arc::from(namespace)),
                }
            }
        }
    }

    #[test]
    fn a_namespace_that_has_nothing_to_do_is_not_kept() {
        let mut turns = Turns::new(1);
        for number in 0..100 {
            turns.push(&format!("team-{number}"), number);
        }
        while let Some((namespace, _)) = turns.next() {
            turns.done(&namespace);
        }
        assert!(turns.queues.is_empty() && turns.order.is_empty());
    }
}
