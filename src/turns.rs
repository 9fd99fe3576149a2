//! Whose turn it is, of namespaces that want the same: a queue for each, and one of each in turn.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// Things to do, by namespace.
pub(crate) struct Turns<T> {
    queues: HashMap<Arc<str>, Queue<T>>,
    /// The namespaces that have something to do, the next one first.
    order: VecDeque<Arc<str>>,
}

/// The things of one namespace.
struct Queue<T> {
    waiting: VecDeque<T>,
    under_way: usize,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self { queues: HashMap::new(), order: VecDeque::new() }
    }
}

impl<T> Turns<T> {
    /// Adds a thing to do.
    pub(crate) fn push(&mut self, namespace: &str, thing: T) {
        let namespace = match self.queues.get_key_value(namespace) {
            Some((known, _)) => Arc::clone(known),
            None => Arc::from(namespace),
        };
        let queue = self
            .queues
            .entry(Arc::clone(&namespace))
            .or_insert_with(|| Queue { waiting: VecDeque::new(), under_way: 0 });
        queue.waiting.push_back(thing);
        if queue.waiting.len() == 1 {
            self.order.push_back(namespace);
        }
    }

    /// The next thing to do, which is under way then. None if there is none, or as many as `each` are under way of every namespace
    /// that has something to do.
    pub(crate) fn next(&mut self, each: usize) -> Option<(Arc<str>, T)> {
        let is_let = |namespace: &Arc<str>| self.queues.get(namespace).is_some_and(|queue| queue.under_way < each);
        let place = self.order.iter().position(is_let)?;
        let namespace = self.order.remove(place)?;
        let queue = self.queues.get_mut(&namespace)?;
        let thing = queue.waiting.pop_front()?;
        queue.under_way += 1;
        if !queue.waiting.is_empty() {
            self.order.push_back(Arc::clone(&namespace));
        }
        Some((namespace, thing))
    }

    /// Takes in that a thing of this namespace is done.
    pub(crate) fn done(&mut self, namespace: &Arc<str>) {
        let Some(queue) = self.queues.get_mut(namespace) else { return };
        queue.under_way -= 1;
        if queue.waiting.is_empty() && queue.under_way == 0 {
            self.queues.remove(namespace);
        }
    }

    /// How many namespaces have something to do, or something under way.
    pub(crate) fn namespaces(&self) -> usize {
        self.queues.len()
    }

    /// How many things wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
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
            let mut turns = Turns::default();
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Push(thing) => turns.push(&thing[..1], thing),
                    Next(expected) => {
                        let next = turns.next(each);
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
        let mut turns = Turns::default();
        for number in 0..100 {
            turns.push(&format!("team-{number}"), number);
        }
        while let Some((namespace, _)) = turns.next(1) {
            turns.done(&namespace);
        }
        assert!(turns.queues.is_empty() && turns.order.is_empty());
    }
}
