//! Options and exit statuses that several of these subcommands share.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

pub(super) const STATUS: &str = "Exit status: 0 if all is well; 1 if there are faults, a template fails or a delivery fails; \
                                 2 if it was called wrongly, a file can't be read or the files hold no object.";

/// Says which manifests to read.
#[derive(Debug, Args)]
pub(super) struct Sources {
    /// Manifests, YAML or JSON: files, folders (their *.yaml, *.yml and *.json), or - for standard input; a webhook may
    /// also be JSON as OnCall's API gives it
    #[arg(short, long = "filename", value_name = "FILE", required = true, num_args = 1.., value_delimiter = ',')]
    pub(super) file: Vec<PathBuf>,
    /// Read the folders inside folders too
    #[arg(short = 'R', long)]
    pub(super) recursive: bool,
    /// Namespace of what states none
    #[arg(short, long, default_value = "default")]
    pub(super) namespace: String,
}

/// Says how findings and requests are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Text,
    Json,
}

/// Whether a subcommand found something wrong; its exit status says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Fine,
    Faulty,
}

impl Verdict {
    pub(super) fn faulty_if(faulty: bool) -> Self {
        if faulty { Self::Faulty } else { Self::Fine }
    }
}
