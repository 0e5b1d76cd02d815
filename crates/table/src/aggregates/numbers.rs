//! Sums: of whole numbers, of floating point numbers, of decimals.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type};
use arrow::error::ArrowError;

/// A column of numbers, in the type that it is added up in.
pub(super) enum Numbers {
    Int(arrow::array::Int64Array),
    Float(arrow::array::Float64Array),
    Decimal(arrow::array::Decimal128Array),
}

impl Numbers {
    /// The numbers of a column.
    pub(super) fn of(column: &ArrayRef) -> Result<Self, ArrowError> {
        Ok(match column.data_type() {
            DataType::Decimal128(..) => Self::Decimal(column.as_primitive::<Decimal128Type>().clone()),
            DataType::Float32 | DataType::Float64 => {
                Self::Float(cast(column, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
            }
            _ => Self::Int(cast(column, &DataType::Int64)?.as_primitive::<Int64Type>().clone()),
        })
    }

    /// As floating point numbers, a decimal by its value.
    pub(super) fn floats(column: &ArrayRef) -> Result<arrow::array::Float64Array, ArrowError> {
        Ok(cast(column, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
    }
}

/// The quotient of two decimals' digits, half up.
pub(super) fn divide_half_up(dividend: i128, divisor: i128) -> i128 {
    let (quotient, rest) = (dividend / divisor, dividend % divisor);
    match rest.unsigned_abs() * 2 >= divisor.unsigned_abs() {
        true if (dividend < 0) == (divisor < 0) => quotient + 1,
        true => quotient - 1,
        false => quotient,
    }
}

/// Ten to the power of `digits`.
pub(super) fn power_of_ten(digits: u32) -> i128 {
    10_i128.pow(digits)
}

/// A sum of decimals out of the two halves in which it is kept.
pub(super) fn joined(high: i64, low: u64) -> i128 {
    i128::from(high) << 64 | i128::from(low)
}

pub(super) fn halves(of: i128) -> (i64, u64) {
    ((of >> 64) as i64, of as u64)
}
