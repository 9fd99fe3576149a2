//! Prints lines, titles and commands for a person at a terminal.

use std::{
    env,
    io::{IsTerminal, Write, stdout},
    sync::LazyLock,
};

use parking_lot::Mutex;
use serde_json::Value;

static COLOURS: LazyLock<bool> =
    LazyLock::new(|| stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()));

static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A line. Nothing fails because nobody reads it.
pub(crate) fn say(line: &str) {
    let _ = writeln!(stdout(), "{line}");
    SAID.lock().push(line.to_owned());
}

/// All lines so far, colours included.
pub(crate) fn said() -> Vec<String> {
    SAID.lock().clone()
}

pub(crate) fn title(text: &str) {
    say(&format!("\n{}", paint("1", &format!("# {text}"))));
}

pub(crate) fn command(line: &str) {
    say(&format!("{} {}", paint("2", "$"), paint("1;36", line)));
}

pub(crate) fn paint(style: &str, text: &str) -> String {
    if *COLOURS { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
}

/// The beginning of a long line.
pub(crate) fn cut(line: &str) -> String {
    const SHOWN: usize = 160;
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}… ({} characters)", &line[..end], line.chars().count()),
        None => line.to_owned(),
    }
}

/// A word for a shell.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "/.:_-".contains(c));
    if is_plain { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// The text of a JSON string; empty for anything else.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
