//! The rules that a logical plan goes through: types, subqueries to joins, filters down. None that assumes that input ends.
//!
//! Absent on purpose: `SingleDistinctToGroupBy` (wrong over changelogs), `OptimizeProjections` (columns of event time are used by whom it
//! does not know), limits pushed down (a changelog has no first rows).

use std::sync::Arc;

use datafusion_common::config::ConfigOptions;
use datafusion_common::{DFSchema, DFSchemaRef};
use datafusion_expr::{Expr, LogicalPlan};
use datafusion_optimizer::analyzer::resolve_grouping_function::ResolveGroupingFunction;
use datafusion_optimizer::analyzer::type_coercion::{TypeCoercion, TypeCoercionRewriter};
use datafusion_optimizer::decorrelate_lateral_join::DecorrelateLateralJoin;
use datafusion_optimizer::decorrelate_predicate_subquery::DecorrelatePredicateSubquery;
use datafusion_optimizer::eliminate_cross_join::EliminateCrossJoin;
use datafusion_optimizer::extract_equijoin_predicate::ExtractEquijoinPredicate;
use datafusion_optimizer::push_down_filter::PushDownFilter;
use datafusion_optimizer::scalar_subquery_to_join::ScalarSubqueryToJoin;
use datafusion_optimizer::simplify_expressions::SimplifyExpressions;
use datafusion_optimizer::{Analyzer, AnalyzerRule, Optimizer, OptimizerContext, OptimizerRule};

use super::literals::{WholeNumbers, typed};
use super::subqueries;
use crate::error::SqlError;

fn analyzer() -> Analyzer {
    let rules: Vec<Arc<dyn AnalyzerRule + Send + Sync>> =
        vec![Arc::new(ResolveGroupingFunction::new()), Arc::new(TypeCoercion::new())];
    Analyzer::with_rules(rules)
}

fn rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    vec![
        Arc::new(SimplifyExpressions::new()),
        Arc::new(DecorrelatePredicateSubquery::new()),
        Arc::new(ScalarSubqueryToJoin::new()),
        Arc::new(DecorrelateLateralJoin::new()),
        Arc::new(ExtractEquijoinPredicate::new()),
        Arc::new(EliminateCrossJoin::new()),
        Arc::new(PushDownFilter::new()),
    ]
}

/// The plan, with whole numbers as wide as they are.
pub(super) fn whole_numbers(plan: LogicalPlan, options: &ConfigOptions) -> Result<LogicalPlan, SqlError> {
    Ok(WholeNumbers.analyze(plan, options)?)
}

/// The plan, after all rules.
pub(super) fn optimize(plan: LogicalPlan, options: &ConfigOptions) -> Result<LogicalPlan, SqlError> {
    let plan = analyzer().execute_and_check(plan, options, |_, _| {})?;
    let plan = subqueries::as_joins(plan)?;
    let context = OptimizerContext::new_with_config_options(Arc::new(options.clone()));
    Ok(Optimizer::with_rules(rules()).optimize(plan, &context, |_, _| {})?)
}

/// The expression, with its types made to fit.
pub(super) fn types_of(expression: Expr, schema: &DFSchema) -> Result<Expr, SqlError> {
    use datafusion_common::tree_node::TreeNode;
    let expression = typed(expression, schema)?.data;
    let schema: DFSchemaRef = Arc::new(schema.clone());
    let mut rewriter = TypeCoercionRewriter::new(&schema);
    Ok(expression.rewrite(&mut rewriter)?.data)
}
