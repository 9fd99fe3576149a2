//! `crds` and `openapi`: print what is generated from the Rust types. Neither needs a cluster.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
};

use anyhow::{Context, Result};
use clap::Args;
use kube::ResourceExt;

use crate::{resources, rest};

/// Says where the custom resource definitions go.
#[derive(Debug, Args)]
pub struct CrdOptions {
    /// Write one file for each into this folder instead
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// Prints the custom resource definitions as YAML, or writes each into a file of its own.
///
/// # Errors
/// Standard output or the folder can't be written to.
pub fn crds(options: &CrdOptions) -> Result<()> {
    for crd in resources::definitions() {
        let yaml = serde_saphyr::to_string(&crd).with_context(|| format!("print {}", crd.name_any()))?;
        match &options.dir {
            Some(dir) => {
                let path = dir.join(format!("{}.yaml", crd.name_any()));
                fs::write(&path, yaml).with_context(|| format!("write {}", path.display()))?;
            }
            None => write!(io::stdout(), "---\n{yaml}").context("write to stdout")?,
        }
    }
    Ok(())
}

/// Prints the OpenAPI document of the REST API as JSON.
///
/// # Errors
/// Standard output can't be written to.
pub fn openapi() -> Result<()> {
    let document = rest::document().to_pretty_json().context("print the OpenAPI document")?;
    writeln!(io::stdout(), "{document}").context("write to stdout")
}
