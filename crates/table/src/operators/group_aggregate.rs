//! `GROUP BY`: for each key, aggregates of all its rows so far.
//!
//! - **Rows** are added to the accumulators of their key, or taken back from them. For each key of a chunk whose result has changed by
//!   it, the old result is retracted and the new one added; a key of which no row is left is retracted alone. A retraction of a key that
//!   is not known is dropped: it is of a row whose state has expired.
//! - **Watermarks, barriers, the end**: pass. Of rows that are all there ([`at_the_end`](GroupAggregate::at_the_end)) the results go out with the last
//!   watermark, each once; without a key also that of no rows.
//! - **State**: keyed, `groups`: of each key its number of rows and its accumulators.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, UInt32Array};
use arrow::compute::kernels::cmp::distinct;
use arrow::compute::{concat, take};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use serde::{Deserialize, Serialize};
use thalweg_dataflow::Output;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::operator::{Operator, OperatorContext};
use thalweg_dataflow::record::Batch;
use thalweg_dataflow::state::{KeyedTable, StateTtlConfig, States};
use thalweg_dataflow::time::{MAX_WATERMARK, Timestamp};

use super::grouping::hash_of;
use super::{Grouping, Weights, batch, emit};
use crate::aggregates::Aggregation;
use crate::aggregates::accumulator::Group;
use crate::chunk::Chunk;
use crate::rows::{RowBytes, RowCodec};

/// What is kept of a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct GroupState {
    /// Additions less retractions.
    pub(super) rows: i64,
    pub(super) accumulators: Group,
}

/// The operator. Its page says what it does.
#[derive(Clone)]
pub struct GroupAggregate {
    plan: Arc<Plan>,
    groups: KeyedTable<RowBytes, GroupState>,
    at_the_end: bool,
    /// Whether this subtask has the one group that there is without a key.
    owns_all: bool,
}

struct Plan {
    key: Vec<usize>,
    key_codec: RowCodec,
    calls: Vec<Aggregation>,
    results: RowCodec,
    /// The column of the number of rows, if what comes in are partial results.
    rows: Option<usize>,
    /// The key columns, then the results.
    schema: SchemaRef,
}

impl GroupAggregate {
    /// Aggregates by the columns `key`; the output has the key, then the result of each call, and `schema`. If what comes in are partial
    /// results ([`LocalAggregate`](super::LocalAggregate)), `rows` is the column of their number of rows.
    ///
    /// # Errors
    /// If a column has a type that cannot be a key.
    pub fn new(
        key: Vec<usize>,
        calls: Vec<Aggregation>,
        rows: Option<usize>,
        schema: SchemaRef,
    ) -> Result<Self, ArrowError> {
        let types =
            |range: std::ops::Range<usize>| schema.fields()[range].iter().map(|field| field.data_type());
        let key_codec = RowCodec::new(types(0..key.len()))?;
        let results = RowCodec::new(types(key.len()..schema.fields().len()))?;
        let plan = Arc::new(Plan { key, key_codec, calls, results, rows, schema });
        Ok(Self { plan, groups: KeyedTable::default(), at_the_end: false, owns_all: false })
    }

    /// Results go out once, when the input has ended: for input that ends.
    #[must_use]
    pub fn at_the_end(mut self, yes: bool) -> Self {
        self.at_the_end = yes;
        self
    }

    /// What is kept is forgotten when it has not been written for so long (`table.exec.state.ttl`).
    #[must_use]
    pub fn with_ttl(mut self, ttl: Option<StateTtlConfig>) -> Self {
        if let Some(ttl) = ttl {
            self.groups = KeyedTable::with_ttl(ttl);
        }
        self
    }

    /// Adds a chunk of which nothing goes out yet.
    fn gather(&mut self, chunk: &Chunk) -> Result<(), BoxError> {
        let Self { plan, groups, .. } = self;
        let by_key = Grouping::new(chunk, &plan.key, &plan.key_codec)?;
        let mut counts = Vec::with_capacity(by_key.len());
        let mut states: Vec<Group> = Vec::with_capacity(by_key.len());
        for (key, hash) in by_key.keys.iter().zip(&by_key.hashes) {
            let known = groups.get_mut(*hash, key);
            counts.push(known.as_ref().map_or(0, |state| state.rows));
            states.push(match known {
                Some(state) => std::mem::take(&mut state.accumulators),
                None => plan.calls.iter().map(Aggregation::empty).collect(),
            });
        }
        // Of input that ends, nothing is taken back before it was there.
        let weights = Weights::of(chunk, plan.rows);
        for (row, group) in by_key.group_of.iter().enumerate() {
            counts[*group as usize] += weights.at(row);
        }
        for (call, aggregation) in plan.calls.iter().enumerate() {
            aggregation.update(call, &mut states, &by_key.group_of, chunk)?;
        }
        let kept = by_key.keys.iter().zip(&by_key.hashes).zip(states.into_iter().zip(counts));
        for ((key, hash), (accumulators, rows)) in kept {
            groups.insert(*hash, key, GroupState { rows, accumulators });
        }
        Ok(())
    }

