//! Alerts, from the POST to the intake until the webhook's request is there: at a steady rate, and many at once.
//!
//! ```text
//! this program ──POST──▶ api ──▶ AlertGroupEvent ──▶ operator ──▶ receiver
//!                                                       └─▶ AlertGroup, statuses, WebhookResponse
//! ```
//! Each opens an alert group of its own. That takes four writes: the event, the alert group, the event's status, the response.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use http::header::CONTENT_TYPE;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Resource, api::ListParams};
use oncall_webhooks::resources::{AlertGroup, AlertGroupEvent, Integration, Webhook, WebhookResponse};
use serde_json::{Value, json};
use support::{Answer, Api as AlertApi, Footprint, Operator, Received, Receiver, Samples, ms};
use tokio::task::JoinSet;

use crate::{
    PATIENCE,
    bare::Window,
    ground::{Candidate, Ground, at_once, create, stop, until},
    paced::STEADY,
    report::{Figures, quantiles},
    scene::webhook,
    usage::{Usage, process},
};

/// Writes that an alert which opens an alert group takes, with one webhook.
const WRITES: f64 = 4.0;
const TOKEN: &str = "token-of-the-source-of-all-alerts";

/// An alert that was taken.
struct Posted {
    number: usize,
    /// Just before the call.
    called: Instant,
    /// When its answer was there.
    returned: Instant,
}

/// A namespace with an Integration and a webhook, what works there, and the receiver.
pub(crate) struct Source<'a> {
    ground: &'a Ground<'a>,
    namespace: String,
    alerts: usize,
    receiver: Receiver,
    operator: Operator,
    api: AlertApi,
    client: reqwest::Client,
    url: String,
}

