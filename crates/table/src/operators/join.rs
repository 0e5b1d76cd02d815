//! Joins of two tables, as both change.
//!
//! - **Rows** are joined with those of the other side that have the same key and pass the condition, and kept. A retraction retracts the
//!   pairs that its row was in. On the preserved side of an outer join, a row without a partner goes out with NULLs; when it finds its
//!   first partner that row is retracted, and when it loses its last it comes back. A semi join gives rows that have a partner, an anti
//!   join those that have none.
//! - **Watermarks, barriers, the end**: pass.
//! - **State**: keyed, `left` and `right`: of each key its rows, of each how often it is there and, where that matters, how many partners it has. With a time
//!   to live each row has an age of its own: since it was added, or a partner of it came or went. A row that has expired has no partners,
//!   and nothing is retracted for it.
//!
//! A key with a NULL in it is equal to none, not even to itself, unless the join says otherwise.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::row::Rows;
use datafusion_physical_expr::PhysicalExpr;
use serde::{Deserialize, Serialize};
use thalweg_dataflow::Output;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::graph::Either;
use thalweg_dataflow::operator::Operator;
use thalweg_dataflow::record::Batch;
use thalweg_dataflow::state::{KeyedTable, StateTtlConfig, States};

use super::pairs::{PairFilter, PairSchema, Pairs, Side, is_true};
use super::row_bag::{Known, RowBag};
use super::{Grouping, batch, emit};
use crate::chunk::Chunk;
use crate::rows::{RowBytes, RowCodec};

/// Which rows a join gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JoinKind {
    /// Pairs.
    Inner,
    /// Pairs, and rows of the left side that have no partner.
    Left,
    /// Pairs, and rows of the right side that have no partner.
    Right,
    /// Pairs, and rows of either side that have no partner.
    Full,
    /// Rows of the left side that have a partner.
    Semi,
    /// Rows of the left side that have no partner.
    Anti,
}

impl JoinKind {
    /// Whether rows of this side come out also without a partner.
    pub(super) fn preserves(self, side: Side) -> bool {
        match side {
            Side::Left => matches!(self, Self::Left | Self::Full),
            Side::Right => matches!(self, Self::Right | Self::Full),
        }
    }

    /// The columns that come out.
    pub(crate) fn schema(self, both: &SchemaRef, widths: (usize, usize)) -> Result<SchemaRef, ArrowError> {
        match self.is_pairs() {
            true => Ok(both.clone()),
            false => Ok(Arc::new(both.project(&(0..widths.0).collect::<Vec<_>>())?)),
        }
    }

    /// Whether pairs come out, not rows of the left side alone.
    pub(crate) fn is_pairs(self) -> bool {
        !matches!(self, Self::Semi | Self::Anti)
    }
}

/// What a join is made of.
pub struct JoinInput<'a> {
    /// The columns of the key, on either side.
    pub keys: (Vec<usize>, Vec<usize>),
    /// The columns that come in.
    pub schemas: (&'a SchemaRef, &'a SchemaRef),
    /// How many columns of each side come out.
    pub widths: (usize, usize),
    /// The columns of both sides, one after the other; those of the left side alone come out of a semi or anti join.
    pub both: SchemaRef,
    /// What pairs must pass, over the columns of both sides.
    pub filter: Option<Arc<dyn PhysicalExpr>>,
}

/// The columns of the key on either side, and their bytes.
pub(super) struct JoinKeys {
    pub(super) columns: (Vec<usize>, Vec<usize>),
    pub(super) codecs: (RowCodec, RowCodec),
}

