//! `OVER` in the order of time: functions over the rows that came before each row.
//!
//! - **Rows** of event time are kept until the watermark has reached them, then go out in the order of their times, each with its results
//!   behind its columns. A row that is late is dropped, and counted: where frames reach back without end one that the watermark has passed;
//!   else one that is no later than the last that went out of its partition. Rows of processing time go out as they come.
//! - **Watermarks** emit what they have reached, then pass.
//! - **State**: keyed, `partitions`: of each partition the rows that wait, those that frames still reach back to, and the accumulators;
//!   union, `watermark`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array};
use arrow::compute::concat;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use thalweg_dataflow::Output;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::operator::{Operator, OperatorContext};
use thalweg_dataflow::record::Batch;
use thalweg_dataflow::state::{KeyedTable, States};
use thalweg_dataflow::time::Timestamp;

use super::due::Deadlines;
use super::grouping::hash_of;
use super::{Grouping, batch, emit, millis};
use crate::aggregates::Aggregation;
use crate::aggregates::accumulator::{Accumulator, Prepared};
use crate::chunk::Chunk;
use crate::rows::{RowBytes, RowCodec};

/// A function over the rows before each row.
pub enum OverFunction {
    /// An aggregate.
    Aggregate(Aggregation),
    /// `ROW_NUMBER`.
    RowNumber,
    /// `RANK`.
    Rank,
    /// `DENSE_RANK`.
    DenseRank,
    /// `LAG`: the column, how many rows back, and the column of what there is instead.
    Lag(usize, usize, Option<usize>),
}

/// Which rows, up to the present one, a function is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Frame {
    /// All; with those of the same time that come after it, if `range`.
    Unbounded {
        /// `RANGE`, not `ROWS`.
        range: bool,
    },
    /// So many rows before it.
    Rows(usize),
    /// Those of so many milliseconds before it.
    Range(i64),
}

/// A call of a function.
pub struct OverCall {
    /// The function.
    pub function: OverFunction,
    /// The rows that it is over.
    pub frame: Frame,
    /// The type of its result.
    pub result: DataType,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Partition {
    /// By time, rows that the watermark has not reached yet.
    waiting: BTreeMap<i64, Vec<RowBytes>>,
    /// The latest rows that went out, as far as frames reach back.
    history: VecDeque<(i64, RowBytes)>,
    accumulators: SmallVec<[Accumulator; 2]>,
    /// For each call, how many of the rows of the history its accumulator holds, if its frame begins somewhere.
    inside: SmallVec<[u32; 2]>,
    /// How many rows went out; the rank of the last, dense and not; its time.
    count: i64,
    rank: i64,
    dense_rank: i64,
    last: Option<i64>,
}

/// The operator. Its page says what it does.
#[derive(Clone)]
pub struct Over {
    plan: Arc<Plan>,
    partitions: KeyedTable<RowBytes, Partition>,
    deadlines: Deadlines,
    arrived: i64,
}

struct Plan {
    partition: Vec<usize>,
    /// The column of event time; without it, rows are in the order in which they come.
    time: Option<usize>,
    calls: Vec<OverCall>,
    key_codec: RowCodec,
    codec: RowCodec,
    input: SchemaRef,
    /// So many columns come out, and the results behind them.
    width: usize,
    schema: SchemaRef,
}

impl Over {
    /// Functions over partitions by the columns `partition`, in the order of the column `time` or of arrival. The first columns of `input`
    /// come out, and the results behind them, as `schema` has them.
    ///
    /// # Errors
    /// If a column has a type that cannot be kept.
    pub fn new(
        partition: Vec<usize>,
        time: Option<usize>,
        calls: Vec<OverCall>,
        input: SchemaRef,
        schema: SchemaRef,
    ) -> Result<Self, ArrowError> {
        let key_codec = RowCodec::of_columns(&input, &partition)?;
        let (codec, width) = (RowCodec::of_schema(&input)?, schema.fields().len() - calls.len());
        let plan = Arc::new(Plan { partition, time, calls, key_codec, codec, input, width, schema });
        let (partitions, deadlines) = Default::default();
        Ok(Self { plan, partitions, deadlines, arrived: 0 })
    }

