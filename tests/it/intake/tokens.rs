//! Which token opens which Integration, and that none is shown.

use oncall_webhooks::resources::Integration;
use reqwest::Method;
use serde_json::json;

use super::{NOT_JSON, OK, Source, answer, events, group, integration, made, path, secret, start};
use crate::harness::{TestNamespace, World, eventually};

const UNKNOWN: (u16, &str) = (403, "Integration key was not found. Permission denied.");

#[tokio::test(flavor = "multi_thread")]
async fn one_token_takes_the_others_place_while_both_are_valid() {
    let place = TestNamespace::new("intake-rotation").await;
    let token = made(&place, "script", "webhook", json!({})).await;
    let source = Source::new().await;
    let (old, new) = (path("webhook", &token), path("webhook", "another-token-of-the-rotation"));
    source.is_known(&old).await;
    place.apply(&secret("script", &format!("{token} another-token-of-the-rotation\n"))).await;
    source.is_known(&new).await;
    assert_eq!(source.post(&old, "{}").await.both(), OK);
    assert_eq!(source.post(&new, "{}").await.both(), OK);
    place.apply(&secret("script", "another-token-of-the-rotation")).await;
    source.answered(&old, "-", UNKNOWN).await;
    assert_eq!(source.post(&new, "{}").await.both(), OK);
    // One that can be guessed is none, and neither is the other one beside it.
    place.apply(&secret("script", "another-token-of-the-rotation short")).await;
    source.answered(&new, "-", UNKNOWN).await;
    place.kubectl(&["delete", "secret", "script"]).await;
    place.apply(&secret("script", &token)).await;
    source.is_known(&old).await;
    place.kubectl(&["label", "secret", "script", "oncall.dev/secret-"]).await;
    source.answered(&old, "-", UNKNOWN).await;
    assert_eq!(events(&place).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_integration_that_the_address_names_takes_its_token_from_the_header() {
    let place = TestNamespace::new("intake-named").await;
    let token = made(&place, "script", "webhook", json!({})).await;
    let other = made(&place, "other", "webhook", json!({})).await;
    let source = Source::new().await;
    source.is_known(&path("webhook", &token)).await;
    source.is_known(&path("webhook", &other)).await;
    let named = format!("/integrations/v1/webhook/namespaces/{}/script", place.namespace);
    let post = async |path: &str, authorization: Option<(&str, &str)>| {
        let mut request = source.request(Method::POST, path).body("{}");
        request = match authorization {
            Some(("basic", token)) => request.basic_auth("anybody", Some(token)),
            Some((_, token)) => request.bearer_auth(token),
            None => request,
        };
        let answer = answer(request).await;
        (answer.status, answer.body)
    };
    let own = |(status, body): (u16, &str)| (status, body.to_owned());
    assert_eq!(post(&named, Some(("bearer", &token))).await, own(OK));
    assert_eq!(post(&format!("{named}/"), Some(("basic", &token))).await, own(OK));
    let elsewhere = format!("/integrations/v1/webhook/namespaces/{}/none/", place.namespace);
    let unknown = eventually("no token is being read", || async {
        let answer = post(&named, None).await;
        (answer.0 != 503).then_some(answer)
    })
    .await;
    assert_eq!(unknown, own(UNKNOWN));
    assert_eq!(post(&named, Some(("bearer", &other))).await, own(UNKNOWN));
    assert_eq!(post(&elsewhere, Some(("bearer", &token))).await, own(UNKNOWN));
    assert_eq!(events(&place).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_two_namespaces_opens_neither_and_the_log_says_so() {
    let (first, second) = (TestNamespace::new("intake-first").await, TestNamespace::new("intake-second").await);
    let api = start("api-intake-shared-token", &[]).await;
    let source = Source::of(&api);
    let token = made(&first, "script", "webhook", json!({})).await;
    let path = path("webhook", &token);
    source.is_known(&path).await;
    second.apply(&secret("copy", &token)).await;
    second.apply(&integration("copy", "webhook", json!({}))).await;
    source.answered(&path, "-", UNKNOWN).await;
    let log = api.process().log();
    for (own, name, other) in [(&first, "script", &second), (&second, "copy", &first)] {
        let line = format!(
            "Integration {}/{name}: Its token is that of an Integration of another namespace too, or was before, so that it \
             opens neither: make another token (the other namespace: {})",
            own.namespace, other.namespace
        );
        assert!(log.contains(&line), "{line}");
    }
    // Where it was first it counts again; elsewhere it never does.
    second.kubectl(&["delete", "integration", "copy"]).await;
    source.is_known(&path).await;
    first.apply(&secret("script", "quite-another-token-of-script")).await;
    source.answered(&path, "-", UNKNOWN).await;
    second.apply(&integration("copy", "webhook", json!({}))).await;
    eventually("it opens nothing where it was copied to", || async {
        let told = api.process().log().matches(&format!("Integration {}/copy", second.namespace)).count();
        (told == 2).then_some(())
    })
    .await;
    source.answered(&path, "-", UNKNOWN).await;
    assert!(events(&first).await.is_empty() && events(&second).await.is_empty());
    assert!(!api.process().log().contains(&token));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_is_shown_anywhere() {
    let world = World::new("intake-secret").await;
    let api = start("api-intake-secret", &[]).await;
    let source = Source::of(&api);
    let token = made(&world, "prometheus", "alertmanager", json!({})).await;
    let good = path("alertmanager", &token);
    source.is_known(&good).await;
    assert_eq!(source.post(&good, &group("firing").to_string()).await.both(), OK);
    let wrong = [
        format!("/integrations/v1/alertmanager/{token}/more/"),
        format!("/integrations/v1/webhook/{token}/heartbeat/"),
        format!("/integrations/v1/{token}"),
        format!("/integrations/v1/{token}/alertmanager/"),
        format!("/oncall/integrations/v1/alertmanager/{token}/"),
        format!("/api/v1/integrations/v1/alertmanager/{token}/"),
        format!("/{token}"),
        format!("/integrations/v1/webhook/{token}/?token={token}"),
    ];
    for path in &wrong {
        let answer = source.judged(path, "{}").await;
        assert!(matches!(answer.status, 400 | 403 | 404), "{path}: {answer:?}");
        assert!(!answer.body.contains(&token), "{answer:?}");
    }
    assert_eq!(answer(source.request(Method::GET, &good)).await.status, 405);
    assert_eq!(source.post(&format!("{good}heartbeat/"), "").await.status, 200);
    let named = format!("/integrations/v1/alertmanager/namespaces/{}/prometheus/", world.namespace);
    let sent = answer(source.request(Method::POST, &named).bearer_auth(&token).body("-")).await;
    assert_eq!(sent.both(), (400, NOT_JSON));
    world
        .objects_that(
            "the alert is folded",
            |groups: &std::collections::BTreeMap<_, oncall_webhooks::resources::AlertGroup>| {
                (!groups.is_empty()).then_some(())
            },
        )
        .await;
    let log = api.process().log();
    let everything = format!("{}{log}", world.everything().await);
    let kinds = world.kubectl(&["get", "integrations,alertgroups,agev", "-o", "yaml"]).await;
    assert!(!everything.contains(&token) && !kinds.contains(&token));
    let calls = api.process().events("call");
    let paths: Vec<_> = calls.iter().filter_map(|call| call["path"].as_str()).collect();
    assert!(paths.contains(&"/integrations/v1/alertmanager/{token}/") && paths.contains(&named.as_str()), "{paths:?}");
    let callers = calls.iter().filter(|call| call["caller"] == format!("Integration {}/prometheus", world.namespace));
    assert!(callers.count() >= 3, "{calls:?}");
}

/// Waits until an Integration is ready or not for this reason.
async fn ready(world: &World, name: &str, reason: &str, message: &str) {
    let condition = |integration: Option<&Integration>| {
        let conditions = &integration?.status.as_ref()?.conditions;
        conditions.iter().find(|condition| condition.type_ == "Ready" && condition.reason == reason).cloned()
    };
    let found = world.object_that(&format!("{name} is {reason}"), name, condition).await;
    assert!(found.message.contains(message), "{}", found.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_integration_says_what_is_wrong_with_its_token() {
    let world = World::new("intake-status").await;
    world.apply(&integration("script", "webhook", json!({}))).await;
    ready(&world, "script", "SecretNotFound", "spec.tokenSecretRef: Secret 'script' does not exist or lacks the label")
        .await;
    world.apply(&secret("script", "short")).await;
    ready(&world, "script", "SecretInvalid", "A token has fewer than 20 characters").await;
    world.apply(&secret("script", "a-token-for-two-integrations")).await;
    ready(&world, "script", "Valid", "Takes alerts").await;
    world.apply(&secret("other", "a-token-for-two-integrations")).await;
    world.apply(&integration("other", "webhook", json!({}))).await;
    ready(&world, "script", "TokenShared", "Integration other has the same token").await;
    ready(&world, "other", "TokenShared", "Integration script has the same token").await;
    world.kubectl(&["delete", "integration", "other"]).await;
    ready(&world, "script", "Valid", "Takes alerts").await;
    assert!(!world.everything().await.contains("a-token-for-two-integrations"));
}
