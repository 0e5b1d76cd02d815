//! `MATCH_RECOGNIZE`: finds rows that follow each other in a pattern.
//!
//! - **Rows** of event time are kept until the watermark has reached them, and are looked at in the order of their times; those of processing
//!   time as they come. From the first row on that is not passed over yet, the pattern is tried: names in the order of the pattern, as often
//!   as they may be. A match goes out as one row, and the next begins where the clause says. A row that is late is dropped, and counted.
//!   A match waits for those that may begin before it: its time is when it goes out, so that it is not late for what comes after.
//! - **Watermarks** have the rows looked at that they have reached, end what lasts too long, then pass.
//! - **State**: keyed, `partitions`: of each partition the rows that wait, and those that a match may begin with or be in; union, `watermark`.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, new_null_array};
use arrow::compute::concat;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::row::SortField;
use datafusion_physical_expr::PhysicalExpr;
use serde::{Deserialize, Serialize};
use thalweg_dataflow::Output;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::operator::{Operator, OperatorContext};
use thalweg_dataflow::record::Batch;
use thalweg_dataflow::state::{KeyedTable, States};
use thalweg_dataflow::time::{TaskClock, Timestamp};

use super::due::Deadlines;
use super::grouping::hash_of;
use super::{Grouping, batch, emit, from_millis, millis};
use crate::aggregates::Aggregation;
use crate::aggregates::accumulator::Prepared;
use crate::chunk::Chunk;
use crate::now;
use crate::rows::{RowBytes, RowCodec};

/// So many rows of a partition may be part of matches that are not over.
const MOST_ROWS: usize = 2048;

/// Which names follow each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// A row of a name.
    Name(usize),
    /// One after the other.
    Sequence(Vec<Pattern>),
    /// The first of them that fits.
    Either(Vec<Pattern>),
    /// So often.
    Repeat(Box<Pattern>, Times),
}

/// How often a part of a pattern comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Times {
    /// So often at least.
    pub least: u32,
    /// So often at most.
    pub most: Option<u32>,
    /// As seldom as can be, not as often.
    pub reluctant: bool,
}

impl Pattern {
    /// Whether it cannot be told where it ends without looking at the row after it.
    pub(crate) fn ends_greedy(&self) -> bool {
        match self {
            Self::Name(_) => false,
            Self::Sequence(parts) => parts.last().is_some_and(Self::ends_greedy),
            Self::Either(parts) => parts.iter().any(Self::ends_greedy),
            Self::Repeat(inner, times) => {
                !times.reluctant && Some(times.least) != times.most || inner.ends_greedy()
            }
        }
    }
}

/// Where the next match may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Skip {
    /// After the last row of the match.
    PastLastRow,
    /// With its second row.
    ToNextRow,
    /// With the first row of a name.
    ToFirst(usize),
    /// With the last row of a name.
    ToLast(usize),
}

/// What is taken of the rows of a match.
pub enum Taken {
    /// The row so many before the last.
    Last(usize),
    /// The row so many after the first.
    First(usize),
    /// An aggregate of all.
    Aggregate(Box<Aggregation>),
    /// The time at which the match is known.
    Time,
}

/// A reference to rows of a match.
pub struct MatchReference {
    /// Of a name, or of all.
    pub name: Option<usize>,
    /// What is taken.
    pub taken: Taken,
    /// The column of the input.
    pub column: usize,
}

/// An expression over the references, and those that it has in it.
pub type OverReferences = (Arc<dyn PhysicalExpr>, Vec<usize>);

