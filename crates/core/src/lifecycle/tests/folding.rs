//! Events that are folded into alert groups.

use super::*;
use crate::{
    alert_groups::{AlertReport, ChangeRequest, FoldRequest, Until, Verdict},
    intake::AlertAction,
};

/// An event that says what a source said; its place is its number.
fn mk_alert(number: u32, action: AlertAction) -> SeenEvent {
    let request = FoldRequest::Alert(AlertReport {
        integration: Arc::from("prometheus"),
        integration_id: Arc::from("C1"),
        grouping_id: Arc::from("disk"),
        action,
        title: Arc::from("Disk full"),
    });
    mk_folded(number, request)
}

fn mk_folded(number: u32, request: FoldRequest) -> SeenEvent {
    let event = mk_event(&format!("e{number}"), None);
    let facts = EventFacts { event_type: None, alert_group_id: Arc::from(""), ..(*event.facts).clone() };
    let version = ResourceVersion::from(number.to_string().as_str());
    SeenEvent { request: Some(Arc::new(request)), facts: Arc::new(facts), version, ..event }
}

/// A webhook that is not held, and what fires it.
fn mk_sending(name: &str, trigger: TriggerType) -> KnownWebhook {
    KnownWebhook { is_held: false, ..mk_webhook(name, |webhook| webhook.trigger_type = trigger) }
}

/// The webhooks that are attempted, and whether an alert group is to be written, at once or later.
fn asked(effects: &[Effect]) -> (Vec<String>, Vec<bool>) {
    let attempted = effects.iter().filter_map(|effect| match effect {
        Effect::Attempt(delivery, _) => Some(delivery.webhook.to_string()),
        _ => None,
    });
    let written = effects.iter().filter_map(|effect| match effect {
        Effect::WriteAlertGroup { is_urgent, .. } => Some(*is_urgent),
        _ => None,
    });
    (attempted.collect(), written.collect())
}

/// Writes all that is to be written of the one alert group.
fn write(setting: &mut Setting) -> Vec<Effect> {
    let name = setting.lifecycle.alert_groups.names().remove(0);
    let write = setting.lifecycle.alert_group_to_write(&name).unwrap();
    setting.handle(Input::AlertGroupWritten(name, Box::new(write)))
}

fn verdict(setting: &Setting, event: &str) -> Option<Verdict> {
    match setting.lifecycle.progress(event) {
        Progress::Settled => None,
        Progress::Running { summary, .. } | Progress::Ended { summary, .. } => summary.fold.map(|fold| fold.verdict),
    }
}

#[test]
fn an_alert_fires_webhooks_at_once_and_its_status_waits_for_its_alert_group() {
    let mut setting = Setting::new();
    setting.appear(mk_sending("ticket", TriggerType::AlertGroupCreated));
    setting.appear(mk_sending("other", TriggerType::Resolve));
    setting.list(&[]);
    let effects = setting.handle(Input::EventSeen(Box::new(mk_alert(1, AlertAction::Firing))));
    assert_eq!(asked(&effects), (names(&["ticket"]), vec![true]));
    assert_eq!(setting.progress("e1"), ("settled", vec![]), "nothing is written of it yet");
    let folded = setting.lifecycle.folded("e1").unwrap();
    assert_eq!((folded.verdict, folded.group.unwrap().alerts_count), (Verdict::Opened, 1));
    let (delivery, permit) = attempted(effects);
    assert_eq!(
        (&*delivery.facts.alert_group_id, delivery.facts.integration_id.as_deref()),
        (id::alert_group_id("e1", 0).as_str(), Some("C1"))
    );
    setting.handle(Input::AttemptEnded(delivery, permit, Next::End(mk_summary("ticket", ResponsePhase::Succeeded))));
    assert_eq!(setting.progress("e1"), ("settled", vec![]));
    let reviewed = write(&mut setting);
    assert!(reviewed.iter().any(|effect| matches!(effect, Effect::ReviewEvent(key) if key.uid == "e1")));
    assert_eq!(
        (setting.progress("e1"), verdict(&setting, "e1")),
        (("ended", names(&["ticket"])), Some(Verdict::Opened))
    );
}

