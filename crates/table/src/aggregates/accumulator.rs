//! Aggregates at work: accumulators, one for each group and call, which take values and take them back.
//!
//! A chunk is added a column at a time: first somebody has found the group of every row, then each call goes over its column once.
//!
//! | function | what is kept | if values can be taken back |
//! |---|---|---|
//! | `COUNT`, `SUM`, `AVG` | count, sum and count | the same |
//! | `VAR…`, `STDDEV…` | count, sum, sum of squares | the same |
//! | `MIN`, `MAX` | the best value | all values in order, with counts |
//! | `FIRST_VALUE`, `LAST_VALUE` | that value | all values as they came |
//! | `LISTAGG`, `ARRAY_AGG`, `JSON_…AGG` | all values as they came | the same |
//! | a function of a [user](super::user) | what it keeps | the same |
//! | `PERCENTILE`, `COLLECT` | all values in order, with counts | the same |
//! | whatever is `DISTINCT` | all values, with counts | the same |

mod distinct;
mod partial;
mod results;
mod running;

pub use distinct::Distinct;
pub use partial::Partial;
pub use running::Running;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::Function;
use super::numbers::{Numbers, halves, joined};
use super::user::UserAggregate;
use crate::chunk::Chunk;
use crate::rows::{RowBytes, RowCodec};

/// What one call has gathered for one group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Accumulator {
    /// A number of rows.
    Count(i64),
    /// A sum of whole numbers, which overflows as Java's does, and their number.
    Int(i64, i64),
    /// A sum of floating point numbers, and their number.
    Float(f64, i64),
    /// A sum of decimals' digits, upper and lower half, and their number.
    Decimal(i64, u64, i64),
    /// Number, sum, sum of squares.
    Moments(i64, f64, f64),
    /// The one value that counts so far.
    One(Option<RowBytes>),
    /// Values in order, with counts.
    Counted(BTreeMap<RowBytes, i64>),
    /// Values as they came.
    List(Vec<RowBytes>),
    /// What a function of a user keeps.
    Made(RowBytes),
    /// Values that count once each.
    Distinct(Distinct),
}

/// The arguments of a call in all rows of a chunk.
pub struct Prepared {
    /// The rows that count; all, if it is absent.
    valid: Option<NullBuffer>,
    input: Input,
}

enum Input {
    Nothing,
    Numbers(Numbers),
    Rows(arrow::row::Rows),
    /// Of a function of a user.
    Columns(Vec<ArrayRef>),
    /// Partial results.
    Merged(partial::Merged),
}

/// The accumulators of one group, one for each call.
pub type Group = SmallVec<[Accumulator; 2]>;

/// One call of an aggregate function, over columns of its input.
pub struct Aggregation {
    /// The function.
    pub function: Function,
    arguments: Vec<usize>,
    filter: Option<usize>,
    distinct: bool,
    retracts: bool,
    types: Vec<DataType>,
    result: DataType,
    codec: RowCodec,
    separator: String,
    fractions: Vec<f64>,
    user: Option<Arc<dyn UserAggregate>>,
    /// Where the columns of partial results begin, if those are what comes in.
    merges: Option<usize>,
}

impl Aggregation {
    /// A call over the columns `arguments`, for rows in which the column `filter` is true. `retracts` says whether values may be taken
    /// back.
    ///
    /// # Errors
    /// If values of such a type cannot be kept.
    pub fn new(
        function: Function,
        arguments: Vec<usize>,
        filter: Option<usize>,
        distinct: bool,
        retracts: bool,
        types: Vec<DataType>,
    ) -> Result<Self, ArrowError> {
        use Function::{FirstValue, LastValue, Max, Min};
        let result = function.result(&types);
        let codec = RowCodec::new(&types)?;
        // The best of all is the best of each.
        let distinct = distinct && !matches!(function, Min | Max | FirstValue | LastValue);
        let separator = ",".to_owned();
        let fractions = Vec::new();
        Ok(Self {
            function,
            arguments,
            filter,
            distinct,
            retracts,
            types,
            result,
            codec,
            separator,
            fractions,
            user: None,
            merges: None,
        })
    }

    /// The function of a user that this is a call of.
    #[must_use]
    pub(crate) fn of_user(mut self, function: Arc<dyn UserAggregate>) -> Self {
        self.result = function.result();
        self.user = Some(function);
        self
    }

    /// The fractions of a `PERCENTILE`, which gives an array if they stood in one.
    #[must_use]
    pub fn at(mut self, fractions: Vec<f64>, result: DataType) -> Self {
        (self.fractions, self.result) = (fractions, result);
        self
    }

    /// What stands between the values of a `LISTAGG`; a comma unless it is set.
    #[must_use]
    pub fn separated_by(mut self, separator: &str) -> Self {
        separator.clone_into(&mut self.separator);
        self
    }

    /// The type of the result.
    pub fn result_type(&self) -> &DataType {
        &self.result
    }

