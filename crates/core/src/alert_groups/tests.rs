//! Tables of what events make of alert groups, and properties of any order of them.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};

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

    fn timers_at(&mut self, second: i64) -> Vec<(String, TimerKind)> {
        self.groups.take_due(at(second)).into_iter().map(|timer| (timer.event_name(), timer.kind)).collect()
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
        acknowledged: Some(Act { at: at(3), by: ann.clone() }),
        resolved: Some(Act { at: at(4), by: None }),
        silenced: None,
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
    use EventType::{Acknowledge, Resolve, Silence, Unacknowledge, Unresolve, Unsilence};
    // What is done one after the other, and the state that it leads to; None where the last one is not applicable.
    let cases: [(&[EventType], Option<AlertGroupState>); 19] = [
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
        let facts = IntegrationFacts { labels: inherited_labels(&labels(count, "then")), ..IntegrationFacts::default() };
        setting.groups.set_integration(&integration, facts, at(0));
        let name = setting.open();
        let facts = IntegrationFacts { labels: inherited_labels(&labels(1, "now")), ..IntegrationFacts::default() };
        setting.groups.set_integration(&integration, facts, at(0));
        last = setting.alert(AlertAction::Firing);
        assert_eq!(*setting.group(&name).labels, labels(inherited, "then"), "{count}");
    }
    assert_eq!((last, setting.group(&unknown).labels.len()), (Verdict::Joined, 0));
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

/// What is done to one of three kinds of alerts: by its source, or by a person to the alert group that was opened last.
#[derive(Clone, Copy, Debug)]
enum Step {
    Alert(u8, AlertAction),
    Change(u8, EventType),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    use EventType::{Acknowledge, Resolve, Silence, Unacknowledge, Unresolve, Unsilence};
    let action = prop_oneof![
        4 => Just(AlertAction::Firing),
        1 => Just(AlertAction::Acknowledge),
        2 => Just(AlertAction::Resolve),
    ];
    let change = prop::sample::select(vec![Acknowledge, Resolve, Silence, Unacknowledge, Unresolve, Unsilence]);
    let step = prop_oneof![
        3 => (0_u8..3, action).prop_map(|(key, action)| Step::Alert(key, action)),
        1 => (0_u8..3, change).prop_map(|(key, change)| Step::Change(key, change)),
    ];
    vec(step, 1..60)
}

/// The events that the steps make, and what came of each.
fn play(steps: &[Step]) -> (Setting, Vec<(FoldRequest, Folded)>) {
    let mut setting = Setting::default();
    let mut last: HashMap<u8, Arc<str>> = HashMap::new();
    let mut played = Vec::new();
    for step in steps {
        let request = match step {
            Step::Alert(key, action) => mk_alert(*action, &key.to_string()),
            Step::Change(key, event_type) => {
                let group = last.get(key).map_or("none", |name| name);
                FoldRequest::Change(mk_change(group, *event_type))
            }
        };
        let folded = setting.next(&request);
        if let (Step::Alert(key, _), Verdict::Opened, Some(group)) = (step, folded.verdict, &folded.group) {
            last.insert(*key, Arc::clone(group));
        }
        played.push((request, folded));
    }
    (setting, played)
}

fn contents(groups: &AlertGroups) -> Vec<AlertGroup> {
    let mut names = groups.names();
    names.sort();
    names.iter().map(|name| groups.get(name).unwrap().clone()).collect()
}

proptest! {
    /// A process that dies may have written some alert groups as they are, and others as they were at an earlier time; events whose end
    /// is written are not folded again, others are, all in their order.
    #[test]
    fn folding_again_after_a_crash_gives_the_same_groups_and_verdicts(
        steps in steps(),
        written_until in vec(0_usize..60, 60),
        is_gone in vec(any::<bool>(), 60),
    ) {
        let (whole, played) = play(&steps);
        // What the API server has: of each alert group the state after some of the events.
        let mut restarted = Setting::default();
        let mut states: HashMap<Arc<str>, Vec<(usize, AlertGroup)>> = HashMap::new();
        let mut replay = Setting::default();
        for (number, (request, folded)) in played.iter().enumerate() {
            replay.next(request);
            if let Some(group) = &folded.group {
                states.entry(Arc::clone(group)).or_default().push((number, replay.group(group).clone()));
            }
        }
        let mut names: Vec<&Arc<str>> = states.keys().collect();
        names.sort();
        let mut stored_until: HashMap<Arc<str>, usize> = HashMap::new();
        for (index, name) in names.into_iter().enumerate() {
            let until = written_until[index % written_until.len()];
            if let Some((number, state)) = states[name].iter().rfind(|(number, _)| *number <= until) {
                restarted.groups.insert(&team(), state.clone());
                stored_until.insert(Arc::clone(name), *number);
            }
        }
        for (number, (request, folded)) in played.iter().enumerate() {
            // The event of what is written may have been completed, or deleted.
            let is_written = folded.group.as_ref().is_none_or(|group| stored_until.get(group).is_some_and(|until| *until >= number));
            if is_written && is_gone[number] {
                continue;
            }
            let (event, position) = mk_event(i64::try_from(number).unwrap() + 1);
            let again = restarted.groups.fold(&team(), &event, &position, request);
            // What was not applicable may be so for another reason; it changed nothing then, and changes nothing now.
            prop_assert_eq!((again.verdict, &again.group), (folded.verdict, &folded.group), "event {}: {:?}", number + 1, request);
        }
        prop_assert_eq!(contents(&restarted.groups), contents(&whole.groups));
    }

    #[test]
    fn what_happens_to_alerts_of_one_kind_does_not_depend_on_when_others_come(steps in steps(), turns in vec(0_u8..3, 60)) {
        let key_of = |step: &Step| match step {
            Step::Alert(key, _) | Step::Change(key, _) => *key,
        };
        // Each kind keeps its order: its steps take the places of its turns.
        let mut order: Vec<(u8, usize)> = Vec::new();
        let mut seen = [0_usize; 3];
        for step in &steps {
            order.push((key_of(step), seen[usize::from(key_of(step))]));
            seen[usize::from(key_of(step))] += 1;
        }
        let place = |(key, number): (u8, usize)| {
            turns.iter().enumerate().filter(|(_, turn)| **turn == key).nth(number).map_or(usize::MAX, |(place, _)| place)
        };
        let mut mixed: Vec<(usize, u8, usize, Step)> = order
            .into_iter()
            .zip(&steps)
            .map(|((key, number), step)| (place((key, number)), key, number, *step))
            .collect();
        mixed.sort_by_key(|(place, key, number, _)| (*place, *key, *number));
        let mixed: Vec<Step> = mixed.into_iter().map(|(_, _, _, step)| step).collect();
        let verdicts = |steps: &[Step]| -> Vec<Vec<Verdict>> {
            let (_, played) = play(steps);
            let of = |key: u8| steps.iter().zip(&played).filter(|(step, _)| key_of(step) == key).map(|(_, (_, folded))| folded.verdict).collect();
            (0..3).map(of).collect()
        };
        prop_assert_eq!(verdicts(&steps), verdicts(&mixed));
    }

    #[test]
    fn a_source_that_repeats_what_it_says_changes_counts_alone(steps in steps(), repeated in vec(0_usize..3, 60)) {
        let repeats = |index: usize, step: &Step| matches!(step, Step::Alert(..)).then_some(repeated[index]).unwrap_or_default();
        let repeating: Vec<Step> =
            steps.iter().enumerate().flat_map(|(index, step)| std::iter::repeat_n(*step, 1 + repeats(index, step))).collect();
        let shape = |groups: &AlertGroups| -> Vec<(Arc<str>, AlertGroupState, Vec<Verdict>)> {
            let verdicts = |group: &AlertGroup| group.transitions.iter().map(|transition| transition.verdict).collect();
            let mut groups = contents(groups);
            groups.sort_by(|one, other| one.opened_at().cmp(&other.opened_at()));
            groups.iter().map(|group| (Arc::clone(&group.grouping_id), group.state(), verdicts(group))).collect()
        };
        prop_assert_eq!(shape(&play(&steps).0.groups), shape(&play(&repeating).0.groups));
    }

    #[test]
    fn an_alert_group_is_open_for_each_kind_of_alerts_at_most_once(steps in steps()) {
        let (setting, played) = play(&steps);
        let mut open = HashMap::new();
        for group in contents(&setting.groups) {
            if group.is_open_for_grouping {
                prop_assert!(open.insert(Arc::clone(&group.grouping_id), Arc::clone(&group.name)).is_none());
            }
            prop_assert_eq!(group.transitions.first().map(|first| first.verdict), Some(Verdict::Opened));
        }
        let opened = played.iter().filter(|(_, folded)| folded.verdict == Verdict::Opened).count();
        prop_assert_eq!(opened, setting.groups.names().len());
    }
}