impl<'a> Source<'a> {
    /// Starts an operator and an API, and waits until they know the Integration and the webhook.
    pub(crate) async fn new(ground: &'a Ground<'_>, candidate: &Candidate, alerts: usize) -> Result<Self> {
        let namespace = ground.namespace().await?;
        let receiver = Receiver::start(|_| Answer::new(200, "taken")).await?;
        let mut webhook = webhook(&namespace, 0, &receiver.url(), "alert group created")?;
        webhook.spec.data = Some("{{ alert_payload.commonLabels.number }}".to_owned());
        create(&ground.admin, &webhook).await?;
        // Named after its namespace: a token of two Integrations opens neither.
        let token = format!("{TOKEN}-{namespace}");
        let metadata = json!({"name": "source", "namespace": namespace, "labels": {"oncall.dev/secret": "true"}});
        let secret: Secret = serde_json::from_value(json!({"metadata": metadata, "stringData": {"token": token}}))?;
        create(&ground.admin, &secret).await?;
        let spec = json!({"type": "alertmanager", "tokenSecretRef": {"name": "source", "key": "token"}});
        let integration: Integration = serde_json::from_value(json!({
            "apiVersion": Integration::api_version(&()), "kind": Integration::kind(&()), "metadata": metadata, "spec": spec,
        }))
        .context("make an Integration")?;
        create(&ground.admin, &integration).await?;
        let (operator, api) = (ground.start(candidate).await?, ground.start_api(candidate).await?);
        let url = format!("{}/integrations/v1/alertmanager/{token}/", api.url());
        let client = reqwest::Client::builder().no_proxy().build().context("make a client")?;
        let source = Self { ground, namespace, alerts, receiver, operator, api, client, url };
        source.until_known().await?;
        Ok(source)
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.ground.admin.clone(), &self.namespace)
    }

    async fn until_known(&self) -> Result<()> {
        let webhooks = self.api::<Webhook>();
        until("the webhook is ready", Duration::from_millis(20), async || {
            Ok(webhooks.list(&ListParams::default()).await?.iter().all(|webhook| webhook.status.is_some()))
        })
        .await?;
        let heartbeat = format!("{}heartbeat/", self.url);
        until("the Integration is known", Duration::from_millis(50), async || {
            Ok(self.client.get(&heartbeat).send().await?.status().is_success())
        })
        .await
    }

    /// Sends one alert.
    fn post(&self, number: usize) -> impl Future<Output = Result<Posted>> + use<> {
        let request =
            self.client.post(&self.url).header(CONTENT_TYPE, "application/json").body(alert(number).to_string());
        async move {
            let called = Instant::now();
            let response = request.send().await.context("send an alert")?;
            let status = response.status();
            let answer = response.text().await.context("read an answer")?;
            ensure!(status.is_success(), "an alert was answered with {status}: {answer}");
            Ok(Posted { number, called, returned: Instant::now() })
        }
    }

    fn used(&self) -> Result<(Usage, f64)> {
        Ok((self.ground.usage(Some(&self.operator))?, process(self.api.process().pid())?))
    }

    /// Alerts at 20 a second.
    pub(crate) async fn steady(self) -> Result<Figures> {
        let before = self.used()?;
        let (mut ticks, mut calls, mut posted) = (tokio::time::interval(STEADY), JoinSet::new(), Vec::new());
        for number in 0..self.alerts {
            ticks.tick().await;
            calls.spawn(self.post(number));
        }
        while let Some(ended) = calls.join_next().await {
            posted.push(ended.context("join a sender")??);
        }
        let received = self.arrived().await?;
        self.recorded().await?;
        let mut figures = self.latencies(&posted, &received)?;
        figures.extend(self.cpu(before)?);
        self.end().await?;
        Ok(figures)
    }

    /// All alerts at once.
    pub(crate) async fn storm(self) -> Result<Storm> {
        let (before, begin) = (self.used()?, Instant::now());
        let posted = at_once(0..self.alerts, |number| self.post(number)).await?;
        let taken = begin.elapsed();
        let received = self.arrived().await?;
        let last = received.iter().map(|request| request.at).max().context("no requests")?;
        let recorded = self.recorded().await?.duration_since(begin);
        let rate = |took: Duration| self.alerts as f64 / took.as_secs_f64();
        let (requests, taken, recorded) = (rate(last.duration_since(begin)), rate(taken), rate(recorded));
        let mut rest = self.latencies(&posted, &received)?;
        rest.extend(self.cpu(before)?);
        self.end().await?;
        Ok(Storm { requests, taken, recorded, rest })
    }

    async fn arrived(&self) -> Result<Vec<Received>> {
        self.receiver.wait_for(self.alerts, PATIENCE).await
    }

    fn latencies(&self, posted: &[Posted], received: &[Received]) -> Result<Figures> {
        let arrivals: HashMap<&str, Instant> = received.iter().map(|request| (&*request.body, request.at)).collect();
        ensure!(received.len() == self.alerts, "{} requests arrived, {} were due", received.len(), self.alerts);
        let (mut whole, mut calls) = (Samples::default(), Samples::default());
        for Posted { number, called, returned } in posted {
            let at =
                arrivals.get(&*number.to_string()).with_context(|| format!("find the request of alert {number}"))?;
            whole.0.push(ms(at.duration_since(*called)));
            calls.0.push(ms(returned.duration_since(*called)));
        }
        Ok(vec![
            ("POST → request, p50 / p99 / max, ms", quantiles(&mut whole)),
            ("the POST itself, p50 / p99 / max, ms", quantiles(&mut calls)),
        ])
    }

    fn cpu(&self, (before, api): (Usage, f64)) -> Result<Figures> {
        let (now, api_now) = self.used()?;
        let (used, each) = (now - before, |cpu: f64| format!("{:.2}", cpu / self.alerts as f64));
        let (own, footprint) = (api_now - api, Footprint::of(self.api.process().pid())?);
        let operator = Footprint::of(self.operator.pid())?;
        Ok(vec![
            (
                "CPU an alert of api / operator / kube-apiserver, ms",
                [own, used.operator, used.api_server].map(each).join(" / "),
            ),
            ("most memory of api / operator, MiB", format!("{:.0} / {:.0}", footprint.peak, operator.peak)),
        ])
    }

    /// Waits until every event is completed, and every response is there with its end. Returns when that was.
    async fn recorded(&self) -> Result<Instant> {
        let (events, responses) = (self.api::<AlertGroupEvent>(), self.api::<WebhookResponse>());
        let count = async |api: &Api<WebhookResponse>, fields: &str| {
            let list = api.list_metadata(&ListParams::default().fields(fields).limit(1)).await?;
            anyhow::Ok(list.items.len() + usize::try_from(list.metadata.remaining_item_count.unwrap_or(0))?)
        };
        let open = ListParams::default().fields("status.phase!=Completed").limit(1);
        until("every event is completed, every response there", Duration::from_millis(50), async || {
            Ok(events.list_metadata(&open).await?.items.is_empty()
                && count(&responses, "").await? == self.alerts
                && count(&responses, "status.phase!=Succeeded").await? == 0)
        })
        .await?;
        Ok(Instant::now())
    }

    /// Stops, and looks whether there is one alert group for each alert, and one event, which opened it.
    async fn end(self) -> Result<()> {
        let (groups, events) = (self.api::<AlertGroup>(), self.api::<AlertGroupEvent>());
        let status = self.api.stop()?;
        ensure!(status.success(), "the API ended with {status}");
        stop(self.operator)?;
        let groups = groups.list(&ListParams::default()).await?.items.len();
        ensure!(groups == self.alerts, "{groups} alert groups came of {} alerts", self.alerts);
        let events = events.list(&ListParams::default()).await?;
        let opened = events.iter().filter(|event| {
            let status = event.status.as_ref();
            status.is_some_and(|status| status.alert_group_ref.is_some() && status.succeeded == 1 && status.failed == 0)
        });
        let opened = opened.count();
        ensure!(
            opened == self.alerts && events.items.len() == opened,
            "{opened} events opened an alert group and fired the webhook"
        );
        let count = self.receiver.count();
        ensure!(count == self.alerts, "{count} requests arrived, {} were due", self.alerts);
        self.ground.clear(&self.namespace).await
    }
}

