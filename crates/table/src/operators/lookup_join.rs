//! Lookup joins: each row with the rows of a table that are there when it comes.
//!
//! - **Rows** go out with each row of the table that has their key and passes the condition; of a left join, with NULLs if there is none. The
//!   table is read when the operator is opened. A retraction retracts what its row was joined with, whatever the table has now.
//! - **Watermarks, barriers, the end**: pass.
//! - **State**: keyed, `joined`: if rows may be taken back, of each row what it was joined with; else none.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::error::ArrowError;
use hashbrown::HashTable;
use serde::{Deserialize, Serialize};
use thalweg_dataflow::Output;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::operator::{Operator, OperatorContext};
use thalweg_dataflow::record::Batch;
use thalweg_dataflow::state::{KeyedTable, States};

use super::grouping::hash_of;
use super::join::{JoinInput, JoinKeys, JoinKind};
use super::pairs::{PairSchema, Pairs, Side, is_true};
use super::{batch, emit};
use crate::chunk::Chunk;
use crate::connectors::{Lookup, Shape};
use crate::rows::{RowBytes, RowCodec};

/// What a row was joined with, for each time that it is there.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Joined(Vec<Vec<RowBytes>>);

/// The rows of the table.
#[derive(Default)]
struct Known {
    /// By key, numbers of rows.
    rows: HashTable<(RowBytes, Vec<u32>)>,
    columns: Vec<ArrayRef>,
    /// The rows themselves, if they may have to be remembered.
    bytes: Vec<RowBytes>,
}

/// The operator. Its page says what it does.
#[derive(Clone)]
pub struct LookupJoin {
    plan: Arc<Plan>,
    table: Arc<Known>,
    joined: KeyedTable<RowBytes, Joined>,
}

struct Plan {
    kind: JoinKind,
    keys: JoinKeys,
    /// The columns by which a retraction finds its row, and how they are kept.
    own: Option<(Vec<usize>, RowCodec)>,
    pairs: PairSchema,
    lookup: Arc<dyn Lookup>,
    shape: Shape,
}

impl LookupJoin {
    /// A join of this kind, inner or left, with the rows of `lookup`, to which `shape` adds the computed columns. If rows may be taken back,
    /// `own` are the columns by which a retraction finds its row.
    ///
    /// # Errors
    /// If a column has a type that cannot be kept.
    pub fn new(
        kind: JoinKind,
        input: JoinInput<'_>,
        own: Option<Vec<usize>>,
        lookup: Arc<dyn Lookup>,
        shape: Shape,
    ) -> Result<Self, ArrowError> {
        let own = own.map(|own| RowCodec::of_columns(input.schemas.0, &own).map(|codec| (own, codec)));
        let own = own.transpose()?;
        let (keys, pairs) = input.prepare()?;
        let plan = Arc::new(Plan { kind, keys, own, pairs, lookup, shape });
        Ok(Self { plan, table: Arc::default(), joined: KeyedTable::default() })
    }

    fn load(&mut self) -> Result<(), BoxError> {
        let plan = &*self.plan;
        let (mut known, mut chunks) = (Known::default(), Vec::new());
        let mut next = 0;
        for chunk in plan.lookup.rows()? {
            let (chunk, _) = plan.shape.apply(&chunk)?;
            let columns: Vec<_> =
                plan.keys.columns.1.iter().map(|column| chunk.rows().column(*column).clone()).collect();
            for key in &plan.keys.codecs.1.encode(&columns)? {
                let key = RowBytes::new(key.data());
                let entry =
                    known.rows.entry(hash_of(&key), |(known, _)| *known == key, |(of, _)| hash_of(of));
                entry.or_insert_with(|| (key.clone(), Vec::new())).into_mut().1.push(next);
                next += 1;
            }
            if plan.own.is_some() {
                let rows = plan.pairs.right.encode(chunk.rows().columns())?;
                known.bytes.extend(rows.iter().map(|row| RowBytes::new(row.data())));
            }
            chunks.push(chunk);
        }
        let batches = chunks.iter().map(Chunk::rows);
        known.columns = match chunks.first() {
            Some(first) => {
                arrow::compute::concat_batches(&first.rows().schema(), batches)?.columns().to_vec()
            }
            None => plan.pairs.right.decode(std::iter::empty())?,
        };
        self.table = Arc::new(known);
        Ok(())
    }

