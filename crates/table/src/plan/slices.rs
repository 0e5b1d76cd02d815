//! Windows that overlap, under a `GROUP BY`: their rows get into slices, not into each of their windows.
//!
//! Before: a `HOP` or `CUMULATE`, columns and filters that leave the bounds of the window as they are, and an aggregate by them. After: the
//! same with a `TUMBLE` of the length of a slice. Where anything but the aggregate looks at the bounds, all stays as it is.

use std::sync::Arc;

use datafusion_expr::{Aggregate, Expr, Extension, LogicalPlan};

use super::calc::column_of;
use crate::aggregates::user::user_function;
use crate::operators::{Slicing, WindowSpec};
use crate::planner::window_function::WindowFunction;

/// The input of an aggregate with slices in place of windows, how these are put together, and which windows they were.
pub(super) struct Sliced {
    pub(super) input: LogicalPlan,
    pub(super) slicing: Slicing,
    pub(super) spec: WindowSpec,
}

/// The columns that are a window's beginning, its end, and its time.
type Bounds = [Vec<usize>; 3];

/// The input of `node` in slices, if it can be.
pub(super) fn sliced(node: &Aggregate) -> Option<Sliced> {
    let (input, spec, [starts, ends, times]) = slice(&node.input)?;
    let schema = node.input.schema();
    let (mut start, mut end) = (0, 0);
    for group in &node.group_expr {
        match column_of(group, schema) {
            Some(column) if starts.contains(&column) => start += 1,
            Some(column) if ends.contains(&column) => end += 1,
            Some(column) if times.contains(&column) => return None,
            _ if reads(group, &node.input, &[&starts, &ends, &times]) => return None,
            _ => {}
        }
    }
    let mergeable = |call: &Expr| match call {
        Expr::AggregateFunction(call) => user_function(&call.func).is_none(),
        Expr::Alias(alias) => {
            matches!(&*alias.expr, Expr::AggregateFunction(call) if user_function(&call.func).is_none())
        }
        _ => false,
    };
    let calls = &node.aggr_expr;
    let fits =
        calls.iter().all(|call| mergeable(call) && !reads(call, &node.input, &[&starts, &ends, &times]));
    ((start, end) == (1, 1) && fits).then_some(())?;
    Some(Sliced { input, slicing: Slicing::of(spec)?, spec })
}

/// Whether an expression over the columns of `plan` reads any of these.
fn reads(expression: &Expr, plan: &LogicalPlan, bounds: &[&Vec<usize>]) -> bool {
    let place = |column| plan.schema().maybe_index_of_column(column);
    expression
        .column_refs()
        .into_iter()
        .any(|column| place(column).is_none_or(|column| bounds.iter().any(|of| of.contains(&column))))
}

/// The plan in slices, which windows they were, and where their bounds are.
fn slice(plan: &LogicalPlan) -> Option<(LogicalPlan, WindowSpec, Bounds)> {
    match plan {
        LogicalPlan::Extension(extension) => {
            let window = extension.node.as_any().downcast_ref::<WindowFunction>()?;
            let slicing = Slicing::of(window.spec)?;
            let node = Arc::new(WindowFunction { spec: slicing.slices(), ..window.clone() });
            let first = window.schema.fields().len() - 3;
            let bounds = [vec![first], vec![first + 1], vec![first + 2]];
            Some((LogicalPlan::Extension(Extension { node }), window.spec, bounds))
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let (input, spec, bounds) = slice(&alias.input)?;
            Some((plan.with_new_exprs(Vec::new(), vec![input]).ok()?, spec, bounds))
        }
        LogicalPlan::Filter(filter) => {
            let (input, spec, bounds) = slice(&filter.input)?;
            let reads = reads(&filter.predicate, &filter.input, &bounds.each_ref());
            (!reads).then_some(())?;
            Some((plan.with_new_exprs(vec![filter.predicate.clone()], vec![input]).ok()?, spec, bounds))
        }
        LogicalPlan::Projection(projection) => {
            let (input, spec, below) = slice(&projection.input)?;
            let mut bounds = Bounds::default();
            for (place, expression) in projection.expr.iter().enumerate() {
                let column = column_of(expression, projection.input.schema());
                let bound = below.iter().position(|of| column.is_some_and(|column| of.contains(&column)));
                match bound {
                    Some(bound) => bounds[bound].push(place),
                    None if reads(expression, &projection.input, &below.each_ref()) => return None,
                    None => {}
                }
            }
            Some((plan.with_new_exprs(projection.expr.clone(), vec![input]).ok()?, spec, bounds))
        }
        _ => None,
    }
}
