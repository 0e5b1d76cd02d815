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

/// So many rows, or more, go out in a chunk.
const CHUNK: usize = 1024;

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
        let (mut over, mut rows) = (Vec::new(), 0);
        while let Some((_, keys)) = self.deadlines.due.pop(time) {
            for (hash, key) in keys {
                let Some((_, window)) = self.windows.remove(hash, &key) else { continue };
                if !self.plan.gives_rows(&window) {
                    continue;
                }
                rows += window.left.len().max(1) * window.right.len().max(1);
                over.push(window);
                if rows >= CHUNK {
                    emit(output, self.plan.join(&std::mem::take(&mut over))?);
                    rows = 0;
                }
            }
        }
        if !over.is_empty() {
            emit(output, self.plan.join(&over)?);
        }
        Ok(())
    }
}

impl Plan {
    /// Whether the rows of a key of a window may give any.
    fn gives_rows(&self, window: &WindowState) -> bool {
        let (left, right) = (!window.left.is_empty(), !window.right.is_empty());
        match self.kind {
            JoinKind::Inner | JoinKind::Semi => left && right,
            JoinKind::Left | JoinKind::Anti => left,
            JoinKind::Right => right,
            JoinKind::Full => true,
        }
    }

    /// What the rows of some keys of windows give, one key after the other.
    fn join(&self, windows: &[WindowState]) -> Result<Chunk, BoxError> {
        let decode = |side: Side, of: fn(&WindowState) -> &Vec<RowBytes>| {
            let codec = self.pairs.codec(side);
            let rows = windows.iter().flat_map(|window| of(window).iter().map(|row| &**row));
            Ok::<_, ArrowError>((
                codec.decode(rows)?,
                windows.iter().map(|window| of(window).len()).sum::<usize>(),
            ))
        };
        let (left, lefts) = decode(Side::Left, |window| &window.left)?;
        let (right, rights) = decode(Side::Right, |window| &window.right)?;
        let left = Chunk::additions(batch(&self.left, left, lefts)?);
        // A key with a NULL in it is equal to none.
        let keys = self.keys.columns.0.iter().map(|column| left.rows().column(*column));
        let nullable: Vec<_> = keys.filter(|column| column.null_count() > 0).collect();
        let mut tried = Pairs::default();
        let (mut this, mut other) = (0, 0);
        for window in windows {
            let (of_left, of_right) = (this..this + window.left.len(), other..other + window.right.len());
            (this, other) = (of_left.end, of_right.end);
            if !of_left.is_empty() && nullable.iter().any(|column| column.is_null(of_left.start)) {
                continue;
            }
            for row in of_left {
                of_right.clone().for_each(|other| tried.push(Some(row as u32), Some(other as u32), false, 1));
            }
        }
        let passing = self.pairs.passing_of(Side::Left, &left, &right, &tried)?;
        let (mut partners, mut others) = (vec![false; lefts], vec![false; rights]);
        for at in 0..tried.these.len() {
            if let (true, Some(row), Some(other)) = (is_true(&passing, at), tried.these[at], tried.others[at])
            {
                (partners[row as usize], others[other as usize]) = (true, true);
            }
        }
        let (mut out, mut next) = (Pairs::default(), 0);
        (this, other) = (0, 0);
        for window in windows {
            let (of_left, of_right) = (this..this + window.left.len(), other..other + window.right.len());
            (this, other) = (of_left.end, of_right.end);
            while tried.these.get(next).is_some_and(|row| row.is_some_and(|row| (row as usize) < of_left.end))
            {
                if self.kind.is_pairs() && is_true(&passing, next) {
                    out.push(tried.these[next], tried.others[next], false, 1);
                }
                next += 1;
            }
            for row in of_left {
                let has_partner = partners[row];
                let alone = match self.kind {
                    JoinKind::Semi => has_partner,
                    JoinKind::Anti => !has_partner,
                    kind => kind.preserves(Side::Left) && !has_partner,
                };
                if alone {
                    out.push(Some(row as u32), None, false, 1);
                }
            }
            if self.kind.preserves(Side::Right) {
                let alone = of_right.filter(|other| !others[*other]);
                alone.for_each(|other| out.push(None, Some(other as u32), false, 1));
            }
        }
        let (mut columns, of_right) = self.pairs.side_by_side(Side::Left, &left, &right, &out)?;
        if self.kind.is_pairs() {
            columns.extend(of_right);
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
