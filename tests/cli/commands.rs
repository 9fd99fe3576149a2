//! The commands that create events, where it shows without a cluster: their arguments.

use support::output;

use crate::harness::{Folder, program};

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
fn without_a_cluster_nothing_is_changed() {
    for args in [vec!["ack", "i1"], vec!["emit", "resolve", "--alert-group", "I1"]] {
        let mut no_cluster = program();
        no_cluster.args(&args).env("KUBECONFIG", "/nonexistent").env("HOME", "/nonexistent");
        let error = output(&mut no_cluster).expect_err("there is no cluster").to_string();
        assert!(error.contains("oncall-webhooks: find the cluster: set KUBECONFIG, or run in a pod"), "{error}");
    }
}
