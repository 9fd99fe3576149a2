use std::{ops::Range, time::Duration};

use axum::http::{Request, Response};
use jiff::Timestamp;
use kube::{Client, Resource, client::Body};
use serde_json::{Value, json};
use tower::{BoxError, service_fn};

use super::*;
use crate::{
    core::id,
    kubernetes::index::Fold,
    rest::{auth::Caller, pages::QueryParams},
};

/// An alert group that was opened by the event of this version, with these fields of its status.
fn mk_group(name: &str, version: u64, status: Value) -> WatchedAlertGroup {
    let mut group = json!({
        "apiVersion": "oncall.dev/v1alpha1", "kind": "AlertGroup",
        "metadata": {"namespace": "team", "name": name, "uid": format!("uid-{name}"), "resourceVersion": "900"},
        "spec": {"integrationRef": {"name": "prod", "id": "CPROD"}, "groupingId": "g"},
        "status": {
            "id": name.to_uppercase(), "createdAt": "2026-01-01T00:00:00Z",
            "transitions": [{"verdict": "Opened", "eventRef": {"name": "e", "uid": "opened"}, "time": "2026-01-01T00:00:00Z", "version": version.to_string()}],
        },
    });
    let Value::Object(status) = status else { unreachable!("an object") };
    group["status"].as_object_mut().unwrap().extend(status);
    serde_json::from_value(group).unwrap()
}

fn mk_act() -> Value {
    json!({"time": "2026-01-01T00:00:01Z", "user": "ann"})
}

/// An alert group to which this was done.
fn mk_listed(done: &[&str]) -> ListedAlertGroup {
    let status = done.iter().map(|field| ((*field).to_owned(), mk_act())).collect();
    ListedAlertGroup::read(&mk_group("a", 1, Value::Object(status))).unwrap().0
}

/// Alert groups whose API server answers every call with this.
fn mk_groups(answer: &Value) -> Arc<AlertGroups> {
    Arc::new(AlertGroups::new(objects(answer), 1 << 20))
}

fn objects(answer: &Value) -> Objects {
    let text = answer.to_string();
    let server = service_fn(move |_: Request<Body>| {
        let body = Body::from(text.clone().into_bytes());
        async { Ok::<_, BoxError>(Response::new(body)) }
    });
    Objects::new(Client::new(server, "default"), "test")
}

fn names(groups: &AlertGroups, page: impl FnOnce(usize) -> Range<usize>) -> (usize, Vec<String>) {
    let (count, listed) = groups.list("team", |_| true, page);
    (count, listed.iter().map(|group| group.name.name.to_string()).collect())
}

