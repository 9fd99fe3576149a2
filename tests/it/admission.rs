//! The admission webhook: the real API server asks the real program about what people apply, by the chart's configuration.

use std::{
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use kube::api::{DeleteParams, PostParams};
use oncall_webhooks::resources::Webhook;
use serde_json::{Value, json};
use support::{Api, Authority, Issued, output};

use crate::{
    chart::install,
    harness::{TestNamespace, cluster, eventually},
};

/// A template that can't work.
const BROKEN: &str = "{\n  \"id\": {{ alert_group. }}\n}";

/// A namespace whose Webhooks and Integrations the API server asks about.
struct Asked {
    team: TestNamespace,
    release: String,
    folder: PathBuf,
    authority: Authority,
    api: Option<Api>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Asked {
    /// Installs the chart for a namespace, with what was there before. Nobody answers the API server yet.
    async fn new(name: &str, before: &[&Webhook]) -> (Self, Vec<String>, PathBuf) {
        let team = TestNamespace::new(name).await;
        for webhook in before {
            team.api::<Webhook>().create(&PostParams::default(), webhook).await.expect("create Webhook");
        }
        let release = format!("{name}-oncall-webhooks");
        let namespace = format!("watchNamespaces={{{}}}", team.namespace);
        let values = [&*namespace, "admission.enabled=true", "admission.tlsSecretName=admission"];
        let installation = install(&release, &values).await;
        let folder = cluster().0.processes().dir().join(format!("{}-certificates", team.namespace));
        fs::create_dir(&folder).expect("create a folder");
        let authority = Authority::new("admission").expect("make an authority");
        let args = installation.api_args.expect("arguments of the API");
        (Self { team, release, folder, authority, api: None }, args, installation.api_kubeconfig)
    }

    fn issue(&self) -> Issued {
        self.authority.issue(&["127.0.0.1"]).expect("issue a certificate")
    }

    fn write(&self, Issued { certificate, key, .. }: &Issued) {
        fs::write(self.folder.join("tls.crt"), certificate).expect("write the certificate");
        fs::write(self.folder.join("tls.key"), key).expect("write the key");
    }

    /// Starts the API as the chart says, on free ports and with the files of this test.
    async fn start(&mut self, args: &[String], kubeconfig: &Path) {
        let mut args: Vec<String> = args.iter().filter(|arg| !arg.starts_with("--admission-")).cloned().collect();
        assert!(args.iter().any(|arg| arg.starts_with("--namespace=")), "{args:?}");
        let file = |name: &str| self.folder.join(name).display().to_string();
        args.push("--admission-address=127.0.0.1:0".to_owned());
        args.push(format!("--admission-certificate={}", file("tls.crt")));
        args.push(format!("--admission-key={}", file("tls.key")));
        let binary = Path::new(env!("CARGO_BIN_EXE_oncall-webhooks"));
        let name = format!("{}-api", self.team.namespace);
        let api = Api::start(binary, cluster().0.processes(), &name, kubeconfig, &args).await;
        self.api = Some(api.expect("start the API"));
    }

    /// Waits until the admission webhook is served, and has the API server ask there: it has no Services.
    async fn lead_there(&self) {
        let log = self.api.as_ref().expect("an API").process();
        let address = eventually("the admission webhook is served", || async {
            log.events("admission webhook").first().and_then(|event| event["address"].as_str().map(str::to_owned))
        })
        .await;
        let client = json!({
            "url": format!("https://{address}/validate"),
            "caBundle": BASE64_STANDARD.encode(self.authority.pem()),
        });
        let patch = json!([{"op": "replace", "path": "/webhooks/0/clientConfig", "value": client}]).to_string();
        let name = format!("{0}.{0}", self.release);
        self.team.kubectl(&["patch", "validatingwebhookconfiguration", &name, "--type=json", "-p", &patch]).await;
    }

    /// What kubectl says about a manifest, on both outputs, and whether it was taken.
    async fn apply(&self, manifest: &Value, more: &[&str]) -> (bool, String) {
        let manifest = manifest.to_string();
        let mut kubectl = cluster().0.kubectl();
        kubectl.args(["apply", "--namespace", &self.team.namespace, "-f", "-"]).args(more);
        let file = self.folder.join(format!("{}.json", manifest.len()));
        fs::write(&file, manifest).expect("write the manifest");
        kubectl.stdin(fs::File::open(&file).expect("open the manifest"));
        let ran = tokio::task::spawn_blocking(move || kubectl.output().expect("run kubectl")).await.expect("join");
        let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
        (ran.status.success(), said)
    }
}

fn manifest(name: &str, spec: Value) -> Value {
    let mut manifest = json!({
        "apiVersion": "oncall.dev/v1alpha1",
        "kind": "Webhook",
        "metadata": {"name": name},
        "spec": {"triggerType": "resolve", "url": "https://receiver.example/"},
    });
    let Value::Object(spec) = spec else { unreachable!("an object") };
    manifest["spec"].as_object_mut().expect("a spec").extend(spec);
    manifest
}

fn webhook(name: &str, spec: Value) -> Webhook {
    serde_json::from_value(manifest(name, spec)).expect("a webhook")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_can_not_work_is_refused_when_it_is_applied_and_nothing_depends_on_who_refuses_it() {
    let old = webhook("old", json!({"data": BROKEN}));
    let (mut asked, args, kubeconfig) = Asked::new("admitted", &[&old]).await;
    asked.write(&asked.issue());
    asked.start(&args, &kubeconfig).await;
    asked.lead_there().await;
    let broken = manifest("ticket", json!({"data": BROKEN, "url": "ftp://nope"}));
    let syntax = "spec.data: line 2, column 25: Template Error: expected name or number";
    let refused = eventually("a broken template is refused", || async {
        let (taken, said) = asked.apply(&broken, &["--dry-run=server"]).await;
        (!taken).then_some(said)
    })
    .await;
    assert!(refused.contains("The Webhook \"ticket\" is invalid"), "{refused}");
    for fault in [syntax, "spec.url: Malformed url"] {
        assert!(refused.contains(fault), "{refused}");
    }
    let (taken, said) = asked.apply(&broken, &[]).await;
    assert!(!taken && said.contains(syntax), "{said}");
    // To whoever is no kubectl.
    let webhooks = asked.team.api::<Webhook>();
    let error = webhooks.create(&PostParams::default(), &webhook("ticket", json!({"data": BROKEN}))).await;
    let kube::Error::Api(status) = error.expect_err("it is refused") else { panic!("no answer") };
    let message = "admission webhook \"templates.oncall.dev\" denied the request: spec.data, line 2, column 25: Template Error: \
                   expected name or number";
    assert_eq!((status.code, status.reason.as_str(), status.message.as_str()), (422, "Invalid", message));
    let integration = json!({
        "apiVersion": "oncall.dev/v1alpha1",
        "kind": "Integration",
        "metadata": {"name": "prod"},
        "spec": {"type": "alertmanager", "templates": {"title": "{{ payload | nope }}"}},
    });
    let (taken, said) = asked.apply(&integration, &[]).await;
    assert!(
        !taken && said.contains("spec.templates.title: line 1, column 14: Template Error: No filter named 'nope'."),
        "{said}"
    );
    assert_eq!(asked.team.kubectl(&["get", "webhooks,intg", "-o", "name"]).await, "webhook.oncall.dev/old\n");

    // What may work is taken, with what is to be known of it.
    let (taken, said) =
        asked.apply(&manifest("ticket", json!({"triggerTemplate": "{{ alert_group.status }}"})), &[]).await;
    let hint = "Warning: spec.triggerTemplate, line 1: alert_group has no status: did you mean alert_group.state?";
    assert!(taken && said.contains(hint), "{said}");
    let (taken, said) = asked.apply(&manifest("ticket", json!({"data": BROKEN})), &[]).await;
    assert!(!taken && said.contains(syntax), "a change: {said}");

    // What was there can be changed otherwise, and deleted.
    asked.team.kubectl(&["label", "webhook", "old", "team=a"]).await;
    asked.team.kubectl(&["patch", "webhook", "old", "--type=merge", "-p", r#"{"spec":{"suspend":true}}"#]).await;
    asked
        .team
        .kubectl(&[
            "patch",
            "webhook",
            "old",
            "--subresource=status",
            "--type=merge",
            "-p",
            r#"{"status":{"id":"WH1"}}"#,
        ])
        .await;
    webhooks.delete("old", &DeleteParams::default()).await.expect("delete Webhook");

    // Where nobody answers, it is taken.
    asked.api.take().expect("an API").stop().expect("stop the API");
    let (taken, said) = asked.apply(&broken, &[]).await;
    assert!(taken, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_may_come_late_and_keeps_nothing_else_from_starting() {
    let (mut asked, args, kubeconfig) = Asked::new("late", &[]).await;
    // It is ready, with whatever else it serves.
    asked.start(&args, &kubeconfig).await;
    let log = asked.api.as_ref().expect("an API").process();
    eventually("the log says what is missing", || async {
        let told = log.events("the admission webhook is not served; trying again every 5s");
        let error = told.first()?["error"].as_str()?.to_owned();
        error.starts_with("read TLS certificate ").then_some(())
    })
    .await;
    asked.write(&asked.issue());
    asked.lead_there().await;
    eventually("a broken template is refused", || async {
        let (taken, _) = asked.apply(&manifest("ticket", json!({"data": BROKEN})), &["--dry-run=server"]).await;
        (!taken).then_some(())
    })
    .await;
}

/// What the chart renders with these values, or why not.
async fn rendered(values: &'static str) -> Result<String, String> {
    let render = move || {
        let mut helm = cluster().0.helm();
        output(helm.args(["template", "release"]).arg(support::chart()).args(["--set", values]))
    };
    let rendered = tokio::task::spawn_blocking(render).await.expect("join");
    rendered.map_err(|error| format!("{error:#}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_is_cert_managers_or_is_given_and_the_chart_takes_nothing_in_between() {
    for (values, why) in [
        ("admission.enabled=true", "set admission.certManager.enabled, or name a Secret"),
        ("admission.enabled=true,admission.tlsSecretName=tls,api.enabled=false", "api.enabled has to be true"),
        ("admission.enabled=true,admission.tlsSecretName=tls,admission.caBundle=nope", "/admission/caBundle"),
        ("admission.port=8081", "/admission/port"),
        ("admission.certManager.issuer=a", "/admission/certManager"),
    ] {
        let refused = rendered(values).await.expect_err(values);
        assert!(refused.contains(why), "{values}: {refused}");
    }
    let without = rendered("admission.enabled=false").await.expect("render the chart");
    assert!(!without.contains("admission.k8s.io") && !without.contains("ValidatingWebhookConfiguration"), "{without}");
    let given = rendered("admission.enabled=true,admission.tlsSecretName=tls").await.expect("render the chart");
    assert!(given.contains("secretName: \"tls\"\n") && !given.contains("cert-manager.io"), "{given}");
    let own = rendered("admission.enabled=true,admission.certManager.enabled=true").await.expect("render the chart");
    for line in [
        "cert-manager.io/inject-ca-from: default/release-oncall-webhooks-admission\n",
        "kind: Issuer\n",
        "selfSigned: {}\n",
        "- release-oncall-webhooks-admission.default.svc\n",
        "secretName: \"release-oncall-webhooks-admission\"\n",
        "optional: true\n",
        "failurePolicy: Ignore\n",
        "targetPort: admission\n",
        "- port: admission\n",
        "- --admission-address=0.0.0.0:8083\n",
        "- --admission-certificate=/etc/oncall-webhooks/admission/tls.crt\n",
    ] {
        assert!(own.contains(line), "{line}: {own}");
    }
    let company = "admission.enabled=true,admission.certManager.enabled=true,admission.certManager.issuerRef.name=company,\
                   admission.certManager.issuerRef.kind=ClusterIssuer,admission.port=10250";
    let company = rendered(company).await.expect("render the chart");
    assert!(company.contains("issuerRef:\n    kind: ClusterIssuer\n    name: company\n"), "{company}");
    assert!(!company.contains("kind: Issuer\n") && company.contains("containerPort: 10250\n"), "{company}");
}
