//! `ORDER BY` a time, or at the end of the input.
//!
//! - **Rows** are kept until the watermark has reached their time, and emitted in order; without a time, until the input ends. A row that is not
//!   later than those that went out is dropped, and counted.
//! - **Watermarks** emit what they have reached, then pass.
//! - **State**: keyed, `rows`: of the one key there is, the rows by their place in the order; union, `watermark`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::row::SortField;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thalweg_dataflow::Output;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::operator::{Operator, OperatorContext};
use thalweg_dataflow::record::Batch;
use thalweg_dataflow::state::{KeyedTable, States};
use thalweg_dataflow::time::{MAX_WATERMARK, MIN_WATERMARK, Timestamp};

use super::due::Late;
use super::grouping::hash_of;
use super::{emit, millis};
use crate::chunk::Chunk;
use crate::rows::{RowBytes, RowCodec};

/// Rows of one place in the order, each with whether it is a retraction.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Waiting {
    rows: BTreeMap<(i64, RowBytes), Vec<(RowBytes, bool)>>,
}

/// The operator. Its page says what it does.
#[derive(Clone)]
pub struct Sort {
    plan: Arc<Plan>,
    rows: KeyedTable<RowBytes, Waiting>,
    /// The time of the rows that went out last.
    passed: Timestamp,
    late: Late,
}

struct Plan {
    time: Option<usize>,
    order: Vec<usize>,
    order_codec: RowCodec,
    codec: RowCodec,
    schema: SchemaRef,
    /// So many columns come out.
    width: usize,
}

impl Sort {
    /// In the order of the column `time`, then of those of `order`; `input` are the columns that come in, of which the first come out, as
    /// `schema` has them.
    ///
    /// # Errors
    /// If a column has a type that cannot be kept or ordered.
    pub fn new(
        time: Option<usize>,
        order: Vec<(usize, SortField)>,
        input: &SchemaRef,
        schema: SchemaRef,
    ) -> Result<Self, ArrowError> {
        let codec = RowCodec::of_schema(input)?;
        let (order, fields): (Vec<usize>, Vec<SortField>) = order.into_iter().unzip();
        let (order_codec, width) = (RowCodec::sorting(fields)?, schema.fields().len());
        let plan = Arc::new(Plan { time, order, order_codec, codec, schema, width });
        Ok(Self { plan, rows: KeyedTable::default(), passed: MIN_WATERMARK, late: Late::default() })
    }

    fn add(&mut self, chunk: &Chunk) -> Result<(), BoxError> {
        let plan = &*self.plan;
        let times = plan.time.map(|time| millis(chunk.rows().column(time))).transpose()?;
        let rows = plan.codec.encode(chunk.rows().columns())?;
        let columns: Vec<ArrayRef> =
            plan.order.iter().map(|column| chunk.rows().column(*column).clone()).collect();
        let order = if columns.is_empty() { None } else { Some(plan.order_codec.encode(&columns)?) };
        let waiting = self.rows.entry(hash_of(&[]), RowBytes::default()).or_insert_with(Waiting::default);
        for row in 0..chunk.len() {
            let time = match &times {
                Some(times) if times.is_null(row) => continue,
                Some(times) => times.value(row),
                None => MAX_WATERMARK,
            };
            if times.is_some() && time <= self.passed {
                self.late.dropped(1);
                continue;
            }
            let place =
                order.as_ref().map_or_else(RowBytes::default, |order| RowBytes::new(order.row(row).data()));
            let bytes = RowBytes::new(rows.row(row).data());
            waiting.rows.entry((time, place)).or_default().push((bytes, chunk.is_retraction(row)));
        }
        Ok(())
    }

    fn fire(&mut self, time: Timestamp, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        // The one key there is belongs to one subtask.
        if self.rows.is_empty() {
            return Ok(());
        }
        let Some(waiting) = self.rows.get_mut(hash_of(&[]), &RowBytes::default()) else { return Ok(()) };
        let later = match time {
            MAX_WATERMARK => BTreeMap::new(),
            time => waiting.rows.split_off(&(time + 1, RowBytes::default())),
        };
        let due = std::mem::replace(&mut waiting.rows, later);
        if let Some(((last, _), _)) = due.last_key_value() {
            self.passed = self.passed.max(*last);
        }
        let due: Vec<(RowBytes, bool)> = due.into_values().flatten().collect();
        for due in due.chunks(1024) {
            let mut columns = self.plan.codec.decode(due.iter().map(|(row, _)| &**row))?;
            columns.truncate(self.plan.width);
            let rows = super::batch(&self.plan.schema, columns, due.len())?;
            let retractions = due.iter().map(|(_, back)| *back).collect::<Vec<_>>();
            emit(output, Chunk::new(rows, Some(retractions.into())));
        }
        Ok(())
    }
}

impl Operator for Sort {
    type In = Chunk;
    type Out = Chunk;

    fn is_determined(&self) -> bool {
        true
    }

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.late.open(context);
        Ok(())
    }

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("rows", &mut self.rows);
        let mut passed = vec![self.passed];
        states.union("passed", &mut passed);
        if states.epoch().is_none() {
            // One subtask has the rows.
            self.passed = passed.into_iter().max().unwrap_or(MIN_WATERMARK);
        }
    }

    fn process(&mut self, batch: &mut Batch<Chunk>, _: &mut Output<Chunk>) -> Result<(), BoxError> {
        batch.records.drain(..).try_for_each(|record| self.add(&record.value))
    }

    fn watermark(
        &mut self,
        watermark: Timestamp,
        output: &mut Output<Chunk>,
    ) -> Result<Option<Timestamp>, BoxError> {
        if self.plan.time.is_some() || watermark == MAX_WATERMARK {
            self.fire(watermark, output)?;
        }
        Ok(Some(watermark))
    }
}
