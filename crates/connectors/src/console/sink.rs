//! Records on stdout: a line each, or as tables.
//!
//! A table is printed when a batch or a checkpoint is through, when nothing more comes for a moment, and when it has a thousand rows. Each subtask prints its own.
//!
//! - **Guarantee**: at least once: what was printed before a failure is printed again. A stdout that has been closed ends the job.

use std::fmt::{self, Debug, Write as _};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use thalweg_dataflow::Output;
use thalweg_dataflow::barrier::Barrier;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::operator::Operator;
use thalweg_dataflow::record::{Batch, Data};

use crate::contract::{Guarantee, Promise};

/// A table has no more rows; what follows is another one.
const ROWS: usize = 1000;

/// A cell is cut off behind so many characters.
const WIDEST: usize = 40;

/// Prints records. See the [module](self).
///
/// ```
/// use std::sync::{Arc, Mutex};
///
/// use thalweg_connectors::console::ConsoleSink;
/// use thalweg_dataflow::graph::StreamGraph;
/// use thalweg_dataflow::runtime::{JobConfig, run};
/// use thalweg_dataflow::source::CollectionSource;
/// use thalweg_dataflow::watermark::WatermarkStrategy;
///
/// let graph = StreamGraph::new();
/// let counts = CollectionSource::new(vec![("deep", 2), ("fast", 11), ("long", 3)]);
/// let counts = graph.source("counts", counts, WatermarkStrategy::no_watermarks());
/// let printed = Arc::new(Mutex::new(Vec::new()));
/// let table = ConsoleSink::table(["word", "n"], |(word, n): &(&str, i32)| vec![word.to_string(), n.to_string()]);
/// counts.apply("print", table.limit(2).to(printed.clone()));
/// run(&graph, JobConfig { parallelism: 1, ..JobConfig::new("counts") })?;
/// let expected = "\
/// +------+----+
/// | word | n  |
/// +------+----+
/// | deep | 2  |
/// | fast | 11 |
/// +------+----+
/// only the first 2 are printed
/// ";
/// assert_eq!(String::from_utf8_lossy(&printed.lock().unwrap()), expected);
/// # Ok::<(), thalweg_dataflow::error::JobError>(())
/// ```
pub struct ConsoleSink<T> {
    format: Format<T>,
    prefix: Arc<str>,
    limit: Option<u64>,
    /// Of this subtask.
    printed: u64,
    rows: Vec<Vec<String>>,
    to: Option<Arc<Mutex<dyn Write + Send>>>,
}

/// A function of the user's.
type Of<T, R> = Arc<dyn Fn(&T) -> R + Send + Sync>;

enum Format<T> {
    Lines(Of<T, String>),
    Table { columns: Arc<[String]>, row: Of<T, Vec<String>> },
}

impl<T: Debug> ConsoleSink<T> {
    /// A line each, by `Debug`.
    pub fn new() -> Self {
        Self::lines(|record| format!("{record:?}"))
    }
}

impl<T: Debug> Default for ConsoleSink<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> ConsoleSink<T> {
    /// A line each, which `line` makes.
    pub fn lines(line: impl Fn(&T) -> String + Send + Sync + 'static) -> Self {
        Self::of(Format::Lines(Arc::new(line)))
    }

    /// A row each, which `row` makes: a cell for each of the columns.
    pub fn table<C: Into<String>>(
        columns: impl IntoIterator<Item = C>,
        row: impl Fn(&T) -> Vec<String> + Send + Sync + 'static,
    ) -> Self {
        let columns = columns.into_iter().map(Into::into).collect();
        Self::of(Format::Table { columns, row: Arc::new(row) })
    }

    fn of(format: Format<T>) -> Self {
        Self { format, prefix: "".into(), limit: None, printed: 0, rows: Vec::new(), to: None }
    }

    /// Every line begins with `prefix> `.
    #[must_use]
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = format!("{prefix}> ").into();
        self
    }

    /// Each subtask prints no more than so many records; that there are more is said once.
    #[must_use]
    pub fn limit(mut self, records: u64) -> Self {
        self.limit = Some(records);
        self
    }

    /// Prints to something else than stdout.
    #[must_use]
    pub fn to(mut self, to: Arc<Mutex<dyn Write + Send>>) -> Self {
        self.to = Some(to);
        self
    }

    fn write(&self, text: &str) -> io::Result<()> {
        match &self.to {
            Some(to) => to.lock().unwrap_or_else(PoisonError::into_inner).write_all(text.as_bytes()),
            None => {
                let mut to = io::stdout().lock();
                to.write_all(text.as_bytes())?;
                to.flush()
            }
        }
    }

    /// Prints the rows that have been gathered.
    fn print_table(&mut self) -> io::Result<()> {
        let Format::Table { columns, .. } = &self.format else { return Ok(()) };
        if self.rows.is_empty() {
            return Ok(());
        }
        let text = table(columns, &std::mem::take(&mut self.rows), &self.prefix);
        self.write(&text)
    }
}

