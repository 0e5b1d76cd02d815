//! `(a, b) IN (SELECT …)`, `(a, b) IN ((1, 2), …)`, `(a, b) = (1, 2)`: rows of values among rows.
//!
//! Before: rows of values, which DataFusion has no room for, or of which it takes NULLs for equal. After: comparisons of their values; before a
//! subquery, `EXISTS` a row that is equal. There, a condition only tells what is true from what is not, so what is unknown becomes what it
//! counts for where it stands.

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, Expr, Ident, Query, Select, SetExpr, TableAlias, TableAliasColumnDef, TableFactor,
    UnaryOperator, VisitMut, visit_expressions_mut,
};

use super::selects::rewrite_selects;
use crate::error::SqlError;
use crate::parser::parse_query;

/// The name of what is compared with.
const ROWS: &str = "$rows";

/// Rewrites the conditions of a query, and of those in it.
pub(super) fn rewrite(query: &mut Query) -> Result<(), SqlError> {
    compare(query);
    rewrite_selects(query, of_select)
}

/// Rewrites comparisons of rows of values, wherever they are.
pub(super) fn compare(of: &mut impl VisitMut) {
    let _ = visit_expressions_mut(of, |expression| {
        let compared = match &*expression {
            Expr::InList { expr, list, negated } => match without_parentheses(expr) {
                Expr::Tuple(values) => any_of(values, list).map(|any| (any, *negated)),
                _ => None,
            },
            Expr::BinaryOp { left, op: op @ (BinaryOperator::Eq | BinaryOperator::NotEq), right } => {
                match without_parentheses(left) {
                    Expr::Tuple(values) => {
                        equal(values, right).map(|equal| (equal, *op == BinaryOperator::NotEq))
                    }
                    _ => None,
                }
            }
            _ => None,
        };
        if let Some((compared, negated)) = compared {
            let compared = Expr::Nested(Box::new(compared));
            *expression = match negated {
                true => Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(compared) },
                false => compared,
            };
        }
        ControlFlow::<()>::Continue(())
    });
}

fn any_of(values: &[Expr], list: &[Expr]) -> Option<Expr> {
    let all = list.iter().map(|other| equal(values, other)).collect::<Option<Vec<_>>>()?;
    all.into_iter().reduce(|left, right| joined(left, BinaryOperator::Or, right))
}

/// Whether each of the values is that of another row of as many.
fn equal(values: &[Expr], other: &Expr) -> Option<Expr> {
    let Expr::Tuple(others) = without_parentheses(other) else { return None };
    let pairs = values.iter().zip(others).filter(|_| values.len() == others.len());
    let all = pairs.map(|(left, right)| joined(left.clone(), BinaryOperator::Eq, right.clone()));
    all.reduce(|left, right| joined(left, BinaryOperator::And, right)).map(|of| Expr::Nested(Box::new(of)))
}

fn joined(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

fn of_select(select: &mut Select) -> Result<(), SqlError> {
    select.selection.iter_mut().chain(&mut select.having).try_for_each(|of| condition(of, true))
}

/// `positive`: of the condition only matters whether it is true. Otherwise it is negated, and matters whether it is false.
fn condition(of: &mut Expr, positive: bool) -> Result<(), SqlError> {
    match of {
        Expr::Nested(inner) => condition(inner, positive),
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => condition(expr, !positive),
        Expr::BinaryOp { left, op: BinaryOperator::And | BinaryOperator::Or, right } => {
            condition(left, positive)?;
            condition(right, positive)
        }
        Expr::InSubquery { expr, subquery, negated } => {
            let Expr::Tuple(values) = without_parentheses(expr) else { return Ok(()) };
            *of = exists(values, subquery, *negated, positive)?;
            Ok(())
        }
        _ => Ok(()),
    }
}

fn without_parentheses(of: &Expr) -> &Expr {
    match of {
        Expr::Nested(inner) => without_parentheses(inner),
        other => other,
    }
}

fn exists(values: &[Expr], rows: &Query, negated: bool, positive: bool) -> Result<Expr, SqlError> {
    let name = |place: usize| Ident::with_quote('`', format!("${place}"));
    let equal = |(place, value): (usize, &Expr)| {
        let of = Expr::CompoundIdentifier(vec![Ident::with_quote('`', ROWS), name(place)]);
        joined(value.clone(), BinaryOperator::Eq, of)
    };
    let all = values.iter().enumerate().map(equal);
    let mut filter = all.reduce(|left, right| joined(left, BinaryOperator::And, right));
    if negated == positive {
        filter = filter.map(|equal| Expr::IsNotFalse(Box::new(Expr::Nested(Box::new(equal)))));
    }
    let mut subquery = parse_query("SELECT 1 FROM (SELECT 1)")?;
    if let SetExpr::Select(select) = &mut *subquery.body {
        select.selection = filter;
        for from in &mut select.from {
            if let TableFactor::Derived { subquery, alias, .. } = &mut from.relation {
                **subquery = rows.clone();
                let columns =
                    (0..values.len()).map(|place| TableAliasColumnDef { name: name(place), data_type: None });
                *alias = Some(TableAlias {
                    explicit: true,
                    name: Ident::with_quote('`', ROWS),
                    columns: columns.collect(),
                    at: None,
                });
            }
        }
    }
    Ok(Expr::Exists { subquery: Box::new(subquery), negated })
}
