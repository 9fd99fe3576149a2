//! Callers that nobody knows: what they cost, and what others have of the API meanwhile.

use std::net::IpAddr;

use base64::Engine as _;
use futures::{StreamExt, future::join_all, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use reqwest::{Client, Method, header::AUTHORIZATION};
use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinSet};

use super::{Team, WEBHOOKS, refusals::Line, start, start_with};
use crate::harness::{cluster, eventually};

/// A client with another address than all else has.
fn other_peer() -> Client {
    let address: IpAddr = "127.0.0.2".parse().expect("an address");
    Client::builder().no_proxy().local_address(address).build().expect("make a client")
}

/// How often the API server was asked about a token so far.
fn token_reviews() -> usize {
    let log = cluster().0.audit_log().expect("an audit log");
    let log = std::fs::read_to_string(log).expect("read the audit log");
    log.lines().filter(|line| line.contains(r#""resource":"tokenreviews""#)).count()
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_made_up_tokens_costs_the_api_server_little_and_callers_elsewhere_nothing() {
    const FLOOD: usize = 400;
    let api = start("api-strangers", &[]).await;
    let team = Team::at("strangers", api.url()).await;
    eventually("the namespace has its ServiceAccount", || async {
        let found = team.api::<k8s_openapi::api::core::v1::ServiceAccount>().get_opt("default").await;
        found.expect("get ServiceAccount")
    })
    .await;
    let good = team.kubectl(&["create", "token", "default"]).await.trim().to_owned();
    let (claims, signature) = good.rsplit_once('.').expect("a JWT");
    let before = token_reviews();

    // What they say of themselves is right, and only the API server knows that their signatures are not.
    let calls: Vec<_> = (0..FLOOD)
        .map(|number| {
            let made_up = format!("{claims}.{number:08}{}", &signature[8..]);
            team.http.get(format!("{}{WEBHOOKS}", team.url)).header(AUTHORIZATION, made_up).send()
        })
        .collect();
    // So many that the peer has connections for all of them.
    let flood = tokio::spawn(stream::iter(calls).buffer_unordered(100).collect::<Vec<_>>());
    // 403, since nothing allows this ServiceAccount to list, and not 429 or 503: the token was looked at.
    let elsewhere = other_peer().get(format!("{}{WEBHOOKS}", team.url)).header(AUTHORIZATION, &good);
    let answer = elsewhere.send().await.expect("an answer");
    let (status, body) = (answer.status().as_u16(), answer.text().await.expect("text"));
    assert_eq!(status, 403, "{body}");
    assert!(body.contains("default may not list webhooks.oncall.dev"), "{body}");
    // A token of a Secret needs nobody's leave, wherever it comes from.
    assert_eq!(team.get(WEBHOOKS).await.status, 200);
    let answers = flood.await.expect("no panic");
    let statuses: Vec<u16> = answers.into_iter().map(|answer| answer.expect("an answer").status().as_u16()).collect();
    assert!(statuses.iter().all(|status| [403, 429, 503].contains(status)), "{statuses:?}");
    assert!(statuses.contains(&429), "{statuses:?}");
    // 30 refusals, four that were on the way, the good one; and what other tests ask meanwhile.
    let asked = token_reviews() - before;
    assert!((1..=60).contains(&asked), "{asked} of {FLOOD}");
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_half_requests_keep_nobody_waiting() {
    let api = start("api-half-requests", &[]).await;
    let team = Team::at("half-requests", api.url()).await;
    let address = api.url().trim_start_matches("http://").to_owned();
    let mut half = Vec::new();
    for _ in 0..700 {
        let mut stream = TcpStream::connect(&address).await.expect("connect");
        // It may have had to make room already.
        let _ = stream.write_all(b"GET /api/v1/webhooks/ HTTP/1.1\r\nhost: api\r\nx: ").await;
        half.push(stream);
    }
    // On a new connection each. Without bounds on a peer these waited until the time for heads was over, which is ten seconds.
    for client in [other_peer(), Client::builder().no_proxy().build().expect("make a client")] {
        let call = client.get(format!("{}{WEBHOOKS}", team.url)).header(AUTHORIZATION, &team.token);
        let answer = tokio::time::timeout(std::time::Duration::from_secs(8), call.send()).await.expect("in time");
        assert_eq!(answer.expect("an answer").status().as_u16(), 200);
    }
    drop(half);
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_http_2_requests_that_wait_for_the_api_server_hold_little_memory() {
    const CONNECTIONS: usize = 40;
    const REQUESTS: usize = 90;
    let (cluster, _) = tokio::task::spawn_blocking(cluster).await.expect("prepare the cluster");
    let line = Line::new(cluster.api_server_url().trim_start_matches("https://")).await;
    let api = start_with("api-held", &line.kubeconfig("api-held"), &[]).await;
    let team = Team::at("held", api.url()).await;
    let peak = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", api.process().pid())).expect("read /proc");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the peak of its memory");
        peak.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") / 1024
    };
    let before = peak();
    // Reviews of tokens take their five seconds now.
    let _stalled = line.stall().await;
    let mut flood = JoinSet::new();
    for connection in 0..CONNECTIONS {
        let client = Client::builder().no_proxy().http2_prior_knowledge().build().expect("make a client");
        let url = format!("{}{WEBHOOKS}", team.url);
        flood.spawn(async move {
            // The connection that all others then take.
            let _ = client.get(&url).send().await;
            let calls = (0..REQUESTS).map(|number| {
                let made_up = made_up(&format!("{connection} {number}"));
                client.get(&url).header(AUTHORIZATION, made_up).header("x-more", "m".repeat(12 * 1024)).send()
            });
            let answers = join_all(calls).await;
            answers.into_iter().flatten().map(|answer| answer.status().as_u16()).collect::<Vec<_>>()
        });
    }
    let call = other_peer().get(format!("{}{WEBHOOKS}", team.url)).header(AUTHORIZATION, &team.token);
    assert_eq!(call.send().await.expect("an answer").status(), 200);
    let statuses = flood.join_all().await.concat();
    assert!(statuses.iter().all(|status| [429, 503].contains(status)), "{statuses:?}");
    assert!(statuses.len() >= CONNECTIONS * REQUESTS / 2, "{} were answered", statuses.len());
    let more = peak() - before;
    // Held as they came, they were 50 MiB of text, and several times as much in memory.
    assert!(more < 48, "{more} MiB more");
}

/// A JWT that could be a ServiceAccount's of any cluster, and is nobody's.
fn made_up(id: &str) -> String {
    let part = |part: serde_json::Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(part.to_string());
    format!("{}.{}.c2ln", part(json!({"alg": "RS256"})), part(json!({"iss": "kubernetes/serviceaccount", "jti": id})))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hash_that_was_copied_captures_no_calls_when_the_secret_is_made_anew() {
    let owner = Team::new("owner").await;
    let thief = Team::new("thief").await;
    let status = async || owner.get(WEBHOOKS).await.status;
    let until = async |what: &str, expected: u16| {
        eventually(what, || async { (status().await == expected).then_some(()) }).await;
    };
    let hash = oncall_token_hash(&owner.token);
    let copy = json!({
        "apiVersion": "v1", "kind": "Secret", "stringData": {"tokenHash": hash},
        "metadata": {"name": "copy", "labels": {"oncall.dev/api-token": "true"}},
    });
    thief.create("theirs", json!({})).await;
    thief.apply(&copy.to_string()).await;
    until("a token in two namespaces opens neither", 403).await;

    // The owner makes the Secret anew: the copy is the older one now.
    let secrets = owner.api::<Secret>();
    secrets.delete("token", &Default::default()).await.expect("delete Secret");
    eventually("it is gone", || async { secrets.get_opt("token").await.expect("get Secret").is_none().then_some(()) })
        .await;
    assert_eq!(status().await, 403, "the copy alone opens nothing either");
    owner.add_token("token", &owner.token, false).await;
    for (team, secret) in [(&owner, "token"), (&thief, "copy")] {
        eventually("an Event says so", || async {
            let of = format!("regarding.name={secret},reason=TokenNotUsable");
            let args = ["get", "events.events.k8s.io", "--field-selector", &of, "-o", "jsonpath={.items[*].note}"];
            let notes = team.kubectl(&args).await;
            let others = if secret == "copy" { &owner.namespace } else { &thief.namespace };
            assert!(!notes.contains(others.as_str()), "{notes}");
            notes.contains("its token stands in a Secret of another namespace too").then_some(())
        })
        .await;
    }
    assert_eq!(status().await, 403);
    thief.api::<Secret>().delete("copy", &Default::default()).await.expect("delete Secret");
    until("the owner's opens again", 200).await;
    assert_eq!(owner.get(WEBHOOKS).await.expect(200)["results"], json!([]), "it is the owner's namespace");
    assert_eq!(owner.call(Method::GET, WEBHOOKS, None).await.status, 200);
    assert_eq!(secrets.get("token").await.expect("get Secret").name_any(), "token");
}

/// The hash of a token as people make it: `sha256:` and the digest in hex.
fn oncall_token_hash(token: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(token).iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}