    /// Of no value.
    pub fn empty(&self) -> Accumulator {
        use Function as F;
        match self.function {
            F::ListAgg | F::ArrayAgg | F::JsonObjectAgg { .. } | F::JsonArrayAgg { .. } => {
                Accumulator::List(Vec::new())
            }
            F::Collect | F::Percentile => Accumulator::Counted(BTreeMap::new()),
            F::User if self.distinct => Accumulator::Distinct(Distinct::default()),
            F::User => Accumulator::Made(self.user.as_ref().map(|user| user.empty()).unwrap_or_default()),
            _ if self.distinct => Accumulator::Distinct(Distinct::default()),
            F::Count => Accumulator::Count(0),
            F::Sum | F::Sum0 | F::Avg => match &self.types[0] {
                DataType::Decimal128(..) => Accumulator::Decimal(0, 0, 0),
                of if of.is_floating() => Accumulator::Float(0.0, 0),
                _ => Accumulator::Int(0, 0),
            },
            F::VarPop | F::VarSamp | F::StddevPop | F::StddevSamp => Accumulator::Moments(0, 0.0, 0.0),
            F::Min | F::Max if self.retracts => Accumulator::Counted(BTreeMap::new()),
            F::FirstValue | F::LastValue if self.retracts => Accumulator::List(Vec::new()),
            F::Min | F::Max | F::FirstValue | F::LastValue => Accumulator::One(None),
        }
    }

    /// Adds the rows of `chunk`, or takes them back: `group_of` has the group of each row, and this call is number `call` of its group.
    ///
    /// # Errors
    /// If the columns have other types.
    pub fn update(
        &self,
        call: usize,
        groups: &mut [Group],
        group_of: &[u32],
        chunk: &Chunk,
    ) -> Result<(), ArrowError> {
        let prepared = self.prepare(chunk)?;
        if let (Some(user), Input::Columns(columns)) = (&self.user, &prepared.input) {
            // What is kept of a group is read and written once for all of its rows.
            let mut of_groups: Vec<Vec<(usize, i64)>> = vec![Vec::new(); groups.len()];
            for (row, group) in group_of.iter().enumerate() {
                if prepared.valid.as_ref().is_none_or(|valid| valid.is_valid(row)) {
                    of_groups[*group as usize].push((row, chunk.sign(row)));
                }
            }
            for (group, rows) in groups.iter_mut().zip(of_groups) {
                if let (Accumulator::Made(bytes), false) = (&mut group[call], rows.is_empty()) {
                    user.update(bytes, columns, &mut rows.into_iter())?;
                }
            }
            return Ok(());
        }
        for (row, group) in group_of.iter().enumerate() {
            self.apply(&prepared, row, chunk.sign(row), &mut groups[*group as usize][call]);
        }
        Ok(())
    }

    /// Makes the arguments of all rows of a chunk ready to be added.
    ///
    /// # Errors
    /// If the columns have other types.
    pub fn prepare(&self, chunk: &Chunk) -> Result<Prepared, ArrowError> {
        if let Some(place) = self.merges {
            return Ok(Prepared { valid: None, input: Input::Merged(self.merged(place, chunk)?) });
        }
        let columns: Vec<ArrayRef> =
            self.arguments.iter().map(|column| chunk.rows().column(*column).clone()).collect();
        let valid = self.counting(&columns, chunk);
        let input = match self.empty() {
            Accumulator::Count(_) => Input::Nothing,
            Accumulator::Int(..) | Accumulator::Float(..) | Accumulator::Decimal(..) => {
                Input::Numbers(Numbers::of(&columns[0])?)
            }
            Accumulator::Moments(..) => Input::Numbers(Numbers::Float(Numbers::floats(&columns[0])?)),
            Accumulator::One(_)
            | Accumulator::Counted(_)
            | Accumulator::List(_)
            | Accumulator::Distinct(_) => Input::Rows(self.codec.encode(&columns)?),
            Accumulator::Made(_) => match &self.user {
                Some(user) => Input::Columns(user.prepare(&columns)?),
                None => return Err(not_kept()),
            },
        };
        Ok(Prepared { valid, input })
    }

