//! Watches of several namespaces, joined to one: whoever follows it need not know of namespaces.
//!
//! ```text
//! watch of a ─┐
//! watch of b ─┼─► Joined ─► Init, all of a, all of b, all of c, InitDone  (a round), then the changes of all
//! watch of c ─┘                ▲                                               │
//!                              └────── one of them has to begin anew ──────────┘
//! ```
//! What a list does not name is gone, and what it names is put in order together: so a list has to be one of all namespaces. Where the
//! watch of one has to begin anew, all are listed anew, as a watch of the whole cluster would be.

use std::{collections::VecDeque, future::Future};

use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream, SelectAll},
};
use kube::runtime::watcher::{self, Event};

/// The watch of one namespace, or of all. It goes on after errors.
pub(crate) type Watch<K> = BoxStream<'static, watcher::Result<Event<K>>>;

/// Joins what `open` makes for each of the namespaces. Nothing is watched before they are known.
pub(super) fn joined<K, F>(
    namespaces: impl Future<Output = Vec<String>> + Send,
    open: F,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send
where
    K: Send + 'static,
    F: Fn(&str) -> Watch<K> + Send,
{
    let opened = async move {
        let joined = Joined::new(namespaces.await, open);
        stream::unfold(joined, |mut joined| async move {
            let event = joined.next().await?;
            Some((event, joined))
        })
    };
    stream::once(opened).flatten()
}

struct Joined<K, F> {
    namespaces: Vec<String>,
    open: F,
    phase: Phase<K>,
}

enum Phase<K> {
    /// A round is to begin, with this watch first, of a namespace of this place, which has begun its list anew.
    Beginning(Option<(usize, Watch<K>)>),
    Listing(Round<K>),
    /// Changes come.
    Watching(SelectAll<Watch<K>>),
}

/// A round that is under way.
struct Round<K> {
    /// Those that are still to be listed, with the places of their namespaces: the first one now.
    waiting: VecDeque<(usize, Watch<K>)>,
    /// Whether the list of the first one has named anything.
    has_named: bool,
    listed: Vec<Watch<K>>,
}

impl<K: Send + 'static, F: Fn(&str) -> Watch<K>> Joined<K, F> {
    fn new(namespaces: Vec<String>, open: F) -> Self {
        Self { namespaces, open, phase: Phase::Beginning(None) }
    }

    /// The next event of all. None if a watch ends, which it does not by itself.
    async fn next(&mut self) -> Option<watcher::Result<Event<K>>> {
        loop {
            match &mut self.phase {
                Phase::Beginning(first) => {
                    let first = first.take();
                    self.phase = Phase::Listing(self.round(first));
                    return Some(Ok(Event::Init));
                }
                Phase::Listing(round) => {
                    let Some((_, watch)) = round.waiting.front_mut() else {
                        self.phase = Phase::Watching(stream::select_all(round.listed.drain(..)));
                        return Some(Ok(Event::InitDone));
                    };
                    match watch.next().await? {
                        // What has been named may be gone since.
                        Ok(Event::Init) if round.has_named => {
                            self.phase = Phase::Beginning(round.waiting.pop_front());
                        }
                        Ok(Event::Init) => {}
                        Ok(Event::InitDone) => {
                            round.listed.extend(round.waiting.pop_front().map(|(_, watch)| watch));
                            round.has_named = false;
                        }
                        event => {
                            round.has_named |= event.is_ok();
                            return Some(event);
                        }
                    }
                }
                Phase::Watching(watches) => match watches.next().await? {
                    Ok(Event::Init) => self.phase = Phase::Beginning(None),
                    event => return Some(event),
                },
            }
        }
    }

    /// A round of all, with the watch of one that has begun its list already.
    fn round(&self, first: Option<(usize, Watch<K>)>) -> Round<K> {
        let begun = first.as_ref().map(|(place, _)| *place);
        let others = self.namespaces.iter().enumerate().filter(|(place, _)| begun != Some(*place));
        let others = others.map(|(place, namespace)| (place, (self.open)(namespace)));
        Round { waiting: first.into_iter().chain(others).collect(), has_named: false, listed: Vec::new() }
    }
}

#[cfg(test)]
mod tests;
