//! A release from its first day to its last, with real helm: installed by a chart that left the definitions to `crds/`, upgraded, rolled
//! back, upgraded again, uninstalled and installed anew. What people have made stays. It has a control plane of its own, since there is
//! one release of definitions in a cluster.

use std::path::Path;

use cluster::Cluster;
use serde_json::Value;
use support::{output, pipe};

const RELEASE: &str = "oncall-webhooks";

/// The chart of the commit before definitions came from its templates, as `helm package` made it.
const WITH_CRDS_FOLDER: &str = "tests/it/chart/with-crds-folder.tgz";

const WEBHOOK: &str = "
apiVersion: oncall.dev/v1alpha1
kind: Webhook
metadata: {name: kept, namespace: default}
spec: {triggerType: escalation, url: https://receiver.example.com/}
";

/// All that a release makes beside the definitions.
const KINDS: &str = "deployments,services,serviceaccounts,configmaps,poddisruptionbudgets,networkpolicies,roles,rolebindings,\
                     clusterroles,clusterrolebindings,flowschemas,validatingadmissionpolicies,validatingadmissionpolicybindings,pods";

struct Site(Cluster);

impl Site {
    fn helm(&self, args: &str, chart: Option<&Path>) -> Result<String, String> {
        let mut helm = self.0.helm();
        helm.args(args.split(' ')).args(["--namespace", RELEASE]).args(chart);
        output(&mut helm).map_err(|error| error.to_string())
    }

    fn kubectl(&self, args: &str) -> String {
        output(self.0.kubectl().args(args.split(' '))).expect("kubectl")
    }

    fn get(&self, args: &str) -> Value {
        serde_json::from_str(&self.kubectl(&format!("get {args} -o json"))).expect("parse an object")
    }

    /// The uid of the Webhook that somebody has made: another one would be a new object.
    fn webhook(&self) -> String {
        self.kubectl("get webhook kept --namespace default -o jsonpath={.metadata.uid}")
    }

    /// The replicas of the API's Deployment, and the operator's argument for its Lease.
    fn values_in_force(&self) -> (Value, bool) {
        let replicas =
            self.get(&format!("deployment oncall-webhooks-api --namespace {RELEASE}"))["spec"]["replicas"].clone();
        let operator = self.get(&format!("deployment oncall-webhooks --namespace {RELEASE}"));
        let args = operator["spec"]["template"]["spec"]["containers"][0]["args"].clone();
        (replicas, args.as_array().is_some_and(|args| args.iter().any(|arg| arg == "--lease-seconds=20")))
    }

    fn definitions(&self) -> usize {
        self.kubectl("get crd -o name").lines().filter(|name| name.ends_with(".oncall.dev")).count()
    }

    /// What there is of the release beside its definitions.
    fn objects(&self) -> Vec<String> {
        let found =
            self.kubectl(&format!("get {KINDS} --all-namespaces -l app.kubernetes.io/instance={RELEASE} -o name"));
        found.lines().map(str::to_owned).collect()
    }

    /// The size of the largest Secret that Helm keeps of a revision, in bytes.
    fn largest_release_secret(&self) -> usize {
        let secrets = self.get(&format!("secrets --namespace {RELEASE} -l owner=helm"));
        let sizes = secrets["items"].as_array().expect("a list").iter().map(|secret| secret.to_string().len());
        sizes.max().expect("Helm keeps revisions")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_made_outlives_upgrade_roll_back_and_uninstall_also_from_a_chart_with_a_crds_folder() {
    tokio::task::spawn_blocking(live_through_it).await.expect("join");
}

fn live_through_it() {
    let (old, chart) = (support::repository().join(WITH_CRDS_FOLDER), support::chart());
    let site = Site(Cluster::start().expect("start a control plane"));
    let values = "--set controller.leaseSeconds=20,api.replicas=3";
    site.helm(&format!("install {RELEASE} --create-namespace {values}"), Some(&old)).expect("install the old chart");
    site.kubectl("wait --for=condition=Established --timeout=60s crd --all");
    pipe(site.0.kubectl().args(["apply", "-f", "-"]), WEBHOOK).expect("create a Webhook");
    let webhook = site.webhook();
    // As after an upgrade of the program, whose definitions somebody has applied by hand: these are not what the chart has.
    site.kubectl(
        "patch crd webhooks.oncall.dev --type=json --field-manager=somebody \
         -p [{\"op\":\"replace\",\"path\":\"/spec/names/shortNames\",\"value\":[\"old\"]}]",
    );

    // Helm takes nothing that it does not know to be the release's, unless it is told to.
    let upgrade = format!("upgrade {RELEASE} --reset-then-reuse-values");
    let refusal = site.helm(&upgrade, Some(&chart)).expect_err("upgrade without --take-ownership");
    assert!(
        refusal.contains("invalid ownership metadata") && refusal.contains("CustomResourceDefinition"),
        "{refusal}"
    );
    let over = format!("{upgrade} --take-ownership --force-conflicts");
    site.helm(&over, Some(&chart)).expect("upgrade with --take-ownership");
    let definition = site.get("crd webhooks.oncall.dev");
    assert_eq!(definition["spec"]["names"]["shortNames"], serde_json::json!(["wh"]));
    assert_eq!(definition["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
    assert_eq!(definition["metadata"]["annotations"]["meta.helm.sh/release-name"], RELEASE);
    assert_eq!((site.webhook(), site.values_in_force()), (webhook.clone(), (3.into(), true)));

    // Rolled back to the chart that knows nothing of definitions, and forth again, for which they are now the release's.
    site.helm(&format!("rollback {RELEASE} 1"), None).expect("roll back");
    assert_eq!((site.definitions(), site.webhook()), (6, webhook.clone()));
    site.helm(&upgrade, Some(&chart)).expect("upgrade after a roll back");
    // Given to somebody else, and uninstalled: they stay, and all that is of them.
    site.helm(&format!("{upgrade} --set crds.enabled=false"), Some(&chart)).expect("upgrade without definitions");
    assert_eq!((site.definitions(), site.webhook()), (6, webhook.clone()));
    site.helm(&format!("{upgrade} --set crds.enabled=true"), Some(&chart)).expect("upgrade with definitions again");
    assert!(site.objects().len() > 10, "{:?}", site.objects());
    // A Secret takes a mebibyte: half of it leaves room for values and for what is to come.
    let size = site.largest_release_secret();
    assert!(size < 512 * 1024, "a revision takes {size} bytes");
    site.helm(&format!("uninstall {RELEASE}"), None).expect("uninstall");
    assert_eq!(site.objects(), Vec::<String>::new());
    assert_eq!((site.definitions(), site.webhook()), (6, webhook.clone()));

    // The next installation of that name has them again.
    site.helm(&format!("install {RELEASE}"), Some(&chart)).expect("install anew");
    assert_eq!(site.webhook(), webhook);
    // Who does not want them kept says so first.
    site.helm(&format!("{upgrade} --set crds.keep=false"), Some(&chart)).expect("upgrade with crds.keep=false");
    site.helm(&format!("uninstall {RELEASE}"), None).expect("uninstall all");
    site.kubectl("wait --for=delete --timeout=60s crd webhooks.oncall.dev");
    assert_eq!(site.objects(), Vec::<String>::new());
}
