//! The namespaces that a process works in.
//!
//! ```text
//! --namespace a,b,c ─► Scope ─► access: may all that is needed be listed there? ─► settled: a and c are open, b is closed
//!                                                                                     │
//!           the process ends, and finds out anew ◄─ b may be listed, or a may not any more
//! ```
//! Where several are named, some may be closed: the rights are missing, or were taken away. A closed namespace looks empty and is not, so
//! nothing may be concluded from that. Which ones are closed is found out once, before anything is watched, and stays so as long as the
//! process lasts: what has been listed is complete, and what comes later is new.

pub(crate) mod access;

use std::{collections::BTreeSet, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::SetOnce;

/// The namespaces that a process works in. The default is all. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Each once; none for all.
    names: Vec<String>,
    /// Those that are closed, once that is found out.
    closed: SetOnce<BTreeSet<String>>,
    /// Those in which something was refused that had been found open.
    doubted: Mutex<BTreeSet<String>>,
}

impl Scope {
    /// These namespaces; all where none is named.
    pub(crate) fn new(namespaces: impl IntoIterator<Item = String>) -> Self {
        let mut names = Vec::new();
        for namespace in namespaces {
            if !names.contains(&namespace) {
                names.push(namespace);
            }
        }
        let scope = Self(Arc::new(Inner { names, ..Inner::default() }));
        if !scope.is_several() {
            // Whatever is refused there is waited for.
            scope.settle(BTreeSet::new());
        }
        scope
    }

    /// Whether several are named.
    pub(crate) fn is_several(&self) -> bool {
        self.0.names.len() > 1
    }

    /// Their names, also of those that are closed; none where it is all.
    pub(crate) fn names(&self) -> &[String] {
        &self.0.names
    }

    /// Whether a namespace is one of them.
    pub(crate) fn contains(&self, namespace: &str) -> bool {
        self.0.names.is_empty() || self.0.names.iter().any(|name| name == namespace)
    }

    /// Takes in which ones are closed, the first time that it is told.
    pub(crate) fn settle(&self, closed: BTreeSet<String>) {
        let _ = self.0.closed.set(closed);
    }

    /// What has to be asked for to see all that is in those that are open: each, or (None) all. Waits until it is known which are.
    pub(crate) async fn parts(&self) -> impl Iterator<Item = Option<&str>> + Clone {
        let closed = self.0.closed.wait().await;
        let open = self.0.names.iter().filter(|name| !closed.contains(*name));
        let all = self.0.names.is_empty().then_some(None);
        all.into_iter().chain(open.map(|name| Some(name.as_str())))
    }

    /// Whether any is closed.
    pub(crate) fn is_partly_closed(&self) -> bool {
        self.0.closed.get().is_some_and(|closed| !closed.is_empty())
    }

    /// Whether this one is closed.
    pub(crate) fn is_closed(&self, namespace: &str) -> bool {
        self.0.closed.get().is_some_and(|closed| closed.contains(namespace))
    }

    /// Whether objects of a namespace are looked at: it is one of them, and open.
    pub(crate) fn is_open(&self, namespace: &str) -> bool {
        self.contains(namespace) && !self.is_closed(namespace)
    }

    /// Takes in that nothing is refused there.
    fn trust(&self, namespace: &str) {
        self.0.doubted.lock().remove(namespace);
    }

    /// Those in which something was refused that are not trusted again.
    pub(super) fn doubted(&self) -> BTreeSet<String> {
        self.0.doubted.lock().clone()
    }

    /// Takes in that something was refused in one that is open: it is to be found out whether it still is.
    pub(crate) fn doubt(&self, namespace: &str) {
        if self.is_several() {
            self.0.doubted.lock().insert(namespace.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    /// What is given and closed; the names, the parts, and whether `a` is contained, closed and open.
    type Case<'a> = (&'a [&'a str], &'a [&'a str], &'a [&'a str], &'a [Option<&'a str>], [bool; 3]);

    fn owned<C: FromIterator<String>>(names: &[&str]) -> C {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_scope_is_all_namespaces_or_each_that_is_named_once_and_its_parts_are_those_that_are_open() {
        let cases: [Case<'_>; 6] = [
            (&[], &[], &[], &[None], [true, false, true]),
            (&["b"], &[], &["b"], &[Some("b")], [false, false, false]),
            (&["b", "a", "b"], &[], &["b", "a"], &[Some("b"), Some("a")], [true, false, true]),
            (&["b", "a"], &["a"], &["b", "a"], &[Some("b")], [true, true, false]),
            (&["b", "a"], &["a", "b"], &["b", "a"], &[], [true, true, false]),
            (&["aa", "b"], &["b"], &["aa", "b"], &[Some("aa")], [false, false, false]),
        ];
        for (given, closed, names, parts, [contained, is_closed, open]) in cases {
            let scope = Scope::new(owned::<Vec<_>>(given));
            if scope.is_several() {
                assert!(scope.parts().now_or_never().is_none(), "nobody has asked yet");
                scope.settle(owned(closed));
            }
            assert_eq!(scope.names(), owned::<Vec<_>>(names));
            let seen = scope.parts().now_or_never().expect("settled");
            assert_eq!(seen.collect::<Vec<_>>(), parts);
            assert_eq!([scope.contains("a"), scope.is_closed("a"), scope.is_open("a")], [contained, is_closed, open]);
            assert_eq!(scope.is_partly_closed(), !closed.is_empty());
        }
    }
}
