//! `print`: writes each row on a line of the standard output, with its kind: `+I[1, a]`. On a terminal, characters that it would obey are
//! shown as what they are: `\x1b`.
//!
//! | option | |
//! |---|---|
//! | `print-identifier` | stands before each line, with `>` |
//! | `standard-error` | `true`: lines go to the standard error |

use std::borrow::Cow;
use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;

use thalweg_dataflow::graph::Stream;

use super::{Changelog, Connector, TableSink};
use crate::catalog::Table;
use crate::chunk::Chunk;
use crate::display::display;
use crate::error::SqlError;
use crate::printable;
use crate::row_kind::{RowKind, kinds};
use crate::settings::Settings;

pub(super) struct Print;

struct PrintSink {
    prefix: String,
    on_error: bool,
    key: Vec<usize>,
}

impl Connector for Print {
    fn sink(&self, table: &Arc<Table>, _: &Settings) -> Result<Box<dyn TableSink>, SqlError> {
        super::only(table, &["print-identifier", "standard-error"], &[])?;
        let prefix = match table.option("print-identifier") {
            Some(identifier) => format!("{identifier}> "),
            None => String::new(),
        };
        let on_error = table.option("standard-error") == Some("true");
        Ok(Box::new(PrintSink { prefix, on_error, key: table.primary_key.clone() }))
    }
}

pub(super) fn console(key: Vec<usize>) -> Box<dyn TableSink> {
    Box::new(PrintSink { prefix: String::new(), on_error: false, key })
}

/// A row as people read it: `1, a`.
pub(crate) fn line(chunk: &Chunk, row: usize) -> String {
    let values = chunk.rows().columns().iter().map(|column| display(column, row));
    values.collect::<Vec<_>>().join(", ")
}

impl TableSink for PrintSink {
    fn changelog(&self) -> Changelog {
        Changelog::Retract
    }

    fn shows_rows(&self) -> bool {
        true
    }

    fn write(&self, rows: Stream<Chunk>, name: &str) -> Result<(), SqlError> {
        let (prefix, on_error, key) = (self.prefix.clone(), self.on_error, self.key.clone());
        let print = move |chunk: Chunk, _: &mut thalweg_dataflow::operators::Collect<'_, ()>| {
            let mut text = String::new();
            let of_rows: Vec<RowKind> = kinds(&chunk, &key)?;
            for (row, kind) in of_rows.into_iter().enumerate() {
                text.push_str(&format!("{prefix}{kind}[{}]\n", line(&chunk, row)));
            }
            let bytes = |for_terminal| match for_terminal {
                true => printable::text(&text),
                false => Cow::Borrowed(&*text),
            };
            let (errors, out) = (std::io::stderr(), std::io::stdout());
            match on_error {
                true => errors.lock().write_all(bytes(errors.is_terminal()).as_bytes())?,
                false => out.lock().write_all(bytes(out.is_terminal()).as_bytes())?,
            }
            Ok(())
        };
        rows.flat_map(name, print).determined();
        Ok(())
    }
}
