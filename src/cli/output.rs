//! Standard output for answers, standard error for remarks.

use std::io::{self, ErrorKind, IsTerminal, Write};

use anstream::AutoStream;
use anyhow::{Context, Error, Result};
use clap::{Args, ColorChoice, ValueEnum};

use super::program_name::called;

/// Says how objects are shown.
#[derive(Debug, Args)]
pub(super) struct ShowOptions {
    /// What is printed in place of a table: one with more columns, the objects, or their names
    #[arg(short, long, value_name = "FORMAT")]
    pub(super) output: Option<Format>,
    /// Whether tables have colours; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(super) color: ColorChoice,
    /// Leave out the heads of columns
    #[arg(long)]
    pub(super) no_headers: bool,
}

/// What is printed in place of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    // Comments for people who read help would take a line each in it.
    Wide,
    Json,
    Yaml,
    Name,
}

impl ShowOptions {
    /// Prints text that may have colours, without them where they are not wanted. False if nobody reads any more.
    ///
    /// # Errors
    /// Standard output can't be written to.
    pub(super) fn print(&self, text: &str) -> Result<bool> {
        let choice = match self.color {
            ColorChoice::Auto => AutoStream::choice(&io::stdout()),
            ColorChoice::Always => anstream::ColorChoice::Always,
            ColorChoice::Never => anstream::ColorChoice::Never,
        };
        write(AutoStream::new(io::stdout(), choice).lock(), text)
    }
}

/// Writes to standard output. A reader that stops reading is no error.
///
/// # Errors
/// Standard output can't be written to.
pub(super) fn print(text: &str) -> Result<()> {
    write(io::stdout().lock(), text).map(|_| ())
}

/// Writes all of a text. False if nobody reads it.
fn write(mut out: impl Write, text: &str) -> Result<bool> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("write to standard output"),
    }
}

/// Writes a line to standard error.
pub(super) fn complain(line: &str) {
    // There is nowhere else to say that this failed.
    let _ = writeln!(io::stderr(), "{line}");
}

/// Writes an error and its causes to standard error, behind the name of the program.
pub fn report(error: &Error) {
    complain(&format!("{}: {error:#}", called()));
}

/// Asks a question on the terminal; false for every answer but yes. None if there is no terminal to ask on.
///
/// # Errors
/// The answer can't be read.
pub(super) fn confirm(question: &str) -> Result<Option<bool>> {
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Ok(None);
    }
    let _ = write!(io::stderr(), "{question} [y/N] ");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("read the answer")?;
    Ok(Some(["y", "yes"].contains(&answer.trim().to_lowercase().as_str())))
}
