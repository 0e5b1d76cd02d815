//! Aggregates in the grammar: `COUNT(*)`, which counts rows whatever is in them, and `GROUPING(…)`, which is computed from the set;
//! operators that are calls.

use arrow::datatypes::DataType;
use datafusion_common::{DFSchema, Result};
use datafusion_expr::expr::{AggregateFunction, BinaryExpr};
use datafusion_expr::planner::{ExprPlanner, PlannerResult, RawAggregateExpr, RawBinaryExpr, RawWindowExpr};
use datafusion_expr::{Expr, ExprSchemable, Operator, WindowFunctionDefinition, cast, lit};
use sqlparser::ast::BinaryOperator;

use crate::aggregates::GROUPING;

/// Plans `COUNT(*)` as the count of a constant.
#[derive(Debug)]
pub(super) struct AggregatePlanner;

fn counts_rows(name: &str, arguments: &[Expr]) -> bool {
    #[expect(deprecated, reason = "it is what the planner hands over")]
    let is_wildcard = |argument: &Expr| matches!(argument, Expr::Wildcard { .. });
    name == "COUNT" && (arguments.is_empty() || arguments.iter().any(is_wildcard))
}

impl ExprPlanner for AggregatePlanner {
    /// What DataFusion has no operator for, and so is a call from the beginning.
    fn plan_binary_op(&self, raw: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let op = match raw.op {
            BinaryOperator::Multiply => Operator::Multiply,
            BinaryOperator::Eq => Operator::Eq,
            BinaryOperator::NotEq => Operator::NotEq,
            _ => return Ok(PlannerResult::Original(raw)),
        };
        let types = [raw.left.get_type(schema)?, raw.right.get_type(schema)?];
        let has = |of: fn(&DataType) -> bool| types.iter().any(of);
        let is_ours = match op {
            Operator::Multiply => has(|of| matches!(of, DataType::Interval(_))),
            _ => has(|of| *of == DataType::Boolean) && has(|of| *of == DataType::Utf8),
        };
        if !is_ours {
            return Ok(PlannerResult::Original(raw));
        }
        let binary = BinaryExpr::new(Box::new(raw.left.clone()), op, Box::new(raw.right.clone()));
        Ok(match super::comparisons::operator(&binary, schema)? {
            Some(call) => PlannerResult::Planned(call),
            None => PlannerResult::Original(raw),
        })
    }

    fn plan_aggregate(&self, mut call: RawAggregateExpr) -> Result<PlannerResult<RawAggregateExpr>> {
        if counts_rows(call.func.name(), &call.args) {
            call.args = vec![lit(1)];
        }
        if call.func.name() == GROUPING {
            let RawAggregateExpr { func, args, distinct, filter, order_by, null_treatment } = call;
            let grouping = AggregateFunction::new_udf(func, args, distinct, filter, order_by, null_treatment);
            let wide = cast(Expr::AggregateFunction(grouping), DataType::Int64);
            return Ok(PlannerResult::Planned(wide));
        }
        Ok(PlannerResult::Original(call))
    }

    fn plan_window(&self, mut call: RawWindowExpr) -> Result<PlannerResult<RawWindowExpr>> {
        if let WindowFunctionDefinition::AggregateUDF(function) = &call.func_def
            && counts_rows(function.name(), &call.args)
        {
            call.args = vec![lit(1)];
        }
        Ok(PlannerResult::Original(call))
    }
}
