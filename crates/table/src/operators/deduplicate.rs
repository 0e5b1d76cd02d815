//! The first row of each key, in an order, of rows that are only added: Top-N for N = 1.
//!
//! - **Rows** take the place of the row of their key if they stand before it. Where it has changed by a chunk, the one that was there is
//!   retracted, and the one that is there now is added. Of rows that stand at the same place that which came first counts, or, by time with
//!   the latest first, that which came last.
//! - **Watermarks, barriers, the end**: pass.
//! - **State**: keyed, `rows`: of each key its row, and the place of that in the order.

use std::sync::Arc;

use arrow::error::ArrowError;
use serde::{Deserialize, Serialize};
use thalweg_dataflow::Output;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::operator::Operator;
use thalweg_dataflow::record::Batch;
use thalweg_dataflow::state::{KeyedTable, StateTtlConfig, States};

use super::ranking::{RankPlan, RankedRows, Ranker};
use super::{Grouping, emit};
use crate::chunk::Chunk;
use crate::rows::RowBytes;
use crate::window_functions::WindowFunction;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct First {
    place: RowBytes,
    row: RowBytes,
}

/// The operator. Its page says what it does.
#[derive(Clone)]
pub struct Deduplicate {
    ranker: Arc<Ranker>,
    rows: KeyedTable<RowBytes, First>,
}

impl Deduplicate {
    /// Whether that is all that a plan asks for.
    pub fn fits(plan: &RankPlan) -> bool {
        plan.function == WindowFunction::RowNumber && (plan.from, plan.to) == (1, 1) && !plan.retracts
    }

    /// Keeps the first row of each partition of `plan`.
    ///
    /// # Errors
    /// If a column has a type that cannot be kept or ordered.
    pub fn new(plan: RankPlan) -> Result<Self, ArrowError> {
        Ok(Self { ranker: Arc::new(Ranker::new(plan)?), rows: KeyedTable::default() })
    }

    /// What is kept is forgotten when it has not been written for so long (`table.exec.state.ttl`).
    #[must_use]
    pub fn with_ttl(mut self, ttl: Option<StateTtlConfig>) -> Self {
        if let Some(ttl) = ttl {
            self.rows = KeyedTable::with_ttl(ttl);
        }
        self
    }

    fn first(&mut self, chunk: &Chunk) -> Result<Chunk, BoxError> {
        let (ranker, newest) = (&*self.ranker, self.ranker.plan.newest);
        let is_before = |one: &[u8], other: &[u8]| if newest { one <= other } else { one < other };
        let by_key = Grouping::new(chunk, &ranker.plan.partition, &ranker.key_codec)?;
        let (places, rows) = ranker.encoded(chunk)?;
        let place = |row: u32| places.as_ref().map_or(&[][..], |places| places.row(row as usize).data());
        // Of each key the first row of the chunk.
        let mut firsts = by_key.firsts.clone();
        if places.is_some() {
            for (row, group) in by_key.group_of.iter().enumerate() {
                let first = &mut firsts[*group as usize];
                if is_before(place(row as u32), place(*first)) {
                    *first = row as u32;
                }
            }
        }
        let (mut out, mut retractions) = (RankedRows::default(), Vec::new());
        for (group, row) in firsts.into_iter().enumerate() {
            let (hash, key) = (by_key.hashes[group], &by_key.keys[group]);
            let known = self.rows.get(hash, key);
            if known.is_some_and(|known| !is_before(place(row), &known.place)) {
                continue;
            }
            let new = rows.row(row as usize).data();
            let first = First { place: RowBytes::new(place(row)), row: RowBytes::new(new) };
            let before = match self.rows.get_mut(hash, key) {
                Some(known) => Some(std::mem::replace(known, first).row),
                None => {
                    self.rows.insert(hash, key, first);
                    None
                }
            };
            if before.as_ref().is_some_and(|before| **before == *new) {
                continue;
            }
            for (row, is_retraction) in
                before.as_deref().map(|row| (row, true)).into_iter().chain([(new, false)])
            {
                out.push(row, 1);
                retractions.push(is_retraction);
            }
        }
        Ok(ranker.chunk(&out, retractions)?)
    }
}

impl Operator for Deduplicate {
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
            emit(output, self.first(&record.value)?);
        }
        Ok(())
    }
}
