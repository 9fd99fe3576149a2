//! Building the operator from an example, which cargo does not do by itself.

use std::{
    env,
    ffi::OsString,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The command that builds the operator in the repository of `manifest` (its Cargo.toml), in the profile of `example`, which
/// asks for it. What it prints is for [`built_operator`]; cargo shows its progress on the standard error.
pub fn build_operator(manifest: &str, example: &str) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    // With the example, so that dependencies are taken in the features in which they have been built for it.
    cargo.args(["build", "--bin", "oncall-webhooks", "--example", example]);
    cargo.args(["--message-format=json-render-diagnostics", "--manifest-path", manifest]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    // `cargo run` describes the example so; a build script that looks at it would have its crate built once more.
    let of_this = ["CARGO_MANIFEST_", "CARGO_PKG_"];
    for (name, _) in env::vars_os().filter(|(name, _)| of_this.iter().any(|of| name.to_string_lossy().starts_with(of)))
    {
        cargo.env_remove(name);
    }
    cargo
}

/// Builds the operator and returns where it is; see [`build_operator`].
///
/// # Errors
/// It can't be built.
pub fn operator_of(manifest: &str, example: &str) -> Result<PathBuf> {
    let mut cargo = build_operator(manifest, example);
    let output = cargo.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("start cargo")?;
    ensure!(output.status.success(), "build the operator: cargo ended with {}", output.status);
    built_operator(&String::from_utf8_lossy(&output.stdout))
}

/// Where the operator is that [`build_operator`] has built, by what that printed.
///
/// # Errors
/// It names no executable.
pub fn built_operator(messages: &str) -> Result<PathBuf> {
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut operator = artifacts.filter(|artifact| artifact["target"]["name"] == "oncall-webhooks");
    let path = operator.find_map(|artifact| artifact["executable"].as_str().map(PathBuf::from));
    path.context("cargo build names no executable oncall-webhooks")
}
