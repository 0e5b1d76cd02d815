//! Rows of many partitions that go out of [`Over`](super::Over) together: what happens to which accumulator is written down row by row, and
//! done a column at a time.

use arrow::array::{Array, ArrayRef, Int64Array, UInt32Array};
use arrow::compute::{cast, concat, take};
use arrow::error::ArrowError;
use smallvec::SmallVec;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::state::KeyedTable;

use super::batch;
use super::over::{Frame, OverCall, OverFunction, Partition, Plan};
use crate::aggregates::Aggregation;
use crate::aggregates::accumulator::{Prepared, Running};
use crate::chunk::Chunk;
use crate::rows::RowBytes;

/// What happens to an accumulator; rows are named by their places in the table.
#[derive(Clone, Copy)]
enum Step {
    Add(u32),
    Take(u32),
    /// So many rows have what it comes to now.
    Tell(u32),
}

/// What a call has to do.
enum Work {
    Steps(Vec<Step>),
    Numbers(Vec<i64>),
    /// Of each row the one whose value it has.
    Places(Vec<Option<u32>>),
}

/// Rows of one time of one partition.
struct Turn {
    partition: (u64, RowBytes),
    /// Where the steps of each call end.
    ends: SmallVec<[u32; 2]>,
}

/// Rows that go out together.
pub(super) struct Passing {
    turns: Vec<Turn>,
    /// All rows that are looked at: those that go out, and those that leave a frame or stood before it.
    table: Vec<RowBytes>,
    /// The places of those that go out.
    out: Vec<u32>,
    work: Vec<Work>,
}

impl Passing {
    pub(super) fn new(plan: &Plan) -> Self {
        let work = |call: &OverCall| match call.function {
            OverFunction::Aggregate(_) => Work::Steps(Vec::new()),
            OverFunction::Lag(..) => Work::Places(Vec::new()),
            _ => Work::Numbers(Vec::new()),
        };
        let work = plan.calls.iter().map(work).collect();
        Self { turns: Vec::new(), table: Vec::new(), out: Vec::new(), work }
    }

    /// The number of rows that go out.
    pub(super) fn len(&self) -> usize {
        self.out.len()
    }

    /// Rows of one time of a partition go out next.
    pub(super) fn add(
        &mut self,
        plan: &Plan,
        key: (u64, RowBytes),
        partition: &mut Partition,
        time: i64,
        rows: Vec<RowBytes>,
    ) {
        let (first, count) = (self.table.len() as u32, rows.len());
        let before = partition.history.len();
        partition.history.extend(rows.iter().map(|row| (time, row.clone())));
        self.table.extend(rows);
        self.out.extend(first..first + count as u32);
        let peers = partition.last == Some(time);
        let (table, mut ends) = (&mut self.table, SmallVec::new());
        // The place in the table of a row of the history.
        let mut place =
            |history: &std::collections::VecDeque<(i64, RowBytes)>, at: usize| match at.checked_sub(before) {
                Some(new) => first + new as u32,
                None => {
                    table.push(history[at].1.clone());
                    table.len() as u32 - 1
                }
            };
        for (call, (of, work)) in plan.calls.iter().zip(&mut self.work).enumerate() {
            match (work, &of.function) {
                (Work::Steps(steps), _) => {
                    frame_steps(of.frame, partition, call, (before, first), &mut place, steps);
                    ends.push(steps.len() as u32);
                }
                (Work::Places(places), OverFunction::Lag(_, by, _)) => {
                    let rows = before..before + count;
                    places
                        .extend(rows.map(|row| row.checked_sub(*by).map(|at| place(&partition.history, at))));
                }
                (Work::Numbers(numbers), function) => {
                    let rank = match function {
                        OverFunction::Rank if peers => partition.rank,
                        OverFunction::DenseRank => partition.dense_rank + i64::from(!peers),
                        _ => partition.count + 1,
                    };
                    let counts = i64::from(matches!(function, OverFunction::RowNumber));
                    numbers.extend((0..count as i64).map(|row| rank + row * counts));
                }
                (Work::Places(_), _) => {}
            }
        }
        if !peers {
            (partition.rank, partition.dense_rank) = (partition.count + 1, partition.dense_rank + 1);
        }
        (partition.count, partition.last) = (partition.count + count as i64, Some(time));
        let surplus = partition.history.len().saturating_sub(plan.reach(partition));
        partition.history.drain(..surplus);
        self.turns.push(Turn { partition: key, ends });
    }

