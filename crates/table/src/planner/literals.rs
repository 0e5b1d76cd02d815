//! Types as Flink has them, from the beginning: whole numbers, arithmetic.
//!
//! Before: every whole number in the query is 64 bits wide, and operators are DataFusion's. After: numbers that fit are 32 bits wide, those
//! that do not fit into 64 are decimals, and what is computed from them is, too; arithmetic with decimals is ours.

use datafusion_common::config::ConfigOptions;
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{DFSchema, Result, ScalarValue};
use datafusion_expr::expr::BinaryExpr;
use datafusion_expr::expr_rewriter::NamePreserver;
use datafusion_expr::{Cast, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator};
use datafusion_optimizer::AnalyzerRule;

use super::comparisons;
use crate::functions;

/// The rule.
#[derive(Debug)]
pub(super) struct WholeNumbers;

impl AnalyzerRule for WholeNumbers {
    fn name(&self) -> &str {
        "whole_numbers"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let narrowed = plan.transform_up_with_subqueries(|plan| {
            // A limit is a number of rows.
            if matches!(plan, LogicalPlan::Limit(_)) {
                return Ok(Transformed::no(plan));
            }
            if let LogicalPlan::Values(values) = plan {
                // What was cast to the type of its column is so again, but to that which it has now.
                let nothing = DFSchema::empty();
                let narrowed = |row: Vec<Expr>| {
                    row.into_iter().map(|value| Ok(typed(uncast(value), &nothing)?.data)).collect()
                };
                let rows = values.values.into_iter().map(narrowed).collect::<Result<Vec<Vec<Expr>>>>()?;
                return Ok(Transformed::yes(LogicalPlanBuilder::values(rows)?.build()?));
            }
            let names = NamePreserver::new(&plan);
            let mut schema = DFSchema::empty();
            plan.inputs().iter().for_each(|input| schema.merge(input.schema()));
            let narrowed = plan.map_expressions(|expression| {
                let name = names.save(&expression);
                typed(expression, &schema)?.map_data(|expression| Ok(name.restore(expression)))
            })?;
            // What comes from below may have become narrower, too.
            narrowed.map_data(LogicalPlan::recompute_schema)
        })?;
        Ok(narrowed.data)
    }
}

/// A value of `VALUES` without the cast that the planner has put around it; casts of the user are calls of ours.
fn uncast(value: Expr) -> Expr {
    match value {
        Expr::Cast(Cast { expr, .. }) => uncast(*expr),
        Expr::Alias(alias) => uncast(*alias.expr),
        other => other,
    }
}

/// The expression over columns of `schema`, with Flink's types.
pub(super) fn typed(expression: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    expression.transform_up(|expression| match expression {
        Expr::Literal(ScalarValue::Int64(Some(number)), metadata) => match i32::try_from(number) {
            Ok(number) => Ok(Transformed::yes(Expr::Literal(ScalarValue::Int32(Some(number)), metadata))),
            Err(_) => Ok(Transformed::no(Expr::Literal(ScalarValue::Int64(Some(number)), metadata))),
        },
        Expr::Literal(ScalarValue::UInt64(Some(number)), metadata) => {
            let decimal = ScalarValue::Decimal128(Some(number.into()), number.to_string().len() as u8, 0);
            Ok(Transformed::yes(Expr::Literal(decimal, metadata)))
        }
        // What is written 0.5 has two digits.
        Expr::Literal(ScalarValue::Decimal128(value, precision, scale), metadata)
            if i16::from(precision) <= i16::from(scale) && precision < 38 =>
        {
            let wider = ScalarValue::Decimal128(value, scale as u8 + 1, scale);
            Ok(Transformed::yes(Expr::Literal(wider, metadata)))
        }
        Expr::BinaryExpr(binary) => Ok(match comparisons::operator(&binary, schema)? {
            Some(call) => Transformed::yes(call),
            None => Transformed::no(Expr::BinaryExpr(binary)),
        }),
        Expr::Case(case) => Ok(match comparisons::case(&case, schema)? {
            Some(made) => Transformed::yes(made),
            None => Transformed::no(Expr::Case(case)),
        }),
        Expr::Like(like) => Ok(match comparisons::like(&like, "$like")? {
            Some(call) => Transformed::yes(call),
            None => Transformed::no(Expr::Like(like)),
        }),
        Expr::SimilarTo(like) => Ok(match comparisons::like(&like, "$similar")? {
            Some(call) => Transformed::yes(call),
            None => Transformed::no(Expr::SimilarTo(like)),
        }),
        Expr::Negative(inner) => negative(*inner, schema),
        Expr::ScalarFunction(call) if call.name() == "MOD" && call.args.len() == 2 => {
            let [a, b] = &call.args[..] else { return Ok(Transformed::no(Expr::ScalarFunction(call))) };
            let binary = BinaryExpr::new(Box::new(a.clone()), Operator::Modulo, Box::new(b.clone()));
            Ok(match comparisons::operator(&binary, schema)? {
                Some(call) => Transformed::yes(call),
                None => Transformed::no(Expr::ScalarFunction(call)),
            })
        }
        other => Ok(Transformed::no(other)),
    })
}

/// A negative number is a constant, too; what cannot be negated (the least of its kind) remains as it is.
fn negative(inner: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match inner {
        Expr::Literal(ScalarValue::Int32(Some(number)), metadata) if number != i32::MIN => {
            Ok(Transformed::yes(Expr::Literal(ScalarValue::Int32(Some(-number)), metadata)))
        }
        // One more than the greatest INT is the least of them.
        Expr::Literal(ScalarValue::Int64(Some(number)), metadata) if number != i64::MIN => {
            let value = match i32::try_from(-number) {
                Ok(number) => ScalarValue::Int32(Some(number)),
                Err(_) => ScalarValue::Int64(Some(-number)),
            };
            Ok(Transformed::yes(Expr::Literal(value, metadata)))
        }
        inner => match inner.get_type(schema) {
            Ok(of) if of.is_integer() => Ok(Transformed::yes(functions::call("$negate", vec![inner])?)),
            _ => Ok(Transformed::no(Expr::Negative(Box::new(inner)))),
        },
    }
}
