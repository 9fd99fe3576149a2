//! What happens where a share of memory is used up.

use super::*;

/// Events `e0`, `e1`, …, each of its own alert group, created one after the other.
fn mk_events(count: usize) -> Vec<SeenEvent> {
    let event = |number: usize| {
        let event = mk_event(&format!("e{number}"), None);
        let facts = EventFacts { alert_group_id: Arc::from(format!("I{number}")), ..(*event.facts).clone() };
        let version = ResourceVersion::from(number.to_string().as_str());
        SeenEvent { facts: Arc::new(facts), version, ..event }
    };
    (0..count).map(event).collect()
}

/// Answers every attempt, and shows the statuses of events as they are to be. Returns the events that the webhook got.
fn run_all(setting: &mut Setting, events: &mut [SeenEvent], mut effects: Vec<Effect>, webhook: &str) -> Vec<String> {
    let mut got = Vec::new();
    while let Some(effect) = effects.pop() {
        match effect {
            Effect::Attempt(delivery, permit) => {
                if *delivery.webhook == *webhook {
                    got.push(delivery.event.name.clone());
                }
                let summary = mk_summary(&delivery.webhook, ResponsePhase::Succeeded);
                effects.extend(setting.handle(Input::AttemptEnded(delivery, permit, Next::End(summary))));
            }
            Effect::ReviewEvent(key) => {
                let summary = match setting.lifecycle.progress(&key.uid) {
                    Progress::Ended { summary, .. } | Progress::Running { summary, is_parked: true, .. } => summary,
                    Progress::Running { .. } | Progress::Settled => continue,
                };
                let event = events.iter_mut().find(|event| event.key.uid == key.uid).unwrap();
                event.record = Some(EventRecord {
                    is_completed: summary.is_completed,
                    matched: summary.matched,
                    deliveries: summary.deliveries,
                    ..EventRecord::default()
                });
                effects.extend(setting.handle(Input::EventSeen(Box::new(event.clone()))));
            }
            Effect::ReadBacklog { namespace, after, .. } => {
                let is_open =
                    |event: &&SeenEvent| !event.is_completed() && (event.created, event.version.clone()) >= after;
                let open = events.iter().filter(is_open).cloned().collect();
                effects.extend(setting.handle(Input::BacklogRead(namespace, open, None)));
            }
            Effect::Prepare { delivery, .. } => {
                effects.extend(setting.handle(Input::Prepared(delivery, Found::ToSend)));
            }
            _ => {}
        }
    }
    got
}

#[test]
fn a_held_webhook_keeps_no_more_in_memory_than_its_share_and_gets_all_when_it_is_let_go() {
    let mut setting = Setting::with_memory(60_000);
    setting.appear(mk_webhook("held", |_| {}));
    setting.appear(KnownWebhook { is_held: false, ..mk_webhook("well", |_| {}) });
    setting.list(&[]);
    let (mut events, mut got) = (mk_events(200), Vec::new());
    for number in 0..events.len() {
        let effects = setting.handle(Input::EventSeen(Box::new(events[number].clone())));
        got.extend(run_all(&mut setting, &mut events, effects, "well"));
        assert!(setting.lifecycle.load().held_bytes <= 60_000, "event {number}: {:?}", setting.lifecycle.load());
    }
    let all: Vec<String> = (0..200).map(|number| format!("e{number}")).collect();
    assert_eq!(got, all);
    let held = NamespacedName::new("team", "held");
    let Load { waiting, backlog, .. } = setting.lifecycle.load();
    assert!(waiting < 10 && setting.lifecycle.is_parked(&held), "{waiting} wait");
    assert_eq!(backlog, BacklogLoad { namespaces: 0, webhooks: 1 });

    let let_go = KnownWebhook { is_held: false, ..mk_webhook("held", |_| {}) };
    let effects = setting.handle(Input::WebhookChanged(Arc::new(let_go)));
    let mut got = run_all(&mut setting, &mut events, effects, "held");
    got.sort_by_key(|name| name[1..].parse::<usize>().unwrap());
    assert_eq!(got, all);
    assert!(events.iter().all(SeenEvent::is_completed) && setting.lifecycle.backlogs_are_empty());
}

