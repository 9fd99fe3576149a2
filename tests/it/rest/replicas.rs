//! Two replicas behind one address: what is written through one is what the other answers with next, however late its watches are.

use std::{convert::Infallible, net::SocketAddr, path::PathBuf, sync::Arc};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
    response::Response,
};
use futures::stream;
use oncall_webhooks::resources::AlertGroup;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use support::Api;
use tokio::{net::TcpListener, sync::watch, task::AbortHandle};

use super::{Team, WEBHOOKS, alert_groups, id, path, start, start_with, with};
use crate::harness::{World, cluster, eventually};

const ALERT_GROUPS: &str = "/api/v1/alert_groups/";

/// What passes calls on to the API server.
#[derive(Clone)]
struct Passage {
    to: String,
    http: Client,
    watches: watch::Receiver<bool>,
}

/// A way to the API server, on which watches of Webhooks and AlertGroups can be held up, and nothing else.
struct Gate {
    address: SocketAddr,
    watches: watch::Sender<bool>,
    serving: AbortHandle,
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Gate {
    async fn new() -> Self {
        let (watches, are_open) = watch::channel(true);
        let http = Client::builder().no_proxy().tls_danger_accept_invalid_certs(true).build().expect("make a client");
        let passage = Passage { to: cluster().0.api_server_url().to_owned(), http, watches: are_open };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen on loopback");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().fallback(pass).with_state(Arc::new(passage));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.expect("serve") });
        Self { address, watches, serving: serving.abort_handle() }
    }

    fn close(&self) {
        self.watches.send_replace(false);
    }

    fn open(&self) {
        self.watches.send_replace(true);
    }

    /// A kubeconfig that leads through it.
    fn kubeconfig(&self, name: &str) -> PathBuf {
        let (cluster, installation) = cluster();
        let text = std::fs::read_to_string(&installation.api_kubeconfig).expect("read the kubeconfig");
        let through = cluster.processes().dir().join(format!("{name}.kubeconfig"));
        let text = text.replace(cluster.api_server_url(), &format!("http://{}", self.address));
        std::fs::write(&through, text).expect("write a kubeconfig");
        through
    }
}

async fn pass(State(passage): State<Arc<Passage>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a body");
    let query = parts.uri.query().unwrap_or_default();
    let (of_webhooks, of_groups) =
        (parts.uri.path().ends_with("/webhooks"), parts.uri.path().ends_with("/alertgroups"));
    let is_held_up = query.contains("watch=true") && (of_webhooks || of_groups);
    let mut call = passage.http.request(parts.method, format!("{}{}", passage.to, parts.uri)).body(body);
    for (name, value) in parts.headers.iter().filter(|(name, _)| **name != HOST && **name != CONTENT_LENGTH) {
        call = call.header(name, value);
    }
    let Ok(answer) = call.send().await else {
        return Response::builder().status(502).body(Body::empty()).expect("502");
    };
    let mut passed = Response::builder().status(answer.status());
    for (name, value) in
        answer.headers().iter().filter(|(name, _)| **name != CONTENT_LENGTH && **name != TRANSFER_ENCODING)
    {
        passed = passed.header(name, value);
    }
    let open = passage.watches.clone();
    let pieces = stream::unfold((answer, open), move |(mut answer, mut open)| async move {
        let piece = answer.chunk().await.ok().flatten()?;
        if is_held_up {
            open.wait_for(|is_open| *is_open).await.ok()?;
        }
        Some((Ok::<_, Infallible>(piece), (answer, open)))
    });
    passed.body(Body::from_stream(pieces)).expect("an answer")
}

/// Two replicas, the second of which can be kept from seeing anything new.
struct Replicas {
    first: Api,
    second: Api,
    gate: Gate,
}

impl Replicas {
    async fn new(name: &str) -> Self {
        let first = start(&format!("{name}-first"), &[]).await;
        let gate = Gate::new().await;
        let second = format!("{name}-second");
        let second = start_with(&second, &gate.kubeconfig(&second), &[]).await;
        Self { first, second, gate }
    }

