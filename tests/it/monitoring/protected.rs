//! Metrics that not everybody may read: both processes as the chart runs them with `metrics.protected`, with the rights that it gives.

use std::path::Path;

use reqwest::{Client, RequestBuilder};
use support::{Api, Installation, Operator, output};

use super::dashboard::health;
use crate::harness::{TestNamespace, cluster};

/// A token of a ServiceAccount.
fn token(namespace: &str, account: &str) -> String {
    let args = ["create", "token", account, "--namespace", namespace];
    output(cluster().0.kubectl().args(args)).expect("create a token").trim().to_owned()
}

/// The statuses with which the paths are answered to whoever brings this token.
async fn statuses(address: &str, token: Option<&str>) -> [u16; 2] {
    let http = Client::builder().no_proxy().build().expect("make a client");
    let mut statuses = [0; 2];
    for (status, path) in statuses.iter_mut().zip(["metrics", "livez"]) {
        let request = http.get(format!("http://{address}/{path}"));
        let request = token.iter().fold(request, RequestBuilder::bearer_auth);
        *status = request.send().await.expect("an answer").status().as_u16();
    }
    statuses
}

#[tokio::test(flavor = "multi_thread")]
async fn protected_metrics_are_shown_to_whoever_rbac_lets_read_them_and_to_nobody_else() {
    let place = TestNamespace::new("guarded").await;
    place.kubectl(&["create", "serviceaccount", "prometheus"]).await;
    let (release, namespace) = ("guarded-oncall-webhooks", place.namespace.clone());
    let installation = tokio::task::spawn_blocking({
        let namespace = namespace.clone();
        move || {
            let values = [
                format!("watchNamespaces={{{namespace}}}"),
                "metrics.protected=true".to_owned(),
                format!("metrics.readers[0].name=prometheus,metrics.readers[0].namespace={namespace}"),
            ];
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let installed = Installation::new(&cluster().0, &support::chart(), release, &values);
            let tokens = ["prometheus", "default"].map(|account| token(&namespace, account));
            (installed.expect("install the chart"), tokens)
        }
    });
    let (installation, [reader, other]) = installation.await.expect("join");
    let (cluster, binary) = (&cluster().0, Path::new(env!("CARGO_BIN_EXE_oncall-webhooks")));
    let operator =
        Operator::start(binary, cluster.processes(), "guarded-operator", &installation.kubeconfig, &installation.args);
    let operator = operator.await.expect("start the operator");
    let args: Vec<String> =
        installation.api_args.into_iter().flatten().chain(["--health-address=127.0.0.1:0".to_owned()]).collect();
    let api = Api::start(binary, cluster.processes(), "guarded-api", &installation.api_kubeconfig, &args).await;
    let api = api.expect("start the REST API");

    for address in [health(&operator), health(api.process())] {
        assert_eq!(statuses(&address, Some(&reader)).await, [200, 200], "{address}");
        assert_eq!(statuses(&address, Some(&other)).await, [403, 200], "{address}");
        assert_eq!(statuses(&address, Some("eyJhbGciOiJSUzI1NiJ9.e30.c2ln")).await, [401, 200], "{address}");
        assert_eq!(statuses(&address, None).await, [401, 200], "{address}");
    }
}
