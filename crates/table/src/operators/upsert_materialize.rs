//! Makes one row for each key of a table out of rows whose keys are others: the last that is there counts.
//!
//! - **Rows** of a key are kept in the order in which they came. When the last of them changes, the one that was is retracted, and the one
//!   that is now is added.
//! - **Watermarks, barriers, the end**: pass.
//! - **State**: keyed, `rows`: of each key all its rows.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use thalweg_dataflow::Output;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::operator::Operator;
use thalweg_dataflow::record::Batch;
use thalweg_dataflow::state::{KeyedTable, StateTtlConfig, States};

use super::{Grouping, RowsByKey, RowsOut, emit};
use crate::chunk::Chunk;
use crate::rows::RowBytes;

/// The operator. Its page says what it does.
#[derive(Clone)]
pub struct UpsertMaterialize {
    plan: Arc<RowsByKey>,
    rows: KeyedTable<RowBytes, Vec<RowBytes>>,
}

impl UpsertMaterialize {
    /// For rows of `schema`, and a table with this key.
    ///
    /// # Errors
    /// If a column has a type that cannot be kept.
    pub fn new(key: Vec<usize>, schema: &SchemaRef) -> Result<Self, ArrowError> {
        Ok(Self { plan: Arc::new(RowsByKey::new(key, schema)?), rows: KeyedTable::default() })
    }

    /// What is kept is forgotten when it has not been written for so long (`table.exec.state.ttl`).
    #[must_use]
    pub fn with_ttl(mut self, ttl: Option<StateTtlConfig>) -> Self {
        if let Some(ttl) = ttl {
            self.rows = KeyedTable::with_ttl(ttl);
        }
        self
    }

    fn materialize(&mut self, chunk: &Chunk) -> Result<Chunk, BoxError> {
        let Self { plan, rows } = self;
        let by_key = Grouping::new(chunk, &plan.key, &plan.key_codec)?;
        let encoded = plan.codec.encode(chunk.rows().columns())?;
        // Of each key the row that counted before this chunk.
        let mut before: Vec<Option<RowBytes>> = Vec::with_capacity(by_key.len());
        for (key, hash) in by_key.keys.iter().zip(&by_key.hashes) {
            before.push(rows.get(*hash, key).and_then(|rows| rows.last().cloned()));
        }
        for row in 0..chunk.len() {
            let group = by_key.group_of[row] as usize;
            let kept = rows.entry(by_key.hashes[group], by_key.keys[group].clone()).or_insert_with(Vec::new);
            let bytes = encoded.row(row).data();
            if !chunk.is_retraction(row) {
                kept.push(RowBytes::new(bytes));
            } else if let Some(place) = kept.iter().rposition(|kept| **kept == *bytes) {
                kept.remove(place);
            }
        }
        let mut out = RowsOut::default();
        for ((key, hash), old) in by_key.keys.iter().zip(&by_key.hashes).zip(before) {
            let now = rows.get(*hash, key).and_then(|rows| rows.last().cloned());
            if now.is_none() {
                rows.remove(*hash, key);
            }
            if old != now {
                old.into_iter().for_each(|row| out.push(row, true));
                now.into_iter().for_each(|row| out.push(row, false));
            }
        }
        Ok(out.into_chunk(&plan.codec, &plan.schema)?)
    }
}

impl Operator for UpsertMaterialize {
    type In = Chunk;
    type Out = Chunk;

    fn is_determined(&self) -> bool {
        true
    }

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("rows", &mut self.rows);
    }

    fn process(&mut self, batch: &mut Batch<Chunk>, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        for record in batch.records.drain(..) {
            emit(output, self.materialize(&record.value)?);
        }
        Ok(())
    }
}
