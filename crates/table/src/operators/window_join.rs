//! Joins of windows: rows of the same window and key, once the window is over.
//!
//! - **Rows** are kept until their window is over. A row of a window that is over already is dropped, and counted as late.
//! - **Watermarks** emit what the windows that end with them give, then pass.
//! - **State**: keyed, `windows`: of each key of a window the end of it and the rows of both sides; union, `watermark`.

use std::sync::Arc;

use arrow::array::{Array, BooleanArray};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use thalweg_dataflow::Output;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::graph::Either;
use thalweg_dataflow::operator::{Operator, OperatorContext};
use thalweg_dataflow::record::Batch;
use thalweg_dataflow::state::{KeyedTable, States};
use thalweg_dataflow::time::Timestamp;

use super::due::Deadlines;
use super::grouping::hash_of;
use super::join::{JoinInput, JoinKeys, JoinKind};
use super::pairs::{PairSchema, Pairs, Side, is_true};
use super::window_assign::to_utc;
use super::{Grouping, batch, emit, millis};
use crate::chunk::Chunk;
use crate::rows::RowBytes;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct WindowState {
    last: Timestamp,
    left: Vec<RowBytes>,
    right: Vec<RowBytes>,
}

/// The operator. Its page says what it does.
#[derive(Clone)]
pub struct WindowJoin {
    plan: Arc<Plan>,
    windows: KeyedTable<RowBytes, WindowState>,
    deadlines: Deadlines,
}

struct Plan {
    kind: JoinKind,
    keys: JoinKeys,
    /// The columns of the end of the window.
    ends: (usize, usize),
    zone: Option<Tz>,
    processing_time: bool,
    pairs: PairSchema,
    left: SchemaRef,
    schema: SchemaRef,
}

impl WindowJoin {
    /// A join of this kind, of windows that end at the columns `ends` of either side: on the clock of `zone`, in processing time or in event
    /// time. The bounds of the window are among the keys.
    ///
    /// # Errors
    /// If a column has a type that cannot be kept.
    pub fn new(
        kind: JoinKind,
        input: JoinInput<'_>,
        ends: (usize, usize),
        zone: Option<Tz>,
        processing_time: bool,
    ) -> Result<Self, ArrowError> {
        let schema = kind.schema(&input.both, input.widths)?;
        let left = input.schemas.0.clone();
        let (keys, pairs) = input.prepare()?;
        let plan = Plan { kind, keys, ends, zone, processing_time, pairs, left, schema };
        let (windows, deadlines) = Default::default();
        Ok(Self { plan: Arc::new(plan), windows, deadlines })
    }

    fn add(&mut self, side: Side, chunk: &Chunk) -> Result<(), BoxError> {
        let plan = self.plan.clone();
        let (key, codec) = plan.keys.of(side);
        let end = if side == Side::Left { plan.ends.0 } else { plan.ends.1 };
        let by_key = Grouping::new(chunk, key, codec)?;
        let ends = millis(chunk.rows().column(end))?;
        let rows = plan.pairs.codec(side).encode(chunk.rows().columns())?;
        for row in 0..chunk.len() {
            let last = to_utc(plan.zone, ends.value(row)) - 1;
            if !plan.processing_time && self.deadlines.is_over(last) {
                self.deadlines.late.dropped(1);
                continue;
            }
            let group = by_key.group_of[row] as usize;
            let (hash, key) = (by_key.hashes[group], &by_key.keys[group]);
            let due = &mut self.deadlines.due;
            let window = self.windows.entry(hash, key.clone()).or_insert_with(|| {
                due.add(last, hash, key.clone());
                WindowState { last, ..WindowState::default() }
            });
            let kept = if side == Side::Left { &mut window.left } else { &mut window.right };
            kept.push(RowBytes::new(rows.row(row).data()));
        }
        Ok(())
    }

    fn fire(&mut self, time: Timestamp, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        while let Some((_, keys)) = self.deadlines.due.pop(time) {
            for (hash, key) in keys {
                if let Some((_, window)) = self.windows.remove(hash, &key) {
                    emit(output, self.plan.join(&window)?);
                }
            }
        }
        Ok(())
    }
}

impl Plan {
    /// What the rows of one key of a window give.
    fn join(&self, window: &WindowState) -> Result<Chunk, BoxError> {
        let columns = self.pairs.left.decode(window.left.iter().map(|row| &**row))?;
        let left = Chunk::additions(batch(&self.left, columns, window.left.len())?);
        // A key with a NULL in it is equal to none.
        let no_key = !left.is_empty()
            && self.keys.columns.0.iter().any(|column| left.rows().column(*column).is_null(0));
        let mut tried = Pairs::default();
        if !no_key {
            for row in 0..left.len() as u32 {
                (0..window.right.len() as u32).for_each(|other| tried.push(Some(row), Some(other), false, 1));
            }
        }
        let passing = self.pairs.passing(Side::Left, &left, &window.right, &tried)?;
        let (mut out, mut partners) = (Pairs::default(), vec![0; left.len()]);
        let mut others = vec![0; window.right.len()];
        for at in 0..tried.these.len() {
            if let (true, Some(row), Some(other)) = (is_true(&passing, at), tried.these[at], tried.others[at])
            {
                partners[row as usize] += 1;
                others[other as usize] += 1;
                if self.kind.is_pairs() {
                    out.push(Some(row), Some(other), false, 1);
                }
            }
        }
        for (row, count) in partners.iter().enumerate() {
            let alone = match self.kind {
                JoinKind::Semi => *count > 0,
                JoinKind::Anti => *count == 0,
                kind => kind.preserves(Side::Left) && *count == 0,
            };
            if alone {
                out.push(Some(row as u32), None, false, 1);
            }
        }
        if self.kind.preserves(Side::Right) {
            let alone = others.iter().enumerate().filter(|(_, count)| **count == 0);
            alone.for_each(|(other, _)| out.push(None, Some(other as u32), false, 1));
        }
        let (mut columns, right) = self.pairs.columns(Side::Left, &left, &window.right, &out)?;
        if self.kind.is_pairs() {
            columns.extend(right);
        }
        let rows = batch(&self.schema, columns, out.these.len())?;
        Ok(Chunk::new(rows, Some(BooleanArray::from(out.retractions))))
    }
}

impl Operator for WindowJoin {
    type In = Either<Chunk, Chunk>;
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

    fn process(&mut self, batch: &mut Batch<Self::In>, _: &mut Output<Chunk>) -> Result<(), BoxError> {
        batch.records.drain(..).try_for_each(|record| match record.value {
            Either::Left(chunk) => self.add(Side::Left, &chunk),
            Either::Right(chunk) => self.add(Side::Right, &chunk),
        })
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
