//! What a namespace has beyond its share of the API's memory is shown all the same.

use reqwest::Method;
use serde_json::json;

use super::{Team, WEBHOOKS, start};

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_beyond_the_share_of_their_namespace_are_shown_and_changed_as_others() {
    let api = start("api-memory", &["--memory-limit=64Mi"]).await;
    let team = Team::at("memory", api.url()).await;
    // As texts they have 135 KB each, and the namespace may have half of 3 MB.
    let data = |letter: &str| letter.repeat(45_000);
    let mut ids = Vec::new();
    for number in 0..20 {
        let created = team.create(&format!("w{number}"), json!({"data": data("x")})).await;
        assert_eq!(created["data"], data("x"));
        ids.push(created["id"].as_str().expect("an id").to_owned());
    }
    let listed = team.get(WEBHOOKS).await.expect(200);
    let shown: Vec<_> = listed["results"].as_array().expect("a page").iter().map(|webhook| &webhook["data"]).collect();
    assert_eq!((shown.len(), &listed["count"]), (20, &json!(20)));
    assert!(shown.iter().all(|shown| **shown == data("x")));

    let last = format!("{WEBHOOKS}{}/", ids[19]);
    assert_eq!(team.get(&last).await.expect(200)["data"], data("x"));
    let changed = team.call(Method::PATCH, &last, Some(&json!({"trigger_template": "1"}))).await.expect(200);
    assert_eq!((&changed["data"], &changed["trigger_template"]), (&json!(data("x")), &json!("1")));
    let webhook = team.object(&ids[19]).await;
    assert_eq!((webhook.spec.data, webhook.spec.trigger_template), (Some(data("x")), Some("1".to_owned())));
    team.delete(&last).await.expect(204);
    assert_eq!(team.get(&last).await.status, 404);
}