#[tokio::test]
async fn lists_are_newest_first_by_the_events_that_opened_the_groups() {
    let groups = mk_groups(&Value::Null);
    let mut index = AlertGroupIndex(Arc::clone(&groups));
    for (name, version, created) in [("c", 10, "00"), ("a", 9, "00"), ("b", 11, "00"), ("d", 1, "01")] {
        index.apply(&mk_group(name, version, json!({"createdAt": format!("2026-01-01T00:00:{created}Z")})));
    }
    let all = |names: &[&str]| (names.len(), names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    assert_eq!(names(&groups, |count| 0..count), all(&["d", "b", "c", "a"]));
    assert_eq!(names(&groups, |_| 1..3), (4, vec!["b".to_owned(), "c".to_owned()]));
    assert_eq!(groups.get("team", "B").map(|group| group.name.to_string()), Some("team/b".to_owned()));
    assert_eq!((groups.get("team", "b"), groups.get("other", "B")), (None, None));

    // A change of an alert group changes its place in no list.
    index.apply(&mk_group("a", 9, json!({"acknowledged": mk_act()})));
    assert_eq!(names(&groups, |count| 0..count), all(&["d", "b", "c", "a"]));
    assert_eq!(groups.get("team", "A").map(|group| group.state().as_str()), Some("acknowledged"));

    // What the operator has not written is not there.
    index.apply(&mk_group("a", 9, json!({"id": ""})));
    index.delete(&mk_group("d", 1, json!({})));
    assert_eq!(names(&groups, |count| 0..count), all(&["b", "c"]));
    // What a list does not name is gone.
    let mut index = Fold::new(index);
    for event in [
        kube::runtime::watcher::Event::Init,
        kube::runtime::watcher::Event::InitApply(mk_group("c", 10, json!({}))),
        kube::runtime::watcher::Event::InitDone,
    ] {
        index.observe(&event);
    }
    assert_eq!(names(&groups, |count| 0..count), all(&["c"]));
    assert_eq!(groups.get("team", "B"), None);
}

#[tokio::test]
async fn alert_groups_with_the_same_labels_share_them_and_the_last_of_them_takes_them_along() {
    let groups = mk_groups(&Value::Null);
    let mut index = AlertGroupIndex(Arc::clone(&groups));
    let with_labels = |name: &str, env: &str| mk_group(name, 1, json!({"labels": {"env": env}}));
    let copies = || groups.namespaces.read().get("team").map_or(0, |groups| groups.labels.len());
    for (name, env) in [("a", "prod"), ("b", "prod"), ("c", "dev"), ("a", "prod")] {
        index.apply(&with_labels(name, env));
    }
    let labels = |id: &str| groups.get("team", id).and_then(|group| group.labels.clone()).unwrap();
    assert!(Arc::ptr_eq(&labels("A"), &labels("B")) && labels("C")["env"] == "dev");
    assert_eq!(copies(), 2);
    index.delete(&with_labels("a", "prod"));
    assert_eq!(copies(), 2);
    index.apply(&mk_group("b", 1, json!({})));
    assert_eq!(copies(), 1);
}

#[tokio::test]
async fn what_the_watch_shows_late_does_not_undo_what_was_read_and_a_list_counts() {
    let groups = mk_groups(&Value::Null);
    let mut index = AlertGroupIndex(Arc::clone(&groups));
    let at = |version: &str, status: Value| {
        let mut group = mk_group("a", 1, status);
        group.meta_mut().resource_version = Some(version.to_owned());
        group
    };
    let state = || groups.get("team", "A").map(|group| group.state().as_str());
    groups.insert(&at("902", json!({"resolved": mk_act()})));
    index.apply(&at("901", json!({"acknowledged": mk_act()})));
    assert_eq!(state(), Some("resolved"));
    index.apply(&at("903", json!({})));
    assert_eq!(state(), Some("firing"));
    // Versions begin anew where a cluster is restored.
    index.list(&at("7", json!({"acknowledged": mk_act()})));
    assert_eq!(state(), Some("acknowledged"));
}

#[tokio::test]
async fn what_is_read_late_undoes_nothing_that_the_watch_has_shown() {
    let groups = mk_groups(&Value::Null);
    let mut index = AlertGroupIndex(Arc::clone(&groups));
    let at = |uid: &str, version: &str, status: Value| {
        let mut group = mk_group("a", 1, status);
        group.meta_mut().uid = Some(uid.to_owned());
        group.meta_mut().resource_version = Some(version.to_owned());
        group
    };
    let state = || groups.get("team", "A").map(|group| group.state().as_str());
    let unwritten = || json!({"id": ""});
    index.apply(&at("old", "909", json!({"resolved": mk_act()})));
    for late in [at("old", "908", json!({})), at("old", "908", unwritten())] {
        let known = groups.insert(&late).map(|group| group.state().as_str());
        assert_eq!((known, state()), (Some("resolved"), Some("resolved")));
    }
    index.delete(&at("old", "910", json!({})));
    assert_eq!((groups.insert(&at("old", "909", json!({}))), state()), (None, None));
    // Another one with the same name is another one.
    index.apply(&at("new", "911", json!({})));
    index.delete(&at("old", "910", json!({})));
    assert_eq!((groups.insert(&at("old", "909", unwritten())), state()), (None, Some("firing")));
    // One that is not written yet is not gone for good.
    index.apply(&at("new", "912", unwritten()));
    assert_eq!(state(), None);
    index.apply(&at("new", "913", json!({})));
    assert_eq!(state(), Some("firing"));
}

#[tokio::test]
async fn an_alert_group_is_gone_when_the_api_server_says_so_of_it() {
    let missing = |name: &str| {
        let details = json!({"name": name, "group": "oncall.dev", "kind": "alertgroups"});
        json!({"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound", "details": details})
    };
    // One that does not know the kind yet names none.
    for (answer, expected) in [(missing("a"), None), (missing(""), Some("firing"))] {
        let text = answer.to_string();
        let server = service_fn(move |request: Request<Body>| {
            // A list finds none.
            let is_list = request.uri().path().ends_with("/alertgroups");
            let none = json!({"metadata": {"resourceVersion": "1"}, "items": []}).to_string();
            let (code, text) = if is_list { (200, none) } else { (404, text.clone()) };
            async move { Ok::<_, BoxError>(Response::builder().status(code).body(Body::from(text.into_bytes()))?) }
        });
        let groups = AlertGroups::new(Objects::new(Client::new(server, "default"), "test"), 1 << 20);
        groups.insert(&mk_group("a", 1, json!({})));
        let name = NamespacedName::new("team", "a");
        let read = groups.read(&name).await;
        assert_eq!(read.is_ok(), expected.is_none());
        let found = groups.current("team", "A").await.ok().map(|group| group.state().as_str());
        assert_eq!(found, expected);
        assert_eq!(groups.insert(&mk_group("a", 1, json!({}))).is_some(), expected.is_some());
    }
}

#[tokio::test]
async fn alerts_are_newest_first_and_of_the_alert_group_that_is_asked_for() {
    let groups = mk_groups(&Value::Null);
    let last = |name: &str, uid: &str, second: u32| {
        let time = format!("2026-01-01T00:00:{second:02}Z");
        let transitions = json!([{
            "verdict": "Opened", "eventRef": {"name": "e", "uid": format!("first-{name}")}, "time": "2026-01-01T00:00:00Z",
            "version": "1",
        }]);
        let last = json!({"eventRef": {"name": "e", "uid": uid}, "time": time, "version": "2"});
        mk_group(name, 1, json!({"lastAlert": last, "transitions": transitions}))
    };
    groups.insert(&last("a", "last-a", 5));
    groups.insert(&last("b", "last-b", 7));
    let id = id::alert_id;
    let found = |query: &str| {
        let filter = AlertFilter::read(&QueryParams::new(query));
        let (count, alerts) = groups.alerts("team", &filter, |count| 0..count.min(2));
        let alerts = alerts.iter().map(|(group, alert)| (group.id.to_string(), alert.to_string())).collect::<Vec<_>>();
        (count, alerts)
    };
    let alert = |group: &str, uid: &str| (group.to_owned(), id(uid));
    assert_eq!(found(""), (4, vec![alert("B", "last-b"), alert("A", "last-a")]));
    assert_eq!(found("alert_group_id=A"), (2, vec![alert("A", "last-a"), alert("A", "first-a")]));
    assert_eq!(found(&format!("alert_group_id=B&id={}", id("first-b"))), (1, vec![alert("B", "first-b")]));
    assert_eq!(found(&format!("id={}", id("last-a"))), (1, vec![alert("A", "last-a")]));
    assert_eq!(found(&format!("alert_group_id=A&id={}", id("last-b"))), (0, vec![]));
    assert_eq!(found("alert_group_id=C"), (0, vec![]));
}

#[test]
fn a_filter_takes_what_its_parameters_say_and_refuses_what_is_none() {
    let read = |query: &str| AlertGroupFilter::read(&QueryParams::new(query)).map_err(|error| error.body);
    let group = mk_group("a", 1, json!({"silenced": mk_act(), "labels": {"env": "prod", "severity": "high"}}));
    let (group, _) = ListedAlertGroup::read(&group).unwrap();
    let cases = [
        ("", true),
        ("id=A", true),
        ("id=+A+", true),
        ("id=a", false),
        ("integration_id=CPROD&team_id=SRE", true),
        ("integration_id=CPROD&team_id=null", false),
        ("state=silenced", true),
        ("state=SILENCED", true),
        ("state=new", false),
        ("started_at=2026-01-01T00:00:00_2026-01-01T00:00:00", true),
        ("started_at=2026-1-1T0:0:0_2026-01-01T00:00:01", true),
        ("started_at=2026-01-01T00:00:01_2026-01-01T00:00:02", false),
        ("started_at=", true),
        ("label=a%3Ab", false),
        ("label=env%3Aprod", true),
        ("label=env:prod&label=severity:high", true),
        ("label=env:prod&label=severity:low", false),
        ("label=env:", false),
        ("label=a&label=", true),
        ("route_id=R1", false),
        ("anything=else", true),
    ];
    for (query, expected) in cases {
        assert_eq!(read(query).map(|filter| filter.passes(&group, || Some("SRE"))), Ok(expected), "{query}");
    }
    let ranges = [
        "2026",
        "_",
        "2026-01-01T00:00:00_",
        "2026-01-01T00:00:00Z_2026-01-02T00:00:00Z",
        "2026-01-02T00:00:00_2026-01-01T00:00:00",
        "2026-01-01T00:00:00_2026-01-01T00:00:00_2026-01-01T00:00:00",
        "2026-13-01T00:00:00_2027-01-01T00:00:00",
    ];
    for range in ranges {
        assert_eq!(read(&format!("started_at={range}")), Err(json!({"detail": "Invalid range value"})), "{range}");
    }
    let words = "Must be one of the following: new, acknowledged, resolved, silenced";
    for state in ["firing", "open", "new,resolved"] {
        assert_eq!(read(&format!("state={state}")), Err(json!({ "state": words })), "{state}");
    }
}

#[test]
fn actions_are_refused_in_oncalls_words_and_order() {
    use Action::{Acknowledge, Resolve, Silence, Unacknowledge, Unresolve, Unsilence};
    // Acknowledged, resolved, silenced.
    let group = |flags: [bool; 3]| {
        let fields = ["acknowledged", "resolved", "silenced"].into_iter().zip(flags).filter(|(_, is_so)| *is_so);
        mk_listed(&fields.map(|(field, _)| field).collect::<Vec<_>>())
    };
    let (no, yes) = (false, true);
    let cases = [
        (Acknowledge, [no, no, no], None),
        (Acknowledge, [no, no, yes], None),
        (Acknowledge, [yes, yes, no], Some("acknowledge an acknowledged")),
        (Acknowledge, [no, yes, no], Some("acknowledge a resolved")),
        (Unacknowledge, [yes, no, no], None),
        (Unacknowledge, [no, yes, no], Some("unacknowledge an unacknowledged")),
        (Unacknowledge, [yes, yes, no], Some("unacknowledge a resolved")),
        (Resolve, [yes, no, no], None),
        (Resolve, [no, yes, no], Some("resolve a resolved")),
        (Unresolve, [yes, yes, no], None),
        (Unresolve, [yes, no, no], Some("unresolve an unresolved")),
        (Silence, [no, no, yes], None),
        (Silence, [yes, yes, no], Some("silence a resolved")),
        (Silence, [yes, no, no], Some("silence an acknowledged")),
        (Unsilence, [no, no, yes], None),
        (Unsilence, [no, yes, no], Some("unsilence an unsilenced")),
        (Unsilence, [yes, yes, yes], Some("unsilence a resolved")),
        (Unsilence, [yes, no, yes], Some("unsilence an acknowledged")),
    ];
    for (action, flags, expected) in cases {
        let expected = expected.map(|what| format!("Can't {what} alert group"));
        assert_eq!(action.refusal(&group(flags)), expected, "{action:?} {flags:?}");
    }
}

#[test]
fn what_is_wiped_is_not_wiped_again_and_stays_resolved_though_nothing_is_refused() {
    use Action::{Acknowledge, Resolve, Silence, Unacknowledge, Unresolve, Unsilence, Wipe};
    // Whether it is refused, and whether nothing comes of it.
    let found = |action: Action, fields: &[&str]| {
        let group = mk_listed(fields);
        (action.refusal(&group).is_some(), action.is_in_vain(&group))
    };
    for fields in [&[][..], &["acknowledged"], &["resolved"], &["silenced"]] {
        assert_eq!(found(Wipe, fields), (false, false), "{fields:?}");
    }
    for (action, expected) in [
        (Wipe, (false, true)),
        (Unresolve, (false, true)),
        (Resolve, (true, false)),
        (Acknowledge, (true, false)),
        (Unacknowledge, (true, false)),
        (Silence, (true, false)),
        (Unsilence, (true, false)),
    ] {
        assert_eq!(found(action, &["resolved", "wiped"]), expected, "{action:?}");
    }
    assert_eq!(found(Unresolve, &["resolved"]), (false, false));
}

#[test]
fn what_is_wiped_has_no_title_and_its_alerts_are_empty() {
    let shown = |wiped: Value| {
        let payload = if wiped.is_null() { json!({"firstPayload": {"host": "db1"}}) } else { json!({}) };
        let mut group = json!({
            "metadata": {"name": "a", "namespace": "team"}, "spec": {"integrationRef": {"name": "prod"}, "groupingId": "g"},
            "status": {
                "id": "A", "title": "Disk is full", "wiped": wiped, "createdAt": "2026-01-01T00:00:00Z",
                "transitions": [{"eventRef": {"name": "e", "uid": "opened"}}],
                "lastAlert": {"eventRef": {"name": "l", "uid": "last"}, "time": "2026-01-01T00:00:00Z"},
            },
        });
        group["status"].as_object_mut().unwrap().extend(payload.as_object().unwrap().clone());
        let group: StoredAlertGroup = serde_json::from_str(&group.to_string()).unwrap();
        let shown = json!(AlertGroupBody::new(&group, "team", None));
        let first = json!(group.alert(&id::alert_id("opened")).unwrap());
        (shown["title"].clone(), shown["last_alert"]["payload"].clone(), first["payload"].clone())
    };
    let payload = json!({"host": "db1"});
    assert_eq!(shown(Value::Null), (json!("Disk is full"), payload.clone(), payload));
    assert_eq!(shown(mk_act()), (Value::Null, json!({}), json!({})));
}

#[test]
fn a_silence_ends_after_its_delay_or_never() {
    let now: Timestamp = "2026-01-01T00:00:00.000001Z".parse().unwrap();
    let invalid = Err(json!({"detail": "invalid delay value"}));
    for (delay, expected) in [
        (60, Ok(Some("2026-01-01T00:01:00.000001+00:00"))),
        (0, Ok(None)),
        (-1, Ok(None)),
        (-2, invalid.clone()),
        (i64::MIN, invalid.clone()),
        (i64::MAX, invalid.clone()),
        (1 << 40, invalid),
    ] {
        let found = silenced_until(now, delay).map_err(|error| error.body);
        assert_eq!(found, expected.map(|until| until.map(str::to_owned)), "{delay}");
    }
}

#[tokio::test]
async fn a_change_is_done_when_its_event_shows_or_nothing_can_come_of_it_any_more() {
    let created = json!({
        "apiVersion": "oncall.dev/v1alpha1", "kind": "AlertGroupEvent",
        "metadata": {"namespace": "team", "name": "a-silence-x", "uid": "asked"},
        "spec": {"type": "silence", "alertGroupRef": {"name": "a"}},
    });
    let shows = |uids: &[&str], status: Value| {
        let (time, version) = ("2026-01-01T00:00:00Z", "12");
        let transition = |uid: &&str| json!({"verdict": "Silenced", "eventRef": {"name": "e", "uid": uid}, "time": time, "version": version});
        let mut group = json!({"transitions": uids.iter().map(transition).collect::<Vec<_>>()});
        group.as_object_mut().unwrap().extend(status.as_object().unwrap().clone());
        Some(mk_group("a", 1, group))
    };
    let silenced = || json!({"silenced": mk_act()});
    let cases: [(&str, Vec<Option<WatchedAlertGroup>>, bool); 6] = [
        ("nothing is seen", vec![], false),
        ("another event shows", vec![shows(&["other"], silenced())], false),
        ("its event shows", vec![shows(&["other"], silenced()), shows(&["other", "asked"], silenced())], true),
        ("its event shows, and more", vec![shows(&["asked", "later"], json!({}))], true),
        ("others have acknowledged it", vec![shows(&["other"], json!({"acknowledged": mk_act()}))], true),
        ("it is gone", vec![None], true),
    ];
    let caller = Caller { namespace: "team".into(), name: "Secret team/ci".to_owned(), username: "ci".to_owned() };
    for (case, seen, expected) in cases {
        let groups = mk_groups(&Value::Null);
        let mut index = AlertGroupIndex(Arc::clone(&groups));
        index.apply(&mk_group("a", 1, json!({})));
        let changes = AlertGroupChanges::new(objects(&created), Arc::clone(&groups));
        let group = groups.get("team", "A").unwrap();
        let requested = changes.request(Action::Silence, &group, &caller, Some(None)).await.unwrap().unwrap();
        for group in seen {
            match group {
                Some(group) => index.apply(&group),
                None => index.delete(&mk_group("a", 1, json!({}))),
            }
        }
        assert_eq!(requested.done_within(Duration::ZERO).await, expected, "{case}");
    }
}
