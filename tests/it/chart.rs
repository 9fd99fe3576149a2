//! What the chart renders: rights that are enough and no more, values that are spelled right, and ports that lead somewhere.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use futures::{StreamExt, stream};
use k8s_openapi::api::{
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
    flowcontrol::v1::FlowSchema,
};
use kube::{
    Api, Client, Config, ResourceExt,
    api::{ListParams, PostParams},
    client::Body,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::Value;
use support::{Installation, output};

use crate::harness::{TestNamespace, cluster, eventually};

/// What might be asked for, as `group/resource`, and what is the cluster's alone.
const RESOURCES: [&str; 19] = [
    "oncall.dev/webhooks",
    "oncall.dev/webhooks/status",
    "oncall.dev/integrations",
    "oncall.dev/integrations/status",
    "oncall.dev/alertgroups",
    "oncall.dev/alertgroupevents",
    "oncall.dev/alertgroupevents/status",
    "oncall.dev/webhookresponses",
    "oncall.dev/webhookresponses/status",
    "oncall.dev/deliveryjournals",
    "/secrets",
    "/services",
    "/configmaps",
    "/pods",
    "/serviceaccounts/token",
    "discovery.k8s.io/endpointslices",
    "coordination.k8s.io/leases",
    "events.k8s.io/events",
    "rbac.authorization.k8s.io/rolebindings",
];
const REVIEWS: [&str; 2] = ["authentication.k8s.io/tokenreviews", "authorization.k8s.io/subjectaccessreviews"];
const VERBS: [&str; 11] = [
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "impersonate",
    "attribute",
    "record",
];

/// The rights of the operator, as `resource: verbs`.
pub(crate) const OPERATOR: &str = "
discovery.k8s.io/endpointslices: get list
events.k8s.io/events: create patch
oncall.dev/alertgroupevents: get list watch create delete attribute
oncall.dev/alertgroupevents/status: update
oncall.dev/alertgroups: get list watch create patch delete
oncall.dev/integrations: get list watch
oncall.dev/integrations/status: patch
oncall.dev/webhookresponses: get list watch create patch delete record
oncall.dev/webhooks: list watch
oncall.dev/webhooks/status: patch
/secrets: list watch
/services: get
";

/// Those of the API.
pub(crate) const API: &str = "
oncall.dev/alertgroupevents: create attribute
oncall.dev/alertgroups: get list watch delete
oncall.dev/integrations: get list watch
oncall.dev/webhookresponses: get list watch
oncall.dev/webhooks: get list watch create patch delete
/secrets: list watch create patch delete
events.k8s.io/events: create patch
authentication.k8s.io/tokenreviews: create
authorization.k8s.io/subjectaccessreviews: create
";

/// What the operator may do in the release's namespace alone.
pub(crate) const OF_RELEASE: &str = "
coordination.k8s.io/leases: create
oncall.dev/deliveryjournals: get list create delete
";

/// Every pair of resource and verb of a table.
pub(crate) fn pairs(table: &str) -> BTreeSet<(String, String)> {
    let rows = table.lines().filter_map(|line| line.split_once(": "));
    rows.flat_map(|(resource, verbs)| verbs.split(' ').map(|verb| (resource.to_owned(), verb.to_owned()))).collect()
}

pub(crate) async fn admin() -> Client {
    client(cluster().0.kubeconfig()).await
}

pub(crate) async fn client(kubeconfig: &Path) -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("read the kubeconfig");
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    Client::try_from(config.expect("make a configuration")).expect("make a client")
}

/// Every right that a ServiceAccount has in a namespace, or (None) in all of the cluster, of those that might be asked for.
async fn rights(release: &str, account: &str, namespace: Option<&str>) -> BTreeSet<(String, String)> {
    rights_of(&format!("system:serviceaccount:{release}:{account}"), "system:serviceaccounts", namespace).await
}

