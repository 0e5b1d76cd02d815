//! What DataFusion's planner asks for: tables, functions, and those who plan what it has no words for.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion_common::config::ConfigOptions;
use datafusion_common::{DataFusionError, Result, TableReference};
use datafusion_expr::planner::{ContextProvider, ExprPlanner, RelationPlanner};
use datafusion_expr::{AggregateUDF, HigherOrderUDF, LogicalPlan, ScalarUDF, TableSource, WindowUDF};

use super::expressions::AggregatePlanner;
use super::relations::Relations;
use crate::catalog::table::PlannedTable;
use crate::catalog::{Catalog, Relation, TablePath};
use crate::settings::Settings;
use crate::{aggregates, functions, window_functions};

/// The catalog and the functions, as DataFusion's planner sees them.
pub struct Context {
    catalog: Catalog,
    settings: Settings,
    config: Arc<ConfigOptions>,
    expressions: Vec<Arc<dyn ExprPlanner>>,
    relations: Vec<Arc<dyn RelationPlanner>>,
}

impl Context {
    pub(crate) fn new(catalog: Catalog, settings: &Settings) -> Self {
        let mut config = ConfigOptions::new();
        config.execution.time_zone = Some(settings.time_zone().name().to_owned());
        config.optimizer.filter_null_join_keys = false;
        config.optimizer.enable_physical_uncorrelated_scalar_subquery = false;
        config.sql_parser.enable_subquery_sort_elimination = false;
        let mut expressions: Vec<Arc<dyn ExprPlanner>> = vec![Arc::new(AggregatePlanner)];
        expressions.extend(functions::planners());
        let relations: Vec<Arc<dyn RelationPlanner>> = vec![Arc::new(Relations::new(catalog.clone()))];
        Self { catalog, settings: settings.clone(), config: Arc::new(config), expressions, relations }
    }

    pub(crate) fn config(&self) -> &Arc<ConfigOptions> {
        &self.config
    }

    fn path(&self, name: &TableReference) -> TablePath {
        match name {
            TableReference::Bare { table } => self.catalog.path(&[table]),
            TableReference::Partial { schema, table } => self.catalog.path(&[schema, table]),
            TableReference::Full { catalog, schema, table } => self.catalog.path(&[catalog, schema, table]),
        }
    }
}

/// A view, as DataFusion's planner sees it.
struct PlannedView(LogicalPlan);

impl TableSource for PlannedView {
    fn schema(&self) -> arrow::datatypes::SchemaRef {
        self.0.schema().inner().clone()
    }

    fn get_logical_plan(&'_ self) -> Option<std::borrow::Cow<'_, LogicalPlan>> {
        Some(std::borrow::Cow::Borrowed(&self.0))
    }
}

impl ContextProvider for Context {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        let path = self.path(&name);
        match self.catalog.get(&path) {
            Some(Relation::Table(table)) => Ok(Arc::new(PlannedTable::new(table.clone()))),
            Some(Relation::View(view)) => {
                let planner = super::Planner::new(&self.catalog, &self.settings);
                let mut plan = planner.unoptimized(&view.query)?;
                if !view.columns.is_empty() {
                    let columns = plan.schema().columns().into_iter().zip(&view.columns);
                    let renamed =
                        columns.map(|(column, name)| datafusion_expr::Expr::Column(column).alias(name));
                    plan = datafusion_expr::LogicalPlanBuilder::from(plan.clone())
                        .project(renamed.collect::<Vec<_>>())?
                        .build()?;
                }
                Ok(Arc::new(PlannedView(plan)))
            }
            None => Err(DataFusionError::from(self.catalog.missing(&path))),
        }
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.expressions
    }

    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        &self.relations
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.catalog.functions().scalar(name).or_else(|| functions::scalar(name))
    }

    fn get_higher_order_meta(&self, _: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.catalog.functions().aggregate(name).or_else(|| aggregates::aggregate(name))
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        window_functions::window_function(name)
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        &self.config
    }

    fn udf_names(&self) -> Vec<String> {
        let own = self.catalog.functions().names().map(str::to_owned);
        functions::scalar_names().into_iter().chain(own).collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        aggregates::aggregate_names().map(str::to_owned).collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        window_functions::window_function_names().map(str::to_owned).collect()
    }
}
