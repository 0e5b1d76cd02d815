//! Temporal joins: each row of the left side with the version of the right side that was there at its time.
//!
//! - **Rows** of the left side wait until the watermark has reached their time; then they go out with the version that was the latest at
//!   that time. A row that is late goes out with the next watermark. Rows of the right side are versions of their key from their time on; a retraction by its own, with
//!   no other version behind it in its chunk, is the end of one.
//! - **Watermarks** emit the rows that they have reached, then pass. Versions that no row can want any more are forgotten when their key is looked at.
//! - **State**: keyed, `left`: of each key the rows that wait, by time; `versions`: of each key its versions, by time; union, `watermark`.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, BooleanArray};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use thalweg_dataflow::Output;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::graph::Either;
use thalweg_dataflow::operator::Operator;
use thalweg_dataflow::record::Batch;
use thalweg_dataflow::state::{KeyedTable, States};
use thalweg_dataflow::time::Timestamp;

use super::due::Deadlines;
use super::grouping::hash_of;
use super::join::{JoinInput, JoinKeys, JoinKind};
use super::pairs::{PairSchema, Pairs, Side, is_true};
use super::{Grouping, batch, emit, millis};
use crate::chunk::Chunk;
use crate::rows::RowBytes;

/// Rows that wait, by time: each with whether it is a retraction.
type Waiting = BTreeMap<i64, Vec<(RowBytes, bool)>>;

/// The operator. Its page says what it does.
#[derive(Clone)]
pub struct TemporalJoin {
    plan: Arc<Plan>,
    left: KeyedTable<RowBytes, Waiting>,
    /// Of each key its versions; one without a row says that there is none from then on.
    versions: KeyedTable<RowBytes, BTreeMap<i64, Option<RowBytes>>>,
    deadlines: Deadlines,
}

struct Plan {
    kind: JoinKind,
    keys: JoinKeys,
    times: (usize, usize),
    pairs: PairSchema,
    left: SchemaRef,
}

impl TemporalJoin {
    /// A join of this kind, inner or left, by the columns `times` of either side.
    ///
    /// # Errors
    /// If a column has a type that cannot be kept.
    pub fn new(kind: JoinKind, input: JoinInput<'_>, times: (usize, usize)) -> Result<Self, ArrowError> {
        let left = input.schemas.0.clone();
        let (keys, pairs) = input.prepare()?;
        let plan = Plan { kind, keys, times, pairs, left };
        Ok(Self {
            plan: Arc::new(plan),
            left: KeyedTable::default(),
            versions: KeyedTable::default(),
            deadlines: Deadlines::default(),
        })
    }

    fn add_left(&mut self, chunk: &Chunk) -> Result<(), BoxError> {
        let plan = self.plan.clone();
        let (key, codec) = plan.keys.of(Side::Left);
        let by_key = Grouping::new(chunk, key, codec)?;
        let times = millis(chunk.rows().column(plan.times.0))?;
        let rows = plan.pairs.left.encode(chunk.rows().columns())?;
        for row in (0..chunk.len()).filter(|row| times.is_valid(*row)) {
            let time = times.value(row);
            let group = by_key.group_of[row] as usize;
            let (hash, key) = (by_key.hashes[group], &by_key.keys[group]);
            let waiting = self.left.entry(hash, key.clone()).or_insert_with(Waiting::new);
            let due = &mut self.deadlines.due;
            let of_time = waiting.entry(time).or_insert_with(|| {
                due.add(time, hash, key.clone());
                Vec::new()
            });
            of_time.push((RowBytes::new(rows.row(row).data()), chunk.is_retraction(row)));
        }
        Ok(())
    }

    fn add_right(&mut self, chunk: &Chunk) -> Result<(), BoxError> {
        let plan = self.plan.clone();
        let (key, codec) = plan.keys.of(Side::Right);
        let by_key = Grouping::new(chunk, key, codec)?;
        let times = millis(chunk.rows().column(plan.times.1))?;
        let rows = plan.pairs.right.encode(chunk.rows().columns())?;
        // The last version of each key that comes: what is taken back before it has been there until then.
        let mut newest = vec![0; by_key.len()];
        for row in (0..chunk.len()).filter(|row| !chunk.is_retraction(*row)) {
            newest[by_key.group_of[row] as usize] = row;
        }
        for row in (0..chunk.len()).filter(|row| times.is_valid(*row)) {
            let group = by_key.group_of[row] as usize;
            if chunk.is_retraction(row) && row < newest[group] {
                continue;
            }
            let (hash, key) = (by_key.hashes[group], &by_key.keys[group]);
            let versions = self.versions.entry(hash, key.clone()).or_insert_with(BTreeMap::new);
            let (time, bytes) = (times.value(row), rows.row(row).data());
            if !chunk.is_retraction(row) {
                versions.insert(time, Some(RowBytes::new(bytes)));
            } else if versions.get(&time).is_none_or(|known| known.as_deref() == Some(bytes)) {
                versions.insert(time, None);
            }
            forget(versions, self.deadlines.watermark());
        }
        Ok(())
    }

