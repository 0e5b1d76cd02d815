//! Top-N: of each partition the rows up to a rank, as they change.
//!
//! - **Rows** find their place in the order of their partition, or are taken out of it. Where the rows that go out have changed by a chunk,
//!   those that were there are retracted, and those that are there now are added, place by place.
//! - **Watermarks, barriers, the end**: pass.
//! - **State**: keyed, `partitions`: of each partition its rows in order; no more than go out, if no row is ever taken back.

use std::sync::Arc;

use arrow::error::ArrowError;
use thalweg_dataflow::Output;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::operator::Operator;
use thalweg_dataflow::record::Batch;
use thalweg_dataflow::state::{KeyedTable, StateTtlConfig, States};

use super::ranking::{RankPlan, RankedRows, Ranker, Ranking};
use super::{Grouping, emit};
use crate::chunk::Chunk;
use crate::rows::RowBytes;

/// The operator. Its page says what it does.
#[derive(Clone)]
pub struct Rank {
    ranker: Arc<Ranker>,
    partitions: KeyedTable<RowBytes, Ranking>,
}

impl Rank {
    /// Ranks by `plan`.
    ///
    /// # Errors
    /// If a column has a type that cannot be kept or ordered.
    pub fn new(plan: RankPlan) -> Result<Self, ArrowError> {
        Ok(Self { ranker: Arc::new(Ranker::new(plan)?), partitions: KeyedTable::default() })
    }

    /// What is kept is forgotten when it has not been written for so long (`table.exec.state.ttl`).
    #[must_use]
    pub fn with_ttl(mut self, ttl: Option<StateTtlConfig>) -> Self {
        if let Some(ttl) = ttl {
            self.partitions = KeyedTable::with_ttl(ttl);
        }
        self
    }

    fn rank(&mut self, chunk: &Chunk) -> Result<Chunk, BoxError> {
        let ranker = &*self.ranker;
        let by_key = Grouping::new(chunk, &ranker.plan.partition, &ranker.key_codec)?;
        let members = by_key.members();
        let (places, encoded) = ranker.encoded(chunk)?;
        let place = |row: usize| places.as_ref().map_or(&[][..], |places| places.row(row).data());
        let (mut rows, mut retractions) = (RankedRows::default(), Vec::new());
        let (mut numbers, mut before, mut after): (Vec<usize>, RankedRows, RankedRows) = Default::default();
        for (group, (key, hash)) in by_key.keys.iter().zip(&by_key.hashes).enumerate() {
            numbers.clear();
            numbers.extend(members.of(group).iter().map(|row| *row as usize));
            if let Some(ranking) = self.partitions.get(*hash, key) {
                numbers.retain(|row| !ranker.is_beyond(ranking, place(*row)));
            }
            // Nothing changes before the first of them.
            let Some(from) = numbers.iter().map(|row| place(*row)).min() else { continue };
            let ranking = self.partitions.entry(*hash, key.clone()).or_insert_with(Ranking::default);
            before.clear();
            ranker.top(ranking, from, &mut before);
            for row in numbers.iter().copied() {
                // Those before it may have filled the ranks.
                if ranker.is_beyond(ranking, place(row)) {
                    continue;
                }
                let bytes = (RowBytes::new(place(row)), RowBytes::new(encoded.row(row).data()));
                ranker.change(ranking, bytes, chunk.is_retraction(row));
            }
            after.clear();
            ranker.top(ranking, from, &mut after);
            if Ranker::is_empty(ranking) {
                self.partitions.remove(*hash, key);
            }
            for at in 0..before.len().max(after.len()) {
                let (old, new) = (before.get(at), after.get(at));
                if old == new {
                    continue;
                }
                for (row, is_retraction) in [(old, true), (new, false)] {
                    if let Some((row, rank)) = row {
                        rows.push(row, rank);
                        retractions.push(is_retraction);
                    }
                }
            }
        }
        Ok(ranker.chunk(&rows, retractions)?)
    }
}

impl Operator for Rank {
    type In = Chunk;
    type Out = Chunk;

    fn is_determined(&self) -> bool {
        true
    }

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("partitions", &mut self.partitions);
    }

    fn process(&mut self, batch: &mut Batch<Chunk>, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        for record in batch.records.drain(..) {
            emit(output, self.rank(&record.value)?);
        }
        Ok(())
    }
}
