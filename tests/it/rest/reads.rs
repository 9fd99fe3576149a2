//! Reads come from a cache, and yet show what was just written.

use std::collections::BTreeSet;

use futures::{StreamExt, future::join_all, stream};
use kube::api::PostParams;
use oncall_webhooks::resources::Webhook;
use reqwest::{Method, header::AUTHORIZATION};
use serde_json::json;
use support::output;

use super::{Team, WEBHOOKS, id, path, start_with, with};
use crate::harness::{TestNamespace, cluster, eventually};

/// Lets the API server count the calls of ServiceAccount `counted` alone: it counts them by flow schema, not by user.
const COUNTED: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: counted}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: NAMESPACE}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: oncall-webhooks-api}
subjects: [{kind: ServiceAccount, name: counted, namespace: NAMESPACE}]
---
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: FlowSchema
metadata: {name: NAMESPACE}
spec:
  matchingPrecedence: 100
  priorityLevelConfiguration: {name: workload-high}
  rules:
  - subjects: [{kind: ServiceAccount, serviceAccount: {name: counted, namespace: NAMESPACE}}]
    resourceRules: [{verbs: ['*'], apiGroups: ['*'], resources: ['*'], clusterScope: true, namespaces: ['*']}]
    nonResourceRules: [{verbs: ['*'], nonResourceURLs: ['*']}]
";

