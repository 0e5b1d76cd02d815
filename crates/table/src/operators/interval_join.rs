//! Interval joins: rows of two streams whose times are so far apart at most.
//!
//! - **Rows** are joined with those of the other side that have the same key, a time within the interval, and pass the condition, and kept
//!   as long as one could come that is.
//! - **Watermarks** forget the rows that have no partner to come; of an outer join, those of the preserved side that never had one go out with
//!   NULLs. They pass later by the length of the interval, as the rows that go out may be that old.
//! - **State**: keyed, `left` and `right`: of each key its rows by time, each with how often it is there and whether it had a partner; union,
//!   `watermark`.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, BooleanArray};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use serde::{Deserialize, Serialize};
use thalweg_dataflow::Output;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::graph::Either;
use thalweg_dataflow::operator::Operator;
use thalweg_dataflow::record::Batch;
use thalweg_dataflow::state::{KeyedTable, States};
use thalweg_dataflow::time::{MAX_WATERMARK, Timestamp};
use thalweg_dataflow::watermark::CurrentWatermark;

use super::due::Due;
use super::grouping::hash_of;
use super::join::{JoinInput, JoinKeys, JoinKind};
use super::pairs::{PairSchema, Pairs, Side, is_true};
use super::{Grouping, batch, emit, millis};
use crate::chunk::Chunk;
use crate::rows::RowBytes;

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Kept {
    count: i64,
    had_partner: bool,
}

type SideState = KeyedTable<RowBytes, BTreeMap<(i64, RowBytes), Kept>>;

/// The operator. Its page says what it does.
#[derive(Clone)]
pub struct IntervalJoin {
    plan: Arc<Plan>,
    left: SideState,
    right: SideState,
    due: (Due, Due),
    watermark: CurrentWatermark,
}

struct Plan {
    kind: JoinKind,
    keys: JoinKeys,
    times: (usize, usize),
    /// The time of the left row less that of the right, at least and at most.
    interval: (i64, i64),
    pairs: PairSchema,
    schemas: (SchemaRef, SchemaRef),
}

impl Plan {
    /// The times of partners of a row of this side.
    fn partners(&self, side: Side, time: i64) -> (i64, i64) {
        let (least, most) = self.interval;
        match side {
            Side::Left => (time.saturating_sub(most), time.saturating_sub(least)),
            Side::Right => (time.saturating_add(least), time.saturating_add(most)),
        }
    }

    /// The watermark with which no partner can come any more.
    fn last(&self, side: Side, time: i64) -> i64 {
        // The row itself may still come again.
        self.partners(side, time).1.max(time)
    }

    /// So much older than the watermark may rows be that go out.
    fn delay(&self) -> i64 {
        self.interval.0.saturating_neg().max(self.interval.1).max(0)
    }
}

impl IntervalJoin {
    /// A join of this kind by the columns `times`, for pairs whose times differ (left less right) by `interval`, in milliseconds.
    ///
    /// # Errors
    /// If a column has a type that cannot be kept.
    pub fn new(
        kind: JoinKind,
        input: JoinInput<'_>,
        times: (usize, usize),
        interval: (i64, i64),
    ) -> Result<Self, ArrowError> {
        let schemas = (input.schemas.0.clone(), input.schemas.1.clone());
        let (keys, pairs) = input.prepare()?;
        let plan = Arc::new(Plan { kind, keys, times, interval, pairs, schemas });
        let (left, right) = (SideState::default(), SideState::default());
        Ok(Self { plan, left, right, due: Default::default(), watermark: CurrentWatermark::default() })
    }

    fn join(&mut self, side: Side, chunk: &Chunk) -> Result<Chunk, BoxError> {
        let plan = self.plan.clone();
        let (key, codec) = plan.keys.of(side);
        let (time, mine, theirs, due) = match side {
            Side::Left => (plan.times.0, &mut self.left, &mut self.right, &mut self.due.0),
            Side::Right => (plan.times.1, &mut self.right, &mut self.left, &mut self.due.1),
        };
        let by_key = Grouping::new(chunk, key, codec)?;
        let times = millis(chunk.rows().column(time))?;
        let no_key = |row: usize| key.iter().any(|column| chunk.rows().column(*column).is_null(row));
        let (mut others, mut tried) = (Vec::new(), Pairs::default());
        for row in (0..chunk.len()).filter(|row| times.is_valid(*row) && !no_key(*row)) {
            let group = by_key.group_of[row] as usize;
            let Some(kept) = theirs.get(by_key.hashes[group], &by_key.keys[group]) else { continue };
            let (from, to) = plan.partners(side, times.value(row));
            let range = (from, RowBytes::default())..(to.saturating_add(1), RowBytes::default());
            for other in kept.range(range).map(|(other, _)| other) {
                tried.push(Some(row as u32), Some(others.len() as u32), false, 1);
                others.push(other.clone());
            }
        }
        let rows: Vec<RowBytes> = others.iter().map(|(_, row)| row.clone()).collect();
        let passing = plan.pairs.passing(side, chunk, &rows, &tried)?;
        let encoded = plan.pairs.codec(side).encode(chunk.rows().columns())?;
        let (mut out, mut next) = (Pairs::default(), 0);
        for row in 0..chunk.len() {
            let this = Some(row as u32);
            let group = by_key.group_of[row] as usize;
            let (hash, key) = (by_key.hashes[group], &by_key.keys[group]);
            let mut had_partner = false;
            while tried.these.get(next) == Some(&this) {
                if is_true(&passing, next)
                    && let Some(other) = tried.others[next]
                    && let Some(kept) =
                        theirs.get_mut(hash, key).and_then(|kept| kept.get_mut(&others[other as usize]))
                {
                    had_partner = true;
                    kept.had_partner = true;
                    out.push(this, Some(other), false, kept.count);
                }
                next += 1;
            }
            let last = times.is_valid(row).then(|| plan.last(side, times.value(row)));
            let keeps = last.is_some_and(|last| last > self.watermark.get()) && !no_key(row);
            if keeps {
                let time = times.value(row);
                let mine = mine.entry(hash, key.clone()).or_insert_with(BTreeMap::new);
                let kept = mine.entry((time, RowBytes::new(encoded.row(row).data()))).or_default();
                (kept.count, kept.had_partner) = (kept.count + 1, had_partner);
                due.add(plan.last(side, time), hash, key.clone());
            } else if !had_partner && plan.kind.preserves(side) {
                out.push(this, None, false, 1);
            }
        }
        plan.output(side, chunk, &rows, &out)
    }