    /// The rows, with the results of each call behind their columns.
    pub(super) fn into_chunk(
        self,
        plan: &Plan,
        partitions: &mut KeyedTable<RowBytes, Partition>,
    ) -> Result<Chunk, BoxError> {
        let Self { turns, table, out, work } = self;
        let columns = plan.codec.decode(table.iter().map(|row| &**row))?;
        let all = Chunk::additions(batch(&plan.input, columns, table.len())?);
        let out = UInt32Array::from(out);
        let own = all.rows().columns()[..plan.width].iter();
        let mut columns = match out.len() == all.len() {
            true => own.cloned().collect(),
            false => own.map(|column| take(column, &out, None)).collect::<Result<Vec<_>, _>>()?,
        };
        let mut aggregates = 0;
        for (call, (of, work)) in plan.calls.iter().zip(work).enumerate() {
            let result: ArrayRef = match (work, &of.function) {
                (Work::Numbers(numbers), _) => std::sync::Arc::new(Int64Array::from(numbers)),
                (Work::Places(places), OverFunction::Lag(column, _, otherwise)) => {
                    lag(&all, *column, *otherwise, out.values().iter().copied().zip(places))?
                }
                (Work::Steps(steps), OverFunction::Aggregate(aggregation)) => {
                    let (prepared, mut results, mut begin) =
                        (aggregation.prepare(&all)?, Running::default(), 0);
                    for turn in &turns {
                        let (hash, key) = &turn.partition;
                        let end = turn.ends[aggregates] as usize;
                        if let Some(partition) = partitions.get_mut(*hash, key) {
                            let accumulator = &mut partition.accumulators[call];
                            follow(&steps[begin..end], aggregation, &prepared, accumulator, &mut results)?;
                        }
                        begin = end;
                    }
                    aggregates += 1;
                    results.finish(aggregation)?
                }
                _ => continue,
            };
            columns.push(cast(&result, &of.result)?);
        }
        Ok(Chunk::additions(batch(&plan.schema, columns, out.len())?))
    }
}

/// What the rows of the history from `before` on do to the accumulator of a call; the first of them is at `first` in the table.
fn frame_steps(
    frame: Frame,
    partition: &mut Partition,
    call: usize,
    (before, first): (usize, u32),
    place: &mut impl FnMut(&std::collections::VecDeque<(i64, RowBytes)>, usize) -> u32,
    steps: &mut Vec<Step>,
) {
    let Partition { history, inside, .. } = partition;
    let (inside, count) = (&mut inside[call], (history.len() - before) as u32);
    let rows = first..first + count;
    match frame {
        Frame::Unbounded { range: true } => {
            steps.extend(rows.map(Step::Add));
            steps.push(Step::Tell(count));
        }
        Frame::Unbounded { range: false } => {
            steps.extend(rows.flat_map(|row| [Step::Add(row), Step::Tell(1)]));
        }
        Frame::Rows(preceding) => {
            for (index, row) in rows.enumerate() {
                steps.push(Step::Add(row));
                *inside += 1;
                if *inside as usize > preceding + 1 {
                    let gone = before + index + 1 - *inside as usize;
                    steps.push(Step::Take(place(history, gone)));
                    *inside -= 1;
                }
                steps.push(Step::Tell(1));
            }
        }
        Frame::Range(length) => {
            steps.extend(rows.map(Step::Add));
            *inside += count;
            let begin = history[before].0.saturating_sub(length);
            while *inside > 0 && history[history.len() - *inside as usize].0 < begin {
                steps.push(Step::Take(place(history, history.len() - *inside as usize)));
                *inside -= 1;
            }
            steps.push(Step::Tell(count));
        }
    }
}

fn follow(
    steps: &[Step],
    aggregation: &Aggregation,
    prepared: &Prepared,
    accumulator: &mut crate::aggregates::Accumulator,
    results: &mut Running,
) -> Result<(), ArrowError> {
    for step in steps {
        match *step {
            Step::Add(row) => aggregation.apply(prepared, row as usize, 1, accumulator),
            Step::Take(row) => aggregation.apply(prepared, row as usize, -1, accumulator),
            Step::Tell(times) => results.push(aggregation, accumulator, times as usize)?,
        }
    }
    Ok(())
}

/// Of each of these rows the value of a column in another row, and where there is no other what the column `otherwise` has.
pub(super) fn lag(
    all: &Chunk,
    column: usize,
    otherwise: Option<usize>,
    rows: impl Iterator<Item = (u32, Option<u32>)>,
) -> Result<ArrayRef, ArrowError> {
    let values = all.rows().column(column);
    let length = values.len() as u32;
    // Behind the values stand those that there are instead.
    let instead = otherwise.map(|otherwise| all.rows().column(otherwise));
    let places: UInt32Array =
        rows.map(|(row, other)| other.or_else(|| instead.map(|_| length + row))).collect();
    match instead {
        Some(instead) => take(&concat(&[values, instead])?, &places, None),
        None => take(values, &places, None),
    }
}
