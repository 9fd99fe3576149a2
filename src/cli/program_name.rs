//! The name that the program was called by, and that help and errors tell: kubectl calls a plugin by a name of its own.

use std::{env, path::Path};

/// The name of the binary, or of a link to it, that makes it a plugin of kubectl: `kubectl oncall`.
pub const PLUGIN: &str = "kubectl-oncall";
/// The name by which kubectl asks a plugin for completions.
pub const PLUGIN_COMPLETION: &str = "kubectl_complete-oncall";

/// How people call the program: `oncall-webhooks`, or `kubectl oncall`.
pub fn called() -> &'static str {
    if file_name().as_deref() == Some(PLUGIN) { "kubectl oncall" } else { env!("CARGO_PKG_NAME") }
}

/// The name of the file that was started.
pub fn file_name() -> Option<String> {
    let path = env::args_os().next()?;
    Some(Path::new(&path).file_stem()?.to_str()?.to_owned())
}
