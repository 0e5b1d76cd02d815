//! `GROUP BY window_start, window_end, …` of windows that overlap: aggregates of slices, which windows share, and of each window, once it is
//! over, what its slices come to together.
//!
//! A slice is as long as it is from one window's beginning to that of the next (`HOP`), or from the end of one to that of the next
//! (`CUMULATE`): so a row is in one slice, whatever the number of its windows.
//!
//! - **Rows** come with the bounds of their slice among their key columns, and are added to the accumulators of it. A row all of whose windows
//!   are over is dropped, and counted as late.
//! - **Watermarks** emit the windows that end with them, the earliest first, then pass.
//! - **State**: keyed, `keys`: of each key, without the bounds, its slices, and which window of it is told next; union, `watermark`.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
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
use super::window_assign::{LastMillis, start_of, to_utc};
use super::{Grouping, Weights, WindowSpec, batch, emit, from_millis, millis};
use crate::aggregates::Aggregation;
use crate::aggregates::accumulator::Group;
use crate::chunk::Chunk;
use crate::rows::{RowBytes, RowCodec};

/// So many windows go out in a chunk.
const CHUNK: usize = 1024;

/// So many bytes a point in time takes as the last column of a key.
const END_BYTES: usize = 9;

/// How windows are put together of slices (milliseconds).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slicing {
    step: i64,
    size: i64,
    offset: i64,
    cumulates: bool,
}

impl Slicing {
    /// That of these windows, if they overlap.
    pub fn of(spec: WindowSpec) -> Option<Self> {
        match spec {
            WindowSpec::Hop { slide, size, offset } if slide < size => {
                Some(Self { step: slide, size, offset, cumulates: false })
            }
            WindowSpec::Cumulate { step, size, offset } if step < size => {
                Some(Self { step, size, offset, cumulates: true })
            }
            _ => None,
        }
    }

    /// The slices as windows, one after the other.
    pub fn slices(self) -> WindowSpec {
        WindowSpec::Tumble { size: self.step, offset: self.offset }
    }

    /// The beginning of the window that ends at `end`.
    fn start(self, end: i64) -> i64 {
        if self.cumulates { start_of(end - 1, self.offset, self.size) } else { end - self.size }
    }

