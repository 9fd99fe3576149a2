//! Tables of what events make of alert groups.

mod properties;
mod timers;
mod wiping;

use std::collections::BTreeMap;

use super::*;
use crate::{id, intake::AlertAction, version::ResourceVersion, webhook::EventType};

/// The events of one namespace, one second after the other.
#[derive(Default)]
struct Setting {
    groups: AlertGroups,
    events: i64,
}

fn team() -> Arc<str> {
    Arc::from("team")
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn mk_event(number: i64) -> (EventReference, Position) {
    let event = EventReference { name: Arc::from(format!("event-{number}")), uid: Arc::from(format!("uid-{number}")) };
    (event, (at(number), ResourceVersion::from(number.to_string().as_str())))
}

fn mk_alert(action: AlertAction, grouping_id: &str) -> FoldRequest {
    FoldRequest::Alert(AlertReport {
        integration: Arc::from("prometheus"),
        integration_id: Arc::from("C1"),
        grouping_id: Arc::from(grouping_id),
        action,
        title: Arc::from("Disk full"),
    })
}

fn mk_change(group: &str, event_type: EventType) -> ChangeRequest {
    ChangeRequest {
        alert_group: Arc::from(group),
        event_type,
        by: Some(Arc::from("ann")),
        until: Until::Forever,
        timer: None,
        webhook_refs: Vec::new(),
    }
}

impl Setting {
    fn next(&mut self, request: &FoldRequest) -> Folded {
        self.events += 1;
        let (event, position) = mk_event(self.events);
        self.groups.fold(&team(), &event, &position, request)
    }

    fn alert(&mut self, action: AlertAction) -> Verdict {
        self.next(&mk_alert(action, "a")).verdict
    }

    fn change(&mut self, group: &str, event_type: EventType) -> Verdict {
        self.next(&FoldRequest::Change(mk_change(group, event_type))).verdict
    }

    /// Opens an alert group; returns its name.
    fn open(&mut self) -> Arc<str> {
        let folded = self.next(&mk_alert(AlertAction::Firing, "a"));
        assert_eq!(folded.verdict, Verdict::Opened);
        folded.group.unwrap()
    }

    fn group(&self, name: &str) -> &AlertGroup {
        self.groups.get(&NamespacedName::new(team(), name)).unwrap()
    }
}

#[test]
fn alerts_of_one_grouping_id_join_until_one_says_that_they_are_over() {
    use AlertAction::{Acknowledge, Firing, Resolve};
    let mut setting = Setting::default();
    let actions = [Resolve, Acknowledge, Firing, Firing, Acknowledge, Acknowledge, Firing, Resolve, Resolve, Firing];
    let verdicts = actions.map(|action| setting.alert(action));
    use Verdict::{Acknowledged, Joined, NothingOpen, Opened, Resolved};
    let expected =
        [NothingOpen, NothingOpen, Opened, Joined, Acknowledged, Joined, Joined, Resolved, NothingOpen, Opened];
    assert_eq!(verdicts, expected);
    assert_eq!(setting.groups.names().len(), 2);
}

#[test]
fn an_alert_group_tells_who_did_what_and_how_many_alerts_it_has() {
    let mut setting = Setting::default();
    let name = setting.open();
    setting.alert(AlertAction::Firing);
    setting.change(&name, EventType::Acknowledge);
    setting.alert(AlertAction::Resolve);
    let ann: Option<Arc<str>> = Some(Arc::from("ann"));
    let transition = |verdict, number, by| {
        let (event, position) = mk_event(number);
        Transition { verdict, event, position, by }
    };
    let id = id::alert_group_id("uid-1", 0);
    let (last_alert, counted) = mk_event(4);
    let expected = AlertGroup {
        name: Arc::from(id.to_lowercase()),
        id: Arc::from(id),
        integration: Arc::from("prometheus"),
        integration_id: Arc::from("C1"),
        labels: Labels::default(),
        grouping_id: Arc::from("a"),
        title: Arc::from("Disk full"),
        alerts_count: 3,
        counted,
        last_alert,
        is_open_for_grouping: false,
        done: Done {
            acknowledged: Some(Act { at: at(3), by: ann.clone() }),
            resolved: Some(Act { at: at(4), by: None }),
            silenced: None,
            wiped: None,
        },
        silence: None,
        escalation: None,
        timers: 1,
        transitions: vec![
            transition(Verdict::Opened, 1, None),
            transition(Verdict::Acknowledged, 3, ann),
            transition(Verdict::Resolved, 4, None),
        ],
    };
    assert_eq!(*setting.group(&name), expected);
    assert_eq!(setting.group(&name).state(), AlertGroupState::Resolved);
}

#[test]
fn changes_are_made_where_oncalls_api_makes_them() {
    use EventType::{Acknowledge, Resolve, Silence, Unacknowledge, Unresolve, Unsilence, Wipe};
    // What is done one after the other, and the state that it leads to; None where the last one is not applicable.
    let cases: [(&[EventType], Option<AlertGroupState>); 26] = [
        (&[Acknowledge], Some(AlertGroupState::Acknowledged)),
        (&[Acknowledge, Acknowledge], None),
        (&[Acknowledge, Unacknowledge], Some(AlertGroupState::Firing)),
        (&[Unacknowledge], None),
        (&[Resolve], Some(AlertGroupState::Resolved)),
        (&[Resolve, Resolve], None),
        (&[Resolve, Acknowledge], None),
        (&[Resolve, Unacknowledge], None),
        (&[Resolve, Unresolve], Some(AlertGroupState::Firing)),
        (&[Acknowledge, Resolve, Unresolve], Some(AlertGroupState::Acknowledged)),
        (&[Unresolve], None),
        (&[Silence], Some(AlertGroupState::Silenced)),
        (&[Silence, Silence], Some(AlertGroupState::Silenced)),
        (&[Silence, Unsilence], Some(AlertGroupState::Firing)),
        (&[Unsilence], None),
        (&[Silence, Acknowledge], Some(AlertGroupState::Acknowledged)),
        (&[Acknowledge, Silence], None),
        (&[Resolve, Silence], None),
        (&[Silence, Resolve, Unresolve], Some(AlertGroupState::Firing)),
        (&[Wipe], Some(AlertGroupState::Resolved)),
        (&[Acknowledge, Wipe], Some(AlertGroupState::Resolved)),
        (&[Resolve, Wipe], Some(AlertGroupState::Resolved)),
        (&[Wipe, Wipe], None),
        (&[Wipe, Unresolve], None),
        (&[Resolve, Wipe, Unresolve], None),
        (&[Wipe, Silence], None),
    ];
    for (changes, expected) in cases {
        let mut setting = Setting::default();
        let name = setting.open();
        let last = changes.iter().map(|change| setting.change(&name, *change)).last().unwrap();
        let state = (last != Verdict::NotApplicable).then(|| setting.group(&name).state());
        assert_eq!(state, expected, "{changes:?}");
    }
    assert_eq!(Setting::default().change("none", Acknowledge), Verdict::NotApplicable);
}

#[test]
fn what_was_resolved_once_takes_no_more_alerts_though_it_is_open_again() {
    let mut setting = Setting::default();
    let name = setting.open();
    setting.change(&name, EventType::Resolve);
    setting.change(&name, EventType::Unresolve);
    assert_eq!(setting.alert(AlertAction::Resolve), Verdict::NothingOpen);
    assert_eq!(setting.alert(AlertAction::Firing), Verdict::Opened);
    assert_eq!(setting.group(&name).state(), AlertGroupState::Firing);
}

#[test]
fn two_alerts_of_one_moment_join_whatever_the_clocks_of_the_api_servers_say() {
    let fold = |groups: &mut AlertGroups, name: &str, second, version: &str| {
        let event = EventReference { name: Arc::from(name), uid: Arc::from(name) };
        let position = (at(second), ResourceVersion::from(version));
        groups.fold(&team(), &event, &position, &mk_alert(AlertAction::Firing, "a")).verdict
    };
    let mut groups = AlertGroups::default();
    assert_eq!(fold(&mut groups, "one", 1, "10"), Verdict::Opened);
    // Of a server whose clock is a moment behind.
    assert_eq!(fold(&mut groups, "two", 0, "11"), Verdict::Joined);
    // After the cluster was restored from a backup, versions begin anew.
    assert_eq!(fold(&mut groups, "three", 3600, "5"), Verdict::Joined);
    let name = groups.names().remove(0);
    assert_eq!(groups.get(&name).unwrap().alerts_count, 3);
    // A process that finds both in a list takes them in the order of their times.
    let mut groups = AlertGroups::default();
    assert_eq!(fold(&mut groups, "two", 0, "11"), Verdict::Opened);
    assert_eq!(fold(&mut groups, "one", 1, "10"), Verdict::Joined);
}

#[test]
fn a_name_that_is_taken_is_not_taken_again() {
    let mut setting = Setting::default();
    let name = setting.open();
    let mut taken = setting.group(&name).clone();
    taken.transitions[0].event.uid = Arc::from("another");
    taken.grouping_id = Arc::from("b");
    let mut setting = Setting::default();
    setting.groups.insert(&team(), taken);
    let other = setting.open();
    assert_ne!(name, other);
    assert_eq!(*setting.group(&other).id, *id::alert_group_id("uid-1", 1));
}

#[test]
fn an_alert_group_has_the_labels_that_its_integration_had_when_it_was_opened() {
    let labels = |count: usize, value: &str| -> BTreeMap<String, String> {
        (0..count).map(|number| (format!("{number:02}"), value.to_owned())).collect()
    };
    let integration = NamespacedName::new(team(), "prometheus");
    let mut setting = Setting::default();
    let unknown = setting.open();
    let mut last = Verdict::Opened;
    // How many labels the Integration has, and how many alert groups inherit.
    for (count, inherited) in [(0, 0), (1, 1), (15, 15), (16, 15), (64, 15)] {
        setting.alert(AlertAction::Resolve);
        let facts =
            IntegrationFacts { labels: inherited_labels(&labels(count, "then")), ..IntegrationFacts::default() };
        setting.groups.set_integration(&integration, facts, at(0));
        let name = setting.open();
        let facts = IntegrationFacts { labels: inherited_labels(&labels(1, "now")), ..IntegrationFacts::default() };
        setting.groups.set_integration(&integration, facts, at(0));
        last = setting.alert(AlertAction::Firing);
        assert_eq!(*setting.group(&name).labels, labels(inherited, "then"), "{count}");
    }
    assert_eq!((last, setting.group(&unknown).labels.len()), (Verdict::Joined, 0));
}

#[test]
fn what_is_to_be_written_is_written_once() {
    let mut setting = Setting::default();
    let name = NamespacedName::new(team(), setting.open());
    let created = setting.groups.to_write(&name).unwrap();
    assert_eq!((created.is_new, created.is_new_alert), (true, true));
    setting.change(&name.name, EventType::Acknowledge);
    setting.groups.written(&name, &created);
    let changed = setting.groups.to_write(&name).unwrap();
    assert_eq!(
        (changed.is_new, changed.is_new_alert, changed.group.state()),
        (false, false, AlertGroupState::Acknowledged)
    );
    setting.groups.written(&name, &changed);
    assert_eq!(setting.groups.to_write(&name), None);
    setting.alert(AlertAction::Firing);
    assert!(setting.groups.to_write(&name).unwrap().is_new_alert);
}

#[test]
fn only_so_many_changes_are_kept_and_those_that_opened_and_closed_it_are_among_them() {
    let mut setting = Setting::default();
    let name = setting.open();
    setting.change(&name, EventType::Resolve);
    for _ in 0..60 {
        setting.change(&name, EventType::Unresolve);
        setting.change(&name, EventType::Resolve);
    }
    let transitions = &setting.group(&name).transitions;
    let verdicts: Vec<Verdict> = transitions[..2].iter().map(|transition| transition.verdict).collect();
    assert_eq!((transitions.len(), verdicts), (50, vec![Verdict::Opened, Verdict::Resolved]));
    assert_eq!(transitions[1].position.0, at(2));
}
