//! From a query to a logical plan: DataFusion's planner, with Flink's names, functions and table functions.
//!
//! | pass | file |
//! |---|---|
//! | syntax tree → syntax tree: windows of old, names, forms of expressions | `group_windows.rs`, `names.rs`, `forms.rs` |
//! | syntax tree → syntax tree: limits of subqueries that see columns outside | `lateral_limits.rs` |
//! | syntax tree → syntax tree: rows of values before `IN` and `=` | `tuples.rs` |
//! | syntax tree → syntax tree: `OVER (w)` | `named_windows.rs` |
//! | syntax tree → logical plan: names, functions | `context.rs`, `expressions.rs` |
//! | table functions beside their table | `table_function.rs` |
//! | `INTERSECT ALL` and `EXCEPT ALL` by counts | `set_operations.rs` |
//! | types: whole numbers, decimals, comparisons | `literals.rs`, `comparisons.rs` |
//! | window functions, models, versions of tables, patterns in `FROM` | `relations.rs`, and a file for each node |
//! | `IN` and `EXISTS` in expressions; `ANY` and `ALL` | `subqueries.rs` |
//! | rules: types, subqueries to joins, filters down | `optimize.rs` |
//!
//! What is wrong is underlined in the query: `places.rs`.
//!
//! What comes after, the plan of operators, is in [`plan`](crate::plan).

mod comparisons;
pub mod context;
mod expressions;
mod forms;
pub(crate) mod group_windows;
mod lateral_limits;
mod literals;
pub(crate) mod match_recognize;
pub(crate) mod model_function;
mod named_windows;
mod names;
mod optimize;
mod places;
mod relations;
mod selects;
mod set_operations;
mod shifted;
mod subqueries;
pub(crate) mod table_function;
pub(crate) mod temporal_table;
mod tuples;
pub(crate) mod window_function;

use std::sync::Arc;

use datafusion_common::config::ConfigOptions;
use datafusion_common::{DFSchema, ScalarValue};
use datafusion_expr::execution_props::ExecutionProps;
use datafusion_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion_expr::planner::ContextProvider;
use datafusion_expr::{Expr, LogicalPlan};
use datafusion_physical_expr::{PhysicalExpr, create_physical_expr};
use datafusion_sql::planner::{NullOrdering, ParserOptions, PlannerContext, SqlToRel};
use sqlparser::ast;

pub use context::Context;

use crate::catalog::Catalog;
use crate::error::SqlError;
use crate::settings::Settings;

/// Plans the queries of a session.
pub struct Planner {
    context: Context,
}

impl Planner {
    /// A planner for what is in `catalog`.
    pub fn new(catalog: &Catalog, settings: &Settings) -> Self {
        Self { context: Context::new(catalog.clone(), settings) }
    }

    fn sql(&self) -> SqlToRel<'_, Context> {
        let options = ParserOptions::new()
            // Names are as they are written, and decimals are exact, as in Flink.
            .with_enable_ident_normalization(false)
            .with_parse_float_as_decimal(true)
            .with_map_string_types_to_utf8view(false)
            .with_collect_spans(true)
            // NULL is less than any value.
            .with_default_null_ordering(NullOrdering::NullsMin);
        SqlToRel::new_with_options(&self.context, options)
    }

    /// The optimised plan of a query.
    ///
    /// # Errors
    /// If something in it is not there, or does not fit.
    pub fn plan(&self, query: &ast::Query) -> Result<LogicalPlan, SqlError> {
        let plan = self.unoptimized(query)?;
        optimize::optimize(plan, self.context.options()).map_err(|error| places::placed(error, query))
    }

    /// The plan, after all rules.
    pub(crate) fn optimized(&self, plan: LogicalPlan) -> Result<LogicalPlan, SqlError> {
        optimize::optimize(plan, self.context.options())
    }

    /// The plan of a query, as it was written.
    pub(crate) fn unoptimized(&self, query: &ast::Query) -> Result<LogicalPlan, SqlError> {
        self.as_written(query).map_err(|error| places::placed(error, query))
    }

    fn as_written(&self, query: &ast::Query) -> Result<LogicalPlan, SqlError> {
        let mut query = query.clone();
        group_windows::rewrite(&mut query)?;
        table_function::rewrite(&mut query);
        lateral_limits::rewrite(&mut query)?;
        tuples::rewrite(&mut query)?;
        named_windows::rewrite(&mut query)?;
        names::rewrite(&mut query);
        forms::rewrite(&mut query);
        let statement = ast::Statement::Query(Box::new(query));
        let plan = table_function::correlate(self.sql().sql_statement_to_plan(statement)?)?;
        let plan = set_operations::counted(plan)?;
        optimize::whole_numbers(plan, self.context.options())
    }

    /// An expression over the columns of `schema`.
    ///
    /// # Errors
    /// If something in it is not there, or does not fit.
    pub fn expression(&self, expression: &ast::Expr, schema: &DFSchema) -> Result<Expr, SqlError> {
        let mut expression = expression.clone();
        tuples::compare(&mut expression);
        forms::rewrite(&mut expression);
        let expression = self.sql().sql_to_expr(expression, schema, &mut PlannerContext::new())?;
        optimize::types_of(expression, schema)
    }

    /// What evaluates an expression over columns of `schema`.
    ///
    /// # Errors
    /// If it has something in it that only a query can have.
    pub fn physical(&self, expression: &Expr, schema: &DFSchema) -> Result<Arc<dyn PhysicalExpr>, SqlError> {
        physical(expression, schema, self.context.config())
    }

    /// The settings, as expressions see them.
    pub(crate) fn config(&self) -> &Arc<ConfigOptions> {
        self.context.config()
    }
}

/// What evaluates an expression over columns of `schema`.
pub(crate) fn physical(
    expression: &Expr,
    schema: &DFSchema,
    config: &Arc<ConfigOptions>,
) -> Result<Arc<dyn PhysicalExpr>, SqlError> {
    let mut properties = ExecutionProps::new();
    properties.config_options = Some(config.clone());
    let context = PhysicalPlanningContext::default();
    let expression = create_physical_expr(expression, schema, &properties, &context)?;
    Ok(shifted::shift(expression, schema.inner())?)
}

/// The value of an expression that is the same for every row.
pub(crate) fn constant(expression: &Expr) -> Result<ScalarValue, datafusion_common::DataFusionError> {
    if let Expr::Literal(value, _) = expression {
        return Ok(value.clone());
    }
    let schema = DFSchema::empty();
    let physical = physical(expression, &schema, &Arc::default())?;
    let row = arrow::array::RecordBatch::try_new_with_options(
        schema.inner().clone(),
        Vec::new(),
        &arrow::array::RecordBatchOptions::new().with_row_count(Some(1)),
    )?;
    match physical.evaluate(&row)? {
        datafusion_expr::ColumnarValue::Scalar(value) => Ok(value),
        datafusion_expr::ColumnarValue::Array(values) => ScalarValue::try_from_array(&values, 0),
    }
}
