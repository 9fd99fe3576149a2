//! Watches that show what a test says, joined.
//!
//! Events are words: `init`, `+a1` (listed), `done`, `a1` (applied), `-a1` (deleted), and `failed`.

use std::{collections::HashMap, sync::Arc};

use futures::FutureExt;
use kube::runtime::watcher::Error;
use parking_lot::Mutex;

use super::*;

fn event(word: &str) -> watcher::Result<Event<String>> {
    Ok(match word {
        "init" => Event::Init,
        "done" => Event::InitDone,
        "failed" => return Err(Error::NoResourceVersion),
        _ if word.starts_with('+') => Event::InitApply(word[1..].to_owned()),
        _ if word.starts_with('-') => Event::Delete(word[1..].to_owned()),
        _ => Event::Apply(word.to_owned()),
    })
}

fn word(event: watcher::Result<Event<String>>) -> String {
    match event {
        Ok(Event::Init) => "init".to_owned(),
        Ok(Event::InitDone) => "done".to_owned(),
        Ok(Event::InitApply(object)) => format!("+{object}"),
        Ok(Event::Delete(object)) => format!("-{object}"),
        Ok(Event::Apply(object)) => object,
        Err(_) => "failed".to_owned(),
    }
}

/// Watches of namespaces, each with what it shows at first and each time that it is made anew.
type Shown<'a> = &'a [(&'a str, &'a [&'a str])];

/// What the joined watch of these shows, and how often each was made. A watch waits at its end.
fn shown(watches: Shown<'_>) -> (String, Vec<usize>) {
    let made: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
    let scripts: HashMap<String, Vec<String>> = watches
        .iter()
        .map(|(namespace, scripts)| ((*namespace).to_owned(), scripts.iter().map(|one| (*one).to_owned()).collect()))
        .collect();
    let counted = Arc::clone(&made);
    let open = move |namespace: &str| {
        let mut made = counted.lock();
        let times = made.entry(namespace.to_owned()).or_default();
        let script = scripts[namespace].get(*times).cloned().unwrap_or_default();
        *times += 1;
        let events: Vec<_> = script.split_whitespace().map(event).collect();
        stream::iter(events).chain(stream::pending()).boxed()
    };
    let names = watches.iter().map(|(namespace, _)| (*namespace).to_owned()).collect();
    let mut events = Box::pin(joined(std::future::ready(names), open));
    let mut words = Vec::new();
    while let Some(Some(event)) = events.next().now_or_never() {
        words.push(word(event));
    }
    let made = made.lock();
    (words.join(" "), watches.iter().map(|(namespace, _)| made[*namespace]).collect())
}

#[test]
fn several_lists_are_one_and_what_comes_after_them_is_shown_as_it_comes() {
    let cases: [(Shown<'_>, &str); 4] = [
        (&[("a", &["init +a1 done"]), ("b", &["init +b1 done b2 -b1"])], "init +a1 +b1 done b2 -b1"),
        (&[("a", &["init done"]), ("b", &["init done"])], "init done"),
        // A change waits until all are listed.
        (&[("a", &["init +a1 done -a1"]), ("b", &["init +b1"])], "init +a1 +b1"),
        // A list that fails before it has named anything holds up the round, and repeats nothing.
        (
            &[("a", &["init +a1 done"]), ("b", &["init failed init failed init +b1 done"])],
            "init +a1 failed failed +b1 done",
        ),
    ];
    for (watches, expected) in cases {
        assert_eq!(shown(watches), (expected.to_owned(), vec![1, 1]), "{watches:?}");
    }
}

#[test]
fn where_one_has_to_begin_anew_all_are_listed_anew() {
    let cases: [(&str, Shown<'_>, &str, [usize; 2]); 4] = [
        (
            "while changes come: also what was there is named again, and what is gone is not",
            &[("a", &["init +a1 +a2 done failed init", "init +a1 done"]), ("b", &["init +b1 done", "init +b1 done"])],
            "init +a1 +a2 +b1 done failed init +a1 +b1 done",
            [2, 2],
        ),
        (
            "in its list, after it has named something: it goes on, the others begin anew",
            &[("a", &["init +a1 done", "init +a2 done"]), ("b", &["init +b1 failed init +b2 done"])],
            "init +a1 +b1 failed init +b2 +a2 done",
            [2, 1],
        ),
        (
            "in its list, twice",
            &[("a", &["init +a1 failed init +a2 failed init +a3 done"]), ("b", &["", "", "init +b1 done"])],
            "init +a1 failed init +a2 failed init +a3 +b1 done",
            [1, 3],
        ),
        (
            "what only fails is no reason to",
            &[("a", &["init +a1 done failed failed a2"]), ("b", &["init done"])],
            "init +a1 done failed failed a2",
            [1, 1],
        ),
    ];
    for (case, watches, expected, times) in cases {
        assert_eq!(shown(watches), (expected.to_owned(), times.to_vec()), "{case}");
    }
}

#[test]
fn nothing_is_watched_before_the_namespaces_are_known() {
    let open = |_: &str| -> Watch<String> { panic!("made") };
    let mut events = Box::pin(joined(std::future::pending(), open));
    assert!(events.next().now_or_never().is_none());
}
