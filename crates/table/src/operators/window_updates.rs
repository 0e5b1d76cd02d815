//! Aggregates of windows that are told before their window is over, and again when rows come late (`table.exec.emit.…`).
//!
//! - **Rows** come with the bounds of their window among their key columns, and are added to the accumulators of their key, or taken back. A
//!   window's result goes out when it has had a change for so long as early results are delayed; at once, without a delay. A row of a window
//!   that is over is taken as long as lateness is allowed, and the result goes out again; later it is dropped, and counted as late.
//! - **Results** that were told before are retracted. One that has not changed is not told again.
//! - **Watermarks** have the windows told that end with them, the earliest first, then pass.
//! - **State**: keyed, `windows`: of each key of a window its number of rows, its accumulators, and what has been told of it; union,
//!   `watermark`.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use thalweg_dataflow::Output;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::operator::{Operator, OperatorContext};
use thalweg_dataflow::record::Batch;
use thalweg_dataflow::state::{KeyedTable, States};
use thalweg_dataflow::time::{TaskClock, Timestamp};

use super::due::Deadlines;
use super::grouping::hash_of;
use super::window_assign::to_utc;
use super::{Grouping, RowsOut, batch, emit, millis};
use crate::aggregates::Aggregation;
use crate::aggregates::accumulator::Group;
use crate::chunk::Chunk;
use crate::rows::{RowBytes, RowCodec};

/// When results go out besides when their window is over (milliseconds).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct EmitStrategy {
    /// Before, so long after a change.
    pub early: Option<i64>,
    /// After, so long after a change.
    pub late: Option<i64>,
    /// So long after the window is over it still takes rows.
    pub lateness: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Window {
    /// The last millisecond of the window.
    last: Timestamp,
    rows: i64,
    accumulators: Group,
    /// The row that was told last, if it has not been retracted.
    told: Option<RowBytes>,
    /// When it is to be told next, by processing time, if it has changed since it was told.
    due: Option<Timestamp>,
}

type Key = (u64, RowBytes);

/// The operator. Its page says what it does.
#[derive(Clone)]
pub struct WindowUpdates {
    plan: Arc<Plan>,
    windows: KeyedTable<RowBytes, Window>,
    deadlines: Deadlines,
    /// What is told next, by processing time. It is made anew after a restore.
    due: BTreeSet<(Timestamp, Key)>,
    clock: TaskClock,
}

struct Plan {
    key: Vec<usize>,
    /// The column, of the input, of the end of the window.
    end: usize,
    zone: Option<Tz>,
    key_codec: RowCodec,
    calls: Vec<Aggregation>,
    emit: EmitStrategy,
    codec: RowCodec,
    schema: SchemaRef,
}

impl WindowUpdates {
    /// Aggregates by the columns `key`, among which `end` is the end of the window, on the clock of `zone`. The output has the key, then the
    /// result of each call, and `schema`.
    ///
    /// # Errors
    /// If a column has a type that cannot be kept.
    pub fn new(
        key: Vec<usize>,
        end: usize,
        zone: Option<Tz>,
        calls: Vec<Aggregation>,
        emit: EmitStrategy,
        schema: SchemaRef,
    ) -> Result<Self, ArrowError> {
        let key_codec = RowCodec::new(schema.fields()[..key.len()].iter().map(|field| field.data_type()))?;
        let codec = RowCodec::of_schema(&schema)?;
        let plan = Arc::new(Plan { key, end, zone, key_codec, calls, emit, codec, schema });
        let (windows, deadlines, due, clock) = Default::default();
        Ok(Self { plan, windows, deadlines, due, clock })
    }

    fn add(&mut self, chunk: &Chunk, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        let plan = Arc::clone(&self.plan);
        let mut ends = millis(chunk.rows().column(plan.end))?;
        let last = |ends: &Int64Array, row: usize| to_utc(plan.zone, ends.value(row)) - 1;
        let taken = (0..chunk.len())
            .map(|row| Some(!self.deadlines.is_over(last(&ends, row).saturating_add(plan.emit.lateness))));
        let taken: BooleanArray = taken.collect();
        let late = chunk.len() - taken.true_count();
        let mut on_time = None;
        if late > 0 {
            self.deadlines.late.dropped(late);
            let chunk = on_time.insert(chunk.filter(&taken)?);
            ends = millis(chunk.rows().column(plan.end))?;
        }
        let chunk = on_time.as_ref().unwrap_or(chunk);
        if chunk.is_empty() {
            return Ok(());
        }
        let by_key = Grouping::new(chunk, &plan.key, &plan.key_codec)?;
        let mut rows = vec![0; by_key.len()];
        by_key.group_of.iter().enumerate().for_each(|(row, group)| rows[*group as usize] += chunk.sign(row));
        let mut states: Vec<Group> = Vec::with_capacity(by_key.len());
        let now = self.clock.now();
        let mut at_once: Vec<Key> = Vec::new();
        for (group, (key, hash)) in by_key.keys.iter().zip(&by_key.hashes).enumerate() {
            let last = last(&ends, by_key.firsts[group] as usize);
            let delay = match self.deadlines.is_over(last) {
                true => plan.emit.late,
                false => plan.emit.early,
            };
            let due = &mut self.deadlines.due;
            let state = self.windows.entry(*hash, key.clone()).or_insert_with(|| {
                // Of a window that is over already, its end is that of lateness.
                due.add(last, *hash, key.clone());
                let accumulators = plan.calls.iter().map(Aggregation::empty).collect();
                Window { last, rows: 0, accumulators, told: None, due: None }
            });
            state.rows += rows[group];
            states.push(std::mem::take(&mut state.accumulators));
            match delay {
                Some(delay) if delay <= 0 => at_once.push((*hash, key.clone())),
                Some(delay) if state.due.is_none() => {
                    state.due = Some(now + delay);
                    self.due.insert((now + delay, (*hash, key.clone())));
                }
                _ => {}
            }
        }
        for (call, aggregation) in plan.calls.iter().enumerate() {
            aggregation.update(call, &mut states, &by_key.group_of, chunk)?;
        }
        for (group, state) in states.into_iter().enumerate() {
            if let Some(kept) = self.windows.get_mut(by_key.hashes[group], &by_key.keys[group]) {
                kept.accumulators = state;
            }
        }
        self.tell(&at_once, output)
    }

