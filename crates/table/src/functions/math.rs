//! Numbers.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Decimal128Array};
use arrow::compute::cast;
use arrow::compute::kernels::numeric::{neg_wrapping, rem};
use arrow::datatypes::{DataType, Decimal128Type};
use datafusion_common::{Result, ScalarValue, exec_err, plan_err};
use datafusion_expr::Volatility;

use super::builtin::{Arguments, Builtin, Call, Takes, float, floats, int, longs, pure};

fn same(arguments: &Arguments<'_>) -> Result<DataType> {
    Ok(arguments.types[0].clone())
}

/// A number, or a string that is one.
fn number(types: &[DataType]) -> Result<Vec<DataType>> {
    let of = match &types[0] {
        of if of.is_integer() || of.is_floating() || of.is_decimal() => of.clone(),
        DataType::Null | DataType::Utf8 => DataType::Float64,
        other => return plan_err!("{other} is no number"),
    };
    let mut all = vec![of];
    // As they are, so that a constant remains one: by it goes the type of the result.
    all.extend(types[1..].iter().map(|of| if of.is_integer() { of.clone() } else { DataType::Int64 }));
    Ok(all)
}

/// A function of one number: whole ones as they are, decimals by their digits, floating point ones by `float`.
fn rounded(call: &Call<'_>, float: fn(f64, i64) -> f64, decimal: fn(i128, i128) -> i128) -> Result<ArrayRef> {
    let values = &call.arguments[0];
    if let Some(digits) = call.arguments.get(1).filter(|digits| *digits.data_type() != DataType::Int64) {
        let arguments = [values.clone(), cast(digits, &DataType::Int64)?];
        return rounded(&Call { arguments: &arguments, ..*call }, float, decimal);
    }
    let digits = |row: usize| match call.arguments.get(1) {
        Some(digits) => digits.as_primitive::<arrow::datatypes::Int64Type>().value(row),
        None => 0,
    };
    if let Some(unknown) = call.arguments.get(1).filter(|digits| digits.null_count() > 0) {
        let known = Call { arguments: &[values.clone(), zeroed(unknown)], ..*call };
        let made = rounded(&known, float, decimal)?;
        return Ok(arrow::compute::nullif(&made, &arrow::compute::is_null(unknown)?)?);
    }
    match values.data_type() {
        DataType::Decimal128(_, scale) => {
            let DataType::Decimal128(precision, to) = call.result else { return exec_err!("no decimal") };
            let numbers = values.as_primitive::<Decimal128Type>();
            let round = |(row, value): (usize, Option<i128>)| {
                let by = (i64::from(*scale) - digits(row)).clamp(0, 38) as u32;
                let unit = 10_i128.checked_pow(by)?;
                let rounded = decimal(value?, unit).checked_mul(unit)?;
                match i32::from(*to) - i32::from(*scale) {
                    wider if wider >= 0 => rounded.checked_mul(10_i128.pow(wider as u32)),
                    narrower => Some(rounded / 10_i128.pow(narrower.unsigned_abs())),
                }
            };
            let made: Decimal128Array = numbers.iter().enumerate().map(round).collect();
            Ok(Arc::new(made.with_precision_and_scale(*precision, *to)?))
        }
        of if of.is_floating() => {
            let numbers = cast(values, &DataType::Float64)?;
            let numbers = numbers.as_primitive::<arrow::datatypes::Float64Type>();
            let made =
                numbers.iter().enumerate().map(|(row, value)| value.map(|value| float(value, digits(row))));
            Ok(cast(&made.collect::<arrow::array::Float64Array>(), of)?)
        }
        of => {
            let numbers = cast(values, &DataType::Int64)?;
            let numbers = numbers.as_primitive::<arrow::datatypes::Int64Type>();
            let made = numbers.iter().enumerate().map(|(row, value)| {
                let unit = 10_i128.pow(digits(row).saturating_neg().clamp(0, 18) as u32);
                let rounded = decimal(i128::from(value?), unit) * unit;
                // What is too large goes round, as in Java.
                Some(match of {
                    DataType::Int8 => i64::from(rounded as i8),
                    DataType::Int16 => i64::from(rounded as i16),
                    DataType::Int32 => i64::from(rounded as i32),
                    _ => rounded as i64,
                })
            });
            Ok(cast(&made.collect::<arrow::array::Int64Array>(), of)?)
        }
    }
}

