//! `IN` and `EXISTS` where they are no condition of their own: in `SELECT`, in `CASE`, in another `IN`.
//!
//! Before: a subquery inside an expression that is computed. After: a column of a join, true where there is a partner.
//!
//! What is a condition of its own is left to DataFusion's rule, which makes joins of it: so is `EXISTS` beside an `OR`, and what is made an
//! `EXISTS` here. That is `IN` beside an `OR`, and `x < ANY (…)` and `x < ALL (…)` wherever they are: a condition only tells what is true from
//! what is not, so what is unknown becomes what it counts for where it stands.

use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion_common::{Column, ExprSchema, Result, TableReference, plan_err};
use datafusion_expr::expr::{Exists, InSubquery, SetComparison, SetQuantifier};
use datafusion_expr::utils::{conjunction, split_conjunction_owned};
use datafusion_expr::{
    BinaryExpr, Expr, ExprSchemable, Filter, JoinType, LogicalPlan, LogicalPlanBuilder, Operator, Projection,
    Subquery, binary_expr, lit, not,
};

use crate::error::SqlError;

/// The plan, with subqueries in computed expressions as joins.
pub(super) fn as_joins(plan: LogicalPlan) -> Result<LogicalPlan, SqlError> {
    let mut number = 0;
    let plan = plan.transform_up_with_subqueries(|plan| match with_exists(plan)? {
        LogicalPlan::Filter(filter) if filter_has_nested(&filter) => {
            Ok(Transformed::yes(nested(filter, &mut number)?))
        }
        LogicalPlan::Projection(projection) if projection.expr.iter().any(has_subquery) => {
            Ok(Transformed::yes(projected(projection, &mut number)?))
        }
        other => {
            refuse_not_in(&other)?;
            Ok(Transformed::no(other))
        }
    })?;
    Ok(plan.data)
}

/// A filter whose quantified conditions are `EXISTS`.
fn with_exists(plan: LogicalPlan) -> Result<LogicalPlan> {
    let LogicalPlan::Filter(mut filter) = plan else { return Ok(plan) };
    let conditions = split_conjunction_owned(filter.predicate);
    let conditions = conditions.into_iter().map(|condition| match condition {
        Expr::InSubquery(_) => Ok(condition),
        Expr::Not(inner) if matches!(*inner, Expr::InSubquery(_)) => Ok(Expr::Not(inner)),
        other => quantified(other, true, &filter.input),
    });
    let conditions = conditions.collect::<Result<Vec<_>>>()?;
    filter.predicate = conjunction(conditions).unwrap_or_else(|| lit(true));
    Ok(LogicalPlan::Filter(filter))
}

/// A condition over `input`; `positive`: of which only matters whether it is true. Otherwise it is negated, and matters whether it is false.
fn quantified(condition: Expr, positive: bool, input: &LogicalPlan) -> Result<Expr> {
    Ok(match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            binary_expr(quantified(*left, positive, input)?, op, quantified(*right, positive, input)?)
        }
        Expr::Not(inner) => not(quantified(*inner, !positive, input)?),
        Expr::InSubquery(InSubquery { expr, subquery, negated }) if !has_subquery(&expr) => {
            let compared = compared(*expr, Operator::Eq, &subquery, input)?;
            let filter = match positive == negated && nullable(&compared, &subquery, input)? {
                true => Expr::IsNotFalse(Box::new(compared)),
                false => compared,
            };
            exists(&subquery, filter, negated)?
        }
        Expr::SetComparison(SetComparison { expr, subquery, op, quantifier }) => {
            let of = compared(*expr.clone(), op, &subquery, input)?;
            match (quantifier, op, positive) {
                (SetQuantifier::Any, Operator::Eq, true) => {
                    Expr::InSubquery(InSubquery { expr, subquery, negated: false })
                }
                (SetQuantifier::All, Operator::NotEq, true) => {
                    Expr::InSubquery(InSubquery { expr, subquery, negated: true })
                }
                (SetQuantifier::Any, _, true) => exists(&subquery, of, false)?,
                (SetQuantifier::Any, _, false) => exists(&subquery, Expr::IsNotFalse(Box::new(of)), false)?,
                (SetQuantifier::All, _, true) => exists(&subquery, Expr::IsNotTrue(Box::new(of)), true)?,
                (SetQuantifier::All, _, false) => exists(&subquery, Expr::IsFalse(Box::new(of)), true)?,
            }
        }
        other => other,
    })
}

/// The column of a subquery that is compared with.
fn compared_with(subquery: &Subquery) -> Result<Expr> {
    match subquery.subquery.schema().columns().into_iter().next() {
        Some(column) => Ok(Expr::Column(column)),
        None => plan_err!("a subquery that is compared with gives one column"),
    }
}