    /// The same team at each of them, which both take its token; from now on the second is behind.
    async fn teams(&self, first: Team) -> (Team, Team) {
        let second = Team {
            place: first.place.clone(),
            http: first.http.clone(),
            url: self.second.url().to_owned(),
            token: first.token.clone(),
        };
        second.accepted(&second.token).await;
        self.gate.close();
        (first, second)
    }
}

async fn named(team: &Team, name: &str) -> Value {
    team.get(&format!("{WEBHOOKS}?name={name}")).await.expect(200)["results"].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_through_every_replica_as_it_was_last_written_through_any() {
    let replicas = Replicas::new("webhooks").await;
    let team = Team::at("two-replicas", replicas.first.url()).await;
    let (first, second) = replicas.teams(team).await;
    let gone = (404, json!({"detail": "Not found."}));

    // The second is behind indeed.
    first.create("unseen", json!({})).await;
    assert_eq!(second.get(WEBHOOKS).await.expect(200)["count"], 0);

    // As Terraform does: created, read by id, found by name.
    let created = first.create("one", json!({})).await;
    let one = path(&created);
    assert_eq!(second.get(&one).await.both(), (200, created.clone()));
    let created = first.create("two", json!({})).await;
    assert_eq!(named(&second, "two").await, json!([created]));

    // Changed, and read; and changed through both in turn, without a loss.
    let renamed = first.put(&one, json!({"name": "renamed", "team": "T1"})).await.expect(200);
    assert_eq!(second.get(&one).await.both(), (200, renamed.clone()));
    assert_eq!((named(&second, "one").await, named(&second, "renamed").await), (json!([]), json!([renamed])));
    let again = first.put(&one, json!({"name": "again"})).await.expect(200);
    assert_eq!((named(&second, "again").await, named(&second, "renamed").await), (json!([again]), json!([])));
    first.put(&one, json!({"username": "ann"})).await.expect(200);
    let both = second.put(&one, json!({"team": "T2"})).await.expect(200);
    assert_eq!(both, with(again.clone(), json!({"username": "ann", "team": "T2"})));
    assert_eq!(first.get(&one).await.both(), (200, both));
    first.put(&one, json!({"team": "T3"})).await.expect(200);
    let back = second.put(&one, json!({"team": "T2"})).await.expect(200);
    assert_eq!(
        first.get(&one).await.expect(200)["team"],
        "T2",
        "what the second had known is no reason to write nothing"
    );
    assert_eq!(back["team"], "T2");

    // A name is taken and free for both.
    let taken = json!({"non_field_errors": ["The fields name, organization must make a unique set."]});
    let body = |name: &str| json!({"name": name, "url": "https://example.com", "http_method": "POST", "trigger_type": "resolve"});
    // Also one that the second was never asked for, and that no object in Kubernetes has its name from; and one that is nowhere else.
    let unasked = first.create("five", json!({})).await;
    let odd = r"Six, = \ (ü)";
    first.put(&path(&unasked), json!({"name": odd})).await.expect(200);
    let spec = json!({"url": "https://example.com", "triggerType": "resolve"});
    let unnamed =
        json!({"apiVersion": "oncall.dev/v1alpha1", "kind": "Webhook", "metadata": {"name": "seven"}, "spec": spec});
    first.place.apply(&unnamed.to_string()).await;
    for name in [odd, "seven", "again"] {
        assert_eq!(second.call(Method::POST, WEBHOOKS, Some(&body(name))).await.both(), (400, taken.clone()), "{name}");
    }
    assert_eq!(second.put(&one, json!({"name": odd})).await.both(), (400, taken));
    first.place.kubectl(&["delete", "webhook", "seven"]).await;
    let seven = second.create("seven", json!({})).await;
    first.delete(&path(&seven)).await.expect(204);
    first.delete(&path(&unasked)).await.expect(204);
    first.delete(&one).await.expect(204);
    assert_eq!(second.get(&one).await.both(), gone);
    let replaced = first.create("three", json!({})).await;
    second.get(&path(&replaced)).await.expect(200);
    first.delete(&path(&replaced)).await.expect(204);
    let replacement = second.create("three", json!({})).await;
    assert_eq!(first.get(&path(&replacement)).await.both(), (200, replacement.clone()));
    second.delete(&path(&replacement)).await.expect(204);
    assert_eq!(first.get(&path(&replacement)).await.both(), gone);
    for deletion in [Method::DELETE, Method::PUT] {
        assert_eq!(second.call(deletion, &one, Some(&json!({}))).await.both(), gone);
    }

    replicas.gate.open();
    eventually("the second sees what it has not asked for", || async {
        let list = second.get(&format!("{WEBHOOKS}?perpage=100")).await.expect(200);
        let names: Vec<_> = list["results"].as_array().expect("a page").iter().map(|one| one["name"].clone()).collect();
        (names == ["unseen", "two"]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_group_is_through_every_replica_as_the_operator_last_wrote_it() {
    let (world, replicas) = (World::new("two-replicas-ag").await, Replicas::new("groups").await);
    let at_first = Team::within((*world).clone(), replicas.first.url()).await;
    let (first, second) = replicas.teams(at_first).await;
    let group: AlertGroup = alert_groups::opened(&first, "prod", "Disk is full").await;
    let shown = first.get(ALERT_GROUPS).await.expect(200)["results"][0].take();
    let one = format!("{ALERT_GROUPS}{}/", id(&shown));
    assert_eq!(id(&shown), group.status.expect("a status").id);
    assert_eq!(second.get(ALERT_GROUPS).await.expect(200)["count"], 0, "the second is behind indeed");
    assert_eq!(second.get(&one).await.both(), (200, shown));

    let act = async |team: &Team, action: &str| team.call(Method::POST, &format!("{one}{action}/"), None).await;
    act(&first, "acknowledge").await.expect(200);
    assert_eq!(second.get(&one).await.expect(200)["state"], "acknowledged");
    let refused = json!({"detail": "Can't acknowledge an acknowledged alert group"});
    assert_eq!(act(&second, "acknowledge").await.both(), (400, refused));
    act(&first, "resolve").await.expect(200);
    assert_eq!(second.get(&one).await.expect(200)["state"], "resolved");
    first.call(Method::DELETE, &one, Some(&json!({"mode": "delete"}))).await.expect(204);
    assert_eq!(second.get(&one).await.status, 404);
    assert_eq!(second.get(&format!("{ALERT_GROUPS}I%2Cx/")).await.status, 404, "no selector is made of it");
}
