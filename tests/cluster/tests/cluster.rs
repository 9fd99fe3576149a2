//! Tries the promises of a control plane on real ones: one that the tests here share, and others that are killed or restarted.

#![allow(clippy::unwrap_used, reason = "a test's complaint is a panic")]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use cluster::{Cluster, Server, Signal};

/// One for all tests; the end of the test process ends it.
fn shared() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(|| Cluster::builder().audit(AUDIT_POLICY).start().unwrap())
}

const AUDIT_POLICY: &str = "
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: RequestResponse, namespaces: [audited]}
- level: None
";

/// Runs to the end; Ok with what it printed, or Err with its complaint.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

fn kubectl(words: &str) -> Result<String, String> {
    run(shared().kubectl().args(words.split(' ')))
}

/// Waits until `done`, for half a minute at most.
fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < deadline, "not so after 30 s: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Process groups of the processes, zombies aside, whose line in a list has `part`: one for each.
fn groups_of(part: &str) -> Vec<String> {
    let list = run(Command::new("ps").args(["-A", "-o", "pgid=,stat=,args="])).unwrap();
    let alive = list.lines().filter(|line| line.contains(part)).filter_map(|line| {
        let (group, rest) = line.trim().split_once(' ')?;
        (!rest.trim().starts_with('Z')).then(|| group.to_owned())
    });
    alive.collect()
}

#[test]
fn two_run_side_by_side_and_kill_9_leaves_nothing_of_one_and_all_of_the_other() {
    let mut holder = Command::new(env!("CARGO_BIN_EXE_cluster")).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let theirs = Path::new(line.trim().strip_prefix("export KUBECONFIG=").unwrap());
    let in_theirs = |words: &str| {
        let mut kubectl = shared().kubectl();
        run(kubectl.env("KUBECONFIG", theirs).args(words.split(' ')))
    };
    in_theirs("create namespace only-theirs").unwrap();
    kubectl("create namespace only-ours").unwrap();
    assert!(in_theirs("get namespace only-ours").unwrap_err().contains("not found"));
    assert!(kubectl("get namespace only-theirs").unwrap_err().contains("not found"));

    let folder = theirs.parent().unwrap();
    // Only the controller manager's command line has the folder; the others are in the same group.
    let group = groups_of(folder.to_str().unwrap()).pop().unwrap();
    let alive = || groups_of("").iter().filter(|other| **other == group).count();
    assert_eq!(alive(), 4, "three servers and the reaper");

    holder.kill().unwrap();
    holder.wait().unwrap();
    eventually("no process is left", || alive() == 0);
    eventually("no folder is left", || !folder.exists());
    kubectl("get namespace only-ours").unwrap();
}

#[test]
fn a_service_account_may_do_what_rbac_gives_it_and_nothing_else() {
    kubectl("create namespace bound").unwrap();
    kubectl("create serviceaccount reader --namespace=bound").unwrap();
    let kubeconfig = shared().service_account_kubeconfig("bound", "reader").unwrap();
    let as_reader = |words: &str| {
        let mut kubectl = shared().kubectl();
        run(kubectl.env("KUBECONFIG", &kubeconfig).args(words.split(' ')))
    };
    let forbidden = |words: &str| as_reader(words).unwrap_err().contains("Forbidden");

    assert_eq!(
        as_reader("auth whoami -o=jsonpath={.status.userInfo.username}").unwrap(),
        "system:serviceaccount:bound:reader"
    );
    assert!(forbidden("get secrets --namespace=bound"));
    assert!(forbidden("get configmaps --namespace=bound"));

    // The role `view` has no Secrets.
    kubectl("create rolebinding view --clusterrole=view --serviceaccount=bound:reader --namespace=bound").unwrap();
    eventually("the reader sees ConfigMaps", || as_reader("get configmaps --namespace=bound").is_ok());
    assert!(forbidden("get secrets --namespace=bound"));
    assert!(forbidden("get configmaps --namespace=default"));
}

#[test]
fn a_token_needs_its_service_account() {
    let error = shared().service_account_kubeconfig("default", "nobody").unwrap_err();
    assert_eq!(
        error.to_string(),
        "create a token of ServiceAccount default/nobody: \
         error: failed to create token: serviceaccounts \"nobody\" not found"
    );
}

