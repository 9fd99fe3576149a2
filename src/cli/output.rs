//! Standard output for answers, standard error for remarks.

use std::io::{self, ErrorKind, Write};

use anyhow::{Context, Result};

/// Writes to standard output. A reader that stops reading is no error.
///
/// # Errors
/// Standard output can't be written to.
pub(super) fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("write to standard output"),
        _ => Ok(()),
    }
}

/// Writes a line to standard error.
pub(super) fn complain(line: &str) {
    // There is nowhere else to say that this failed.
    let _ = writeln!(io::stderr(), "{line}");
}
