//! Arithmetic with decimals: `+ - * / %` with Flink's digits, which are others than DataFusion's. What does not fit is NULL.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array};
use arrow::datatypes::{DataType, Decimal128Type, Int64Type, i256};
use datafusion_common::{Result, exec_err, plan_err};
use datafusion_expr::{Expr, Operator, Volatility};

use super::builtin::{Arguments, Builtin, Call, Takes};

/// The decimal that a number is.
pub(crate) fn as_decimal(of: &DataType) -> Option<(u8, i8)> {
    match of {
        DataType::Decimal128(precision, scale) => Some((*precision, *scale)),
        DataType::Int8 => Some((3, 0)),
        DataType::Int16 => Some((5, 0)),
        DataType::Int32 => Some((10, 0)),
        DataType::Int64 => Some((19, 0)),
        _ => None,
    }
}

/// A decimal of so many digits, of which those behind the point give way if there are too many.
fn fitted(precision: i32, scale: i32) -> DataType {
    if precision <= 38 {
        return DataType::Decimal128(precision as u8, scale as i8);
    }
    let whole = precision - scale;
    let least = scale.min(6);
    DataType::Decimal128(38, (38 - whole).max(least) as i8)
}

fn pair(arguments: &Arguments<'_>) -> Result<[i32; 4]> {
    match (as_decimal(&arguments.types[0]), as_decimal(&arguments.types[1])) {
        (Some((p1, s1)), Some((p2, s2))) => Ok([p1.into(), s1.into(), p2.into(), s2.into()]),
        _ => plan_err!("{} and {} are no decimals", arguments.types[0], arguments.types[1]),
    }
}

fn sum(arguments: &Arguments<'_>) -> Result<DataType> {
    let [p1, s1, p2, s2] = pair(arguments)?;
    let scale = s1.max(s2);
    Ok(fitted((p1 - s1).max(p2 - s2) + scale + 1, scale))
}

fn product(arguments: &Arguments<'_>) -> Result<DataType> {
    let [p1, s1, p2, s2] = pair(arguments)?;
    Ok(fitted(p1 + p2 + 1, s1 + s2))
}

fn quotient(arguments: &Arguments<'_>) -> Result<DataType> {
    let [p1, s1, p2, s2] = pair(arguments)?;
    let scale = 6.max(s1 + p2 + 1);
    Ok(fitted(p1 - s1 + s2 + scale, scale))
}

fn rest(arguments: &Arguments<'_>) -> Result<DataType> {
    let [p1, s1, p2, s2] = pair(arguments)?;
    // Of whole numbers it is one.
    if s1 == 0 && s2 == 0 {
        return Ok(arguments.types[1].clone());
    }
    let scale = s1.max(s2);
    Ok(fitted((p1 - s1).min(p2 - s2) + scale, scale))
}

fn decimals(types: &[DataType]) -> Result<Vec<DataType>> {
    let decimal = |of: &DataType| match as_decimal(of) {
        Some((precision, scale)) => Ok(DataType::Decimal128(precision, scale)),
        None if of.is_null() => Ok(DataType::Decimal128(1, 0)),
        None => plan_err!("{of} is no decimal"),
    };
    types.iter().map(decimal).collect()
}

/// Ten to the power of `by`.
fn unit(by: i32) -> i256 {
    i256::from_i128(10).wrapping_pow(by.max(0) as u32)
}

/// `digits`, `from` of them behind the point, with `to` of them: rounded half up.
fn scaled(digits: i256, from: i32, to: i32) -> i256 {
    if to >= from {
        return digits.wrapping_mul(unit(to - from));
    }
    divided(digits, unit(from - to))
}

/// The quotient, rounded half up.
fn divided(dividend: i256, divisor: i256) -> i256 {
    let (quotient, rest) = (dividend.wrapping_div(divisor), dividend.wrapping_rem(divisor));
    let twice = rest.wrapping_abs().wrapping_mul(i256::from_i128(2));
    if twice < divisor.wrapping_abs() {
        return quotient;
    }
    let away = if dividend.is_negative() == divisor.is_negative() { i256::ONE } else { i256::MINUS_ONE };
    quotient.wrapping_add(away)
}

/// Digits of two numbers, with the scale of each and that of the result, to the digits of the result.
type Of = fn([i256; 2], [i32; 3]) -> Result<i256>;

