//! What has been gathered, as a column of results.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Decimal128Array, Float64Array, Int32Array, Int64Array, ListArray, MapArray,
    StringBuilder, StructArray, UInt32Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{cast, concat, take};
use arrow::datatypes::{DataType, Int8Type, Int16Type, Int32Type};
use arrow::error::ArrowError;
use smallvec::SmallVec;

use super::super::Function;
use super::super::numbers::{Numbers, divide_half_up, joined, power_of_ten};
use super::super::user::UserAggregate;
use super::{Accumulator, Aggregation, Group, not_kept};
use crate::chunk::Chunk;
use crate::functions::{json_of, object};
use crate::rows::RowBytes;

impl Aggregation {
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
                    Accumulator::Distinct(values) => values.len(),
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
                if self.distinct {
                    return self.of_distinct_by(&**user, of);
                }
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

    /// The value that counts, of those that are kept.
    pub(super) fn one<'a>(&self, accumulator: &'a Accumulator) -> Option<&'a RowBytes> {
        let there = |(value, count): (&'a RowBytes, &i64)| (*count > 0).then_some(value);
        match (accumulator, self.function) {
            (Accumulator::One(one), _) => one.as_ref(),
            (Accumulator::Counted(values), Function::Max) => values.iter().rev().find_map(there),
            (Accumulator::Counted(values), _) => values.iter().find_map(there),
            (Accumulator::List(values), Function::LastValue) => values.last(),
            (Accumulator::List(values), _) => values.first(),
            _ => None,
        }
    }

    /// One of the values that are kept, for each.
    fn ones(&self, of: &[&Accumulator]) -> Result<ArrayRef, ArrowError> {
        let ones: Vec<Option<&RowBytes>> = of.iter().map(|accumulator| self.one(accumulator)).collect();
        let values = self.codec.decode(ones.iter().flatten().map(|value| &***value))?.remove(0);
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

    /// What a function of a user makes of values that count once each, in an order that does not depend on how they came.
    fn of_distinct_by(&self, user: &dyn UserAggregate, of: &[&Accumulator]) -> Result<ArrayRef, ArrowError> {
        let mut kept = Vec::with_capacity(of.len());
        for accumulator in of {
            let Accumulator::Distinct(values) = accumulator else { return Err(not_kept()) };
            let mut values: Vec<&RowBytes> = values.values().collect();
            values.sort_unstable();
            let columns = user.prepare(&self.codec.decode(values.iter().map(|value| &***value))?)?;
            let mut bytes = user.empty();
            user.update(&mut bytes, &columns, &mut (0..values.len()).map(|row| (row, 1)))?;
            kept.push(bytes);
        }
        user.results(&mut kept.iter())
    }

    /// Sums and the like of values that count once each: gathered anew.
    fn of_distinct(&self, of: &[&Accumulator]) -> Result<ArrayRef, ArrowError> {
        let plain = Self::new(self.function, vec![0], None, false, false, self.types.clone())?;
        let mut results = Vec::with_capacity(of.len());
        // What is rounded on the way depends on the order, and must come out the same when it is taken back.
        let sums = matches!(self.function, Function::Sum | Function::Sum0 | Function::Avg);
        let exact = sums && !self.types[0].is_floating();
        for accumulator in of {
            let Accumulator::Distinct(values) = accumulator else { return Err(not_kept()) };
            let mut values: Vec<&RowBytes> = values.values().collect();
            if !exact {
                values.sort_unstable();
            }
            let column = self.codec.decode(values.iter().map(|value| &***value))?.remove(0);
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
