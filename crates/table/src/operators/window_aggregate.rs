//! `GROUP BY window_start, window_end, …`: aggregates of each window, once it is over.
//!
//! - **Rows** come with the bounds of their window among their key columns, and are added to the accumulators of their key. A row of a
//!   window that is over already is dropped, and counted as late.
//! - **Watermarks** emit the windows that end with them, the earliest first, then pass. Windows of processing time are emitted when that
//!   time has come.
//! - **State**: keyed, `windows`: of each key of a window its number of rows and its accumulators; union, `watermark`: how far event time
//!   has got, so that what was late stays late.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::SchemaRef;
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
use super::window_assign::LastMillis;
use super::{Grouping, Weights, batch, emit, millis};
use crate::aggregates::Aggregation;
use crate::aggregates::accumulator::Group;
use crate::chunk::Chunk;
use crate::rows::{RowBytes, RowCodec};

/// So many windows go out in a chunk.
const CHUNK: usize = 1024;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct WindowState {
    /// The last millisecond of the window.
    last: Timestamp,
    rows: i64,
    accumulators: Group,
}

/// The operator. Its page says what it does.
#[derive(Clone)]
pub struct WindowAggregate {
    plan: Arc<Plan>,
    windows: KeyedTable<RowBytes, WindowState>,
    deadlines: Deadlines,
}

struct Plan {
    key: Vec<usize>,
    /// The column, of the input, of the end of the window.
    end: usize,
    zone: Option<Tz>,
    processing_time: bool,
    key_codec: RowCodec,
    calls: Vec<Aggregation>,
    /// The column of the number of rows, if what comes in are partial results.
    rows: Option<usize>,
    schema: SchemaRef,
}

impl WindowAggregate {
    /// Aggregates by the columns `key`, among which `end` is the end of the window: on the clock of `zone`, in processing time or in event
    /// time. The output has the key, then the result of each call, and `schema`. If what comes in are partial results
    /// ([`LocalAggregate`](super::LocalAggregate)), `rows` is the column of their number of rows.
    ///
    /// # Errors
    /// If a column has a type that cannot be a key.
    pub fn new(
        key: Vec<usize>,
        end: usize,
        zone: Option<Tz>,
        processing_time: bool,
        calls: Vec<Aggregation>,
        rows: Option<usize>,
        schema: SchemaRef,
    ) -> Result<Self, ArrowError> {
        let key_codec = RowCodec::new(schema.fields()[..key.len()].iter().map(|field| field.data_type()))?;
        let plan = Arc::new(Plan { key, end, zone, processing_time, key_codec, calls, rows, schema });
        let (windows, deadlines) = Default::default();
        Ok(Self { plan, windows, deadlines })
    }

    fn add(&mut self, chunk: &Chunk) -> Result<(), BoxError> {
        let plan = &*self.plan;
        let mut ends = millis(chunk.rows().column(plan.end))?;
        let mut last = LastMillis::new(plan.zone);
        let mut on_time = None;
        if !plan.processing_time {
            let weights = Weights::of(chunk, plan.rows);
            let late = weights.count(chunk.len(), |row| self.deadlines.is_over(last.of(ends.value(row))));
            if late > 0 {
                self.deadlines.late.dropped(late);
                let kept = ends.values().iter().map(|end| Some(!self.deadlines.is_over(last.of(*end))));
                let kept: BooleanArray = kept.collect();
                let chunk = on_time.insert(chunk.filter(&kept)?);
                ends = millis(chunk.rows().column(plan.end))?;
            }
        }
        let chunk = on_time.as_ref().unwrap_or(chunk);
        if chunk.is_empty() {
            return Ok(());
        }
        let by_key = Grouping::new(chunk, &plan.key, &plan.key_codec)?;
        let mut rows = vec![0; by_key.len()];
        let weights = Weights::of(chunk, plan.rows);
        by_key.group_of.iter().enumerate().for_each(|(row, group)| rows[*group as usize] += weights.at(row));
        let mut states: Vec<Group> = Vec::with_capacity(by_key.len());
        for (group, (key, hash)) in by_key.keys.iter().zip(&by_key.hashes).enumerate() {
            let last = last.of(ends.value(by_key.firsts[group] as usize));
            let due = &mut self.deadlines.due;
            let state = self.windows.entry(*hash, key.clone()).or_insert_with(|| {
                due.add(last, *hash, key.clone());
                let accumulators = plan.calls.iter().map(Aggregation::empty).collect();
                WindowState { last, rows: 0, accumulators }
            });
            state.rows += rows[group];
            states.push(std::mem::take(&mut state.accumulators));
        }
        for (call, aggregation) in plan.calls.iter().enumerate() {
            aggregation.update(call, &mut states, &by_key.group_of, chunk)?;
        }
        for (group, state) in states.into_iter().enumerate() {
            if let Some(kept) = self.windows.get_mut(by_key.hashes[group], &by_key.keys[group]) {
                kept.accumulators = state;
            }
        }
        Ok(())
    }

    /// Emits the windows that are over at `time`.
    fn fire(&mut self, time: Timestamp, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        while let Some((_, keys)) = self.deadlines.due.pop(time) {
            for keys in keys.chunks(CHUNK) {
                let over = keys.iter().filter_map(|(hash, key)| self.windows.remove(*hash, key));
                // Of which every row was taken back there is nothing to tell.
                let over: Vec<_> = over.filter(|(_, state)| state.rows != 0).collect();
                if !over.is_empty() {
                    emit(output, self.plan.results(&over)?);
                }
            }
        }
        Ok(())
    }
}

impl Plan {
    fn results(&self, over: &[(RowBytes, WindowState)]) -> Result<Chunk, BoxError> {
        let mut columns: Vec<ArrayRef> = self.key_codec.decode(over.iter().map(|(key, _)| &**key))?;
        for (call, aggregation) in self.calls.iter().enumerate() {
            let accumulators: Vec<_> = over.iter().map(|(_, state)| &state.accumulators[call]).collect();
            columns.push(aggregation.results(&accumulators)?);
        }
        Ok(Chunk::additions(batch(&self.schema, columns, over.len())?))
    }
}

impl Operator for WindowAggregate {
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
            for (key, state) in self.windows.iter() {
                self.deadlines.due.add(state.last, super::grouping::hash_of(key), key.clone());
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
        if !self.plan.processing_time {
            self.fire(watermark, output)?;
        }
        Ok(Some(watermark))
    }

    fn next_timer(&self) -> Option<Timestamp> {
        self.deadlines.next_end().filter(|_| self.plan.processing_time)
    }

    fn processing_time(&mut self, now: Timestamp, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        if self.plan.processing_time { self.fire(now - 1, output) } else { Ok(()) }
    }
}
