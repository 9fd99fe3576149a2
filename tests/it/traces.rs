//! Traces, from both programs to a collector.
//!
//! ```text
//! POST ─► api ─► AlertGroupEvent ─► operator ─► receiver        intake ─► event ─► attempt
//!          └──────────── OTLP over HTTPS ───┴─► a collector of the test
//! ```

use std::{collections::BTreeMap, io::Read, path::Path, sync::Arc};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use flate2::read::GzDecoder;
use oncall_webhooks::resources::{AlertGroupEvent, WebhookResponse};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value as Any},
    trace::v1::Span,
};
use parking_lot::Mutex;
use prost::Message;
use reqwest::Client;
use serde_json::json;
use support::{Api, Authority, Operator, TlsFront};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    harness::{LIMIT, Temporary, World, cluster, eventually},
    intake::{made, path},
    metrics::scrape,
};

/// Names of a span's attributes, and their values as text.
type Attributes = BTreeMap<String, String>;

/// A span that arrived, and the service that it is of.
#[derive(Clone, Debug)]
struct Arrived {
    service: String,
    name: String,
    trace: String,
    id: String,
    parent: String,
    attributes: Attributes,
}

/// A collector on loopback, which keeps what it is sent over TLS.
struct Collector {
    url: String,
    /// The certificate of who has issued its own.
    authority: Temporary,
    arrived: Arc<Mutex<Vec<Arrived>>>,
    server: JoinHandle<()>,
    _front: TlsFront,
}

impl Collector {
    /// Starts one that takes spans from whoever has this header.
    async fn start(header: (&'static str, &'static str)) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("listen on loopback");
        let authority = Authority::new("collectors").expect("make an authority");
        let issued = authority.issue(&["127.0.0.1"]).expect("issue a certificate");
        let front = TlsFront::start(&issued, listener.local_addr().expect("an address")).await.expect("speak TLS");
        let url = format!("https://{}", front.address());
        let authority = Temporary::new(&authority.pem());
        let arrived = Arc::<Mutex<Vec<Arrived>>>::default();
        let take = move |State(arrived): State<Arc<Mutex<Vec<Arrived>>>>, headers: HeaderMap, body: Bytes| async move {
            assert_eq!(headers[header.0], header.1);
            assert_eq!(headers["content-type"], "application/x-protobuf");
            assert_eq!(headers["content-encoding"], "gzip");
            let mut spans = Vec::new();
            GzDecoder::new(&*body).read_to_end(&mut spans).expect("a body in gzip");
            let request = ExportTraceServiceRequest::decode(&*spans).expect("spans as OTLP has them");
            arrived.lock().extend(spans_of(request));
        };
        let routes = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&arrived));
        let server = tokio::spawn(async move { axum::serve(listener, routes).await.expect("serve the collector") });
        Self { url, authority, arrived, server, _front: front }
    }

    /// What has arrived of a trace, by the names of spans and webhooks.
    fn trace(&self, id: &str) -> BTreeMap<(String, Option<String>), Arrived> {
        let arrived = self.arrived.lock();
        let of_trace = arrived.iter().filter(|span| span.trace == id).cloned();
        of_trace.map(|span| ((span.name.clone(), span.attributes.get("oncall.webhook").cloned()), span)).collect()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn spans_of(request: ExportTraceServiceRequest) -> Vec<Arrived> {
    let of_resource = request.resource_spans.into_iter().flat_map(|of_resource| {
        let resource = attributes(&of_resource.resource.unwrap_or_default().attributes);
        let service = resource.get("service.name").cloned().unwrap_or_default();
        let spans = of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans);
        spans.map(move |span| arrived(&service, &span))
    });
    of_resource.collect()
}

fn arrived(service: &str, span: &Span) -> Arrived {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    Arrived {
        service: service.to_owned(),
        name: span.name.clone(),
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        attributes: attributes(&span.attributes),
    }
}