/// How many calls of a flow schema the API server has let through, of any kind.
async fn calls(place: &TestNamespace) -> u64 {
    let metrics = place.kubectl(&["get", "--raw=/metrics"]).await;
    let schema = &place.namespace;
    let wanted = format!("apiserver_flowcontrol_dispatched_requests_total{{flow_schema=\"{schema}\"");
    let counts = metrics.lines().filter_map(|line| line.strip_prefix(&wanted)?.rsplit(' ').next());
    counts.map(|count| count.parse::<f64>().expect("a count") as u64).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_lists_of_a_thousand_webhooks_make_no_call_to_the_api_server_and_a_read_of_one_makes_one() {
    let place = TestNamespace::new("counted").await;
    place.apply(&COUNTED.replace("NAMESPACE", &place.namespace)).await;
    let kubeconfig = cluster().0.service_account_kubeconfig(&place.namespace, "counted").expect("make a kubeconfig");
    eventually("calls are counted", || async {
        let mut kubectl = cluster().0.kubectl();
        kubectl.arg("--kubeconfig").arg(&kubeconfig).args(["get", "webhooks", "--all-namespaces"]);
        tokio::task::spawn_blocking(move || output(&mut kubectl)).await.expect("run kubectl").ok()?;
        (calls(&place).await > 0).then_some(())
    })
    .await;
    let api = start_with("api-counted", &kubeconfig, &["--calls-per-minute=100000"]).await;
    let team = Team::at("thousand", api.url()).await;
    let webhooks = team.api::<Webhook>();
    stream::iter(0..1000)
        .for_each_concurrent(32, |number| {
            let spec = json!({"triggerType": "resolve", "url": "https://example.com"});
            let spec = serde_json::from_value(spec).expect("a webhook's spec");
            let (webhooks, webhook) = (&webhooks, Webhook::new(&format!("webhook-{number}"), spec));
            async move { drop(webhooks.create(&PostParams::default(), &webhook).await.expect("create Webhook")) }
        })
        .await;
    eventually("all are listed", || async { (team.get(WEBHOOKS).await.expect(200)["count"] == 1000).then_some(()) })
        .await;
    let paths: Vec<_> = (1..=100).map(|page| format!("{WEBHOOKS}?page={page}&perpage=10")).collect();
    let pages = join_all(paths.iter().map(|path| team.get(path))).await;
    let shown: Vec<_> = pages.iter().map(|page| page.expect(200)["results"].take()).collect();
    let ids: BTreeSet<_> = shown.iter().flat_map(|page| page.as_array().expect("results")).map(id).collect();
    assert_eq!(ids.len(), 1000);

    let before = calls(&place).await;
    stream::iter(0..10_000)
        .for_each_concurrent(8, |number| {
            let (team, path, expected) = (&team, &paths[number % 100], &pages[number % 100]);
            async move {
                let request = team.http.get(format!("{}{path}", team.url)).header(AUTHORIZATION, &team.token);
                let body = request.send().await.expect("an answer").bytes().await.expect("a body");
                assert_eq!(body, expected.body);
            }
        })
        .await;
    assert_eq!(calls(&place).await - before, 0);
    // It would have been noticed: some pages of metadata tell that the name is free, and one call creates the webhook.
    let one = team.create("one more", json!({})).await;
    let after = calls(&place).await;
    assert!((2..=8).contains(&(after - before)), "{before} and {after}");
    // Of one webhook the API server is asked whether it has changed, and no more than that.
    for _ in 0..10 {
        assert_eq!(team.get(&path(&one)).await.both(), (200, one.clone()));
        assert_eq!(team.get(&format!("{WEBHOOKS}?name=one+more")).await.expect(200)["results"], json!([one]));
    }
    assert_eq!(calls(&place).await - after, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_created_is_there_for_the_next_call() {
    let team = Team::new("own-writes").await;
    let names: Vec<String> = (0..50).map(|number| format!("number {number}")).collect();
    join_all(names.iter().map(|name| async {
        let created = team.create(name, json!({})).await;
        assert_eq!(team.get(&path(&created)).await.both(), (200, created.clone()));
        let listed = team.get(&format!("{WEBHOOKS}?name={}", name.replace(' ', "%20"))).await.expect(200);
        assert_eq!(listed["results"], json!([created]));
    }))
    .await;
    assert_eq!(team.get(&format!("{WEBHOOKS}?perpage=100")).await.expect(200)["count"], 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_or_deleted_is_so_for_the_next_call() {
    let team = Team::new("own-changes").await;
    join_all((0..20).map(|number| {
        let team = &team;
        async move {
            let created = team.create(&format!("before-{number}"), json!({})).await;
            let one = path(&created);
            let (before, after) =
                (format!("{WEBHOOKS}?name=before-{number}"), format!("{WEBHOOKS}?name=after-{number}"));
            let renamed = team.put(&one, json!({"name": format!("after-{number}")})).await.expect(200);
            assert_eq!(team.get(&before).await.expect(200)["results"], json!([]));
            assert_eq!(team.get(&after).await.expect(200)["results"], json!([renamed]));
            let disabled = team.call(Method::PATCH, &one, Some(&json!({"is_webhook_enabled": false}))).await;
            assert_eq!(team.get(&one).await.both(), disabled.both());
            team.delete(&one).await.expect(204);
            assert_eq!(team.get(&one).await.status, 404);
            assert_eq!(team.get(&after).await.expect(200)["results"], json!([]));
        }
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_change_is_seen_and_never_undone() {
    let team = Team::new("others").await;
    let created = team.create("one", json!({})).await;
    let one = path(&created);
    for number in 0..10 {
        let patch = json!({"spec": {"team": format!("T{number}")}}).to_string();
        team.kubectl(&["patch", "webhook", "one", "--type=merge", "--patch", &patch]).await;
        // Perhaps before the watch has told of it.
        let changed = team.put(&one, json!({"username": format!("u{number}")})).await.expect(200);
        let expected = with(created.clone(), json!({"team": format!("T{number}"), "username": format!("u{number}")}));
        assert_eq!(changed, expected);
        assert_eq!(team.get(&one).await.both(), (200, expected));
    }
    team.kubectl(&["delete", "webhook", "one"]).await;
    let gone = (404, json!({"detail": "Not found."}));
    assert_eq!(team.put(&one, json!({"username": "late"})).await.both(), gone);
    assert_eq!(team.get(&one).await.both(), gone);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_create_the_same_name_at_once_one_succeeds() {
    let team = Team::new("race").await;
    let body = json!({"name": "one", "url": "https://example.com", "http_method": "POST", "trigger_type": "resolve"});
    let answers = join_all((0..10).map(|_| team.call(Method::POST, WEBHOOKS, Some(&body)))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    let mut expected = vec![400; 9];
    expected.insert(0, 201);
    assert_eq!(statuses, expected);
    for refused in answers.iter().filter(|answer| answer.status == 400) {
        let taken = json!({"non_field_errors": ["The fields name, organization must make a unique set."]});
        assert_eq!(refused.json(), taken);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_change_the_same_webhook_at_once_none_is_lost() {
    let team = Team::new("conflict").await;
    let created = team.create("shared", json!({})).await;
    let changes = [
        json!({"team": "T1"}),
        json!({"data": "d", "forward_all": false}),
        json!({"headers": "{}"}),
        json!({"trigger_template": "{{ 1 }}"}),
        json!({"username": "ann"}),
        json!({"http_method": "PUT"}),
        json!({"is_webhook_enabled": false}),
        json!({"trigger_type": "silence"}),
    ];
    let one = path(&created);
    let answers = join_all(changes.iter().map(|change| team.put(&one, change.clone()))).await;
    answers.iter().for_each(|answer| drop(answer.expect(200)));
    let expected = changes.into_iter().fold(created, with);
    assert_eq!(team.get(&one).await.expect(200), expected);
}