    fn fire(&mut self, time: Timestamp, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        let plan = self.plan.clone();
        let (mut rows, mut retractions, mut versions, mut partner) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        while let Some((at, keys)) = self.deadlines.due.pop(time) {
            for (hash, key) in keys {
                let Some(waiting) = self.left.get_mut(hash, &key) else { continue };
                let due = waiting.remove(&at).unwrap_or_default();
                if waiting.is_empty() {
                    self.left.remove(hash, &key);
                }
                let mut version = None;
                if let Some(known) = self.versions.get_mut(hash, &key) {
                    version = known.range(..=at).next_back().and_then(|(_, row)| row.clone());
                    forget(known, at);
                }
                for (row, is_retraction) in due {
                    partner.push(version.as_ref().map(|version| {
                        versions.push(version.clone());
                        versions.len() as u32 - 1
                    }));
                    rows.push(row);
                    retractions.push(is_retraction);
                }
            }
        }
        if rows.is_empty() {
            return Ok(());
        }
        let columns = plan.pairs.left.decode(rows.iter().map(|row| &**row))?;
        let left = Chunk::additions(batch(&plan.left, columns, rows.len())?);
        let no_key =
            |row: usize| plan.keys.columns.0.iter().any(|column| left.rows().column(*column).is_null(row));
        let mut tried = Pairs::default();
        for (row, version) in partner.iter().enumerate() {
            if version.is_some() && !no_key(row) {
                tried.push(Some(row as u32), *version, false, 1);
            }
        }
        let passing = plan.pairs.passing(Side::Left, &left, &versions, &tried)?;
        let (mut out, mut next) = (Pairs::default(), 0);
        for (row, is_retraction) in retractions.iter().enumerate() {
            let mut found = false;
            if tried.these.get(next) == Some(&Some(row as u32)) {
                if is_true(&passing, next) {
                    out.push(Some(row as u32), tried.others[next], *is_retraction, 1);
                    found = true;
                }
                next += 1;
            }
            if !found && plan.kind == JoinKind::Left {
                out.push(Some(row as u32), None, *is_retraction, 1);
            }
        }
        let (mut columns, right) = plan.pairs.columns(Side::Left, &left, &versions, &out)?;
        columns.extend(right);
        let rows = batch(&plan.pairs.both, columns, out.these.len())?;
        emit(output, Chunk::new(rows, Some(BooleanArray::from(out.retractions))));
        Ok(())
    }
}

/// Forgets the versions that were followed by another when the watermark was reached: no row can want them any more.
fn forget(versions: &mut BTreeMap<i64, Option<RowBytes>>, watermark: i64) {
    let latest = versions.range(..=watermark).next_back().map(|(time, _)| *time);
    if let Some(latest) = latest
        && versions.keys().next().is_some_and(|first| *first < latest)
    {
        *versions = versions.split_off(&latest);
    }
}

impl Operator for TemporalJoin {
    type In = Either<Chunk, Chunk>;
    type Out = Chunk;

    fn is_determined(&self) -> bool {
        true
    }

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("left", &mut self.left);
        states.keyed("versions", &mut self.versions);
        if self.deadlines.states(states) {
            for (key, waiting) in self.left.iter() {
                for time in waiting.keys() {
                    self.deadlines.due.add(*time, hash_of(key), key.clone());
                }
            }
        }
    }

    fn process(&mut self, batch: &mut Batch<Self::In>, _: &mut Output<Chunk>) -> Result<(), BoxError> {
        batch.records.drain(..).try_for_each(|record| match record.value {
            Either::Left(chunk) => self.add_left(&chunk),
            Either::Right(chunk) => self.add_right(&chunk),
        })
    }

    fn watermark(
        &mut self,
        watermark: Timestamp,
        output: &mut Output<Chunk>,
    ) -> Result<Option<Timestamp>, BoxError> {
        if !self.deadlines.is_over(watermark) {
            self.deadlines.advance(watermark);
            self.fire(watermark, output)?;
        }
        Ok(Some(watermark))
    }
}