/// The same of a user in a group.
pub(crate) async fn rights_of(user: &str, group: &str, namespace: Option<&str>) -> BTreeSet<(String, String)> {
    let reviews: Api<SubjectAccessReview> = Api::all(admin().await);
    let asked = RESOURCES.iter().chain(&REVIEWS).flat_map(|resource| VERBS.map(|verb| (*resource, verb)));
    let allowed = asked.map(|(resource, verb)| {
        let reviews = reviews.clone();
        async move {
            let mut parts = resource.split('/');
            let mut part = || parts.next().map(str::to_owned);
            let attributes = ResourceAttributes {
                group: part(),
                resource: part(),
                subresource: part(),
                verb: Some(verb.to_owned()),
                namespace: namespace.map(str::to_owned),
                ..ResourceAttributes::default()
            };
            let spec = SubjectAccessReviewSpec {
                user: Some(user.to_owned()),
                groups: Some(vec![group.to_owned(), "system:authenticated".to_owned()]),
                resource_attributes: Some(attributes),
                ..SubjectAccessReviewSpec::default()
            };
            let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
            let review = reviews.create(&PostParams::default(), &review).await.expect("review an access");
            let allowed = review.status.is_some_and(|status| status.allowed);
            allowed.then(|| (resource.to_owned(), verb.to_owned()))
        }
    });
    stream::iter(allowed).buffer_unordered(16).filter_map(std::future::ready).collect().await
}

