//! `t FOR SYSTEM_TIME AS OF o.time`: the right side of a temporal or of a lookup join.
//!
//! Before: a table with a version. After: a node above the table that says as of when. Nothing is pushed down below it: a filter below
//! would make an older version out of the one that it drops.

use std::sync::Arc;

use datafusion_common::{DFSchemaRef, Result, plan_err};
use datafusion_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};
use sqlparser::ast;

/// A table as of a time of another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TemporalTable {
    pub(crate) input: LogicalPlan,
    /// The column of the other table: its name, and that of the table.
    pub(crate) time: (Option<String>, String),
}

/// The node above `input`.
pub(super) fn plan(input: LogicalPlan, time: &ast::Expr) -> Result<LogicalPlan> {
    let time = match time {
        ast::Expr::Identifier(column) => (None, column.value.clone()),
        ast::Expr::CompoundIdentifier(parts) => match &parts[..] {
            [table, column] => (Some(table.value.clone()), column.value.clone()),
            _ => return plan_err!("`FOR SYSTEM_TIME AS OF` takes a time column of the left table"),
        },
        ast::Expr::Function(call) if call.name.to_string().eq_ignore_ascii_case("PROCTIME") => {
            (None, String::new())
        }
        other => {
            return plan_err!("`FOR SYSTEM_TIME AS OF` takes a time column of the left table, not `{other}`");
        }
    };
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(TemporalTable { input, time }) }))
}

impl PartialOrd for TemporalTable {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.time.partial_cmp(&other.time)
    }
}

impl UserDefinedLogicalNodeCore for TemporalTable {
    fn name(&self) -> &str {
        "TemporalTable"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TemporalTable: as of {}", self.time.1)
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        Ok(Self { input: inputs.remove(0), time: self.time.clone() })
    }
}
