//! Joins with a table `FOR SYSTEM_TIME AS OF` a time of the left side.
//!
//! | the time is | operator |
//! |---|---|
//! | event time | temporal join: the version that was there at that time |
//! | processing time | lookup join: the table as it is when the row comes |
//!
//! A condition on the table's columns that the optimiser has pushed to its side belongs to the join: it says which version is a partner, not
//! which are versions.

use std::sync::Arc;

use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{Column, DFSchema};
use datafusion_expr::{Expr, LogicalPlan};

use super::join::{Condition, JoinSide, joined, reads_of};
use super::{Planned, Traits, Translator, arrow, chunk_schema, source};
use crate::error::SqlError;
use crate::operators::{JoinInput, JoinKind, LookupJoin, TemporalJoin};
use crate::planner::temporal_table::TemporalTable;

/// The table with a version that a plan is, and the conditions on it, over the columns of the plan.
pub(super) fn of(plan: &LogicalPlan) -> Option<(&TemporalTable, Vec<Expr>)> {
    match plan {
        LogicalPlan::Extension(extension) => {
            extension.node.as_any().downcast_ref::<TemporalTable>().map(|table| (table, Vec::new()))
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let (table, conditions) = of(&alias.input)?;
            // The same columns by other names.
            let renamed = conditions.into_iter().map(|condition| {
                let renamed = condition.transform(|expression| {
                    Ok(match &expression {
                        Expr::Column(column) => match alias.input.schema().maybe_index_of_column(column) {
                            Some(place) => Transformed::yes(Expr::Column(nth(plan.schema(), place))),
                            None => Transformed::no(expression),
                        },
                        _ => Transformed::no(expression),
                    })
                });
                renamed.map(|renamed| renamed.data)
            });
            Some((table, renamed.collect::<Result<_, _>>().ok()?))
        }
        LogicalPlan::Filter(filter) => {
            let (table, mut conditions) = of(&filter.input)?;
            conditions.push(filter.predicate.clone());
            Some((table, conditions))
        }
        _ => None,
    }
}

fn nth(schema: &DFSchema, place: usize) -> Column {
    Column::from(schema.qualified_field(place))
}

/// A join, taken apart.
pub(super) struct Parts<'a> {
    pub(super) kind: JoinKind,
    pub(super) left: &'a LogicalPlan,
    pub(super) right: &'a LogicalPlan,
    pub(super) table: &'a TemporalTable,
    pub(super) on: Vec<(&'a Expr, &'a Expr)>,
    pub(super) condition: Option<Expr>,
    pub(super) both: &'a DFSchema,
}