/// Installs the chart as `release`, whose name must contain that of the chart.
pub(crate) async fn install(release: &str, values: &[&str]) -> Installation {
    let (release, values) = (release.to_owned(), values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>());
    let installed = tokio::task::spawn_blocking(move || {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        Installation::new(&cluster().0, &support::chart(), &release, &values)
    });
    installed.await.expect("join").expect("install the chart")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_and_the_api_may_do_what_each_needs_and_nothing_of_the_others() {
    let team = TestNamespace::new("rights").await;
    let operators = rights("oncall-webhooks", "oncall-webhooks", Some(&team.namespace)).await;
    let apis = rights("oncall-webhooks", "oncall-webhooks-api", Some(&team.namespace)).await;
    // The tests' operators have Leases and journals of their own: see the harness.
    let of_chart = |(resource, _): &(String, String)| {
        !["coordination.k8s.io/leases", "oncall.dev/deliveryjournals"].contains(&resource.as_str())
    };
    assert_eq!(operators.into_iter().filter(of_chart).collect::<BTreeSet<_>>(), pairs(OPERATOR));
    assert_eq!(apis, pairs(API));
}

#[tokio::test(flavor = "multi_thread")]
async fn in_one_pod_the_service_account_has_the_rights_of_both() {
    let team = TestNamespace::new("union").await;
    let release = "union-oncall-webhooks";
    install(release, &["api.placement=sidecar"]).await;
    let both: BTreeSet<_> = pairs(OPERATOR).union(&pairs(API)).cloned().collect();
    assert_eq!(rights(release, release, Some(&team.namespace)).await, both);
    // The Lease and the journal are in the release's namespace, and no other Lease can be touched there.
    let in_release = rights(release, release, Some(release)).await;
    let more: BTreeSet<_> = in_release.difference(&both).cloned().collect();
    assert_eq!(more, pairs(OF_RELEASE));
}

#[tokio::test(flavor = "multi_thread")]
async fn for_some_namespaces_no_secret_of_another_can_be_read() {
    let (team, second) = (TestNamespace::new("only").await, TestNamespace::new("second").await);
    let other = TestNamespace::new("other").await;
    let release = "only-oncall-webhooks";
    let namespaces = format!("watchNamespaces={{{},{}}}", team.namespace, second.namespace);
    install(release, &[&namespaces]).await;
    let reviews: BTreeSet<_> = pairs(API).into_iter().filter(|(of, _)| REVIEWS.contains(&of.as_str())).collect();
    let api = format!("{release}-api");
    for served in [&team.namespace, &second.namespace] {
        assert_eq!(rights(release, release, Some(served)).await, pairs(OPERATOR));
        assert_eq!(rights(release, &api, Some(served)).await, pairs(API));
    }
    for elsewhere in [Some(other.namespace.as_str()), None] {
        assert_eq!(rights(release, release, elsewhere).await, BTreeSet::new());
        assert_eq!(rights(release, &api, elsewhere).await, reviews);
    }
    assert_eq!(rights(release, release, Some(release)).await, pairs(OF_RELEASE));
    assert_eq!(rights(release, &api, Some(release)).await, reviews);
    assert_eq!(flow_schemas(release).await, BTreeMap::new());
}

/// The FlowSchemas of a release: their names by their uids.
async fn flow_schemas(release: &str) -> BTreeMap<String, String> {
    let schemas: Api<FlowSchema> = Api::all(admin().await);
    let of_release = ListParams::default().labels(&format!("app.kubernetes.io/instance={release}"));
    let schemas = schemas.list(&of_release).await.expect("list FlowSchemas");
    schemas.into_iter().map(|schema| (schema.uid().unwrap_or_default(), schema.name_any())).collect()
}

/// Makes a call with the rights of a kubeconfig, and tells which FlowSchema the API server has taken it for. It tells that also
/// where it refuses the call.
async fn flow_schema_of(kubeconfig: &Path, method: &str, path: &str) -> String {
    let request = http::Request::builder().method(method).uri(path).header("Content-Type", "application/json");
    let request = request.body(Body::from(b"{}".to_vec())).expect("a request");
    let response = client(kubeconfig).await.send(request).await.expect("an answer");
    let uid = response.headers().get("X-Kubernetes-PF-FlowSchema-UID").expect("a FlowSchema");
    uid.to_str().expect("a uid").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_api_server_takes_the_lease_and_what_deliveries_wait_for_before_what_can_wait() {
    let release = "flow-oncall-webhooks";
    let Installation { kubeconfig, api_kubeconfig, .. } = install(release, &[]).await;
    let names = flow_schemas(release).await;
    let [deliveries, lease] = ["deliveries", "lease"].map(|what| format!("{release}.{release}.{what}"));
    assert_eq!(names.values().collect::<BTreeSet<_>>(), BTreeSet::from([&deliveries, &lease]));
    let of_lease = format!("/apis/coordination.k8s.io/v1/namespaces/{release}/leases/{release}");
    let of = |namespace: &str, resource: &str| format!("/apis/oncall.dev/v1alpha1/namespaces/{namespace}/{resource}");
    let (events, responses) = (of("default", "alertgroupevents"), of("default", "webhookresponses"));
    let record = format!("{responses}/none/status");
    let calls = [
        (&kubeconfig, "GET", &of_lease, Some(&lease)),
        (&kubeconfig, "PUT", &of_lease, Some(&lease)),
        (&kubeconfig, "POST", &of(release, "deliveryjournals"), Some(&deliveries)),
        (&kubeconfig, "POST", &events, Some(&deliveries)),
        (&api_kubeconfig, "POST", &events, Some(&deliveries)),
        (&kubeconfig, "GET", &events, None),
        (&kubeconfig, "POST", &responses, None),
        (&kubeconfig, "PATCH", &record, None),
        (&api_kubeconfig, "GET", &of_lease, None),
    ];
    for (kubeconfig, method, path, expected) in calls {
        // The API server learns of FlowSchemas a moment after they are there.
        eventually(&format!("{method} {path} as {expected:?}"), || async {
            let found = flow_schema_of(kubeconfig, method, path).await;
            (names.get(&found) == expected).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_is_misspelled_is_refused() {
    let template = |values: &'static str| {
        tokio::task::spawn_blocking(move || {
            let mut helm = cluster().0.helm();
            output(helm.args(["template", "release"]).arg(support::chart()).args(["--set", values]))
        })
    };
    for values in [
        "api.placement=side-car",
        "api.replica=2",
        "api.serviceAccount.nam=api",
        "api.replicas=two",
        "networkPolicy.enable=true",
        "networkPolicy.apiFrom=all",
        "image.digest=sha256:12",
        "watchNamespaces=team",
        "watchNamespace=team",
        "flowSchemas.enable=true",
        "controller.defaultTimeout=4",
        "controller.defaultTimeout=soon",
    ] {
        assert!(template(values).await.expect("join").is_err(), "{values}");
    }
    let rendered = template("api.placement=sidecar,api.replicas=2,controller.defaultTimeout=1.5s").await.expect("join");
    let rendered = rendered.expect("render the chart");
    assert!(rendered.contains("- --default-timeout=1.5s\n"), "{rendered}");
    assert!(rendered.contains("kind: FlowSchema\n"), "{rendered}");
    let without = template("flowSchemas.enabled=false").await.expect("join").expect("render the chart");
    assert!(!without.contains("kind: FlowSchema\n"), "{without}");
}

/// The objects of one kind that a release has.
async fn objects(release: &str, kind: &str) -> Vec<Value> {
    let args = ["get", kind, "--output=json", "--namespace", release].map(str::to_owned);
    let json = tokio::task::spawn_blocking(move || output(cluster().0.kubectl().args(args)).expect("kubectl get"));
    let mut list: Value = serde_json::from_str(&json.await.expect("join")).expect("a list");
    list["items"].as_array_mut().map(std::mem::take).unwrap_or_default()
}

/// The names of the ports of the pods that a selector finds among those of these Deployments, by the name of the Deployment.
fn selected(deployments: &[Value], labels: &Value) -> Vec<(String, BTreeSet<String>)> {
    let labels = labels.as_object().expect("labels");
    let chosen = deployments.iter().filter(|deployment| {
        let pod = &deployment["spec"]["template"]["metadata"]["labels"];
        labels.iter().all(|(name, value)| pod[name] == *value)
    });
    let ports = |deployment: &Value| {
        let containers = deployment["spec"]["template"]["spec"]["containers"].as_array().expect("containers");
        let ports = containers.iter().flat_map(|container| container["ports"].as_array().into_iter().flatten());
        ports.filter_map(|port| port["name"].as_str().map(str::to_owned)).collect()
    };
    let name = |deployment: &Value| deployment["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    chosen.map(|deployment| (name(deployment), ports(deployment))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn services_and_network_policies_find_the_pods_that_listen_at_their_ports() {
    for (release, values, of_api) in [
        ("doors-oncall-webhooks", "api.replicas=2", "doors-oncall-webhooks-api"),
        ("door-oncall-webhooks", "api.placement=sidecar", "door-oncall-webhooks"),
    ] {
        install(release, &[values]).await;
        let deployments = objects(release, "deployments").await;
        let open = |policy: &Value| -> BTreeSet<String> {
            let rules = policy["spec"]["ingress"].as_array().expect("rules");
            let ports = rules.iter().flat_map(|rule| rule["ports"].as_array().into_iter().flatten());
            ports.filter_map(|port| port["port"].as_str().map(str::to_owned)).collect()
        };
        let mut opened = Vec::new();
        for policy in objects(release, "networkpolicies").await {
            let found = selected(&deployments, &policy["spec"]["podSelector"]["matchLabels"]);
            assert_eq!(found.len(), 1, "{policy}");
            assert!(open(&policy).is_subset(&found[0].1), "{policy}");
            // Webhooks lead anywhere.
            assert_eq!(policy["spec"]["egress"], serde_json::json!([{}]));
            opened.push((found[0].0.clone(), open(&policy)));
        }
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let expected = if of_api == release {
            vec![(release.to_owned(), set(&["health", "api", "api-health"]))]
        } else {
            vec![(release.to_owned(), set(&["health"])), (of_api.to_owned(), set(&["api", "api-health"]))]
        };
        assert_eq!(opened, expected);

        let mut services = objects(release, "services").await;
        // Those of metrics: monitoring/chart.rs.
        services.retain(|service| service["spec"]["clusterIP"] != "None");
        assert_eq!(services.len(), 1);
        let found = selected(&deployments, &services[0]["spec"]["selector"]);
        assert_eq!(found.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), [of_api]);
        assert_eq!(services[0]["spec"]["ports"][0]["targetPort"], "api");
    }
}
