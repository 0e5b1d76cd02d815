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
//! | `PERCENTILE`, `COLLECT`, and whatever is `DISTINCT` | all values in order, with counts | the same |

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float64Array, Int32Array, Int64Array, ListArray,
    MapArray, StringBuilder, StructArray, UInt32Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{cast, concat, take};
use arrow::datatypes::{DataType, Int8Type, Int16Type, Int32Type};
use arrow::error::ArrowError;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::Function;
use super::numbers::{Numbers, divide_half_up, halves, joined, power_of_ten};
use super::user::UserAggregate;
use crate::chunk::Chunk;
use crate::functions::{json_of, object};
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
            F::User => Accumulator::Made(self.user.as_ref().map(|user| user.empty()).unwrap_or_default()),
            _ if self.distinct => Accumulator::Counted(BTreeMap::new()),
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
        let columns: Vec<ArrayRef> =
            self.arguments.iter().map(|column| chunk.rows().column(*column).clone()).collect();
        let valid = self.counting(&columns, chunk);
        let input = match self.empty() {
            Accumulator::Count(_) => Input::Nothing,
            Accumulator::Int(..) | Accumulator::Float(..) | Accumulator::Decimal(..) => {
                Input::Numbers(Numbers::of(&columns[0])?)
            }
            Accumulator::Moments(..) => Input::Numbers(Numbers::Float(Numbers::floats(&columns[0])?)),
            Accumulator::One(_) | Accumulator::Counted(_) | Accumulator::List(_) => {
                Input::Rows(self.codec.encode(&columns)?)
            }
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

    /// Adds one value to those that are kept, or takes it back.
    fn keep(&self, accumulator: &mut Accumulator, value: &[u8], sign: i64) {
        match accumulator {
            Accumulator::One(one) => {
                let better = match (self.function, &one) {
                    (_, None) => true,
                    (Function::Min, Some(one)) => value < &**one,
                    (Function::Max, Some(one)) => value > &**one,
                    (function, Some(_)) => function == Function::LastValue,
                };
                if better {
                    *one = Some(RowBytes::new(value));
                }
            }
            Accumulator::Counted(values) => count(values, RowBytes::new(value), sign),
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
            _ => {}
        }
    }

    /// The results of these accumulators of this call, as a column.
    ///
    /// # Errors
    /// If what was kept cannot be read.
    pub fn results(&self, of: &[&Accumulator]) -> Result<ArrayRef, ArrowError> {
        use Function as F;
        match self.function {
            F::Count => {
                let counts = of.iter().map(|accumulator| match accumulator {
                    Accumulator::Count(count) => *count,
                    Accumulator::Counted(values) => {
                        values.values().filter(|count| **count > 0).count() as i64
                    }
                    _ => 0,
                });
                Ok(Arc::new(counts.collect::<Int64Array>()))
            }
            F::Min | F::Max | F::FirstValue | F::LastValue => self.ones(of),
            F::ListAgg => self.joined_texts(of),
            F::ArrayAgg => self.arrays(of),
            F::Collect => self.multisets(of),
            F::JsonObjectAgg { .. } | F::JsonArrayAgg { .. } => self.json(of),
            F::Percentile => self.percentiles(of),
            F::User => {
                let Some(user) = &self.user else { return Err(not_kept()) };
                let mut kept = of.iter().filter_map(|accumulator| match accumulator {
                    Accumulator::Made(bytes) => Some(bytes),
                    _ => None,
                });
                user.results(&mut kept)
            }
            _ if self.distinct => self.of_distinct(of),
            F::Sum | F::Sum0 | F::Avg => self.sums(of),
            F::VarPop | F::VarSamp | F::StddevPop | F::StddevSamp => {
                let values: Float64Array = of.iter().map(|accumulator| self.spread(accumulator)).collect();
                cast(&values, &self.result)
            }
        }
    }

    fn sums(&self, of: &[&Accumulator]) -> Result<ArrayRef, ArrowError> {
        let (average, zero) = (self.function == Function::Avg, self.function == Function::Sum0);
        if let (DataType::Decimal128(precision, scale), DataType::Decimal128(_, from)) =
            (&self.result, &self.types[0])
        {
            let limit = power_of_ten(u32::from(*precision));
            let wider = power_of_ten((scale - from).max(0) as u32);
            let values = of.iter().map(|accumulator| match accumulator {
                Accumulator::Decimal(_, _, 0) => zero.then_some(0),
                Accumulator::Decimal(high, low, count) => {
                    let sum = joined(*high, *low).checked_mul(wider)?;
                    Some(if average { divide_half_up(sum, i128::from(*count)) } else { sum })
                        .filter(|value| value.abs() < limit)
                }
                _ => None,
            });
            let values: Decimal128Array = values.collect();
            return Ok(Arc::new(values.with_precision_and_scale(*precision, *scale)?));
        }
        if self.result.is_floating() {
            let values = of.iter().map(|accumulator| match accumulator {
                Accumulator::Float(_, 0) => zero.then_some(0.0),
                Accumulator::Float(sum, count) => Some(if average { sum / *count as f64 } else { *sum }),
                _ => None,
            });
            return cast(&values.collect::<Float64Array>(), &self.result);
        }
        let values = of.iter().map(|accumulator| match accumulator {
            Accumulator::Int(_, 0) => zero.then_some(0),
            Accumulator::Int(sum, count) => Some(if average { sum / count } else { *sum }),
            _ => None,
        });
        let values: Int64Array = values.collect();
        // What overflows wraps around, in the type of the result.
        Ok(match self.result {
            DataType::Int8 => Arc::new(values.unary::<_, Int8Type>(|n| n as i8)),
            DataType::Int16 => Arc::new(values.unary::<_, Int16Type>(|n| n as i16)),
            DataType::Int32 => Arc::new(values.unary::<_, Int32Type>(|n| n as i32)),
            _ => Arc::new(values),
        })
    }

    fn spread(&self, accumulator: &Accumulator) -> Option<f64> {
        let Accumulator::Moments(count, sum, squares) = accumulator else { return None };
        let sample = matches!(self.function, Function::VarSamp | Function::StddevSamp);
        let n = *count as f64;
        let by = if sample { n - 1.0 } else { n };
        if by <= 0.0 {
            return None;
        }
        let variance = ((squares - sum * sum / n) / by).max(0.0);
        let root = matches!(self.function, Function::StddevPop | Function::StddevSamp);
        Some(if root { variance.sqrt() } else { variance })
    }

    /// One of the values that are kept, for each.
    fn ones(&self, of: &[&Accumulator]) -> Result<ArrayRef, ArrowError> {
        let one = |accumulator: &&Accumulator| -> Option<RowBytes> {
            match (accumulator, self.function) {
                (Accumulator::One(one), _) => one.clone(),
                (Accumulator::Counted(values), Function::Max) => {
                    values.iter().rev().find(|(_, count)| **count > 0).map(|(value, _)| value.clone())
                }
                (Accumulator::Counted(values), _) => {
                    values.iter().find(|(_, count)| **count > 0).map(|(value, _)| value.clone())
                }
                (Accumulator::List(values), Function::LastValue) => values.last().cloned(),
                (Accumulator::List(values), _) => values.first().cloned(),
                _ => None,
            }
        };
        let ones: Vec<Option<RowBytes>> = of.iter().map(one).collect();
        let values = self.codec.decode(ones.iter().flatten().map(|value| &**value))?.remove(0);
        let mut next = 0_u32;
        let places: UInt32Array = ones
            .iter()
            .map(|one| {
                one.as_ref().map(|_| {
                    next += 1;
                    next - 1
                })
            })
            .collect();
        take(&values, &places, None)
    }

    /// The values of a list, each once if they are to be distinct.
    fn listed<'a>(&self, accumulator: &'a Accumulator) -> Vec<&'a RowBytes> {
        let Accumulator::List(values) = accumulator else { return Vec::new() };
        let mut listed: Vec<&RowBytes> = Vec::with_capacity(values.len());
        for value in values {
            if !self.distinct || !listed.contains(&value) {
                listed.push(value);
            }
        }
        listed
    }

    fn joined_texts(&self, of: &[&Accumulator]) -> Result<ArrayRef, ArrowError> {
        let mut texts = StringBuilder::new();
        for accumulator in of {
            let values = self.listed(accumulator);
            if values.is_empty() {
                texts.append_null();
                continue;
            }
            let column = self.codec.decode(values.iter().map(|value| &***value))?.remove(0);
            let mut parts = column.as_string::<i32>().iter().flatten();
            let mut text = parts.next().unwrap_or_default().to_owned();
            for part in parts {
                text.push_str(&self.separator);
                text.push_str(part);
            }
            texts.append_value(text);
        }
        Ok(Arc::new(texts.finish()))
    }

    fn arrays(&self, of: &[&Accumulator]) -> Result<ArrayRef, ArrowError> {
        let DataType::List(item) = &self.result else { return Err(not_kept()) };
        let lists: Vec<Vec<&RowBytes>> = of.iter().map(|accumulator| self.listed(accumulator)).collect();
        let values = self.codec.decode(lists.iter().flatten().map(|value| &***value))?.remove(0);
        let offsets = OffsetBuffer::from_lengths(lists.iter().map(Vec::len));
        // Of no row there is no array, as of no row there is no sum.
        let valid: NullBuffer = lists.iter().map(|list| !list.is_empty()).collect();
        Ok(Arc::new(ListArray::try_new(item.clone(), offsets, values, Some(valid))?))
    }

    /// The values of lists as JSON: arrays, or objects of keys and values.
    fn json(&self, of: &[&Accumulator]) -> Result<ArrayRef, ArrowError> {
        let told =
            |error: datafusion_common::DataFusionError| ArrowError::ComputeError(error.strip_backtrace());
        let mut texts = StringBuilder::new();
        for accumulator in of {
            let values = self.listed(accumulator);
            let columns = self.codec.decode(values.iter().map(|value| &***value))?;
            let rows = 0..values.len();
            texts.append_value(match &columns[..] {
                [keys, values] => {
                    let pair = |row| {
                        let key = crate::cast::text(keys, row, chrono_tz::Tz::UTC).unwrap_or_default();
                        Ok((key, json_of(values, row)?))
                    };
                    object(rows.map(pair).collect::<datafusion_common::Result<Vec<_>>>().map_err(told)?)
                }
                columns => {
                    let items = rows.map(|row| json_of(&columns[0], row));
                    let items = items.collect::<datafusion_common::Result<Vec<_>>>().map_err(told)?;
                    format!("[{}]", items.join(","))
                }
            });
        }
        Ok(Arc::new(texts.finish()))
    }

    /// At each fraction the value, in proportion between the two that are next to it.
    fn percentiles(&self, of: &[&Accumulator]) -> Result<ArrayRef, ArrowError> {
        let mut found: Vec<Option<f64>> = Vec::new();
        for accumulator in of {
            let Accumulator::Counted(values) = accumulator else { return Err(not_kept()) };
            let there = || values.iter().filter(|(_, count)| **count > 0);
            let numbers = Numbers::floats(&self.codec.decode(there().map(|(value, _)| &**value))?.remove(0))?;
            let counts: Vec<i64> = there().map(|(_, count)| if self.distinct { 1 } else { *count }).collect();
            let total: i64 = counts.iter().sum();
            let at = |place: i64| {
                let mut passed = 0;
                let number = counts.iter().position(|count| {
                    passed += count;
                    passed > place
                });
                number.map(|number| numbers.value(number))
            };
            for fraction in &self.fractions {
                let place = (total - 1).max(0) as f64 * fraction;
                let (low, high) = (at(place.floor() as i64), at(place.ceil() as i64));
                found.push(low.zip(high).map(|(low, high)| low + (high - low) * (place - place.floor())));
            }
        }
        match &self.result {
            DataType::List(item) => {
                let valid = found.chunks(self.fractions.len().max(1)).map(|all| all[0].is_some());
                let valid: NullBuffer = valid.collect();
                let offsets = OffsetBuffer::from_repeated_length(self.fractions.len(), of.len());
                let values: ArrayRef = Arc::new(Float64Array::from(found));
                Ok(Arc::new(ListArray::try_new(item.clone(), offsets, values, Some(valid))?))
            }
            _ => Ok(Arc::new(Float64Array::from(found))),
        }
    }

    fn multisets(&self, of: &[&Accumulator]) -> Result<ArrayRef, ArrowError> {
        let DataType::Map(entries, _) = &self.result else { return Err(not_kept()) };
        let DataType::Struct(fields) = entries.data_type() else { return Err(not_kept()) };
        let (mut keys, mut counts, mut lengths) = (Vec::new(), Vec::new(), Vec::with_capacity(of.len()));
        for accumulator in of {
            let Accumulator::Counted(values) = accumulator else { return Err(not_kept()) };
            let before = keys.len();
            for (value, count) in values.iter().filter(|(_, count)| **count > 0) {
                keys.push(value);
                counts.push(if self.distinct { 1 } else { *count as i32 });
            }
            lengths.push(keys.len() - before);
        }
        let keys = self.codec.decode(keys.iter().map(|value| &***value))?.remove(0);
        let pairs =
            StructArray::try_new(fields.clone(), vec![keys, Arc::new(Int32Array::from(counts))], None)?;
        Ok(Arc::new(MapArray::try_new(
            entries.clone(),
            OffsetBuffer::from_lengths(lengths),
            pairs,
            None,
            false,
        )?))
    }

    /// Sums and the like of values that count once each: gathered anew.
    fn of_distinct(&self, of: &[&Accumulator]) -> Result<ArrayRef, ArrowError> {
        let plain = Self::new(self.function, vec![0], None, false, false, self.types.clone())?;
        let mut results = Vec::with_capacity(of.len());
        for accumulator in of {
            let Accumulator::Counted(values) = accumulator else { return Err(not_kept()) };
            let kept = values.iter().filter(|(_, count)| **count > 0).map(|(value, _)| &**value);
            let column = self.codec.decode(kept)?.remove(0);
            let mut groups: Vec<Group> = vec![SmallVec::from_iter([plain.empty()])];
            let group_of = vec![0; column.len()];
            let rows = arrow::array::RecordBatch::try_from_iter([("value", column)])?;
            plain.update(0, &mut groups, &group_of, &Chunk::additions(rows))?;
            results.push(plain.results(&[&groups[0][0]])?);
        }
        match results.is_empty() {
            true => Ok(arrow::array::new_empty_array(&self.result)),
            false => concat(&results.iter().map(|result| &**result).collect::<Vec<_>>()),
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
