//! Numbers and booleans among each other: whole numbers wrap around, floating point ones saturate, decimals that do not fit are NULL.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float32Array, Float64Array, Int64Array,
    PrimitiveArray,
};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type,
};
use datafusion_common::{Result, exec_err};

use super::Casting;
use super::parse::{decimal_of, parse_decimal};
use crate::types::{LogicalType, TypeKind};

/// The values as numbers, or as a boolean.
pub(super) fn cast(values: &ArrayRef, to: &LogicalType, casting: Casting) -> Result<ArrayRef> {
    use TypeKind as T;
    match &to.kind {
        T::TinyInt => Ok(Arc::new(narrowed::<Int8Type>(values, |v| v as i8)?)),
        T::SmallInt => Ok(Arc::new(narrowed::<Int16Type>(values, |v| v as i16)?)),
        T::Int => Ok(Arc::new(narrowed::<Int32Type>(values, |v| v as i32)?)),
        T::BigInt => Ok(Arc::new(whole(values, true)?)),
        T::Float => float(values),
        T::Double => Ok(Arc::new(doubles(values)?)),
        T::Decimal(precision, scale) => decimals(values, *precision, *scale, casting.lenient),
        T::Boolean => Ok(Arc::new(not_zero(values)?)),
        _ => exec_err!("{to} is no number"),
    }
}

fn narrowed<T: ArrowPrimitiveType>(values: &ArrayRef, by: fn(i64) -> T::Native) -> Result<PrimitiveArray<T>> {
    Ok(whole(values, false)?.unary(by))
}

/// As 64 bits; what has a fraction loses it. A floating point number saturates first, at 64 bits or (as Java has it) at 32.
fn whole(values: &ArrayRef, wide: bool) -> Result<Int64Array> {
    let saturated = |value: f64| if wide { value as i64 } else { i64::from(value as i32) };
    Ok(match values.data_type() {
        DataType::Int8 => values.as_primitive::<Int8Type>().unary(i64::from),
        DataType::Int16 => values.as_primitive::<Int16Type>().unary(i64::from),
        DataType::Int32 => values.as_primitive::<Int32Type>().unary(i64::from),
        DataType::Int64 => values.as_primitive::<Int64Type>().clone(),
        DataType::Float32 => values.as_primitive::<Float32Type>().unary(|value| saturated(f64::from(value))),
        DataType::Float64 => values.as_primitive::<Float64Type>().unary(saturated),
        DataType::Decimal128(_, scale) => {
            let unit = 10_i128.pow(scale.unsigned_abs().into());
            values.as_primitive::<Decimal128Type>().unary(|value| (value / unit) as i64)
        }
        DataType::Boolean => values.as_boolean().iter().map(|value| value.map(i64::from)).collect(),
        other => return exec_err!("{other} is no number"),
    })
}

fn float(values: &ArrayRef) -> Result<ArrayRef> {
    let made: Float32Array = match values.data_type() {
        DataType::Float64 => values.as_primitive::<Float64Type>().unary(|value| value as f32),
        DataType::Float32 => values.as_primitive::<Float32Type>().clone(),
        DataType::Decimal128(..) => doubles(values)?.unary(|value| value as f32),
        _ => whole(values, true)?.unary(|value| value as f32),
    };
    Ok(Arc::new(made))
}

pub(super) fn doubles(values: &ArrayRef) -> Result<Float64Array> {
    Ok(match values.data_type() {
        DataType::Float64 => values.as_primitive::<Float64Type>().clone(),
        DataType::Float32 => values.as_primitive::<Float32Type>().unary(f64::from),
        DataType::Decimal128(_, scale) => {
            let scale = *scale;
            values.as_primitive::<Decimal128Type>().unary(|value| double_of(value, scale))
        }
        _ => whole(values, true)?.unary(|value| value as f64),
    })
}

/// The nearest floating point number.
fn double_of(digits: i128, scale: i8) -> f64 {
    // Both are exact, and so their quotient is the nearest.
    if digits.unsigned_abs() < 1 << 53 && (0..=22).contains(&scale) {
        return digits as f64 / 10_f64.powi(scale.into());
    }
    format!("{digits}e{}", -i32::from(scale)).parse().unwrap_or(f64::NAN)
}

fn decimals(values: &ArrayRef, precision: u8, scale: i8, lenient: bool) -> Result<ArrayRef> {
    let made: Decimal128Array = match values.data_type() {
        DataType::Float32 | DataType::Float64 => {
            let floats = doubles(values)?;
            if !lenient && let Some(odd) = floats.iter().flatten().find(|value| !value.is_finite()) {
                return exec_err!(
                    "{odd} is no DECIMAL, and CAST cannot make one of it; TRY_CAST would give NULL"
                );
            }
            let digits = |value: f64| {
                // By the digits that it is written with, as Java has it: 1.005 is rounded up, though it is less in binary.
                value.is_finite().then(|| parse_decimal(&value.to_string(), precision, scale)).flatten()
            };
            floats.iter().map(|value| value.and_then(digits)).collect()
        }
        DataType::Decimal128(_, from) => {
            let from = i32::from(*from);
            let digits = values.as_primitive::<Decimal128Type>().iter();
            digits
                .map(|digits| digits.and_then(|digits| decimal_of(digits, from, precision, scale)))
                .collect()
        }
        _ => {
            let numbers = whole(values, true)?;
            numbers
                .iter()
                .map(|number| number.and_then(|n| decimal_of(n.into(), 0, precision, scale)))
                .collect()
        }
    };
    Ok(Arc::new(made.with_precision_and_scale(precision, scale)?))
}

fn not_zero(values: &ArrayRef) -> Result<BooleanArray> {
    Ok(match values.data_type() {
        DataType::Boolean => values.as_boolean().clone(),
        DataType::Decimal128(..) => values
            .as_primitive::<Decimal128Type>()
            .iter()
            .map(|value| value.map(|value| value != 0))
            .collect(),
        of if of.is_floating() => {
            doubles(values)?.iter().map(|value| value.map(|value| value != 0.0)).collect()
        }
        _ => whole(values, true)?.iter().map(|value| value.map(|value| value != 0)).collect(),
    })
}