/// What is looked for.
pub struct MatchPlan {
    /// The columns that partition rows; they come out first.
    pub partition: Vec<usize>,
    /// The column of event time; without it, rows are in the order in which they come.
    pub time: Option<usize>,
    /// What orders rows of the same time.
    pub order: Vec<(usize, SortField)>,
    /// The pattern.
    pub pattern: Pattern,
    /// Where the next match may begin.
    pub skip: Skip,
    /// So many milliseconds a match lasts at most.
    pub within: Option<i64>,
    /// The references that conditions and measures are over.
    pub references: Vec<MatchReference>,
    /// Of each name its condition.
    pub conditions: Vec<Option<OverReferences>>,
    /// What comes out behind the partition.
    pub measures: Vec<OverReferences>,
    /// The columns that come in.
    pub input: SchemaRef,
    /// The references as columns.
    pub reference_schema: SchemaRef,
    /// The columns that come out.
    pub schema: SchemaRef,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Partition {
    waiting: BTreeMap<i64, Vec<(RowBytes, RowBytes)>>,
    rows: Vec<(i64, RowBytes)>,
    /// The time of what is over next that is in the index.
    #[serde(skip)]
    over: Option<i64>,
}

/// The operator. Its page says what it does.
#[derive(Clone)]
pub struct MatchRecognize {
    matcher: Arc<Matcher>,
    partitions: KeyedTable<RowBytes, Partition>,
    deadlines: Deadlines,
    clock: TaskClock,
}

struct Matcher {
    plan: MatchPlan,
    key_codec: RowCodec,
    order_codec: RowCodec,
    codec: RowCodec,
}

/// Rows under consideration, from `start` on.
struct Rows<'a> {
    chunk: &'a Chunk,
    times: Vec<i64>,
    prepared: Vec<Option<Prepared>>,
    /// How far time is.
    now: i64,
    start: usize,
    /// The name of each row that has one so far.
    names: Vec<usize>,
    /// Names that the next row must not fit: it would have been theirs.
    greedy: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tried {
    Match,
    /// More rows are needed to tell.
    Open,
    Fail,
}

type Then<'a> = dyn FnMut(&mut Rows<'_>) -> Result<Tried, BoxError> + 'a;

impl MatchRecognize {
    /// Looks for what `plan` says.
    ///
    /// # Errors
    /// If a column has a type that cannot be kept or ordered.
    pub fn new(plan: MatchPlan) -> Result<Self, ArrowError> {
        let key_codec = RowCodec::of_columns(&plan.input, &plan.partition)?;
        let order_codec = RowCodec::sorting(plan.order.iter().map(|(_, field)| field.clone()).collect())?;
        let codec = RowCodec::of_schema(&plan.input)?;
        let matcher = Arc::new(Matcher { plan, key_codec, order_codec, codec });
        let (partitions, deadlines, clock) = Default::default();
        Ok(Self { matcher, partitions, deadlines, clock })
    }

    fn add(&mut self, chunk: &Chunk, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        let matcher = self.matcher.clone();
        let plan = &matcher.plan;
        let times = plan.time.map(|time| millis(chunk.rows().column(time))).transpose()?;
        let by_key = Grouping::new(chunk, &plan.partition, &matcher.key_codec)?;
        let rows = matcher.codec.encode(chunk.rows().columns())?;
        let order: Vec<ArrayRef> =
            plan.order.iter().map(|(column, _)| chunk.rows().column(*column).clone()).collect();
        let order = if order.is_empty() { None } else { Some(matcher.order_codec.encode(&order)?) };
        for row in 0..chunk.len() {
            let group = by_key.group_of[row] as usize;
            let (hash, key) = (by_key.hashes[group], &by_key.keys[group]);
            let bytes = RowBytes::new(rows.row(row).data());
            let Some(times) = &times else {
                let partition = self.partitions.entry(hash, key.clone()).or_insert_with(Partition::default);
                partition.rows.push((self.clock.now(), bytes));
                continue;
            };
            if times.is_null(row) {
                continue;
            }
            let time = times.value(row);
            if self.deadlines.is_over(time) {
                self.deadlines.late.dropped(1);
                continue;
            }
            let place =
                order.as_ref().map_or_else(RowBytes::default, |order| RowBytes::new(order.row(row).data()));
            let partition = self.partitions.entry(hash, key.clone()).or_insert_with(Partition::default);
            let due = &mut self.deadlines.due;
            let waiting = partition.waiting.entry(time).or_insert_with(|| {
                due.add(time, hash, key.clone());
                Vec::new()
            });
            waiting.push((place, bytes));
        }
        if times.is_none() {
            for (key, hash) in by_key.keys.iter().zip(&by_key.hashes) {
                self.look(*hash, key, self.clock.now(), output)?;
            }
        }
        Ok(())
    }

