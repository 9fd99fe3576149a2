//! Runs commands as a person would, and builds the operator.

use std::{
    ffi::OsString,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use cluster::ProcessGroup;
use tokio::task::spawn_blocking;

use crate::{
    REPOSITORY,
    terminal::{command, cut, say},
};

/// Builds the operator in the profile of this program and returns its path. Cargo shows its progress.
pub(crate) async fn build_operator(shell: &Shell) -> Result<PathBuf> {
    let cargo = support::build_operator(Some("quickstart"));
    support::built_operator(&shell.finish(cargo).await.context("build the operator")?)
}

/// Makes a shell print errors and warnings between what else it prints, as a terminal shows them.
const TOGETHER: &str = "exec 2>&1\n";

/// Runs commands, with the cluster's settings, in this repository.
pub(crate) struct Shell {
    steps: ProcessGroup,
    pub(crate) environment: Vec<(OsString, Option<OsString>)>,
}

impl Shell {
    pub(crate) fn new(environment: Vec<(OsString, Option<OsString>)>) -> Result<Self> {
        Ok(Self { steps: ProcessGroup::new("oncall-quickstart-")?, environment })
    }

    /// Ends the commands that still run.
    pub(crate) fn end(&mut self) -> Result<()> {
        self.steps = ProcessGroup::new("oncall-quickstart-")?;
        Ok(())
    }

    /// Shows a command line and what it prints.
    pub(crate) async fn show(&self, line: &str) -> Result<()> {
        self.show_after("", line).await
    }

    /// Does the same, after commands that are not shown.
    pub(crate) async fn show_after(&self, before: &str, line: &str) -> Result<()> {
        command(line);
        let printed = self.run(&format!("{TOGETHER}{before}{line}")).await?;
        printed.trim_end().lines().for_each(|line| say(&cut(line.trim_end())));
        Ok(())
    }

    /// Runs a command line and returns what it prints.
    pub(crate) async fn run(&self, line: &str) -> Result<String> {
        let mut shell = self.command("/bin/sh");
        shell.args(["-e", "-c", line]);
        self.finish(shell).await.with_context(|| format!("run {}", line.trim_start_matches(TOGETHER)))
    }

    /// A command in this repository that has the cluster's settings.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(REPOSITORY).stderr(Stdio::piped());
        for (name, value) in &self.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    /// Runs a command and returns what it prints. It ends with this program.
    pub(crate) async fn finish(&self, mut command: Command) -> Result<String> {
        let child = self.steps.spawn(command.stdout(Stdio::piped()))?;
        let output = spawn_blocking(|| child.wait_with_output()).await??;
        let [stdout, stderr] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        ensure!(output.status.success(), "{}: {stdout}{}", output.status, stderr.trim_end());
        Ok(stdout)
    }
}
