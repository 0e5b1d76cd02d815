//! Aggregates in the grammar: `COUNT(*)`, which counts rows whatever is in them.

use datafusion_common::Result;
use datafusion_expr::Expr;
use datafusion_expr::planner::{ExprPlanner, PlannerResult, RawAggregateExpr, RawWindowExpr};
use datafusion_expr::{WindowFunctionDefinition, lit};

/// Plans `COUNT(*)` as the count of a constant.
#[derive(Debug)]
pub(super) struct AggregatePlanner;

fn counts_rows(name: &str, arguments: &[Expr]) -> bool {
    #[expect(deprecated, reason = "it is what the planner hands over")]
    let is_wildcard = |argument: &Expr| matches!(argument, Expr::Wildcard { .. });
    name == "COUNT" && (arguments.is_empty() || arguments.iter().any(is_wildcard))
}

impl ExprPlanner for AggregatePlanner {
    fn plan_aggregate(&self, mut call: RawAggregateExpr) -> Result<PlannerResult<RawAggregateExpr>> {
        if counts_rows(call.func.name(), &call.args) {
            call.args = vec![lit(1)];
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