impl JoinInput<'_> {
    /// The keys, and how rows are kept and joined.
    pub(super) fn prepare(self) -> Result<(JoinKeys, PairSchema), ArrowError> {
        let Self { keys: columns, schemas: (left, right), widths, both, filter } = self;
        let codecs = (RowCodec::of_columns(left, &columns.0)?, RowCodec::of_columns(right, &columns.1)?);
        let (left, right) = (RowCodec::of_schema(left)?, RowCodec::of_schema(right)?);
        let filter = filter.map(|condition| PairFilter::new(condition, &both)).transpose()?;
        Ok((JoinKeys { columns, codecs }, PairSchema { widths, both, left, right, filter }))
    }
}

impl JoinKeys {
    /// Those of one side.
    pub(super) fn of(&self, side: Side) -> (&[usize], &RowCodec) {
        match side {
            Side::Left => (&self.columns.0, &self.codecs.0),
            Side::Right => (&self.columns.1, &self.codecs.1),
        }
    }
}

/// How often a row is there, and how many partners it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Kept {
    count: i64,
    partners: i64,
    /// When it was written last (milliseconds); 0 if nobody asked: it is as old as its key.
    #[serde(default)]
    written: i64,
}

impl Kept {
    fn is_alive(&self, from: i64) -> bool {
        self.written == 0 || self.written >= from
    }
}

impl Known for Kept {
    fn usual() -> Self {
        Self { count: 1, partners: 0, written: 0 }
    }
}

type SideState = KeyedTable<RowBytes, RowBag<Kept>>;

/// The operator. Its page says what it does.
#[derive(Clone)]
pub struct Join {
    plan: Arc<Plan>,
    left: SideState,
    right: SideState,
    /// Of which side rows are never taken back.
    appends: (bool, bool),
}

struct Plan {
    kind: JoinKind,
    keys: JoinKeys,
    nulls_equal: bool,
    pairs: PairSchema,
    /// What comes out.
    schema: SchemaRef,
}

impl Join {
    /// A join of this kind; `nulls_equal` says whether NULL is a key like others.
    ///
    /// # Errors
    /// If a column has a type that cannot be kept.
    pub fn new(kind: JoinKind, input: JoinInput<'_>, nulls_equal: bool) -> Result<Self, ArrowError> {
        let schema = kind.schema(&input.both, input.widths)?;
        let (keys, pairs) = input.prepare()?;
        let plan = Arc::new(Plan { kind, keys, nulls_equal, pairs, schema });
        Ok(Self { plan, left: SideState::default(), right: SideState::default(), appends: (false, false) })
    }

    /// A row is forgotten when it has not been written for so long, on the left and on the right
    /// (`table.exec.state.ttl`).
    #[must_use]
    pub fn with_ttl(mut self, left: Option<StateTtlConfig>, right: Option<StateTtlConfig>) -> Self {
        if let Some(ttl) = left {
            self.left = KeyedTable::with_ttl(ttl);
        }
        if let Some(ttl) = right {
            self.right = KeyedTable::with_ttl(ttl);
        }
        self
    }

    /// Rows of these sides, left and right, are never taken back. Such are kept as they come: equal ones beside each other.
    #[must_use]
    pub fn appending(mut self, left: bool, right: bool) -> Self {
        self.appends = (left, right);
        self
    }

