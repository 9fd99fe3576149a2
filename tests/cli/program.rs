//! What it prints of itself, and what it says where it can't begin.

use std::{fs, path::Path};

use support::output;

use crate::harness::program;

#[test]
fn crds_are_what_is_checked_in() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let printed = output(program().arg("crds")).expect("print the CRDs");
    let documents: Vec<&str> = printed.split("---\n").filter(|document| !document.is_empty()).collect();
    let names = ["webhooks", "alertgroupevents", "webhookresponses"];
    assert_eq!(documents.len(), names.len());
    for (name, document) in names.into_iter().zip(documents) {
        for folder in ["crds", "charts/oncall-webhooks/crds"] {
            let file = root.join(folder).join(format!("{name}.oncall.dev.yaml"));
            let checked_in = fs::read_to_string(&file).expect("read a CRD");
            assert!(checked_in == document, "{} differs: run `cargo run -- crds --dir {folder}`", file.display());
        }
    }
}

#[test]
fn what_can_not_be_done_is_said_in_one_line() {
    let mut no_cluster = program();
    no_cluster
        .args(["controller", "--health-address=127.0.0.1:0"])
        .env("KUBECONFIG", "/nonexistent")
        .env("HOME", "/nonexistent");
    let error = output(&mut no_cluster).expect_err("there is no cluster").to_string();
    assert!(error.contains("oncall-webhooks: find the cluster: set KUBECONFIG, or run in a pod"), "{error}");

    let error = output(program().args(["controller", "--max-unrecorded=0"])).expect_err("0 is refused").to_string();
    assert!(error.contains("give a number from 1 to 100000"), "{error}");
}
