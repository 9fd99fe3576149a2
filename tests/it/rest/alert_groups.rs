//! Alert groups: what lists and filters show of them, and what people do with them, with the operator at work.

use std::collections::BTreeMap;

use kube::{
    ResourceExt,
    api::{ObjectMeta, PostParams},
};
use oncall_webhooks::{
    core::alert_groups::AlertGroupState,
    resources::{AlertGroup, AlertGroupEvent, EventPhase, Integration},
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Answer, Team, shared};
use crate::harness::{World, cluster, eventually};

const ALERT_GROUPS: &str = "/api/v1/alert_groups/";
const ACTIONS: [&str; 6] = ["acknowledge", "unacknowledge", "resolve", "unresolve", "silence", "unsilence"];

/// A namespace with an operator, and a team that works in it.
pub(super) async fn team(name: &str) -> (World, Team) {
    let world = World::new(name).await;
    let team = Team::within((*world).clone(), shared().await.url()).await;
    (world, team)
}

/// Waits until the operator has seen an integration: alert groups that are opened from then on have its labels.
pub(super) async fn seen(team: &Team, integration: &str) {
    team.object_that("the operator has seen it", integration, |found: Option<&Integration>| {
        found?.status.as_ref()?.id.as_ref().map(|_| ())
    })
    .await;
}

/// Has an integration receive an alert that opens an alert group, and returns that when the API shows it.
pub(super) async fn opened(team: &Team, integration: &str, title: &str) -> AlertGroup {
    alert(team, integration, title, json!({"title": title})).await;
    let found = team.objects_that("the alert group is opened", |groups: &BTreeMap<String, AlertGroup>| {
        groups.values().find(|group| group.status.as_ref().is_some_and(|status| status.title == title)).cloned()
    });
    let group = found.await;
    let path = path(&group);
    eventually("the API shows it", || async { (team.get(&path).await.status == 200).then_some(()) }).await;
    group
}

/// Has an integration receive an alert; the title is the grouping id too.
pub(super) async fn alert(team: &Team, integration: &str, title: &str, payload: Value) {
    event(
        team,
        json!({"alert": {"integrationRef": {"name": integration}, "groupingId": title, "title": title, "payload": payload}}),
    )
    .await;
}

async fn event(team: &Team, spec: Value) -> AlertGroupEvent {
    let metadata = ObjectMeta { generate_name: Some("alert-".to_owned()), ..ObjectMeta::default() };
    let spec = serde_json::from_value(spec).expect("a spec");
    let event = AlertGroupEvent { metadata, spec, status: None };
    team.api().create(&PostParams::default(), &event).await.expect("create AlertGroupEvent")
}

fn id(group: &AlertGroup) -> &str {
    &group.status.as_ref().expect("a status").id
}

pub(super) fn path(group: &AlertGroup) -> String {
    format!("{ALERT_GROUPS}{}/", id(group))
}

/// Does something to an alert group; a silence needs a body.
pub(super) async fn act(team: &Team, group: &AlertGroup, action: &str) -> Answer {
    let body = (action == "silence").then(|| json!({"delay": 3600}));
    team.call(Method::POST, &format!("{}{action}/", path(group)), body.as_ref()).await
}

async fn state(team: &Team, group: &AlertGroup) -> Value {
    team.get(&path(group)).await.expect(200)["state"].clone()
}

fn detail(detail: &str) -> (u16, Value) {
    (400, json!({ "detail": detail }))
}