#[test]
fn what_is_owned_goes_with_its_owner_and_what_is_in_a_namespace_with_the_namespace() {
    kubectl("create namespace garbage").unwrap();
    kubectl("create configmap owner --namespace=garbage").unwrap();
    kubectl("create configmap owned --namespace=garbage").unwrap();
    let uid = kubectl("get configmap owner --namespace=garbage -o=jsonpath={.metadata.uid}").unwrap();
    let reference = format!(
        r#"{{"metadata":{{"ownerReferences":[{{"apiVersion":"v1","kind":"ConfigMap","name":"owner","uid":"{uid}"}}]}}}}"#
    );
    kubectl(&format!("patch configmap owned --namespace=garbage --patch={reference}")).unwrap();

    kubectl("delete configmap owner --namespace=garbage").unwrap();
    kubectl("wait configmap owned --namespace=garbage --for=delete --timeout=30s").unwrap();
    kubectl("delete namespace garbage --timeout=30s").unwrap();
    assert!(kubectl("get namespace garbage").unwrap_err().contains("not found"));
}

#[test]
fn clients_and_server_know_their_versions_and_servers_their_pids() {
    // Each is what go.mod requires, unless KUBEBUILDER_ASSETS has another; a client that can't parse it complains.
    let version = kubectl("version").unwrap();
    assert!(version.contains("Server Version: v1."), "{version}");
    let helm = run(shared().helm().args(["version", "--short"])).unwrap();
    assert!(helm.starts_with("v4."), "{helm}");
    run(shared().helm().args(["list", "--all-namespaces"])).unwrap();

    let group = groups_of(shared().processes().dir().to_str().unwrap());
    for server in [Server::Etcd, Server::ApiServer, Server::ControllerManager] {
        let pid = shared().pid(server).to_string();
        let of_pid = run(Command::new("ps").args(["-o", "pgid=,args=", "-p", &pid])).unwrap();
        let (of_pid, program) = of_pid.split_once(' ').unwrap();
        assert!(group.contains(&of_pid.to_owned()) && program.contains(&server.to_string()), "{of_pid} {program}");
    }
}

#[test]
fn what_the_audit_policy_names_is_in_the_audit_log_with_its_bodies_and_nothing_else_is() {
    kubectl("create namespace audited").unwrap();
    kubectl("create configmap seen --from-literal=key=a-value --namespace=audited").unwrap();
    kubectl("create configmap unseen --from-literal=key=b-value --namespace=default").unwrap();
    let log = fs::read_to_string(shared().audit_log().unwrap()).unwrap();
    let seen: Vec<_> = log.lines().filter(|line| line.contains("\"name\":\"seen\"")).collect();
    assert!(seen.iter().any(|line| line.contains("\"verb\":\"create\"") && line.contains("a-value")), "{log}");
    assert!(!log.contains("b-value"), "{log}");
}

#[test]
fn servers_that_are_restarted_have_their_address_and_all_that_was_written() {
    let mut cluster = Cluster::start().unwrap();
    let kubectl = |cluster: &Cluster, words: &str| run(cluster.kubectl().args(words.split(' ')));
    let before = kubectl(&cluster, "config view --raw").unwrap();
    let restarts = [
        (Server::Etcd, Signal::Kill),
        (Server::ApiServer, Signal::Term),
        (Server::ApiServer, Signal::Kill),
        (Server::Etcd, Signal::Term),
        (Server::ControllerManager, Signal::Kill),
    ];
    for (number, (server, signal)) in restarts.into_iter().enumerate() {
        kubectl(&cluster, &format!("create configmap written-{number} --namespace=default")).unwrap();
        let pid = cluster.pid(server);
        cluster.restart(server, signal).unwrap();
        assert_ne!(cluster.pid(server), pid);
    }
    assert_eq!(kubectl(&cluster, "config view --raw").unwrap(), before);
    let written = kubectl(&cluster, "get configmaps --namespace=default -o=name").unwrap();
    let written: Vec<_> = written.lines().filter(|name| name.contains("written")).collect();
    let expected: Vec<_> = (0..restarts.len()).map(|number| format!("configmap/written-{number}")).collect();
    assert_eq!(written, expected);
    assert_eq!(
        cluster.restart(Server::Etcd, Signal::Stop).unwrap_err().to_string(),
        "restart etcd: Stop ends no process"
    );
}

#[test]
fn a_stopped_process_stands_still_until_it_is_told_to_continue() {
    let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
    let pid = child.id();
    let state = || run(Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()])).unwrap();
    Signal::Stop.send(pid).unwrap();
    eventually("it stands still", || state().starts_with('T'));
    Signal::Continue.send(pid).unwrap();
    eventually("it goes on", || state().starts_with('S'));
    Signal::Term.send(pid).unwrap();
    child.wait().unwrap();
    let error = Signal::Term.send(pid).unwrap_err().to_string();
    assert!(error.starts_with(&format!("send TERM to process {pid}: ")), "{error}");
}
