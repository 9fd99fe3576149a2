//! What people may do with the roles that every cluster has, and what of a response they may change.

use std::collections::BTreeSet;

use kube::{
    Api, Client, Config, ResourceExt,
    api::{Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use oncall_webhooks::resources::WebhookResponse;
use serde_json::{Value, json};
use support::output;

use crate::{
    chart::{install, pairs, rights_of},
    harness::{TestNamespace, cluster, eventually},
};

const VIEW: &str = "
oncall.dev/alertgroupevents: get list watch
oncall.dev/alertgroups: get list watch
oncall.dev/integrations: get list watch
oncall.dev/webhookresponses: get list watch
oncall.dev/webhooks: get list watch
";

/// What edit may do besides.
const EDIT: &str = "
oncall.dev/alertgroupevents: create patch delete deletecollection
oncall.dev/integrations: create update patch delete deletecollection
oncall.dev/webhookresponses: patch
oncall.dev/webhooks: create update patch delete deletecollection
";

/// Acts as somebody of this name, who has what is bound to it.
async fn client_as(user: &str) -> Client {
    let kubeconfig = Kubeconfig::read_from(cluster().0.kubeconfig()).expect("read the kubeconfig");
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    let mut config = config.expect("make a configuration");
    config.auth_info.impersonate = Some(user.to_owned());
    Client::try_from(config).expect("make a client")
}

/// Binds the roles view, edit and admin in a namespace to users, whose names begin with that of the namespace.
async fn bind(team: &TestNamespace) {
    for role in ["view", "edit", "admin"] {
        let user = format!("--user={}-{role}", team.namespace);
        team.kubectl(&["create", "rolebinding", role, &format!("--clusterrole={role}"), &user]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn view_reads_all_kinds_edit_and_admin_write_what_people_write_and_nobody_writes_what_the_operator_does() {
    let team = TestNamespace::new("people").await;
    bind(&team).await;
    let view = pairs(VIEW);
    let edit: BTreeSet<_> = view.union(&pairs(EDIT)).cloned().collect();
    for (role, expected) in [("view", &view), ("edit", &edit), ("admin", &edit)] {
        let user = format!("{}-{role}", team.namespace);
        // A controller of the cluster adds the rules, a moment after they are there.
        eventually(&format!("what {role} may do"), || async {
            let mut of_user = rights_of(&user, "people", Some(&team.namespace)).await;
            of_user.retain(|(resource, _)| resource.starts_with("oncall.dev/"));
            (of_user == *expected).then_some(())
        })
        .await;
        assert_eq!(rights_of(&user, "people", None).await, BTreeSet::new());
        // As people ask.
        for (verb, resource, answer) in [
            ("get", "webhookresponses.oncall.dev", "yes"),
            ("list", "deliveryjournals.oncall.dev", "no"),
            ("create", "webhooks.oncall.dev", if role == "view" { "no" } else { "yes" }),
            ("patch", "alertgroups.oncall.dev", "no"),
        ] {
            let mut kubectl = cluster().0.kubectl();
            kubectl.args(["auth", "can-i", verb, resource, "--as", &user, "--namespace", &team.namespace]);
            let said = tokio::task::spawn_blocking(move || kubectl.output().expect("run kubectl"));
            let said = String::from_utf8(said.await.expect("join").stdout).expect("text");
            assert_eq!(said.trim(), answer, "{role} {verb} {resource}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_are_added_to_as_the_values_say_and_not_for_one_namespace() {
    let labels = async |release: &str, values: &[&str]| {
        install(release, values).await;
        let mut kubectl = cluster().0.kubectl();
        kubectl.args(["get", "clusterroles", "-o", "json", "-l", &format!("app.kubernetes.io/instance={release}")]);
        let roles = tokio::task::spawn_blocking(move || output(&mut kubectl).expect("list ClusterRoles"));
        let roles: Value = serde_json::from_str(&roles.await.expect("join")).expect("JSON");
        let mut found = BTreeSet::new();
        for role in roles["items"].as_array().expect("a list") {
            let name = role["metadata"]["name"].as_str().unwrap_or_default().rsplit(':').next().unwrap_or_default();
            for (label, value) in role["metadata"]["labels"].as_object().expect("labels") {
                if let Some(to) = label.strip_prefix("rbac.authorization.k8s.io/aggregate-to-") {
                    assert_eq!(value, "true");
                    found.insert(format!("{name} to {to}"));
                }
            }
        }
        found.into_iter().collect::<Vec<_>>()
    };
    let off = ["rbac.aggregateToView=false", "rbac.aggregateToEdit=false", "rbac.aggregateToAdmin=false"];
    let cases = [
        ("reads-oncall-webhooks", &off[1..], &["view to view"][..]),
        ("admins-oncall-webhooks", &off[..2], &["edit to admin", "view to admin"]),
        ("apart-oncall-webhooks", &["watchNamespaces={default}"], &[]),
    ];
    for (release, values, expected) in cases {
        assert_eq!(labels(release, values).await, expected, "{values:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_patch_a_response_changes_the_annotation_that_has_it_sent_again_and_nothing_else() {
    let team = TestNamespace::new("forged").await;
    bind(&team).await;
    // One that is there: else the garbage collector takes it away.
    team.kubectl(&["create", "configmap", "owner"]).await;
    let uid = team.kubectl(&["get", "configmap", "owner", "-o", "jsonpath={.metadata.uid}"]).await;
    let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid});
    let response = json!({
        "apiVersion": "oncall.dev/v1alpha1",
        "kind": "WebhookResponse",
        "metadata": {
            "name": "one",
            "labels": {"oncall.dev/webhook": "one"},
            "annotations": {"note": "a"},
            "finalizers": ["example.com/keep"],
            "ownerReferences": [owner],
        },
        "spec": {
            "webhookRef": {"name": "one", "id": "WH1"},
            "eventRef": {"name": "event", "uid": "u"},
            "triggerType": "resolve",
            "alertGroupId": "I1",
        },
        "status": {"phase": "Failed", "statusCode": 500},
    });
    let response: WebhookResponse = serde_json::from_value(response).expect("a response");
    team.api().create(&PostParams::default(), &response).await.expect("create WebhookResponse");
    let patch = async |user: &str, patch: Value| {
        let responses: Api<WebhookResponse> = Api::namespaced(client_as(user).await, &team.namespace);
        match responses.patch("one", &PatchParams::default(), &Patch::Merge(patch)).await {
            Ok(_) => "taken".to_owned(),
            Err(kube::Error::Api(status)) => {
                status.message.rsplit("denied request: ").next().unwrap_or_default().to_owned()
            }
            Err(error) => panic!("patch WebhookResponse one: {error}"),
        }
    };
    let [editor, admin] = ["edit", "admin"].map(|role| format!("{}-{role}", team.namespace));
    let redeliver = json!({"metadata": {"annotations": {"oncall.dev/redeliver": "1"}}});
    eventually("edit may patch it", || async { (patch(&editor, redeliver.clone()).await == "taken").then_some(()) })
        .await;

    let recorded = "spec, status: leave them as they are, the operator alone writes them";
    let annotations = "metadata.annotations: change none but oncall.dev/redeliver";
    let labels = "metadata.labels: leave them as they are, the operator finds it by them";
    let added = "metadata.ownerReferences, metadata.finalizers: add none";
    let refused = [
        (json!({"status": {"phase": "Succeeded"}}), recorded),
        (json!({"status": {"content": "forged"}}), recorded),
        (json!({"status": null}), recorded),
        (json!({"spec": {"alertGroupId": "I2"}}), recorded),
        (json!({"metadata": {"annotations": {"oncall.dev/redeliver": "2"}}, "status": {"statusCode": 200}}), recorded),
        (json!({"metadata": {"annotations": {"other": "1"}}}), annotations),
        (json!({"metadata": {"annotations": {"note": "b"}}}), annotations),
        (json!({"metadata": {"annotations": {"note": null}}}), annotations),
        (json!({"metadata": {"annotations": null}}), annotations),
        (json!({"metadata": {"labels": {"oncall.dev/webhook": "other"}}}), labels),
        (json!({"metadata": {"labels": null}}), labels),
        (json!({"metadata": {"finalizers": ["example.com/keep", "example.com/hold"]}}), added),
        (
            json!({"metadata": {"ownerReferences": [owner, {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "v"}]}}),
            added,
        ),
        (
            json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": uid}]}}),
            added,
        ),
    ];
    for (change, expected) in refused {
        for user in [&editor, &admin] {
            assert_eq!(patch(user, change.clone()).await, expected, "{user} {change}");
        }
    }
    for value in [json!("2"), Value::Null] {
        let change = json!({"metadata": {"annotations": {"oncall.dev/redeliver": value}}});
        assert_eq!(patch(&admin, change).await, "taken");
    }
    // The garbage collector lets go of what stays when its owner goes.
    let collector = "system:serviceaccount:kube-system:generic-garbage-collector";
    assert_eq!(patch(collector, json!({"metadata": {"ownerReferences": null, "finalizers": null}})).await, "taken");
    assert_eq!(patch(collector, json!({"status": {"phase": "Succeeded"}})).await, recorded);
    let operator = "system:serviceaccount:oncall-webhooks:oncall-webhooks";
    assert_eq!(patch(operator, json!({"status": {"phase": "Succeeded"}})).await, "taken");
    let found = team.api::<WebhookResponse>().get("one").await.expect("get WebhookResponse");
    let status = serde_json::to_value(&found.status).expect("JSON");
    assert_eq!((status["phase"].as_str(), status["statusCode"].as_u64()), (Some("Succeeded"), Some(500)));
    assert_eq!(found.annotations().len(), 1);
}
