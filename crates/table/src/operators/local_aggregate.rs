//! Aggregates of what there is of each group here, before rows are divided by their keys: partial results go to the owners of the keys
//! instead of rows, fewer by orders of magnitude where keys repeat (Flink's local aggregation).
//!
//! - **Rows**, all of them additions, are added to the partial results of their key. Partial results are the columns of the key, the number of
//!   rows, then those of each call ([`Partial`]). Without windows they go out as soon as no more rows are at hand; while rows come thick and
//!   fast, when they have been held for a tenth of a second. With windows they are held until theirs is over: what is late goes on at once, for
//!   the owner to count it.
//! - **Watermarks** are preceded by what is held of windows that end with them; without windows by all that is held, and wait with it, at
//!   most that long. Idleness, barriers and the end are preceded by all.
//! - **State**: none, as nothing is held at a barrier.
//!
//! Where keys hardly repeat, rows are not grouped for a while: each is a partial result of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, UInt32Array};
use arrow::compute::{max, min, take};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use chrono_tz::Tz;
use thalweg_dataflow::Output;
use thalweg_dataflow::barrier::Barrier;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::operator::{Operator, OperatorContext};
use thalweg_dataflow::record::Batch;
use thalweg_dataflow::time::{MAX_WATERMARK, TaskClock, Timestamp};

use super::key_table::KeyTable;
use super::window_assign::to_utc;
use super::{batch, emit, millis};
use crate::aggregates::Aggregation;
use crate::aggregates::accumulator::Partial;
use crate::chunk::Chunk;

/// So many groups are held at most, and go out in a chunk.
const LIMIT: usize = 1 << 16;
const CHUNK: usize = 4096;

/// If so many rows have come since the last look, there are more to come, and it pays to hold what there is, for so many milliseconds.
const BUSY: usize = 1024;
const HOLD: i64 = 100;

/// So many emptied tables are kept for other windows.
const SPARE: usize = 8;

/// If of so many rows more than half have a key of their own, the next rows, this many times as many, are not grouped.
const SAMPLE: usize = 1 << 13;
const UNGROUPED: usize = 16;

/// The operator. Its page says what it does.
#[derive(Clone)]
pub struct LocalAggregate {
    plan: Arc<Plan>,
    /// What is held of each window, by its end; without windows, of all rows.
    held: BTreeMap<i64, Held>,
    /// Empty ones, and one for rows that are not grouped.
    spare: Vec<Held>,
    ungrouped: Held,
    watermark: Timestamp,
    /// That waits for what is held before it.
    waiting: Option<Timestamp>,
    clock: TaskClock,
    /// When the first of the rows came that are held.
    since: Timestamp,
    /// How many rows have come since the last look.
    come: usize,
    /// Of each row of a chunk.
    groups: Vec<u32>,
    /// How many rows have been grouped of late, and into how many groups.
    of_late: (usize, usize),
    /// The next rows so many are not grouped.
    not_grouped: usize,
}

struct Plan {
    /// The number of columns of the key, and which of them are in the tables: all but the bounds of a window.
    width: usize,
    key: Vec<usize>,
    windows: Option<Windows>,
    schema: SchemaRef,
}

/// Where the bounds of a window are in the key, and the zone whose clock they are on.
struct Windows {
    start: usize,
    end: usize,
    zone: Option<Tz>,
}

/// Partial results of the groups of one window.
#[derive(Clone)]
struct Held {
    keys: KeyTable,
    rows: Vec<i64>,
    partials: Vec<Partial>,
    /// The bounds of the window: columns of one row.
    bounds: Option<[ArrayRef; 2]>,
}

impl Held {
    /// Adds the rows of a chunk, whose groups, of so many, are known.
    fn add(&mut self, groups: &[u32], count: usize, chunk: &Chunk) -> Result<(), ArrowError> {
        self.rows.resize(count, 0);
        groups.iter().for_each(|group| self.rows[*group as usize] += 1);
        self.partials.iter_mut().try_for_each(|partial| partial.update(groups, count, chunk))
    }

    /// Takes out the columns behind the key.
    fn take(&mut self, count: usize, mut columns: Vec<ArrayRef>) -> Result<Vec<ArrayRef>, ArrowError> {
        columns.push(Arc::new(Int64Array::from(std::mem::take(&mut self.rows))));
        for partial in &mut self.partials {
            columns.extend(partial.take(count)?);
        }
        Ok(columns)
    }
}

