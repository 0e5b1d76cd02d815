//! `OVER` in an order that is not that of time: functions over the rows before each row, as they change.
//!
//! - **Rows** find their place in the order of their partition, or are taken out of it. Results of other rows may change by that: those are
//!   retracted with their old results, and added with their new ones.
//! - **Watermarks, barriers, the end**: pass.
//! - **State**: keyed, `partitions`: of each partition its rows in order.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::row::SortField;
use serde::{Deserialize, Serialize};
use thalweg_dataflow::Output;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::operator::Operator;
use thalweg_dataflow::record::Batch;
use thalweg_dataflow::state::{KeyedTable, StateTtlConfig, States};

use super::over::{Frame, OverCall, OverFunction};
use super::over_pass::lag;
use super::{Grouping, RowsOut, batch, emit};
use crate::aggregates::accumulator::Running;
use crate::chunk::Chunk;
use crate::rows::{RowBytes, RowCodec};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Partition {
    rows: BTreeMap<RowBytes, Vec<RowBytes>>,
}

/// The operator. Its page says what it does.
#[derive(Clone)]
pub struct OverTable {
    plan: Arc<Plan>,
    partitions: KeyedTable<RowBytes, Partition>,
}

struct Plan {
    partition: Vec<usize>,
    order: Vec<usize>,
    calls: Vec<OverCall>,
    key_codec: RowCodec,
    order_codec: RowCodec,
    codec: RowCodec,
    input: SchemaRef,
    width: usize,
    out_codec: RowCodec,
    schema: SchemaRef,
}

impl OverTable {
    /// Functions over partitions by the columns `partition`, in the order of the columns of `order`. The first columns of `input` come out,
    /// and the results behind them, as `schema` has them.
    ///
    /// # Errors
    /// If a column has a type that cannot be kept or ordered.
    pub fn new(
        partition: Vec<usize>,
        order: Vec<(usize, SortField)>,
        calls: Vec<OverCall>,
        input: SchemaRef,
        schema: SchemaRef,
    ) -> Result<Self, ArrowError> {
        let key_codec = RowCodec::of_columns(&input, &partition)?;
        let (order, fields): (Vec<usize>, Vec<SortField>) = order.into_iter().unzip();
        let (order_codec, codec) = (RowCodec::sorting(fields)?, RowCodec::of_schema(&input)?);
        let (out_codec, width) = (RowCodec::of_schema(&schema)?, schema.fields().len() - calls.len());
        let plan =
            Plan { partition, order, calls, key_codec, order_codec, codec, input, width, out_codec, schema };
        Ok(Self { plan: Arc::new(plan), partitions: KeyedTable::default() })
    }

    /// What is kept is forgotten when it has not been written for so long (`table.exec.state.ttl`).
    #[must_use]
    pub fn with_ttl(mut self, ttl: Option<StateTtlConfig>) -> Self {
        if let Some(ttl) = ttl {
            self.partitions = KeyedTable::with_ttl(ttl);
        }
        self
    }

    fn change(&mut self, chunk: &Chunk) -> Result<Chunk, BoxError> {
        let plan = self.plan.clone();
        let by_key = Grouping::new(chunk, &plan.partition, &plan.key_codec)?;
        let rows = plan.codec.encode(chunk.rows().columns())?;
        let order: Vec<ArrayRef> =
            plan.order.iter().map(|column| chunk.rows().column(*column).clone()).collect();
        let order = if order.is_empty() { None } else { Some(plan.order_codec.encode(&order)?) };
        let mut out = RowsOut::default();
        let mut rows_of: Vec<Vec<usize>> = vec![Vec::new(); by_key.len()];
        by_key.group_of.iter().enumerate().for_each(|(row, group)| rows_of[*group as usize].push(row));
        for (group, numbers) in rows_of.into_iter().enumerate() {
            let (hash, key) = (by_key.hashes[group], &by_key.keys[group]);
            let partition = self.partitions.entry(hash, key.clone()).or_insert_with(Partition::default);
            let before = plan.results(partition)?;
            for row in numbers {
                let place = order
                    .as_ref()
                    .map_or_else(RowBytes::default, |order| RowBytes::new(order.row(row).data()));
                let bytes = RowBytes::new(rows.row(row).data());
                if !chunk.is_retraction(row) {
                    partition.rows.entry(place).or_default().push(bytes);
                } else if let Some(known) = partition.rows.get_mut(&place) {
                    if let Some(found) = known.iter().rposition(|known| *known == bytes) {
                        known.remove(found);
                    }
                    if known.is_empty() {
                        partition.rows.remove(&place);
                    }
                }
            }
            let after = plan.results(partition)?;
            if partition.rows.is_empty() {
                self.partitions.remove(hash, key);
            }
            let mut gone: BTreeMap<&RowBytes, i64> = BTreeMap::new();
            after.iter().for_each(|row| *gone.entry(row).or_insert(0) -= 1);
            before.iter().for_each(|row| *gone.entry(row).or_insert(0) += 1);
            let mut new = gone.clone();
            for (rows, counts, is_retraction, sign) in
                [(&before, &mut gone, true, 1), (&after, &mut new, false, -1)]
            {
                for row in rows {
                    if let Some(count) = counts.get_mut(row)
                        && *count * sign > 0
                    {
                        *count -= sign;
                        out.push(row.clone(), is_retraction);
                    }
                }
            }
        }
        Ok(out.into_chunk(&plan.out_codec, &plan.schema)?)
    }
}

