//! What follows from an answer at once, and what from its record.

use super::*;

/// Events `e1`, `e2`, … of these alert groups.
fn mk_events_of(groups: &[&str]) -> Vec<SeenEvent> {
    let event = |(number, group): (usize, &&str)| {
        let event = mk_event(&format!("e{}", number + 1), None);
        let facts = EventFacts { alert_group_id: Arc::from(*group), ..(*event.facts).clone() };
        let version = ResourceVersion::from(number.to_string().as_str());
        SeenEvent { facts: Arc::new(facts), version, ..event }
    };
    groups.iter().enumerate().map(event).collect()
}

#[test]
fn a_receiver_that_wants_no_more_holds_the_webhook_as_it_was_asked_and_not_as_it_was_changed_since() {
    for is_changed in [false, true] {
        let mut setting = Setting::new();
        let asked = KnownWebhook { is_held: false, ..mk_webhook("one", |_| {}) };
        let answer = Answer { is_gone: true, ..mk_answer(EndpointReport::Answered, &asked.webhook) };
        setting.appear(asked);
        let (delivery, permit) = attempted(setting.list(&[mk_event("resolved", None)]));
        if is_changed {
            let changed = KnownWebhook { is_held: false, ..mk_webhook("one", |webhook| webhook.forward_all = true) };
            setting.handle(Input::WebhookChanged(Arc::new(changed)));
        }
        setting.handle(answered(&delivery, answer));
        let is_held = setting.lifecycle.dispatcher.is_stuck(&NamespacedName::new("team", "one"));
        assert_eq!(is_held, !is_changed, "changed: {is_changed}");
        let end = Next::End(mk_summary("one", ResponsePhase::Failed));
        setting.handle(Input::AttemptEnded(delivery, permit, end));
    }
}

#[test]
fn an_answer_makes_room_for_the_next_request_and_its_record_for_the_next_of_its_alert_group() {
    let mut setting = Setting::new();
    setting.lifecycle.dispatcher = Dispatcher::new(Limits { in_flight: 10, per_webhook: 1, bytes: 1000 });
    let asked = KnownWebhook { is_held: false, ..mk_webhook("one", |_| {}) };
    let webhook = Arc::clone(&asked.webhook);
    setting.appear(asked);
    let mut effects = setting.list(&mk_events_of(&["I1", "I1", "I2"]));
    let sent = |effects: &[Effect]| -> Vec<String> {
        let of = |effect: &Effect| match effect {
            Effect::Attempt(delivery, _) => Some(delivery.event.name.clone()),
            _ => None,
        };
        effects.iter().filter_map(of).collect()
    };
    assert_eq!(sent(&effects), ["e1"]);
    let (first, first_permit) = attempted(effects);
    effects = setting.handle(answered(&first, mk_answer(EndpointReport::Answered, &webhook)));
    assert_eq!(sent(&effects), ["e3"]);
    let (third, third_permit) = attempted(effects);
    let end = || Next::End(mk_summary("one", ResponsePhase::Succeeded));
    assert_eq!(sent(&setting.handle(answered(&third, mk_answer(EndpointReport::Answered, &webhook)))), names(&[]));
    assert_eq!(sent(&setting.handle(Input::AttemptEnded(third, third_permit, end()))), names(&[]));
    assert_eq!(sent(&setting.handle(Input::AttemptEnded(first, first_permit, end()))), ["e2"]);
}

#[test]
fn what_failed_before_its_endpoint_recovered_is_sent_again_at_once_when_it_is_recorded_unless_it_may_have_been_taken() {
    for timeouts in [0, 1] {
        let mut setting = Setting::new();
        let asked = KnownWebhook { is_held: false, ..mk_webhook("one", |_| {}) };
        let webhook = Arc::clone(&asked.webhook);
        setting.appear(asked);
        let effects = setting.list(&mk_events_of(&["I1", "I2"]));
        let mut flying: Vec<(Box<Delivery>, Permit)> = Vec::new();
        for effect in effects {
            if let Effect::Attempt(delivery, permit) = effect {
                flying.push((delivery, permit));
            }
        }
        flying.sort_by_key(|(delivery, _)| delivery.number);
        let (later, _permit) = flying.remove(1);
        let (mut first, permit) = flying.remove(0);
        setting.handle(answered(&first, mk_answer(failed(Some(seconds(9))), &webhook)));
        assert!(setting.lifecycle.is_failing(&NamespacedName::new("team", "one")));
        setting.handle(answered(&later, mk_answer(EndpointReport::Answered, &webhook)));
        let round = Round { since: setting.now.time, attempts: 1, timeouts };
        first.history = AttemptHistory::new(1, Some(round), Vec::new(), (ResponsePhase::Retrying, None));
        let again = Next::Again(setting.now.time + seconds(600), mk_summary("one", ResponsePhase::Retrying));
        let effects = setting.handle(Input::AttemptEnded(first, permit, again));
        let is_sent = effects.iter().any(|effect| matches!(effect, Effect::Attempt(..)));
        assert_eq!(is_sent, timeouts == 0, "{timeouts} timeouts");
    }
}
