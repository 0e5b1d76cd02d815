//! `(a, b) IN (SELECT …)`: rows of values among rows.
//!
//! Before: a row of values before `IN`, which DataFusion has no room for. After: `EXISTS` a row of the subquery that is equal to it. A condition
//! only tells what is true from what is not, so what is unknown becomes what it counts for where it stands.

use sqlparser::ast::{
    BinaryOperator, Expr, Ident, Query, Select, SetExpr, TableAlias, TableAliasColumnDef, TableFactor,
    UnaryOperator,
};

use super::selects::rewrite_selects;
use crate::error::SqlError;
use crate::parser::parse_query;

/// The name of what is compared with.
const ROWS: &str = "$rows";

/// Rewrites the conditions of a query, and of those in it.
pub(super) fn rewrite(query: &mut Query) -> Result<(), SqlError> {
    rewrite_selects(query, of_select)
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
    let equal = |(place, value): (usize, &Expr)| Expr::BinaryOp {
        left: Box::new(value.clone()),
        op: BinaryOperator::Eq,
        right: Box::new(Expr::CompoundIdentifier(vec![Ident::with_quote('`', ROWS), name(place)])),
    };
    let and = |left: Expr, right: Expr| Expr::BinaryOp {
        left: Box::new(left),
        op: BinaryOperator::And,
        right: Box::new(right),
    };
    let mut filter = values.iter().enumerate().map(equal).reduce(and);
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