    fn join(&mut self, side: Side, chunk: &Chunk) -> Result<Chunk, BoxError> {
        let plan = self.plan.clone();
        let (key, codec) = plan.keys.of(side);
        let (mine, theirs, appends) = match side {
            Side::Left => (&mut self.left, &mut self.right, self.appends.0),
            Side::Right => (&mut self.right, &mut self.left, self.appends.1),
        };
        let by_key = Grouping::new(chunk, key, codec)?;
        let no_key = |row: usize| {
            !plan.nulls_equal && key.iter().any(|column| chunk.rows().column(*column).is_null(row))
        };
        let candidates = Candidates::of(&by_key, theirs, plan.pairs.codec(side.other()), no_key)?;
        let mut tried = Pairs::default();
        for row in (0..chunk.len()).filter(|_| plan.pairs.filter.is_some()) {
            for other in candidates.of_row(&by_key, row) {
                tried.push(Some(row as u32), Some(other), false, 1);
            }
        }
        let passing = plan.pairs.passing_of(side, chunk, &candidates.columns, &tried)?;
        let counts_partners_there = plan.counts_partners(side.other());
        // Where rows have no age, none is written down; and no row is as old as the clock.
        let at = |side: &SideState| if side.ttl().is_some() { side.now().max(1) } else { 0 };
        let (now, their_now) = (at(mine), at(theirs));
        let (mut out, mut next) = (Pairs::default(), 0);
        let mut partners = vec![0; chunk.len()];
        for row in 0..chunk.len() {
            let (sign, this) = (chunk.sign(row), Some(row as u32));
            let others = candidates.of_row(&by_key, row);
            let first = next;
            next += others.len();
            let passing = others.enumerate().filter(|(place, _)| is_true(&passing, first + place));
            let partners = &mut partners[row];
            if counts_partners_there {
                let group = by_key.group_of[row] as usize;
                let mut passing = passing.peekable();
                if passing.peek().is_none() {
                    // None of them has another number of partners than before.
                } else if let Some(bag) = theirs.get_mut(by_key.hashes[group], &by_key.keys[group]) {
                    for (_, other) in passing {
                        let Some(kept) = bag.value_mut(candidates.numbers[other as usize]) else { continue };
                        let before = kept.partners;
                        kept.partners += sign;
                        kept.written = their_now;
                        *partners += kept.count;
                        plan.partner_changed(&mut out, this, other, sign, before, *kept);
                    }
                }
            } else {
                for (_, other) in passing {
                    let count = candidates.counts[other as usize];
                    *partners += count;
                    if plan.kind.is_pairs() {
                        out.push(this, Some(other), sign < 0, count);
                    }
                }
            }
            let alone = match plan.kind {
                JoinKind::Semi => side == Side::Left && *partners > 0,
                JoinKind::Anti => side == Side::Left && *partners == 0,
                kind => kind.preserves(side) && *partners == 0,
            };
            if alone {
                out.push(this, None, sign < 0, 1);
            }
        }
        let rows = plan.pairs.codec(side).encode(chunk.rows().columns())?;
        if !plan.counts_partners(side) {
            partners.fill(0);
        }
        keep(mine, chunk, &by_key, &Keeping { rows, partners, now, appends }, no_key);
        plan.output(side, chunk, &candidates.columns, out)
    }
}

/// The rows of the other side that have the keys of a chunk. It does not change meanwhile.
struct Candidates {
    /// For each key which of them have it.
    ranges: Vec<std::ops::Range<u32>>,
    /// The number of each among the rows of its key, and how often it is there.
    numbers: Vec<usize>,
    counts: Vec<i64>,
    columns: Vec<ArrayRef>,
}