    /// Forgets the rows of a side that have no partner to come.
    fn forget(&mut self, side: Side, watermark: Timestamp) -> Result<Option<Chunk>, BoxError> {
        let plan = self.plan.clone();
        let (mine, due) = match side {
            Side::Left => (&mut self.left, &mut self.due.0),
            Side::Right => (&mut self.right, &mut self.due.1),
        };
        let mut alone = Vec::new();
        while let Some((_, keys)) = due.pop(watermark) {
            for (hash, key) in keys {
                let Some(kept) = mine.get_mut(hash, &key) else { continue };
                while let Some(first) = kept.first_entry()
                    && plan.last(side, first.key().0) <= watermark
                {
                    let ((_, row), of) = first.remove_entry();
                    if !of.had_partner {
                        alone.extend(std::iter::repeat_n(row, of.count.max(0) as usize));
                    }
                }
                if kept.is_empty() {
                    mine.remove(hash, &key);
                }
            }
        }
        if alone.is_empty() || !plan.kind.preserves(side) {
            return Ok(None);
        }
        let schema = if side == Side::Left { &plan.schemas.0 } else { &plan.schemas.1 };
        let columns = plan.pairs.codec(side).decode(alone.iter().map(|row| &**row))?;
        let rows = Chunk::additions(batch(schema, columns, alone.len())?);
        let mut out = Pairs::default();
        (0..alone.len()).for_each(|row| out.push(Some(row as u32), None, false, 1));
        plan.output(side, &rows, &[], &out).map(Some)
    }
}

impl Plan {
    fn output(&self, side: Side, chunk: &Chunk, rows: &[RowBytes], out: &Pairs) -> Result<Chunk, BoxError> {
        let (mut columns, right) = self.pairs.columns(side, chunk, rows, out)?;
        columns.extend(right);
        let rows = batch(&self.pairs.both, columns, out.these.len())?;
        Ok(Chunk::new(rows, Some(BooleanArray::from(out.retractions.clone()))))
    }
}

impl Operator for IntervalJoin {
    type In = Either<Chunk, Chunk>;
    type Out = Chunk;

    fn is_determined(&self) -> bool {
        true
    }

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("left", &mut self.left);
        states.keyed("right", &mut self.right);
        self.watermark.states(states);
        if states.epoch().is_none() {
            for (side, table, due) in
                [(Side::Left, &self.left, &mut self.due.0), (Side::Right, &self.right, &mut self.due.1)]
            {
                due.clear();
                for (key, rows) in table.iter() {
                    for (time, _) in rows.keys() {
                        due.add(self.plan.last(side, *time), hash_of(key), key.clone());
                    }
                }
            }
        }
    }

    fn process(&mut self, batch: &mut Batch<Self::In>, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        for record in batch.records.drain(..) {
            let out = match record.value {
                Either::Left(chunk) => self.join(Side::Left, &chunk)?,
                Either::Right(chunk) => self.join(Side::Right, &chunk)?,
            };
            emit(output, out);
        }
        Ok(())
    }

    fn watermark(
        &mut self,
        watermark: Timestamp,
        output: &mut Output<Chunk>,
    ) -> Result<Option<Timestamp>, BoxError> {
        self.watermark.advance(watermark);
        for side in [Side::Left, Side::Right] {
            if let Some(chunk) = self.forget(side, watermark)? {
                emit(output, chunk);
            }
        }
        Ok(Some(match watermark {
            MAX_WATERMARK => MAX_WATERMARK,
            watermark => watermark.saturating_sub(self.plan.delay()).saturating_sub(1),
        }))
    }
}
