//! What a wipe takes away, and what stays of it.

use super::*;

fn name_of(name: &Arc<str>) -> NamespacedName {
    NamespacedName::new(team(), Arc::clone(name))
}

#[test]
fn a_wiped_alert_group_has_no_content_and_tells_who_wiped_it() {
    use EventType::{Acknowledge, Silence, Wipe};
    let mut setting = Setting::default();
    let name = setting.open();
    setting.change(&name, Acknowledge);
    let before = setting.group(&name).clone();
    assert_eq!(setting.change(&name, Wipe), Verdict::Wiped);
    let (event, position) = mk_event(3);
    let ann: Option<Arc<str>> = Some(Arc::from("ann"));
    let mut transitions = before.transitions.clone();
    transitions.push(Transition { verdict: Verdict::Wiped, event, position, by: ann.clone() });
    let expected = AlertGroup {
        grouping_id: Arc::from("sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"),
        title: Arc::from("Wiped by ann at 2023-11-14"),
        is_open_for_grouping: false,
        done: Done {
            resolved: Some(Act { at: at(3), by: None }),
            wiped: Some(Act { at: at(3), by: ann }),
            ..before.done.clone()
        },
        transitions,
        ..before
    };
    assert_eq!(*setting.group(&name), expected);
    // What was resolved before was so by whoever did it; a silence ends.
    let mut setting = Setting::default();
    let name = setting.open();
    setting.change(&name, Silence);
    setting.alert(AlertAction::Resolve);
    let resolved = setting.group(&name).done.resolved.clone();
    setting.change(&name, Wipe);
    let group = setting.group(&name);
    assert_eq!(
        (group.done.resolved.clone(), group.done.silenced.clone(), group.silence.clone()),
        (resolved, None, None)
    );
}

#[test]
fn what_is_wiped_takes_no_more_alerts_and_nobody_is_told_of_it() {
    use EventType::{Escalation, PersonalNotification, Wipe};
    let mut setting = Setting::default();
    let name = setting.open();
    assert_eq!(setting.change(&name, Escalation), Verdict::Escalated);
    setting.change(&name, Wipe);
    assert_eq!((setting.groups.open_in("team"), setting.groups.next_due()), (0, None));
    for told in [Escalation, PersonalNotification] {
        assert_eq!(setting.change(&name, told), Verdict::NotApplicable, "{told:?}");
    }
    assert_eq!(setting.alert(AlertAction::Resolve), Verdict::NothingOpen);
    assert_eq!(setting.alert(AlertAction::Firing), Verdict::Opened);
    assert_eq!(setting.alert(AlertAction::Firing), Verdict::Joined);
    assert_eq!((setting.group(&name).alerts_count, setting.groups.names().len()), (1, 2));
}

#[test]
fn alerts_of_before_a_wipe_are_found_to_have_joined_though_the_grouping_id_is_gone() {
    let mut setting = Setting::default();
    let name = setting.open();
    setting.alert(AlertAction::Firing);
    let joined = mk_event(2);
    let told = mk_change(&name, EventType::Escalation);
    setting.next(&FoldRequest::Change(told.clone()));
    setting.change(&name, EventType::Wipe);
    let wiped = setting.group(&name).clone();
    // A process that begins with what is written.
    let mut groups = AlertGroups::default();
    groups.insert(&team(), wiped.clone());
    let again = groups.fold(&team(), &joined.0, &joined.1, &mk_alert(AlertAction::Firing, "a"));
    assert_eq!(again, Folded { verdict: Verdict::Joined, group: Some(Arc::clone(&name)), is_changed: false });
    let (event, position) = mk_event(3);
    let again = groups.fold(&team(), &event, &position, &FoldRequest::Change(told));
    assert_eq!(again.verdict, Verdict::Escalated);
    assert_eq!(groups.get(&name_of(&name)), Some(&wiped));
    // Whose id is the digest of another one is not that one.
    let event = EventReference { name: Arc::from("other"), uid: Arc::from("other") };
    let other = groups.fold(&team(), &event, &joined.1, &mk_alert(AlertAction::Firing, &wiped.grouping_id));
    assert_eq!(other.verdict, Verdict::Opened);
}