    /// Looks for matches among the rows of a partition, which are all that there are up to `now`.
    fn look(
        &mut self,
        hash: u64,
        key: &RowBytes,
        now: i64,
        output: &mut Output<Chunk>,
    ) -> Result<(), BoxError> {
        let Some(partition) = self.partitions.get_mut(hash, key) else { return Ok(()) };
        if let Some(found) = self.matcher.matches(&mut partition.rows, now)? {
            emit(output, found);
        }
        // What begins with the first row is over then: those that begin after it wait for that.
        let over = self.matcher.is_over_at(partition);
        if let Some(over) = over.filter(|over| partition.over != Some(*over)) {
            self.deadlines.due.add(over, hash, key.clone());
        }
        partition.over = over;
        if partition.rows.len() > MOST_ROWS {
            return Err(format!(
                "a match has been open for {MOST_ROWS} rows of one partition; give it an end: a condition for each name, or a WITHIN"
            )
            .into());
        }
        if partition.rows.is_empty() && partition.waiting.is_empty() {
            self.partitions.remove(hash, key);
        }
        Ok(())
    }

    fn fire(&mut self, time: Timestamp, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        while let Some((at, keys)) = self.deadlines.due.pop(time) {
            for (hash, key) in keys {
                let Some(partition) = self.partitions.get_mut(hash, &key) else { continue };
                let mut rows = partition.waiting.remove(&at).unwrap_or_default();
                // Rows of the same place stay in the order in which they came.
                rows.sort_by(|(one, _), (other, _)| one.cmp(other));
                partition.rows.extend(rows.into_iter().map(|(_, row)| (at, row)));
                self.look(hash, &key, at, output)?;
            }
        }
        Ok(())
    }
}

impl Matcher {
    /// When a match that begins with the first row is over, in event time.
    fn is_over_at(&self, partition: &Partition) -> Option<i64> {
        let (within, _) = self.plan.within.zip(self.plan.time)?;
        Some(partition.rows.first()?.0.saturating_add(within))
    }

    /// The matches among these rows, of which those that are passed over are taken out.
    fn matches(&self, rows: &mut Vec<(i64, RowBytes)>, now: i64) -> Result<Option<Chunk>, BoxError> {
        let columns = self.codec.decode(rows.iter().map(|(_, row)| &**row))?;
        let chunk = Chunk::additions(batch(&self.plan.input, columns, rows.len())?);
        let prepared = self.plan.references.iter().map(|reference| match &reference.taken {
            Taken::Aggregate(aggregation) => aggregation.prepare(&chunk).map(Some),
            _ => Ok(None),
        });
        let prepared = prepared.collect::<Result<Vec<_>, _>>()?;
        let times = rows.iter().map(|(time, _)| *time).collect();
        let mut under =
            Rows { chunk: &chunk, times, prepared, now, start: 0, names: Vec::new(), greedy: Vec::new() };
        let mut found: Vec<Vec<ArrayRef>> = Vec::new();
        while under.start < chunk.len() {
            under.names.clear();
            under.greedy.clear();
            match self.run(&self.plan.pattern, &mut under, &mut |_| Ok(Tried::Match))? {
                Tried::Open => break,
                Tried::Match if !under.names.is_empty() => {
                    found.push(self.measure(&under)?);
                    let next = self.next(&under)?;
                    under.start += next;
                }
                _ => under.start += 1,
            }
        }
        rows.drain(..under.start);
        if found.is_empty() {
            return Ok(None);
        }
        let columns = (0..self.plan.schema.fields().len())
            .map(|column| concat(&found.iter().map(|row| row[column].as_ref()).collect::<Vec<_>>()));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        Ok(Some(Chunk::additions(batch(&self.plan.schema, columns, found.len())?)))
    }

