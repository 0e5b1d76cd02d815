//! From logical nodes to nodes of operators: which file knows how.

use std::sync::Arc;
use std::time::Duration;

use datafusion_common::DFSchema;
use datafusion_expr::{Distinct, Expr, LogicalPlan};
use datafusion_physical_expr::PhysicalExpr;
use thalweg_dataflow::state::StateTtlConfig;

use super::{
    Planned, Traits, aggregate, calc, correlate, join, match_recognize, model, over, rank, sort, source,
    values, window,
};
use crate::connectors::Connectors;
use crate::error::SqlError;
use crate::planner::match_recognize::MatchRecognize;
use crate::planner::model_function::ModelFunction;
use crate::planner::table_function::TableCall;
use crate::planner::temporal_table::TemporalTable;
use crate::planner::window_function::WindowFunction;
use crate::planner::{self, Planner};
use crate::settings::Settings;

/// Translates logical plans.
pub struct Translator<'a> {
    /// Plans expressions.
    pub planner: &'a Planner,
    /// What reads and writes tables.
    pub connectors: &'a Connectors,
    /// The settings of the session.
    pub settings: &'a Settings,
}

impl Translator<'_> {
    /// The node of operators for a logical node, and those below it.
    ///
    /// # Errors
    /// If there is no operator for it, or none for such inputs.
    pub fn translate(&self, plan: &LogicalPlan) -> Result<Arc<Planned>, SqlError> {
        match plan {
            LogicalPlan::Projection(projection) => {
                let input = self.translate(&projection.input)?;
                calc::project(self, input, projection.input.schema(), &projection.expr, &projection.schema)
            }
            LogicalPlan::Filter(filter) => match rank::matching(filter) {
                Some(top) => rank::filter(self, filter, top),
                None => {
                    let input = self.translate(&filter.input)?;
                    calc::filter(self, input, filter.input.schema(), &filter.predicate)
                }
            },
            LogicalPlan::SubqueryAlias(alias) => {
                self.translate(&alias.input).map(|input| calc::renamed(input, &alias.schema))
            }
            LogicalPlan::TableScan(scan) => source::scan(self, scan),
            LogicalPlan::Aggregate(aggregate) => aggregate::aggregate(self, aggregate),
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let rows = self.translate(input)?;
                aggregate::distinct(self, rows)
            }
            LogicalPlan::Union(union) => {
                let inputs = union.inputs.iter().map(|input| self.translate(input));
                Ok(union_of(inputs.collect::<Result<Vec<_>, _>>()?))
            }
            LogicalPlan::Values(rows) => values::values(self, &rows.values, &rows.schema),
            LogicalPlan::EmptyRelation(empty) => Ok(values::constant(empty.produce_one_row, &empty.schema)),
            LogicalPlan::Window(window) => over::over(self, window),
            LogicalPlan::Join(join) => join::join(self, join),
            LogicalPlan::Sort(_) | LogicalPlan::Limit(_) => sort::sort(self, plan),
            LogicalPlan::Extension(extension) => {
                let node = extension.node.as_any();
                if let Some(node) = node.downcast_ref::<WindowFunction>() {
                    return window::window(self, node);
                }
                if let Some(node) = node.downcast_ref::<ModelFunction>() {
                    return model::model(self, node);
                }
                if let Some(node) = node.downcast_ref::<MatchRecognize>() {
                    return match_recognize::match_recognize(self, node);
                }
                if let Some(node) = node.downcast_ref::<TableCall>() {
                    return correlate::correlate(self, node);
                }
                if node.is::<TemporalTable>() {
                    return Err(SqlError::new(
                        "a version of a table (`FOR SYSTEM_TIME AS OF`) stands on the right side of a join",
                    ));
                }
                Err(not_there(plan))
            }
            other => Err(not_there(other)),
        }
    }

    /// How long an operator that reads rows of these traits keeps what it has not written since: by a hint, or the setting.
    pub(super) fn ttl(&self, of: &Traits) -> Option<StateTtlConfig> {
        let setting = || self.settings.get("table.exec.state.ttl").and_then(crate::options::millis);
        let millis = of.ttl.or_else(setting).filter(|millis| *millis > 0)?;
        u64::try_from(millis).ok().map(|millis| StateTtlConfig::new(Duration::from_millis(millis)))
    }

    /// What evaluates an expression over the columns of `schema`.
    pub(super) fn physical(
        &self,
        expression: &Expr,
        schema: &DFSchema,
    ) -> Result<Arc<dyn PhysicalExpr>, SqlError> {
        planner::physical(expression, schema, self.planner.config())
    }
}

fn not_there(plan: &LogicalPlan) -> SqlError {
    SqlError::new(format!("this is not there yet: {}", plan.display()))
}

/// All rows of all inputs, which have the same columns.
pub(super) fn union_of(inputs: Vec<Arc<Planned>>) -> Arc<Planned> {
    let schema = inputs
        .first()
        .map_or_else(|| Arc::new(arrow::datatypes::Schema::empty()), |input| input.schema.clone());
    let first = inputs.first().map(|input| input.traits.clone()).unwrap_or_default();
    let all = |test: &dyn Fn(&Traits) -> bool| inputs.iter().all(|input| test(&input.traits));
    // What is event time in all of them is so in the union.
    let rowtime =
        first.rowtime.iter().copied().filter(|column| all(&|traits| traits.rowtime.contains(column)));
    let proctime =
        first.proctime.iter().copied().filter(|column| all(&|traits| traits.proctime.contains(column)));
    let traits = Traits {
        retracts: !all(&|traits| !traits.retracts),
        keys: Vec::new(),
        rowtime: rowtime.collect(),
        proctime: proctime.collect(),
        window: first.window.clone().filter(|window| all(&|traits| traits.window.as_ref() == Some(window))),
        ttl: None,
    };
    let count = inputs.len();
    let planned = Planned::new(format!("Union(inputs={count})"), inputs, schema, traits, |_, inputs| {
        let mut inputs = inputs.into_iter();
        let first = inputs.next().ok_or_else(|| SqlError::new("a union of nothing"))?;
        Ok(inputs.fold(first, |all, other| all.union(&other)))
    });
    planned.reading(move |needed| vec![needed.to_vec(); count])
}
