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
mod tests {
    use arrow::array::{AsArray, Decimal128Array, Float64Array, Int32Array, RecordBatch, StringArray};
    use arrow::datatypes::Int64Type;
    use proptest::prelude::*;
    use thalweg_dataflow::harness::{Event, Harness, Then};

    use super::super::Grouping;
    use super::*;
    use crate::aggregates::Function;
    use crate::aggregates::accumulator::Group;
    use crate::rows::{RowBytes, RowCodec};

    const DECIMAL: DataType = DataType::Decimal128(10, 2);

    /// Calls of all kinds over the columns after the key: whole number, float, decimal, text, and whether the row counts.
    fn calls() -> Vec<Aggregation> {
        use Function as F;
        let (int, float, text) = (DataType::Int32, DataType::Float64, DataType::Utf8);
        let call = |function, column: usize, of: &DataType, filter| {
            Aggregation::new(function, vec![column], filter, false, false, vec![of.clone()]).unwrap()
        };
        vec![
            Aggregation::new(F::Count, Vec::new(), None, false, false, Vec::new()).unwrap(),
            call(F::Count, 3, &int, Some(7)),
            call(F::Sum, 3, &int, None),
            call(F::Avg, 4, &float, Some(7)),
            call(F::Sum, 5, &DECIMAL, None),
            call(F::StddevPop, 4, &float, None),
            call(F::Min, 3, &int, None),
            call(F::Max, 3, &int, Some(7)),
            call(F::Max, 6, &text, None),
            call(F::FirstValue, 6, &text, None),
            call(F::LastValue, 5, &DECIMAL, None),
        ]
    }

    type Row = (Option<i32>, i64, Option<i32>, Option<String>);

    fn chunk(rows: &[Row]) -> Chunk {
        let numbers = || rows.iter().map(|row| row.2);
        let digits = numbers().map(|n| n.map(i128::from)).collect::<Decimal128Array>();
        let columns: [(&str, ArrayRef); 8] = [
            ("k", Arc::new(rows.iter().map(|row| row.0).collect::<Int32Array>())),
            ("start", Arc::new(rows.iter().map(|row| Some(row.1 - 100)).collect::<Int64Array>())),
            ("end", Arc::new(rows.iter().map(|row| Some(row.1)).collect::<Int64Array>())),
            ("n", Arc::new(numbers().collect::<Int32Array>())),
            ("f", Arc::new(numbers().map(|n| n.map(f64::from)).collect::<Float64Array>())),
            ("d", Arc::new(digits.with_precision_and_scale(10, 2).unwrap())),
            ("t", Arc::new(rows.iter().map(|row| row.3.clone()).collect::<StringArray>())),
            (
                "counts",
                Arc::new(numbers().map(|n| n.map(|n| n % 3 == 0)).collect::<arrow::array::BooleanArray>()),
            ),
        ];
        Chunk::additions(
            RecordBatch::try_from_iter_with_nullable(columns.map(|(name, of)| (name, of, true))).unwrap(),
        )
    }

    /// What calls come to over chunks; of each key the results as text, and the number of rows.
    fn results(
        chunks: &[Chunk],
        key: usize,
        calls: &[Aggregation],
        rows: Option<usize>,
    ) -> BTreeMap<RowBytes, (Vec<String>, i64)> {
        let mut groups: BTreeMap<RowBytes, (Group, i64)> = BTreeMap::new();
        for chunk in chunks {
            let columns: Vec<usize> = (0..key).collect();
            let codec = RowCodec::of_columns(&chunk.rows().schema(), &columns).unwrap();
            let by_key = Grouping::new(chunk, &columns, &codec).unwrap();
            let empty = || (calls.iter().map(Aggregation::empty).collect(), 0);
            let mut own: Vec<Group> = Vec::new();
            for key in &by_key.keys {
                own.push(groups.entry(key.clone()).or_insert_with(empty).0.clone());
            }
            for (call, aggregation) in calls.iter().enumerate() {
                aggregation.update(call, &mut own, &by_key.group_of, chunk).unwrap();
            }
            let weights = super::super::Weights::of(chunk, rows);
            for (row, group) in by_key.group_of.iter().enumerate() {
                groups.get_mut(&by_key.keys[*group as usize]).unwrap().1 += weights.at(row);
            }
            for (key, group) in by_key.keys.iter().zip(own) {
                groups.get_mut(key).unwrap().0 = group;
            }
        }
        let text = |group: &Group| {
            let of =
                |(call, of): (usize, &Aggregation)| format!("{:?}", of.results(&[&group[call]]).unwrap());
            calls.iter().enumerate().map(of).collect()
        };
        groups.into_iter().map(|(key, (group, rows))| (key, (text(&group), rows))).collect()
    }

