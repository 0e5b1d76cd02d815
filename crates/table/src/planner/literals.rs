//! Whole numbers as Flink has them: an `INT` if it is one.
//!
//! Before: every whole number in the query is 64 bits wide. After: those that fit are 32 bits wide, and what is computed from them is, too.

use datafusion_common::config::ConfigOptions;
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::expr_rewriter::NamePreserver;
use datafusion_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion_optimizer::AnalyzerRule;

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
                // Their columns have the types that they had before.
                let narrowed =
                    |row: Vec<Expr>| row.into_iter().map(|value| Ok(narrow(value)?.data)).collect();
                let rows = values.values.into_iter().map(narrowed).collect::<Result<Vec<Vec<Expr>>>>()?;
                return Ok(Transformed::yes(LogicalPlanBuilder::values(rows)?.build()?));
            }
            let names = NamePreserver::new(&plan);
            let narrowed = plan.map_expressions(|expression| {
                let name = names.save(&expression);
                narrow(expression)?.map_data(|expression| Ok(name.restore(expression)))
            })?;
            // What comes from below may have become narrower, too.
            narrowed.map_data(LogicalPlan::recompute_schema)
        })?;
        Ok(narrowed.data)
    }
}

/// The expression, with its whole numbers as wide as they are.
pub(super) fn narrow(expression: Expr) -> Result<Transformed<Expr>> {
    expression.transform_up(|expression| match expression {
        Expr::Literal(ScalarValue::Int64(Some(number)), metadata) => match i32::try_from(number) {
            Ok(number) => Ok(Transformed::yes(Expr::Literal(ScalarValue::Int32(Some(number)), metadata))),
            Err(_) => Ok(Transformed::no(Expr::Literal(ScalarValue::Int64(Some(number)), metadata))),
        },
        other => Ok(Transformed::no(other)),
    })
}