impl LocalAggregate {
    /// Aggregates by the first `width` columns of `schema`. `windows`, if these have a window among them, is where its beginning and its end
    /// are, and the zone whose clock they are on. `None` if of a call there are no partial results.
    ///
    /// # Errors
    /// If a column has a type that cannot be a key.
    pub fn new(
        width: usize,
        windows: Option<((usize, usize), Option<Tz>)>,
        calls: Vec<Aggregation>,
        schema: &SchemaRef,
    ) -> Result<Option<Self>, ArrowError> {
        let Some(sent) = Self::sends(width, &calls, schema) else { return Ok(None) };
        let Some(partials) = calls.into_iter().map(Partial::new).collect::<Option<Vec<_>>>() else {
            return Ok(None);
        };
        let windows = windows.map(|((start, end), zone)| Windows { start, end, zone });
        let is_bound =
            |column: &usize| windows.as_ref().is_some_and(|of| [of.start, of.end].contains(column));
        let key: Vec<usize> = (0..width).filter(|column| !is_bound(column)).collect();
        let types = key.iter().map(|column| schema.field(*column).data_type().clone()).collect();
        let empty = Held { keys: KeyTable::new(types)?, rows: Vec::new(), partials, bounds: None };
        Ok(Some(Self {
            plan: Arc::new(Plan { width, key, windows, schema: sent }),
            held: BTreeMap::new(),
            spare: vec![empty.clone()],
            ungrouped: empty,
            watermark: Timestamp::MIN,
            waiting: None,
            clock: TaskClock::default(),
            since: Timestamp::MIN,
            come: 0,
            groups: Vec::new(),
            of_late: (0, 0),
            not_grouped: 0,
        }))
    }

    /// The columns that it sends: those of the key, the number of rows, those of each call.
    fn sends(width: usize, calls: &[Aggregation], schema: &SchemaRef) -> Option<SchemaRef> {
        let mut fields: Vec<Field> =
            schema.fields()[..width].iter().map(|field| field.as_ref().clone()).collect();
        fields.push(Field::new("$rows", DataType::Int64, true));
        for (call, aggregation) in calls.iter().enumerate() {
            let types = aggregation.partial_types()?.into_iter().enumerate();
            fields.extend(types.map(|(place, of)| Field::new(format!("${call}.{place}"), of, true)));
        }
        Some(Arc::new(Schema::new(fields)))
    }

    /// The columns that it sends.
    pub fn schema(&self) -> &SchemaRef {
        &self.plan.schema
    }

    /// The calls over what it sends, for who owns the keys.
    ///
    /// # Errors
    /// If values of such a type cannot be kept.
    pub fn merging(width: usize, calls: Vec<Aggregation>) -> Result<Vec<Aggregation>, ArrowError> {
        let mut place = width + 1;
        let merging = |call: Aggregation| {
            let own = place;
            place += call.partial_types().map_or(0, |types| types.len());
            call.merging(own)
        };
        calls.into_iter().map(merging).collect()
    }

    /// The number of groups that are held.
    fn groups(&self) -> usize {
        self.held.values().map(|held| held.keys.len()).sum()
    }

    fn add(&mut self, chunk: &Chunk, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        debug_assert!(chunk.retractions().is_none(), "only rows that are added have partial results");
        self.come += chunk.len();
        if self.not_grouped > 0 {
            // Those that are held are not overtaken.
            self.send_all(output)?;
            self.not_grouped = self.not_grouped.saturating_sub(chunk.len());
            self.groups.clear();
            self.groups.extend(0..chunk.len() as u32);
            self.ungrouped.add(&self.groups, chunk.len(), chunk)?;
            let keys = chunk.rows().columns()[..self.plan.width].to_vec();
            let columns = self.ungrouped.take(chunk.len(), keys)?;
            return self.send(columns, chunk.len(), output);
        }
        self.of_late.0 += chunk.len();
        if self.held.is_empty() {
            self.since = self.clock.now();
        }
        let Some(windows) = &self.plan.windows else { return self.gather(0, chunk) };
        let ends = millis(chunk.rows().column(windows.end))?;
        match (min(&ends), max(&ends)) {
            (Some(first), Some(last)) if first == last => self.gather(first, chunk),
            _ => {
                let mut of_windows: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
                let mut rows = ends.values().iter().zip(0_u32..).peekable();
                // Rows of one window mostly come together.
                while let Some((end, _)) = rows.peek().copied() {
                    let own = of_windows.entry(*end).or_default();
                    while let Some((_, row)) = rows.next_if(|(other, _)| *other == end) {
                        own.push(row);
                    }
                }
                of_windows.into_iter().try_for_each(|(end, rows)| {
                    let part = chunk.take(&UInt32Array::from(rows))?;
                    self.gather(end, &part)
                })
            }
        }
    }

