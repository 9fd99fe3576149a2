//! Signals to processes, by the program `kill`: the standard library sends none but KILL, and that to children alone.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// A signal to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// To end well.
    Term,
    /// To end at once: it has no time to do anything about it.
    Kill,
    /// To stand still; its connections stay as they are.
    Stop,
    /// To go on after [`Signal::Stop`], as if no time had passed.
    Continue,
}

impl Signal {
    /// Sends it to the process.
    ///
    /// # Errors
    /// When there is no such process of this user, or no program `kill`.
    pub fn send(self, pid: u32) -> Result<()> {
        let name = match self {
            Self::Term => "TERM",
            Self::Kill => "KILL",
            Self::Stop => "STOP",
            Self::Continue => "CONT",
        };
        let pid = pid.to_string();
        let output = Command::new("kill").args(["-s", name, &pid]).stdin(Stdio::null()).output();
        let output = output.with_context(|| format!("send {name} to process {pid}: start kill"))?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "send {name} to process {pid}: {}", complaint.trim());
        Ok(())
    }
}
