//! The operators of tables, a page each: what they do to rows, watermarks and barriers, and what their state holds.
//!
//! All of them take chunks and hand chunks on; those with a key are behind an exchange that has divided the chunks by key group
//! ([`KeyBy`]).

mod calc;
mod changelog_normalize;
mod correlate;
mod deduplicate;
mod due;
mod expand;
mod group_aggregate;
mod grouping;
mod interval_join;
mod join;
mod key_by;
mod key_columns;
mod key_table;
mod local_aggregate;
mod lookup_join;
mod match_recognize;
mod not_null;
mod over;
mod over_pass;
mod over_table;
mod pairs;
mod rank;
mod ranking;
mod row_bag;
mod session_assign;
mod sort;
mod steady;
mod temporal_join;
mod upsert_materialize;
mod window_aggregate;
mod window_assign;
mod window_join;
mod window_rank;
mod window_slices;
mod window_updates;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use thalweg_dataflow::Output;
use thalweg_dataflow::time::NO_TIMESTAMP;

pub use calc::Calc;
pub(crate) use calc::Columns;
pub use changelog_normalize::ChangelogNormalize;
pub use correlate::Correlate;
pub use deduplicate::Deduplicate;
pub use expand::{Expand, SetColumns};
pub use group_aggregate::GroupAggregate;
pub use grouping::Grouping;
pub use interval_join::IntervalJoin;
pub use join::{Join, JoinInput, JoinKind};
pub use key_by::KeyBy;
pub use local_aggregate::LocalAggregate;
pub use lookup_join::LookupJoin;
pub use match_recognize::{
    MatchPlan, MatchRecognize, MatchReference, OverReferences, Pattern, Skip, Taken, Times,
};
pub use not_null::NotNull;
pub use over::{Frame, Over, OverCall, OverFunction};
pub use over_table::OverTable;
pub use rank::Rank;
pub use ranking::RankPlan;
pub use session_assign::SessionAssign;
pub use sort::Sort;
pub use steady::Steady;
pub use temporal_join::TemporalJoin;
pub use upsert_materialize::UpsertMaterialize;
pub use window_aggregate::WindowAggregate;
pub use window_assign::{WindowAssign, WindowSpec};
pub(crate) use window_assign::{to_local, to_utc};
pub use window_join::WindowJoin;
pub use window_rank::WindowRank;
pub use window_slices::{Slicing, WindowSlices};
pub use window_updates::{EmitStrategy, WindowUpdates};

use crate::chunk::Chunk;
use crate::rows::{RowBytes, RowCodec};

/// Hands on a chunk, unless it is empty.
fn emit(output: &mut Output<Chunk>, chunk: Chunk) {
    if !chunk.is_empty() {
        output.push(chunk, NO_TIMESTAMP);
    }
}

/// How many rows each row of a chunk stands for.
enum Weights<'a> {
    /// For itself; if it is taken back, for one less.
    Signs(&'a Chunk),
    /// For so many, as it is a partial result of them.
    Rows(Int64Array),
}

impl<'a> Weights<'a> {
    /// Of the rows of a chunk, in which `rows`, if there is such a column, has the numbers of rows.
    fn of(chunk: &'a Chunk, rows: Option<usize>) -> Self {
        match rows {
            None => Self::Signs(chunk),
            Some(column) => Self::Rows(chunk.rows().column(column).as_primitive::<Int64Type>().clone()),
        }
    }

    #[inline]
    fn at(&self, row: usize) -> i64 {
        match self {
            Self::Signs(chunk) => chunk.sign(row),
            Self::Rows(rows) => rows.value(row),
        }
    }

    /// How many rows have come, to be added or to be taken back, in those for which `is_one` is true.
    fn count(&self, length: usize, mut is_one: impl FnMut(usize) -> bool) -> usize {
        (0..length).filter(|row| is_one(*row)).map(|row| self.at(row).unsigned_abs() as usize).sum()
    }
}

/// Columns as a batch, of `rows` rows also if there is no column.
fn batch(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, ArrowError> {
    RecordBatch::try_new_with_options(
        schema.clone(),
        columns,
        &RecordBatchOptions::new().with_row_count(Some(rows)),
    )
}

/// A column of points in time as milliseconds since the epoch.
pub(crate) fn millis(column: &ArrayRef) -> Result<Int64Array, ArrowError> {
    let zone = match column.data_type() {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    };
    let column = cast(column, &DataType::Timestamp(TimeUnit::Millisecond, zone))?;
    let column = cast(&column, &DataType::Int64)?;
    Ok(Int64Array::from(column.to_data()))
}

/// Milliseconds since the epoch as a column of this type of points in time.
pub(crate) fn from_millis(values: Int64Array, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    let DataType::Timestamp(_, zone) = data_type else {
        return cast(&values, data_type);
    };
    let millis = cast(&values, &DataType::Timestamp(TimeUnit::Millisecond, zone.clone()))?;
    cast(&millis, data_type)
}

/// How rows are kept whole, by a key.
struct RowsByKey {
    key: Vec<usize>,
    key_codec: RowCodec,
    codec: RowCodec,
    schema: SchemaRef,
}

impl RowsByKey {
    fn new(key: Vec<usize>, schema: &SchemaRef) -> Result<Self, ArrowError> {
        let key_codec = RowCodec::of_columns(schema, &key)?;
        Ok(Self { key, key_codec, codec: RowCodec::of_schema(schema)?, schema: schema.clone() })
    }
}

/// Rows that go out, in the order in which they were pushed.
#[derive(Default)]
struct RowsOut {
    rows: Vec<RowBytes>,
    retractions: Vec<bool>,
}

impl RowsOut {
    fn push(&mut self, row: RowBytes, is_retraction: bool) {
        self.rows.push(row);
        self.retractions.push(is_retraction);
    }
    /// The rows as a chunk.
    fn into_chunk(self, codec: &RowCodec, schema: &SchemaRef) -> Result<Chunk, ArrowError> {
        let columns = codec.decode(self.rows.iter().map(|row| &**row))?;
        let rows = batch(schema, columns, self.rows.len())?;
        Ok(Chunk::new(rows, Some(BooleanArray::from(self.retractions))))
    }
}
