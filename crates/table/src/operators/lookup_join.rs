//! Lookup joins: each row with the rows of a table that are there when it comes.
//!
//! - **Rows** go out with each row of the table that has their key and passes the condition; of a left join, with NULLs if there is none. The
//!   table is read when the operator is opened. A retraction retracts what its row was joined with, whatever the table has now.
//! - **Watermarks, barriers, the end**: pass.
//! - **State**: keyed, `joined`: if rows may be taken back, of each row what it was joined with; else none.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, BooleanArray};
use arrow::error::ArrowError;
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

/// The operator. Its page says what it does.
#[derive(Clone)]
pub struct LookupJoin {
    plan: Arc<Plan>,
    table: Arc<HashMap<RowBytes, Vec<RowBytes>>>,
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
        let mut table: HashMap<RowBytes, Vec<RowBytes>> = HashMap::new();
        for chunk in plan.lookup.rows()? {
            let (chunk, _) = plan.shape.apply(&chunk)?;
            let columns: Vec<_> =
                plan.keys.columns.1.iter().map(|column| chunk.rows().column(*column).clone()).collect();
            let keys = plan.keys.codecs.1.encode(&columns)?;
            let rows = plan.pairs.right.encode(chunk.rows().columns())?;
            for row in 0..chunk.len() {
                let of_key = table.entry(RowBytes::new(keys.row(row).data())).or_default();
                of_key.push(RowBytes::new(rows.row(row).data()));
            }
        }
        self.table = Arc::new(table);
        Ok(())
    }

    fn join(&mut self, chunk: &Chunk) -> Result<Chunk, BoxError> {
        let plan = self.plan.clone();
        let columns: Vec<_> =
            plan.keys.columns.0.iter().map(|column| chunk.rows().column(*column).clone()).collect();
        let keys = plan.keys.codecs.0.encode(&columns)?;
        let own = match &plan.own {
            Some((own, codec)) => {
                let columns: Vec<_> = own.iter().map(|column| chunk.rows().column(*column).clone()).collect();
                Some(codec.encode(&columns)?)
            }
            None => None,
        };
        let (mut others, mut tried) = (Vec::new(), Pairs::default());
        for row in 0..chunk.len() {
            let no_key = columns.iter().any(|column| column.is_null(row));
            if no_key || (own.is_some() && chunk.is_retraction(row)) {
                continue;
            }
            for other in self.table.get(&RowBytes::new(keys.row(row).data())).into_iter().flatten() {
                tried.push(Some(row as u32), Some(others.len() as u32), false, 1);
                others.push(other.clone());
            }
        }
        let passing = plan.pairs.passing(Side::Left, chunk, &others, &tried)?;
        let (mut out, mut next) = (Pairs::default(), 0);
        for row in 0..chunk.len() {
            let this = Some(row as u32);
            let mut found = Vec::new();
            while tried.these.get(next) == Some(&this) {
                if is_true(&passing, next) {
                    found.extend(tried.others[next]);
                }
                next += 1;
            }
            let is_retraction = chunk.is_retraction(row);
            if let Some(own) = &own {
                let bytes = RowBytes::new(own.row(row).data());
                let hash = hash_of(&bytes);
                if is_retraction {
                    let Some(joined) = self.joined.get_mut(hash, &bytes) else { continue };
                    for other in joined.0.pop().unwrap_or_default() {
                        found.push(others.len() as u32);
                        others.push(other);
                    }
                    if joined.0.is_empty() {
                        self.joined.remove(hash, &bytes);
                    }
                } else {
                    let kept = found.iter().map(|other| others[*other as usize].clone()).collect();
                    self.joined.entry(hash, bytes).or_insert_with(Joined::default).0.push(kept);
                }
            }
            if found.is_empty() && plan.kind == JoinKind::Left {
                out.push(this, None, is_retraction, 1);
            }
            found.into_iter().for_each(|other| out.push(this, Some(other), is_retraction, 1));
        }
        let (mut columns, right) = plan.pairs.columns(Side::Left, chunk, &others, &out)?;
        columns.extend(right);
        let rows = batch(&plan.pairs.both, columns, out.these.len())?;
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
