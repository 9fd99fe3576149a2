//! Callers of the API: nobody sees or changes what is another's.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Answer, Team, WEBHOOKS, id, path, random_token, start};
use crate::harness::{cluster, eventually};

/// Every route of both forms, for the webhook of this id: whether it writes, method, path and body. The older form has no
/// responses.
fn routes(id: &str) -> Vec<(bool, Method, String, Option<Value>)> {
    let new = json!({"name": "new", "url": "https://example.com", "http_method": "POST", "trigger_type": "resolve"});
    let change = json!({"name": "changed"});
    let mut routes = Vec::new();
    for form in ["webhooks", "actions"] {
        let (list, one) = (format!("/api/v1/{form}/"), format!("/api/v1/{form}/{id}/"));
        for slash in [true, false] {
            let path = |path: &str| if slash { path.to_owned() } else { path.trim_end_matches('/').to_owned() };
            routes.extend([
                (false, Method::GET, path(&list), None),
                (false, Method::HEAD, path(&list), None),
                (true, Method::POST, path(&list), Some(new.clone())),
                (false, Method::GET, path(&one), None),
                (false, Method::HEAD, path(&one), None),
                (true, Method::PUT, path(&one), Some(change.clone())),
                (true, Method::PATCH, path(&one), Some(change.clone())),
                (true, Method::DELETE, path(&one), None),
            ]);
            if form == "webhooks" {
                routes.push((false, Method::GET, path(&format!("{one}responses/")), None));
            }
        }
    }
    routes
}

async fn send(team: &Team, token: Option<&str>, route: &(bool, Method, String, Option<Value>)) -> Answer {
    let (_, method, path, body) = route;
    let body = body.as_ref().map(|body| ("application/json", body.to_string()));
    team.send(method.clone(), path, token, body).await
}

