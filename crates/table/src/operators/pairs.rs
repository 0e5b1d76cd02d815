//! Rows of two inputs side by side: the output of joins, put together a column at a time.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, UInt32Array};
use arrow::datatypes::SchemaRef;
use datafusion_common::DataFusionError;
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::Column;
use thalweg_dataflow::error::BoxError;

use super::batch;
use crate::chunk::{Chunk, taken};
use crate::rows::{RowBytes, RowCodec};

/// The first or the second input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// Pairs of rows: one of the chunk that is being worked on, one of the other side's state; either may be absent.
#[derive(Default)]
pub(super) struct Pairs {
    pub(super) these: Vec<Option<u32>>,
    pub(super) others: Vec<Option<u32>>,
    pub(super) retractions: Vec<bool>,
}

impl Pairs {
    /// Adds a pair, `times` times.
    pub(super) fn push(&mut self, this: Option<u32>, other: Option<u32>, is_retraction: bool, times: i64) {
        for _ in 0..times {
            self.these.push(this);
            self.others.push(other);
            self.retractions.push(is_retraction);
        }
    }
}

/// What pairs look like.
pub(super) struct PairSchema {
    /// So many columns of each side come out; those behind them are keys that were computed.
    pub(super) widths: (usize, usize),
    /// The columns of the left side, then those of the right.
    pub(super) both: SchemaRef,
    /// All columns of each side, as state keeps them.
    pub(super) left: RowCodec,
    pub(super) right: RowCodec,
    pub(super) filter: Option<PairFilter>,
}

/// What pairs must pass: of the columns of both sides, those that it reads alone.
pub(super) struct PairFilter {
    condition: Arc<dyn PhysicalExpr>,
    columns: Vec<usize>,
    schema: SchemaRef,
}

impl PairFilter {
    /// A condition over the columns `both`.
    pub(super) fn new(condition: Arc<dyn PhysicalExpr>, both: &SchemaRef) -> Result<Self, DataFusionError> {
        let mut columns: Vec<usize> = Vec::new();
        let own = condition.transform_down(|expression| {
            let Some(column) = expression.downcast_ref::<Column>() else {
                return Ok(Transformed::no(expression));
            };
            let known = columns.iter().position(|known| *known == column.index());
            let place = known.unwrap_or(columns.len());
            if known.is_none() {
                columns.push(column.index());
            }
            Ok(Transformed::yes(Arc::new(Column::new(column.name(), place)) as Arc<dyn PhysicalExpr>))
        })?;
        let schema = Arc::new(both.project(&columns)?);
        Ok(Self { condition: own.data, columns, schema })
    }
}

impl PairSchema {
    pub(super) fn codec(&self, side: Side) -> &RowCodec {
        match side {
            Side::Left => &self.left,
            Side::Right => &self.right,
        }
    }

    fn width(&self, side: Side) -> usize {
        match side {
            Side::Left => self.widths.0,
            Side::Right => self.widths.1,
        }
    }

    /// The columns of pairs: `this` is the side of the chunk, `rows` are the rows of the other.
    pub(super) fn columns(
        &self,
        this: Side,
        chunk: &Chunk,
        rows: &[RowBytes],
        pairs: &Pairs,
    ) -> Result<(Vec<ArrayRef>, Vec<ArrayRef>), BoxError> {
        let decoded = self.codec(this.other()).decode(rows.iter().map(|row| &**row))?;
        self.side_by_side(this, chunk, &decoded, pairs)
    }

    /// The columns of pairs: `this` is the side of the chunk, `columns` are all those of the other.
    pub(super) fn side_by_side(
        &self,
        this: Side,
        chunk: &Chunk,
        columns: &[ArrayRef],
        pairs: &Pairs,
    ) -> Result<(Vec<ArrayRef>, Vec<ArrayRef>), BoxError> {
        let these = UInt32Array::from(pairs.these.clone());
        let others = UInt32Array::from(pairs.others.clone());
        let of_chunk = chunk.rows().columns()[..self.width(this)].iter();
        let of_chunk = of_chunk.map(|column| taken(column, &these)).collect::<Result<Vec<_>, _>>()?;
        let of_state = columns[..self.width(this.other())].iter();
        let of_state = of_state.map(|column| taken(column, &others)).collect::<Result<Vec<_>, _>>()?;
        Ok(match this {
            Side::Left => (of_chunk, of_state),
            Side::Right => (of_state, of_chunk),
        })
    }

    /// Which pairs pass the filter.
    pub(super) fn passing(
        &self,
        this: Side,
        chunk: &Chunk,
        rows: &[RowBytes],
        pairs: &Pairs,
    ) -> Result<Option<BooleanArray>, BoxError> {
        if self.filter.is_none() || pairs.these.is_empty() {
            return Ok(None);
        }
        let decoded = self.codec(this.other()).decode(rows.iter().map(|row| &**row))?;
        self.passing_of(this, chunk, &decoded, pairs)
    }

    /// The same, if `columns` are those of the rows of the other side.
    pub(super) fn passing_of(
        &self,
        this: Side,
        chunk: &Chunk,
        columns: &[ArrayRef],
        pairs: &Pairs,
    ) -> Result<Option<BooleanArray>, BoxError> {
        let Some(filter) = self.filter.as_ref().filter(|_| !pairs.these.is_empty()) else { return Ok(None) };
        let these = UInt32Array::from(pairs.these.clone());
        let others = UInt32Array::from(pairs.others.clone());
        let read = filter.columns.iter().map(|column| {
            let (side, place) = match column.checked_sub(self.widths.0) {
                None => (Side::Left, *column),
                Some(place) => (Side::Right, place),
            };
            match side == this {
                true => taken(chunk.rows().column(place), &these),
                false => taken(&columns[place], &others),
            }
        });
        let read = batch(&filter.schema, read.collect::<Result<_, _>>()?, pairs.these.len())?;
        let passes = filter.condition.evaluate(&read)?.into_array(read.num_rows())?;
        Ok(Some(passes.as_boolean().clone()))
    }
}

/// Whether a flag is set, and not NULL.
pub(super) fn is_true(flags: &Option<BooleanArray>, at: usize) -> bool {
    use arrow::array::Array as _;
    flags.as_ref().is_none_or(|flags| flags.is_valid(at) && flags.value(at))
}
