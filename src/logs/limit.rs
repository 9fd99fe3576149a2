//! Keeps a storm of failures from being a storm of lines: of one kind of line, and of one webhook or namespace, few are written at a
//! time; then one says how many were left out.
//!
//! A kind of line is the place in the program that writes it. Lines below `info` are all written, since somebody has asked for
//! them; so is the access log, since each of its lines is another call.

use std::{
    collections::{HashMap, HashSet},
    fmt::{Debug, Write},
    hash::{BuildHasher, Hash, RandomState},
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tracing::{
    Event, Level, Metadata, Subscriber,
    callsite::Identifier,
    field::{Field, Visit},
    level_filters::LevelFilter,
    subscriber::Interest,
};
use tracing_subscriber::layer::{Context, Filter};

/// For so long lines are counted together.
const WINDOW: Duration = Duration::from_secs(10);
/// How many lines of one kind are written of one webhook, Integration or namespace.
const EACH: u64 = 5;
/// How many of one kind in all, but for the first one of each namespace.
const ALL: u64 = 200;
/// With more of them than that, those who left out lines are told of together.
const TOLD_EACH: usize = 20;
/// What no line of is left out.
const ACCESS_LOG: &str = "oncall_webhooks::rest::access_log";

/// Counts lines. Clones count together.
#[derive(Clone, Default)]
pub(super) struct Limit(Arc<Mutex<Window<Identifier>>>);

/// The lines of the last seconds, by their kinds.
struct Window<K> {
    began: Instant,
    kinds: HashMap<K, Kind>,
    hasher: RandomState,
}

/// The lines of one kind.
#[derive(Default)]
struct Kind {
    written: u64,
    /// Hashes of the namespaces of which one was written.
    namespaces: HashSet<u64>,
    /// By a hash of whom they tell of.
    of: HashMap<u64, Count>,
}

/// The lines of one kind that tell of one webhook, Integration or namespace.
#[derive(Default)]
struct Count {
    written: u64,
    left_out: u64,
    /// The last one that was left out.
    last: Option<Line>,
}

/// What a line says, and of whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Line {
    message: String,
    namespace: Option<String>,
    /// A webhook or an Integration.
    object: Option<String>,
}

/// Lines that were left out.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LeftOut {
    lines: u64,
    like: Line,
    /// How many webhooks, Integrations or namespaces they tell of.
    of: usize,
}

impl<K> Default for Window<K> {
    fn default() -> Self {
        Self { began: Instant::now(), kinds: HashMap::new(), hasher: RandomState::new() }
    }
}

impl<K: Eq + Hash> Window<K> {
    /// Whether a line is to be written.
    fn note(&mut self, kind: K, line: impl FnOnce() -> Line) -> bool {
        let (kind, line) = (self.kinds.entry(kind).or_default(), line());
        let count = kind.of.entry(self.hasher.hash_one((&line.namespace, &line.object))).or_default();
        // One of each namespace is written whatever others do; one that names nobody is nobody's in particular.
        let is_first = line.namespace.is_some() && kind.namespaces.insert(self.hasher.hash_one(&line.namespace));
        let each = if line.namespace.is_some() { EACH } else { ALL };
        let is_written = is_first || (count.written < each && kind.written < ALL);
        if is_written {
            (count.written, kind.written) = (count.written + 1, kind.written + 1);
        } else {
            (count.left_out, count.last) = (count.left_out + 1, Some(line));
        }
        is_written
    }

    /// Begins anew, if it is over. Returns what was left out.
    fn next(&mut self, now: Instant) -> Vec<LeftOut> {
        if now.saturating_duration_since(self.began) < WINDOW {
            return Vec::new();
        }
        self.began = now;
        mem::take(&mut self.kinds).into_values().flat_map(Kind::left_out).collect()
    }
}