fn detail(method: &Method, detail: &str) -> Value {
    if method == Method::HEAD { Value::Null } else { json!({"detail": detail}) }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_route_opens_without_a_token_of_the_namespace() {
    let ours = Team::new("ours").await;
    let theirs = Team::new("theirs").await;
    let webhook = ours.create("ours", json!({})).await;
    let bearer = format!("Bearer {}", ours.token);
    let longer = format!("{}x", ours.token);
    let shorter = &ours.token[..ours.token.len() - 1];
    let none = [None, Some(""), Some("nope"), Some(&*bearer), Some(&*longer), Some(shorter), Some("a.b.c")];
    for route in routes(id(&webhook)) {
        for token in none {
            let answer = send(&ours, token, &route).await;
            assert_eq!(answer.both(), (403, detail(&route.1, "Invalid token.")), "{token:?} {route:?}");
        }
    }
    assert_eq!(ours.get(&path(&webhook)).await.both(), (200, webhook.clone()));

    // Their token opens their namespace, in which there is no such webhook.
    for route in routes(id(&webhook)).iter().filter(|(_, _, path, _)| path.contains(id(&webhook))) {
        let answer = send(&ours, Some(&theirs.token), route).await;
        assert_eq!(answer.both(), (404, detail(&route.1, "Not found.")), "{route:?}");
    }
    assert_eq!(theirs.get(WEBHOOKS).await.expect(200)["results"], json!([]));
    assert_eq!(theirs.get(&format!("{WEBHOOKS}?name=ours")).await.expect(200)["results"], json!([]));
    // A name is taken in its own namespace only, and never the other's object changed.
    let same = theirs.create("ours", json!({"url": "https://theirs.example"})).await;
    assert_ne!(id(&same), id(&webhook));
    assert_eq!(ours.get(&path(&webhook)).await.both(), (200, webhook));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_token_reads_and_writes_nothing() {
    let team = Team::new("read-only").await;
    let webhook = team.create("one", json!({})).await;
    let token = random_token();
    team.add_token("reader", &token, true).await;
    team.accepted(&token).await;
    for route in routes(id(&webhook)) {
        let answer = send(&team, Some(&token), &route).await;
        if route.0 {
            let refused = answer.expect(403);
            let why = refused["detail"].as_str().unwrap_or_default();
            assert!(why.contains("read-only"), "{route:?} {why}");
        } else {
            assert_eq!(answer.status, 200, "{route:?} {}", answer.body);
        }
    }
    assert_eq!(team.get(WEBHOOKS).await.expect(200)["results"], json!([webhook]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_works_and_ends_at_once_and_others_stay() {
    let team = Team::new("rotation").await;
    let next = random_token();
    let status = async |token: &str| team.send(Method::GET, WEBHOOKS, Some(token), None).await.status;
    // A second is promised; a machine that is busy with other tests gets more.
    let at_once = async |token: &str, expected: u16| {
        let begin = Instant::now();
        while status(token).await != expected {
            assert!(begin.elapsed() < Duration::from_secs(5), "not {expected} at once");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert_eq!(status(&next).await, 403);
    team.add_token("next", &next, false).await;
    at_once(&next, 200).await;
    assert_eq!(status(&team.token).await, 200, "both are good for a while");
    team.api::<Secret>().delete("token", &Default::default()).await.expect("delete Secret");
    at_once(&team.token, 403).await;
    assert_eq!(status(&next).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_token_create_made_is_good() {
    let team = Team::new("made").await;
    let mut create = std::process::Command::new(env!("CARGO_BIN_EXE_oncall-webhooks"));
    create.args(["token", "create", "terraform", "--namespace", &team.namespace]);
    let made = create.env("KUBECONFIG", cluster().0.kubeconfig()).output().expect("run token create");
    let stderr = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{stderr}");
    let token = String::from_utf8(made.stdout).expect("text");
    let token = token.strip_suffix('\n').expect("a line");
    team.accepted(token).await;
    let secret = team.kubectl(&["get", "secret", "terraform", "-o", "yaml"]).await;
    assert!(!secret.contains(token) && !stderr.contains(token), "it is shown once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_account_may_do_what_rbac_lets_it_do() {
    let team = Team::new("robots").await;
    let other = Team::new("no-robots").await;
    let webhook = team.create("one", json!({})).await;
    let elsewhere = other.create("one", json!({})).await;
    team.apply(
        "
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules:
- {apiGroups: [oncall.dev], resources: [webhooks], verbs: [get, list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: reader}]
",
    )
    .await;
    // A refusal is kept for a while, so the API is not asked before the API server knows the role.
    let reader = format!("--as=system:serviceaccount:{}:reader", team.namespace);
    eventually("the role is known", || async {
        let mut can_i = cluster().0.kubectl();
        can_i.args(["auth", "can-i", "list", "webhooks.oncall.dev", &reader, "--namespace", &team.namespace]);
        can_i.output().is_ok_and(|said| said.status.success()).then_some(())
    })
    .await;
    let token = team.kubectl(&["create", "token", "reader"]).await.trim().to_owned();
    for authorization in [token.clone(), format!("Bearer {token}")] {
        for route in routes(id(&webhook)) {
            let answer = send(&team, Some(&authorization), &route).await;
            let may = !route.0 && !route.2.contains("responses");
            assert_eq!(answer.status, if may { 200 } else { 403 }, "{route:?} {}", answer.body);
        }
        let one = team.send(Method::GET, &path(&webhook), Some(&authorization), None).await;
        assert_eq!(one.both(), (200, webhook.clone()));
        let one = team.send(Method::GET, &path(&elsewhere), Some(&authorization), None).await;
        assert_eq!(one.both(), (404, json!({"detail": "Not found."})));
        let asked = team
            .http
            .get(format!("{}{}", team.url, path(&elsewhere)))
            .header("Authorization", &authorization)
            .header("X-OnCall-Namespace", &other.namespace);
        assert_eq!(asked.send().await.expect("an answer").status().as_u16(), 403);
    }
    // Of the last letter of a signature not all bits count.
    let (rest, signature) = token.rsplit_once('.').expect("a JWT");
    let changed = format!("{rest}.{}{}", if signature.starts_with('A') { 'B' } else { 'A' }, &signature[1..]);
    let answer = team.send(Method::GET, WEBHOOKS, Some(&changed), None).await;
    assert_eq!(answer.both(), (403, json!({"detail": "Invalid token."})));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_calls_too_often_waits_and_others_do_not() {
    let api = start("api-rate-limit", &["--calls-per-minute=20"]).await;
    let (team, other) = (Team::at("limited", api.url()).await, Team::at("unlimited", api.url()).await);
    let mut statuses = Vec::new();
    let throttled = loop {
        let answer = team.get(WEBHOOKS).await;
        statuses.push(answer.status);
        if answer.status != 200 || statuses.len() > 20 {
            break answer;
        }
    };
    // One call more was made to see that the token is accepted.
    assert_eq!(statuses.len(), 20, "{statuses:?}");
    assert_eq!(throttled.status, 429);
    let seconds: u64 = throttled.header("retry-after").expect("Retry-After").parse().expect("seconds");
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert_eq!(throttled.header("ratelimit-reset"), throttled.header("retry-after"));
    let said = format!("Request was throttled. Expected available in {seconds} seconds.");
    assert_eq!(throttled.json(), json!({"detail": said}));
    assert_eq!(other.get(WEBHOOKS).await.status, 200);
}
