//! The commands that create events, where it shows without a cluster: their arguments.

use support::output;

use crate::harness::{Folder, Ran, program};

#[test]
fn wrong_arguments_are_named() {
    let folder = Folder::new(&[]);
    let required = "the following required arguments were not provided:\n  ";
    let duration = "give a duration such as 30s or 2h";
    for (args, message) in [
        ("ack", format!("{required}<ALERT_GROUP>...")),
        ("ack a_b", "invalid value 'a_b' for '<ALERT_GROUP>...': give the name or the id of an AlertGroup".to_owned()),
        ("resolve I1 --wait soon", format!("invalid value 'soon' for '--wait <DURATION>': {duration}")),
        ("unack I1 -n A", "invalid value 'A' for '--namespace <NAMESPACE>': give lower-case letters".to_owned()),
        ("silence I1", format!("{required}<--for <DURATION>|--forever>")),
        ("silence I1 --for 0s", "invalid value '0s' for '--for <DURATION>': give a duration over 0s".to_owned()),
        ("silence I1 --for 2h --forever", "the argument '--for <DURATION>' cannot be used with '--forever'".to_owned()),
        ("emit", format!("{required}<TYPE>")),
        ("emit created --alert-group I1", "invalid value 'created' for '<TYPE>'".to_owned()),
        ("emit alert --integration a --action open", "invalid value 'open' for '--action <ACTION>'".to_owned()),
        ("emit alert", "alert needs --integration".to_owned()),
        ("emit resolve --alert-group I1 --webhook a", "--webhook does not go with resolve".to_owned()),
        (
            "emit resolve --alert-group I1 --wait=soon",
            format!("invalid value 'soon' for '--wait[=<DURATION>]': {duration}"),
        ),
        ("responses", format!("{required}<WEBHOOK>")),
        ("responses A_B", "invalid value 'A_B' for '<WEBHOOK>': give the name or the id of a Webhook".to_owned()),
        ("responses a --since soon", format!("invalid value 'soon' for '--since <DURATION>': {duration}")),
        ("redeliver", format!("{required}<NAMES|--webhook <WEBHOOK>|--since <DURATION>|--failed>")),
        ("redeliver a --failed", "the argument '[NAMES]...' cannot be used with '--failed'".to_owned()),
        (
            "status -A -n team",
            "the argument '--all-namespaces' cannot be used with '--namespace <NAMESPACE>'".to_owned(),
        ),
        ("status -o text", "invalid value 'text' for '--output <FORMAT>'".to_owned()),
        ("completion csh", "invalid value 'csh' for '<SHELL>'".to_owned()),
        ("-n team lint -f x", "--namespace, --context and --kubeconfig do not go before this command".to_owned()),
    ] {
        let ran = folder.run(args);
        assert_eq!((ran.stdout.as_str(), ran.status), ("", 2), "{args}");
        assert!(ran.stderr.starts_with(&format!("error: {message}")), "{args}: {}", ran.stderr);
    }
}

#[test]
fn a_payload_that_is_no_json_or_not_there_creates_nothing() {
    let folder = Folder::new(&[("text", "nonsense")]);
    for (path, message) in
        [("text", "read the payload from text: it is no JSON: "), ("none", "read the payload from none: No such file")]
    {
        let ran = folder.run(&format!("emit alert --integration prod --payload {path}"));
        assert_eq!((ran.stdout.as_str(), ran.status), ("", 1), "{path}");
        assert!(ran.stderr.starts_with(&format!("oncall-webhooks: {message}")), "{}", ran.stderr);
    }
}

#[test]
fn each_shell_is_given_a_script_that_asks_the_program() {
    let folder = Folder::new(&[]);
    for (shell, expected) in [
        ("bash", "complete -o nospace -o bashdefault -F _clap_complete_oncall_webhooks oncall-webhooks"),
        ("zsh", "#compdef oncall-webhooks"),
        ("fish", "complete --keep-order --exclusive --command oncall-webhooks"),
        ("powershell", "Register-ArgumentCompleter -Native -CommandName oncall-webhooks"),
        ("elvish", "set edit:completion:arg-completer[oncall-webhooks]"),
    ] {
        let ran = folder.run(&format!("completion {shell}"));
        assert_eq!((ran.stderr.as_str(), ran.status), ("", 0), "{shell}");
        assert!(ran.stdout.contains(expected) && ran.stdout.contains("ONCALL_WEBHOOKS_COMPLETE"), "{}", ran.stdout);
    }
    let bash = folder.run("completion bash").stdout;
    folder.write("script", bash.as_bytes());
    // A word that is begun, and names where there is no cluster to ask.
    let program = program().get_program().to_owned();
    for (words, index, expected) in [("oncall-webhooks respon", "1", "responses"), ("oncall-webhooks ack x", "2", "")] {
        let mut completing = std::process::Command::new(&program);
        completing.arg("--").args(words.split(' ')).env("ONCALL_WEBHOOKS_COMPLETE", "bash");
        completing.env("_CLAP_COMPLETE_INDEX", index).env("KUBECONFIG", "/nonexistent").env("HOME", "/nonexistent");
        let completed = completing.output().expect("start the program");
        assert_eq!((&*completed.stdout, &*completed.stderr), (expected.as_bytes(), &b""[..]), "{words}");
    }
}

#[test]
fn each_command_has_a_man_page() {
    let folder = Folder::new(&[]);
    assert_eq!(folder.run("man --dir pages/one"), Ran::new(0, "", ""));
    for (page, expected) in [
        ("oncall-webhooks.1", "oncall\\-webhooks \\- Grafana OnCall"),
        ("oncall-webhooks-status.1", "\\fB\\-\\-all\\-namespaces\\fR"),
        ("oncall-webhooks-token-create.1", "oncall\\-webhooks\\-token\\-create \\- Make a token"),
        ("oncall-webhooks-redeliver.1", "\\fB\\-\\-dry\\-run\\fR"),
    ] {
        let page = folder.read(&format!("pages/one/{page}"));
        assert!(page.contains(expected), "{page}");
    }
    let ran = Folder::new(&[("file", "")]).run("man --dir file/pages");
    assert_eq!((ran.stdout.as_str(), ran.status), ("", 1));
    assert!(ran.stderr.starts_with("oncall-webhooks: write man pages into file/pages: "), "{}", ran.stderr);
}

#[test]
fn without_a_cluster_nothing_is_changed() {
    for args in [
        vec!["ack", "i1"],
        vec!["emit", "resolve", "--alert-group", "I1"],
        vec!["status"],
        vec!["responses", "jira"],
        vec!["redeliver", "--failed"],
    ] {
        let mut no_cluster = program();
        no_cluster.args(&args).env("KUBECONFIG", "/nonexistent").env("HOME", "/nonexistent");
        let error = output(&mut no_cluster).expect_err("there is no cluster").to_string();
        assert!(error.contains("oncall-webhooks: find the cluster: set KUBECONFIG, or run in a pod"), "{error}");
    }
}
