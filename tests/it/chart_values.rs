//! The chart's values: each is described, set somewhere in these tests, and refused where it is misspelled; with all of them on, the API
//! server takes what is rendered, under Pod Security `restricted`.

use std::{fs, path::PathBuf, process::Command};

use cluster::{CERT_MANAGER, GATEWAY_API, PROMETHEUS_OPERATOR};
use serde_json::{Value, json};
use support::{output, pipe};

use crate::harness::{Temporary, cluster, define};

/// What everything.yaml leaves out, and why.
const LEFT_OUT: [&str; 4] = [
    // image.digest is in its place.
    "image.tag",
    // It excludes what belongs to no namespace; .ci/manifests sets it.
    "watchNamespaces",
    // Pod Security `restricted` refuses it.
    "securityContext.allowPrivilegeEscalation",
    // Of charts around this one.
    "global",
];

fn everything() -> PathBuf {
    support::repository().join("tests/it/chart/everything.yaml")
}

fn yaml(path: PathBuf) -> Value {
    serde_saphyr::from_str(&fs::read_to_string(path).expect("read a file")).expect("parse YAML")
}

/// The path of every value that is off or empty.
fn unset(values: &Value, path: &str, found: &mut Vec<String>) {
    match values {
        Value::Object(members) if !members.is_empty() => {
            for (name, value) in members {
                unset(value, &if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, found);
            }
        }
        Value::Null | Value::Bool(false) => found.push(path.to_owned()),
        Value::String(text) if text.is_empty() => found.push(path.to_owned()),
        Value::Array(items) if items.is_empty() => found.push(path.to_owned()),
        Value::Object(_) => found.push(path.to_owned()),
        Value::Bool(true) | Value::Number(_) | Value::String(_) | Value::Array(_) => {}
    }
}

#[test]
fn everything_yaml_sets_every_value_that_is_off_or_empty() {
    let mut expected = Vec::new();
    unset(&yaml(support::chart().join("values.yaml")), "", &mut expected);
    let set = yaml(everything());
    let is_missing = |path: &&String| {
        let value = path.split('.').fold(&set, |value, name| &value[name]);
        let mut empty = Vec::new();
        unset(value, "", &mut empty);
        !empty.is_empty() && value.as_object().is_none_or(serde_json::Map::is_empty)
    };
    let missing: Vec<_> = expected.iter().filter(is_missing).collect();
    assert_eq!(missing, LEFT_OUT);
}

/// The path of each schema of an object that says nothing of the members that it does not name.
fn open(schema: &Value, path: &str, found: &mut Vec<String>) {
    let Some(members) = schema.as_object() else { return };
    if schema["type"] == "object"
        && !members.contains_key("additionalProperties")
        && !path.contains(".then.")
        && !path.contains(".if")
    {
        found.push(path.trim_start_matches('.').to_owned());
    }
    for (name, member) in members {
        match member {
            Value::Array(items) => items.iter().for_each(|item| open(item, path, found)),
            _ => open(member, &format!("{path}.{name}"), found),
        }
    }
}

