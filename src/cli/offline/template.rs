//! `template`: one template and its data in, the rendered text out.

use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use super::{data, files, findings, options::Verdict};
use crate::{
    cli::output::{complain, print},
    core::{
        event::{EventData, WebhookContext},
        template::{Mode, Template},
    },
};

/// Says what to render.
#[derive(Debug, Args)]
pub struct Options {
    /// How the text becomes part of a request: raw as in url and triggerTemplate, json as in headers and data, where
    /// strings are escaped as inside a JSON string
    #[arg(long, default_value = "raw")]
    mode: ModeOption,
    /// Data that the template sees, JSON or YAML
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// The template; - for standard input
    #[arg(default_value = "-", hide_default_value = true)]
    template: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ModeOption {
    Raw,
    Json,
}

pub(super) fn run(options: &Options) -> Result<Verdict> {
    let mode = match options.mode {
        ModeOption::Raw => Mode::Raw,
        ModeOption::Json => Mode::Json,
    };
    let from_stdin = options.template == "-";
    if from_stdin && options.data.as_deref().is_some_and(files::is_stdin) {
        bail!("standard input (-) can be read only once");
    }
    let mut faults = Vec::new();
    let data = match &options.data {
        Some(path) => data::read(path, &mut faults)?,
        None => Some(<_>::default()),
    };
    findings::mention(&faults);
    let Some(data) = data.filter(|_| faults.is_empty()) else { return Ok(Verdict::Faulty) };
    let source = if from_stdin {
        match String::from_utf8(files::read(Path::new("-"))?.bytes) {
            Ok(text) => text,
            Err(error) => {
                complain(&format!("the template is not UTF-8 at byte {}", error.utf8_error().valid_up_to()));
                return Ok(Verdict::Faulty);
            }
        }
    } else {
        options.template.clone()
    };
    let data = EventData::new(data.into_iter().collect());
    let rendered = Template::compile(&source, mode)
        .and_then(|template| template.render(&data.context(mode, &WebhookContext::default())));
    match rendered {
        Ok(text) => {
            let newline = if io::stdout().is_terminal() && !text.ends_with('\n') { "\n" } else { "" };
            print(&format!("{text}{newline}"))?;
            Ok(Verdict::Fine)
        }
        Err(error) => {
            let line = error.line.map_or_else(String::new, |line| format!(" (line {line})"));
            complain(&format!("{error}{line}"));
            Ok(Verdict::Faulty)
        }
    }
}