/// The ids that a list with this query shows, and how many there are in all.
async fn listed(team: &Team, query: &str) -> (Vec<String>, u64) {
    let page = team.get(&format!("{ALERT_GROUPS}{query}")).await.expect(200);
    let ids = page["results"].as_array().expect("a page").iter().map(|group| super::id(group).to_owned());
    (ids.collect(), page["count"].as_u64().expect("a count"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_group_is_shown_with_oncalls_fields_and_its_last_alert() {
    let (_world, team) = team("ag-shown").await;
    team.apply(
        "{apiVersion: oncall.dev/v1alpha1, kind: Integration, metadata: {name: prod},
          spec: {type: webhook, team: SRE, labels: {severity: high, env: prod}}}",
    )
    .await;
    seen(&team, "prod").await;
    let group = opened(&team, "prod", "Disk is full").await;
    let status = group.status.as_ref().expect("a status");
    let time = status.created_at.expect("a time").to_string();
    let label =
        |key: &str, value: &str| json!({"key": {"id": key, "name": key}, "value": {"id": value, "name": value}});
    let labels = [label("env", "prod"), label("severity", "high")];
    let mut expected = json!({
        "id": status.id,
        "integration_id": oncall_webhooks::core::id::integration_id(&team.namespace, "prod"),
        "team_id": "SRE", "route_id": null, "alerts_count": 1, "state": "firing", "created_at": time,
        "resolved_at": null, "resolved_by": null, "acknowledged_at": null, "acknowledged_by": null, "labels": labels,
        "title": "Disk is full", "permalinks": {"slack": null, "slack_app": null, "telegram": null, "web": null},
        "silenced_at": null,
        "last_alert": {
            "id": null, "alert_group_id": status.id, "created_at": time, "payload": {"title": "Disk is full"},
        },
    });
    let without_alert_id = |mut shown: Value| {
        assert!(shown["last_alert"]["id"].as_str().is_some_and(|id| id.starts_with('A') && id.len() == 16));
        shown["last_alert"]["id"] = Value::Null;
        shown
    };
    let shown = without_alert_id(team.get(&path(&group)).await.expect(200));
    assert_eq!(shown.to_string(), expected.to_string(), "also in their order");
    let list = team.get(ALERT_GROUPS).await.expect(200);
    let first = list["results"][0].clone();
    let page = json!({
        "count": 1, "next": null, "previous": null, "results": [first], "page_size": 50,
        "current_page_number": 1, "total_pages": 1,
    });
    assert_eq!(list.to_string(), page.to_string());
    assert_eq!(without_alert_id(first), expected);

    // Another alert joins.
    alert(&team, "prod", "Disk is full", json!({"n": 2, "a": [{}]})).await;
    let joined = eventually("the alert has joined", || async {
        let shown = team.get(&path(&group)).await.expect(200);
        (shown["alerts_count"] == 2).then_some(shown)
    });
    let joined = without_alert_id(joined.await);
    expected["alerts_count"] = 2.into();
    expected["last_alert"]["payload"] = json!({"n": 2, "a": [{}]});
    expected["last_alert"]["created_at"] = joined["last_alert"]["created_at"].clone();
    assert_eq!(joined, expected);
    assert_eq!(
        team.get(&format!("{ALERT_GROUPS}INOTHINGLIKETHIS/")).await.both(),
        (404, json!({"detail": "Not found."}))
    );
}

/// An action, the state after it, and the actions that are refused then, with the answers.
type Step<'a> = (&'a str, &'a str, &'a [(&'a str, (u16, Value))]);

#[tokio::test(flavor = "multi_thread")]
async fn every_action_shows_at_once_and_is_refused_where_oncall_refuses_it() {
    let (_world, team) = team("ag-actions").await;
    let group = opened(&team, "prod", "one").await;
    let cant = |what: &str| detail(&format!("Can't {what} alert group"));
    let resolved = [
        ("acknowledge", cant("acknowledge a resolved")),
        ("unacknowledge", cant("unacknowledge an unacknowledged")),
        ("resolve", cant("resolve a resolved")),
        ("silence", cant("silence a resolved")),
        ("unsilence", cant("unsilence an unsilenced")),
    ];
    let acknowledged = [
        ("acknowledge", cant("acknowledge an acknowledged")),
        ("unresolve", cant("unresolve an unresolved")),
        ("silence", cant("silence an acknowledged")),
        ("unsilence", cant("unsilence an unsilenced")),
    ];
    let firing = [
        ("unacknowledge", cant("unacknowledge an unacknowledged")),
        ("unresolve", cant("unresolve an unresolved")),
        ("unsilence", cant("unsilence an unsilenced")),
    ];
    let silenced =
        [("unacknowledge", cant("unacknowledge an unacknowledged")), ("unresolve", cant("unresolve an unresolved"))];
    let acknowledged_and_resolved = [
        ("acknowledge", cant("acknowledge an acknowledged")),
        ("unacknowledge", cant("unacknowledge a resolved")),
        ("silence", cant("silence a resolved")),
    ];
    let steps: [Step<'_>; 9] = [
        ("acknowledge", "acknowledged", &acknowledged),
        ("unacknowledge", "firing", &firing),
        ("silence", "silenced", &silenced),
        ("silence", "silenced", &silenced),
        ("unsilence", "firing", &firing),
        ("resolve", "resolved", &resolved),
        ("unresolve", "firing", &firing),
        ("acknowledge", "acknowledged", &acknowledged),
        ("resolve", "resolved", &acknowledged_and_resolved),
    ];
    for (action, after, refused) in steps {
        let answer = act(&team, &group, action).await;
        assert_eq!((answer.status, &*answer.body, answer.header("content-type")), (200, "", None), "{action}");
        assert_eq!(state(&team, &group).await, after, "{action}");
        for (action, expected) in refused {
            assert_eq!(act(&team, &group, action).await.both(), *expected, "{action} when {after}");
        }
    }
    let shown = team.get(&path(&group)).await.expect(200);
    assert_eq!((&shown["acknowledged_by"], &shown["resolved_by"]), (&json!("token"), &json!("token")));

    // An event each, by the name of the token, and nothing for what was refused.
    let events = team.api::<AlertGroupEvent>().list(&Default::default()).await.expect("list events");
    let asked: Vec<_> = events.into_iter().filter(|event| event.spec.alert_group_ref.is_some()).collect();
    assert_eq!(asked.len(), steps.len());
    for event in &asked {
        let (type_, user) = (event.spec.type_.expect("a type"), event.spec.user.as_ref().expect("a user"));
        let prefix = format!("{}-{}-", group.name_any(), json!(type_).as_str().expect("a word"));
        assert!(event.name_any().starts_with(&prefix), "{}", event.name_any());
        assert_eq!(user.username.as_deref(), Some("token"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_has_a_delay_as_oncall_reads_it() {
    let (_world, team) = team("ag-silence").await;
    let group = opened(&team, "prod", "one").await;
    let path = format!("{}silence/", path(&group));
    let silence = async |body: Value| team.call(Method::POST, &path, Some(&body)).await.both();
    for body in [json!({}), json!({"delay": null}), json!([]), json!("3600")] {
        assert_eq!(silence(body.clone()).await, detail("delay is required"), "{body}");
    }
    for delay in [json!("soon"), json!(-2), json!([1]), json!({}), json!(""), json!(1e300), json!(1_u64 << 60)] {
        assert_eq!(silence(json!({ "delay": delay })).await, detail("invalid delay value"), "{delay}");
    }
    let untyped = team.send(Method::POST, &path, Some(&team.token), Some(("text/plain", "delay=1".to_owned()))).await;
    assert_eq!(untyped.status, 415);
    assert_eq!(state(&team, &group).await, "firing");
    let until = async || {
        let found = team.api::<AlertGroup>().get(&group.name_any()).await.expect("get AlertGroup");
        found.status.expect("a status").silenced_until
    };
    for (delay, forever) in [(json!(-1), true), (json!(" 7_200 "), false), (json!(0), true), (json!(3600.9), false)] {
        let before = jiff::Timestamp::now();
        assert_eq!(silence(json!({ "delay": delay })).await, (200, Value::Null), "{delay}");
        let until = until().await;
        assert_eq!(until.is_none(), forever, "{delay} {until:?}");
        let seconds = until.map(|until| until.duration_since(before).as_secs());
        let expected = if delay.is_string() { 7200..7300 } else { 3600..3700 };
        assert!(seconds.is_none_or(|seconds| expected.contains(&seconds)), "{delay} {seconds:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_newest_first_in_pages_and_filtered_as_oncall_filters_them() {
    let (_world, team) = team("ag-lists").await;
    team.apply(
        "{apiVersion: oncall.dev/v1alpha1, kind: Integration, metadata: {name: prod},
          spec: {type: webhook, team: SRE, id: CINTEGRATIQN1, labels: {env: prod, severity: high}}}
---
{apiVersion: oncall.dev/v1alpha1, kind: Integration, metadata: {name: dev}, spec: {type: webhook, labels: {env: dev}}}",
    )
    .await;
    for integration in ["prod", "dev"] {
        seen(&team, integration).await;
    }
    let mut groups = Vec::new();
    for (integration, title) in [("prod", "a"), ("dev", "b"), ("prod", "c"), ("dev", "d"), ("gone", "e")] {
        groups.push(opened(&team, integration, title).await);
    }
    for (group, action) in [(1, "acknowledge"), (2, "silence"), (3, "resolve")] {
        act(&team, &groups[group], action).await.expect(200);
    }
    let ids = |which: &[usize]| -> (Vec<String>, u64) {
        (which.iter().map(|which| id(&groups[*which]).to_owned()).collect(), which.len() as u64)
    };
    let dev = oncall_webhooks::core::id::integration_id(&team.namespace, "dev");
    let at = |which: usize| {
        let created = groups[which].status.as_ref().expect("a status").created_at.expect("a time");
        created.to_string().trim_end_matches('Z').to_owned()
    };
    let (first, last) = (at(0), at(4));
    let opened: Vec<usize> = (0..5).rev().filter(|which| at(*which) == first).collect();
    for (query, expected) in [
        (String::new(), ids(&[4, 3, 2, 1, 0])),
        ("?state=new".to_owned(), ids(&[4, 0])),
        ("?state=AcKnowledged".to_owned(), ids(&[1])),
        ("?state=silenced".to_owned(), ids(&[2])),
        ("?state=resolved".to_owned(), ids(&[3])),
        ("?state=".to_owned(), ids(&[4, 3, 2, 1, 0])),
        (format!("?id={}", id(&groups[2])), ids(&[2])),
        ("?id=INOTHING".to_owned(), ids(&[])),
        (format!("?integration_id={dev}"), ids(&[3, 1])),
        (format!("?integration_id={dev}&state=resolved"), ids(&[3])),
        ("?integration_id=CNOTHING".to_owned(), ids(&[])),
        ("?team_id=SRE".to_owned(), ids(&[2, 0])),
        ("?team_id=null".to_owned(), ids(&[4, 3, 1])),
        ("?team_id=nobody".to_owned(), ids(&[])),
        ("?route_id=RNOTHING".to_owned(), ids(&[])),
        ("?route_id=".to_owned(), ids(&[4, 3, 2, 1, 0])),
        ("?label=a:b".to_owned(), ids(&[])),
        ("?label=env:prod".to_owned(), ids(&[2, 0])),
        ("?label=env:prod&label=severity%3Ahigh&state=new".to_owned(), ids(&[0])),
        ("?label=env:prod&label=severity:low".to_owned(), ids(&[])),
        ("?label=env:dev&label=x".to_owned(), ids(&[3, 1])),
        ("?label=a&label=a:b:c".to_owned(), ids(&[4, 3, 2, 1, 0])),
        (format!("?started_at={first}_{last}"), ids(&[4, 3, 2, 1, 0])),
        (format!("?started_at={first}_{first}"), ids(&opened)),
        ("?started_at=2020-01-01T00:00:00_2020-01-02T00:00:00".to_owned(), ids(&[])),
    ] {
        assert_eq!(listed(&team, &query).await, expected, "{query}");
    }
    let pages = [("?perpage=2", [4, 3]), ("?perpage=2&page=2", [2, 1])];
    for (query, expected) in pages {
        assert_eq!(listed(&team, query).await, (ids(&expected).0, 5), "{query}");
    }
    let page = team.get(&format!("{ALERT_GROUPS}?perpage=2&page=2&team_id=")).await.expect(200);
    let link = |page: u8| format!("{}{ALERT_GROUPS}?page={page}&perpage=2&team_id=", team.url);
    assert_eq!((&page["next"], &page["total_pages"]), (&json!(link(3)), &json!(3)));

    let states = json!({"state": "Must be one of the following: new, acknowledged, resolved, silenced"});
    assert_eq!(team.get(&format!("{ALERT_GROUPS}?state=firing")).await.both(), (400, states));
    for range in ["2020-01-01", "2020-01-01T00:00:00", "x_y", "2020-01-02T00:00:00_2020-01-01T00:00:00", "a_b_c"] {
        let answer = team.get(&format!("{ALERT_GROUPS}?started_at={range}")).await;
        assert_eq!(answer.both(), detail("Invalid range value"), "{range}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_group_is_deleted_as_the_body_says() {
    let (_world, team) = team("ag-delete").await;
    let (one, other) = (opened(&team, "prod", "one").await, opened(&team, "prod", "other").await);
    let delete = async |body: Option<Value>| team.call(Method::DELETE, &path(&one), body.as_ref()).await.both();
    for body in [None, Some(json!({})), Some(json!({"mode": "wipe"}))] {
        assert_eq!(delete(body.clone()).await, (204, Value::Null), "{body:?}");
        let shown = team.get(&path(&one)).await.expect(200);
        assert_eq!((&shown["state"], &shown["title"]), (&json!("resolved"), &Value::Null), "{body:?}");
    }
    for body in [json!({"mode": "random"}), json!({"mode": 1}), json!({"mode": null})] {
        assert_eq!(delete(Some(body.clone())).await, (400, json!("Invalid mode")), "{body}");
    }
    for body in [json!("delete"), json!(["mode"])] {
        assert_eq!(delete(Some(body.clone())).await, (400, json!("A dict with a `mode` key is expected")), "{body}");
    }
    assert_eq!(delete(Some(json!({"mode": "delete"}))).await, (204, Value::Null));
    assert_eq!(delete(Some(json!({"mode": "delete"}))).await, (404, json!({"detail": "Not found."})));
    for action in ACTIONS {
        assert_eq!(act(&team, &one, action).await.status, 404, "{action}");
    }
    assert_eq!(team.get(&path(&one)).await.status, 404);
    assert_eq!(listed(&team, "").await, (vec![id(&other).to_owned()], 1));
    let left = team.api::<AlertGroup>().list(&Default::default()).await.expect("list AlertGroups");
    assert_eq!(left.items.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_no_operator_makes_in_time_is_stored_and_made_later() {
    let (mut world, team) = team("ag-later").await;
    let group = opened(&team, "prod", "one").await;
    world.kill_operator();
    assert_eq!(act(&team, &group, "acknowledge").await.both(), (200, Value::Null));
    assert_eq!(state(&team, &group).await, "firing");
    world.start_operator().await;
    eventually("it is acknowledged", || async { (state(&team, &group).await == "acknowledged").then_some(()) }).await;
    team.objects_that("the event tells so", |events: &BTreeMap<String, AlertGroupEvent>| {
        let asked = events.values().find(|event| event.spec.alert_group_ref.is_some())?;
        let status = asked.status.as_ref().filter(|status| status.phase == EventPhase::Completed)?;
        (json!(status.verdict) == "Acknowledged").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_account_does_what_rbac_lets_it_do_in_its_own_name() {
    let (_world, team) = team("ag-robots").await;
    let group = opened(&team, "prod", "one").await;
    team.apply(
        "
{apiVersion: v1, kind: ServiceAccount, metadata: {name: robot}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: robot}
rules:
- {apiGroups: [oncall.dev], resources: [alertgroupevents], verbs: [create]}
- {apiGroups: [oncall.dev], resources: [alertgroups], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: robot}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: robot}
subjects: [{kind: ServiceAccount, name: robot}]
",
    )
    .await;
    let user = format!("system:serviceaccount:{}:robot", team.namespace);
    // A refusal is kept for a while, so the API is not asked before the API server knows the role.
    eventually("the role is known", || async {
        let mut can_i = cluster().0.kubectl();
        can_i.args(["auth", "can-i", "create", "alertgroupevents.oncall.dev", "--as", &user]);
        let said = can_i.args(["--namespace", &team.namespace]).output();
        said.is_ok_and(|said| said.status.success()).then_some(())
    })
    .await;
    let token = team.kubectl(&["create", "token", "robot"]).await.trim().to_owned();
    let call = async |method: Method, path: &str| team.send(method, path, Some(&token), None).await;
    let (one, denied) = (path(&group), |what: &str| {
        let why = format!("{user} may not {what} in namespace {}.", team.namespace);
        (403, json!({"detail": format!("You do not have permission to perform this action. {why}")}))
    });
    assert_eq!(call(Method::POST, &format!("{one}acknowledge/")).await.both(), (200, Value::Null));
    let shown = call(Method::GET, &one).await.expect(200);
    assert_eq!((&shown["state"], &shown["acknowledged_by"]), (&json!("acknowledged"), &json!(user)));
    assert_eq!(call(Method::GET, ALERT_GROUPS).await.both(), denied("list alertgroups.oncall.dev"));
    assert_eq!(call(Method::DELETE, &one).await.both(), denied("delete alertgroups.oncall.dev"));
    let integrations = call(Method::GET, "/api/v1/integrations/").await.both();
    assert_eq!(integrations, denied("list integrations.oncall.dev"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_open_the_alert_groups_of_their_namespace_as_far_as_they_may() {
    let (_world, team) = team("ag-tokens").await;
    let others = Team::new("ag-others").await;
    let group = opened(&team, "prod", "one").await;
    let reader = super::random_token();
    team.add_token("reader", &reader, true).await;
    team.accepted(&reader).await;
    let body = || Some(("application/json", json!({"delay": 60, "mode": "delete"}).to_string()));
    let path = path(&group);
    let writes = ACTIONS.map(|action| (Method::POST, format!("{path}{action}/")));
    let writes = writes.into_iter().chain([(Method::DELETE, path.clone())]);
    for (method, path) in writes {
        let refused = team.send(method.clone(), &path, Some(&reader), body()).await.expect(403);
        assert!(refused["detail"].as_str().is_some_and(|why| why.contains("for reading only")), "{path} {refused}");
        let unknown = team.send(method.clone(), &path, Some("oncall_nobody_has_this"), body()).await;
        assert_eq!(unknown.both(), (403, json!({"detail": "Invalid token."})), "{path}");
        let theirs = team.send(method, &path, Some(&others.token), body()).await;
        assert_eq!(theirs.both(), (404, json!({"detail": "Not found."})), "{path}");
    }
    assert_eq!(team.send(Method::GET, &path, Some(&reader), None).await.expect(200)["state"], "firing");
    assert_eq!(others.get(&path).await.status, 404);
    assert_eq!(listed(&others, "").await, (Vec::new(), 0));
    for (method, path, allowed) in [
        (Method::POST, ALERT_GROUPS.to_owned(), "GET, HEAD, OPTIONS"),
        (Method::PUT, path.clone(), "GET, DELETE, HEAD, OPTIONS"),
        (Method::GET, format!("{path}acknowledge/"), "POST, OPTIONS"),
    ] {
        let answer = team.send(method.clone(), &path, Some(&team.token), None).await;
        let detail = format!("Method \"{method}\" not allowed.");
        assert_eq!(answer.both(), (405, json!({ "detail": detail })), "{method} {path}");
        assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
    }
    let states = team.api::<AlertGroup>().list(&Default::default()).await.expect("list AlertGroups");
    let states: Vec<_> = states.into_iter().map(|group| group.status.expect("a status").state).collect();
    assert_eq!(states, [AlertGroupState::Firing]);
}
