//! That the operator and the API need each right that the chart gives them, and no other.
//!
//! ```text
//! a scenario in which both do all that they do ─► API server ─► audit log: which role allowed each call ─► every rule was used
//! ```
//! The API server writes down of each call which role has allowed it, or that none has. A verb that has allowed a call and that no
//! other role gives can't be taken away: that call would be refused. So this shows for each verb what taking it away would
//! show, in one run.
//!
//! Two verbs are no calls: `attribute` and `record` are what the policies of the chart ask for. What they would refuse without these is
//! in `alert_groups` and `rights`.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufRead, BufReader, Seek, SeekFrom},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use futures::{StreamExt, stream};
use k8s_openapi::api::{coordination::v1::Lease, core::v1::Secret};
use kube::{
    Api as KubeApi,
    api::{Patch, PatchParams, PostParams},
};
use oncall_webhooks::resources::{DeliveryJournal, DeliveryJournalSpec, JOURNAL_SCOPE_LABEL, Webhook};
use reqwest::Method;
use serde_json::{Value, json};
use support::{Answer, Api, Operator, output};

use super::{Team, WEBHOOKS, id, layouts::install, path};
use crate::{
    chart::admin,
    harness::{World, cluster, eventually},
    intake,
};

/// The release whose rights these are: the audit log has all calls of its ServiceAccounts.
const RELEASE: &str = "least-oncall-webhooks";

/// Its roles.
const OPERATOR: &str = RELEASE;
const LEASE: &str = "least-oncall-webhooks-lease";
const API: &str = "least-oncall-webhooks-api";
const REVIEWER: &str = "least-oncall-webhooks:least-oncall-webhooks:reviewer";

/// Events, each with a delivery to four webhooks: many more than are recorded one by one.
const EVENTS: usize = 100;
/// Events whose answers are as long as is kept of one. All of them are more than the API keeps at hand with the least memory.
const LONG: usize = 60;

/// What no call needs.
const OF_POLICIES: [(&str, &str); 2] =
    [("oncall.dev/alertgroupevents", "attribute"), ("oncall.dev/webhookresponses", "record")];

/// What a replica logs that does not lead.
const STANDING_BY: &str = "another replica leads; standing by";

/// A role, a resource as `group/resource`, and a verb.
type Right = (String, String, String);

/// The audit log, read on and on.
struct Audit {
    log: BufReader<File>,
    used: BTreeSet<Right>,
    refused: BTreeSet<String>,
}

impl Audit {
    fn new() -> Self {
        let log = cluster().0.audit_log().expect("an audit log");
        let mut file = File::open(log).expect("open the audit log");
        file.seek(SeekFrom::End(0)).expect("go to the end");
        Self { log: BufReader::new(file), used: BTreeSet::new(), refused: BTreeSet::new() }
    }

    /// Takes in what is new.
    fn read(&mut self) {
        let users = format!("system:serviceaccount:{RELEASE}:");
        let mut line = String::new();
        loop {
            line.clear();
            let read = self.log.read_line(&mut line).expect("read the audit log");
            if !line.ends_with('\n') {
                // Half written: once more from its beginning.
                self.log.seek_relative(-i64::try_from(read).expect("a length")).expect("go back");
                return;
            }
            if line.contains(&users) {
                self.take(&serde_json::from_str(&line).expect("JSON"), &users);
            }
        }
    }

    fn take(&mut self, event: &Value, users: &str) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let Some(user) = event["user"]["username"].as_str().and_then(|user| user.strip_prefix(users)) else { return };
        let (verb, object) = (text(&event["verb"]), &event["objectRef"]);
        if object["resource"].is_null() {
            // A path that whoever is known may see, such as /api.
            return;
        }
        let mut resource = format!("{}/{}", text(&object["apiGroup"]), text(&object["resource"]));
        if let Some(part) = object["subresource"].as_str() {
            resource = format!("{resource}/{part}");
        }
        let annotations = &event["annotations"];
        let reason = text(&annotations["authorization.k8s.io/reason"]);
        if annotations["authorization.k8s.io/decision"] != "allow" {
            self.refused.insert(format!("{user}: {verb} {resource}: {}", event["requestURI"]));
        } else if let Some(role) = reason.split("Role \"").nth(1).and_then(|rest| rest.split('"').next()) {
            self.used.insert((role.to_owned(), resource, verb));
        }
    }

    /// Waits until a role has allowed calls with these verbs.
    async fn uses(&mut self, role: &str, resource: &str, verbs: &[&str]) {
        let audit = parking_lot::Mutex::new(self);
        eventually(&format!("{role}: {verbs:?} of {resource}"), || async {
            let mut audit = audit.lock();
            audit.read();
            let right = |verb: &&str| (role.to_owned(), resource.to_owned(), (*verb).to_owned());
            verbs.iter().all(|verb| audit.used.contains(&right(verb))).then_some(())
        })
        .await;
    }
}

