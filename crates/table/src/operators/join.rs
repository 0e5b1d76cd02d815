//! Joins of two tables, as both change.
//!
//! - **Rows** are joined with those of the other side that have the same key and pass the condition, and kept. A retraction retracts the
//!   pairs that its row was in. On the preserved side of an outer join, a row without a partner goes out with NULLs; when it finds its
//!   first partner that row is retracted, and when it loses its last it comes back. A semi join gives rows that have a partner, an anti
//!   join those that have none.
//! - **Watermarks, barriers, the end**: pass.
//! - **State**: keyed, `left` and `right`: of each key its rows, of each how often it is there and how many partners it has. With a time
//!   to live each row has an age of its own: since it was added, or a partner of it came or went. A row that has expired has no partners,
//!   and nothing is retracted for it.
//!
//! A key with a NULL in it is equal to none, not even to itself, unless the join says otherwise.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use datafusion_physical_expr::PhysicalExpr;
use serde::{Deserialize, Serialize};
use thalweg_dataflow::Output;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::graph::Either;
use thalweg_dataflow::operator::Operator;
use thalweg_dataflow::record::Batch;
use thalweg_dataflow::state::{KeyedTable, StateTtlConfig, States};

use super::pairs::{PairSchema, Pairs, Side, is_true};
use super::small_map::SmallMap;
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

type SideState = KeyedTable<RowBytes, SmallMap<RowBytes, Kept>>;

/// The operator. Its page says what it does.
#[derive(Clone)]
pub struct Join {
    plan: Arc<Plan>,
    left: SideState,
    right: SideState,
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
        Ok(Self { plan, left: SideState::default(), right: SideState::default() })
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

    fn join(&mut self, side: Side, chunk: &Chunk) -> Result<Chunk, BoxError> {
        let plan = self.plan.clone();
        let (key, codec) = plan.keys.of(side);
        let (mine, theirs) = match side {
            Side::Left => (&mut self.left, &mut self.right),
            Side::Right => (&mut self.right, &mut self.left),
        };
        let by_key = Grouping::new(chunk, key, codec)?;
        let no_key = |row: usize| {
            !plan.nulls_equal && key.iter().any(|column| chunk.rows().column(*column).is_null(row))
        };
        let counts_partners_there =
            plan.kind.preserves(side.other()) || (side == Side::Right && !plan.kind.is_pairs());
        // All pairs with the same key: the other side does not change meanwhile.
        let mut candidates: Vec<std::ops::Range<u32>> = Vec::with_capacity(by_key.len());
        let (mut others, mut counts): (Vec<&RowBytes>, Vec<i64>) = (Vec::new(), Vec::new());
        for (group, (key, hash)) in by_key.keys.iter().zip(&by_key.hashes).enumerate() {
            let begin = others.len() as u32;
            if !no_key(by_key.firsts[group] as usize)
                && let Some(kept) = theirs.get(*hash, key)
            {
                for (row, kept) in kept.iter().filter(|(_, kept)| kept.is_alive(theirs.alive_from())) {
                    others.push(row);
                    counts.push(kept.count);
                }
            }
            candidates.push(begin..others.len() as u32);
        }
        let of_state = plan.pairs.codec(side.other()).decode(others.iter().map(|row| &***row))?;
        // Only who changes them there has to find them again.
        let rows: Vec<RowBytes> =
            if counts_partners_there { others.into_iter().cloned().collect() } else { Vec::new() };
        let mut tried = Pairs::default();
        for row in 0..chunk.len() {
            for other in candidates[by_key.group_of[row] as usize].clone() {
                tried.push(Some(row as u32), Some(other), false, 1);
            }
        }
        let passing = plan.pairs.passing_of(side, chunk, &of_state, &tried)?;
        let encoded = plan.pairs.codec(side).encode(chunk.rows().columns())?;
        let (mut out, mut next) = (Pairs::default(), 0);
        // Where rows have no age, none is written down; and no row is as old as the clock.
        let at = |side: &SideState| if side.ttl().is_some() { side.now().max(1) } else { 0 };
        let (now, their_now, ages) = (at(mine), at(theirs), mine.ttl().is_some());
        if ages {
            for (key, hash) in by_key.keys.iter().zip(&by_key.hashes) {
                let from = mine.alive_from();
                if mine.get(*hash, key).is_some_and(|of| of.iter().any(|(_, kept)| !kept.is_alive(from)))
                    && let Some(kept) = mine.get_mut(*hash, key)
                {
                    kept.retain(|kept| kept.is_alive(from));
                }
            }
        }
        let mut is_gone = false;
        for row in 0..chunk.len() {
            let group = by_key.group_of[row] as usize;
            let (hash, key) = (by_key.hashes[group], &by_key.keys[group]);
            let (sign, this) = (chunk.sign(row), Some(row as u32));
            let mut partners = 0;
            let others = candidates[group].clone();
            let first = next;
            next += others.len();
            if counts_partners_there && !others.is_empty() {
                let Some(kept) = theirs.get_mut(hash, key) else { continue };
                for (place, other) in others.enumerate() {
                    if !is_true(&passing, first + place) {
                        continue;
                    }
                    let Some(kept) = kept.get_mut(&rows[other as usize]) else { continue };
                    let before = kept.partners;
                    kept.partners += sign;
                    kept.written = their_now;
                    partners += kept.count;
                    plan.partner_changed(&mut out, this, other, sign, before, *kept);
                }
            } else {
                for (place, other) in others.enumerate() {
                    if is_true(&passing, first + place) {
                        let count = counts[other as usize];
                        partners += count;
                        if plan.kind.is_pairs() {
                            out.push(this, Some(other), sign < 0, count);
                        }
                    }
                }
            }
            let alone = match plan.kind {
                JoinKind::Semi => side == Side::Left && partners > 0,
                JoinKind::Anti => side == Side::Left && partners == 0,
                kind => kind.preserves(side) && partners == 0,
            };
            if alone {
                out.push(this, None, sign < 0, 1);
            }
            if no_key(row) {
                continue;
            }
            let mine = mine.entry(hash, key.clone()).or_insert_with(SmallMap::default);
            let bytes = RowBytes::new(encoded.row(row).data());
            // What has expired cannot be taken back.
            if ages && sign < 0 && mine.get(&bytes).is_none() {
                continue;
            }
            let kept = mine.or_default(bytes);
            *kept = Kept { count: kept.count + sign, partners, written: now };
            if kept.count == 0 {
                mine.remove(&RowBytes::new(encoded.row(row).data()));
                is_gone = true;
            }
        }
        for (key, hash) in by_key.keys.iter().zip(&by_key.hashes).filter(|_| is_gone || ages) {
            if mine.get(*hash, key).is_some_and(SmallMap::is_empty) {
                mine.remove(*hash, key);
            }
        }
        plan.output(side, chunk, &of_state, out)
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
