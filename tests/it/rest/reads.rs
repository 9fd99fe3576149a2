//! Reads come from a cache, and yet show what was just written.

use futures::future::join_all;
use reqwest::Method;
use serde_json::json;

use super::{Team, WEBHOOKS, path, with};

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
