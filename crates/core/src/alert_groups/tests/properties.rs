//! Properties of any order of events.

use proptest::{collection::vec, prelude::*};

use super::*;

/// What is done to one of three kinds of alerts: by its source, or by a person to the alert group that was opened last.
#[derive(Clone, Copy, Debug)]
enum Step {
    Alert(u8, AlertAction),
    Change(u8, EventType),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    use EventType::{Acknowledge, Escalation, Resolve, Silence, Unacknowledge, Unresolve, Unsilence, Wipe};
    let action = prop_oneof![
        4 => Just(AlertAction::Firing),
        1 => Just(AlertAction::Acknowledge),
        2 => Just(AlertAction::Resolve),
    ];
    let change = prop::sample::select(vec![
        Acknowledge,
        Resolve,
        Silence,
        Unacknowledge,
        Unresolve,
        Unsilence,
        Wipe,
        Escalation,
    ]);
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
    fn what_was_done_up_to_an_event_is_told_as_it_was_then(steps in steps()) {
        let (whole, played) = play(&steps);
        let mut replay = Setting::default();
        for (number, (request, folded)) in (1..).zip(&played) {
            replay.next(request);
            let Some(name) = &folded.group else { continue };
            let (event, position) = mk_event(number);
            let (then, whole) = (replay.group(name), whole.group(name));
            // Of a group that had more changes, some are forgotten.
            if then.transition(&event.uid).is_some() && whole.transitions.len() < 50 {
                let expected = (then.done.clone(), position.0);
                prop_assert_eq!(whole.as_of(&event.uid), expected, "event {}: {:?}", number, request);
            }
        }
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