#[test]
fn the_schema_names_the_members_of_every_object_that_is_the_charts_own() {
    let schema = fs::read_to_string(support::chart().join("values.schema.json")).expect("read the schema");
    let schema: Value = serde_json::from_str(&schema).expect("parse the schema");
    let mut opened = Vec::new();
    open(&schema, "", &mut opened);
    // What Kubernetes defines, below what is named here, the API server judges.
    let of_kubernetes = |path: &String| {
        ["volumes", "env", "resources", "affinity", "topologySpreadConstraints", "peers", "egress"]
            .iter()
            .any(|name| path.starts_with(&format!("definitions.{name}.")))
            || ["podSecurityContext", "securityContext", "extraObjects"]
                .iter()
                .any(|name| path.starts_with(&format!("properties.{name}.")))
            || path.starts_with("properties.api.properties.httpRoute.properties.")
            // The Prometheus operator.
            || ["authorization", "relabelings.items", "metricRelabelings.items"].iter().any(|name| {
                path.starts_with("properties.metrics.properties.") && path.ends_with(&format!("Monitor.properties.{name}"))
            })
    };
    opened.retain(|path| !of_kubernetes(path));
    assert_eq!(opened, ["properties.global"]);
    // And it knows no value that the chart has not.
    let values = yaml(support::chart().join("values.yaml"));
    let names = |of: &Value| of.as_object().map(|of| of.keys().cloned().collect::<std::collections::BTreeSet<_>>());
    let mut known = names(&schema["properties"]);
    // This one is refused with what to write in its place.
    assert!(known.as_mut().is_some_and(|known| known.remove("watchNamespace")));
    assert_eq!(known, names(&values));
    let parts = [
        "admission",
        "api",
        "controller",
        "crds",
        "image",
        "metrics",
        "networkPolicy",
        "podDisruptionBudget",
        "rbac",
        "tests",
        "tracing",
    ];
    for part in parts {
        assert_eq!(names(&schema["properties"][part]["properties"]), names(&values[part]), "{part}");
    }
}

fn kubectl(args: &[&str]) -> Command {
    let mut kubectl = cluster().0.kubectl();
    kubectl.args(args);
    kubectl
}

/// A namespace in which Pod Security refuses what is not `restricted`.
fn restricted_namespace(name: &str) {
    output(&mut kubectl(&["create", "namespace", name])).expect("create a namespace");
    let label = "pod-security.kubernetes.io/enforce=restricted";
    output(&mut kubectl(&["label", "namespace", name, label])).expect("label a namespace");
}

/// Whether the API server would take a pod.
fn admitted(namespace: &str, pod: &Value) -> Result<String, String> {
    let mut create = kubectl(&["create", "--dry-run=server", "--namespace", namespace, "-f", "-"]);
    pipe(&mut create, &pod.to_string()).map_err(|error| error.to_string())
}

/// The pod that a Deployment would make.
fn pod_of(deployment: &Value) -> Value {
    let template = &deployment["spec"]["template"];
    let mut pod =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"], "spec": template["spec"]});
    pod["metadata"]["generateName"] = json!("judged-");
    pod
}

/// The manifests that Helm keeps of a release: `manifest` or `hooks`.
fn manifests(release: &str, what: &str) -> Vec<Value> {
    let mut helm = cluster().0.helm();
    let text = output(helm.args(["get", what, release, "--namespace", release])).expect("helm get");
    let documents = text.split("\n---\n").map(|document| document.trim_start_matches("---\n"));
    let objects = documents.map(|document| serde_saphyr::from_str::<Value>(document).expect("parse a manifest"));
    objects.filter(|object| !object.is_null()).collect()
}

fn install(release: &str, args: &[&str]) {
    restricted_namespace(release);
    let mut helm = cluster().0.helm();
    helm.args(["install", release, "--namespace", release, "--set", "crds.enabled=false"]).arg(support::chart());
    output(helm.args(args)).expect("install the chart");
}