#[test]
fn an_alert_that_joins_fires_nothing_and_ends_once_it_is_counted() {
    let mut setting = Setting::new();
    setting.appear(mk_sending("ticket", TriggerType::AlertGroupCreated));
    setting.list(&[mk_alert(1, AlertAction::Firing)]);
    write(&mut setting);
    let effects = setting.handle(Input::EventSeen(Box::new(mk_alert(2, AlertAction::Firing))));
    assert_eq!(asked(&effects), (vec![], vec![false]));
    assert_eq!(verdict(&setting, "e2"), None);
    write(&mut setting);
    assert_eq!((setting.progress("e2"), verdict(&setting, "e2")), (("ended", vec![]), Some(Verdict::Joined)));
    assert!(Verdict::Joined.leaves_nothing());
    // It is removed, and seen once more before that.
    let effects = setting.handle(Input::EventSeen(Box::new(mk_alert(2, AlertAction::Firing))));
    assert_eq!(asked(&effects), (vec![], vec![]));
    setting.handle(Input::EventGone("e2".to_owned()));
    assert_eq!(setting.progress("e2"), ("settled", vec![]));
}

#[test]
fn a_wipe_fires_nothing_and_ends_once_its_alert_group_is_written_without_content() {
    let mut setting = Setting::new();
    setting.appear(mk_sending("changed", TriggerType::StatusChange));
    setting.appear(mk_sending("resolved", TriggerType::Resolve));
    setting.list(&[mk_alert(1, AlertAction::Firing)]);
    write(&mut setting);
    let name = setting.lifecycle.alert_groups.names().remove(0);
    let wipe = FoldRequest::Change(ChangeRequest {
        alert_group: Arc::clone(&name.name),
        event_type: EventType::Wipe,
        by: Some(Arc::from("ann")),
        until: Until::Forever,
        timer: None,
        webhook_refs: Vec::new(),
    });
    let effects = setting.handle(Input::EventSeen(Box::new(mk_folded(2, wipe))));
    assert_eq!(asked(&effects), (vec![], vec![true]));
    assert_eq!(verdict(&setting, "e2"), None, "it is not written yet");
    let group = setting.lifecycle.alert_group_to_write(&name).unwrap().group;
    assert!(group.is_wiped() && group.is_resolved() && !group.title.contains("Disk"), "{group:?}");
    write(&mut setting);
    assert_eq!((setting.progress("e2"), verdict(&setting, "e2")), (("ended", vec![]), Some(Verdict::Wiped)));
    assert!(!Verdict::Wiped.leaves_nothing());
}

#[test]
fn events_are_folded_in_the_order_of_their_creation_however_they_are_listed() {
    let mut setting = Setting::new();
    setting.appear(mk_sending("ticket", TriggerType::AlertGroupCreated));
    let resolved = mk_alert(3, AlertAction::Resolve);
    let effects = setting.list(&[
        resolved,
        mk_alert(4, AlertAction::Firing),
        mk_alert(1, AlertAction::Firing),
        mk_alert(2, AlertAction::Firing),
    ]);
    let (attempted, _) = asked(&effects);
    assert_eq!(attempted, names(&["ticket", "ticket"]));
    let of = |event: &str| setting.lifecycle.folded(event).unwrap().verdict;
    assert_eq!(
        ["e1", "e2", "e3", "e4"].map(of),
        [Verdict::Opened, Verdict::Joined, Verdict::Resolved, Verdict::Opened]
    );
}

#[test]
fn what_api_servers_with_different_clocks_take_is_folded_and_sent_in_the_order_of_etcd() {
    for is_listed in [true, false] {
        let mut setting = Setting::new();
        setting.appear(mk_sending("changed", TriggerType::StatusChange));
        // What has the later number was created later, on a clock that is behind.
        let events = [(1, AlertAction::Firing, 3), (2, AlertAction::Acknowledge, 3), (3, AlertAction::Resolve, 0)];
        let mut events = events.map(|(number, action, second)| {
            let created = time(&format!("2026-01-02T00:00:0{second}Z"));
            SeenEvent { created, ..mk_alert(number, action) }
        });
        let effects = if is_listed {
            events.reverse();
            setting.list(&events)
        } else {
            setting.list(&[]);
            events.into_iter().flat_map(|event| setting.handle(Input::EventSeen(Box::new(event)))).collect()
        };
        let of = |event: &str| setting.lifecycle.folded(event).unwrap().verdict;
        assert_eq!(["e1", "e2", "e3"].map(of), [Verdict::Opened, Verdict::Acknowledged, Verdict::Resolved]);
        assert_eq!(asked(&effects).0, names(&["changed"]), "one after the other");
        assert_eq!(attempted(effects).0.event.name, "e2", "listed: {is_listed}");
    }
}

