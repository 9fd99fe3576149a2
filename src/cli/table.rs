//! Tables for people, in the form of kubectl's: columns that are as wide as their widest text, with three blanks between.

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr;

const GAP: usize = 3;

/// The colours that mean something.
pub(super) const BAD: Style = AnsiColor::Red.on_default();
pub(super) const DOUBTFUL: Style = AnsiColor::Yellow.on_default();
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
pub(super) const FAINT: Style = Style::new().dimmed();
pub(super) const HEADING: Style = Style::new().bold();

/// A text in a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    pub(super) fn new(text: &str) -> Self {
        Self::styled(text, Style::new())
    }

    pub(super) fn styled(text: &str, style: Style) -> Self {
        Self { text: printable(text), style }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

/// Lays out rows.
pub(super) struct Table {
    heads: Vec<&'static str>,
    widths: Vec<usize>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(super) fn new(heads: &[&'static str]) -> Self {
        Self { heads: heads.to_vec(), widths: vec![0; heads.len()], rows: Vec::new() }
    }

    pub(super) fn push(&mut self, row: Vec<Cell>) {
        self.rows.push(row);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Takes the rows out as lines, below the heads of the columns if these are wanted. Columns stay as wide as they were.
    pub(super) fn take(&mut self, with_heads: bool) -> String {
        let mut rows = std::mem::take(&mut self.rows);
        if with_heads {
            rows.insert(0, self.heads.iter().map(|head| Cell::styled(head, HEADING)).collect());
        }
        for row in &rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.width());
            }
        }
        rows.iter().map(|row| self.line(row)).collect()
    }

    fn line(&self, row: &[Cell]) -> String {
        let mut line = String::new();
        let mut blanks = 0;
        for (cell, width) in row.iter().zip(&self.widths) {
            let Cell { text, style } = cell;
            // Blanks come only before another text: no line ends with them.
            if !text.is_empty() {
                line.push_str(&" ".repeat(blanks));
                line.push_str(&format!("{style}{text}{style:#}"));
                blanks = 0;
            }
            blanks += width + GAP - text.width();
        }
        line.push('\n');
        line
    }
}

/// The text on one line, with nothing that a terminal would obey: titles and answers come from outside.
pub(super) fn printable(text: &str) -> String {
    let obeyed = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let shown = text.chars().map(|c| match c {
        c if c.is_whitespace() => ' ',
        c if obeyed(c) => '\u{fffd}',
        c => c,
    });
    shown.collect::<String>().trim().to_owned()
}

/// The beginning of a text.
pub(super) fn shortened(text: &str, most: usize) -> String {
    let text = printable(text);
    if text.chars().count() <= most {
        return text;
    }
    let begin: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", begin.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["NAME", "STATE", "MESSAGE"]);
        table.push(vec![Cell::new("one"), Cell::styled("Failing", BAD), Cell::new("")]);
        table.push(vec![Cell::new("東京"), Cell::new(""), Cell::new("no answer")]);
        table
    }

    #[test]
    fn columns_are_as_wide_as_their_texts_and_no_line_ends_with_blanks() {
        let plain = |text: String| anstream::adapter::strip_str(&text).to_string();
        let mut shown = table();
        assert_eq!(plain(shown.take(true)), "NAME   STATE     MESSAGE\none    Failing\n東京             no answer\n");
        // What comes later stands below what was shown.
        shown.push(vec![Cell::new("two"), Cell::new("Ready"), Cell::new("fine")]);
        assert_eq!(plain(shown.take(false)), "two    Ready     fine\n");
        assert_eq!(plain(table().take(false)), "one    Failing\n東京             no answer\n");
        assert!(table().take(true).contains("one    \x1b[31mFailing\x1b[0m\n"));
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_printed() {
        for (text, expected) in [
            ("Disk\tis\nfull\r\n", "Disk is full"),
            ("\x1b[2J\x07x", "\u{fffd}[2J\u{fffd}x"),
            ("a\u{202e}b\u{9b}c", "a\u{fffd}b\u{fffd}c"),
            ("é 東京", "é 東京"),
        ] {
            assert_eq!(printable(text), expected);
        }
        assert_eq!(["abcdef", "abcde", "abcd fgh"].map(|text| shortened(text, 5)), ["abcd…", "abcde", "abcd…"]);
    }
}