    /// So many rows further the next match may begin.
    fn next(&self, rows: &Rows<'_>) -> Result<usize, BoxError> {
        let length = rows.names.len();
        let to = match self.plan.skip {
            Skip::PastLastRow => Some(length),
            Skip::ToNextRow => Some(1),
            Skip::ToFirst(name) => rows.names.iter().position(|known| *known == name),
            Skip::ToLast(name) => rows.names.iter().rposition(|known| *known == name),
        };
        match to {
            Some(0) => Err(
                "AFTER MATCH SKIP leads to the first row of the match, which would be found again for ever"
                    .into(),
            ),
            Some(to) => Ok(to),
            None => Err("AFTER MATCH SKIP leads to a name of which the match has no row".into()),
        }
    }

    fn run(&self, pattern: &Pattern, rows: &mut Rows<'_>, then: &mut Then<'_>) -> Result<Tried, BoxError> {
        match pattern {
            Pattern::Name(name) => {
                let at = rows.start + rows.names.len();
                let time = rows.times.get(at).copied().unwrap_or(rows.now);
                if self.plan.within.is_some_and(|within| time - rows.times[rows.start] >= within) {
                    return Ok(Tried::Fail);
                }
                if at >= rows.chunk.len() {
                    return Ok(Tried::Open);
                }
                let (before, greedy) = (rows.names.len(), std::mem::take(&mut rows.greedy));
                let mut tried = Tried::Fail;
                if !self.holds_any(&greedy, rows)? {
                    rows.names.push(*name);
                    if self.holds(*name, rows)? {
                        tried = then(rows)?;
                    }
                }
                if tried == Tried::Fail {
                    rows.names.truncate(before);
                    rows.greedy = greedy;
                }
                Ok(tried)
            }
            Pattern::Sequence(parts) => self.sequence(parts, rows, then),
            Pattern::Either(parts) => {
                for part in parts {
                    let tried = self.run(part, rows, then)?;
                    if tried != Tried::Fail {
                        return Ok(tried);
                    }
                }
                Ok(Tried::Fail)
            }
            Pattern::Repeat(inner, times) => self.repeat((inner, *times), 0, rows, then),
        }
    }

    fn sequence(
        &self,
        parts: &[Pattern],
        rows: &mut Rows<'_>,
        then: &mut Then<'_>,
    ) -> Result<Tried, BoxError> {
        match parts {
            [] => then(rows),
            [first, rest @ ..] => self.run(first, rows, &mut |rows| self.sequence(rest, rows, then)),
        }
    }

    fn repeat(
        &self,
        (inner, often): (&Pattern, Times),
        times: u32,
        rows: &mut Rows<'_>,
        then: &mut Then<'_>,
    ) -> Result<Tried, BoxError> {
        let enough = times >= often.least;
        let before = rows.names.len();
        if enough && often.reluctant {
            let tried = then(rows)?;
            if tried != Tried::Fail {
                return Ok(tried);
            }
            rows.names.truncate(before);
        }
        if often.most.is_none_or(|most| times < most) {
            let tried = self.run(inner, rows, &mut |rows| match rows.names.len() == before {
                // What takes no row is not repeated for ever.
                true => Ok(Tried::Fail),
                false => self.repeat((inner, often), times + 1, rows, then),
            })?;
            if tried != Tried::Fail {
                return Ok(tried);
            }
            rows.names.truncate(before);
        }
        if !enough || often.reluctant {
            return Ok(Tried::Fail);
        }
        // What follows never gets a row that could have been one more of these, as in Flink: also not if it comes too often.
        let (length, own) =
            (rows.greedy.len(), if let Pattern::Name(name) = inner { Some(*name) } else { None });
        rows.greedy.extend(own.filter(|_| often.most != Some(often.least)));
        let tried = then(rows)?;
        rows.greedy.truncate(length);
        Ok(tried)
    }