impl Plan {
    /// All rows of a partition in order, with their results.
    fn results(&self, partition: &Partition) -> Result<Vec<RowBytes>, ArrowError> {
        let rows: Vec<&RowBytes> = partition.rows.values().flatten().collect();
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let groups: Vec<usize> = partition.rows.values().map(Vec::len).collect();
        let columns = self.codec.decode(rows.iter().map(|row| &***row))?;
        let all = Chunk::additions(batch(&self.input, columns, rows.len())?);
        let mut columns = all.rows().columns()[..self.width].to_vec();
        for call in &self.calls {
            let result = self.call(call, &all, &groups)?;
            columns.push(cast(&result, &call.result)?);
        }
        let encoded = self.out_codec.encode(&columns)?;
        Ok(encoded.iter().map(|row| RowBytes::new(row.data())).collect())
    }

    /// The results of a call for all rows, of which so many, in turn, are equal in the order.
    fn call(&self, call: &OverCall, all: &Chunk, groups: &[usize]) -> Result<ArrayRef, ArrowError> {
        let numbers = |number: &dyn Fn(usize, usize, usize) -> i64| {
            let (mut values, mut before) = (Vec::with_capacity(all.len()), 0);
            for (group, length) in groups.iter().enumerate() {
                values.extend((0..*length).map(|index| number(group, before, index)));
                before += length;
            }
            Arc::new(Int64Array::from(values)) as ArrayRef
        };
        match &call.function {
            OverFunction::RowNumber => Ok(numbers(&|_, before, index| (before + index + 1) as i64)),
            OverFunction::Rank => Ok(numbers(&|_, before, _| before as i64 + 1)),
            OverFunction::DenseRank => Ok(numbers(&|group, _, _| group as i64 + 1)),
            OverFunction::Lag(column, by, otherwise) => {
                let before = |row: usize| row.checked_sub(*by).map(|place| place as u32);
                let places = (0..all.len()).map(|row| (row as u32, before(row)));
                lag(all, *column, *otherwise, places)
            }
            OverFunction::Aggregate(aggregation) => {
                let prepared = aggregation.prepare(all)?;
                let (mut accumulator, mut results, mut first) = (aggregation.empty(), Running::default(), 0);
                for length in groups {
                    let together = matches!(call.frame, Frame::Unbounded { range: true });
                    if together {
                        (first..first + length)
                            .for_each(|row| aggregation.apply(&prepared, row, 1, &mut accumulator));
                    }
                    for row in first..first + length {
                        if !together {
                            aggregation.apply(&prepared, row, 1, &mut accumulator);
                        }
                        if let Frame::Rows(preceding) = call.frame
                            && row > preceding
                        {
                            aggregation.apply(&prepared, row - preceding - 1, -1, &mut accumulator);
                        }
                        results.push(aggregation, &accumulator, 1)?;
                    }
                    first += length;
                }
                results.finish(aggregation)
            }
        }
    }
}

impl Operator for OverTable {
    type In = Chunk;
    type Out = Chunk;

    fn is_determined(&self) -> bool {
        true
    }

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("partitions", &mut self.partitions);
    }

    fn process(&mut self, batch: &mut Batch<Chunk>, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        for record in batch.records.drain(..) {
            emit(output, self.change(&record.value)?);
        }
        Ok(())
    }
}
