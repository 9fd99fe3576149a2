//! A namespace with webhooks and events, the receiver of their requests, and what must have become of them in the end.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use kube::{
    Api, Client, Resource,
    api::{GetParams, ListParams},
};
use oncall_webhooks::{
    core::{delivery::ResponsePhase, id::response_name},
    resources::{AlertGroupEvent, EventPhase, Webhook, WebhookResponse, WebhookResponseStatus},
};
use serde_json::{Value, json};
use support::{Answer, Received, Receiver, Samples, ms};

use crate::{
    PATIENCE,
    ground::{Ground, at_once, create, until},
};

/// What the receiver answers.
const TAKEN: &str = r#"{"ok": true}"#;
/// How many responses are read at a time.
const PAGE: u32 = 500;

/// The settings of a phase of events.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Webhooks that each event fires.
    pub(crate) webhooks: usize,
    pub(crate) events: usize,
    /// Writes that each delivery needs: an event and its status, shared by its webhooks, and a response and its status;
    /// without the event where it was there before.
    pub(crate) writes: f64,
    /// About how many bytes the alerts of an event have; 0 for those of the example.
    pub(crate) payload: usize,
}

impl Load {
    pub(crate) fn new(webhooks: usize, events: usize, writes: f64) -> Self {
        Self { webhooks, events, writes, payload: 0 }
    }

    pub(crate) fn deliveries(self) -> usize {
        self.webhooks * self.events
    }
}

/// An event that was created.
#[derive(Clone, Debug)]
pub(crate) struct Created {
    pub(crate) uid: String,
    /// Just before the call.
    pub(crate) called: Instant,
    /// When its answer was there.
    pub(crate) returned: Instant,
}

/// A namespace with webhooks, and the receiver of their requests.
pub(crate) struct Scene {
    pub(crate) namespace: String,
    pub(crate) load: Load,
    pub(crate) receiver: Receiver,
    admin: Client,
}

impl Scene {
    /// Makes the webhooks.
    pub(crate) async fn new(ground: &Ground<'_>, load: Load) -> Result<Self> {
        let namespace = ground.namespace().await?;
        let receiver = Receiver::start(|_| Answer::new(200, TAKEN)).await?;
        let admin = ground.admin.clone();
        for number in 0..load.webhooks {
            create(&admin, &webhook(&namespace, number, &receiver.url(), "acknowledge")?).await?;
        }
        Ok(Self { namespace, load, receiver, admin })
    }

    /// Waits until the operator has seen the webhooks.
    pub(crate) async fn until_ready(&self) -> Result<()> {
        let webhooks: Api<Webhook> = Api::namespaced(self.admin.clone(), &self.namespace);
        until("the webhooks are ready", Duration::from_millis(20), async || {
            let list = webhooks.list(&ListParams::default()).await?;
            Ok(list.iter().all(|webhook| webhook.status.is_some()))
        })
        .await
    }

    /// The acknowledgement of the example, of another alert group each.
    pub(crate) fn event(&self, number: usize) -> Result<AlertGroupEvent> {
        let mut event: AlertGroupEvent =
            serde_saphyr::from_str(include_str!("../../examples/acknowledge/event.yaml")).context("read event.yaml")?;
        event.metadata.name = Some(format!("event-{number}"));
        event.metadata.namespace = Some(self.namespace.clone());
        event.spec.alert_group.get_or_insert_default().id = format!("I{number:012}");
        if self.load.payload > 0 {
            let payload = serde_json::to_value(&event.spec.alert_payload)?;
            let payload = enlarged(payload, number, self.load.payload);
            event.spec.alert_payload = serde_json::from_value(payload).context("make a payload")?;
        }
        Ok(event)
    }

    /// Creates one event.
    pub(crate) fn create_event(&self, number: usize) -> impl Future<Output = Result<Created>> + use<> {
        let (admin, event) = (self.admin.clone(), self.event(number));
        async move {
            let event = event?;
            let called = Instant::now();
            let uid = create(&admin, &event).await?.uid.unwrap_or_default();
            Ok(Created { uid, called, returned: Instant::now() })
        }
    }

    /// Creates the events as fast as the API server takes them.
    pub(crate) async fn create_events(&self) -> Result<Vec<Created>> {
        at_once(0..self.load.events, |number| self.create_event(number)).await
    }

    /// Waits until all requests have arrived.
    pub(crate) async fn arrived(&self) -> Result<Vec<Received>> {
        self.receiver.wait_for(self.load.deliveries(), PATIENCE).await
    }

    /// Waits until every event is recorded as completed, and every response is there with its end. Returns when that was.
    ///
    /// Looking must cost the API server little: one event of those that were open is asked for, from its cache, until it is
    /// completed, and only then is looked for another one.
    pub(crate) async fn recorded(&self, events: &[Created]) -> Result<Instant> {
        let api: Api<AlertGroupEvent> = Api::namespaced(self.admin.clone(), &self.namespace);
        let responses: Api<WebhookResponse> = Api::namespaced(self.admin.clone(), &self.namespace);
        let open = ListParams::default().fields("status.phase!=Completed").limit(PAGE);
        loop {
            let list = api.list_metadata(&open).await?.items;
            let Some(name) = list.get(list.len() / 2).and_then(|event| event.metadata.name.clone()) else { break };
            let params = GetParams::any();
            until("an event is completed", Duration::from_millis(20), async || {
                let status = api.get_with(&name, &params).await?.status;
                Ok(status.is_some_and(|status| status.phase == EventPhase::Completed))
            })
            .await?;
        }
        let one = ListParams::default().limit(1);
        let unfinished = one.clone().fields("status.phase!=Succeeded");
        let due = self.load.webhooks * events.len();
        until("every response is there with its end", Duration::from_millis(20), async || {
            let list = responses.list_metadata(&one).await?;
            let more = usize::try_from(list.metadata.remaining_item_count.unwrap_or(0))?;
            Ok(list.items.len() + more >= due && responses.list_metadata(&unfinished).await?.items.is_empty())
        })
        .await?;
        Ok(Instant::now())
    }