    fn local(key: usize, windows: bool) -> LocalAggregate {
        let windows = windows.then_some(((1, 2), None));
        let schema = chunk(&[]).rows().schema();
        LocalAggregate::new(key, windows, calls(), &schema).unwrap().unwrap()
    }

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let text = prop::option::of("[a-c]{0,2}");
        let row = (prop::option::of(0..9_i32), 0..4_i64, prop::option::of(-9..9_i32), text);
        prop::collection::vec(row, 0..200)
    }

    proptest! {
        /// Whatever goes out when: partial results of some keys come to what the rows come to.
        #[test]
        fn partial_results_come_to_the_whole(rows in rows(), size in 1_usize..60, key in 0_usize..4, ungrouped in any::<bool>()) {
            let chunks: Vec<Chunk> = rows.chunks(size).map(chunk).collect();
            let mut operator = local(key, false);
            operator.not_grouped = if ungrouped { size * 2 } else { 0 };
            let mut harness = Harness::new(operator);
            for (number, chunk) in chunks.iter().enumerate() {
                harness.push(chunk.clone(), 0);
                if number % 3 == 2 {
                    harness.barrier(number as i64, Then::Continue);
                }
            }
            harness.end();
            let partial = harness.values();
            let merging = LocalAggregate::merging(key, calls()).unwrap();
            prop_assert_eq!(results(&partial, key, &merging, Some(key)), results(&chunks, key, &calls(), None));
        }
    }

    fn sent(harness: &mut Harness<LocalAggregate>) -> i64 {
        let rows = |chunk: &Chunk| {
            arrow::compute::sum(chunk.rows().column(3).as_primitive::<Int64Type>()).unwrap_or(0)
        };
        harness.values().iter().map(rows).sum()
    }

    /// What a window holds goes out when it is over, and before event time goes on without it; what is late, at once.
    #[test]
    fn windows_are_held_until_they_are_over() {
        let mut harness = Harness::new(local(3, true));
        let row = |end: i64| (Some(1), end, Some(1), None);
        harness.push(chunk(&[row(100), row(200), row(100)]), 0);
        harness.watermark(98);
        assert_eq!(sent(&mut harness), 0);
        harness.watermark(99);
        assert_eq!(sent(&mut harness), 2, "the window that is not over stays");
        harness.push(chunk(&[row(200)]), 0);
        assert_eq!(sent(&mut harness), 0);
        harness.push(chunk(&[row(50), row(200)]), 0);
        assert_eq!(sent(&mut harness), 1, "one of them is late");
        harness.push(chunk(&[row(300)]), 0);
        harness.idle();
        assert_eq!(sent(&mut harness), 4);
        harness.push(chunk(&[row(300)]), 0);
        harness.barrier(1, Then::Continue);
        assert_eq!(sent(&mut harness), 1);
    }

    /// Without windows nothing is overtaken by a watermark: the last one may be what results are waiting for.
    #[test]
    fn a_watermark_overtakes_no_row() {
        let mut harness = Harness::new(local(3, false));
        harness.push(chunk(&[(Some(1), 100, Some(1), None)]), 0);
        assert_eq!(sent(&mut harness), 0);
        harness.watermark(5);
        assert_eq!(sent(&mut harness), 1);
    }

    /// While rows come thick and fast, they are held for a while, and a watermark with them; not without end, and not if no more come.
    #[test]
    fn rows_are_held_while_more_come() {
        let many = chunk(&vec![(Some(1), 100, Some(1), None); BUSY]);
        let mut harness = Harness::new(local(3, false));
        harness.push(many.clone(), 0);
        harness.watermark(5);
        harness.push(many.clone(), 0);
        assert!(harness.events().is_empty(), "nothing has come out, and no watermark");
        harness.set_processing_time(HOLD);
        let rows = |events: &[Event<Chunk>]| {
            let of = |event: &Event<Chunk>| match event {
                Event::Record(chunk, _) => {
                    arrow::compute::sum(chunk.rows().column(3).as_primitive::<Int64Type>()).unwrap_or(0)
                }
                _ => 0,
            };
            events.iter().map(of).sum::<i64>()
        };
        let events = harness.events();
        assert_eq!(rows(&events), 2 * BUSY as i64);
        assert!(
            matches!(events.last(), Some(Event::Watermark(5))),
            "the watermark comes after them: {events:?}"
        );
        for end in [
            |harness: &mut Harness<LocalAggregate>| harness.barrier(1, Then::Continue),
            Harness::idle,
            Harness::end,
        ] {
            harness.push(many.clone(), 0);
            harness.watermark(7);
            assert!(!harness.events().iter().any(|event| matches!(event, Event::Record(..))));
            end(&mut harness);
            let events = harness.events();
            assert_eq!(rows(&events), BUSY as i64);
            let first = events.iter().position(|event| !matches!(event, Event::Record(..)));
            assert!(first.is_none_or(|first| first > 0), "rows come first: {events:?}");
        }
    }

    /// Keys of which each comes once are not looked up for ever.
    #[test]
    fn where_keys_do_not_repeat_rows_are_not_grouped() {
        for (different, at_once) in [(9000, 10), (90, 0)] {
            let mut harness = Harness::new(local(3, true));
            let rows: Vec<Row> = (0..9000).map(|n| (Some(n % different), 100, Some(1), None)).collect();
            harness.push(chunk(&rows), 0);
            harness.watermark(99);
            assert_eq!(sent(&mut harness), 9000);
            harness.push(chunk(&vec![(Some(1), 200, Some(1), None); 10]), 0);
            assert_eq!(sent(&mut harness), at_once, "{different} keys");
        }
    }
}
