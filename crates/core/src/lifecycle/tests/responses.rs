//! What waits at a start until the responses are listed, and what does not.

use super::*;

/// An event of an alert group, created so many seconds after the others.
fn mk_event_of(name: &str, group: &str, after: i64) -> SeenEvent {
    let event = mk_event(name, None);
    let facts = EventFacts { alert_group_id: Arc::from(group), ..(*event.facts).clone() };
    SeenEvent { facts: Arc::new(facts), created: event.created + jiff::SignedDuration::from_secs(after), ..event }
}

/// A process that has just listed the events: `old` of alert group I1 is there. The webhook `one` is well, and `reader` reads what
/// others were answered.
fn mk_started() -> (Setting, Vec<Effect>) {
    let mut setting = Setting::at_start(1_000_000);
    setting.appear(KnownWebhook { is_held: false, ..mk_webhook("one", |_| {}) });
    setting.appear(KnownWebhook { is_held: false, ..mk_webhook("reader", |webhook| webhook.reads_responses = true) });
    let effects = setting.list(&[mk_event_of("old", "I1", 0)]);
    (setting, effects)
}

/// What is to be sent, as "event webhook", and what is to be looked up, as "event webhook?".
fn told(effects: &[Effect]) -> Vec<String> {
    let told = effects.iter().filter_map(|effect| match effect {
        Effect::Attempt(delivery, _) => Some(format!("{} {}", delivery.event.name, delivery.webhook)),
        Effect::Prepare { delivery, look_up } => {
            assert!(*look_up, "there are no Secrets");
            Some(format!("{} {}?", delivery.event.name, delivery.webhook))
        }
        _ => None,
    });
    let mut told: Vec<String> = told.collect();
    told.sort();
    told
}

#[test]
fn an_event_that_was_created_since_goes_at_once_and_one_from_before_when_the_responses_are_listed() {
    // The responses that were there, and what goes when that is known.
    let cases = [
        (vec![], ["new reader", "old one", "old reader"]),
        (vec![("old", "one")], ["new reader", "old one?", "old reader"]),
        (vec![("old", "one"), ("old", "reader"), ("older", "one")], ["new reader", "old one?", "old reader?"]),
    ];
    for (listed, expected) in cases {
        let (mut setting, effects) = mk_started();
        assert_eq!(told(&effects), names(&[]));
        let effects = setting.handle(Input::EventSeen(Box::new(mk_event_of("new", "I2", 1))));
        assert_eq!(told(&effects), ["new one"]);
        assert_eq!(told(&setting.list_responses(&listed)), expected);
        // Another list says nothing new.
        assert_eq!(told(&setting.list_responses(&listed)), names(&[]));
        let effects = setting.handle(Input::EventSeen(Box::new(mk_event_of("newer", "I3", 2))));
        assert_eq!(told(&effects), ["newer one", "newer reader"]);
    }
}

#[test]
fn a_new_event_of_an_alert_group_does_not_overtake_one_from_before() {
    let (mut setting, _) = mk_started();
    let effects = setting.handle(Input::EventSeen(Box::new(mk_event_of("new", "I1", 1))));
    assert_eq!(told(&effects), names(&[]));
    let effects = setting.list_responses(&[("old", "one")]);
    assert_eq!(told(&effects), ["old one?", "old reader"]);
    let look_up = effects.into_iter().find_map(|effect| match effect {
        Effect::Prepare { delivery, .. } => Some(delivery),
        _ => None,
    });
    let ended = Found::Ended(mk_summary("one", ResponsePhase::Succeeded));
    assert_eq!(told(&setting.handle(Input::Prepared(look_up.unwrap(), ended))), ["new one"]);
}

#[test]
fn an_event_from_before_does_not_end_until_it_is_known_what_another_process_has_begun() {
    // Whether a webhook that is not for it any more, and one that still is, have a response.
    for (other, own) in [(false, false), (true, false), (true, true)] {
        let mut setting = Setting::at_start(1_000_000);
        setting.appear(mk_webhook("other", |webhook| webhook.trigger_type = TriggerType::Acknowledge));
        let record = Some(mk_record(true, "own", ResponsePhase::Succeeded));
        setting.list(&[mk_event("old", None), SeenEvent { record, ..mk_event_of("done", "I2", 0) }]);
        assert_eq!((setting.progress("old"), setting.progress("done").0), (("running", vec![]), "settled"));
        if own {
            setting.appear(mk_webhook("own", |_| {}));
            assert_eq!(setting.progress("old"), ("running", names(&["own"])));
        }
        let listed = [(other, ("old", "other")), (own, ("old", "own"))];
        let listed: Vec<_> = listed.into_iter().filter_map(|(is_there, of)| is_there.then_some(of)).collect();
        let effects = setting.list_responses(&listed);
        let expected: Vec<&str> = listed.iter().map(|(_, webhook)| *webhook).collect();
        let looked_up: Vec<String> = expected.iter().map(|webhook| format!("old {webhook}?")).collect();
        assert_eq!(told(&effects), looked_up, "{other} {own}");
        let word = if listed.is_empty() { "ended" } else { "running" };
        assert_eq!(setting.progress("old"), (word, names(&expected)), "{other} {own}");
    }
    // Nobody waits for one that is deleted.
    let mut setting = Setting::at_start(1_000_000);
    setting.list(&[mk_event("old", None)]);
    setting.handle(Input::EventGone("old".to_owned()));
    assert!(setting.lifecycle.events.values().all(EventState::is_over));
    assert_eq!(told(&setting.list_responses(&[("old", "one")])), names(&[]));
}

#[test]
fn what_is_to_be_sent_again_waits_too() {
    let completed = || mk_event("resolved", Some(mk_record(true, "one", ResponsePhase::Succeeded)));
    let mut setting = Setting::at_start(1_000_000);
    setting.appear(KnownWebhook { is_held: false, ..mk_webhook("one", |_| {}) });
    setting.list(&[completed()]);
    // A response, and a whole event.
    let asked = mk_asked("again");
    assert!(setting.handle(Input::RedeliveryAsked(asked.name.clone(), asked.value)).is_empty());
    let event = SeenEvent { asked: Some(Arc::from("all")), ..mk_event_of("all", "I2", 0) };
    let event = SeenEvent { record: Some(mk_record(true, "one", ResponsePhase::Succeeded)), ..event };
    let effects = setting.handle(Input::EventSeen(Box::new(event)));
    assert_eq!(told(&effects), names(&[]));
    let effects = setting.list_responses(&[("resolved", "one"), ("all", "one")]);
    assert_eq!(told(&effects), ["all one?"]);
    let is_read = |effect: &Effect| matches!(effect, Effect::ReadResponse(name, _) if *name == asked.name);
    assert!(effects.iter().any(is_read), "{effects:?}");
}