/// A temporal join or a lookup join.
pub(super) fn join(translator: &Translator<'_>, parts: Parts<'_>) -> Result<Arc<Planned>, SqlError> {
    let Parts { kind, left, right, table, on, condition, both } = parts;
    if !matches!(kind, JoinKind::Inner | JoinKind::Left) {
        return Err(SqlError::new("a join with a version of a table is an inner or a left join"));
    }
    let left_rows = translator.translate(left)?;
    let (qualifier, name) = &table.time;
    let time = match name.as_str() {
        // `PROCTIME()` itself.
        "" => None,
        name => {
            let found = match qualifier {
                Some(table) => {
                    let table = datafusion_common::TableReference::bare(table.as_str());
                    left.schema().index_of_column(&Column::new(Some(table), name))
                }
                None => left.schema().index_of_column_by_name(None, name).ok_or_else(|| {
                    datafusion_common::DataFusionError::Plan(format!(
                        "there is no column `{name}` on the left side"
                    ))
                }),
            };
            Some(found?)
        }
    };
    let traits = &left_rows.traits;
    let processing_time = time.is_none_or(|time| traits.proctime.contains(&time));
    if !processing_time && !time.is_some_and(|time| traits.rowtime.contains(&time)) {
        return Err(SqlError::new(format!(
            "`FOR SYSTEM_TIME AS OF` takes a time attribute of the left side, and `{name}` is none"
        )));
    }
    let filter = condition.as_ref().map(|condition| translator.physical(condition, both)).transpose()?;
    let (left_keys, right_keys): (Vec<&Expr>, Vec<&Expr>) = on.into_iter().unzip();
    let names = |keys: &[&Expr]| keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let condition = condition.map_or_else(String::new, |condition| format!(", where=[{condition}]"));
    let what = format!("{kind:?}, on=[{}]=[{}]{condition}", names(&left_keys), names(&right_keys));
    if left_keys.is_empty() {
        return Err(SqlError::new("a join with a version of a table wants columns that are equal"));
    }
    let left = JoinSide::new(translator, left_rows, left.schema(), &left_keys)?;
    let known = left.rows.traits.moved(|column| (column < left.width).then_some(column));
    let both = chunk_schema(both);
    let width = left.width;
    if processing_time {
        let LogicalPlan::TableScan(scan) = &table.input else {
            return Err(SqlError::new("rows are looked up in a table, not in a query"));
        };
        let of_table = source::table_of(scan)?;
        let lookup = translator.connectors.of(of_table)?.source(of_table, translator.settings)?.lookup();
        let lookup = lookup.ok_or_else(|| {
            let connector = of_table.option("connector").unwrap_or_default();
            SqlError::new(format!(
                "rows cannot be looked up in `{}`: the connector `{connector}` does not do it",
                of_table.path.table
            ))
        })?;
        let shape = source::shape_of(translator, of_table)?;
        let place = |key: &&Expr| super::calc::column_of(key, right.schema());
        let right_key = right_keys.iter().map(place).collect::<Option<Vec<usize>>>();
        let right_key = right_key
            .ok_or_else(|| SqlError::new("rows are looked up by columns of the table, as they are"))?;
        let retracts = left.rows.traits.retracts;
        // What tells a row from others. The time at which it came is another when it is taken back.
        let times = left.rows.traits.proctime.clone();
        let all = (0..left.rows.schema.fields().len()).filter(|column| !times.contains(column)).collect();
        let own: Vec<usize> = left.rows.traits.keys.first().cloned().unwrap_or(all);
        let widths = (width, shape.schema().fields().len());
        let traits = Traits { keys: Vec::new(), ..known };
        let what = format!("LookupJoin(table=[{}], {what})", of_table.path);
        let (keys, schema) = ((left.key, right_key), left.rows.schema.clone());
        let out = both.clone();
        let also = if retracts { own.clone() } else { Vec::new() };
        let right_schema = shape.schema().clone();
        let reads =
            reads_of(widths, (&schema, &right_schema), keys.clone(), filter.clone(), (also, Vec::new()));
        let planned = Planned::new(what, vec![left.rows], out, traits, move |building, inputs| {
            let right = shape.schema().clone();
            let input = JoinInput {
                keys: keys.clone(),
                schemas: (&schema, &right),
                widths,
                both: both.clone(),
                filter: filter.clone(),
            };
            let operator =
                LookupJoin::new(kind, input, retracts.then(|| own.clone()), lookup.clone(), shape.clone())
                    .map_err(arrow)?;
            let rows = match retracts {
                // A row and its retraction meet.
                true => building.keyed(&inputs[0], &own, &schema)?,
                false => inputs[0].clone(),
            };
            Ok(rows.apply("lookup join", operator).identity(&building.identity()))
        });
        return Ok(planned.reading(move |needed| vec![reads(needed).swap_remove(0)]));
    }
    let right_rows = translator.translate(&table.input)?;
    let Some(right_time) = right_rows.traits.rowtime.first().copied() else {
        return Err(SqlError::new("a table has versions by its event time: it wants a WATERMARK"));
    };
    let right = JoinSide::new(translator, right_rows, right.schema(), &right_keys)?;
    if !right.rows.traits.keys.iter().any(|unique| unique.iter().all(|column| right.key.contains(column))) {
        return Err(SqlError::new(
            "a table has versions of its key: it wants a PRIMARY KEY … NOT ENFORCED, and the join wants it to be equal",
        ));
    }
    let Some(left_time) = time else { return Err(SqlError::new("no time")) };
    let (what, out) = (format!("TemporalJoin({what})"), both.clone());
    let condition = Condition { both, filter };
    let also = (vec![left_time], vec![right_time]);
    Ok(joined((what, "temporal join"), (left, right), condition, also, (out, known), move |input| {
        TemporalJoin::new(kind, input, (left_time, right_time))
    }))
}
