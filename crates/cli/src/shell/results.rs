//! The rows of a SELECT, as they come.
//!
//! | mode | |
//! |---|---|
//! | `table` | the result as it is now, drawn anew when it has changed; without a terminal, as it is in the end |
//! | `changelog` | each change on a line, with its kind |
//! | `tableau` | the same in a box, with the number of rows at the end |

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::bail;
use thalweg_table::result::{Change, Next, TableResult};
use thalweg_table::row_kind::RowKind;
use thalweg_table::tableau::tableau;

use crate::interrupt::Interrupt;
use crate::printable;

/// How results are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Table,
    Changelog,
    Tableau,
}

impl Mode {
    /// The mode of this name; without one, `table` for somebody, and `tableau` for nobody.
    pub(super) fn of(name: Option<&str>, interactive: bool) -> anyhow::Result<Self> {
        Ok(match name.map(str::to_lowercase).as_deref() {
            Some("table") => Self::Table,
            Some("changelog") => Self::Changelog,
            Some("tableau") => Self::Tableau,
            None if interactive => Self::Table,
            None => Self::Tableau,
            Some(other) => {
                bail!("'sql-client.execution.result-mode' is table, changelog or tableau, not `{other}`")
            }
        })
    }
}

/// So long a row is waited for before it is looked whether somebody has enough.
const PATIENCE: Duration = Duration::from_millis(20);
/// So often a table is drawn anew, at most.
const DRAW: Duration = Duration::from_millis(200);
/// So many rows of a table are shown, the last ones.
const SHOWN: usize = 40;
/// So wide a cell is in a box whose rows come one by one.
const WIDEST: usize = 30;

/// Shows rows until they end, or Ctrl-C is pressed.
pub(super) fn show(mut result: TableResult, mode: Mode, interrupt: &Interrupt) -> anyhow::Result<()> {
    let names: Vec<String> = result.schema().fields().iter().map(|field| field.name().clone()).collect();
    let mut shown = match mode {
        Mode::Table => Shown::Table(Live::new(names)),
        Mode::Changelog | Mode::Tableau => Shown::Lines(Lines::new(names, mode == Mode::Tableau)),
    };
    shown.begin()?;
    let ended = loop {
        match result.next_within(PATIENCE)? {
            Next::Row(change) => shown.row(&change)?,
            Next::Nothing => shown.idle()?,
            Next::End => break true,
        }
        if interrupt.is_set() {
            break false;
        }
    };
    shown.end(ended)
}

/// The values of a row: a terminal obeys nothing that is in them.
fn values(change: &Change) -> Vec<String> {
    change.values().iter().map(|value| printable::text(value).to_string()).collect()
}

enum Shown {
    Table(Live),
    Lines(Lines),
}

impl Shown {
    fn begin(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Table(_) => Ok(()),
            Self::Lines(lines) => lines.begin(),
        }
    }

    fn row(&mut self, change: &Change) -> anyhow::Result<()> {
        match self {
            Self::Table(live) => live.row(change),
            Self::Lines(lines) => lines.row(change),
        }
    }

    fn idle(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Table(live) => live.draw(false),
            Self::Lines(_) => Ok(std::io::stdout().flush()?),
        }
    }

    fn end(self, ended: bool) -> anyhow::Result<()> {
        match self {
            Self::Table(live) => live.end(ended),
            Self::Lines(lines) => lines.end(ended),
        }
    }
}

/// Each change on a line.
struct Lines {
    names: Vec<String>,
    boxed: bool,
    widths: Vec<usize>,
    rows: usize,
}

impl Lines {
    fn new(names: Vec<String>, boxed: bool) -> Self {
        let widths = names.iter().map(|name| name.chars().count().clamp(11, WIDEST)).collect();
        Self { names, boxed, widths, rows: 0 }
    }

    fn rule(&self) -> String {
        let cells: String = self.widths.iter().map(|width| format!("{}+", "-".repeat(width + 2))).collect();
        format!("+----+{cells}")
    }

