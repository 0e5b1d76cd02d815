//! Hashes the key of every row, for the exchange that follows to divide chunks by.
//!
//! - **Rows** pass, each with the hash of the bytes of its key columns. NULL is a value like others.
//! - **Watermarks, barriers, the end**: pass.
//! - **State**: none.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use thalweg_dataflow::Output;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::operator::Operator;
use thalweg_dataflow::record::Batch;

use super::grouping::hashes;
use crate::chunk::Chunk;
use crate::rows::RowCodec;

/// The operator. Its page says what it does.
#[derive(Clone)]
pub struct KeyBy {
    key: Arc<[usize]>,
    codec: Arc<RowCodec>,
}

impl KeyBy {
    /// Hashes these columns of rows of `schema`.
    ///
    /// # Errors
    /// If a column has a type that cannot be a key.
    pub fn new(key: &[usize], schema: &SchemaRef) -> Result<Self, ArrowError> {
        let codec = RowCodec::of_columns(schema, key)?;
        Ok(Self { key: key.into(), codec: Arc::new(codec) })
    }

    /// The chunk with the hashes of its rows.
    pub(crate) fn hashed(&self, chunk: Chunk) -> Result<Chunk, BoxError> {
        let hashes = hashes(&chunk, &self.key, &self.codec)?.into();
        Ok(chunk.with_hashes(hashes))
    }
}

impl Operator for KeyBy {
    type In = Chunk;
    type Out = Chunk;

    fn is_determined(&self) -> bool {
        true
    }

    fn process(&mut self, batch: &mut Batch<Chunk>, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        for record in batch.records.drain(..) {
            output.push(self.hashed(record.value)?, record.timestamp);
        }
        Ok(())
    }
}