impl Candidates {
    fn of(
        by_key: &Grouping,
        theirs: &SideState,
        codec: &RowCodec,
        no_key: impl Fn(usize) -> bool,
    ) -> Result<Self, ArrowError> {
        let mut ranges = Vec::with_capacity(by_key.len());
        let (mut numbers, mut counts, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        let from = theirs.alive_from();
        for (group, (key, hash)) in by_key.keys.iter().zip(&by_key.hashes).enumerate() {
            let begin = rows.len() as u32;
            if !no_key(by_key.firsts[group] as usize)
                && let Some(bag) = theirs.get(*hash, key)
            {
                for (number, (row, kept)) in
                    bag.iter().enumerate().filter(|(_, (_, kept))| kept.is_alive(from))
                {
                    rows.push(row);
                    numbers.push(number);
                    counts.push(kept.count);
                }
            }
            ranges.push(begin..rows.len() as u32);
        }
        Ok(Self { ranges, numbers, counts, columns: codec.decode(rows)? })
    }

    fn of_row(&self, by_key: &Grouping, row: usize) -> std::ops::Range<u32> {
        self.ranges[by_key.group_of[row] as usize].clone()
    }
}

/// What is kept of a chunk: its rows, how many partners each has, and as of when.
struct Keeping {
    rows: Rows,
    partners: Vec<i64>,
    now: i64,
    appends: bool,
}

/// Keeps the rows of a chunk, or takes them out, one key after the other.
fn keep(
    mine: &mut SideState,
    chunk: &Chunk,
    by_key: &Grouping,
    Keeping { rows, partners, now, appends }: &Keeping,
    no_key: impl Fn(usize) -> bool,
) {
    let (ages, from) = (mine.ttl().is_some(), mine.alive_from());
    let members = by_key.members();
    for (group, (key, hash)) in by_key.keys.iter().zip(&by_key.hashes).enumerate() {
        if no_key(by_key.firsts[group] as usize) {
            continue;
        }
        let bag = mine.entry(*hash, key.clone()).or_insert_with(RowBag::default);
        if ages && bag.iter().any(|(_, kept)| !kept.is_alive(from)) {
            bag.retain(|kept| kept.is_alive(from));
        }
        for row in members.of(group) {
            let (row, sign) = (*row as usize, chunk.sign(*row as usize));
            let (bytes, partners) = (rows.row(row).data(), partners[row]);
            // With an age, one that comes again is young again.
            let number = if *appends && !ages { None } else { bag.find(bytes) };
            match number {
                Some(number) => {
                    let Some(kept) = bag.value_mut(number) else { continue };
                    *kept = Kept { count: kept.count + sign, partners, written: *now };
                    if kept.count == 0 {
                        bag.remove(number);
                    }
                }
                // What has expired cannot be taken back.
                None if ages && sign < 0 => {}
                None => bag.push(bytes, Kept { count: sign, partners, written: *now }),
            }
        }
        if bag.is_empty() {
            mine.remove(*hash, key);
        }
    }
}

impl Side {
    pub(super) fn other(self) -> Self {
        match self {
            Side::Left => Side::Right,
            Side::Right => Side::Left,
        }
    }
}

impl Plan {
    /// Whether it matters how many partners a row of this side has.
    fn counts_partners(&self, side: Side) -> bool {
        self.kind.preserves(side) || (side == Side::Left && !self.kind.is_pairs())
    }

    /// A row of the other side, which had `before` partners, has one more, or less.
    fn partner_changed(
        &self,
        out: &mut Pairs,
        this: Option<u32>,
        other: u32,
        sign: i64,
        before: i64,
        kept: Kept,
    ) {
        let (first, last) = (sign > 0 && before == 0, sign < 0 && kept.partners == 0);
        match self.kind {
            JoinKind::Semi if first || last => out.push(None, Some(other), last, kept.count),
            JoinKind::Anti if first || last => out.push(None, Some(other), first, kept.count),
            JoinKind::Semi | JoinKind::Anti => {}
            _ => {
                if first {
                    out.push(None, Some(other), true, kept.count);
                }
                out.push(this, Some(other), sign < 0, kept.count);
                if last {
                    out.push(None, Some(other), false, kept.count);
                }
            }
        }
    }

    fn output(&self, side: Side, chunk: &Chunk, others: &[ArrayRef], out: Pairs) -> Result<Chunk, BoxError> {
        let (mut columns, right) = self.pairs.side_by_side(side, chunk, others, &out)?;
        if self.kind.is_pairs() {
            columns.extend(right);
        }
        let rows = batch(&self.schema, columns, out.these.len())?;
        Ok(Chunk::new(rows, Some(BooleanArray::from(out.retractions))))
    }
}

impl Operator for Join {
    type In = Either<Chunk, Chunk>;
    type Out = Chunk;

    fn is_determined(&self) -> bool {
        true
    }

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("left", &mut self.left);
        states.keyed("right", &mut self.right);
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
}

#[cfg(test)]
mod tests;
