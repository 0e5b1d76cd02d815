//! Partial results: what a call has gathered of groups in one place, as columns, to be added to what was gathered of them elsewhere.
//!
//! | function | columns |
//! |---|---|
//! | `COUNT` | the count |
//! | `SUM`, `AVG` | the sum, and the number of values |
//! | `VAR…`, `STDDEV…` | the number of values, their sum, the sum of their squares |
//! | `MIN`, `MAX`, `FIRST_VALUE`, `LAST_VALUE` | the value |
//!
//! Of all others, of what is `DISTINCT`, and where values may be taken back, there are none.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Decimal128Array, Float64Array, Int64Array};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use arrow::error::ArrowError;

use super::{Accumulator, Aggregation, Function, Input, Numbers};
use crate::chunk::Chunk;
use crate::rows::RowBytes;

/// What one call has gathered of some groups.
#[derive(Clone)]
pub struct Partial {
    aggregation: Arc<Aggregation>,
    held: Held,
}

/// A place for each group.
#[derive(Clone)]
enum Held {
    Count(Vec<i64>),
    Int(Vec<i64>, Vec<i64>),
    Float(Vec<f64>, Vec<i64>),
    Decimal(Vec<i128>, Vec<i64>),
    Moments(Vec<i64>, Vec<f64>, Vec<f64>),
    /// The least or greatest of whole numbers and times, and whether there is one.
    Best(Vec<i64>, Vec<bool>),
    One(Vec<Option<RowBytes>>),
}

/// The columns of partial results.
pub(super) enum Merged {
    Counts(Int64Array),
    Sums(Numbers, Int64Array),
    Moments(Int64Array, Float64Array, Float64Array),
}

impl Aggregation {
    /// The types of the columns of partial results, if there are such.
    pub fn partial_types(&self) -> Option<Vec<DataType>> {
        use DataType::{Float64, Int64};
        if self.retracts {
            return None;
        }
        Some(match self.empty() {
            Accumulator::Count(_) => vec![Int64],
            Accumulator::Int(..) => vec![Int64, Int64],
            Accumulator::Float(..) => vec![Float64, Int64],
            Accumulator::Decimal(..) => {
                let DataType::Decimal128(_, scale) = self.types.first()? else { return None };
                vec![DataType::Decimal128(38, *scale), Int64]
            }
            Accumulator::Moments(..) => vec![Int64, Float64, Float64],
            Accumulator::One(_) if self.arguments.len() == 1 => vec![self.types.first()?.clone()],
            _ => return None,
        })
    }

    /// The call over partial results, whose columns begin at `place`, in place of rows.
    ///
    /// # Errors
    /// If values of such a type cannot be kept.
    pub fn merging(self, place: usize) -> Result<Self, ArrowError> {
        match self.empty() {
            // The best of those that are the best of some.
            Accumulator::One(_) => Self::new(self.function, vec![place], None, false, false, self.types),
            _ => Ok(Self { merges: Some(place), filter: None, ..self }),
        }
    }

    pub(super) fn merged(&self, place: usize, chunk: &Chunk) -> Result<Merged, ArrowError> {
        let column = |at: usize| chunk.rows().column(place + at);
        let longs = |at: usize| column(at).as_primitive::<Int64Type>().clone();
        Ok(match self.empty() {
            Accumulator::Count(_) => Merged::Counts(longs(0)),
            Accumulator::Moments(..) => {
                Merged::Moments(longs(0), Numbers::floats(column(1))?, Numbers::floats(column(2))?)
            }
            _ => Merged::Sums(Numbers::of(column(0))?, longs(1)),
        })
    }
}

/// Adds partial results to what has been gathered.
#[inline]
pub(super) fn merge_row(merged: &Merged, row: usize, accumulator: &mut Accumulator) {
    match (accumulator, merged) {
        (Accumulator::Count(count), Merged::Counts(by)) => *count += by.value(row),
        (Accumulator::Int(sum, count), Merged::Sums(Numbers::Int(more), by)) => {
            (*sum, *count) = (sum.wrapping_add(more.value(row)), *count + by.value(row));
        }
        (Accumulator::Float(sum, count), Merged::Sums(Numbers::Float(more), by)) => {
            (*sum, *count) = (*sum + more.value(row), *count + by.value(row));
        }
        (Accumulator::Decimal(high, low, count), Merged::Sums(Numbers::Decimal(more), by)) => {
            (*high, *low) = super::halves(super::joined(*high, *low).wrapping_add(more.value(row)));
            *count += by.value(row);
        }
        (Accumulator::Moments(count, sum, squares), Merged::Moments(by, more, square)) => {
            *count += by.value(row);
            *sum += more.value(row);
            *squares += square.value(row);
        }
        _ => {}
    }
}

impl Partial {
    /// Of no group yet; `None` if there are no partial results of the call.
    pub fn new(aggregation: Aggregation) -> Option<Self> {
        let types = aggregation.partial_types()?;
        let held = match aggregation.empty() {
            Accumulator::Count(_) => Held::Count(Vec::new()),
            Accumulator::Int(..) => Held::Int(Vec::new(), Vec::new()),
            Accumulator::Float(..) => Held::Float(Vec::new(), Vec::new()),
            Accumulator::Decimal(..) => Held::Decimal(Vec::new(), Vec::new()),
            Accumulator::Moments(..) => Held::Moments(Vec::new(), Vec::new(), Vec::new()),
            _ if matches!(aggregation.function, Function::Min | Function::Max) && is_whole(&types[0]) => {
                Held::Best(Vec::new(), Vec::new())
            }
            _ => Held::One(Vec::new()),
        };
        Some(Self { aggregation: Arc::new(aggregation), held })
    }