/// All pods of a release, and how many of them there are, are let into a namespace that is `restricted`.
fn pods_are_restricted(release: &str) {
    let deployments: Vec<_> =
        manifests(release, "manifest").into_iter().filter(|object| object["kind"] == "Deployment").collect();
    assert_eq!(deployments.len(), 2);
    for deployment in &deployments {
        admitted(release, &pod_of(deployment)).expect("a pod of the Deployment");
    }
    let hooks = manifests(release, "hooks");
    let test = hooks.iter().find(|object| object["kind"] == "Pod").expect("a pod that tests");
    let account = hooks.iter().find(|object| object["kind"] == "ServiceAccount").expect("its ServiceAccount");
    let mut create = kubectl(&["create", "--namespace", release, "-f", "-"]);
    pipe(&mut create, &account.to_string()).expect("create its ServiceAccount");
    admitted(release, test).expect("the pod that tests");

    // It is judged: with more rights it is refused.
    let mut privileged = pod_of(&deployments[0]);
    privileged["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = json!(true);
    let refusal = admitted(release, &privileged).expect_err("a pod with more rights");
    assert!(refusal.contains("violates PodSecurity \"restricted:latest\""), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_need_no_more_than_pod_security_restricted_gives() {
    let work = || {
        let release = "restricted-oncall-webhooks";
        install(release, &[]);
        pods_are_restricted(release);
    };
    tokio::task::spawn_blocking(work).await.expect("join");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_takes_the_chart_with_everything_on_and_every_object_has_the_common_labels_and_annotations() {
    tokio::task::spawn_blocking(everything_on).await.expect("join");
}

fn everything_on() {
    [&GATEWAY_API, &CERT_MANAGER, &PROMETHEUS_OPERATOR].into_iter().for_each(define);
    let (release, values) = ("everything", everything().display().to_string());
    // The admission webhook would be asked about what other tests write; what is rendered of it is judged below.
    install(release, &["--values", &values, "--set", "admission.enabled=false"]);
    pods_are_restricted(release);

    let admission = ["--namespace", release, "--values", &values, "--show-only", "templates/admissionwebhook.yaml"];
    let admission = render(&admission).expect("render the admission webhook");
    for object in &admission {
        let mut dry_run = kubectl(&["apply", "--dry-run=server", "--namespace", release, "-f", "-"]);
        pipe(&mut dry_run, &object.to_string()).expect("the API server takes it");
    }
    let installed = manifests(release, "manifest");
    let (manifest, hooks) = ([installed, admission].concat(), manifests(release, "hooks"));
    let kinds = |kind: &str| manifest.iter().filter(|object| object["kind"] == kind).count();
    for (kind, count) in [
        ("Certificate", 2),
        ("ConfigMap", 3),
        ("Deployment", 2),
        ("HTTPRoute", 1),
        ("Ingress", 1),
        ("PodDisruptionBudget", 2),
        ("PodMonitor", 1),
        ("PrometheusRule", 1),
        ("Service", 4),
        ("ServiceMonitor", 1),
        ("ValidatingWebhookConfiguration", 1),
    ] {
        assert!(kinds(kind) >= count, "{kind}: {}", kinds(kind));
    }
    for object in manifest.iter().chain(&hooks) {
        let metadata = &object["metadata"];
        let name = format!("{} {}", object["kind"], metadata["name"]);
        assert_eq!(metadata["labels"]["team"], "platform", "{name}");
        assert_eq!(metadata["annotations"]["example.com/owner"], "platform", "{name}");
    }

    // The definitions too, which this cluster has from another release.
    let mut helm = cluster().0.helm();
    helm.args(["template", release, "--namespace", release, "--values", &values, "--show-only", "templates/crds.yaml"]);
    let definitions = output(helm.arg(support::chart())).expect("render the definitions");
    pipe(&mut kubectl(&["apply", "--dry-run=server", "--server-side", "--force-conflicts", "-f", "-"]), &definitions)
        .expect("definitions");
    for label in
        ["team: platform", "example.com/owner: platform", "example.com/crds: \"true\"", "resource-policy: keep"]
    {
        assert_eq!(definitions.matches(label).count(), 6, "{label}");
    }
}

/// The same, but `0.0` is `0`, as Helm writes it.
fn whole_numbers(value: &Value) -> Value {
    match value {
        Value::Object(members) => members.iter().map(|(name, member)| (name.clone(), whole_numbers(member))).collect(),
        Value::Array(items) => items.iter().map(whole_numbers).collect(),
        Value::Number(number) => number.as_f64().map_or_else(|| value.clone(), Value::from),
        Value::Null | Value::Bool(_) | Value::String(_) => value.clone(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn definitions_are_rendered_as_they_are_checked_in() {
    let render = || {
        let mut helm = cluster().0.helm();
        helm.args(["template", "release", "--show-only", "templates/crds.yaml"]);
        output(helm.arg(support::chart())).expect("render the definitions")
    };
    let rendered = tokio::task::spawn_blocking(render).await.expect("join");
    let mut count = 0;
    for document in rendered.split("---\n").filter(|document| !document.trim().is_empty()) {
        let definition: Value = serde_saphyr::from_str(document).expect("parse a definition");
        let name = definition["metadata"]["name"].as_str().expect("a name");
        let checked_in = yaml(support::repository().join("crds").join(format!("{name}.yaml")));
        assert!(whole_numbers(&definition["spec"]) == whole_numbers(&checked_in["spec"]), "{name} differs");
        count += 1;
    }
    assert_eq!(count, 6);
}

/// The chart, rendered without a cluster.
fn render(args: &[&str]) -> Result<Vec<Value>, String> {
    let mut helm = cluster().0.helm();
    helm.args(["template", "release", "--skip-tests", "--set", "crds.enabled=false"]).args(args);
    let text = output(helm.arg(support::chart())).map_err(|error| error.to_string())?;
    let documents = text.split("---\n").filter(|document| document.contains("kind:"));
    Ok(documents.map(|document| serde_saphyr::from_str(document).expect("parse a manifest")).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_the_chart_before_are_taken_as_they_were() {
    let work = || {
        let mut helm = cluster().0.helm();
        let old = support::repository().join("tests/it/chart/with-crds-folder.tgz");
        let values = output(helm.args(["show", "values"]).arg(old)).expect("read the values of the chart before");
        let file = Temporary::new(&values);
        render(&["--values", &file.path()]).expect("render with the values of the chart before")
    };
    let rendered = tokio::task::spawn_blocking(work).await.expect("join");
    // Where the default is another one now, those who have set it keep what they have set.
    let replicas: Vec<_> = rendered
        .iter()
        .filter(|object| object["kind"] == "Deployment")
        .map(|object| &object["spec"]["replicas"])
        .collect();
    assert_eq!(replicas, [1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_two_objects_have_one_name_however_long_that_of_the_release_is() {
    let (values, name) = (everything().display().to_string(), format!("fullnameOverride={}", "a".repeat(63)));
    let work = move || render(&["--values", &values, "--set", &name]).expect("render the chart");
    let rendered = tokio::task::spawn_blocking(work).await.expect("join");
    let mut names: Vec<String> = rendered
        .iter()
        .map(|object| format!("{} {} {}", object["kind"], object["metadata"]["namespace"], object["metadata"]["name"]))
        .collect();
    names.sort();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all, "{names:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_revision_takes_no_replica_away_before_another_is_ready_nor_while_calls_still_come() {
    let rendered = tokio::task::spawn_blocking(|| render(&[]).expect("render the chart")).await.expect("join");
    let of_kind = |kind: &str| rendered.iter().filter(|object| object["kind"] == kind).collect::<Vec<_>>();
    let deployments = of_kind("Deployment");
    assert_eq!(deployments.len(), 2);
    for deployment in deployments {
        let (name, spec) = (&deployment["metadata"]["name"], &deployment["spec"]);
        assert_eq!(spec["replicas"], 2, "{name}");
        let pod = &spec["template"]["spec"];
        let container = &pod["containers"][0];
        // Operators that stand by cost little, and the Lease goes to one that stays.
        let surge = if container["name"] == "api" { json!(1) } else { json!("100%") };
        let rolling = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": 0}});
        assert_eq!(spec["strategy"], rolling, "{name}");
        assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz", "{name}");
        // The operator takes no calls: its pod may stop at once, and has a minute for what is on its way. The API's has 20 s after
        // those in which calls still come.
        let (before, after) = if container["name"] == "api" { (5, 20) } else { (0, 60) };
        let sleep = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap_or_default();
        let grace = pod["terminationGracePeriodSeconds"].as_u64().expect("a time to stop");
        assert!(sleep == before && grace > before + after, "{name}: {sleep} {grace}");
        let labels = &spec["template"]["metadata"]["labels"];
        let spread = pod["topologySpreadConstraints"].as_array().expect("constraints");
        assert!(spread.iter().all(|constraint| constraint["labelSelector"]["matchLabels"] == *labels), "{name}");
        // Nodes are emptied one replica at a time.
        let budgets = of_kind("PodDisruptionBudget").into_iter();
        let budgets =
            budgets.filter(|budget| budget["spec"]["selector"]["matchLabels"] == spec["selector"]["matchLabels"]);
        assert_eq!(budgets.map(|budget| &budget["spec"]["maxUnavailable"]).collect::<Vec<_>>(), [1], "{name}");
    }
}

/// The variables of OpenTelemetry that each container has.
fn variables_of_traces(rendered: &[Value]) -> Vec<Vec<Value>> {
    let deployments = rendered.iter().filter(|object| object["kind"] == "Deployment");
    let containers = deployments.map(|deployment| &deployment["spec"]["template"]["spec"]["containers"][0]);
    let of_traces = |variable: &&Value| variable["name"].as_str().is_some_and(|name| name.starts_with("OTEL_"));
    containers
        .map(|container| container["env"].as_array().into_iter().flatten().filter(of_traces).cloned().collect())
        .collect()
}

/// The volume with the collector's authorities that each Deployment has, and where its first container has it.
fn of_collector(rendered: &[Value]) -> Vec<(Option<Value>, Option<Value>)> {
    let named = |all: &Value| all.as_array()?.iter().find(|one| one["name"] == "collector").cloned();
    let deployments = rendered.iter().filter(|object| object["kind"] == "Deployment");
    let pods = deployments.map(|deployment| &deployment["spec"]["template"]["spec"]);
    pods.map(|pod| (named(&pod["volumes"]), named(&pod["containers"][0]["volumeMounts"]))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_programs_send_traces_to_one_collector_where_one_is_named_and_nowhere_else() {
    let secrets = [("headersSecret", "headers"), ("caSecret", "authorities.pem")];
    let secret =
        secrets.map(|(value, key)| format!("tracing.{value}.name=collector,tracing.{value}.key={key}")).join(",");
    let collector = "tracing.endpoint=http://collector:4318,tracing.samplingRatio=0.25";
    let attribute = "tracing.resourceAttributes.tier=1";
    let render_all = move || {
        let args = [
            Vec::new(),
            vec!["--set", &*secret, "--set-string", attribute],
            vec!["--set", &*secret, "--set-string", attribute, "--set", collector],
        ];
        args.map(|args| {
            let rendered = render(&args).expect("render the chart");
            (variables_of_traces(&rendered), of_collector(&rendered))
        })
    };
    let [none, without_endpoint, (on, volumes)] = tokio::task::spawn_blocking(render_all).await.expect("join");
    let nothing = (vec![vec![]; 2], vec![(None, None); 2]);
    assert_eq!((none, without_endpoint), (nothing.clone(), nothing));
    let items = json!([{"key": "authorities.pem", "path": "ca.crt"}]);
    let volume = json!({"name": "collector", "secret": {"secretName": "collector", "items": items, "optional": true}});
    let mount = json!({"name": "collector", "mountPath": "/etc/oncall-webhooks/collector", "readOnly": true});
    assert_eq!(volumes, vec![(Some(volume), Some(mount)); 2]);
    let expected = json!([
        {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://collector:4318"},
        {"name": "OTEL_EXPORTER_OTLP_HEADERS", "valueFrom": {"secretKeyRef": {"name": "collector", "key": "headers"}}},
        {"name": "OTEL_EXPORTER_OTLP_CERTIFICATE", "value": "/etc/oncall-webhooks/collector/ca.crt"},
        {"name": "OTEL_TRACES_SAMPLER", "value": "parentbased_traceidratio"},
        {"name": "OTEL_TRACES_SAMPLER_ARG", "value": "0.25"},
        {"name": "OTEL_RESOURCE_POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "OTEL_RESOURCE_ATTRIBUTES", "value": "k8s.namespace.name=default,k8s.pod.name=$(OTEL_RESOURCE_POD_NAME),tier=1"},
    ]);
    assert_eq!(json!(on), json!([expected, expected]));
}

#[tokio::test(flavor = "multi_thread")]
async fn attributes_of_traces_reach_the_programs_as_they_are_given() {
    let attributes = json!({
        "a\"b": "c\"d", "back\\slash": "\\n", "dollar$": "$(HOME) $$ $", "list=": "1", "lines": "one\ntwo: {three} # four",
    });
    let work = move || {
        let values = |attributes: &Value| {
            json!({"tracing": {"endpoint": "http://collector:4318", "resourceAttributes": attributes}}).to_string()
        };
        let (all, mut fine) = (attributes.clone(), attributes);
        fine.as_object_mut().expect("attributes").remove("list=");
        [all, fine].map(|attributes| render(&["--values", &Temporary::new(&values(&attributes)).path()]))
    };
    let [refused, rendered] = tokio::task::spawn_blocking(work).await.expect("join");
    assert!(refused.expect_err("a name with =").contains("list="));
    let variables = variables_of_traces(&rendered.expect("render the chart"));
    let expected = [
        "k8s.namespace.name=default",
        "k8s.pod.name=$(OTEL_RESOURCE_POD_NAME)",
        "a\"b=c\"d",
        "back\\slash=\\n",
        "dollar$$=$$(HOME) $$$$ $$",
        "lines=one\ntwo: {three} # four",
    ];
    let expected = json!({"name": "OTEL_RESOURCE_ATTRIBUTES", "value": expected.join(",")});
    assert_eq!(variables.iter().map(|variables| variables.last()).collect::<Vec<_>>(), [Some(&expected); 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_work_is_refused_before_it_is_installed() {
    let cases = [
        ("api.ingress.enabled=true", "hosts"),
        ("api.httpRoute.enabled=true", "parentRefs"),
        ("api.tls.certificate.enabled=true", "issuerRef"),
        ("api.ingress.host=oncall.example.com", "host"),
        ("api.ingress.hosts[0].hosts=oncall.example.com", "hosts"),
        ("api.tls.certificate.issuer=internal", "issuer"),
        ("controller.extraArgs={lease-seconds=5}", "extraArgs"),
        ("api.extraEnv[0].vaule=x,api.extraEnv[0].name=X", "vaule"),
        ("tolerations[0].keys=x", "keys"),
        ("resources.limit.memory=1Gi", "limit"),
        ("resources.limits.memory=1GB", "memory"),
        ("topologySpreadConstraints[0].topologyKey=zone", "topologySpreadConstraints"),
        ("podDisruptionBudget.maxUnavailable=all", "maxUnavailable"),
        ("commonLabels.team=on call", "team"),
        ("commonLabels.app\\.kubernetes\\.io/name=mine", "commonLabels"),
        ("crds.keeps=true", "keeps"),
        ("securityContext.capability.drop={ALL}", "capability"),
        ("networkPolicy.apiFrom[0].namespace=x", "namespace"),
        ("replicaCount=2", "replicaCount"),
        ("tracing.endpoint=collector:4318", "endpoint"),
        ("tracing.samplingRatio=2", "samplingRatio"),
        ("tracing.headersSecret.name=collector", "headersSecret"),
        ("tracing.caSecret.key=ca.crt", "caSecret"),
    ];
    let work = move || cases.map(|(values, said)| (values, said, render(&["--set", values])));
    for (values, said, rendered) in tokio::task::spawn_blocking(work).await.expect("join") {
        let refusal = rendered.expect_err(values);
        assert!(
            refusal.contains("values don't meet the specifications") && refusal.contains(said),
            "{values}: {refusal}"
        );
    }
}
