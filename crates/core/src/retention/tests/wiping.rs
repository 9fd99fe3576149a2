//! What is left of a wiped alert group.

use super::*;
use crate::alert_groups::Verdict;

/// An event of the wiped alert group, which is over.
fn of_group(name: &str) -> FoldableEvent {
    FoldableEvent { event: event(name, "I1", 30), verdict: Some(Verdict::Opened), is_pending: false }
}

/// A response for an event.
fn to(event: &str, name: &str) -> StoredResponse {
    with(response(name, "tickets", "I1", 30), |response| response.event = event.to_owned())
}

/// The names of the events and responses that are removed of an alert group that was wiped ten minutes ago, and whether there are more.
fn left(events: &[FoldableEvent], responses: &[StoredResponse], pending: &[&str]) -> (Vec<String>, Vec<String>, bool) {
    let wiped = WipedGroup { group: "I1".to_owned(), at: at(10) };
    let left = remains(&wiped, events, responses, |response| pending.contains(&&*response.object.name));
    (names(&left.events), names(&left.responses), left.is_more_later)
}

fn some(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn what_is_over_goes_and_what_is_being_sent_stays_with_its_responses_until_it_is_over() {
    let event = |change: &dyn Fn(&mut FoldableEvent)| with(of_group("e"), |event| change(event));
    let all = (some(&["e"]), some(&["r"]), false);
    let later = (some(&[]), some(&[]), true);
    let only_response = (some(&[]), some(&["r"]), false);
    let cases = [
        ("over", event(&|_| {}), all.clone()),
        ("being sent", event(&|event| event.event.object.finished = false), later.clone()),
        ("in the journal", event(&|event| event.is_pending = true), later.clone()),
        ("in Git", event(&|event| event.event.object.protected = true), only_response.clone()),
        ("what wiped it", event(&|event| event.verdict = Some(Verdict::Wiped)), only_response.clone()),
        ("too late", event(&|event| event.verdict = Some(Verdict::NotApplicable)), only_response.clone()),
        // Of another system that uses the same id.
        ("not folded", event(&|event| event.verdict = None), all),
        ("of another group", event(&|event| event.event.group = "I2".to_owned()), only_response),
        (
            "of another group, being sent",
            event(&|event| (event.event.group, event.event.object.finished) = ("I2".to_owned(), false)),
            later,
        ),
    ];
    for (case, event, expected) in cases {
        assert_eq!(left(&[event], &[to("e", "r")], &[]), expected, "{case}");
    }
}

#[test]
fn responses_stay_as_long_as_something_is_sent_for_the_alert_group() {
    let retrying = with(of_group("later"), |event| event.event.object.finished = false);
    let of_another = with(retrying.clone(), |event| event.event.group = "I2".to_owned());
    let answer = || to("earlier", "r");
    assert_eq!(left(&[of_group("earlier"), retrying], &[answer()], &[]), (some(&["earlier"]), some(&[]), true));
    assert_eq!(left(&[of_group("earlier"), of_another], &[answer()], &[]), (some(&["earlier"]), some(&["r"]), false));
}

#[test]
fn a_response_whose_event_is_gone_goes_when_it_is_written_whatever_became_of_it() {
    let retrying = with(to("gone", "r"), |response| response.object.finished = false);
    assert_eq!(left(&[], from_ref(&retrying), &[]), (some(&[]), some(&["r"]), false));
    assert_eq!(left(&[], &[retrying], &["r"]), (some(&[]), some(&[]), true));
    let of_another = with(to("gone", "r"), |response| response.group = "I2".to_owned());
    assert_eq!(left(&[], &[of_another], &[]), (some(&[]), some(&[]), false));
    assert_eq!(left(&[], &[], &[]), (some(&[]), some(&[]), false));
}

#[test]
fn an_event_of_before_that_is_not_folded_yet_may_be_of_the_alert_group() {
    // How long ago it was created, in minutes, and whether it is waited for.
    for (ago, expected) in [(30, true), (10, true), (9, true), (8, false)] {
        let object = with(object("e", ago), |object| object.finished = false);
        let event = StoredEvent { object, group: String::new() };
        let unknown = FoldableEvent { event, verdict: None, is_pending: false };
        assert_eq!(left(from_ref(&unknown), &[], &[]), (some(&[]), some(&[]), expected), "{ago}");
        let nothing = FoldableEvent { verdict: Some(Verdict::NothingOpen), ..unknown };
        assert_eq!(left(&[nothing], &[], &[]), (some(&[]), some(&[]), false), "{ago}");
    }
}

proptest! {
    #[test]
    fn whoever_is_stopped_between_any_two_deletions_comes_to_the_same(
        flags in vec((any::<bool>(), any::<bool>(), 0_usize..4), 1..8),
        stops in 0_usize..8,
    ) {
        let mut events: Vec<FoldableEvent> = Vec::new();
        let mut responses = Vec::new();
        for (number, (is_finished, is_pending, count)) in flags.iter().enumerate() {
            let name = format!("e{number}");
            events.push(with(of_group(&name), |event| (event.event.object.finished, event.is_pending) = (*is_finished, *is_pending)));
            responses.extend((0..*count).map(|response| to(&name, &format!("r{number}-{response}"))));
        }
        let whole = left(&events, &responses, &[]);
        // Events first, as they are deleted; the next process goes on with what is there.
        let deleted: Vec<String> = whole.0.iter().chain(&whole.1).take(stops).cloned().collect();
        let mut still_events = events.clone();
        still_events.retain(|event| !deleted.contains(&event.event.object.name));
        let mut still_responses = responses.clone();
        still_responses.retain(|response| !deleted.contains(&response.object.name));
        let (more_events, more_responses, is_more) = left(&still_events, &still_responses, &[]);
        let mut all: Vec<String> = deleted.into_iter().chain(more_events).chain(more_responses).collect();
        let mut expected: Vec<String> = whole.0.into_iter().chain(whole.1).collect();
        all.sort();
        expected.sort();
        prop_assert_eq!((all, is_more), (expected, whole.2));
        // No response goes before its event is over: it tells that it was sent.
        let open: Vec<&str> = events.iter().filter(|event| !event.event.object.finished || event.is_pending).map(|event| event.event.object.name.as_str()).collect();
        let removed = left(&events, &responses, &[]).1;
        prop_assert!(responses.iter().filter(|response| removed.contains(&response.object.name)).all(|response| !open.contains(&response.event.as_str())));
    }
}