    /// Adds the rows of a chunk, all of them additions: `group_of` has the group of each, one of `groups`.
    ///
    /// # Errors
    /// If the columns have other types.
    pub fn update(&mut self, group_of: &[u32], groups: usize, chunk: &Chunk) -> Result<(), ArrowError> {
        let Self { aggregation, held } = self;
        if let Held::Best(best, there) = held {
            best.resize(groups, 0);
            there.resize(groups, false);
            let columns = [chunk.rows().column(aggregation.arguments[0]).clone()];
            let valid = aggregation.counting(&columns, chunk);
            let values = cast(&columns[0], &DataType::Int64)?;
            let (values, least) = (values.as_primitive::<Int64Type>(), aggregation.function == Function::Min);
            each(group_of, valid.as_ref(), |group, row| {
                let value = values.value(row);
                if !there[group] || (value < best[group]) == least {
                    (best[group], there[group]) = (value, true);
                }
            });
            return Ok(());
        }
        let prepared = aggregation.prepare(chunk)?;
        let valid = prepared.valid.as_ref();
        match (held, &prepared.input) {
            (Held::Count(counts), _) => {
                counts.resize(groups, 0);
                each(group_of, valid, |group, _| counts[group] += 1);
            }
            (Held::Int(sums, counts), Input::Numbers(Numbers::Int(of))) => {
                sums.resize(groups, 0);
                counts.resize(groups, 0);
                let of = of.values();
                each(group_of, valid, |group, row| {
                    sums[group] = sums[group].wrapping_add(of[row]);
                    counts[group] += 1;
                });
            }
            (Held::Float(sums, counts), Input::Numbers(Numbers::Float(of))) => {
                sums.resize(groups, 0.0);
                counts.resize(groups, 0);
                let of = of.values();
                each(group_of, valid, |group, row| {
                    sums[group] += of[row];
                    counts[group] += 1;
                });
            }
            (Held::Decimal(sums, counts), Input::Numbers(Numbers::Decimal(of))) => {
                sums.resize(groups, 0);
                counts.resize(groups, 0);
                let of = of.values();
                each(group_of, valid, |group, row| {
                    sums[group] = sums[group].wrapping_add(of[row]);
                    counts[group] += 1;
                });
            }
            (Held::Moments(counts, sums, squares), Input::Numbers(Numbers::Float(of))) => {
                counts.resize(groups, 0);
                sums.resize(groups, 0.0);
                squares.resize(groups, 0.0);
                let of = of.values();
                each(group_of, valid, |group, row| {
                    counts[group] += 1;
                    sums[group] += of[row];
                    squares[group] += of[row] * of[row];
                });
            }
            (Held::One(values), Input::Rows(rows)) => {
                values.resize(groups, None);
                each(group_of, valid, |group, row| {
                    let value = rows.row(row).data();
                    if aggregation.is_better(value, values[group].as_deref()) {
                        values[group] = Some(RowBytes::new(value));
                    }
                });
            }
            _ => return Err(super::not_kept()),
        }
        Ok(())
    }

    /// Takes out what has been gathered: the columns of the partial results of `groups` groups.
    ///
    /// # Errors
    /// None that values give rise to.
    pub fn take(&mut self, groups: usize) -> Result<Vec<ArrayRef>, ArrowError> {
        let longs = |values: &mut Vec<i64>| -> ArrayRef {
            values.resize(groups, 0);
            Arc::new(Int64Array::from(std::mem::take(values)))
        };
        let floats = |values: &mut Vec<f64>| -> ArrayRef {
            values.resize(groups, 0.0);
            Arc::new(Float64Array::from(std::mem::take(values)))
        };
        let types = &self.aggregation.types;
        Ok(match &mut self.held {
            Held::Count(counts) => vec![longs(counts)],
            Held::Int(sums, counts) => vec![longs(sums), longs(counts)],
            Held::Float(sums, counts) => vec![floats(sums), longs(counts)],
            Held::Decimal(sums, counts) => {
                sums.resize(groups, 0);
                let digits = Decimal128Array::from(std::mem::take(sums));
                let DataType::Decimal128(_, scale) = types[0] else { return Err(super::not_kept()) };
                vec![Arc::new(digits.with_precision_and_scale(38, scale)?), longs(counts)]
            }
            Held::Moments(counts, sums, squares) => vec![longs(counts), floats(sums), floats(squares)],
            Held::Best(best, there) => {
                best.resize(groups, 0);
                there.resize(groups, false);
                let there = NullBuffer::from(std::mem::take(there));
                let values = Int64Array::new(std::mem::take(best).into(), Some(there));
                vec![cast(&values, &types[0])?]
            }
            Held::One(values) => {
                values.resize(groups, None);
                let values = std::mem::take(values);
                let nothing = self.aggregation.codec.encode(&[arrow::array::new_null_array(&types[0], 1)])?;
                let nothing = nothing.row(0);
                let rows = values.iter().map(|value| value.as_deref().unwrap_or_else(|| nothing.data()));
                self.aggregation.codec.decode(rows)?
            }
        })
    }
}

/// Calls `add` with the group and the number of each row that counts.
#[inline]
fn each(group_of: &[u32], valid: Option<&NullBuffer>, mut add: impl FnMut(usize, usize)) {
    match valid.filter(|valid| valid.null_count() > 0) {
        None => group_of.iter().enumerate().for_each(|(row, group)| add(*group as usize, row)),
        Some(valid) => valid.valid_indices().for_each(|row| add(group_of[row] as usize, row)),
    }
}

/// Whether values of a type are compared as whole numbers.
fn is_whole(of: &DataType) -> bool {
    use DataType as T;
    matches!(of, T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::Timestamp(..))
}