/// Numbers with 0 for NULL.
fn zeroed(numbers: &ArrayRef) -> ArrayRef {
    let numbers = numbers.as_primitive::<arrow::datatypes::Int64Type>();
    Arc::new(numbers.iter().map(|number| Some(number.unwrap_or(0))).collect::<arrow::array::Int64Array>())
}

fn whole(arguments: &Arguments<'_>) -> Result<DataType> {
    Ok(match &arguments.types[0] {
        DataType::Decimal128(precision, _) => DataType::Decimal128(*precision, 0),
        other => other.clone(),
    })
}

/// The type of a number that is rounded at a digit: a decimal has no more of them behind the point.
fn at_digit(arguments: &Arguments<'_>) -> Result<DataType> {
    let DataType::Decimal128(precision, scale) = &arguments.types[0] else {
        return same(arguments);
    };
    let digits = match arguments.constants.get(1) {
        None => 0,
        Some(Some(ScalarValue::Int64(Some(digits)))) => *digits,
        Some(Some(ScalarValue::Int32(Some(digits)))) => i64::from(*digits),
        Some(_) => return same(arguments),
    };
    let (precision, scale) = (i64::from(*precision), i64::from(*scale));
    Ok(match digits {
        digits if digits >= scale => DataType::Decimal128(precision as u8, scale as i8),
        digits if digits < 0 => DataType::Decimal128((1 + precision - scale).min(38) as u8, 0),
        digits => DataType::Decimal128((1 + precision - scale + digits).min(38) as u8, digits as i8),
    })
}

/// Half up, away from zero.
fn half_up(value: i128, unit: i128) -> i128 {
    let (quotient, rest) = (value / unit, value % unit);
    if rest.abs() * 2 >= unit && unit > 1 { quotient + value.signum() } else { quotient }
}

fn at_digits(value: f64, digits: i64, round: fn(f64) -> f64) -> f64 {
    let by = 10_f64.powi(digits.clamp(-300, 300) as i32);
    let scaled = value * by;
    // Zero has no sign, as it has none as a decimal.
    if scaled.is_finite() { round(scaled) / by + 0.0 } else { value }
}

