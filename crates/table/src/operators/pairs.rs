//! Rows of two inputs side by side: the output of joins, put together a column at a time.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;
use datafusion_physical_expr::PhysicalExpr;
use thalweg_dataflow::error::BoxError;

use super::batch;
use crate::chunk::Chunk;
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
    pub(super) filter: Option<Arc<dyn PhysicalExpr>>,
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
        let of_chunk = &chunk.rows().columns()[..self.width(this)];
        let of_chunk =
            of_chunk.iter().map(|column| take(column, &these, None)).collect::<Result<Vec<_>, _>>()?;
        let of_state = &columns[..self.width(this.other())];
        let of_state =
            of_state.iter().map(|column| take(column, &others, None)).collect::<Result<Vec<_>, _>>()?;
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
        let (mut left, right) = self.side_by_side(this, chunk, columns, pairs)?;
        left.extend(right);
        let both = batch(&self.both, left, pairs.these.len())?;
        let passes = filter.evaluate(&both)?.into_array(both.num_rows())?;
        Ok(Some(passes.as_boolean().clone()))
    }
}

/// Whether a flag is set, and not NULL.
pub(super) fn is_true(flags: &Option<BooleanArray>, at: usize) -> bool {
    use arrow::array::Array as _;
    flags.as_ref().is_none_or(|flags| flags.is_valid(at) && flags.value(at))
}
