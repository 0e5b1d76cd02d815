//! Expressions that are other each time they are computed (`PROCTIME()`, `RAND()`), over rows that may be taken back.
//!
//! - **Rows** get the values of the expressions behind their columns. A row that is taken back has those that it was added with, so that
//!   whoever knows it finds it again.
//! - **Watermarks, barriers, the end**: pass.
//! - **State**: keyed, `values`: of each row that is there the values it was given, the oldest first.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use datafusion_physical_expr::PhysicalExpr;
use thalweg_dataflow::Output;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::operator::{Operator, OperatorContext};
use thalweg_dataflow::record::Batch;
use thalweg_dataflow::state::{KeyedTable, StateTtlConfig, States};
use thalweg_dataflow::time::{TaskClock, Timestamp};

use super::{Grouping, emit};
use crate::chunk::Chunk;
use crate::now;
use crate::rows::{RowBytes, RowCodec};

/// The operator. Its page says what it does.
#[derive(Clone)]
pub struct Steady {
    plan: Arc<Plan>,
    values: KeyedTable<RowBytes, VecDeque<RowBytes>>,
    clock: TaskClock,
}

struct Plan {
    key: Vec<usize>,
    key_codec: RowCodec,
    expressions: Vec<Arc<dyn PhysicalExpr>>,
    codec: RowCodec,
    /// The columns of the input, then those of the expressions.
    schema: SchemaRef,
}

impl Steady {
    /// Computes `expressions` for rows that are known again by their columns `key`; `schema` has the columns of the input, then theirs.
    ///
    /// # Errors
    /// If a column has a type that cannot be kept.
    pub fn new(
        key: Vec<usize>,
        expressions: Vec<Arc<dyn PhysicalExpr>>,
        schema: SchemaRef,
    ) -> Result<Self, ArrowError> {
        let key_codec = RowCodec::of_columns(&schema, &key)?;
        let width = schema.fields().len();
        let own: Vec<usize> = (width - expressions.len()..width).collect();
        let codec = RowCodec::of_columns(&schema, &own)?;
        let plan = Arc::new(Plan { key, key_codec, expressions, codec, schema });
        Ok(Self { plan, values: KeyedTable::default(), clock: TaskClock::default() })
    }

    /// What is kept is forgotten when it has not been written for so long (`table.exec.state.ttl`).
    #[must_use]
    pub fn with_ttl(mut self, ttl: Option<StateTtlConfig>) -> Self {
        if let Some(ttl) = ttl {
            self.values = KeyedTable::with_ttl(ttl);
        }
        self
    }

    fn steady(&mut self, chunk: &Chunk) -> Result<Chunk, BoxError> {
        let Self { plan, values, .. } = self;
        let fresh = plan.expressions.iter().map(|of| of.evaluate(chunk.rows())?.into_array(chunk.len()));
        let mut fresh = fresh.collect::<Result<Vec<ArrayRef>, _>>()?;
        let by_key = Grouping::new(chunk, &plan.key, &plan.key_codec)?;
        let encoded = plan.codec.encode(&fresh)?;
        let mut given: Vec<RowBytes> = Vec::with_capacity(chunk.len());
        for row in 0..chunk.len() {
            let group = by_key.group_of[row] as usize;
            let (hash, key) = (by_key.hashes[group], &by_key.keys[group]);
            let new = RowBytes::new(encoded.row(row).data());
            if !chunk.is_retraction(row) {
                values.entry(hash, key.clone()).or_insert_with(VecDeque::new).push_back(new.clone());
                given.push(new);
                continue;
            }
            let kept = values.get_mut(hash, key);
            let (first, is_last) = match kept {
                Some(kept) => (kept.pop_front(), kept.is_empty()),
                None => (None, false),
            };
            if is_last {
                values.remove(hash, key);
            }
            // What has expired is known to nobody.
            given.push(first.unwrap_or(new));
        }
        if chunk.retractions().is_some() {
            fresh = plan.codec.decode(given.iter().map(|row| &**row))?;
        }
        let columns = chunk.rows().columns().iter().cloned().chain(fresh).collect();
        Ok(chunk.with_columns(plan.schema.clone(), columns)?)
    }
}

impl Operator for Steady {
    type In = Chunk;
    type Out = Chunk;

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.clock = context.clock.clone();
        Ok(())
    }

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("values", &mut self.values);
    }

    fn process(&mut self, batch: &mut Batch<Chunk>, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        now::set_processing_time(self.clock.now());
        for record in batch.records.drain(..) {
            emit(output, self.steady(&record.value)?);
        }
        Ok(())
    }

    fn watermark(
        &mut self,
        watermark: Timestamp,
        _: &mut Output<Chunk>,
    ) -> Result<Option<Timestamp>, BoxError> {
        now::set_watermark(watermark);
        Ok(Some(watermark))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use arrow::array::{AsArray, BooleanArray, Int64Array, RecordBatch};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};
    use datafusion_physical_expr::expressions::Column;
    use thalweg_dataflow::harness::Harness;

    use super::*;

    /// The second column, which nobody knows rows by.
    fn operator() -> Steady {
        let field = |name: &str| Field::new(name, DataType::Int64, true);
        let schema = Arc::new(Schema::new(vec![field("k"), field("v"), field("made")]));
        Steady::new(vec![0], vec![Arc::new(Column::new("v", 1))], schema).unwrap()
    }

    fn row(k: i64, v: i64, back: bool) -> Chunk {
        let columns: [(&str, ArrayRef); 2] =
            [("k", Arc::new(Int64Array::from(vec![k]))), ("v", Arc::new(Int64Array::from(vec![v])))];
        Chunk::new(RecordBatch::try_from_iter(columns).unwrap(), Some(BooleanArray::from(vec![back])))
    }

    fn made(chunks: Vec<Chunk>) -> Vec<i64> {
        chunks.iter().map(|chunk| chunk.rows().column(2).as_primitive::<Int64Type>().value(0)).collect()
    }

    #[test]
    fn a_row_is_taken_back_with_what_it_was_given() {
        let mut harness = Harness::new(operator());
        for (k, v, back) in
            [(1, 10, false), (1, 11, false), (2, 12, false), (1, 99, true), (1, 99, true), (2, 99, true)]
        {
            harness.push(row(k, v, back), 0);
        }
        assert_eq!(made(harness.values()), [10, 11, 12, 10, 11, 12]);
    }

    #[test]
    fn what_has_expired_is_forgotten() {
        let ttl = StateTtlConfig::new(Duration::from_secs(1));
        let mut harness = Harness::new(operator().with_ttl(Some(ttl)));
        harness.push(row(1, 10, false), 0);
        harness.advance(Duration::from_secs(1));
        harness.push(row(1, 99, true), 0);
        assert_eq!(made(harness.values()), [10, 99]);
    }
}