const fn of_number(
    name: &'static str,
    counts: (usize, usize),
    result: fn(&Arguments<'_>) -> Result<DataType>,
    run: fn(&Call<'_>) -> Result<ArrayRef>,
) -> Builtin {
    Builtin { name, takes: Takes::By(counts, number), result, run, volatility: Volatility::Immutable }
}

fn one(call: &Call<'_>, of: fn(f64) -> f64) -> Result<ArrayRef> {
    floats(call, |row| row.float(0).map(of))
}

pub(super) static FUNCTIONS: &[Builtin] = &[
    of_number("ABS", (1, 1), same, |call| {
        let values = &call.arguments[0];
        let zero = arrow::array::new_null_array(values.data_type(), values.len());
        let zero = cast(&arrow::array::Int64Array::from_value(0, values.len()), zero.data_type())?;
        let negative = arrow::compute::kernels::cmp::lt(values, &zero)?;
        Ok(arrow::compute::kernels::zip::zip(&negative, &neg_wrapping(values)?, values)?)
    }),
    of_number("CEIL", (1, 1), whole, |call| {
        rounded(call, |value, _| value.ceil(), |value, unit| -((-value).div_euclid(unit)))
    }),
    of_number("CEILING", (1, 1), whole, |call| {
        rounded(call, |value, _| value.ceil(), |value, unit| -((-value).div_euclid(unit)))
    }),
    of_number("FLOOR", (1, 1), whole, |call| rounded(call, |value, _| value.floor(), i128::div_euclid)),
    of_number("ROUND", (1, 2), at_digit, |call| {
        rounded(call, |value, digits| at_digits(value, digits, f64::round), half_up)
    }),
    of_number("TRUNCATE", (1, 2), at_digit, |call| {
        rounded(call, |value, digits| at_digits(value, digits, f64::trunc), |value, unit| value / unit)
    }),
    Builtin {
        name: "SIGN",
        takes: Takes::By((1, 1), number),
        result: same,
        run: |call| {
            let numbers = cast(&call.arguments[0], &DataType::Float64)?;
            let numbers = numbers.as_primitive::<arrow::datatypes::Float64Type>();
            let signs = numbers
                .iter()
                .map(|value| value.map(|value| if value == 0.0 { 0.0 } else { value.signum() }));
            Ok(cast(&signs.collect::<arrow::array::Float64Array>(), call.result)?)
        },
        volatility: Volatility::Immutable,
    },
    Builtin {
        name: "MOD",
        takes: Takes::By((2, 2), |types| match types {
            [a, b] if a.is_decimal() || b.is_decimal() => Ok(vec![a.clone(), b.clone()]),
            [a, b] if a.is_numeric() && b.is_numeric() => {
                match datafusion_expr::type_coercion::binary::type_union_coercion(a, b) {
                    Some(of) => Ok(vec![of.clone(), of]),
                    None => plan_err!("MOD takes two numbers"),
                }
            }
            _ => plan_err!("MOD takes two numbers"),
        }),
        result: same,
        run: |call| Ok(rem(&call.arguments[0], &call.arguments[1])?),
        volatility: Volatility::Immutable,
    },
    pure("POWER", "dd", float, |call| floats(call, |row| Some(row.float(0)?.powf(row.float(1)?)))),
    pure("SQRT", "d", float, |call| one(call, f64::sqrt)),
    pure("EXP", "d", float, |call| one(call, f64::exp)),
    pure("LN", "d", float, |call| one(call, f64::ln)),
    pure("LOG10", "d", float, |call| one(call, f64::log10)),
    pure("LOG2", "d", float, |call| one(call, f64::log2)),
    pure("LOG", "d?d", float, |call| {
        floats(call, |row| match row.len() {
            1 => Some(row.float(0)?.ln()),
            _ => Some(row.float(1)?.ln() / row.float(0)?.ln()),
        })
    }),
    pure("SIN", "d", float, |call| one(call, f64::sin)),
    pure("COS", "d", float, |call| one(call, f64::cos)),
    pure("TAN", "d", float, |call| one(call, f64::tan)),
    pure("COT", "d", float, |call| one(call, |value| 1.0 / value.tan())),
    pure("ASIN", "d", float, |call| one(call, f64::asin)),
    pure("ACOS", "d", float, |call| one(call, f64::acos)),
    pure("ATAN", "d", float, |call| one(call, f64::atan)),
    pure("ATAN2", "dd", float, |call| floats(call, |row| Some(row.float(0)?.atan2(row.float(1)?)))),
    pure("SINH", "d", float, |call| one(call, f64::sinh)),
    pure("COSH", "d", float, |call| one(call, f64::cosh)),
    pure("TANH", "d", float, |call| one(call, f64::tanh)),
    pure("DEGREES", "d", float, |call| one(call, f64::to_degrees)),
    pure("RADIANS", "d", float, |call| one(call, f64::to_radians)),
    pure("PI", "", float, |call| floats(call, |_| Some(std::f64::consts::PI))),
    pure("E", "", float, |call| floats(call, |_| Some(std::f64::consts::E))),
    Builtin {
        name: "HASH_CODE",
        takes: Takes::Letters("s"),
        result: int,
        run: |call| {
            super::builtin::ints(call, |row| {
                // As Java's strings have it.
                let units = row.text(0)?.encode_utf16();
                Some(units.fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit))))
            })
        },
        volatility: Volatility::Immutable,
    },
    pure("BIT_LENGTH", "s", super::builtin::long, |call| {
        longs(call, |row| Some(row.text(0)?.len() as i64 * 8))
    }),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_rounded_away_from_zero() {
        assert_eq!([half_up(25, 10), half_up(-25, 10), half_up(24, 10), half_up(7, 1)], [3, -3, 2, 7]);
        assert_eq!(at_digits(2.345, 2, f64::round), 2.35);
    }
}
