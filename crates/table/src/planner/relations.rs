//! What stands in `FROM` and is no table: window functions, versions of tables, patterns.
//!
//! Every table goes through here, also a plain one: so a version (`FOR SYSTEM_TIME AS OF`) that nobody would plan is refused, and not
//! taken for the table of now.

use datafusion_common::{Result, plan_err};
use datafusion_expr::LogicalPlan;
use datafusion_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use sqlparser::ast::{Expr, TableFactor, TableVersion};

use super::{match_recognize, temporal_table, window_function};

/// The planner of what stands in `FROM`.
#[derive(Debug)]
pub(super) struct Relations;

impl RelationPlanner for Relations {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let planned = |plan: LogicalPlan, alias| {
            Ok(RelationPlanning::Planned(Box::new(PlannedRelation { plan, alias })))
        };
        match relation {
            TableFactor::TableFunction { expr: Expr::Function(call), alias } => {
                planned(window_function::plan(&call, context)?, alias)
            }
            TableFactor::Table { version: Some(version), name, alias, with_hints, .. } => {
                let TableVersion::ForSystemTimeAsOf(time) = version else {
                    return plan_err!("a version of a table is `FOR SYSTEM_TIME AS OF` a time");
                };
                let table = plain_table(name, with_hints);
                let plan = temporal_table::plan(context.plan(table)?, &time)?;
                planned(plan, alias)
            }
            TableFactor::MatchRecognize { ref alias, .. } => {
                let alias = alias.clone();
                planned(match_recognize::plan(relation, context)?, alias)
            }
            other => Ok(RelationPlanning::Original(Box::new(other))),
        }
    }
}

fn plain_table(name: sqlparser::ast::ObjectName, with_hints: Vec<Expr>) -> TableFactor {
    TableFactor::Table {
        name,
        alias: None,
        args: None,
        with_hints,
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    }
}