/// What many alerts at once came to.
pub(crate) struct Storm {
    /// All three a second, counted from the first call.
    requests: f64,
    taken: f64,
    recorded: f64,
    rest: Figures,
}

impl Storm {
    /// Beside the bare writes around it.
    pub(crate) fn figures(self, bare: Window) -> Figures {
        let allowed = bare.pairs * 2.0 / WRITES;
        let mut figures = vec![
            ("bare pairs/s before and after", format!("{:.0}", bare.pairs)),
            ("alerts taken/s", format!("{:.0}", self.taken)),
            ("requests/s", format!("{:.0}", self.requests)),
            ("requests/s ÷ bare pairs/s", format!("{:.2}", self.requests / bare.pairs)),
            ("recorded/s, to the last record", format!("{:.0}", self.recorded)),
            ("recorded ÷ what bare writes allow", format!("{:.2}", self.recorded / allowed)),
        ];
        figures.extend(self.rest);
        figures
    }
}

/// A notification of Alertmanager's, of another group for each number.
fn alert(number: usize) -> Value {
    let labels =
        json!({"alertname": "InstanceDown", "job": "node", "severity": "critical", "number": number.to_string()});
    let instance = format!("node-{number}.example:9100");
    let alert = json!({
        "status": "firing", "labels": labels, "startsAt": "2026-06-12T08:24:38.326Z", "endsAt": "0001-01-01T00:00:00Z",
        "annotations": {
            "title": format!("Instance {instance} down"),
            "description": format!("{instance} of job node has been down for more than 1 minute."),
        },
        "generatorURL": "http://prometheus.example/graph?g0.expr=up+%3D%3D+0", "fingerprint": format!("{number:016x}"),
    });
    json!({
        "version": "4", "groupKey": format!("{{}}:{{number=\"{number}\"}}"), "truncatedAlerts": 0, "status": "firing",
        "receiver": "oncall", "groupLabels": {"number": number.to_string()}, "commonLabels": labels, "commonAnnotations": {},
        "externalURL": "http://alertmanager.example", "alerts": [alert],
    })
}