    /// Whether the next row may have one of these names.
    fn holds_any(&self, names: &[usize], rows: &mut Rows<'_>) -> Result<bool, BoxError> {
        for name in names {
            rows.names.push(*name);
            let holds = self.holds(*name, rows);
            rows.names.pop();
            if holds? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the last row may have its name.
    fn holds(&self, name: usize, rows: &Rows<'_>) -> Result<bool, BoxError> {
        let Some((condition, needs)) = &self.plan.conditions[name] else { return Ok(true) };
        let values = condition.evaluate(&self.references(rows, needs)?)?.into_array(1)?;
        let holds = values.as_boolean();
        Ok(holds.is_valid(0) && holds.value(0))
    }

    /// What a match gives.
    fn measure(&self, rows: &Rows<'_>) -> Result<Vec<ArrayRef>, BoxError> {
        let partition = self.plan.partition.iter();
        let mut columns: Vec<ArrayRef> =
            partition.map(|column| rows.chunk.rows().column(*column).slice(rows.start, 1)).collect();
        for (measure, needs) in &self.plan.measures {
            columns.push(measure.evaluate(&self.references(rows, needs)?)?.into_array(1)?);
        }
        Ok(columns)
    }

    /// The references that are needed, in a row.
    fn references(&self, rows: &Rows<'_>, needs: &[usize]) -> Result<arrow::array::RecordBatch, BoxError> {
        let schema = &self.plan.reference_schema;
        let mut columns: Vec<ArrayRef> =
            schema.fields().iter().map(|field| new_null_array(field.data_type(), 1)).collect();
        for need in needs {
            let reference = &self.plan.references[*need];
            let is_meant = |known: &usize| reference.name.is_none_or(|name| *known == name);
            let mut meant = rows
                .names
                .iter()
                .enumerate()
                .filter(|(_, known)| is_meant(known))
                .map(|(row, _)| rows.start + row);
            let row = match &reference.taken {
                Taken::First(by) => meant.nth(*by),
                Taken::Last(by) => {
                    let all: Vec<usize> = meant.collect();
                    all.len().checked_sub(by + 1).map(|place| all[place])
                }
                Taken::Aggregate(aggregation) => {
                    let mut accumulator = aggregation.empty();
                    if let Some(prepared) = &rows.prepared[*need] {
                        meant.for_each(|row| aggregation.apply(prepared, row, 1, &mut accumulator));
                    }
                    columns[*need] = aggregation.results(&[&accumulator])?;
                    continue;
                }
                Taken::Time => {
                    columns[*need] = from_millis(vec![rows.now].into(), schema.field(*need).data_type())?;
                    continue;
                }
            };
            if let Some(row) = row {
                columns[*need] = rows.chunk.rows().column(reference.column).slice(row, 1);
            }
        }
        Ok(batch(schema, columns, 1)?)
    }
}

impl Operator for MatchRecognize {
    type In = Chunk;
    type Out = Chunk;

    fn is_determined(&self) -> bool {
        true
    }

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.clock = context.clock.clone();
        self.deadlines.open(context);
        Ok(())
    }

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("partitions", &mut self.partitions);
        if self.deadlines.states(states) {
            for (key, partition) in self.partitions.iter() {
                for time in partition.waiting.keys().copied().chain(self.matcher.is_over_at(partition)) {
                    self.deadlines.due.add(time, hash_of(key), key.clone());
                }
            }
        }
    }

    fn process(&mut self, batch: &mut Batch<Chunk>, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        now::set_processing_time(self.clock.now());
        for record in batch.records.drain(..) {
            self.add(&record.value, output)?;
        }
        Ok(())
    }

    fn watermark(
        &mut self,
        watermark: Timestamp,
        output: &mut Output<Chunk>,
    ) -> Result<Option<Timestamp>, BoxError> {
        self.deadlines.advance(watermark);
        if self.matcher.plan.time.is_some() {
            self.fire(watermark, output)?;
        }
        Ok(Some(watermark))
    }
}