    /// Keeps the rows of a chunk until it is their turn.
    fn add(&mut self, chunk: &Chunk) -> Result<(), BoxError> {
        let plan = self.plan.clone();
        let times = plan.time.map(|time| millis(chunk.rows().column(time))).transpose()?;
        let by_key = Grouping::new(chunk, &plan.partition, &plan.key_codec)?;
        let rows = plan.codec.encode(chunk.rows().columns())?;
        for row in 0..chunk.len() {
            let time = match &times {
                Some(times) if times.is_null(row) => continue,
                Some(times) => times.value(row),
                None => {
                    self.arrived += 1;
                    self.arrived
                }
            };
            let group = by_key.group_of[row] as usize;
            let (hash, key) = (by_key.hashes[group], &by_key.keys[group]);
            let is_late = match plan.is_bounded() {
                false => self.deadlines.is_over(time),
                true => self.partitions.get(hash, key).and_then(|partition| partition.last) >= Some(time),
            };
            if times.is_some() && is_late {
                self.deadlines.late.dropped(1);
                continue;
            }
            let partition = self.partitions.entry(hash, key.clone()).or_insert_with(|| plan.empty());
            let waiting = partition.waiting.entry(time).or_insert_with(|| {
                self.deadlines.due.add(time, hash, key.clone());
                Vec::new()
            });
            waiting.push(RowBytes::new(rows.row(row).data()));
        }
        Ok(())
    }

    /// Emits the rows up to `time`.
    fn fire(&mut self, time: Timestamp, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        let plan = self.plan.clone();
        while let Some((at, keys)) = self.deadlines.due.pop(time) {
            for (hash, key) in keys {
                let Some(partition) = self.partitions.get_mut(hash, &key) else { continue };
                let Some(rows) = partition.waiting.remove(&at) else { continue };
                emit(output, plan.pass(partition, at, rows)?);
            }
        }
        Ok(())
    }
}

impl Plan {
    /// Whether no frame reaches back without end.
    fn is_bounded(&self) -> bool {
        let bounded = |call: &OverCall| matches!(call.frame, Frame::Rows(_) | Frame::Range(_));
        self.calls.iter().all(bounded)
    }

    fn empty(&self) -> Partition {
        let accumulator = |call: &OverCall| match &call.function {
            OverFunction::Aggregate(aggregation) => aggregation.empty(),
            _ => Accumulator::Count(0),
        };
        Partition {
            accumulators: self.calls.iter().map(accumulator).collect(),
            inside: self.calls.iter().map(|_| 0).collect(),
            ..Partition::default()
        }
    }

    /// Rows of one time go out.
    fn pass(&self, partition: &mut Partition, time: i64, rows: Vec<RowBytes>) -> Result<Chunk, BoxError> {
        let before = partition.history.len();
        partition.history.extend(rows.iter().map(|row| (time, row.clone())));
        // The history and the rows, in columns: a row's number is its place in the history.
        let columns = self.codec.decode(partition.history.iter().map(|(_, row)| &**row))?;
        let all = Chunk::additions(batch(&self.input, columns, partition.history.len())?);
        let peers = partition.last == Some(time);
        let mut results = Vec::with_capacity(self.calls.len());
        for (call, of) in self.calls.iter().enumerate() {
            results.push(match &of.function {
                OverFunction::Aggregate(aggregation) => {
                    let prepared = aggregation.prepare(&all)?;
                    self.aggregate((call, aggregation, of.frame), &prepared, partition, before)?
                }
                OverFunction::RowNumber => Arc::new(
                    (0..rows.len()).map(|row| partition.count + 1 + row as i64).collect::<Int64Array>(),
                ),
                OverFunction::Rank => {
                    let rank = if peers { partition.rank } else { partition.count + 1 };
                    Arc::new(Int64Array::from_value(rank, rows.len()))
                }
                OverFunction::DenseRank => {
                    let rank = partition.dense_rank + i64::from(!peers);
                    Arc::new(Int64Array::from_value(rank, rows.len()))
                }
                OverFunction::Lag(column, by, otherwise) => {
                    lag(&all, *column, *by, *otherwise, before, rows.len())?
                }
            });
        }
        if !peers {
            (partition.rank, partition.dense_rank) = (partition.count + 1, partition.dense_rank + 1);
        }
        (partition.count, partition.last) = (partition.count + rows.len() as i64, Some(time));
        let out = all.rows().slice(before, rows.len());
        let mut columns = out.columns()[..self.width].to_vec();
        for (result, of) in results.into_iter().zip(&self.calls) {
            columns.push(arrow::compute::cast(&result, &of.result)?);
        }
        let reach = self.reach(partition);
        let surplus = partition.history.len().saturating_sub(reach);
        partition.history.drain(..surplus);
        Ok(Chunk::additions(batch(&self.schema, columns, rows.len())?))
    }