fn run(call: &Call<'_>, of: Of) -> Result<ArrayRef> {
    let DataType::Decimal128(precision, scale) = call.result else {
        return exec_err!("{} is no decimal", call.result);
    };
    let scale_of = |argument: usize| match call.arguments[argument].data_type() {
        DataType::Decimal128(_, scale) => i32::from(*scale),
        _ => 0,
    };
    let scales = [scale_of(0), scale_of(1), i32::from(*scale)];
    let limit = unit((*precision).into());
    let columns = [0, 1].map(|argument: usize| call.arguments[argument].as_primitive::<Decimal128Type>());
    let value = |row: usize| {
        if columns.iter().any(|column| column.is_null(row)) {
            return Ok(None);
        }
        let digits = of(columns.map(|column| i256::from_i128(column.value(row))), scales)?;
        Ok(if digits.wrapping_abs() < limit { digits.to_i128() } else { None })
    };
    let values = (0..call.rows).map(value).collect::<Result<Decimal128Array>>()?;
    Ok(Arc::new(values.with_precision_and_scale(*precision, *scale)?))
}

const fn operator(
    name: &'static str,
    result: fn(&Arguments<'_>) -> Result<DataType>,
    run: fn(&Call<'_>) -> Result<ArrayRef>,
) -> Builtin {
    Builtin { name, takes: Takes::By((2, 2), decimals), result, run, volatility: Volatility::Immutable }
}

fn not_zero(digits: i256) -> Result<i256> {
    if digits == i256::ZERO { exec_err!("division by zero") } else { Ok(digits) }
}

pub(super) static FUNCTIONS: [Builtin; 5] = [
    operator("$plus", sum, |call| {
        run(call, |[a, b], [s1, s2, to]| {
            let wide = s1.max(s2);
            Ok(scaled(scaled(a, s1, wide).wrapping_add(scaled(b, s2, wide)), wide, to))
        })
    }),
    operator("$minus", sum, |call| {
        run(call, |[a, b], [s1, s2, to]| {
            let wide = s1.max(s2);
            Ok(scaled(scaled(a, s1, wide).wrapping_sub(scaled(b, s2, wide)), wide, to))
        })
    }),
    operator("$times", product, |call| {
        run(call, |[a, b], [s1, s2, to]| Ok(scaled(a.wrapping_mul(b), s1 + s2, to)))
    }),
    operator("$divide", quotient, |call| {
        run(call, |[a, b], [s1, s2, to]| {
            let by = to + s2 - s1;
            let b = not_zero(b)?;
            Ok(if by >= 0 {
                divided(a.wrapping_mul(unit(by)), b)
            } else {
                divided(a, b.wrapping_mul(unit(-by)))
            })
        })
    }),
    operator("$rest", rest, |call| {
        if !call.result.is_decimal() {
            let numbers = call.arguments.iter().map(|column| arrow::compute::cast(column, &DataType::Int64));
            let numbers = numbers.collect::<std::result::Result<Vec<_>, _>>()?;
            let (a, b) = (numbers[0].as_primitive::<Int64Type>(), numbers[1].as_primitive::<Int64Type>());
            let made = arrow::compute::kernels::numeric::rem(a, b)?;
            return Ok(arrow::compute::cast(&made, call.result)?);
        }
        run(call, |[a, b], [s1, s2, to]| {
            let wide = s1.max(s2);
            Ok(scaled(scaled(a, s1, wide).wrapping_rem(scaled(not_zero(b)?, s2, wide)), wide, to))
        })
    }),
];

/// The call that an operator between these types is; none, if it is no arithmetic with decimals.
pub(crate) fn arithmetic(op: Operator, left: &Expr, right: &Expr, types: [&DataType; 2]) -> Option<Expr> {
    let place = match op {
        Operator::Plus => 0,
        Operator::Minus => 1,
        Operator::Multiply => 2,
        Operator::Divide => 3,
        Operator::Modulo => 4,
        _ => return None,
    };
    let any = types.iter().any(|of| of.is_decimal());
    let all = types.iter().all(|of| as_decimal(of).is_some() || of.is_null());
    (any && all).then(|| FUNCTIONS[place].udf().call(vec![left.clone(), right.clone()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(types: [(u8, i8); 2], result: fn(&Arguments<'_>) -> Result<DataType>) -> Option<DataType> {
        let types = types.map(|(precision, scale)| DataType::Decimal128(precision, scale));
        result(&Arguments { types: &types, constants: &[None, None] }).ok()
    }

    #[test]
    fn digits_are_those_of_flink() {
        assert_eq!(of([(2, 1), (2, 1)], sum), Some(DataType::Decimal128(3, 1)));
        assert_eq!(of([(38, 10), (38, 20)], sum), Some(DataType::Decimal128(38, 9)));
        assert_eq!(of([(20, 10), (20, 10)], product), Some(DataType::Decimal128(38, 17)));
        assert_eq!(of([(3, 1), (10, 0)], quotient), Some(DataType::Decimal128(14, 12)));
        assert_eq!(of([(20, 10), (20, 10)], quotient), Some(DataType::Decimal128(38, 18)));
        assert_eq!(of([(2, 1), (1, 1)], rest), Some(DataType::Decimal128(1, 1)));
    }
}