fn table(columns: &[String], rows: &[Vec<String>], prefix: &str) -> String {
    let cell = |row: &[String], column: usize| -> String {
        let cell = row.get(column).map_or("", String::as_str);
        match cell.chars().count() > WIDEST {
            true => cell.chars().take(WIDEST - 1).chain(['…']).collect(),
            false => cell.to_owned(),
        }
    };
    let width = |column: usize| {
        let cells = rows.iter().map(Vec::as_slice).chain([columns]);
        cells.map(|row| cell(row, column).chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let rule: String = widths.iter().map(|width| format!("+{}", "-".repeat(width + 2))).collect();
    let mut text = String::new();
    let mut line = |row: &[String]| {
        text.push_str(prefix);
        for (column, width) in widths.iter().enumerate() {
            // Writing to a string cannot fail.
            let _ = write!(text, "| {:<width$} ", cell(row, column));
        }
        text.push_str("|\n");
    };
    line(columns);
    rows.iter().for_each(|row| line(row));
    let rule = format!("{prefix}{rule}+\n");
    // The rules: over the head, under it, and at the end.
    let head_ends = text.find('\n').map_or(0, |end| end + 1);
    text.insert_str(head_ends, &rule);
    format!("{rule}{text}{rule}")
}

impl<T> Clone for ConsoleSink<T> {
    fn clone(&self) -> Self {
        let format = match &self.format {
            Format::Lines(line) => Format::Lines(line.clone()),
            Format::Table { columns, row } => Format::Table { columns: columns.clone(), row: row.clone() },
        };
        let (prefix, limit, to) = (self.prefix.clone(), self.limit, self.to.clone());
        Self { prefix, limit, to, ..Self::of(format) }
    }
}

impl<T> fmt::Debug for ConsoleSink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsoleSink")
            .field("prefix", &self.prefix)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl<T> Promise for ConsoleSink<T> {
    fn place(&self) -> String {
        "the console".to_owned()
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::AtLeastOnce
    }

    fn because(&self) -> String {
        "what has been printed cannot be taken back".to_owned()
    }
}

impl<T: Data> Operator for ConsoleSink<T> {
    type In = T;
    type Out = ();

    fn process(&mut self, batch: &mut Batch<T>, _: &mut Output<()>) -> Result<(), BoxError> {
        let mut lines = String::new();
        for record in batch.records.drain(..) {
            self.printed += 1;
            match self.limit {
                Some(limit) if self.printed > limit + 1 => continue,
                Some(limit) if self.printed > limit => {
                    self.print_table()?;
                    let _ = writeln!(lines, "{}only the first {limit} are printed", self.prefix);
                    continue;
                }
                _ => {}
            }
            match &self.format {
                Format::Lines(line) => {
                    let _ = writeln!(lines, "{}{}", self.prefix, line(&record.value));
                }
                Format::Table { row, .. } => {
                    let row = row(&record.value);
                    self.rows.push(row);
                    if self.rows.len() == ROWS {
                        self.print_table()?;
                    }
                }
            }
        }
        if !lines.is_empty() {
            self.write(&lines)?;
        }
        Ok(())
    }

    fn flush(&mut self, _: &mut Output<()>) -> Result<(), BoxError> {
        Ok(self.print_table()?)
    }

    fn barrier(&mut self, _: &Barrier, _: &mut Output<()>) -> Result<(), BoxError> {
        Ok(self.print_table()?)
    }

    fn end(&mut self, _: &mut Output<()>) -> Result<(), BoxError> {
        Ok(self.print_table()?)
    }
}

#[cfg(test)]
mod tests {
    use thalweg_dataflow::harness::{Harness, Then};

    use super::*;

    fn printed(sink: ConsoleSink<u32>, records: std::ops::Range<u32>) -> String {
        let to: Arc<Mutex<Vec<u8>>> = Arc::default();
        let mut harness = Harness::new(sink.to(to.clone()));
        records.for_each(|n| harness.push(n, 0));
        harness.barrier(0, Then::Continue);
        harness.end();
        let bytes = to.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn lines_have_a_prefix_and_a_limit() {
        assert_eq!(printed(ConsoleSink::new(), 7..9), "7\n8\n");
        let sink = || ConsoleSink::lines(|n: &u32| format!("<{n}>")).prefix("out").limit(2);
        assert_eq!(printed(sink(), 0..2), "out> <0>\nout> <1>\n");
        assert_eq!(printed(sink(), 0..9), "out> <0>\nout> <1>\nout> only the first 2 are printed\n");
    }

    #[test]
    fn tables_are_as_wide_as_they_must_be_and_not_endless() {
        let long = "x".repeat(100);
        let sink = ConsoleSink::table(["größe", "text"], move |n: &u32| {
            vec![n.to_string(), long.clone(), "no column".to_owned()]
        });
        let text = printed(sink.prefix("t"), 0..1);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5);
        assert!(lines.iter().all(|line| line.chars().count() == lines[0].chars().count()), "{text}");
        assert!(lines[3].starts_with("t> | 0     | xxx") && lines[3].ends_with("xxx… |"), "{text}");
        let many = printed(ConsoleSink::table(["n"], |n: &u32| vec![n.to_string()]), 0..2500);
        assert_eq!(many.matches("| n ").count(), 3);
        assert_eq!(printed(ConsoleSink::table(["n"], |_: &u32| Vec::new()), 0..0), "");
    }
}