    fn line(&self, op: &str, cells: &[String]) -> String {
        let cell = |(cell, width): (&String, &usize)| {
            let length = cell.chars().count();
            match length > (*width).max(WIDEST) {
                true => format!(" {}... |", cell.chars().take(WIDEST - 3).collect::<String>()),
                false => format!(" {cell:>width$} |"),
            }
        };
        format!("| {op:>2} |{}", cells.iter().zip(&self.widths).map(cell).collect::<String>())
    }

    fn begin(&mut self) -> anyhow::Result<()> {
        if self.boxed {
            println!("{}\n{}\n{}", self.rule(), self.line("op", &self.names), self.rule());
        }
        Ok(())
    }

    fn row(&mut self, change: &Change) -> anyhow::Result<()> {
        self.rows += 1;
        match self.boxed {
            true => println!("{}", self.line(&change.kind.to_string(), &values(change))),
            false => println!("{}[{}]", change.kind, values(change).join(", ")),
        }
        Ok(())
    }

    fn end(self, ended: bool) -> anyhow::Result<()> {
        if self.boxed {
            let rows = if self.rows == 1 { "row" } else { "rows" };
            let total = if ended { "Received a total of" } else { "Query terminated, received a total of" };
            println!("{}\n{total} {} {rows}", self.rule(), self.rows);
        }
        Ok(())
    }
}

/// The result as it is now.
struct Live {
    names: Vec<String>,
    /// How often each row is there, and when it came.
    rows: BTreeMap<Vec<String>, (i64, usize)>,
    changes: usize,
    drawn: Option<Instant>,
    /// How many lines the last drawing has.
    height: usize,
    stale: bool,
    terminal: bool,
}

impl Live {
    fn new(names: Vec<String>) -> Self {
        let terminal = std::io::stdout().is_terminal();
        Self { names, rows: BTreeMap::new(), changes: 0, drawn: None, height: 0, stale: true, terminal }
    }

    fn row(&mut self, change: &Change) -> anyhow::Result<()> {
        self.changes += 1;
        self.stale = true;
        let values = values(change);
        let number = self.changes;
        let entry = self.rows.entry(values.clone()).or_insert((0, number));
        entry.0 += if matches!(change.kind, RowKind::Insert | RowKind::UpdateAfter) { 1 } else { -1 };
        if entry.0 == 0 {
            self.rows.remove(&values);
        }
        self.draw(false)
    }

    fn text(&self) -> String {
        let mut rows: Vec<(&Vec<String>, &(i64, usize))> = self.rows.iter().collect();
        rows.sort_by_key(|(_, (_, came))| *came);
        let rows: Vec<Vec<String>> = rows
            .into_iter()
            .flat_map(|(row, (count, _))| std::iter::repeat_n(row.clone(), (*count).max(0) as usize))
            .collect();
        let first = if self.terminal { rows.len().saturating_sub(SHOWN) } else { 0 };
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let count = format!("{} {}", rows.len(), if rows.len() == 1 { "row" } else { "rows" });
        let more = if first > 0 { format!(", the last {SHOWN} are shown") } else { String::new() };
        format!("{}\n{count}{more}", tableau(&names, &rows[first..]))
    }

    fn draw(&mut self, now: bool) -> anyhow::Result<()> {
        let due = now || self.drawn.is_none_or(|drawn| drawn.elapsed() >= DRAW);
        if !self.terminal || !self.stale || !due {
            return Ok(());
        }
        let text = self.text();
        let mut out = std::io::stdout().lock();
        if self.height > 0 {
            write!(out, "\x1b[{}A\x1b[J", self.height)?;
        }
        writeln!(out, "{text}")?;
        out.flush()?;
        self.height = text.lines().count();
        (self.drawn, self.stale) = (Some(Instant::now()), false);
        Ok(())
    }

    fn end(mut self, _: bool) -> anyhow::Result<()> {
        match self.terminal {
            true => self.draw(true)?,
            false => println!("{}", self.text()),
        }
        Ok(())
    }
}
