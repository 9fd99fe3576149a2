//! Several namespaces, with Roles in each: the operator and the API work in these and in no other, and one that may not be read holds up
//! none.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use kube::{ResourceExt, api::ListParams};
use oncall_webhooks::resources::{AlertGroupEvent, DeliveryJournal, EventPhase, Webhook};
use reqwest::Method;
use serde_json::json;
use support::{Answer, Api, Installation, Operator, Receiver, output};

use super::{Team, WEBHOOKS, layouts::install, random_token};
use crate::{
    harness::{LIMIT, TestNamespace, cluster, eventually},
    journal::{deflated, leave_segment, record},
};

/// What is logged of a namespace that may not be read.
const CLOSED: &str = "the API server refuses to list a kind in a namespace of --namespace: nothing is done in this namespace until it may be \
                      listed; give the ServiceAccount its Role there, or take the namespace off the list";

fn watching(namespaces: &[&TestNamespace]) -> String {
    let names: Vec<&str> = namespaces.iter().map(|place| place.namespace.as_str()).collect();
    format!("watchNamespaces={{{}}}", names.join(","))
}

/// The arguments with these in place of those of the same flags.
fn with(args: &[String], more: &[String]) -> Vec<String> {
    let flag = |arg: &str| arg.split('=').next().map(str::to_owned);
    let others = args.iter().filter(|arg| more.iter().all(|new| flag(new) != flag(arg)));
    others.chain(more).cloned().collect()
}

/// Starts the operator with these arguments in place of the chart's of the same flags.
async fn start_operator(name: &str, installation: &Installation, more: &[String]) -> Operator {
    let (cluster, binary) = (&cluster().0, Path::new(env!("CARGO_BIN_EXE_oncall-webhooks")));
    let (name, args) = (format!("{name}-operator"), with(&installation.args, more));
    let operator = Operator::start(binary, cluster.processes(), &name, &installation.kubeconfig, &args).await;
    operator.expect("start the operator")
}

/// The same, and the REST API.
async fn start(name: &str, installation: &Installation, more: &[String]) -> (Operator, Api) {
    let (cluster, binary) = (&cluster().0, Path::new(env!("CARGO_BIN_EXE_oncall-webhooks")));
    let of_api = format!("{name}-api");
    let args = with(installation.api_args.as_deref().expect("a container named api"), more);
    let api = Api::start(binary, cluster.processes(), &of_api, &installation.api_kubeconfig, &args);
    let (operator, api) = tokio::join!(start_operator(name, installation, more), api);
    (operator, api.expect("start the REST API"))
}

/// The targets of the requests that have come.
fn targets(receiver: &Receiver) -> Vec<String> {
    receiver.received().into_iter().map(|request| request.target).collect()
}

/// A webhook for the receiver, and what fires it.
async fn fire(place: &TestNamespace, receiver: &Receiver, event: &str) {
    let webhook = json!({
        "apiVersion": "oncall.dev/v1alpha1", "kind": "Webhook", "metadata": {"name": "one"},
        "spec": {"triggerType": "resolve", "url": format!("{}/{}", receiver.url(), place.namespace), "name": place.namespace},
    });
    let event = json!({
        "apiVersion": "oncall.dev/v1alpha1", "kind": "AlertGroupEvent", "metadata": {"name": event},
        "spec": {"type": "resolve", "alertGroup": {"id": "I1"}},
    });
    place.apply(&format!("{webhook}\n---\n{event}")).await;
}

async fn delivered(place: &TestNamespace, event: &str) {
    let is_delivered = |event: Option<&AlertGroupEvent>| {
        let status = event?.status.as_ref()?;
        (status.phase == EventPhase::Completed && status.succeeded == 1).then_some(())
    };
    place.object_that("the event is delivered", event, is_delivered).await;
}

