//! The program prints its CRDs, and says why where it can't begin; the README shows what it prints.

use std::{env, fs, path::Path, process::Command};

use support::output;

use crate::harness::program;

#[test]
fn crds_are_what_is_checked_in() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let printed = output(program().arg("crds")).expect("print the CRDs");
    let documents: Vec<&str> = printed.split("---\n").filter(|document| !document.is_empty()).collect();
    let names = ["webhooks", "integrations", "alertgroups", "alertgroupevents", "webhookresponses", "deliveryjournals"];
    assert_eq!(documents.len(), names.len());
    for (name, document) in names.into_iter().zip(documents) {
        let [file, link] = ["charts/oncall-webhooks/files/crds", "crds"]
            .map(|folder| root.join(folder).join(format!("{name}.oncall.dev.yaml")));
        let checked_in = fs::read_to_string(&file).expect("read a CRD");
        let command = "cargo run -- crds --dir charts/oncall-webhooks/files/crds";
        assert!(checked_in == document, "{} differs: run `{command}`", file.display());
        // The one copy that there is.
        assert_eq!(link.canonicalize().expect("find a CRD"), file.canonicalize().expect("find a CRD"));
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

    let error = output(program().args(["controller", "--default-timeout=2m"])).expect_err("it is too long").to_string();
    assert!(error.contains("give a duration over 0s and up to 1m, such as 4s"), "{error}");
}

#[test]
fn the_readme_shows_what_happens() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).expect("read the README");
    let section = readme.split("## Without a cluster").nth(1).expect("it has the section");
    let block = section.split("```console\n").nth(1).and_then(|rest| rest.split("```").next()).expect("with a block");
    let folder = program().get_program().to_owned();
    let folder = Path::new(&folder).parent().expect("the program is in a folder");
    let path =
        env::join_paths([folder.to_owned()].into_iter().chain(env::split_paths(&env::var_os("PATH").expect("set"))))
            .expect("no name has a colon");
    let mut ran = String::new();
    for line in block.lines().filter_map(|line| line.strip_prefix("$ ")) {
        let output =
            Command::new("sh").args(["-c", line]).current_dir(root).env("PATH", &path).output().expect("run sh");
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        ran += &format!("$ {line}\n{}\n", text.trim_end());
    }
    assert_eq!(ran, block);
}
