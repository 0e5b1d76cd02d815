//! Looks at columns that are not to be NULL before they are written.
//!
//! - **Rows** with such a NULL fail the job, or are dropped, as `table.exec.sink.not-null-enforcer` says.
//! - **Watermarks, barriers, the end**: pass.
//! - **State**: none.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use thalweg_dataflow::Output;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::operator::Operator;
use thalweg_dataflow::record::Batch;

use crate::chunk::Chunk;
use crate::types::{LogicalType, TypeKind};

/// The operator. Its page says what it does.
#[derive(Clone)]
pub struct NotNull {
    table: String,
    types: Arc<[LogicalType]>,
    nested: bool,
    drop: bool,
}

impl NotNull {
    /// For rows of columns of these types; `nested` says whether the inside of rows, arrays and maps is looked at, and `drop` whether rows
    /// are dropped rather than refused.
    pub fn new(table: String, types: Vec<LogicalType>, nested: bool, drop: bool) -> Self {
        Self { table, types: types.into(), nested, drop }
    }

    fn check(&self, chunk: Chunk) -> Result<Chunk, BoxError> {
        let mut bad = vec![false; chunk.len()];
        for (column, of) in chunk.rows().columns().iter().zip(self.types.iter()) {
            for (row, bad) in bad.iter_mut().enumerate() {
                *bad |= has_null(column, row, of, self.nested);
            }
        }
        if !bad.contains(&true) {
            return Ok(chunk);
        }
        if !self.drop {
            return Err(format!(
                "a column of `{}` that is NOT NULL would be NULL; SET 'table.exec.sink.not-null-enforcer' = 'DROP' drops such rows",
                self.table
            )
            .into());
        }
        let keep: BooleanArray = bad.into_iter().map(|bad| Some(!bad)).collect();
        Ok(chunk.filter(&keep)?)
    }
}

/// Whether there is a NULL in row `row` where the type has none.
fn has_null(values: &ArrayRef, row: usize, of: &LogicalType, nested: bool) -> bool {
    if values.is_null(row) {
        return !of.nullable;
    }
    if !nested {
        return false;
    }
    match &of.kind {
        TypeKind::Row(fields) => {
            let columns = values.as_struct().columns();
            columns.iter().zip(fields).any(|(column, (_, of))| has_null(column, row, of, true))
        }
        TypeKind::Array(item) => {
            let items = values.as_list::<i32>().value(row);
            (0..items.len()).any(|at| has_null(&items, at, item, true))
        }
        TypeKind::Map(key, value) => {
            let map = values.as_map();
            let range = map.value_offsets()[row] as usize..map.value_offsets()[row + 1] as usize;
            range
                .into_iter()
                .any(|at| has_null(map.keys(), at, key, true) || has_null(map.values(), at, value, true))
        }
        _ => false,
    }
}

impl Operator for NotNull {
    type In = Chunk;
    type Out = Chunk;

    fn is_determined(&self) -> bool {
        true
    }

    fn process(&mut self, batch: &mut Batch<Chunk>, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        for record in batch.records.drain(..) {
            super::emit(output, self.check(record.value)?);
        }
        Ok(())
    }
}
