//! Makes full retractions of updates by key.
//!
//! - **Rows**: an addition takes the place of the row with the same key, which is retracted as it was; the same row again is dropped. A
//!   retraction, which may have its key alone, retracts the row that is there; one of a key that is not known is dropped.
//! - **Watermarks, barriers, the end**: pass.
//! - **State**: keyed, `rows`: of each key its row.

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
pub struct ChangelogNormalize {
    plan: Arc<RowsByKey>,
    rows: KeyedTable<RowBytes, RowBytes>,
}

impl ChangelogNormalize {
    /// For rows of `schema` with this key.
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

    fn normalize(&mut self, chunk: &Chunk) -> Result<Chunk, BoxError> {
        let Self { plan, rows } = self;
        let by_key = Grouping::new(chunk, &plan.key, &plan.key_codec)?;
        let encoded = plan.codec.encode(chunk.rows().columns())?;
        let mut out = RowsOut::default();
        for row in 0..chunk.len() {
            let group = by_key.group_of[row] as usize;
            let (hash, key) = (by_key.hashes[group], &by_key.keys[group]);
            if chunk.is_retraction(row) {
                if let Some((_, old)) = rows.remove(hash, key) {
                    out.push(old, true);
                }
                continue;
            }
            let new = RowBytes::new(encoded.row(row).data());
            match rows.get(hash, key) {
                Some(old) if *old == new => {}
                _ => {
                    if let Some(old) = rows.insert(hash, key, new.clone()) {
                        out.push(old, true);
                    }
                    out.push(new, false);
                }
            }
        }
        Ok(out.into_chunk(&plan.codec, &plan.schema)?)
    }
}

impl Operator for ChangelogNormalize {
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
            emit(output, self.normalize(&record.value)?);
        }
        Ok(())
    }
}