/// A value of `input`, compared with the column of a subquery: as the subquery sees it.
fn compared(value: Expr, op: Operator, subquery: &Subquery, input: &LogicalPlan) -> Result<Expr> {
    let outside = value.transform_up(|of| match of {
        Expr::Column(column) => {
            let field = input.schema().field_from_column(&column)?.clone();
            Ok(Transformed::yes(Expr::OuterReferenceColumn(field, column)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(binary_expr(outside.data, op, compared_with(subquery)?))
}

/// Whether what is compared may be NULL, on either side.
fn nullable(compared: &Expr, subquery: &Subquery, input: &LogicalPlan) -> Result<bool> {
    let Expr::BinaryExpr(BinaryExpr { left, right, .. }) = compared else { return Ok(true) };
    Ok(left.nullable(input.schema().as_ref())? || right.nullable(subquery.subquery.schema().as_ref())?)
}

/// `[NOT] EXISTS` a row of a subquery that passes a filter.
fn exists(subquery: &Subquery, filter: Expr, negated: bool) -> Result<Expr> {
    let plan = LogicalPlanBuilder::from(subquery.subquery.as_ref().clone()).filter(filter)?.build()?;
    let outer_ref_columns = plan.all_out_ref_exprs();
    let subquery =
        Subquery { subquery: std::sync::Arc::new(plan), outer_ref_columns, spans: subquery.spans.clone() };
    Ok(Expr::Exists(Exists { subquery, negated }))
}

fn has_subquery(expression: &Expr) -> bool {
    let is = |of: &Expr| Ok(matches!(of, Expr::InSubquery(_) | Expr::Exists(_)));
    expression.exists(is).unwrap_or(false)
}

fn filter_has_nested(filter: &Filter) -> bool {
    let conditions = split_conjunction_owned(filter.predicate.clone());
    conditions.iter().any(|of| matches!(of, Expr::InSubquery(of) if has_subquery(&of.expr)))
}

/// `E IN (…)` where there is a subquery in `E`: `E` becomes a column first.
fn nested(filter: Filter, number: &mut usize) -> Result<LogicalPlan> {
    let input = std::sync::Arc::unwrap_or_clone(filter.input);
    let original: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
    let (mut columns, mut conditions) = (original.clone(), Vec::new());
    for condition in split_conjunction_owned(filter.predicate) {
        conditions.push(match condition {
            Expr::InSubquery(mut of) if has_subquery(&of.expr) => {
                *number += 1;
                let name = format!("$in{number}");
                columns.push((*of.expr).alias(&name));
                of.expr = Box::new(Expr::Column(Column::new_unqualified(name)));
                Expr::InSubquery(of)
            }
            other => other,
        });
    }
    let inner = Projection::try_new(columns, std::sync::Arc::new(input))?;
    let inner = projected(inner, number)?;
    let builder = LogicalPlanBuilder::from(inner);
    match conjunction(conditions) {
        Some(condition) => builder.filter(condition)?,
        None => builder,
    }
    .project(original)?
    .build()
}

/// Subqueries in a projection: each a column of a join below it.
fn projected(projection: Projection, number: &mut usize) -> Result<LogicalPlan> {
    let mut input = std::sync::Arc::unwrap_or_clone(projection.input);
    let mut expressions = Vec::with_capacity(projection.expr.len());
    for expression in projection.expr {
        let name = expression.schema_name().to_string();
        let qualified = expression.qualified_name();
        let replaced = expression.clone().transform_down(|of| {
            let (subquery, condition, negated) = match of {
                Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
                    if has_subquery(&expr) {
                        return plan_err!("IN within IN is not there in SELECT");
                    }
                    (subquery, Some(*expr), negated)
                }
                Expr::Exists(Exists { subquery, negated }) => (subquery, None, negated),
                other => return Ok(Transformed::no(other)),
            };
            if !subquery.outer_ref_columns.is_empty() {
                return plan_err!(
                    "a subquery in an expression that is computed cannot see `{}` yet; join instead",
                    subquery.outer_ref_columns[0]
                );
            }
            *number += 1;
            let alias = TableReference::bare(format!("$mark{number}"));
            let right =
                LogicalPlanBuilder::from(subquery.subquery.as_ref().clone()).alias(alias.clone())?.build()?;
            let on = match condition {
                None => lit(true),
                Some(value) => {
                    let Some(column) = right.schema().columns().into_iter().next() else {
                        return plan_err!("the subquery of IN gives one column");
                    };
                    if negated {
                        no_nulls(&value, &input, right.schema().field(0).is_nullable())?;
                    }
                    value.eq(Expr::Column(column))
                }
            };
            input =
                LogicalPlanBuilder::from(input.clone()).join_on(right, JoinType::LeftMark, [on])?.build()?;
            let mark = Expr::Column(Column::new(Some(alias), "mark"));
            Ok(Transformed::new(if negated { not(mark) } else { mark }, true, TreeNodeRecursion::Jump))
        })?;
        expressions.push(match replaced.transformed {
            false => expression,
            true => replaced.data.unalias().alias_qualified(qualified.0, name.clone()),
        });
    }
    LogicalPlanBuilder::from(input).project(expressions)?.build()
}

/// `NOT IN` is unknown where there is a NULL; a mark is true or false.
fn no_nulls(value: &Expr, input: &LogicalPlan, right: bool) -> Result<()> {
    match right || value.nullable(input.schema().as_ref())? {
        true => plan_err!(
            "NOT IN beside OR or in an expression, over columns that may be NULL, is not there; declare them NOT NULL, or write NOT EXISTS"
        ),
        false => Ok(()),
    }
}

/// Refuses `NOT IN` inside of a condition, where it would be taken for false instead of unknown.
fn refuse_not_in(plan: &LogicalPlan) -> Result<()> {
    let LogicalPlan::Filter(filter) = plan else { return Ok(()) };
    for condition in split_conjunction_owned(filter.predicate.clone()) {
        let own = match &condition {
            Expr::Not(inner) => matches!(**inner, Expr::InSubquery(_) | Expr::Exists(_)),
            other => matches!(other, Expr::InSubquery(_) | Expr::Exists(_)),
        };
        if own {
            continue;
        }
        condition.apply(|of| {
            if let Expr::InSubquery(InSubquery { expr, subquery, negated: true }) = of {
                let right =
                    subquery.subquery.schema().fields().first().is_some_and(|field| field.is_nullable());
                no_nulls(expr, &filter.input, right)?;
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    Ok(())
}
