//! Where this repository is, and building the operator from a program beside it, which cargo does not do by itself.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The folder of the operator's package, which is the root of this repository.
pub fn repository() -> PathBuf {
    // This package is in tests/support.
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new(".")).to_owned()
}

/// The folder of the operator's Helm chart.
pub fn chart() -> PathBuf {
    repository().join("charts/oncall-webhooks")
}

/// The command that builds the operator in the profile of the program that calls this. An example of the operator's own
/// package names itself as `example`. What the command prints is for [`built_operator`]; cargo shows its progress on the
/// standard error.
pub fn build_operator(example: Option<&str>) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    cargo.args(["build", "--package", "oncall-webhooks", "--bin", "oncall-webhooks"]);
    if let Some(example) = example {
        // Dependencies are then taken with the features that they have been built with for the example.
        cargo.args(["--example", example]);
    }
    cargo.arg("--message-format=json-render-diagnostics").arg("--manifest-path").arg(repository().join("Cargo.toml"));
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    // `cargo run` describes the program that it runs in these; a build script that reads them would be run once more.
    let of_this = ["CARGO_MANIFEST_", "CARGO_PKG_"];
    for (name, _) in env::vars_os().filter(|(name, _)| of_this.iter().any(|of| name.to_string_lossy().starts_with(of)))
    {
        cargo.env_remove(name);
    }
    cargo
}

/// Builds the operator for a program of another package and returns the path of its binary; see [`build_operator`].
///
/// # Errors
/// The operator can't be built.
pub fn operator() -> Result<PathBuf> {
    let output = build_operator(None).stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("start cargo")?;
    ensure!(output.status.success(), "build the operator: cargo ended with {}", output.status);
    built_operator(&String::from_utf8_lossy(&output.stdout))
}

/// The path of the binary that [`build_operator`] has built, found in what that command printed.
///
/// # Errors
/// The messages name no executable.
pub fn built_operator(messages: &str) -> Result<PathBuf> {
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut operator = artifacts.filter(|artifact| artifact["target"]["name"] == "oncall-webhooks");
    let path = operator.find_map(|artifact| artifact["executable"].as_str().map(PathBuf::from));
    path.context("cargo build names no executable oncall-webhooks")
}