#[test]
fn a_list_of_more_events_than_there_is_room_for_is_taken_in_from_the_oldest_on_and_read_again_for_the_rest() {
    let mut setting = Setting::with_memory(10_000);
    setting.appear(KnownWebhook { is_held: false, ..mk_webhook("one", |_| {}) });
    let mut events = mk_events(100);
    events.reverse();
    let effects = setting.list(&events);
    let behind = effects.iter().filter(|effect| matches!(effect, Effect::NamespaceBehind(_))).count();
    assert_eq!((behind, setting.lifecycle.is_behind("team")), (1, true));
    assert!(setting.lifecycle.is_known("e0") && !setting.lifecycle.is_known("e99"));
    events.reverse();
    let mut got = run_all(&mut setting, &mut events, effects, "one");
    got.sort_by_key(|name| name[1..].parse::<usize>().unwrap());
    assert_eq!(got, (0..100).map(|number| format!("e{number}")).collect::<Vec<_>>());
    assert!(!setting.lifecycle.is_behind("team") && setting.lifecycle.backlogs_are_empty());
}

#[test]
fn a_namespace_whose_share_is_used_up_waits_and_another_one_goes_on() {
    let mut setting = Setting::with_memory(10_000);
    // Its events do not end.
    setting.handle(Input::WebhookUnreadable(NamespacedName::new("team", "unreadable")));
    let quiet = |name: &str| NamespacedName::new("quiet", name);
    let other = KnownWebhook { is_held: false, name: quiet("one"), ..mk_webhook("one", |_| {}) };
    setting.appear(other);
    setting.list(&[]);
    for event in mk_events(50) {
        setting.handle(Input::EventSeen(Box::new(event)));
    }
    assert!(setting.lifecycle.is_behind("team") && setting.lifecycle.load().held_bytes < 10_000);
    for event in mk_events(20) {
        let key =
            EventKey { namespace: Arc::from("quiet"), uid: format!("q{}", event.key.uid), ..(*event.key).clone() };
        let mut event = [SeenEvent { key: Arc::new(key), ..event }];
        let effects = setting.handle(Input::EventSeen(Box::new(event[0].clone())));
        let name = event[0].key.name.clone();
        assert_eq!(run_all(&mut setting, &mut event, effects, "one"), [name]);
    }
    assert!(!setting.lifecycle.is_behind("quiet"));
}

#[test]
fn an_event_that_is_taken_in_while_a_list_is_under_way_is_not_taken_for_deleted() {
    let mut setting = Setting::new();
    setting.appear(mk_webhook("one", |_| {}));
    setting.list(&[]);
    setting.handle(Input::EventListBegan);
    setting.handle(Input::BacklogRead(Arc::from("team"), vec![mk_event("newer", None)], None));
    setting.handle(Input::EventListEnded);
    assert_eq!(setting.progress("newer"), ("running", names(&["one"])));
}

#[test]
fn an_event_that_is_to_be_sent_again_and_for_which_a_list_has_no_room_is_read_later() {
    let mut setting = Setting::with_memory(3000);
    setting.appear(KnownWebhook { is_held: false, ..mk_webhook("one", |_| {}) });
    let mut events = mk_events(3);
    let completed = mk_record(true, "one", ResponsePhase::Succeeded);
    events[2].record = Some(completed);
    events[2].asked = Some(Arc::from("again"));
    let mut effects = setting.list(&events);
    let mut with_completed = Vec::new();
    while let Some(effect) = effects.pop() {
        match effect {
            Effect::ReadBacklog { with_completed: is_asked, .. } => with_completed.push(is_asked),
            Effect::Attempt(delivery, permit) => {
                let summary = mk_summary(&delivery.webhook, ResponsePhase::Succeeded);
                effects.extend(setting.handle(Input::AttemptEnded(delivery, permit, Next::End(summary))));
            }
            Effect::ReviewEvent(key) => {
                if let Progress::Ended { summary, .. } = setting.lifecycle.progress(&key.uid) {
                    let record = EventRecord {
                        is_completed: true,
                        matched: 1,
                        deliveries: summary.deliveries,
                        ..EventRecord::default()
                    };
                    let shown = mk_event(&key.name, Some(record));
                    effects.extend(setting.handle(Input::EventSeen(Box::new(shown))));
                }
            }
            _ => {}
        }
    }
    assert_eq!(with_completed, [true]);
}
