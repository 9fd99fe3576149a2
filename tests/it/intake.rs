//! Alerts that sources send over HTTP, on their whole way: the API, the controller and a real control plane.
//!
//! ```text
//! POST ─► one `oncall-webhooks api` for all ─► AlertGroupEvent ─► the test's operator ─► AlertGroup, and a receiver
//! ```

mod bounds;
mod refusals;
mod tokens;
mod way;

use std::sync::atomic::{AtomicU8, Ordering};

use oncall_webhooks::resources::AlertGroupEvent;
use reqwest::{Client, Method, RequestBuilder, header::HeaderMap};
use serde_json::{Value, json};
use support::Api;
use tokio::sync::OnceCell;

use crate::{
    harness::{TestNamespace, eventually},
    rest,
};

/// The API that all tests of this module share. Each test is another client behind a proxy: whoever guesses tokens is refused.
pub(crate) async fn shared() -> &'static Api {
    static SHARED: OnceCell<Api> = OnceCell::const_new();
    SHARED.get_or_init(|| start("api-intake", &[])).await
}

/// An API of its own, with more arguments.
pub(crate) async fn start(name: &str, more: &[&str]) -> Api {
    let args: Vec<&str> = more.iter().copied().chain(["--trusted-proxies=127.0.0.0/8"]).collect();
    rest::start(name, &args).await
}

/// A source of alerts: a client with an address of its own.
pub(crate) struct Source {
    http: Client,
    url: String,
    address: String,
}

/// An answer: status, body, and headers.
#[derive(Debug)]
struct Answer {
    status: u16,
    body: String,
    headers: HeaderMap,
}

impl Answer {
    fn both(&self) -> (u16, &str) {
        (self.status, &self.body)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("a header of text"))
    }
}

impl Source {
    pub(crate) async fn new() -> Self {
        Self::of(shared().await)
    }

    pub(crate) fn of(api: &Api) -> Self {
        static COUNT: AtomicU8 = AtomicU8::new(1);
        let http = Client::builder().no_proxy().build().expect("make a client");
        let address = format!("192.0.2.{}", COUNT.fetch_add(1, Ordering::Relaxed));
        Self { http, url: api.url().to_owned(), address }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).header("X-Forwarded-For", &self.address)
    }

    /// Sends a body as `curl -d` does.
    async fn post(&self, path: &str, body: &str) -> Answer {
        let request = self.request(Method::POST, path);
        let request = request.header("Content-Type", "application/x-www-form-urlencoded");
        answer(request.body(body.to_owned())).await
    }

    /// Sends a body until it can be said what its token opens: while any Integration's token is being read, whoever else comes with one
    /// that opens nothing is to try again.
    async fn judged(&self, path: &str, body: &str) -> Answer {
        eventually("no token is being read", || async {
            let answer = self.post(path, body).await;
            (answer.status != 503).then_some(answer)
        })
        .await
    }

    /// Sends a body with the token in the header, as an Alertmanager with `credentials` does, until it is taken.
    pub(crate) async fn taken(&self, path: &str, token: &str, body: &str) {
        eventually("it is taken", || async {
            let request = self.request(Method::POST, path).bearer_auth(token).body(body.to_owned());
            (answer(request).await.both() == OK).then_some(())
        })
        .await;
    }

    /// Sends a body, whatever the answer is.
    pub(crate) async fn sends(&self, path: &str, body: &str) -> u16 {
        self.post(path, body).await.status
    }

    /// Waits until a body is answered as it should be, which sources that come again would wait for too.
    pub(crate) async fn answered(&self, path: &str, body: &str, expected: (u16, &str)) {
        eventually("it is answered as it should be", || async {
            (self.post(path, body).await.both() == expected).then_some(())
        })
        .await;
    }

    /// Waits until the API knows the token in a path: what it is sent is no JSON, so that no alert comes of it.
    pub(crate) async fn is_known(&self, path: &str) {
        self.answered(path, "-", (400, NOT_JSON)).await;
    }
}

/// The answer to `-`.
const NOT_JSON: &str = r#"{"detail":"JSON parse error - Expecting value: line 1 column 1 (char 0)"}"#;

/// The answer to what is taken.
const OK: (u16, &str) = (200, r#""Ok.""#);

async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, body: response.text().await.expect("a body of text") }
}

/// The manifest of a Secret with a token.
pub(crate) fn secret(name: &str, token: &str) -> String {
    let labels = json!({"oncall.dev/secret": "true"});
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "labels": labels}, "stringData": {"token": token},
    })
    .to_string()
}

/// The manifest of an Integration of a type, whose token is in the Secret of its name; `more` adds to its spec.
pub(crate) fn integration(name: &str, type_: &str, more: Value) -> String {
    let mut spec = json!({"type": type_, "tokenSecretRef": {"name": name, "key": "token"}});
    let (Value::Object(into), Value::Object(more)) = (&mut spec, more) else { unreachable!("objects") };
    into.extend(more);
    json!({"apiVersion": "oncall.dev/v1alpha1", "kind": "Integration", "metadata": {"name": name}, "spec": spec})
        .to_string()
}

/// Makes an Integration of a type with a token of its own, and returns that.
pub(crate) async fn made(place: &TestNamespace, name: &str, type_: &str, more: Value) -> String {
    let token = format!("source-token-of-{}-{name}", place.namespace);
    place.apply(&secret(name, &token)).await;
    place.apply(&integration(name, type_, more)).await;
    token
}

/// The path of a type, with a token.
pub(crate) fn path(type_: &str, token: &str) -> String {
    format!("/integrations/v1/{type_}/{token}/")
}

/// The events of a namespace, by name.
async fn events(place: &TestNamespace) -> Vec<AlertGroupEvent> {
    place.api::<AlertGroupEvent>().list(&Default::default()).await.expect("list AlertGroupEvents").items
}

/// A group of alerts that Alertmanager would send.
pub(crate) fn group(status: &str) -> Value {
    json!({
        "receiver": "webhook",
        "status": status,
        "alerts": [{
            "status": status,
            "labels": {"alertname": "InstanceDown", "instance": "a", "severity": "critical"},
            "annotations": {"summary": "a is down"},
            "startsAt": "2026-01-02T03:04:05Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "",
            "fingerprint": "317495f7449910dd",
        }],
        "groupLabels": {"alertname": "InstanceDown", "severity": "critical"},
        "commonLabels": {"alertname": "InstanceDown", "instance": "a", "severity": "critical"},
        "commonAnnotations": {"summary": "a is down"},
        "externalURL": "http://alertmanager.example",
        "version": "4",
        "groupKey": r#"{}:{alertname="InstanceDown", severity="critical"}"#,
        "truncatedAlerts": 0,
    })
}
