//! Ends of silences, and steps of escalations.

use super::*;

impl Setting {
    fn timers_at(&mut self, second: i64) -> Vec<(String, TimerKind)> {
        self.groups.take_due(at(second)).into_iter().map(|timer| (timer.event_name(), timer.kind)).collect()
    }
}

fn escalating(steps: &[(u64, &str)]) -> Setting {
    let mut setting = Setting::default();
    let step = |(after, webhook): &(u64, &str)| EscalationStep {
        after: Duration::from_secs(*after),
        webhook_refs: vec![(*webhook).to_owned()],
    };
    let integration = NamespacedName::new(team(), "prometheus");
    setting.groups.set_escalation(&integration, steps.iter().map(step).collect());
    setting
}

fn page(webhook: &str) -> TimerKind {
    TimerKind::Escalation(vec![webhook.to_owned()])
}

#[test]
fn an_escalation_takes_its_steps_until_somebody_takes_the_alert_group_on() {
    let mut setting = escalating(&[(10, "mail"), (20, "page")]);
    let name = setting.open();
    assert_eq!((setting.groups.next_due(), setting.timers_at(10)), (Some(at(11)), vec![]));
    assert_eq!(setting.timers_at(11), [(format!("{name}-escalation-1"), page("mail"))]);
    assert_eq!((setting.groups.next_due(), setting.timers_at(100)), (None, vec![]), "it is asked for once");
    let by_timer = |timer| {
        let change = ChangeRequest { by: None, timer: Some(timer), ..mk_change(&name, EventType::Escalation) };
        FoldRequest::Change(change)
    };
    setting.events = 11;
    assert_eq!(setting.next(&by_timer(1)).verdict, Verdict::Escalated);
    assert_eq!(setting.timers_at(21), [(format!("{name}-escalation-2"), page("page"))]);
    // Its event is on the way, and comes too late.
    assert_eq!(setting.change(&name, EventType::Acknowledge), Verdict::Acknowledged);
    assert_eq!(setting.next(&by_timer(2)).verdict, Verdict::NotApplicable);
    assert_eq!(setting.groups.next_due(), None);
    // It starts anew.
    setting.events = 99;
    assert_eq!(setting.change(&name, EventType::Unacknowledge), Verdict::Unacknowledged);
    assert_eq!(setting.timers_at(110), [(format!("{name}-escalation-3"), page("mail"))]);
}

#[test]
fn the_end_of_a_silence_ends_that_silence_alone() {
    let mut setting = Setting::default();
    let name = setting.open();
    let silence = |until| {
        FoldRequest::Change(ChangeRequest { until: Until::Time(at(until)), ..mk_change(&name, EventType::Silence) })
    };
    setting.next(&silence(50));
    assert_eq!(setting.groups.next_due(), Some(at(50)));
    setting.next(&silence(80));
    let late = ChangeRequest { by: None, timer: Some(2), ..mk_change(&name, EventType::Unsilence) };
    assert_eq!(setting.next(&FoldRequest::Change(late.clone())).verdict, Verdict::NotApplicable);
    assert_eq!(setting.timers_at(80), [(format!("{name}-unsilence-3"), TimerKind::Unsilence)]);
    let ends = ChangeRequest { timer: Some(3), ..late };
    assert_eq!(setting.next(&FoldRequest::Change(ends)).verdict, Verdict::Unsilenced);
    assert_eq!(setting.group(&name).state(), AlertGroupState::Firing);
}

#[test]
fn a_timer_whose_event_can_not_be_created_is_asked_for_again() {
    let mut setting = escalating(&[(10, "mail")]);
    setting.open();
    let timer = setting.groups.take_due(at(60)).remove(0);
    assert_eq!(setting.groups.next_due(), None);
    setting.groups.timer_failed(&timer);
    assert_eq!(setting.groups.take_due(at(60)), [timer]);
}

#[test]
fn steps_that_change_are_those_of_the_alert_groups_that_are_open() {
    let mut setting = escalating(&[(10, "mail")]);
    setting.open();
    let integration = NamespacedName::new(team(), "prometheus");
    let later = EscalationStep { after: Duration::from_secs(30), webhook_refs: vec!["page".to_owned()] };
    setting.groups.set_escalation(&integration, vec![later]);
    assert_eq!(setting.groups.next_due(), Some(at(31)));
    setting.groups.set_escalation(&integration, Vec::new());
    assert_eq!(setting.groups.next_due(), None);
}
