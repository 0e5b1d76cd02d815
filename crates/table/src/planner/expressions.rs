//! Aggregates in the grammar: `COUNT(*)`, which counts rows whatever is in them, and `GROUPING(…)`, which is computed from the set.

use arrow::datatypes::DataType;
use datafusion_common::Result;
use datafusion_expr::expr::AggregateFunction;
use datafusion_expr::planner::{ExprPlanner, PlannerResult, RawAggregateExpr, RawWindowExpr};
use datafusion_expr::{Expr, WindowFunctionDefinition, cast, lit};

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
