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

use arrow::array::Array;
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
use super::over_pass::Passing;
use super::{Grouping, emit, millis};
use crate::aggregates::Aggregation;
use crate::aggregates::accumulator::Accumulator;
use crate::chunk::Chunk;
use crate::rows::{RowBytes, RowCodec};

/// So many rows go out in a chunk, and a few more.
const CHUNK: usize = 1024;

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
pub(super) struct Partition {
    /// By time, rows that the watermark has not reached yet.
    pub(super) waiting: BTreeMap<i64, Vec<RowBytes>>,
    /// The latest rows that went out, as far as frames reach back.
    pub(super) history: VecDeque<(i64, RowBytes)>,
    pub(super) accumulators: SmallVec<[Accumulator; 2]>,
    /// For each call, how many of the rows of the history its accumulator holds, if its frame begins somewhere.
    pub(super) inside: SmallVec<[u32; 2]>,
    /// How many rows went out; the rank of the last, dense and not; its time.
    pub(super) count: i64,
    pub(super) rank: i64,
    pub(super) dense_rank: i64,
    pub(super) last: Option<i64>,
}

/// The operator. Its page says what it does.
#[derive(Clone)]
pub struct Over {
    plan: Arc<Plan>,
    partitions: KeyedTable<RowBytes, Partition>,
    deadlines: Deadlines,
    arrived: i64,
}

pub(super) struct Plan {
    partition: Vec<usize>,
    /// The column of event time; without it, rows are in the order in which they come.
    time: Option<usize>,
    pub(super) calls: Vec<OverCall>,
    key_codec: RowCodec,
    pub(super) codec: RowCodec,
    pub(super) input: SchemaRef,
    /// So many columns come out, and the results behind them.
    pub(super) width: usize,
    pub(super) schema: SchemaRef,
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
        let mut passing = Passing::new(&plan);
        while let Some((at, keys)) = self.deadlines.due.pop(time) {
            for (hash, key) in keys {
                let Some(partition) = self.partitions.get_mut(hash, &key) else { continue };
                let Some(rows) = partition.waiting.remove(&at) else { continue };
                passing.add(&plan, (hash, key), partition, at, rows);
                if passing.len() >= CHUNK {
                    let full = std::mem::replace(&mut passing, Passing::new(&plan));
                    emit(output, full.into_chunk(&plan, &mut self.partitions)?);
                }
            }
        }
        if passing.len() > 0 {
            emit(output, passing.into_chunk(&plan, &mut self.partitions)?);
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

    /// How many rows of the history are still needed.
    pub(super) fn reach(&self, partition: &Partition) -> usize {
        let of_call = |(call, of): (usize, &OverCall)| match (&of.function, of.frame) {
            (OverFunction::Lag(_, by, _), _) => *by,
            (OverFunction::Aggregate(_), Frame::Rows(_) | Frame::Range(_)) => partition.inside[call] as usize,
            _ => 0,
        };
        self.calls.iter().enumerate().map(of_call).max().unwrap_or(0)
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