    fn join(&mut self, chunk: &Chunk) -> Result<Chunk, BoxError> {
        let plan = self.plan.clone();
        let columns: Vec<_> =
            plan.keys.columns.0.iter().map(|column| chunk.rows().column(*column).clone()).collect();
        let keys = plan.keys.codecs.0.encode(&columns)?;
        let nullable = columns.iter().any(|column| column.null_count() > 0);
        let mut tried = Pairs::default();
        for row in 0..chunk.len() {
            let no_key = nullable && columns.iter().any(|column| column.is_null(row));
            if no_key || (plan.own.is_some() && chunk.is_retraction(row)) {
                continue;
            }
            let key = keys.row(row);
            let found = self.table.rows.find(hash_of(key.data()), |(known, _)| **known == *key.data());
            for other in found.into_iter().flat_map(|(_, rows)| rows) {
                tried.push(Some(row as u32), Some(*other), false, 1);
            }
        }
        let passing = plan.pairs.passing_of(Side::Left, chunk, &self.table.columns, &tried)?;
        if plan.own.is_some() {
            return self.join_remembering(chunk, &tried, &passing);
        }
        let outer = plan.kind == JoinKind::Left;
        let out = if passing.is_none() && !outer && chunk.retractions().is_none() {
            tried
        } else {
            let (mut out, mut next) = (Pairs::default(), 0);
            for row in 0..chunk.len() {
                let (this, is_retraction, before) =
                    (Some(row as u32), chunk.is_retraction(row), out.these.len());
                while tried.these.get(next) == Some(&this) {
                    if is_true(&passing, next) {
                        out.push(this, tried.others[next], is_retraction, 1);
                    }
                    next += 1;
                }
                if outer && out.these.len() == before {
                    out.push(this, None, is_retraction, 1);
                }
            }
            out
        };
        plan.output(chunk, &self.table.columns, out)
    }

    /// The same where rows may be taken back: what each was joined with is kept.
    fn join_remembering(
        &mut self,
        chunk: &Chunk,
        tried: &Pairs,
        passing: &Option<BooleanArray>,
    ) -> Result<Chunk, BoxError> {
        let plan = self.plan.clone();
        let Some((own, codec)) = &plan.own else { return Ok(chunk.clone()) };
        let columns: Vec<_> = own.iter().map(|column| chunk.rows().column(*column).clone()).collect();
        let own = codec.encode(&columns)?;
        let (mut out, mut next, mut others) = (Pairs::default(), 0, Vec::new());
        for row in 0..chunk.len() {
            let this = Some(row as u32);
            let mut found: Vec<RowBytes> = Vec::new();
            while tried.these.get(next) == Some(&this) {
                if is_true(passing, next) {
                    found.extend(tried.others[next].map(|other| self.table.bytes[other as usize].clone()));
                }
                next += 1;
            }
            let is_retraction = chunk.is_retraction(row);
            let bytes = RowBytes::new(own.row(row).data());
            let hash = hash_of(&bytes);
            if is_retraction {
                let Some(joined) = self.joined.get_mut(hash, &bytes) else { continue };
                found = joined.0.pop().unwrap_or_default();
                if joined.0.is_empty() {
                    self.joined.remove(hash, &bytes);
                }
            } else {
                self.joined.entry(hash, bytes).or_insert_with(Joined::default).0.push(found.clone());
            }
            if found.is_empty() && plan.kind == JoinKind::Left {
                out.push(this, None, is_retraction, 1);
            }
            for other in found {
                out.push(this, Some(others.len() as u32), is_retraction, 1);
                others.push(other);
            }
        }
        let columns = plan.pairs.right.decode(others.iter().map(|row| &**row))?;
        plan.output(chunk, &columns, out)
    }
}

impl Plan {
    fn output(&self, chunk: &Chunk, columns: &[ArrayRef], out: Pairs) -> Result<Chunk, BoxError> {
        let (mut left, right) = self.pairs.side_by_side(Side::Left, chunk, columns, &out)?;
        left.extend(right);
        let rows = batch(&self.pairs.both, left, out.these.len())?;
        Ok(Chunk::new(rows, Some(BooleanArray::from(out.retractions))))
    }
}

impl Operator for LookupJoin {
    type In = Chunk;
    type Out = Chunk;

    fn is_determined(&self) -> bool {
        true
    }

    fn open(&mut self, _: &OperatorContext) -> Result<(), BoxError> {
        self.load()
    }

    fn states(&mut self, states: &mut States<'_>) {
        if self.plan.own.is_some() {
            states.keyed("joined", &mut self.joined);
        }
    }

    fn process(&mut self, batch: &mut Batch<Chunk>, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        for record in batch.records.drain(..) {
            emit(output, self.join(&record.value)?);
        }
        Ok(())
    }
}
