//! An upgrade as the chart's Deployment makes it: while every replica is replaced, calls and alerts go on, and none fails.

use std::{
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use reqwest::{Client, Method};
use serde_json::{Value, json};
use support::output;

use super::{Team, WEBHOOKS, start};
use crate::{
    harness::{cluster, eventually},
    intake,
};

/// The addresses that the Service leads to, and whether there are callers.
#[derive(Default)]
struct Service {
    addresses: RwLock<Vec<String>>,
    is_over: AtomicBool,
    turn: AtomicUsize,
    answered: AtomicUsize,
    refused: RwLock<Vec<String>>,
}

impl Service {
    fn add(&self, address: &str) {
        self.addresses.write().expect("no caller has panicked").push(address.to_owned());
    }

    fn remove(&self, address: &str) {
        self.addresses.write().expect("no caller has panicked").retain(|other| other != address);
    }

    fn next(&self) -> String {
        let addresses = self.addresses.read().expect("nobody has panicked");
        addresses[self.turn.fetch_add(1, Ordering::Relaxed) % addresses.len()].clone()
    }

    /// Makes the same call again and again, each time where the Service leads to. Connections are kept, as Ingress controllers do.
    async fn call(self: Arc<Self>, method: Method, path: String, authorization: String, body: Option<Value>) {
        let http = Client::builder().no_proxy().build().expect("make a client");
        while !self.is_over.load(Ordering::Relaxed) {
            let address = self.next();
            let request =
                http.request(method.clone(), format!("{address}{path}")).header("Authorization", &authorization);
            let request = match &body {
                Some(body) => request.header("Content-Type", "application/json").body(body.to_string()),
                None => request,
            };
            let answer = match request.send().await {
                Ok(answer) if answer.status().is_success() => {
                    answer.bytes().await.map(|_| ()).map_err(|error| format!("{error:?}"))
                }
                Ok(answer) => Err(format!("{} {:?}", answer.status(), answer.text().await)),
                Err(error) => Err(format!("{error:?}")),
            };
            match answer {
                Ok(()) => {
                    self.answered.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => {
                    self.refused.write().expect("nobody has panicked").push(format!("{address}{path}: {error}"));
                }
            }
            // As many as a few clients make, not as many as there is time for.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// How many replicas the chart has, and how long one that is to stop takes calls.
fn deployment() -> (usize, Duration) {
    let mut kubectl = cluster().0.kubectl();
    kubectl.args(["get", "deployment", "oncall-webhooks-api", "--namespace", "oncall-webhooks", "--output=json"]);
    let deployment: Value = serde_json::from_str(&output(&mut kubectl).expect("kubectl get")).expect("a Deployment");
    let spec = &deployment["spec"];
    let seconds = &spec["template"]["spec"]["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"];
    let replicas = spec["replicas"].as_u64().and_then(|replicas| usize::try_from(replicas).ok());
    (replicas.expect("replicas"), Duration::from_secs(seconds.as_u64().expect("seconds")))
}

#[tokio::test(flavor = "multi_thread")]
async fn while_every_replica_is_replaced_no_call_and_no_alert_fails() {
    // What is promised here is not that a client is bounded.
    let more = ["--calls-per-minute=100000", "--intake-rate=100000", "--trusted-proxies=127.0.0.0/8"];
    let mut running = vec![start("rollout-0", &more).await];
    let (replicas, pre_stop) = tokio::task::spawn_blocking(deployment).await.expect("join");
    for number in 1..replicas {
        running.push(start(&format!("rollout-{number}"), &more).await);
    }
    let team = Team::at("rollout", running[0].url()).await;
    let source = intake::made(&team, "source", "webhook", json!({})).await;
    let service = Arc::new(Service::default());
    for api in &running {
        service.add(api.url());
        intake::Source::of(api).is_known(&intake::path("webhook", &source)).await;
        eventually("the token is taken", || async {
            let request = team.http.get(format!("{}{WEBHOOKS}", api.url())).header("Authorization", &team.token);
            request.send().await.expect("an answer").status().is_success().then_some(())
        })
        .await;
    }
    let reads = (0..3).map(|_| (Method::GET, WEBHOOKS.to_owned(), team.token.clone(), None));
    let alerts_path = format!("/integrations/v1/webhook/namespaces/{}/source/", team.namespace);
    let alert = json!({"title": "disk full"});
    let alerts = [(Method::POST, alerts_path, format!("Bearer {source}"), Some(alert))];
    let callers: Vec<_> = reads
        .chain(alerts)
        .map(|(method, path, token, body)| tokio::spawn(Arc::clone(&service).call(method, path, token, body)))
        .collect();

    // One more, ready, before one stops. What stops is no part of the Service any more; its callers learn that within the time that
    // the kubelet then waits, before it asks the process to stop.
    let mut upgraded = Vec::new();
    for (number, old) in running.into_iter().enumerate() {
        let new = start(&format!("rollout-new-{number}"), &more).await;
        service.add(new.url());
        service.remove(old.url());
        tokio::time::sleep(pre_stop).await;
        assert!(tokio::task::spawn_blocking(|| old.stop()).await.expect("join").expect("stop").success());
        let before = service.answered.load(Ordering::Relaxed);
        eventually("the others answer", || async {
            (service.answered.load(Ordering::Relaxed) > before + 20).then_some(())
        })
        .await;
        upgraded.push(new);
    }
    service.is_over.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.expect("a caller");
    }
    assert_eq!(*service.refused.read().expect("nobody has panicked"), Vec::<String>::new());
    assert!(service.answered.load(Ordering::Relaxed) > 100);
}