    /// Milliseconds from just before the call that created an event until each of its requests was there.
    pub(crate) fn latencies(&self, events: &[Created], received: &[Received]) -> Result<Samples> {
        let arrivals: HashMap<_, _> =
            received.iter().map(|request| (request.header("webhook-id"), request.at)).collect();
        let mut samples = Samples::default();
        for event in events {
            for number in 0..self.load.webhooks {
                let id = response_name(&event.uid, &format!("webhook-{number}"));
                let at = arrivals.get(&Some(&*id)).context("find an event's request")?;
                samples.0.push(ms(at.duration_since(event.called)));
            }
        }
        Ok(samples)
    }

    /// Each request came once, with its id, and the records say so.
    pub(crate) async fn verify(&self, events: &[Created]) -> Result<()> {
        let received = self.receiver.received();
        let (count, due) = (received.len(), self.load.deliveries());
        ensure!(count == due, "{count} requests arrived in {}, {due} were due", self.namespace);
        let mut bodies: BTreeMap<_, _> = received
            .into_iter()
            .filter_map(|request| Some((request.header("webhook-id")?.to_owned(), request.body)))
            .collect();
        let ids = events.iter().flat_map(|event| {
            (0..self.load.webhooks).map(move |number| response_name(&event.uid, &format!("webhook-{number}")))
        });
        let missing = ids.filter(|id| !bodies.contains_key(id)).count();
        ensure!(missing == 0, "{missing} of {due} deliveries were not sent, but others twice");

        let api: Api<AlertGroupEvent> = Api::namespaced(self.admin.clone(), &self.namespace);
        let whole = api.list(&ListParams::default()).await?;
        let whole = whole.iter().filter_map(|event| event.status.as_ref()).filter(|status| {
            let (succeeded, failed) = (status.succeeded as usize, status.failed);
            status.phase == EventPhase::Completed && succeeded == self.load.webhooks && failed == 0
        });
        let whole = whole.count();
        ensure!(whole == self.load.events, "{whole} of {} events have the right status", self.load.events);

        let responses: Api<WebhookResponse> = Api::namespaced(self.admin.clone(), &self.namespace);
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let list = responses.list(&page).await?;
            for response in list.items {
                let name = response.metadata.name.unwrap_or_default();
                let body = bodies.remove(&name).with_context(|| format!("WebhookResponse {name} is of no request"))?;
                let status = response.status.with_context(|| format!("WebhookResponse {name} has no status"))?;
                ensure!(is_whole(&status, &body), "WebhookResponse {name} is not what was sent: {status:?}");
            }
            match list.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page = page.continue_token(&token),
                None => break,
            }
        }
        ensure!(bodies.is_empty(), "{} of {due} responses are not there", bodies.len());
        Ok(())
    }
}

/// Whether a record says all that it should of a request that was taken.
fn is_whole(status: &WebhookResponseStatus, body: &str) -> bool {
    let group = |data: &str| serde_json::from_str::<Value>(data).is_ok_and(|data| data["alert_group"].is_object());
    status.phase == ResponsePhase::Succeeded
        && status.status_code == Some(200)
        && status.content.as_deref() == Some(TAKEN)
        && status.request_data.as_deref() == Some(body)
        && status.event_data().is_some_and(group)
        && status.timestamp.is_some()
        && status.attempts.last().is_some_and(|attempt| attempt.status_code == Some(200))
}

/// A webhook for changes of one kind.
pub(crate) fn webhook(namespace: &str, number: usize, url: &str, trigger: &str) -> Result<Webhook> {
    serde_json::from_value(json!({
        "apiVersion": Webhook::api_version(&()),
        "kind": Webhook::kind(&()),
        "metadata": {"namespace": namespace, "name": format!("webhook-{number}")},
        "spec": {
            "triggerType": trigger,
            "url": url,
            "data": r#"{"labels" : {{ alert_payload.commonLabels | tojson()}}}"#,
            "forwardAll": false,
        },
    }))
    .context("make a Webhook")
}

/// The payload with as many alerts as make it about so large, each of another instance, as Alertmanager sends them.
fn enlarged(mut payload: Value, number: usize, bytes: usize) -> Value {
    let Some(first) = payload["alerts"].get(0).cloned() else { return payload };
    let mut alerts = Vec::new();
    while Value::from(alerts.clone()).to_string().len() < bytes {
        let instance = format!("node-{}.example:{}", number * 31 % 9973, 8000 + alerts.len());
        let mut alert = first.clone();
        alert["annotations"]["title"] = json!(format!("Instance {instance} down"));
        alert["annotations"]["description"] =
            json!(format!("{instance} of job node has been down for more than {} minutes.", number % 59));
        alert["labels"]["instance"] = json!(instance);
        let mixed = (number as u64 * 1000 + alerts.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        alert["fingerprint"] = json!(format!("{mixed:016x}"));
        alerts.push(alert);
    }
    payload["alerts"] = Value::from(alerts);
    payload
}
