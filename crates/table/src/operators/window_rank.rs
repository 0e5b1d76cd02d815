//! Top-N of windows: of each partition of a window the rows up to a rank, once the window is over.
//!
//! - **Rows** find their place in the order of their partition. A row of a window that is over already is dropped, and counted as late.
//! - **Watermarks** emit the windows that end with them, then pass.
//! - **State**: keyed, `windows`: of each partition of a window the end of it and the rows in order; union, `watermark`.

use std::sync::Arc;

use arrow::error::ArrowError;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use thalweg_dataflow::Output;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::operator::{Operator, OperatorContext};
use thalweg_dataflow::record::Batch;
use thalweg_dataflow::state::{KeyedTable, States};
use thalweg_dataflow::time::Timestamp;

use super::due::Deadlines;
use super::grouping::hash_of;
use super::ranking::{RankPlan, RankedRows, Ranker, Ranking};
use super::window_assign::to_utc;
use super::{Grouping, emit, millis};
use crate::chunk::Chunk;
use crate::rows::RowBytes;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct WindowState {
    last: Timestamp,
    ranking: Ranking,
}

/// The operator. Its page says what it does.
#[derive(Clone)]
pub struct WindowRank {
    ranker: Arc<Ranker>,
    /// The column of the end of the window.
    end: usize,
    zone: Option<Tz>,
    processing_time: bool,
    windows: KeyedTable<RowBytes, WindowState>,
    deadlines: Deadlines,
}

impl WindowRank {
    /// Ranks by `plan`, in windows whose end is in the column `end`: on the clock of `zone`, in processing time or in event time.
    ///
    /// # Errors
    /// If a column has a type that cannot be kept or ordered.
    pub fn new(
        plan: RankPlan,
        end: usize,
        zone: Option<Tz>,
        processing_time: bool,
    ) -> Result<Self, ArrowError> {
        let ranker = Arc::new(Ranker::new(plan)?);
        let (windows, deadlines) = Default::default();
        Ok(Self { ranker, end, zone, processing_time, windows, deadlines })
    }

    fn add(&mut self, chunk: &Chunk) -> Result<(), BoxError> {
        let ranker = &*self.ranker;
        let by_key = Grouping::new(chunk, &ranker.plan.partition, &ranker.key_codec)?;
        let ends = millis(chunk.rows().column(self.end))?;
        for (row, encoded) in ranker.encode(chunk)?.into_iter().enumerate() {
            let last = to_utc(self.zone, ends.value(row)) - 1;
            if !self.processing_time && self.deadlines.is_over(last) {
                self.deadlines.late.dropped(1);
                continue;
            }
            let group = by_key.group_of[row] as usize;
            let (hash, key) = (by_key.hashes[group], &by_key.keys[group]);
            let due = &mut self.deadlines.due;
            let window = self.windows.entry(hash, key.clone()).or_insert_with(|| {
                due.add(last, hash, key.clone());
                WindowState { last, ranking: Ranking::default() }
            });
            ranker.change(&mut window.ranking, encoded, chunk.is_retraction(row));
        }
        Ok(())
    }

    fn fire(&mut self, time: Timestamp, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        while let Some((_, keys)) = self.deadlines.due.pop(time) {
            let mut rows = RankedRows::default();
            for (hash, key) in keys {
                if let Some((_, window)) = self.windows.remove(hash, &key) {
                    self.ranker.top(&window.ranking, &[], &mut rows);
                }
            }
            let additions = vec![false; rows.len()];
            emit(output, self.ranker.chunk(&rows, additions)?);
        }
        Ok(())
    }
}

impl Operator for WindowRank {
    type In = Chunk;
    type Out = Chunk;

    fn is_determined(&self) -> bool {
        true
    }

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.deadlines.open(context);
        Ok(())
    }

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("windows", &mut self.windows);
        if self.deadlines.states(states) {
            for (key, window) in self.windows.iter() {
                self.deadlines.due.add(window.last, hash_of(key), key.clone());
            }
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
        self.deadlines.advance(watermark);
        if !self.processing_time {
            self.fire(watermark, output)?;
        }
        Ok(Some(watermark))
    }

    fn next_timer(&self) -> Option<Timestamp> {
        self.deadlines.next_end().filter(|_| self.processing_time)
    }

    fn processing_time(&mut self, now: Timestamp, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        if self.processing_time { self.fire(now - 1, output) } else { Ok(()) }
    }
}