fn attributes(attributes: &[KeyValue]) -> Attributes {
    let text = |value: Option<&AnyValue>| match value.and_then(|value| value.value.clone()) {
        Some(Any::StringValue(text)) => text,
        Some(Any::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    attributes.iter().map(|attribute| (attribute.key.clone(), text(attribute.value.as_ref()))).collect()
}

/// Attributes to compare with.
fn expected<const N: usize>(attributes: [(&str, &str); N]) -> Attributes {
    attributes.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// An API with these variables.
async fn start_api(name: &str, environment: &[(&str, &str)]) -> Api {
    let (cluster, installation) = tokio::task::spawn_blocking(cluster).await.expect("prepare the cluster");
    // `env` becomes the API.
    let variables = environment.iter().map(|(name, value)| format!("{name}={value}"));
    let args = variables.chain([env!("CARGO_BIN_EXE_oncall-webhooks").to_owned()]);
    let args: Vec<String> = args.chain(installation.api_args.iter().flatten().cloned()).collect();
    let env = Path::new("/usr/bin/env");
    let started = Api::start(env, cluster.processes(), name, &installation.api_kubeconfig, &args).await;
    started.expect("start the REST API")
}

/// Asks both to stop, and waits until they have, well.
async fn stopped(operator: Operator, api: Option<Api>) {
    let stop = move || {
        assert!(operator.stop().expect("stop the operator").success());
        assert!(api.is_none_or(|api| api.stop().expect("stop the API").success()));
    };
    tokio::task::spawn_blocking(stop).await.expect("stop both");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_one_trace_from_its_sender_to_its_receivers() {
    let collector = Collector::start(("x-collector-key", "k3y")).await;
    let authority = collector.authority.path();
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str()),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", &authority),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-collector-key=k3y"),
        // What a process has when it stops is sent then.
        ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
    ];
    let mut world = World::in_environment("traces", &environment, &[]).await;
    let api = start_api("api-traces", &environment).await;
    world.seen_webhook("tickets", "alert group created", json!({})).await;
    let own = "00-11111111111111111111111111111111-2222222222222222-01";
    let headers = json!({"traceparent": own}).to_string();
    world.seen_webhook("own", "alert group created", json!({"headers": headers})).await;
    let token = made(&world, "source", "webhook", json!({"templates": {"groupingId": "{{ payload.id }}"}})).await;
    let url = format!("{}{}", api.url(), path("webhook", &token));
    let http = Client::builder().no_proxy().build().expect("make a client");
    let sends = async |id: &str, traceparent: String| {
        let request = http.post(&url).header("traceparent", traceparent).body(json!({"id": id}).to_string());
        request.send().await.is_ok_and(|answer| answer.status() == 200).then_some(())
    };

    let (trace, sender) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    eventually("the alert is taken", || sends("1", format!("00-{trace}-{sender}-01"))).await;
    let [tickets, owns] =
        ["tickets", "own"].map(|webhook| world.response_that(webhook, |status| status.status_code.is_some()));
    assert_eq!((tickets.await.trace_id.as_deref(), owns.await.trace_id.as_deref()), (Some(trace), Some(trace)));
    let event = world
        .objects_that("the event is completed", |events: &BTreeMap<String, AlertGroupEvent>| {
            let is_done = |event: &&AlertGroupEvent| event.status.as_ref().is_some_and(|status| status.matched == 2);
            events.values().find(is_done).cloned()
        })
        .await;
    let received = world.receiver.wait_for(2, LIMIT).await.expect("requests arrive");
    let stated = |target: &str| {
        let request = received.iter().find(|request| request.target == target).expect("a request");
        request.headers.iter().filter(|(name, _)| name == "traceparent").map(|(_, value)| value.clone()).collect()
    };
    let (sent, sent_own): (Vec<String>, Vec<String>) = (stated("/tickets"), stated("/own"));

    // The sender of another one wants no traces.
    let dropped = "00000000000000000000000000000d0d";
    assert!(sends("2", format!("00-{dropped}-{sender}-00")).await.is_some());
    let received = world.receiver.wait_for(4, LIMIT).await.expect("requests arrive");
    let passed_on: Vec<&str> = received[2..].iter().filter_map(|request| request.header("traceparent")).collect();
    let is_dropped = |text: &&&str| text.starts_with(&format!("00-{dropped}-")) && text.ends_with("-00");
    assert_eq!(passed_on.iter().filter(is_dropped).count(), 1, "{passed_on:?}");
    world
        .objects_that("all is recorded", |responses: &BTreeMap<String, WebhookResponse>| {
            let ids = responses.values().filter_map(|response| response.status.as_ref()?.trace_id.as_deref());
            (responses.len() == 4).then(|| assert_eq!(ids.collect::<Vec<_>>(), [trace, trace]))
        })
        .await;

    stopped(world.operator.take().expect("an operator"), Some(api)).await;
    assert!(collector.trace(dropped).is_empty());
    let spans = collector.trace(trace);
    let span = |name: &str, webhook: Option<&str>| &spans[&(name.to_owned(), webhook.map(str::to_owned))];
    assert_eq!(spans.len(), 4, "{spans:?}");
    let (intake, of_event) = (span("intake", None), span("event", None));
    let attempts = [span("attempt", Some("tickets")), span("attempt", Some("own"))];
    let parents = [&intake.parent, &of_event.parent, &attempts[0].parent, &attempts[1].parent];
    assert_eq!(parents, [sender, &intake.id, &of_event.id, &of_event.id]);
    let services = spans.values().map(|span| (span.name.as_str(), span.service.as_str())).collect::<BTreeMap<_, _>>();
    let operator = "oncall-webhooks-controller";
    let of_services = [("attempt", operator), ("event", operator), ("intake", "oncall-webhooks-api")];
    assert_eq!(services, BTreeMap::from(of_services));
    assert_eq!(sent, [format!("00-{trace}-{}-01", attempts[0].id)]);
    assert_eq!(sent_own, [own]);

    let namespace = &*world.namespace;
    let of_intake = expected([
        ("http.request.method", "POST"),
        ("http.response.status_code", "200"),
        ("http.route", "/integrations/v1/{type}/{token}/"),
        ("oncall.integration", "source"),
        ("oncall.namespace", namespace),
        ("oncall.outcome", "taken"),
    ]);
    assert_eq!(intake.attributes, of_intake);
    let name = event.metadata.name.as_deref().expect("a name");
    let named = expected([("oncall.event", name), ("oncall.integration", "source"), ("oncall.namespace", namespace)]);
    assert_eq!(of_event.attributes, named);
    let group = event.status.and_then(|status| status.alert_group_ref).expect("an alert group").id;
    let port = world.receiver.url().rsplit(':').next().expect("a port").to_owned();
    let of_attempt = expected([
        ("http.request.method", "POST"),
        ("http.response.status_code", "200"),
        ("oncall.alert_group.id", &group),
        ("oncall.attempt", "1"),
        ("oncall.event", name),
        ("oncall.namespace", namespace),
        ("oncall.webhook", "tickets"),
        ("server.address", "127.0.0.1"),
        ("server.port", &port),
        ("url.scheme", "http"),
    ]);
    assert_eq!(attempts[0].attributes, of_attempt);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_holds_up_nothing_and_is_told_of_once() {
    // Nobody listens there.
    let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"), ("OTEL_BSP_SCHEDULE_DELAY", "1")];
    let mut world = World::in_environment("traces-away", &environment, &[]).await;
    world.seen_webhook("tickets", "acknowledge", json!({})).await;
    let warning =
        "failed to send spans to the collector; they are lost, as are those that follow until it takes them again";
    for number in 1..=3 {
        let name = format!("event-{number}");
        world.event(&name, "acknowledge", &format!("group-{number}"), json!({})).await;
        world.completed(&name, 1).await;
        world.operator.as_mut().expect("an operator").said(warning).await.expect("it says so");
    }
    let requests = world.receiver.received();
    assert_eq!(requests.len(), 3);
    eventually("it counts what was lost", || async {
        let text = scrape(world.operator.as_ref().expect("an operator")).await;
        let lost =
            text.lines().find_map(|line| line.strip_prefix(r#"oncall_webhooks_spans_lost_total{reason="not_taken"} "#));
        // Of each event, and of each attempt.
        (lost == Some("6")).then_some(())
    })
    .await;
    let ids: Vec<_> = world.responses().await.into_values().filter_map(|response| response.status?.trace_id).collect();
    let sent = |id: &String| {
        let is_of = |text: &str| text.split('-').nth(1) == Some(id.as_str());
        requests.iter().filter_map(|request| request.header("traceparent")).filter(|text| is_of(text)).count()
    };
    assert_eq!(ids.iter().map(sent).collect::<Vec<_>>(), [1, 1, 1]);
    let operator = world.operator.take().expect("an operator");
    let log = operator.path();
    stopped(operator, None).await;
    let log = std::fs::read_to_string(log).expect("read the log");
    assert_eq!(log.matches(warning).count(), 1, "{log}");
    assert!(!log.contains("opentelemetry"), "{log}");
}