    /// Tells what these windows come to now, where it has changed.
    fn tell(&mut self, keys: &[Key], output: &mut Output<Chunk>) -> Result<(), BoxError> {
        if keys.is_empty() {
            return Ok(());
        }
        let plan = Arc::clone(&self.plan);
        let kept: Vec<(&RowBytes, &Window)> =
            keys.iter().filter_map(|(hash, key)| Some((key, self.windows.get(*hash, key)?))).collect();
        let mut columns: Vec<ArrayRef> = plan.key_codec.decode(kept.iter().map(|(key, _)| &***key))?;
        for (call, aggregation) in plan.calls.iter().enumerate() {
            let accumulators: Vec<_> = kept.iter().map(|(_, state)| &state.accumulators[call]).collect();
            columns.push(aggregation.results(&accumulators)?);
        }
        let results = batch(&plan.schema, columns, kept.len())?;
        let encoded = plan.codec.encode(results.columns())?;
        let mut out = RowsOut::default();
        let mut place = 0;
        for (hash, key) in keys {
            let Some(window) = self.windows.get_mut(*hash, key) else { continue };
            // Of which every row was taken back there is nothing to tell.
            let result = (window.rows != 0).then(|| RowBytes::new(encoded.row(place).data()));
            place += 1;
            if let Some(due) = window.due.take() {
                self.due.remove(&(due, (*hash, key.clone())));
            }
            if window.told != result {
                window.told.take().into_iter().for_each(|row| out.push(row, true));
                result.iter().for_each(|row| out.push(row.clone(), false));
                window.told = result;
            }
        }
        emit(output, out.into_chunk(&plan.codec, &plan.schema)?);
        Ok(())
    }

    /// Tells the windows that are over at `time`, and forgets those that take no more rows.
    fn fire(&mut self, time: Timestamp, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        let lateness = self.plan.emit.lateness;
        while let Some((at, keys)) = self.deadlines.due.pop(time) {
            self.tell(&keys, output)?;
            for (hash, key) in keys {
                let Some(window) = self.windows.get(hash, &key) else { continue };
                let until = window.last.saturating_add(lateness);
                if at >= until || until <= time {
                    self.windows.remove(hash, &key);
                } else {
                    self.deadlines.due.add(until, hash, key);
                }
            }
        }
        Ok(())
    }
}

impl Operator for WindowUpdates {
    type In = Chunk;
    type Out = Chunk;

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.clock = context.clock.clone();
        self.deadlines.open(context);
        Ok(())
    }

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("windows", &mut self.windows);
        if self.deadlines.states(states) {
            self.due.clear();
            let watermark = self.deadlines.watermark();
            for (key, state) in self.windows.iter() {
                let hash = hash_of(key);
                let over = state.last <= watermark;
                let at = if over { state.last.saturating_add(self.plan.emit.lateness) } else { state.last };
                self.deadlines.due.add(at, hash, key.clone());
                self.due.extend(state.due.map(|due| (due, (hash, key.clone()))));
            }
        }
    }

    fn process(&mut self, batch: &mut Batch<Chunk>, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        batch.records.drain(..).try_for_each(|record| self.add(&record.value, output))
    }

    fn watermark(
        &mut self,
        watermark: Timestamp,
        output: &mut Output<Chunk>,
    ) -> Result<Option<Timestamp>, BoxError> {
        self.deadlines.advance(watermark);
        self.fire(watermark, output)?;
        Ok(Some(watermark))
    }

    fn next_timer(&self) -> Option<Timestamp> {
        self.due.first().map(|(due, _)| *due)
    }

    fn processing_time(&mut self, now: Timestamp, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        let mut keys = Vec::new();
        while let Some((due, key)) = self.due.pop_first() {
            if due > now {
                self.due.insert((due, key));
                break;
            }
            keys.push(key);
        }
        self.tell(&keys, output)
    }
}