/// What the roles of the release grant.
async fn granted() -> BTreeSet<Right> {
    let mut kubectl = cluster().0.kubectl();
    kubectl.args([
        "get",
        "clusterroles,roles",
        "-A",
        "-o",
        "json",
        "-l",
        &format!("app.kubernetes.io/instance={RELEASE}"),
    ]);
    let roles = tokio::task::spawn_blocking(move || output(&mut kubectl).expect("list roles")).await.expect("join");
    let roles: Value = serde_json::from_str(&roles).expect("JSON");
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut granted = BTreeSet::new();
    for role in roles["items"].as_array().expect("a list") {
        let name = role["metadata"]["name"].as_str().expect("a name");
        // These are for people.
        if role["metadata"]["labels"].as_object().expect("labels").keys().any(|label| label.contains("aggregate-to")) {
            continue;
        }
        for rule in role["rules"].as_array().expect("rules") {
            for (group, resource, verb) in texts(&rule["apiGroups"])
                .iter()
                .flat_map(|group| texts(&rule["resources"]).into_iter().map(move |resource| (group, resource)))
                .flat_map(|(group, resource)| {
                    texts(&rule["verbs"]).into_iter().map(move |verb| (group, resource.clone(), verb))
                })
            {
                granted.insert((name.to_owned(), format!("{group}/{resource}"), verb));
            }
        }
    }
    granted
}

#[tokio::test(flavor = "multi_thread")]
async fn each_verb_of_the_operator_and_of_the_api_is_needed_by_a_call_and_no_call_is_refused() {
    let installation = install(RELEASE, &["controller.leaseSeconds=3"]).await;
    let mut audit = Audit::new();
    let is_away = std::sync::Arc::new(AtomicBool::new(true));
    let away = std::sync::Arc::clone(&is_away);
    let world = World::without_operator("least", move |request| {
        let status = if request.target == "/flaky" && away.load(Ordering::Relaxed) { 503 } else { 200 };
        Answer::new(status, "x".repeat(if request.target == "/long" { 50_000 } else { 10 }))
    })
    .await;
    before(&world).await;

    let binary = Path::new(env!("CARGO_BIN_EXE_oncall-webhooks"));
    let confined = |args: &[String], more: &[&str]| -> Vec<String> {
        let name_of = |arg: &str| arg.split('=').next().map(str::to_owned);
        let kept = args.iter().filter(|arg| more.iter().all(|other| name_of(other) != name_of(arg))).cloned();
        let more = more.iter().map(|arg| (*arg).to_owned());
        kept.chain(more).chain([format!("--namespace={}", world.namespace)]).collect()
    };
    let keeping = [
        "--retention-every=1s",
        "--keep-events=0",
        "--keep-responses=0",
        "--keep-alert-groups=0",
        "--keep-latest-for=0s",
    ];
    let (cluster, _) = cluster();
    let args = confined(&installation.args, &["--identity=first"]);
    let operator =
        Operator::start(binary, cluster.processes(), "least-operator", &installation.kubeconfig, &args).await;
    let operator = operator.expect("start the operator");
    let args = confined(installation.api_args.as_deref().expect("arguments of the API"), &["--memory-limit=64Mi"]);
    let api = Api::start(binary, cluster.processes(), "least-api", &installation.api_kubeconfig, &args).await;
    let api = api.expect("start the REST API");

    in_the_operator(&world, &mut audit, &is_away).await;
    let team = Team::within((*world).clone(), api.url()).await;
    let alerts = Alerts::new(&team, &api).await;
    over_http(&team, &alerts, &mut audit).await;
    // Somebody else writes the Lease: the operator looks whose it is.
    let leases: KubeApi<Lease> = KubeApi::namespaced(admin().await, RELEASE);
    let touch = Patch::Merge(json!({"metadata": {"annotations": {"touched": "1"}}}));
    leases.patch(RELEASE, &PatchParams::default(), &touch).await.expect("patch Lease");
    audit.uses(LEASE, "coordination.k8s.io/leases", &["get"]).await;
    // Another replica stands by, and takes over: what is not kept is removed.
    let args = confined(&installation.args, &[&["--identity=second"][..], &keeping].concat());
    let (group, kubeconfig) = (cluster.processes(), &installation.kubeconfig);
    let second = Operator::start_until(binary, group, "least-second", kubeconfig, &args, STANDING_BY).await;
    let _second = second.expect("start a replica");
    audit.uses(LEASE, "coordination.k8s.io/leases", &["watch"]).await;
    drop(operator);
    // What it was not there for is read as it was written.
    let group = alerts.group(&team).await;
    team.call(Method::POST, &format!("{group}acknowledge/"), None).await.expect(200);
    audit.uses(OPERATOR, "oncall.dev/alertgroups", &["get"]).await;
    alerts.send("resolved").await;
    for kind in ["webhookresponses", "alertgroupevents", "alertgroups"] {
        audit.uses(OPERATOR, &format!("oncall.dev/{kind}"), &["delete"]).await;
    }

    audit.read();
    let granted: BTreeSet<Right> = granted().await;
    let is_call = |(_, resource, verb): &&Right| !OF_POLICIES.contains(&(resource, verb));
    let unused: Vec<&Right> = granted.iter().filter(is_call).filter(|right| !audit.used.contains(*right)).collect();
    assert_eq!(unused, Vec::<&Right>::new(), "granted, and not needed");
    assert_eq!(audit.refused, BTreeSet::new(), "needed, and not granted");
    assert!(granted.len() > 40, "{granted:?}");
}