    /// The end of the last window that the slice is in that ends at `end`.
    fn last_end(self, end: i64) -> i64 {
        if self.cumulates { self.start(end) + self.size } else { end + self.size - self.step }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Slice {
    /// On the clock of the zone.
    end: i64,
    rows: i64,
    accumulators: Group,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct KeyState {
    /// The earliest first.
    slices: Vec<Slice>,
    /// The end of the window that is told next.
    next: i64,
}

impl KeyState {
    /// The slice that ends at `end`, if it is there, or where it is to be.
    fn place(&self, end: i64) -> Result<usize, usize> {
        match self.slices.iter().rposition(|slice| slice.end <= end) {
            Some(place) if self.slices[place].end == end => Ok(place),
            Some(place) => Err(place + 1),
            None => Err(0),
        }
    }
}

/// The operator. Its page says what it does.
#[derive(Clone)]
pub struct WindowSlices {
    plan: Arc<Plan>,
    keys: KeyedTable<RowBytes, KeyState>,
    deadlines: Deadlines,
}

struct Plan {
    slicing: Slicing,
    /// The columns of the key without the bounds, and behind them that of the end of the slice.
    key: Vec<usize>,
    /// The number of columns of the key, bounds included; among them the bounds.
    width: usize,
    bounds: (usize, usize),
    zone: Option<Tz>,
    key_codec: RowCodec,
    with_end: RowCodec,
    calls: Vec<Aggregation>,
    /// The column of the number of rows, if what comes in are partial results.
    rows: Option<usize>,
    schema: SchemaRef,
}

impl WindowSlices {
    /// Aggregates by the first `width` columns, among which `bounds` are the beginning and the end of the slice, on the clock of `zone`. The
    /// output has the key, with the bounds of the window for those of the slice, then the result of each call, and `schema`. If what comes in
    /// are partial results ([`LocalAggregate`](super::LocalAggregate)), `rows` is the column of their number of rows.
    ///
    /// # Errors
    /// If a column has a type that cannot be a key.
    pub fn new(
        slicing: Slicing,
        width: usize,
        bounds: (usize, usize),
        zone: Option<Tz>,
        calls: Vec<Aggregation>,
        rows: Option<usize>,
        schema: SchemaRef,
    ) -> Result<Self, ArrowError> {
        let mut key: Vec<usize> = Self::key(width, bounds);
        let mut types: Vec<DataType> =
            key.iter().map(|column| schema.field(*column).data_type().clone()).collect();
        let key_codec = RowCodec::new(&types)?;
        key.push(bounds.1);
        types.push(schema.field(bounds.1).data_type().clone());
        debug_assert!(matches!(types.last(), Some(DataType::Timestamp(TimeUnit::Millisecond, _))));
        let with_end = RowCodec::new(&types)?;
        let plan = Plan { slicing, key, width, bounds, zone, key_codec, with_end, calls, rows, schema };
        let (keys, deadlines) = Default::default();
        Ok(Self { plan: Arc::new(plan), keys, deadlines })
    }

    /// The columns of the key by which rows are divided.
    pub fn key(width: usize, (start, end): (usize, usize)) -> Vec<usize> {
        (0..width).filter(|column| *column != start && *column != end).collect()
    }

    fn add(&mut self, chunk: &Chunk) -> Result<(), BoxError> {
        let plan = &*self.plan;
        let mut ends = millis(chunk.rows().column(plan.bounds.1))?;
        let mut on_time = None;
        let mut last = LastMillis::new(plan.zone);
        let mut is_late = |end: i64| self.deadlines.is_over(last.of(plan.slicing.last_end(end)));
        let late = Weights::of(chunk, plan.rows).count(chunk.len(), |row| is_late(ends.value(row)));
        if late > 0 {
            let kept: BooleanArray = ends.values().iter().map(|end| Some(!is_late(*end))).collect();
            self.deadlines.late.dropped(late);
            let chunk = on_time.insert(chunk.filter(&kept)?);
            ends = millis(chunk.rows().column(plan.bounds.1))?;
        }
        let chunk = on_time.as_ref().unwrap_or(chunk);
        if chunk.is_empty() {
            return Ok(());
        }
        let by_slice = Grouping::new(chunk, &plan.key, &plan.with_end)?;
        let mut rows = vec![0; by_slice.len()];
        let weights = Weights::of(chunk, plan.rows);
        by_slice
            .group_of
            .iter()
            .enumerate()
            .for_each(|(row, slice)| rows[*slice as usize] += weights.at(row));
        let mut states: Vec<Group> = Vec::with_capacity(by_slice.len());
        let mut keys: Vec<(u64, RowBytes)> = Vec::with_capacity(by_slice.len());
        for (group, bytes) in by_slice.keys.iter().enumerate() {
            let end = ends.value(by_slice.firsts[group] as usize);
            // The end stands behind the key.
            let key = RowBytes::new(&bytes[..bytes.len() - END_BYTES]);
            let hash = hash_of(&key);
            let new = || KeyState { slices: Vec::new(), next: i64::MAX };
            let state = self.keys.entry(hash, key.clone()).or_insert_with(new);
            let place = state.place(end).unwrap_or_else(|place| {
                let accumulators = plan.calls.iter().map(Aggregation::empty).collect();
                state.slices.insert(place, Slice { end, rows: 0, accumulators });
                place
            });
            let slice = &mut state.slices[place];
            slice.rows += rows[group];
            states.push(std::mem::take(&mut slice.accumulators));
            // The first window that is not over yet; the last is not.
            let mut window = end;
            while self.deadlines.is_over(plan.last(window)) {
                window += plan.slicing.step;
            }
            if window < state.next {
                state.next = window;
                self.deadlines.due.add(plan.last(window), hash, key.clone());
            }
            keys.push((hash, key));
        }
        for (call, aggregation) in plan.calls.iter().enumerate() {
            aggregation.update(call, &mut states, &by_slice.group_of, chunk)?;
        }
        for (group, accumulators) in states.into_iter().enumerate() {
            let (hash, key) = &keys[group];
            let end = ends.value(by_slice.firsts[group] as usize);
            if let Some(state) = self.keys.get_mut(*hash, key)
                && let Ok(place) = state.place(end)
            {
                state.slices[place].accumulators = accumulators;
            }
        }
        Ok(())
    }

    /// Emits the windows that are over at `time`.
    fn fire(&mut self, time: Timestamp, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        let plan = self.plan.clone();
        while let Some((at, keys)) = self.deadlines.due.pop(time) {
            for keys in keys.chunks(CHUNK) {
                let mut over = Vec::with_capacity(keys.len());
                for (hash, key) in keys {
                    let Some(state) = self.keys.get_mut(*hash, key) else { continue };
                    let end = state.next;
                    // It was told to come earlier meanwhile, and has told this window already.
                    if plan.last(end) != at {
                        continue;
                    }
                    over.extend(plan.window(state, end).map(|accumulators| (key, end, accumulators)));
                    state.slices.retain(|slice| plan.slicing.last_end(slice.end) > end);
                    match state.slices.first() {
                        None => drop(self.keys.remove(*hash, key)),
                        Some(first) => {
                            state.next = if first.end <= end { end + plan.slicing.step } else { first.end };
                            self.deadlines.due.add(plan.last(state.next), *hash, key.clone());
                        }
                    }
                }
                if !over.is_empty() {
                    emit(output, plan.results(&over)?);
                }
            }
        }
        Ok(())
    }
}

impl Plan {
    /// The last millisecond of the window that ends at `end`.
    fn last(&self, end: i64) -> Timestamp {
        to_utc(self.zone, end) - 1
    }

    /// What the slices of the window come to that ends at `end`. Of which every row was taken back there is nothing to tell.
    fn window(&self, state: &KeyState, end: i64) -> Option<Group> {
        let start = self.slicing.start(end);
        let mut inside = state.slices.iter().filter(|slice| slice.end > start && slice.end <= end);
        let first = inside.next()?;
        let (mut rows, mut accumulators) = (first.rows, first.accumulators.clone());
        for slice in inside {
            rows += slice.rows;
            for (call, into) in accumulators.iter_mut().enumerate() {
                self.calls[call].merge(into, slice.accumulators[call].clone());
            }
        }
        (rows != 0).then_some(accumulators)
    }

    fn results(&self, over: &[(&RowBytes, i64, Group)]) -> Result<Chunk, BoxError> {
        let mut own = self.key_codec.decode(over.iter().map(|(key, ..)| &***key))?.into_iter();
        let time = |column: usize, of: &dyn Fn(i64) -> i64| {
            let values: Int64Array = over.iter().map(|(_, end, _)| of(*end)).collect();
            from_millis(values, self.schema.field(column).data_type())
        };
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        for column in 0..self.width {
            columns.push(match column {
                start if start == self.bounds.0 => time(start, &|end| self.slicing.start(end))?,
                end if end == self.bounds.1 => time(end, &|end| end)?,
                _ => own.next().ok_or("a key has fewer columns than it was made of")?,
            });
        }
        for (call, aggregation) in self.calls.iter().enumerate() {
            let accumulators: Vec<_> = over.iter().map(|(.., accumulators)| &accumulators[call]).collect();
            columns.push(aggregation.results(&accumulators)?);
        }
        Ok(Chunk::additions(batch(&self.schema, columns, over.len())?))
    }
}

impl Operator for WindowSlices {
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
        states.keyed("keys", &mut self.keys);
        if self.deadlines.states(states) {
            for (key, state) in self.keys.iter() {
                self.deadlines.due.add(self.plan.last(state.next), hash_of(key), key.clone());
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
        self.fire(watermark, output)?;
        Ok(Some(watermark))
    }
}