/// The names of the webhooks that the team sees.
async fn listed(team: &Team) -> Vec<String> {
    let list = team.get(WEBHOOKS).await.expect(200);
    let results = list["results"].as_array().expect("results");
    results.iter().filter_map(|webhook| webhook["name"].as_str()).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn in_two_of_three_namespaces_both_work_with_roles_of_these_alone() {
    let [first, second, third] =
        [TestNamespace::new("first").await, TestNamespace::new("second").await, TestNamespace::new("third").await];
    let installation = install("several-oncall-webhooks", &[&watching(&[&first, &second])]).await;
    let receiver = Receiver::start(|_| Answer::new(200, "ok")).await.expect("start a receiver");
    fire(&third, &receiver, "fired").await;
    let (operator, api) = start("several", &installation, &[]).await;
    for place in [&first, &second] {
        fire(place, &receiver, "fired").await;
        delivered(place, "fired").await;
        let team = Team::within(place.clone(), api.url()).await;
        eventually("the API lists the webhooks of its namespace", || async {
            (listed(&team).await == [place.namespace.clone()]).then_some(())
        })
        .await;
        team.create("another", json!({})).await;
    }
    assert_eq!(targets(&receiver), [&first, &second].map(|place| format!("/{}", place.namespace)));
    let event = third.api::<AlertGroupEvent>().get("fired").await.expect("get AlertGroupEvent");
    assert!(event.status.is_none(), "{:?}", event.status);

    // A ServiceAccount names a namespace that is served.
    first.kubectl(&["create", "serviceaccount", "caller"]).await;
    let token = first.kubectl(&["create", "token", "caller"]).await;
    let http = reqwest::Client::builder().no_proxy().build().expect("make a client");
    for (place, expected) in [
        (&second, "may not list webhooks.oncall.dev".to_owned()),
        (&third, format!("Namespace {} is not served here.", third.namespace)),
    ] {
        let call = http.get(format!("{}{WEBHOOKS}", api.url())).header("Authorization", token.trim());
        let answer = call.header("X-OnCall-Namespace", &place.namespace).send().await.expect("an answer");
        let (status, body) = (answer.status().as_u16(), answer.text().await.expect("a body"));
        assert!(status == 403 && body.contains(&expected), "{status} {body}");
    }
    let logs = format!("{}{}", operator.log(), api.process().log());
    // EndpointSlice default/kubernetes can't be read, which is no warning.
    let refused = |line: &&str| line.contains("forbidden") && !line.contains("default/kubernetes");
    assert_eq!(logs.lines().filter(refused).collect::<Vec<_>>(), Vec::<&str>::new());
}

/// Waits until a process has ended by itself, as it should: after it has asked for long enough.
async fn ended(process: &mut Operator) {
    let deadline = Instant::now() + 3 * LIMIT;
    let status = loop {
        if let Some(status) = process.ended().expect("look after the process") {
            break status;
        }
        assert!(Instant::now() < deadline, "it has not ended: {}", process.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(status.success(), "{status}: {}", process.log());
}

/// Lets the operator and the API of a release work in these namespaces alone.
async fn upgrade(release: &'static str, namespaces: &[&TestNamespace]) {
    let values = watching(namespaces);
    let upgrade = tokio::task::spawn_blocking(move || {
        let mut helm = cluster().0.helm();
        helm.args(["upgrade", release]).arg(support::chart()).args([
            "--namespace",
            release,
            "--reset-then-reuse-values",
        ]);
        output(helm.args(["--set", &values])).expect("upgrade the chart")
    });
    upgrade.await.expect("join");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_whose_rights_are_missing_holds_up_no_other_and_nothing_of_it_is_lost_or_repeated_when_it_has_them()
{
    let (first, second) = (TestNamespace::new("granted").await, TestNamespace::new("denied").await);
    let release = "partly-oncall-webhooks";
    let installation = install(release, &[&watching(&[&first])]).await;
    let receiver = Receiver::start(|_| Answer::new(200, "ok")).await.expect("start a receiver");
    // An earlier process has sent this in both.
    let mut sent = Vec::new();
    for place in [&first, &second] {
        fire(place, &receiver, "fired").await;
        let webhook = place.api::<Webhook>().get("one").await.expect("get Webhook").uid().expect("a uid");
        let event = place.api::<AlertGroupEvent>().get("fired").await.expect("get AlertGroupEvent");
        sent.push(record(&place.namespace, &webhook, ("fired", &event.uid().expect("a uid")), 200));
    }
    let journal = kube::Api::<DeliveryJournal>::namespaced(first.api::<DeliveryJournal>().into_client(), release);
    let scope = format!("of.{release}");
    leave_segment(&journal, "mixed", &scope, deflated(&sent)).await;
    leave_segment(&journal, "closed", &scope, deflated(&sent[1..])).await;

    // The environment variable has commas too.
    let both = format!("--namespace={},{}", first.namespace, second.namespace);
    let (mut operator, mut api) = start("partly", &installation, std::slice::from_ref(&both)).await;
    fire(&first, &receiver, "next").await;
    for event in ["fired", "next"] {
        delivered(&first, event).await;
    }
    for process in [&operator, api.process()] {
        let closed = process.events(CLOSED);
        assert!(!closed.is_empty() && closed.iter().all(|line| line["namespace"] == second.namespace), "{closed:?}");
    }
    for segment in ["mixed", "closed"] {
        let stays = "stays: it has records of namespaces in which nothing can be done now";
        assert_eq!(operator.events(&format!("DeliveryJournal {release}/{segment} {stays}")).len(), 1, "{segment}");
    }
    let team = Team::within(first.clone(), api.url()).await;
    let unknown = team.send(Method::GET, WEBHOOKS, Some(&random_token()), None).await;
    let detail = "The token can't be checked: not all namespaces can be read now.";
    assert_eq!((unknown.both(), unknown.header("Retry-After")), ((503, json!({"detail": detail})), Some("15")));

    upgrade(release, &[&first, &second]).await;
    // In a pod they are started again.
    tokio::join!(ended(&mut operator), ended(api.process_mut()));
    let names = async || -> Vec<String> {
        let segments = journal.list(&ListParams::default()).await.expect("list DeliveryJournals");
        segments.iter().map(ResourceExt::name_any).collect()
    };
    assert_eq!(names().await, ["closed", "mixed"], "they have stayed");
    let (_operator, api) = start("partly", &installation, &[both]).await;
    delivered(&second, "fired").await;
    fire(&second, &receiver, "later").await;
    delivered(&second, "later").await;
    let invited = Team::within(second.clone(), api.url()).await;
    assert_eq!(listed(&invited).await, [second.namespace.as_str()]);
    let invalid = invited.send(Method::GET, WEBHOOKS, Some(&random_token()), None).await;
    assert_eq!(invalid.both(), (403, json!({"detail": "Invalid token."})));
    eventually("the journal is written out", || async { names().await.is_empty().then_some(()) }).await;
    // Nothing is sent again.
    fire(&first, &receiver, "later").await;
    delivered(&first, "later").await;
    assert_eq!(targets(&receiver), [&first, &second, &first].map(|place| format!("/{}", place.namespace)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_where_rights_are_taken_away_is_recorded_and_the_process_goes_on_without_the_namespace() {
    let (first, second) = (TestNamespace::new("kept").await, TestNamespace::new("taken").await);
    let release = "less-oncall-webhooks";
    let installation = install(release, &[&watching(&[&first, &second])]).await;
    let receiver = Receiver::start(|_| Answer::new(200, "ok")).await.expect("start a receiver");
    let (mut operator, api) = start("less", &installation, &[]).await;
    for place in [&first, &second] {
        fire(place, &receiver, "fired").await;
        delivered(place, "fired").await;
    }
    second.kubectl(&["delete", "rolebinding", release]).await;
    // Its watch has begun, and goes on.
    fire(&second, &receiver, "late").await;
    receiver.wait_for(3, LIMIT).await.expect("it is sent");
    ended(&mut operator).await;
    let (mut operator, _api) = (start_operator("less", &installation, &[]).await, api);
    let closed = operator.events(CLOSED);
    assert!(!closed.is_empty() && closed.iter().all(|line| line["namespace"] == second.namespace), "{closed:?}");
    fire(&first, &receiver, "later").await;
    delivered(&first, "later").await;

    upgrade(release, &[&first, &second]).await;
    ended(&mut operator).await;
    let _operator = start_operator("less", &installation, &[]).await;
    delivered(&second, "late").await;
    assert_eq!(targets(&receiver), [&first, &second, &second, &first].map(|place| format!("/{}", place.namespace)));
}
