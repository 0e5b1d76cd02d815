//! Operators between values of different types, as Flink has them.
//!
//! | between | becomes |
//! |---|---|
//! | a decimal and a floating point number | a comparison, or arithmetic, of `DOUBLE`s; so is a `CASE` of them |
//! | `TIMESTAMP` and `TIMESTAMP_LTZ` | a comparison of points in time, by the session's time zone |
//! | a boolean and a string | a comparison of booleans |
//! | an interval and a number | `$interval_times` |
//! | two integers, of which `%` is taken | the remainder, of the type of the second |
//! | a string and a pattern | `$like`, unless it is one that means the same to DataFusion; `$similar` |

use arrow::datatypes::DataType;
use datafusion_common::{DFSchema, Result, ScalarValue};
use datafusion_expr::expr::{BinaryExpr, Case, Like};
use datafusion_expr::{Expr, ExprSchemable, Operator, lit};

use crate::functions;
use crate::types::LogicalType;

fn is_arithmetic(op: Operator) -> bool {
    matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo)
}

fn is_comparison(op: Operator) -> bool {
    matches!(
        op,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

fn cast(value: Expr, to: &str) -> Result<Expr> {
    functions::call("$cast", vec![value, lit(to)])
}

/// What an operator becomes, if it is none of DataFusion's.
pub(super) fn operator(binary: &BinaryExpr, schema: &DFSchema) -> Result<Option<Expr>> {
    let BinaryExpr { left, op, right } = binary;
    let (Ok(a), Ok(b)) = (left.get_type(schema), right.get_type(schema)) else { return Ok(None) };
    if let Some(call) = functions::arithmetic(*op, left, right, [&a, &b]) {
        return Ok(Some(call));
    }
    let (left, right) = (left.as_ref().clone(), right.as_ref().clone());
    let both = |left, right| Ok(Some(datafusion_expr::binary_expr(left, *op, right)));
    if *op == Operator::Multiply {
        match (&a, &b) {
            (DataType::Interval(_), b) if b.is_integer() => {
                return functions::call("$interval_times", vec![left, right]).map(Some);
            }
            (a, DataType::Interval(_)) if a.is_integer() => {
                return functions::call("$interval_times", vec![right, left]).map(Some);
            }
            _ => {}
        }
    }
    // No remainder is greater than what was divided by.
    if *op == Operator::Modulo
        && a.is_integer()
        && b.is_integer()
        && a.primitive_width() > b.primitive_width()
    {
        let rest = datafusion_expr::binary_expr(left, *op, right);
        return cast(rest, &LogicalType::from_arrow(&b, true)?.to_string()).map(Some);
    }
    if is_arithmetic(*op) || is_comparison(*op) {
        if a.is_decimal() && b.is_floating() {
            return both(cast(left, "DOUBLE")?, right);
        }
        if a.is_floating() && b.is_decimal() {
            return both(left, cast(right, "DOUBLE")?);
        }
    }
    if !is_comparison(*op) {
        return Ok(None);
    }
    let as_point = |of: &DataType| -> Result<String> {
        let DataType::Timestamp(unit, _) = of else { return Ok("TIMESTAMP_LTZ(3)".to_owned()) };
        let point = DataType::Timestamp(*unit, Some("UTC".into()));
        Ok(LogicalType::from_arrow(&point, true)?.to_string())
    };
    match (&a, &b) {
        (DataType::Timestamp(_, None), DataType::Timestamp(_, Some(_))) => {
            both(cast(left, &as_point(&a)?)?, right)
        }
        (DataType::Timestamp(_, Some(_)), DataType::Timestamp(_, None)) => {
            both(left, cast(right, &as_point(&b)?)?)
        }
        (DataType::Boolean, DataType::Utf8) => both(left, cast(right, "BOOLEAN")?),
        (DataType::Utf8, DataType::Boolean) => both(cast(left, "BOOLEAN")?, right),
        _ => Ok(None),
    }
}

/// A `CASE` of which some results are decimals and others floating point numbers is one of `DOUBLE`s.
pub(super) fn case(case: &Case, schema: &DFSchema) -> Result<Option<Expr>> {
    let mut results: Vec<&Expr> = case.when_then_expr.iter().map(|(_, then)| then.as_ref()).collect();
    results.extend(case.else_expr.as_deref());
    let types: Vec<DataType> = results.iter().filter_map(|of| of.get_type(schema).ok()).collect();
    if !types.iter().any(DataType::is_decimal) || !types.iter().any(DataType::is_floating) {
        return Ok(None);
    }
    let mut made = case.clone();
    let results = made.when_then_expr.iter_mut().map(|(_, then)| then).chain(&mut made.else_expr);
    for result in results {
        if result.get_type(schema).is_ok_and(|of| of.is_numeric() && of != DataType::Float64) {
            **result = cast(result.as_ref().clone(), "DOUBLE")?;
        }
    }
    Ok(Some(Expr::Case(made)))
}

/// `LIKE`. To Flink a backslash is a letter like any other, unless it is made the escape character.
pub(super) fn like(like: &Like, name: &str) -> Result<Option<Expr>> {
    let Like { negated, expr, pattern, escape_char, case_insensitive } = like;
    let plain = match pattern.as_ref() {
        Expr::Literal(ScalarValue::Utf8(Some(pattern)), _) => {
            !pattern.contains('\\') && escape_char.is_none()
        }
        _ => false,
    };
    if *case_insensitive || name == "$like" && plain {
        return Ok(None);
    }
    let mut arguments = vec![expr.as_ref().clone(), pattern.as_ref().clone()];
    arguments.extend(escape_char.map(|letter| lit(letter.to_string())));
    let test = functions::call(name, arguments)?;
    Ok(Some(if *negated { Expr::Not(Box::new(test)) } else { test }))
}
