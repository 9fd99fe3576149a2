//! Refusals of Kubernetes in OnCall's form; and what the API still does while Kubernetes is away.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use oncall_webhooks::core::response::MASK;
use parking_lot::Mutex;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};

use super::{Team, WEBHOOKS, path, start, start_with};
use crate::harness::{cluster, eventually};

/// Passes connections on to the API server, until it is told not to.
pub(super) struct Line {
    pub(super) address: SocketAddr,
    to: String,
    /// Ends the connections that are open, too.
    open: Arc<Mutex<Option<AbortHandle>>>,
}

impl Line {
    pub(super) async fn new(to: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen on loopback");
        let address = listener.local_addr().expect("an address");
        let line = Self { address, to: to.to_owned(), open: Arc::default() };
        line.serve(listener);
        line
    }

    fn serve(&self, listener: TcpListener) {
        let to = self.to.clone();
        let serving = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let to = to.clone();
                connections.spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(&to).await {
                        // Either end may hang up at any time.
                        let _ = copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
        });
        *self.open.lock() = Some(serving.abort_handle());
    }

    /// A kubeconfig that leads to the API server through this line.
    pub(super) fn kubeconfig(&self, name: &str) -> PathBuf {
        let (cluster, installation) = cluster();
        let kubeconfig = std::fs::read_to_string(&installation.api_kubeconfig).expect("read the kubeconfig");
        let through_line = cluster.processes().dir().join(format!("{name}.kubeconfig"));
        let text = kubeconfig.replace(cluster.api_server_url(), &format!("https://{}", self.address));
        std::fs::write(&through_line, text).expect("write a kubeconfig");
        through_line
    }

    fn cut(&self) {
        self.open.lock().take().expect("a line that is open").abort();
    }

    /// Cuts it so that nobody notices: new connections are taken, and nothing comes of them as long as the listener lives.
    pub(super) async fn stall(&self) -> TcpListener {
        self.cut();
        eventually("the port is free again", || async { TcpListener::bind(self.address).await.ok() }).await
    }

    async fn mend(&self) {
        let listener = eventually("the port is free again", || async { TcpListener::bind(self.address).await.ok() });
        self.serve(listener.await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_api_server_is_away_reads_go_on_and_writes_are_told_to_come_back() {
    let (cluster, _) = tokio::task::spawn_blocking(cluster).await.expect("prepare the cluster");
    let line = Line::new(cluster.api_server_url().trim_start_matches("https://")).await;
    let api = start_with("api-outage", &line.kubeconfig("api-outage"), &[]).await;
    let team = Team::at("outage", api.url()).await;
    let webhook = team.create("before", json!({"password": "s3cret"})).await;

    line.cut();
    let body = json!({"name": "while", "url": "https://example.com", "http_method": "POST", "trigger_type": "resolve"});
    for (method, path, body) in [
        (Method::POST, WEBHOOKS.to_owned(), Some(&body)),
        (Method::PUT, path(&webhook), Some(&body)),
        (Method::DELETE, path(&webhook), None),
    ] {
        let answer = team.call(method.clone(), &path, body).await;
        assert_eq!(answer.status, 503, "{method} {}", answer.body);
        let seconds = answer.header("retry-after").and_then(|seconds| seconds.parse::<u64>().ok());
        assert!(seconds.is_some_and(|seconds| seconds >= 1), "{method} {:?}", answer.headers);
        assert!(answer.json()["detail"].is_string(), "{method} {}", answer.body);
    }
    assert_eq!(team.get(&path(&webhook)).await.both(), (200, webhook.clone()));
    assert_eq!(team.get(WEBHOOKS).await.expect(200)["results"], json!([webhook]));
    assert_eq!(team.http.get(format!("{}/readyz", team.url)).send().await.expect("an answer").status(), 200);

    line.mend().await;
    let created = eventually("writes work again", || async {
        let answer = team.call(Method::POST, WEBHOOKS, Some(&body)).await;
        (answer.status != 503).then_some(answer)
    })
    .await;
    let created = created.expect(201);
    assert_eq!(team.get(WEBHOOKS).await.expect(200)["results"], json!([webhook, created]));
    // The watch has come back too.
    team.kubectl(&["delete", "webhook", "before"]).await;
    eventually("what others delete is gone here", || async {
        (team.get(&path(&webhook)).await.status == 404).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_read_in_the_charset_that_its_content_type_names_or_refused_where_that_is_unknown() {
    let team = Team::new("charset").await;
    let one = path(&team.create("charset", json!({})).await);
    let text = json!({"username": "café €"}).to_string();
    let utf_16 = |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    let marked = [&b"\xff\xfe"[..], &utf_16(u16::to_le_bytes)].concat();
    let latin = b"{\"username\": \"caf\xe9\"}".to_vec();
    let stored = |name: &str| (200, json!(name));
    let refused = |detail: &str| (400, json!(format!("JSON parse error - {detail}")));
    let cases = [
        ("application/json; charset=utf-16", marked, stored("café €")),
        (
            "application/json; charset=utf-16",
            utf_16(u16::to_le_bytes),
            refused("UTF-16 stream does not start with BOM"),
        ),
        ("application/json; charset=utf-16-be", utf_16(u16::to_be_bytes), stored("café €")),
        ("application/json; charset=\"ISO-8859-1\"", latin.clone(), stored("café")),
        ("application/json; charset=latin-1", latin.clone(), stored("café")),
        ("application/json; charset=nonsense", latin, refused("unknown encoding: nonsense")),
    ];
    for (content_type, body, expected) in cases {
        let request = team.http.put(format!("{}{one}", team.url)).header("authorization", &team.token);
        let answer = request.header("content-type", content_type).body(body).send().await.expect("an answer");
        let status = answer.status().as_u16();
        let body: Value = serde_json::from_str(&answer.text().await.expect("a body")).expect("a body of JSON");
        let shown = if status == 200 { &body["username"] } else { &body["detail"] };
        assert_eq!((status, shown.clone()), expected, "{content_type}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_go_to_another_host_only_if_they_are_sent_again_or_the_administrator_wants_it_as_in_oncall() {
    let team = Team::new("carry").await;
    let secrets =
        json!({"password": "s3cret-of-ann", "username": "ann", "authorization_header": "Bearer t0ken-of-ann"});
    let webhook = team.create("carry", secrets).await;
    let one = path(&webhook);
    let message = "The url leads to another scheme, host or port: send this again too, or null to have none.";
    let refused = json!({"password": [message], "authorization_header": [message]});
    for url in
        ["http://example.com", "https://example.com:8443", "https://evil.example/", "https://{{ 'evil.example' }}/"]
    {
        for one in [one.clone(), one.replace("webhooks", "actions")] {
            assert_eq!(team.put(&one, json!({"url": url})).await.both(), (400, refused.clone()), "{one} {url}");
        }
    }
    let masked = json!({"url": "https://evil.example", "password": MASK, "authorization_header": null});
    assert_eq!(team.put(&one, masked).await.both(), (400, json!({"password": [message]})));
    assert_eq!(team.get(&one).await.both(), (200, webhook));
    // The same host takes them along, and another one what was sent for it.
    team.put(&one, json!({"url": "https://example.com/other/{{ alert_group_id }}"})).await.expect(200);
    let moved = json!({"url": "https://new.example", "password": "other-s3cret", "authorization_header": null});
    let moved = team.put(&one, moved).await.expect(200);
    assert_eq!((&moved["password"], &moved["authorization_header"]), (&json!(MASK), &Value::Null));

    let api = start("keep-credentials", &["--keep-credentials-on-url-change"]).await;
    let team = Team::at("keep", api.url()).await;
    let webhook = team.create("keep", json!({"authorization_header": "Bearer t0ken"})).await;
    let moved = team.put(&path(&webhook), json!({"url": "https://new.example"})).await.expect(200);
    assert_eq!(moved["authorization_header"], MASK);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_admission_policy_refuses_is_400_with_its_words() {
    let team = Team::new("policy").await;
    let name = &team.namespace;
    team.apply(&format!(
        "
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: {name}}}
spec:
  matchConstraints:
    resourceRules:
    - {{apiGroups: [oncall.dev], apiVersions: ['*'], operations: [CREATE, UPDATE], resources: [webhooks]}}
  validations:
  - expression: \"object.spec.url.startsWith('https://')\"
    message: webhooks of this team go over HTTPS
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: {name}}}
spec:
  policyName: {name}
  validationActions: [Deny]
  matchResources:
    namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {name}}}}}
"
    ))
    .await;
    let body = json!({"name": "plain", "url": "http://example.com", "http_method": "POST", "trigger_type": "resolve"});
    let refused = eventually("the policy is in force", || async {
        let answer = team.call(Method::POST, WEBHOOKS, Some(&body)).await;
        if answer.status == 201 {
            team.delete(&path(&answer.json())).await.expect(204);
        }
        (answer.status != 201).then_some(answer)
    })
    .await;
    let detail = refused.expect(400)["detail"].as_str().unwrap_or_default().to_owned();
    assert!(detail.contains("webhooks of this team go over HTTPS"), "{detail}");

    let created = team.create("safe", json!({"authorization_header": "Bearer old"})).await;
    let before = team.kubectl(&["get", "secret", "safe-credentials", "-o", "jsonpath={.data}"]).await;
    let change = json!({"url": "http://example.com", "authorization_header": "Bearer new"});
    let refused = team.put(&path(&created), change).await.expect(400);
    let detail = refused["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("webhooks of this team go over HTTPS"), "{detail}");
    assert_eq!(team.get(&path(&created)).await.both(), (200, created));
    // The old receiver must not get the new secret.
    let after = team.kubectl(&["get", "secret", "safe-credentials", "-o", "jsonpath={.data}"]).await;
    assert_eq!(after, before);
    assert_eq!(team.get(&format!("{WEBHOOKS}?name=plain")).await.expect(200)["count"], 0);
}