/// What is there before the operator starts: a segment of a journal, and more events than are recorded one by one.
async fn before(world: &World) {
    world.apply(&intake::secret("header", "s3cret")).await;
    let header = json!([{"name": "X-Secret", "secretKeyRef": {"name": "header", "key": "token"}}]);
    for name in ["one", "two", "three", "four"] {
        world.webhook(name, "resolve", json!({"headersFrom": header})).await;
    }
    world.webhook("long", "unresolve", json!({})).await;
    let retry = json!({"initialDelay": "100ms", "maxDelay": "100ms"});
    world.webhook("flaky", "acknowledge", json!({"retry": retry.clone()})).await;
    world.webhook("step", "escalation", json!({})).await;
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "own"}, "spec": {"ports": [{"port": 80}], "selector": {"a": "b"}},
    });
    world.apply(&service.to_string()).await;
    let url = format!("http://own.{}.svc/", world.namespace);
    world.webhook("own", "silence", json!({"url": url, "timeout": "10s", "retry": retry})).await;
    let mut segment = DeliveryJournal::new("left", DeliveryJournalSpec { records: 1, data: "bm8gemlw".to_owned() });
    segment.metadata.labels = Some([(JOURNAL_SCOPE_LABEL.to_owned(), format!("in.{}", world.namespace))].into());
    let journal: KubeApi<DeliveryJournal> = KubeApi::namespaced(admin().await, RELEASE);
    journal.create(&PostParams::default(), &segment).await.expect("create DeliveryJournal");
    let events = (0..EVENTS).map(|number| ("resolve", number)).chain((0..LONG).map(|number| ("unresolve", number)));
    stream::iter(events)
        .for_each_concurrent(16, |(kind, number)| async move {
            drop(world.event(&format!("{kind}-{number}"), kind, &format!("I{number}"), json!({})).await);
        })
        .await;
}

/// What the operator does.
async fn in_the_operator(world: &World, audit: &mut Audit, is_away: &AtomicBool) {
    audit.uses(OPERATOR, "discovery.k8s.io/endpointslices", &["get"]).await;
    for kind in ["webhooks", "integrations", "alertgroupevents", "alertgroups", "webhookresponses"] {
        audit.uses(OPERATOR, &format!("oncall.dev/{kind}"), &["list", "watch"]).await;
    }
    audit.uses(OPERATOR, "/secrets", &["list", "watch"]).await;
    audit.uses(LEASE, "coordination.k8s.io/leases", &["list", "create", "update"]).await;
    audit.uses(LEASE, "oncall.dev/deliveryjournals", &["get", "list", "create", "delete"]).await;
    world.event("silenced", "silence", "I1", json!({})).await;
    audit.uses(OPERATOR, "/services", &["get"]).await;
    audit.uses(OPERATOR, "discovery.k8s.io/endpointslices", &["list"]).await;
    // The first attempt is recorded, then the second one.
    world.event("taken", "acknowledge", "I1", json!({})).await;
    let first = |status: &oncall_webhooks::resources::WebhookResponseStatus| status.attempt_count > 0;
    world.response_that("flaky", first).await;
    is_away.store(false, Ordering::Relaxed);
    audit.uses(OPERATOR, "oncall.dev/webhookresponses", &["create", "patch"]).await;
    audit.uses(OPERATOR, "oncall.dev/alertgroupevents/status", &["update"]).await;
    audit.uses(OPERATOR, "oncall.dev/webhooks/status", &["patch"]).await;
    // People are told, and the same again raises a count.
    for (suspend, verbs) in [(true, &["create"][..]), (false, &[]), (true, &["patch"])] {
        world
            .kubectl(&["patch", "wh", "long", "--type=merge", "-p", &json!({"spec": {"suspend": suspend}}).to_string()])
            .await;
        let shown = |webhook: Option<&Webhook>| {
            let is_suspended = webhook?.status.as_ref()?.state.as_deref() == Some("Suspended");
            (is_suspended == suspend).then_some(())
        };
        world.object_that("the state of a webhook", "long", shown).await;
        audit.uses(OPERATOR, "events.k8s.io/events", verbs).await;
    }
    // Sent again: its data is read again.
    world.completed("taken", 1).await;
    world.kubectl(&["annotate", "agev", "taken", "oncall.dev/redeliver=1"]).await;
    audit.uses(OPERATOR, "oncall.dev/alertgroupevents", &["get"]).await;
}

