//! Tables on a terminal: columns as wide as they need to be, numbers to the right.

use std::io::{IsTerminal as _, Write};

use anyhow::Context as _;

use crate::printable;

/// Characters of a cell on a terminal, at most. Elsewhere, whoever reads it may want all of them.
const LONGEST: usize = 60;

/// A table with a heading.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(heading: &[&str]) -> Self {
        Self { rows: vec![heading.iter().map(|name| (*name).to_owned()).collect()] }
    }

    /// Adds a row. A cell is a line, whatever others have put into it.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        let longest = std::io::stdout().is_terminal().then_some(LONGEST);
        self.rows.push(cells.iter().map(|cell| printable::cell(cell, longest)).collect());
    }

    /// Writes it out, a line for each row, without blanks at the end of lines.
    pub(crate) fn write(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        let numbers: Vec<_> = (0..columns)
            .map(|column| {
                let mut cells = self.rows.iter().skip(1).filter_map(|row| row.get(column));
                cells.all(|cell| cell == "-" || cell.parse::<i64>().is_ok())
            })
            .collect();
        for row in &self.rows {
            let mut line = String::new();
            for ((cell, width), number) in row.iter().zip(&widths).zip(&numbers) {
                let padding = " ".repeat(width - cell.chars().count());
                line += &if *number { format!("{padding}{cell}  ") } else { format!("{cell}{padding}  ") };
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }

    /// Writes it to standard output.
    pub(crate) fn print(&self) -> anyhow::Result<()> {
        let mut text = Vec::new();
        self.write(&mut text)?;
        print(&text)
    }
}

/// Writes text to standard output. That nobody reads it any more, as behind `| head`, is no error.
pub(crate) fn print(text: &[u8]) -> anyhow::Result<()> {
    let mut escaped = Vec::new();
    let text = if std::io::stdout().is_terminal() {
        printable::escape(text, &mut escaped);
        &escaped
    } else {
        text
    };
    match std::io::stdout().write_all(text) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}

/// Writes lines to standard output.
pub(crate) fn print_lines(lines: impl Iterator<Item = String>) -> anyhow::Result<()> {
    print(lines.map(|line| line + "\n").collect::<String>().as_bytes())
}

/// Writes JSON to standard output.
pub(crate) fn print_json(value: &serde_json::Value) -> anyhow::Result<()> {
    let text = format!("{value:#}\n");
    let mut escaped = Vec::new();
    if std::io::stdout().is_terminal() {
        printable::json(text.as_bytes(), &mut escaped);
        return print(&escaped);
    }
    print(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["TOPIC", "LAG", "HOST"]);
        table.row(vec!["é".into(), "1000".into(), "-".into()]);
        table.row(vec!["lines-2".into(), "-".into(), "here".into()]);
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        let expected = "TOPIC     LAG  HOST\né        1000  -\nlines-2     -  here\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
