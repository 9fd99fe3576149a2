//! All of it as `kubectl oncall`, with a real kubectl, and the names that shells complete.

use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use kube::ResourceExt;
use serde_json::json;

use super::{Ran, opened};
use crate::harness::{World, cluster};

/// A folder with the names that the program is called by, which is removed when it is dropped.
struct Installed(PathBuf);

impl Drop for Installed {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Installed {
    fn new(namespace: &str) -> Self {
        let folder = env::temp_dir().join(format!("oncall-webhooks-plugin-{}-{namespace}", std::process::id()));
        fs::create_dir_all(&folder).expect("make a folder");
        for name in ["oncall-webhooks", "kubectl-oncall", "kubectl_complete-oncall"] {
            symlink(env!("CARGO_BIN_EXE_oncall-webhooks"), folder.join(name)).expect("link the program");
        }
        Self(folder)
    }

    /// Lets a command find the program.
    fn on_path(&self, mut command: Command) -> Command {
        let found = env::var_os("PATH").unwrap_or_default();
        let folders = [self.0.clone()].into_iter().chain(env::split_paths(&found));
        command.env("PATH", env::join_paths(folders).expect("no name has a colon"));
        command
    }

    /// Runs kubectl, which knows no cluster but what its arguments say.
    fn kubectl(&self, args: &[&str]) -> Ran {
        let mut kubectl = self.on_path(cluster().0.kubectl());
        ran(kubectl.args(args).env("KUBECONFIG", "/nonexistent"))
    }
}

fn ran(command: &mut Command) -> Ran {
    let output = command.output().expect("start the command");
    let text = |bytes| String::from_utf8(bytes).expect("it prints UTF-8");
    (text(output.stdout), text(output.stderr), output.status.code().expect("it was not killed"))
}

fn kubeconfig() -> &'static str {
    cluster().0.kubeconfig().to_str().expect("it is UTF-8")
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_runs_the_program_as_its_own() {
    let world = World::new("plugin").await;
    let installed = Installed::new(&world.namespace);
    let group = opened(&world, "Disk is full").await.name_any();
    let place = ["-n", &*world.namespace, "--context", "test", "--kubeconfig", kubeconfig()];
    let oncall = |args: &[&str]| {
        let all: Vec<&str> = ["oncall"].iter().chain(args).copied().chain(place).collect();
        installed.kubectl(&all)
    };
    let (stdout, stderr, status) = oncall(&["status", "-o", "name"]);
    assert_eq!((stdout.as_str(), stderr.as_str(), status), (&*format!("alertgroup.oncall.dev/{group}\n"), "", 0));
    let acknowledged = format!("AlertGroup {}/{group}: acknowledged\n", world.namespace);
    assert_eq!(oncall(&["ack", &group]), (acknowledged, String::new(), 0));
    // They may stand before the command too.
    let args: Vec<&str> = ["oncall"].into_iter().chain(place).chain(["status", "-o", "name"]).collect();
    assert_eq!(installed.kubectl(&args), (String::new(), String::new(), 0));

    let (stdout, stderr, status) = oncall(&["responses", "slack"]);
    let missing = format!("kubectl oncall: Webhook {}/slack does not exist\n", world.namespace);
    assert_eq!((stdout.as_str(), stderr, status), ("", missing, 1));
    let (_, stderr, status) = installed.kubectl(&["oncall", "ack"]);
    assert!(stderr.contains("Usage: kubectl oncall ack <ALERT_GROUP>...") && status == 2, "{stderr}");
    let args = ["oncall", "status", "--context", "nowhere", "--kubeconfig", kubeconfig()];
    let (_, stderr, status) = installed.kubectl(&args);
    assert!(stderr.starts_with("kubectl oncall: find the cluster: ") && status == 1, "{stderr}");
    assert!(stderr.contains("context nowhere"), "{stderr}");
    let (help, ..) = installed.kubectl(&["oncall", "--help"]);
    assert!(
        help.contains("\nUsage: kubectl oncall [OPTIONS] <COMMAND>\n") && !help.contains("Run the operator"),
        "{help}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn names_in_the_cluster_are_completed() {
    let world = World::new("completion").await;
    let installed = Installed::new(&world.namespace);
    world.seen_webhook("jira", "resolve", json!({})).await;
    world.seen_webhook("slack", "resolve", json!({})).await;
    let group = opened(&world, "Disk is full").await.name_any();
    let place = ["-n", &*world.namespace, "--kubeconfig", kubeconfig()];
    let completed = |args: &[&str], word: &str| {
        let all: Vec<&str> = ["__complete", "oncall"].iter().chain(args).copied().chain(place).chain([word]).collect();
        let (stdout, _, status) = installed.kubectl(&all);
        assert_eq!(status, 0, "{all:?}");
        stdout
    };
    for (args, word, expected) in [
        (vec!["responses"], "", "jira\tresolve\nslack\tresolve\n:4\n".to_owned()),
        (vec!["responses"], "sl", "slack\tresolve\n:4\n".to_owned()),
        (vec!["ack"], "", format!("{group}\tfiring: Disk is full\n:4\n")),
        (vec!["unresolve"], "", ":4\n".to_owned()),
        (
            vec!["status"],
            "--ou",
            "--output\tWhat is printed in place of a table: one with more columns, the objects, or their names\n:4\n"
                .to_owned(),
        ),
    ] {
        assert_eq!(completed(&args, word), expected, "{args:?} {word}");
    }
    let namespace = world.namespace.clone();
    let args = ["__complete", "oncall", "--kubeconfig", kubeconfig(), "status", "-n", &namespace];
    assert_eq!(installed.kubectl(&args).0, format!("{namespace}\n:4\n"));
    let args =
        ["__complete", "oncall", "emit", "alert", "--kubeconfig", kubeconfig(), "-n", &namespace, "--integration", ""];
    assert!(installed.kubectl(&args).0.ends_with(":4\n"));
    // Where there is no cluster there are no names, and no word about it.
    let args = ["__complete", "oncall", "responses", "--kubeconfig", "/nonexistent", ""];
    assert_eq!(installed.kubectl(&args).0, ":4\n");

    // Bash, with the script that the program prints.
    let script = r#"
        source <(oncall-webhooks completion bash)
        COMP_WORDS=(oncall-webhooks responses -n "$PLACE" j) COMP_CWORD=4 COMP_TYPE=9
        _clap_complete_oncall_webhooks oncall-webhooks j "$PLACE"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut bash = installed.on_path(Command::new("bash"));
    bash.args(["-c", script]).env("PLACE", &namespace).env("KUBECONFIG", Path::new(kubeconfig()));
    assert_eq!(ran(&mut bash), ("jira\n".to_owned(), String::new(), 0));
}