/// A source of alerts.
struct Alerts {
    source: intake::Source,
    path: String,
    token: String,
}

impl Alerts {
    async fn new(team: &Team, api: &Api) -> Self {
        let step = json!({"escalation": [{"after": "1s", "webhookRefs": ["step"]}]});
        let token = intake::made(team, "prod", "alertmanager", step).await;
        Self { source: intake::Source::of(api), path: intake::path("alertmanager", &token), token }
    }

    async fn send(&self, status: &str) {
        self.source.taken(&self.path, &self.token, &intake::group(status).to_string()).await;
    }

    /// The path of the one alert group that there is.
    async fn group(&self, team: &Team) -> String {
        eventually("the API shows the alert group", || async {
            let groups = team.get("/api/v1/alert_groups/").await.json();
            let only = groups["results"].as_array().filter(|groups| groups.len() == 1)?;
            Some(format!("/api/v1/alert_groups/{}/", id(&only[0])))
        })
        .await
    }
}

/// What the API does, and the operator of it.
async fn over_http(team: &Team, alerts: &Alerts, audit: &mut Audit) {
    alerts.send("firing").await;
    alerts.send("firing").await;
    audit.uses(OPERATOR, "oncall.dev/integrations", &["get"]).await;
    audit.uses(OPERATOR, "oncall.dev/integrations/status", &["patch"]).await;
    audit.uses(OPERATOR, "oncall.dev/alertgroups", &["create", "patch"]).await;
    audit.uses(OPERATOR, "oncall.dev/alertgroupevents", &["create", "delete"]).await;
    let group = alerts.group(team).await;
    team.call(Method::POST, &format!("{group}acknowledge/"), None).await.expect(200);
    team.get("/api/v1/integrations/").await.expect(200);

    let webhook = team.create("new", json!({"username": "ann", "password": "s3cret"})).await;
    // Another password, and none any more.
    for (username, password) in [("ann".into(), "other".into()), (Value::Null, Value::Null)] {
        let body = json!({
            "name": "new", "url": "https://example.com", "http_method": "POST", "trigger_type": "resolve", "username": username,
            "password": password,
        });
        team.put(&path(&webhook), body).await.expect(200);
    }
    audit.uses(API, "/secrets", &["create", "patch", "delete"]).await;
    team.get(&path(&webhook)).await.expect(200);
    let long = oncall_webhooks::core::id::webhook_id(&team.namespace, "long");
    let page = async |number: usize| team.get(&format!("{WEBHOOKS}{long}/responses/?page={number}")).await.json();
    eventually("all responses are shown", || async { (page(1).await["count"] == LONG).then_some(()) }).await;
    for number in 1..=LONG.div_ceil(50) {
        assert_eq!(page(number).await["count"], LONG);
    }
    audit.uses(API, "oncall.dev/webhookresponses", &["list", "watch", "get"]).await;
    team.delete(&path(&webhook)).await.expect(204);
    // A token of a ServiceAccount, and a Secret of a token that is none, twice.
    team.kubectl(&["create", "serviceaccount", "bot"]).await;
    let bot = team.kubectl(&["create", "token", "bot"]).await;
    team.send(Method::GET, WEBHOOKS, Some(&format!("Bearer {}", bot.trim())), None).await;
    let secrets = team.api::<Secret>();
    for value in ["short", "oncall_a_token_that_is_long_enough", "short"] {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bad", "labels": {"oncall.dev/api-token": "true"}},
            "stringData": {"token": value},
        });
        let apply = PatchParams::apply("test").force();
        secrets.patch("bad", &apply, &Patch::Apply(secret)).await.expect("apply Secret");
        if value == "short" {
            audit.uses(API, "events.k8s.io/events", &["create"]).await;
        } else {
            team.accepted(value).await;
        }
    }
    audit.uses(API, "events.k8s.io/events", &["patch"]).await;
    audit.uses(REVIEWER, "authentication.k8s.io/tokenreviews", &["create"]).await;
    audit.uses(REVIEWER, "authorization.k8s.io/subjectaccessreviews", &["create"]).await;
    team.call(Method::DELETE, &group, Some(&json!({"mode": "delete"}))).await.expect(204);
    // Another one, which stays.
    eventually("it is gone", || async { (team.get(&group).await.status == 404).then_some(()) }).await;
    alerts.send("firing").await;
}
