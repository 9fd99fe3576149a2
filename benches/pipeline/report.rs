//! The results: a table for documents, with a column for each operator, and what belongs to it.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use support::Samples;

use crate::ground::Candidate;

/// What a phase came to: names and values, as they are shown.
pub(crate) type Figures = Vec<(&'static str, String)>;

/// The median, the 99th of a hundred, and the greatest.
pub(crate) fn quantiles(samples: &mut Samples) -> String {
    let all = [50, 99, 100].map(|percent| samples.percentile(percent));
    let digits = usize::from(all[0] < 100.0);
    all.map(|value| format!("{value:.digits$}")).join(" / ")
}

/// Results of phases, in the order in which they came.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
    /// API calls a delivery.
    pub(crate) calls: Vec<String>,
    /// What did not work, or was not as it must be.
    pub(crate) failures: Vec<String>,
}

struct Row {
    phase: String,
    figure: String,
    /// By operator, one for each round.
    values: BTreeMap<String, Vec<String>>,
}

impl Report {
    pub(crate) fn add(&mut self, phase: &str, operator: &str, figures: Figures) {
        for (figure, value) in figures {
            let row = match self.rows.iter_mut().position(|row| row.phase == phase && row.figure == figure) {
                Some(number) => self.rows.get_mut(number),
                None => {
                    // With the others of its phase, whichever operator has it first.
                    let after =
                        self.rows.iter().rposition(|row| row.phase == phase).map_or(self.rows.len(), |at| at + 1);
                    let (phase, figure) = (phase.to_owned(), figure.to_owned());
                    self.rows.insert(after, Row { phase, figure, values: BTreeMap::new() });
                    self.rows.get_mut(after)
                }
            };
            if let Some(row) = row {
                row.values.entry(operator.to_owned()).or_default().push(value);
            }
        }
    }

    /// The table, in Markdown.
    pub(crate) fn table(&self, operators: &[Candidate]) -> String {
        let names: Vec<&str> = operators.iter().map(|operator| &*operator.name).collect();
        let mut lines = vec![format!("| | {} |", names.join(" | ")), format!("|---|{}", "---|".repeat(names.len()))];
        let mut phase = "";
        for row in &self.rows {
            if row.phase != phase {
                phase = &row.phase;
                lines.push(format!("| **{phase}** |{}", " |".repeat(names.len())));
            }
            let value = |name: &&str| row.values.get(*name).map_or_else(|| "–".to_owned(), |values| values.join("; "));
            lines.push(format!("| {} | {} |", row.figure, names.iter().map(value).collect::<Vec<_>>().join(" | ")));
        }
        lines.join("\n")
    }
}

/// Warnings and errors of an operator's log, those that differ only in names and numbers together, each with how often. An
/// error is a failure of the run.
pub(crate) fn complaints(log: &Path) -> Result<Vec<String>> {
    let log = fs::read_to_string(log).with_context(|| format!("read {}", log.display()))?;
    let mut complaints = BTreeMap::new();
    for line in log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        if ["WARN", "ERROR"].contains(&&*text("level")) {
            let words = [text("level"), text("message"), text("error")].join(" ");
            let plain = words.split_whitespace().filter(|word| !word.contains(|c: char| c == '/' || c.is_numeric()));
            *complaints.entry(plain.take(24).collect::<Vec<_>>().join(" ")).or_insert(0) += 1;
        }
    }
    let all: Vec<String> = complaints.iter().map(|(complaint, count)| format!("{count} x {complaint}")).collect();
    let errors = complaints.keys().filter(|complaint| complaint.starts_with("ERROR")).count();
    ensure!(errors == 0, "it logged errors: {}", all.join("; "));
    Ok(all)
}