    /// How many rows of the history are still needed.
    fn reach(&self, partition: &Partition) -> usize {
        let of_call = |(call, of): (usize, &OverCall)| match (&of.function, of.frame) {
            (OverFunction::Lag(_, by, _), _) => *by,
            (OverFunction::Aggregate(_), Frame::Rows(_) | Frame::Range(_)) => partition.inside[call] as usize,
            _ => 0,
        };
        self.calls.iter().enumerate().map(of_call).max().unwrap_or(0)
    }

    /// The results of an aggregate for the rows from `first` on.
    fn aggregate(
        &self,
        (call, aggregation, frame): (usize, &Aggregation, Frame),
        prepared: &Prepared,
        partition: &mut Partition,
        first: usize,
    ) -> Result<ArrayRef, ArrowError> {
        let Partition { history, accumulators, inside, .. } = partition;
        let (accumulator, inside) = (&mut accumulators[call], &mut inside[call]);
        let mut results = Vec::with_capacity(history.len() - first);
        let together = matches!(frame, Frame::Unbounded { range: true } | Frame::Range(_));
        if together {
            (first..history.len()).for_each(|row| aggregation.apply(prepared, row, 1, accumulator));
        }
        for row in first..history.len() {
            if !together {
                aggregation.apply(prepared, row, 1, accumulator);
            }
            match frame {
                Frame::Unbounded { .. } => {}
                Frame::Rows(preceding) => {
                    *inside += 1;
                    if *inside as usize > preceding + 1 {
                        aggregation.apply(prepared, row + 1 - *inside as usize, -1, accumulator);
                        *inside -= 1;
                    }
                }
                Frame::Range(length) if row == first => {
                    *inside += (history.len() - first) as u32;
                    let begin = history[row].0.saturating_sub(length);
                    while *inside > 0 && history[history.len() - *inside as usize].0 < begin {
                        aggregation.apply(prepared, history.len() - *inside as usize, -1, accumulator);
                        *inside -= 1;
                    }
                }
                Frame::Range(_) => {}
            }
            results.push(aggregation.results(&[accumulator])?);
        }
        concat(&results.iter().map(|result| &**result).collect::<Vec<_>>())
    }
}

/// The value of a column so many rows before each of the rows from `first` on.
pub(super) fn lag(
    all: &Chunk,
    column: usize,
    by: usize,
    otherwise: Option<usize>,
    first: usize,
    rows: usize,
) -> Result<ArrayRef, ArrowError> {
    let values = all.rows().column(column);
    let length = values.len() as u32;
    // Behind the values stand those that there are instead.
    let instead = otherwise.map(|otherwise| all.rows().column(otherwise));
    let places = (first..first + rows).map(|row| match row.checked_sub(by) {
        Some(place) => Some(place as u32),
        None => instead.map(|_| length + row as u32),
    });
    let places: arrow::array::UInt32Array = places.collect();
    match instead {
        Some(instead) => arrow::compute::take(&concat(&[values, instead])?, &places, None),
        None => arrow::compute::take(values, &places, None),
    }
}

impl Operator for Over {
    type In = Chunk;
    type Out = Chunk;

    fn is_determined(&self) -> bool {
        true
    }

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.deadlines.open(context);
        Ok(())
    }

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("partitions", &mut self.partitions);
        if self.deadlines.states(states) {
            for (key, partition) in self.partitions.iter() {
                // Rows in the order of arrival never wait, so the count begins anew above all that there were.
                self.arrived = self.arrived.max(partition.last.unwrap_or(0));
                for time in partition.waiting.keys() {
                    self.deadlines.due.add(*time, hash_of(key), key.clone());
                }
            }
        }
    }

    fn process(&mut self, batch: &mut Batch<Chunk>, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        for record in batch.records.drain(..) {
            self.add(&record.value)?;
            if self.plan.time.is_none() {
                self.fire(i64::MAX, output)?;
            }
        }
        Ok(())
    }

    fn watermark(
        &mut self,
        watermark: Timestamp,
        output: &mut Output<Chunk>,
    ) -> Result<Option<Timestamp>, BoxError> {
        self.deadlines.advance(watermark);
        if self.plan.time.is_some() {
            self.fire(watermark, output)?;
        }
        Ok(Some(watermark))
    }
}