    /// Adds rows of one window.
    fn gather(&mut self, end: i64, chunk: &Chunk) -> Result<(), BoxError> {
        if chunk.is_empty() {
            return Ok(());
        }
        let Self { plan, held, spare, ungrouped, groups, .. } = self;
        let held = held.entry(end).or_insert_with(|| spare.pop().unwrap_or_else(|| ungrouped.clone()));
        if let Some(windows) = &plan.windows {
            let bound = |column: usize| chunk.rows().column(column).slice(0, 1);
            held.bounds.get_or_insert_with(|| [bound(windows.start), bound(windows.end)]);
        }
        let columns: Vec<ArrayRef> =
            plan.key.iter().map(|column| chunk.rows().column(*column).clone()).collect();
        held.keys.add(&columns, chunk.len(), groups)?;
        Ok(held.add(groups, held.keys.len(), chunk)?)
    }

    /// Emits what is held of windows that are over at `time`; without windows, all.
    fn send_up_to(&mut self, time: Timestamp, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        while let Some(entry) = self.held.first_entry() {
            let plan = &*self.plan;
            if plan.windows.as_ref().is_some_and(|windows| to_utc(windows.zone, *entry.key()) - 1 > time) {
                break;
            }
            let mut held = entry.remove();
            let count = held.keys.len();
            let mut keys = held.keys.take()?.into_iter();
            if let (Some(windows), Some([start, end])) = (&plan.windows, held.bounds.take()) {
                let mut all = Vec::with_capacity(plan.width);
                let same = UInt32Array::from_value(0, count);
                for column in 0..plan.width {
                    all.extend(match column {
                        column if column == windows.start => Some(take(&start, &same, None)?),
                        column if column == windows.end => Some(take(&end, &same, None)?),
                        _ => keys.next(),
                    });
                }
                keys = all.into_iter();
            }
            let columns = held.take(count, keys.collect())?;
            if self.spare.len() < SPARE {
                self.spare.push(held);
            }
            self.of_late.1 += count;
            self.send(columns, count, output)?;
        }
        let (rows, groups) = self.of_late;
        if rows >= SAMPLE && self.held.is_empty() {
            self.of_late = (0, 0);
            self.not_grouped = if groups > rows / 2 { rows * UNGROUPED } else { 0 };
        }
        Ok(())
    }

    /// Emits all that is held, and the watermark that waits for it.
    fn send_all(&mut self, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        self.send_up_to(Timestamp::MAX, output)?;
        if let Some(watermark) = self.waiting.take() {
            output.push_watermark(watermark);
        }
        Ok(())
    }

    /// Whether what is held may wait for more to come.
    fn may_wait(&self) -> bool {
        self.come >= BUSY && self.clock.now() < self.held_until()
    }

    fn held_until(&self) -> Timestamp {
        self.since.saturating_add(HOLD)
    }

    fn send(&self, columns: Vec<ArrayRef>, count: usize, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        let rows = batch(&self.plan.schema, columns, count)?;
        for start in (0..count).step_by(CHUNK) {
            emit(output, Chunk::additions(rows.slice(start, CHUNK.min(count - start))));
        }
        Ok(())
    }
}

impl Operator for LocalAggregate {
    type In = Chunk;
    type Out = Chunk;

    fn is_determined(&self) -> bool {
        true
    }

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.clock = context.clock.clone();
        Ok(())
    }

    fn process(&mut self, batch: &mut Batch<Chunk>, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        batch.records.drain(..).try_for_each(|record| self.add(&record.value, output))?;
        if self.groups() >= LIMIT {
            return self.send_all(output);
        }
        // What is late goes on.
        if self.plan.windows.is_some() { self.send_up_to(self.watermark, output) } else { Ok(()) }
    }

    fn flush(&mut self, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        if self.plan.windows.is_some() {
            return Ok(());
        }
        let waits = self.may_wait();
        self.come = 0;
        if waits { Ok(()) } else { self.send_all(output) }
    }

    fn next_timer(&self) -> Option<Timestamp> {
        (self.plan.windows.is_none() && !self.held.is_empty()).then(|| self.held_until())
    }

    fn processing_time(&mut self, now: Timestamp, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        let waited = self.plan.windows.is_none() && now >= self.held_until();
        if waited { self.send_all(output) } else { Ok(()) }
    }

    fn watermark(
        &mut self,
        watermark: Timestamp,
        output: &mut Output<Chunk>,
    ) -> Result<Option<Timestamp>, BoxError> {
        self.watermark = watermark;
        // Without windows whoever comes after may make anything of it, so no row is overtaken.
        if self.plan.windows.is_none()
            && !self.held.is_empty()
            && watermark != MAX_WATERMARK
            && self.may_wait()
        {
            self.waiting = Some(watermark);
            return Ok(None);
        }
        self.waiting = None;
        self.send_up_to(watermark, output)?;
        Ok(Some(watermark))
    }

    fn idle(&mut self, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        self.send_all(output)
    }

    fn holds_records(&self) -> bool {
        !self.held.is_empty()
    }

    fn barrier(&mut self, _: &Barrier, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        self.send_all(output)
    }

    fn end(&mut self, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        self.send_all(output)
    }
}

#[cfg(test)]
mod tests;
