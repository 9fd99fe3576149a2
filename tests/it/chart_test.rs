//! `helm test`: what it makes, made; and its pod's commands, run with the pod's rights. There is no kubelet here.

use std::{fs, path::Path, process::Command};

use serde_json::Value;
use support::{Api, Installation, output, pipe};

use crate::harness::{World, cluster};

const RELEASE: &str = "tried-oncall-webhooks";

/// What `helm test` makes of the release.
fn hooks() -> Vec<Value> {
    let mut helm = cluster().0.helm();
    let text = output(helm.args(["get", "hooks", RELEASE, "--namespace", RELEASE])).expect("helm get hooks");
    let documents = text.split("---\n").filter(|document| document.contains("kind:"));
    let in_namespace = |mut hook: Value| {
        hook["metadata"].as_object_mut().expect("metadata").entry("namespace").or_insert_with(|| RELEASE.into());
        hook
    };
    documents.map(|document| in_namespace(serde_saphyr::from_str(document).expect("parse a hook"))).collect()
}

/// The command of a container of the pod, with the program of this build and the rights of its ServiceAccount.
fn command(pod: &Value, container: &str) -> Command {
    let containers = pod["spec"]["containers"].as_array().expect("containers");
    let container = containers.iter().find(|of_pod| of_pod["name"] == container).expect("the container");
    let account = pod["spec"]["serviceAccountName"].as_str().expect("a ServiceAccount");
    let kubeconfig = cluster().0.service_account_kubeconfig(RELEASE, account).expect("make a kubeconfig");
    let mut command = Command::new(env!("CARGO_BIN_EXE_oncall-webhooks"));
    let args = container["args"].as_array().expect("arguments").iter().filter_map(Value::as_str);
    command.args(args).env("KUBECONFIG", kubeconfig);
    command
}

/// The same with other arguments.
fn with_args(command: &Command, change: impl Fn(&str) -> String) -> Command {
    let mut changed = Command::new(command.get_program());
    changed.args(command.get_args().map(|arg| change(&arg.to_string_lossy())));
    changed.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    changed
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_test_passes_where_operator_and_api_work_and_fails_where_either_does_not() {
    let mut world = World::new("tried").await;
    let namespace = format!("watchNamespaces={{{}}}", world.namespace);
    let work = move || Installation::new(&cluster().0, &support::chart(), RELEASE, &[&namespace]);
    let installation = tokio::task::spawn_blocking(work).await.expect("join").expect("install the chart");
    let hooks = tokio::task::spawn_blocking(hooks).await.expect("join");
    let pod = hooks.iter().find(|hook| hook["kind"] == "Pod").expect("a pod").clone();
    let kind = |kind: &str| hooks.iter().find(|hook| hook["kind"] == kind).expect("a hook of that kind");
    let weight = |hook: &Value| hook["metadata"]["annotations"]["helm.sh/hook-weight"].as_str()?.parse::<i32>().ok();
    assert!(hooks.iter().all(|hook| hook["kind"] == "Pod" || weight(hook) < weight(&pod)), "the pod comes last");

    let others: Vec<_> = hooks.iter().filter(|hook| hook["kind"] != "Pod").map(Value::to_string).collect();
    let api_files = kind("ConfigMap")["data"].clone();
    let run = move |mut command: Command| async {
        tokio::task::spawn_blocking(move || output(&mut command).map_err(|error| error.to_string()))
            .await
            .expect("join")
    };
    let apply = move || {
        for manifest in others {
            let mut kubectl = cluster().0.kubectl();
            pipe(kubectl.args(["apply", "-f", "-"]), &manifest).expect("apply a hook");
        }
    };
    tokio::task::spawn_blocking(apply).await.expect("join");

    let pod_of_operator = pod.clone();
    let operator = tokio::task::spawn_blocking(move || command(&pod_of_operator, "operator")).await.expect("join");
    let said = run(with_args(&operator, str::to_owned)).await.expect("the operator works");
    assert!(said.contains("webhooks: 0 succeeded, 0 failed, 1 skipped"), "{said}");
    world.kill_operator();
    // It waits for a minute; here it is known to be in vain.
    let said = run(with_args(&operator, |arg| arg.replace("--wait=60s", "--wait=1s"))).await.expect_err("no operator");
    assert!(said.contains("not completed within 1 s"), "{said}");

    // Its files, with the address of a process in place of the Service's.
    let (program, processes) = (Path::new(env!("CARGO_BIN_EXE_oncall-webhooks")), cluster().0.processes());
    let args = installation.api_args.expect("the chart has the API");
    let api = Api::start(program, processes, "tried-api", &installation.api_kubeconfig, &args);
    let api = api.await.expect("start the API");
    let folder = cluster().0.processes().dir().join("tried-files");
    fs::create_dir(&folder).expect("make a folder");
    for (name, text) in api_files.as_object().expect("files") {
        let text = text.as_str().expect("a text");
        let service = format!("http://{RELEASE}.{RELEASE}.svc/");
        assert!(name != "webhook.yaml" || text.contains(&service), "{text}");
        fs::write(folder.join(name), text.replace(&service, &format!("{}/", api.url()))).expect("write a file");
    }
    let in_folder = |arg: &str| arg.replace("/etc/oncall-webhooks", &folder.display().to_string());
    let call = tokio::task::spawn_blocking(move || command(&pod, "api")).await.expect("join");
    let said = run(with_args(&call, in_folder)).await.expect("the API answers");
    assert!(said.contains("statusCode: 200"), "{said}");
    api.stop().expect("stop the API");
    let said = run(with_args(&call, in_folder)).await.expect_err("there is no API");
    assert!(said.contains("exit status: 1"), "{said}");
}