#[test]
fn a_verdict_that_is_recorded_stands_also_if_its_alert_group_is_gone() {
    let record = EventRecord {
        fold: Some(FoldRecord { verdict: Verdict::Opened, group: Some((Arc::from("i1"), Arc::from("I1"))) }),
        ..mk_record(false, "ticket", ResponsePhase::Retrying)
    };
    let mut setting = Setting::new();
    setting.appear(mk_sending("ticket", TriggerType::AlertGroupCreated));
    setting.list(&[SeenEvent { record: Some(record), ..mk_alert(1, AlertAction::Firing) }]);
    assert_eq!(
        (setting.progress("e1"), verdict(&setting, "e1")),
        (("running", names(&["ticket"])), Some(Verdict::Opened))
    );
    let folded = setting.lifecycle.folded("e1").unwrap();
    assert_eq!((folded.verdict, folded.group), (Verdict::Opened, None));
}

#[test]
fn what_can_not_be_applied_ends_at_once_and_a_webhook_that_can_not_be_read_holds_up_only_what_may_fire_it() {
    let mut setting = Setting::new();
    setting.handle(Input::WebhookUnreadable(NamespacedName::new("team", "broken")));
    setting.list(&[mk_alert(1, AlertAction::Firing)]);
    write(&mut setting);
    assert_eq!(setting.progress("e1"), ("held", vec![]));
    let change = ChangeRequest {
        alert_group: Arc::from("none"),
        event_type: EventType::Acknowledge,
        by: None,
        until: Until::Forever,
        timer: None,
        webhook_refs: Vec::new(),
    };
    setting.handle(Input::EventSeen(Box::new(mk_folded(2, FoldRequest::Change(change)))));
    assert_eq!((setting.progress("e2"), verdict(&setting, "e2")), (("ended", vec![]), Some(Verdict::NotApplicable)));
}

#[test]
fn alert_groups_take_no_more_than_their_namespaces_share_and_those_that_are_resolved_make_room() {
    let mut setting = Setting::with_memory(100_000);
    setting.list(&[]);
    let see = |setting: &mut Setting, number: u32, kind: u32, action| {
        let mut event = mk_alert(number, action);
        if let Some(FoldRequest::Alert(report)) = event.request.take().map(Arc::unwrap_or_clone) {
            let grouping_id = Arc::from(format!("disk {kind}"));
            event.request = Some(Arc::new(FoldRequest::Alert(AlertReport { grouping_id, ..report })));
        }
        setting.handle(Input::EventSeen(Box::new(event)));
        for name in setting.lifecycle.alert_groups.names() {
            if let Some(write) = setting.lifecycle.alert_group_to_write(&name) {
                setting.handle(Input::AlertGroupWritten(name, Box::new(write)));
            }
        }
        setting.handle(Input::EventGone(format!("e{number}")));
    };
    // Each is resolved: there is always room for another one.
    for kind in 1..100 {
        see(&mut setting, 2 * kind, kind, AlertAction::Firing);
        see(&mut setting, 2 * kind + 1, kind, AlertAction::Resolve);
        assert!(!setting.lifecycle.is_behind("team"), "{kind}");
    }
    let Load { held_bytes, held_limit, .. } = setting.lifecycle.load();
    assert!(held_bytes <= held_limit, "{held_bytes}");
    // None is: the next ones wait in the API server.
    let behind = (100..200).find(|kind| {
        see(&mut setting, 2 * kind, *kind, AlertAction::Firing);
        setting.lifecycle.is_behind("team")
    });
    let Load { held_bytes, held_limit, .. } = setting.lifecycle.load();
    assert!(behind.is_some() && held_bytes <= held_limit, "{behind:?} {held_bytes}");
    assert!(setting.lifecycle.alert_groups.names().len() > 10);
    let names = setting.lifecycle.alert_groups.names();
    let effects: Vec<Effect> = names.into_iter().flat_map(|name| setting.handle(Input::AlertGroupGone(name))).collect();
    assert!(effects.iter().any(|effect| matches!(effect, Effect::ReadBacklog { .. })), "they are read again");
}

#[test]
fn an_alert_group_that_is_deleted_before_it_is_written_holds_up_nothing() {
    let mut setting = Setting::new();
    setting.list(&[mk_alert(1, AlertAction::Firing)]);
    let name = setting.lifecycle.alert_groups.names().remove(0);
    let effects = setting.handle(Input::AlertGroupGone(name));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::ReviewEvent(_))));
    assert_eq!(verdict(&setting, "e1"), Some(Verdict::Opened));
}
