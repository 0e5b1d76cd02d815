//! The rows of a partition in order: what Top-N and deduplication keep, with and without windows.

use std::collections::BTreeMap;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::row::{Rows, SortField};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::batch;
use crate::chunk::Chunk;
use crate::rows::{RowBytes, RowCodec};
use crate::window_functions::WindowFunction;

/// Rows by what they are ordered by; those that are equal in the order in which they came, or against it, if the newest counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Ranking {
    rows: BTreeMap<RowBytes, SmallVec<[RowBytes; 1]>>,
    count: u64,
}

/// Which rows go out, and how they are kept.
pub struct RankPlan {
    /// `ROW_NUMBER`, `RANK` or `DENSE_RANK`.
    pub function: WindowFunction,
    /// The first rank that goes out: 1 and up.
    pub from: u64,
    /// The last.
    pub to: u64,
    /// The columns that partition rows.
    pub partition: Vec<usize>,
    /// The columns that order rows, and how.
    pub order: Vec<(usize, SortField)>,
    /// Whether rows may be taken back.
    pub retracts: bool,
    /// Whether the order is that of time, the latest first, and one row goes out: of those of the same time the one that came last.
    pub newest: bool,
    /// So many columns come out; those behind them were computed for the order.
    pub width: usize,
    /// The columns that come in.
    pub input: SchemaRef,
    /// The columns that come out: those of the input, and the rank if it is wanted.
    pub schema: SchemaRef,
}

/// A plan, and the encodings that follow from it.
pub(super) struct Ranker {
    pub(super) plan: RankPlan,
    pub(super) key_codec: RowCodec,
    order_codec: RowCodec,
    row_codec: RowCodec,
}

impl Ranker {
    pub(super) fn new(plan: RankPlan) -> Result<Self, ArrowError> {
        let key_codec = RowCodec::of_columns(&plan.input, &plan.partition)?;
        let order_codec = RowCodec::sorting(plan.order.iter().map(|(_, field)| field.clone()).collect())?;
        let row_codec = RowCodec::of_schema(&plan.input)?;
        Ok(Self { plan, key_codec, order_codec, row_codec })
    }

    /// The place in the order of each row of a chunk, if there is an order, and the row.
    pub(super) fn encoded(&self, chunk: &Chunk) -> Result<(Option<Rows>, Rows), ArrowError> {
        let rows = self.row_codec.encode(chunk.rows().columns())?;
        if self.plan.order.is_empty() {
            return Ok((None, rows));
        }
        let order: Vec<ArrayRef> =
            self.plan.order.iter().map(|(column, _)| chunk.rows().column(*column).clone()).collect();
        Ok((Some(self.order_codec.encode(&order)?), rows))
    }

    /// The same, as state has them.
    pub(super) fn encode(&self, chunk: &Chunk) -> Result<Vec<(RowBytes, RowBytes)>, ArrowError> {
        let (places, rows) = self.encoded(chunk)?;
        let place = |row: usize| match &places {
            Some(places) => RowBytes::new(places.row(row).data()),
            None => RowBytes::default(),
        };
        Ok(rows.iter().enumerate().map(|(at, row)| (place(at), RowBytes::new(row.data()))).collect())
    }

    /// Adds a row, or takes it back.
    pub(super) fn change(
        &self,
        ranking: &mut Ranking,
        (place, row): (RowBytes, RowBytes),
        is_retraction: bool,
    ) {
        if !is_retraction {
            let equal = ranking.rows.entry(place).or_default();
            match self.plan.newest {
                true => equal.insert(0, row),
                false => equal.push(row),
            }
            ranking.count += 1;
            self.trim(ranking);
        } else if let Some(rows) = ranking.rows.get_mut(&place)
            && let Some(found) = rows.iter().rposition(|known| *known == row)
        {
            rows.remove(found);
            ranking.count -= 1;
            if rows.is_empty() {
                ranking.rows.remove(&place);
            }
        }
    }

    /// Forgets what can never be among the rows that go out: if none is taken back, what comes after them.
    fn trim(&self, ranking: &mut Ranking) {
        if self.plan.retracts || self.plan.function != WindowFunction::RowNumber {
            return;
        }
        while ranking.count > self.plan.to {
            let Some(mut last) = ranking.rows.last_entry() else { return };
            last.get_mut().pop();
            ranking.count -= 1;
            if last.get().is_empty() {
                last.remove();
            }
        }
    }

    /// Whether a row at this place never goes out, as rows enough are before it and none of them is taken back.
    pub(super) fn is_beyond(&self, ranking: &Ranking, place: &[u8]) -> bool {
        let is_cut = !self.plan.retracts && self.plan.function == WindowFunction::RowNumber;
        is_cut
            && ranking.count >= self.plan.to
            && ranking.rows.last_key_value().is_some_and(|(last, _)| **last <= *place)
    }

    /// The rows that go out, from a place in the order on, each with its rank.
    pub(super) fn top(&self, ranking: &Ranking, from: &[u8], top: &mut RankedRows) {
        let (mut before, mut groups) = (0, 0);
        for (place, rows) in &ranking.rows {
            groups += 1;
            for (index, row) in rows.iter().enumerate() {
                let rank = match self.plan.function {
                    WindowFunction::Rank => before + 1,
                    WindowFunction::DenseRank => groups,
                    _ => before + 1 + index as u64,
                };
                if rank > self.plan.to {
                    return;
                }
                if rank >= self.plan.from && **place >= *from {
                    top.push(row, rank as i64);
                }
            }
            before += rows.len() as u64;
        }
    }

    pub(super) fn is_empty(ranking: &Ranking) -> bool {
        ranking.rows.is_empty()
    }

    /// Rows with their ranks as a chunk.
    pub(super) fn chunk(&self, rows: &RankedRows, retractions: Vec<bool>) -> Result<Chunk, ArrowError> {
        let mut columns = self.row_codec.decode(rows.iter().map(|(row, _)| row))?;
        columns.truncate(self.plan.width);
        if self.plan.schema.fields().len() > self.plan.width {
            columns.push(std::sync::Arc::new(rows.iter().map(|(_, rank)| rank).collect::<Int64Array>()));
        }
        Ok(Chunk::new(batch(&self.plan.schema, columns, rows.len())?, Some(retractions.into())))
    }
}

/// Rows with their ranks, one after the other: of those that go out none needs memory of its own.
#[derive(Default)]
pub(super) struct RankedRows {
    bytes: Vec<u8>,
    /// Where each ends, and its rank.
    rows: Vec<(usize, i64)>,
}

impl RankedRows {
    pub(super) fn push(&mut self, row: &[u8], rank: i64) {
        self.bytes.extend_from_slice(row);
        self.rows.push((self.bytes.len(), rank));
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.rows.clear();
    }

    pub(super) fn get(&self, at: usize) -> Option<(&[u8], i64)> {
        let (end, rank) = *self.rows.get(at)?;
        let begin = if at == 0 { 0 } else { self.rows[at - 1].0 };
        Some((&self.bytes[begin..end], rank))
    }

    fn iter(&self) -> impl Iterator<Item = (&[u8], i64)> {
        (0..self.len()).filter_map(|at| self.get(at))
    }
}
