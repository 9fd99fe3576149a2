//! `token`, where it needs no cluster, and what it says where it has none.

use std::collections::HashSet;

use support::output;

use crate::harness::{Folder, Ran, program};

#[test]
fn a_manifest_holds_the_hash_alone_and_standard_error_the_token() {
    let folder = Folder::new(&[]);
    let mut tokens = HashSet::new();
    for (args, metadata) in [
        ("ci -o yaml", "  labels:\n    oncall.dev/api-token: \"true\"\n  name: ci\n"),
        (
            "--read-only grafana.ci -n team -o yaml",
            "  labels:\n    oncall.dev/api-token: \"true\"\n    oncall.dev/read-only: \"true\"\n  name: grafana.ci\n  namespace: team\n",
        ),
    ] {
        let ran = folder.run(&format!("token create {args}"));
        let hash = ran.stdout.split_once("tokenHash: sha256:").expect("it has a hash").1.trim_end();
        assert!(hash.len() == 64 && hash.bytes().all(|b| b"0123456789abcdef".contains(&b)), "{hash}");
        let token = ran.stderr.lines().last().expect("it has a token");
        let digits = token.strip_prefix("oncall_").expect("it begins so");
        assert!(digits.len() == 64 && digits.bytes().all(|b| b"0123456789abcdef".contains(&b)), "{token}");
        let manifest =
            format!("apiVersion: v1\nkind: Secret\nmetadata:\n{metadata}stringData:\n  tokenHash: sha256:{hash}\n");
        assert_eq!(ran, Ran::new(0, &manifest, &format!("The token, which is shown only now:\n{token}\n")));
        tokens.insert(token.to_owned());
    }
    assert_eq!(tokens.len(), 2);
}

#[test]
fn wrong_arguments_are_named() {
    let folder = Folder::new(&[]);
    let name = |most, dots| {
        format!("give lower-case letters, digits, {dots}and -, at most {most}, a letter or digit first and last")
    };
    for (args, message) in [
        ("token create CI", format!("invalid value 'CI' for '<NAME>': {}", name(253, "., "))),
        ("token create ci -n a.b", format!("invalid value 'a.b' for '--namespace <NAMESPACE>': {}", name(63, ""))),
        ("token create ci -o json", "invalid value 'json' for '--output <OUTPUT>'".to_owned()),
        ("token create", "the following required arguments were not provided:\n  <NAME>".to_owned()),
        ("token make ci", "unrecognized subcommand 'make'".to_owned()),
    ] {
        let ran = folder.run(args);
        assert_eq!((ran.stdout.as_str(), ran.status), ("", 2), "{args}");
        assert!(ran.stderr.starts_with(&format!("error: {message}")), "{args}: {}", ran.stderr);
    }
}

#[test]
fn without_a_cluster_it_makes_no_token() {
    let mut no_cluster = program();
    no_cluster.args(["token", "create", "ci"]).env("KUBECONFIG", "/nonexistent").env("HOME", "/nonexistent");
    let error = output(&mut no_cluster).expect_err("there is no cluster").to_string();
    assert!(error.contains("oncall-webhooks: find the cluster: set KUBECONFIG, or run in a pod"), "{error}");
    assert!(!error.contains("oncall_"), "{error}");
}