    /// All results.
    fn finish(&mut self, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        let Self { plan, groups, owns_all, .. } = self;
        let mut all: Vec<(RowBytes, Group)> = groups
            .iter()
            .filter(|(_, state)| state.rows != 0)
            .map(|(key, state)| (key.clone(), state.accumulators.clone()))
            .collect();
        if all.is_empty() && plan.key.is_empty() && *owns_all {
            all.push((RowBytes::default(), plan.calls.iter().map(Aggregation::empty).collect()));
        }
        for some in all.chunks(1024) {
            let (keys, states): (Vec<&RowBytes>, Vec<Group>) =
                some.iter().map(|(key, state)| (key, state.clone())).unzip();
            let mut columns = match plan.key.is_empty() {
                true => Vec::new(),
                false => plan.key_codec.decode(keys.into_iter().map(|key| &**key))?,
            };
            columns.extend(plan.results_of(&states)?);
            emit(output, Chunk::additions(batch(&plan.schema, columns, some.len())?));
        }
        groups.drain().for_each(drop);
        Ok(())
    }

    /// Adds a chunk; what has changed by it.
    fn aggregate(&mut self, chunk: &Chunk) -> Result<Chunk, BoxError> {
        let Self { plan, groups, .. } = self;
        let by_key = Grouping::new(chunk, &plan.key, &plan.key_codec)?;
        let mut counts = vec![0; by_key.len()];
        let mut known = vec![false; by_key.len()];
        let mut states: Vec<Group> = Vec::with_capacity(by_key.len());
        for (group, (key, hash)) in by_key.keys.iter().zip(&by_key.hashes).enumerate() {
            states.push(match groups.get_mut(*hash, key) {
                Some(state) => {
                    (counts[group], known[group]) = (state.rows, true);
                    std::mem::take(&mut state.accumulators)
                }
                None => plan.calls.iter().map(Aggregation::empty).collect(),
            });
        }
        let before = plan.results_of(&states)?;
        let strangers = match plan.rows {
            None => count_rows(chunk, &by_key.group_of, &mut counts),
            rows => {
                let weights = Weights::of(chunk, rows);
                let each = by_key.group_of.iter().enumerate();
                each.for_each(|(row, group)| counts[*group as usize] += weights.at(row));
                None
            }
        };
        let (mut kept, mut group_of) = (None, None);
        if let Some(strangers) = &strangers {
            kept = Some(chunk.filter(strangers)?);
            let rows = by_key.group_of.iter().zip(strangers.values());
            group_of = Some(rows.filter(|(_, kept)| *kept).map(|(group, _)| *group).collect::<Vec<_>>());
        }
        let (rows, group_of) =
            (kept.as_ref().unwrap_or(chunk), group_of.as_ref().unwrap_or(&by_key.group_of));
        for (call, aggregation) in plan.calls.iter().enumerate() {
            aggregation.update(call, &mut states, group_of, rows)?;
        }
        let after = plan.results_of(&states)?;
        let changed = plan.changed(&before, &after)?;
        let mut changes = Changes::default();
        for (group, state) in states.into_iter().enumerate() {
            let (hash, key, alive) = (by_key.hashes[group], &by_key.keys[group], counts[group] != 0);
            match (known[group], alive) {
                (true, true) if changed.get(group) == Some(&true) => {
                    changes.retract(group);
                    changes.add(group, by_key.len());
                }
                (true, false) => changes.retract(group),
                (false, true) => changes.add(group, by_key.len()),
                _ => {}
            }
            if !alive {
                groups.remove(hash, key);
            } else if let Some(kept) = groups.get_mut(hash, key) {
                *kept = GroupState { rows: counts[group], accumulators: state };
            } else {
                groups.insert(hash, key, GroupState { rows: counts[group], accumulators: state });
            }
        }
        plan.changelog(chunk, &by_key, changes, &before, &after)
    }
}

