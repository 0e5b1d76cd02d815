//! What stands in `FROM` and is no table: window functions, models, versions of tables, patterns.
//!
//! Every table goes through here, also a plain one: so a version (`FOR SYSTEM_TIME AS OF`) that nobody would plan is refused, and not
//! taken for the table of now.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion_common::{Result, plan_err};
use datafusion_expr::LogicalPlan;
use datafusion_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use sqlparser::ast::{
    Expr, Ident, ObjectName, ObjectNamePart, TableAlias, TableAliasColumnDef, TableFactor, TableVersion,
};

use super::{match_recognize, model_function, table_function, temporal_table, window_function};
use crate::catalog::Catalog;
use crate::catalog::table::PlannedTable;
use crate::parser::hints;
use crate::table_functions::{Named, Unnest};

/// The planner of what stands in `FROM`.
#[derive(Debug)]
pub(super) struct Relations {
    catalog: Catalog,
}

impl Relations {
    /// One that knows the table functions and models of a catalog.
    pub(super) fn new(catalog: Catalog) -> Self {
        Self { catalog }
    }
}

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
            // `FROM f(…)`, without `TABLE( )` around it.
            TableFactor::Table { name, alias, args: Some(args), .. } if model_function::is_name(&name) => {
                let call = model_function::call_of(name, args);
                planned(model_function::plan(&call, &self.catalog, context)?, alias)
            }
            // Options of a hint are those of the table, here.
            TableFactor::Table { mut name, alias, with_hints, version, .. } if hinted(&name) => {
                let options = name.0.last_mut().and_then(last_ident).and_then(hints::take);
                let mut table = plain_table(name, with_hints);
                if let TableFactor::Table { version: of, .. } = &mut table {
                    *of = version;
                }
                let plan = with_options(context.plan(table)?, options.unwrap_or_default())?;
                planned(plan, alias)
            }
            TableFactor::UNNEST { alias, array_exprs, with_ordinality, .. } => {
                let unnest = Unnest { ordinality: with_ordinality };
                let name: &str = if with_ordinality { "UNNEST WITH ORDINALITY" } else { "UNNEST" };
                let function = Named { name: name.into(), function: Arc::new(unnest) };
                let plan = table_function::plan(function, array_exprs, context)?;
                let single = plan.schema().fields().len() == 1;
                planned(plan, alias.map(|alias| if single { sole_column(alias) } else { alias }))
            }
            TableFactor::Function { name, args, with_ordinality: false, alias, .. } => {
                let (function, arguments) = table_function::call_of(&name, &args, self.catalog.functions())?;
                planned(table_function::plan(function, arguments, context)?, alias)
            }
            TableFactor::TableFunction { expr: Expr::Function(call), alias }
                if model_function::is_model_function(&call) =>
            {
                planned(model_function::plan(&call, &self.catalog, context)?, alias)
            }
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

/// Of `UNNEST(…) AS x`, `x` is the name of the column, too, if there is one alone.
fn sole_column(mut alias: TableAlias) -> TableAlias {
    if alias.columns.is_empty() {
        alias.columns.push(TableAliasColumnDef::from_name(alias.name.value.clone()));
    }
    alias
}

fn last_ident(part: &mut ObjectNamePart) -> Option<&mut Ident> {
    match part {
        ObjectNamePart::Identifier(name) => Some(name),
        _ => None,
    }
}

fn hinted(name: &ObjectName) -> bool {
    let last = name.0.last().and_then(ObjectNamePart::as_ident);
    last.is_some_and(|name| hints::split(&name.value).1.is_some())
}

/// The scan of a table with other options.
fn with_options(plan: LogicalPlan, options: BTreeMap<String, String>) -> Result<LogicalPlan> {
    let mut options = options;
    let ttl = options.remove(hints::STATE_TTL);
    let what = if ttl.is_some() { "STATE_TTL is" } else { "OPTIONS are" };
    let LogicalPlan::TableScan(mut scan) = plan else {
        return plan_err!("{what} of a table, and this is a view");
    };
    let Some(planned) = scan.source.downcast_ref::<PlannedTable>() else {
        return plan_err!("{what} of a table, and `{}` is a view", scan.table_name);
    };
    let table = if options.is_empty() {
        planned.table.clone()
    } else {
        Arc::new(planned.table.with_options(&options))
    };
    let state_ttl = ttl.and_then(|ttl| crate::options::millis(&ttl));
    scan.source = Arc::new(PlannedTable { state_ttl, ..PlannedTable::new(table) });
    Ok(LogicalPlan::TableScan(scan))
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