    /// Adds one row of a chunk, or takes it back (`sign` is −1).
    #[inline]
    pub fn apply(&self, prepared: &Prepared, row: usize, sign: i64, accumulator: &mut Accumulator) {
        if prepared.valid.as_ref().is_some_and(|valid| valid.is_null(row)) {
            return;
        }
        match (accumulator, &prepared.input) {
            (accumulator, Input::Merged(merged)) => partial::merge_row(merged, row, accumulator),
            (Accumulator::Count(count), _) => *count += sign,
            (Accumulator::Int(sum, count), Input::Numbers(Numbers::Int(of))) => {
                *sum = sum.wrapping_add(of.value(row).wrapping_mul(sign));
                *count += sign;
            }
            (Accumulator::Float(sum, count), Input::Numbers(Numbers::Float(of))) => {
                *sum += of.value(row) * sign as f64;
                *count += sign;
            }
            (Accumulator::Decimal(high, low, count), Input::Numbers(Numbers::Decimal(of))) => {
                let sum = joined(*high, *low).wrapping_add(of.value(row) * i128::from(sign));
                (*high, *low) = halves(sum);
                *count += sign;
            }
            (Accumulator::Moments(count, sum, squares), Input::Numbers(Numbers::Float(of))) => {
                let (value, by) = (of.value(row), sign as f64);
                *count += sign;
                *sum += value * by;
                *squares += value * value * by;
            }
            (Accumulator::Made(bytes), Input::Columns(columns)) => {
                if let Some(user) = &self.user {
                    // It has been read before; if not, results say so.
                    let _ = user.update(bytes, columns, &mut std::iter::once((row, sign)));
                }
            }
            (accumulator, Input::Rows(rows)) => self.keep(accumulator, rows.row(row).data(), sign),
            _ => {}
        }
    }

    /// The rows that count: those that pass the filter, and in which no argument is NULL.
    fn counting(&self, columns: &[ArrayRef], chunk: &Chunk) -> Option<NullBuffer> {
        let mut valid = None;
        // Those that count NULL, too, look at the others: the key of a pair.
        let looked_at = match self.function {
            Function::ArrayAgg | Function::JsonArrayAgg { nulls: true } | Function::User => 0,
            Function::JsonObjectAgg { nulls: true } => 1,
            _ => columns.len(),
        };
        if looked_at > 0 {
            for column in &columns[..looked_at.min(columns.len())] {
                valid = NullBuffer::union(valid.as_ref(), column.logical_nulls().as_ref());
            }
        }
        if let Some(filter) = self.filter {
            let filter: &BooleanArray = chunk.rows().column(filter).as_boolean();
            let passes = match filter.nulls() {
                Some(nulls) => filter.values() & nulls.inner(),
                None => filter.values().clone(),
            };
            valid = NullBuffer::union(valid.as_ref(), Some(&NullBuffer::new(passes)));
        }
        valid
    }

    /// Whether of two values, as bytes, that counts which comes later.
    #[inline]
    fn is_better(&self, value: &[u8], before: Option<&[u8]>) -> bool {
        match (self.function, before) {
            (_, None) => true,
            (Function::Min, Some(before)) => value < before,
            (Function::Max, Some(before)) => value > before,
            (function, Some(_)) => function == Function::LastValue,
        }
    }

    /// Adds one value to those that are kept, or takes it back.
    fn keep(&self, accumulator: &mut Accumulator, value: &[u8], sign: i64) {
        match accumulator {
            Accumulator::One(one) if self.is_better(value, one.as_deref()) => {
                *one = Some(RowBytes::new(value));
            }
            Accumulator::Counted(values) => count(values, RowBytes::new(value), sign),
            Accumulator::Distinct(values) => values.add(RowBytes::new(value), sign),
            Accumulator::List(values) if sign > 0 => values.push(RowBytes::new(value)),
            Accumulator::List(values) => {
                // Of equal ones that which came first.
                if let Some(place) = values.iter().position(|kept| **kept == *value) {
                    values.remove(place);
                }
            }
            _ => {}
        }
    }

    /// Adds what `other` has gathered.
    pub fn merge(&self, into: &mut Accumulator, other: Accumulator) {
        use Accumulator as A;
        match (into, other) {
            (A::Count(a), A::Count(b)) => *a += b,
            (A::Int(sum, count), A::Int(more, by)) => {
                (*sum, *count) = (sum.wrapping_add(more), *count + by);
            }
            (A::Float(sum, count), A::Float(more, by)) => (*sum, *count) = (*sum + more, *count + by),
            (A::Decimal(high, low, count), A::Decimal(more, rest, by)) => {
                (*high, *low) = halves(joined(*high, *low).wrapping_add(joined(more, rest)));
                *count += by;
            }
            (A::Moments(count, sum, squares), A::Moments(by, more, square)) => {
                (*count, *sum, *squares) = (*count + by, *sum + more, *squares + square);
            }
            (one @ A::One(_), A::One(Some(other))) => self.keep(one, &other, 1),
            (A::Counted(values), A::Counted(others)) => {
                others.into_iter().for_each(|(value, by)| count(values, value, by));
            }
            (A::List(values), A::List(others)) => values.extend(others),
            (A::Distinct(values), A::Distinct(others)) => values.merge(others),
            _ => {}
        }
    }
}

fn count(values: &mut BTreeMap<RowBytes, i64>, value: RowBytes, by: i64) {
    use std::collections::btree_map::Entry;
    match values.entry(value) {
        Entry::Vacant(entry) => drop(entry.insert(by)),
        Entry::Occupied(mut entry) => {
            *entry.get_mut() += by;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

#[cold]
fn not_kept() -> ArrowError {
    ArrowError::ComputeError("an aggregate finds other state than it keeps; this is a bug in Thalweg".into())
}