impl Kind {
    fn left_out(self) -> Vec<LeftOut> {
        let left_out =
            self.of.into_values().filter_map(|count| Some(LeftOut { lines: count.left_out, like: count.last?, of: 1 }));
        let each: Vec<LeftOut> = left_out.collect();
        if each.len() <= TOLD_EACH {
            return each;
        }
        let (lines, of) = (each.iter().map(|one| one.lines).sum(), each.len());
        let message = each.into_iter().next().map(|one| one.like.message).unwrap_or_default();
        vec![LeftOut { lines, like: Line { message, ..Line::default() }, of }]
    }
}

impl Limit {
    /// Writes what was left out, once it is known for how many.
    pub(super) fn tell_left_out(&self) {
        let left_out = self.0.lock().next(Instant::now());
        for LeftOut { lines, like: Line { message, namespace, object }, of } in left_out {
            tracing::warn!(lines, of, like = message, namespace, object, "left out further lines like the ones before");
        }
    }
}

/// Whether lines of this kind may be left out.
fn is_limited(kind: &Metadata<'_>) -> bool {
    kind.is_event()
        && *kind.level() <= Level::INFO
        && kind.target() != ACCESS_LOG
        && !kind.target().starts_with(module_path!())
}

impl<S: Subscriber> Filter<S> for Limit {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    /// Of what is limited, each line is asked about: a filter that was never asked may not leave out one line of many.
    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_limited(metadata) { Interest::sometimes() } else { Interest::always() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let metadata = event.metadata();
        !is_limited(metadata)
            || self.0.lock().note(metadata.callsite(), || {
                let mut line = Line::default();
                event.record(&mut line);
                line
            })
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            // What belongs to no namespace may have an empty one.
            "namespace" => self.namespace = Some(value.to_owned()).filter(|namespace| !namespace.is_empty()),
            "webhook" | "integration" => self.object = Some(value.to_owned()),
            "message" => value.clone_into(&mut self.message),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.message.clear();
            // Nothing can go wrong with a String.
            let _ = write!(self.message, "{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(webhook: &str) -> Line {
        Line { message: "it failed".to_owned(), namespace: Some("team".to_owned()), object: Some(webhook.to_owned()) }
    }

    /// How many of so many lines of a webhook are written.
    fn written(window: &mut Window<&'static str>, webhook: &str, lines: usize) -> usize {
        (0..lines).filter(|_| window.note("it failed", || line(webhook))).count()
    }

    #[test]
    fn of_a_storm_few_lines_are_written_and_one_says_how_many_were_left_out() {
        let mut window = Window::default();
        let end = window.began + WINDOW;
        assert_eq!(written(&mut window, "one", 5000), 5);
        assert_eq!(written(&mut window, "two", 3), 3, "one webhook's storm hides nothing of another");
        assert_eq!(window.next(end.checked_sub(Duration::from_millis(1)).unwrap()), []);
        assert_eq!(window.next(end), [LeftOut { lines: 4995, like: line("one"), of: 1 }]);
        assert_eq!(written(&mut window, "one", 5000), 5);
    }

    #[test]
    fn a_storm_of_many_webhooks_is_bounded_in_all_and_told_of_in_one_line() {
        let mut window = Window::default();
        let end = window.began + WINDOW;
        let all: usize = (0..1000).map(|number| written(&mut window, &number.to_string(), 2)).sum();
        assert_eq!(all, 200);
        // Another namespace has one all the same, and so has one more.
        let other = |namespace: &str| Line { namespace: Some(namespace.to_owned()), ..line("one") };
        assert!(window.note("it failed", || other("other")) && !window.note("it failed", || other("other")));
        let like = Line { message: "it failed".to_owned(), ..Line::default() };
        assert_eq!(window.next(end), [LeftOut { lines: 1801, like, of: 901 }]);
        assert_eq!(window.next(end + WINDOW), []);
    }

    #[test]
    fn lines_that_name_no_namespace_are_bounded_in_all_alone() {
        let mut window = Window::default();
        let unnamed = || Line { message: "it failed".to_owned(), ..Line::default() };
        assert_eq!((0..1000).filter(|_| window.note("it failed", unnamed)).count(), 200);
    }
}