/// Counts the rows of each group. Returns which rows are kept, if some are not: retractions of what is not there.
fn count_rows(chunk: &Chunk, group_of: &[u32], counts: &mut [i64]) -> Option<BooleanArray> {
    if chunk.retractions().is_none() {
        group_of.iter().for_each(|group| counts[*group as usize] += 1);
        return None;
    }
    let mut any = false;
    let kept = group_of.iter().enumerate().map(|(row, group)| {
        let count = &mut counts[*group as usize];
        let is_stranger = *count == 0 && chunk.is_retraction(row);
        any |= is_stranger;
        *count += if is_stranger { 0 } else { chunk.sign(row) };
        Some(!is_stranger)
    });
    let kept: BooleanArray = kept.collect();
    any.then_some(kept)
}

/// Which results go out: numbers into the old ones, followed by the new ones.
#[derive(Default)]
struct Changes {
    groups: Vec<u32>,
    results: Vec<u32>,
    retractions: Vec<bool>,
}

impl Changes {
    fn push(&mut self, group: usize, result: usize, is_retraction: bool) {
        self.groups.push(group as u32);
        self.results.push(result as u32);
        self.retractions.push(is_retraction);
    }

    fn retract(&mut self, group: usize) {
        self.push(group, group, true);
    }

    fn add(&mut self, group: usize, groups: usize) {
        self.push(group, groups + group, false);
    }
}

impl Plan {
    fn results_of(&self, groups: &[Group]) -> Result<Vec<ArrayRef>, ArrowError> {
        let of_call = |(call, aggregation): (usize, &Aggregation)| {
            let accumulators: Vec<_> = groups.iter().map(|group| &group[call]).collect();
            aggregation.results(&accumulators)
        };
        self.calls.iter().enumerate().map(of_call).collect()
    }

    /// Of which groups the results differ.
    fn changed(&self, before: &[ArrayRef], after: &[ArrayRef]) -> Result<Vec<bool>, ArrowError> {
        let Some(first) = before.first() else { return Ok(Vec::new()) };
        if before.iter().all(|column| !column.data_type().is_nested()) {
            let mut changed = vec![false; first.len()];
            for (old, new) in before.iter().zip(after) {
                let differs = distinct(old, new)?;
                changed.iter_mut().zip(differs.values()).for_each(|(changed, differs)| *changed |= differs);
            }
            return Ok(changed);
        }
        let (old, new) = (self.results.encode(before)?, self.results.encode(after)?);
        Ok((0..first.len()).map(|group| old.row(group) != new.row(group)).collect())
    }

    /// The rows that go out.
    fn changelog(
        &self,
        chunk: &Chunk,
        by_key: &Grouping,
        changes: Changes,
        before: &[ArrayRef],
        after: &[ArrayRef],
    ) -> Result<Chunk, BoxError> {
        let rows = changes.groups.len();
        let firsts: UInt32Array = changes.groups.iter().map(|group| by_key.firsts[*group as usize]).collect();
        let places = UInt32Array::from(changes.results);
        let keys = self.key.iter().map(|column| take(chunk.rows().column(*column), &firsts, None));
        let results = before.iter().zip(after).map(|(old, new)| take(&concat(&[old, new])?, &places, None));
        let columns = keys.chain(results).collect::<Result<Vec<_>, _>>()?;
        let retractions = Some(BooleanArray::from(changes.retractions));
        Ok(Chunk::new(batch(&self.schema, columns, rows)?, retractions))
    }
}

impl Operator for GroupAggregate {
    type In = Chunk;
    type Out = Chunk;

    fn is_determined(&self) -> bool {
        true
    }

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("groups", &mut self.groups);
    }

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.owns_all = context.key_groups.position(hash_of(&[])).is_some();
        Ok(())
    }

    fn watermark(
        &mut self,
        watermark: Timestamp,
        output: &mut Output<Chunk>,
    ) -> Result<Option<Timestamp>, BoxError> {
        if self.at_the_end && watermark == MAX_WATERMARK {
            self.finish(output)?;
        }
        Ok(Some(watermark))
    }

    fn process(&mut self, batch: &mut Batch<Chunk>, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        if self.at_the_end {
            return batch.records.drain(..).try_for_each(|record| self.gather(&record.value));
        }
        for record in batch.records.drain(..) {
            emit(output, self.aggregate(&record.value)?);
        }
        Ok(())
    }
}
