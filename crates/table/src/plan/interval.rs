//! The interval in the condition of a join: how far the times of two rows may be apart.
//!
//! Before: `l.time BETWEEN r.time - INTERVAL '5' SECOND AND r.time + INTERVAL '1' HOUR`, in whatever form. After: the columns of time, and
//! the least and the most that the left time may be above the right.

use datafusion_common::{DFSchema, ScalarValue};
use datafusion_expr::utils::split_conjunction;
use datafusion_expr::{BinaryExpr, Expr, Operator};

use super::calc::column_of;
use crate::planner::window_function::length;

/// An interval between two columns of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval {
    /// The columns, on either side.
    pub(super) times: (usize, usize),
    /// The left time less the right: at least and at most, in milliseconds.
    pub(super) bounds: (i64, i64),
}

/// A column, by its number over both sides, and what is added to it.
fn linear(expression: &Expr, schema: &DFSchema) -> Option<(usize, i64)> {
    match expression {
        Expr::Column(_) => Some((column_of(expression, schema)?, 0)),
        Expr::Cast(cast) => linear(&cast.expr, schema),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let interval = |expression: &Expr| match expression {
                Expr::Literal(
                    value @ (ScalarValue::IntervalMonthDayNano(_) | ScalarValue::IntervalDayTime(_)),
                    _,
                ) => length(value).ok(),
                _ => None,
            };
            match op {
                Operator::Plus => {
                    let (column, plus) = linear(left, schema)
                        .zip(interval(right))
                        .or_else(|| linear(right, schema).zip(interval(left)))?;
                    Some((column.0, column.1 + plus))
                }
                Operator::Minus => {
                    let (column, offset) = linear(left, schema)?;
                    Some((column, offset - interval(right)?))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// The interval of a condition over the columns of both sides, of which the left has `width`; `is_time` says which columns are event time.
pub(super) fn of(
    condition: &Expr,
    equal: &[(&Expr, &Expr)],
    schema: &DFSchema,
    width: usize,
    is_time: impl Fn(usize) -> bool,
) -> Option<Interval> {
    let mut found: Option<Interval> = None;
    let mut narrow = |left: usize, right: usize, least: i64, most: i64| {
        let times = (left, right - width);
        let known = found.get_or_insert(Interval { times, bounds: (i64::MIN, i64::MAX) });
        if known.times == times {
            known.bounds = (known.bounds.0.max(least), known.bounds.1.min(most));
        }
    };
    for one in split_conjunction(condition) {
        let Expr::BinaryExpr(BinaryExpr { left, op, right }) = one else { continue };
        let (Some((a, plus_a)), Some((b, plus_b))) = (linear(left, schema), linear(right, schema)) else {
            continue;
        };
        if !is_time(a) || !is_time(b) || (a < width) == (b < width) {
            continue;
        }
        // `a + plus_a <op> b + plus_b`, turned so that `a` is of the left side.
        let (a, b, op, by) = match a < width {
            true => (a, b, *op, plus_b - plus_a),
            false => match op.swap() {
                Some(op) => (b, a, op, plus_a - plus_b),
                None => continue,
            },
        };
        match op {
            Operator::Eq => narrow(a, b, by, by),
            Operator::Lt => narrow(a, b, i64::MIN, by - 1),
            Operator::LtEq => narrow(a, b, i64::MIN, by),
            Operator::Gt => narrow(a, b, by + 1, i64::MAX),
            Operator::GtEq => narrow(a, b, by, i64::MAX),
            _ => {}
        }
    }
    for (left, right) in equal {
        if let (Some(a), Some(b)) = (column_of(left, schema), column_of(right, schema))
            && is_time(a)
            && is_time(b)
        {
            narrow(a, b, 0, 0);
        }
    }
    found.filter(|found| found.bounds.0 > i64::MIN && found.bounds.1 < i64::MAX)
}
