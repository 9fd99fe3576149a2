//! What the README shows of the quickstart is what it prints.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use crate::{REPOSITORY, terminal::said};

/// What comes before the lines that the README shows.
const BEFORE: &str = "This is how the quickstart goes on, in part:";

/// Says which titles, commands, requests, bodies and answers of the README were not printed. Names, times and tables are others
/// at each run.
pub(crate) fn faults() -> Result<Vec<String>> {
    let readme = fs::read_to_string(Path::new(REPOSITORY).join("README.md")).context("read the README")?;
    let block = readme.split_once(BEFORE).and_then(|(_, rest)| rest.split("```").nth(1)).context("find its block")?;
    let (printed, begins) = (said(), ["# ", "$ ", "--> ", "<-- ", "    {"]);
    let shown = block.lines().filter(|line| begins.iter().any(|begin| line.starts_with(begin)));
    let missing = shown.filter(|line| {
        let text = without_name(line.strip_prefix("$ ").unwrap_or(line));
        !printed.iter().any(|line| line.contains(text))
    });
    Ok(missing.map(|line| format!("the README shows what was not printed: {line}")).collect())
}

/// The line without the alert group's name at its end.
fn without_name(line: &str) -> &str {
    const LENGTH: usize = 16;
    let is_name = |word: &str| word.len() == LENGTH && word.starts_with('i') && word.chars().all(char::is_alphanumeric);
    line.rsplit_once(' ').filter(|(_, word)| is_name(word)).map_or(line, |(start, _)| start)
}
