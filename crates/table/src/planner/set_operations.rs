//! `INTERSECT ALL` and `EXCEPT ALL`: rows are counted on either side, and come out as often as the counts say.
//!
//! Before: a semi or anti join by all columns, for which a row of the right side stands for any number of those on the left. After: the
//! rows of both sides with a 1 in a column of their side, summed up by all columns, and each as many times as follows from the sums.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int64Type};
use datafusion_common::tree_node::Transformed;
use datafusion_common::{Column, NullEquality, Result, plan_err};
use datafusion_expr::{Expr, Extension, Join, JoinType, LogicalPlan, LogicalPlanBuilder, lit, when};
use thalweg_dataflow::error::BoxError;

use super::table_function::TableCall;
use crate::aggregates::aggregate;
use crate::error::SqlError;
use crate::table_functions::{Expanded, Named, TableFunction};

/// Makes counts of the joins that stand for set operations with `ALL`.
pub(super) fn counted(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|plan| match plan {
        LogicalPlan::Join(join) if is_all(&join) => set_operation(&join).map(Transformed::yes),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(plan.data)
}

/// Whether a join came of `INTERSECT ALL` or `EXCEPT ALL`: for no other is NULL equal to NULL. Without `ALL` the left side is made distinct
/// before; where it is so anyway, both mean the same.
fn is_all(join: &Join) -> bool {
    matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti)
        && join.null_equality == NullEquality::NullEqualsNull
        && join.filter.is_none()
        && !matches!(&*join.left, LogicalPlan::Distinct(_))
}

fn set_operation(join: &Join) -> Result<LogicalPlan> {
    let name = |place: usize| format!("$c{place}");
    let side = |input: &LogicalPlan, left: i64, right: i64| {
        let columns = input.schema().columns().into_iter().enumerate();
        let columns = columns.map(|(place, column)| Expr::Column(column).alias(name(place)));
        let counts = [lit(left).alias("$left"), lit(right).alias("$right")];
        LogicalPlanBuilder::from(input.clone()).project(columns.chain(counts).collect::<Vec<_>>())
    };
    let both = side(&join.left, 1, 0)?.union(side(&join.right, 0, 1)?.build()?)?;
    let Some(sum) = aggregate("SUM") else { return plan_err!("there is no SUM") };
    let column = |name: &str| Expr::Column(Column::new_unqualified(name));
    let width = join.left.schema().fields().len();
    let keys: Vec<Expr> = (0..width).map(|place| column(&name(place))).collect();
    let sums = ["$left", "$right"].map(|side| sum.call(vec![column(side)]).alias(side));
    let summed = both.aggregate(keys.clone(), sums)?;
    let (left, right) = (column("$left"), column("$right"));
    let times = match join.join_type {
        JoinType::LeftSemi => when(left.clone().lt(right.clone()), left).otherwise(right)?,
        _ => left - right,
    };
    let counted = summed.project(keys.iter().cloned().chain([times.alias("$times")]))?.build()?;
    let copies = Named { name: "$copies".into(), function: Arc::new(Copies) };
    let call = TableCall::unnamed(counted, copies, vec![column("$times")])?;
    let rows = LogicalPlan::Extension(Extension { node: Arc::new(call) });
    // As the columns of the left side were called.
    let named = join.left.schema().iter().zip(keys).map(|((qualifier, field), key)| match qualifier {
        Some(qualifier) => key.alias_qualified(Some(qualifier.clone()), field.name()),
        None => key.alias(field.name()),
    });
    LogicalPlanBuilder::from(rows).project(named.collect::<Vec<_>>())?.build()
}

/// So many rows without a column; none for less than one.
struct Copies;

impl TableFunction for Copies {
    fn columns(&self, _: &[DataType]) -> Result<Vec<(String, DataType)>, SqlError> {
        Ok(Vec::new())
    }

    fn evaluate(&self, arguments: &[ArrayRef], rows: usize) -> Result<Expanded, BoxError> {
        let times = arguments[0].as_primitive::<Int64Type>();
        let mut origins = Vec::with_capacity(rows);
        for row in (0..rows).filter(|row| times.is_valid(*row)) {
            origins.extend(std::iter::repeat_n(row as u32, usize::try_from(times.value(row)).unwrap_or(0)));
        }
        Ok(Expanded { origins, columns: Vec::new() })
    }
}
