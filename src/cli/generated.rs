//! `crds`, `openapi`, `completion` and `man`: print what is generated from the Rust types. None needs a cluster.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum, ValueHint};
use clap_complete::env::Shells;
use kube::ResourceExt;

use super::{
    complete::VARIABLE,
    output::print,
    program_name::{PLUGIN, called},
};
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

/// Says which shell.
#[derive(Debug, Args)]
pub struct CompletionOptions {
    /// The shell
    shell: Shell,
}

/// A shell that completes commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    Powershell,
    Elvish,
}

impl Shell {
    fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
            Self::Powershell => "powershell",
            Self::Elvish => "elvish",
        }
    }
}

/// Prints the script for a shell. It asks the program, under the name that it was called by, for each completion.
///
/// # Errors
/// Standard output can't be written to.
pub fn completion(options: &CompletionOptions) -> Result<()> {
    let name = if called() == "kubectl oncall" { PLUGIN } else { called() };
    let mut script = Vec::new();
    let shells = Shells::builtins();
    let shell = shells.completer(options.shell.name()).context("there are no completions for this shell")?;
    shell.write_registration(VARIABLE, name, name, name, &mut script).context("print the completions")?;
    print(&String::from_utf8(script).context("print the completions")?)
}

/// Says where the man pages go.
#[derive(Debug, Args)]
pub struct ManOptions {
    /// Folder to write one page for each command into; it is made if it is not there
    #[arg(long, value_hint = ValueHint::DirPath)]
    dir: PathBuf,
}

/// Writes the man pages of a program.
///
/// # Errors
/// The folder can't be written to.
pub fn man(program: clap::Command, options: &ManOptions) -> Result<()> {
    let dir = &options.dir;
    let written = fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(program, dir));
    written.with_context(|| format!("write man pages into {}", dir.display()))
}
