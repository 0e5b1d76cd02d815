//! `OVER (w …)` of `WINDOW w AS (…)`: the rows that a name stands for, and what is said besides.
//!
//! Before: a name within the parentheses of `OVER`, which DataFusion reads past. After: what the name stands for, in its place.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Ident, NamedWindowDefinition, NamedWindowExpr, Query, Select, WindowSpec, WindowType,
    visit_expressions_mut,
};

use super::selects::rewrite_selects;
use crate::error::SqlError;

/// Rewrites the windows of a query, and of those in it.
pub(super) fn rewrite(query: &mut Query) -> Result<(), SqlError> {
    rewrite_selects(query, of_select)
}

fn of_select(select: &mut Select) -> Result<(), SqlError> {
    // A name may stand in those that come after it.
    for place in 0..select.named_window.len() {
        let (known, rest) = select.named_window.split_at_mut(place);
        if let Some(NamedWindowDefinition(_, NamedWindowExpr::WindowSpec(spec))) = rest.first_mut() {
            resolve(spec, known)?;
        }
    }
    let named = select.named_window.clone();
    let found = visit_expressions_mut(&mut select.projection, |expression| {
        if let Expr::Function(call) = expression
            && let Some(WindowType::WindowSpec(spec)) = &mut call.over
            && let Err(error) = resolve(spec, &named)
        {
            return ControlFlow::Break(error);
        }
        ControlFlow::Continue(())
    });
    match found {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// Puts what a name stands for in its place.
fn resolve(spec: &mut WindowSpec, named: &[NamedWindowDefinition]) -> Result<(), SqlError> {
    let Some(name) = spec.window_name.take() else { return Ok(()) };
    let of = meaning(&name, named)?;
    if spec.partition_by.is_empty() {
        spec.partition_by = of.partition_by;
    }
    if spec.order_by.is_empty() {
        spec.order_by = of.order_by;
    }
    spec.window_frame = spec.window_frame.take().or(of.window_frame);
    Ok(())
}

fn meaning(name: &Ident, named: &[NamedWindowDefinition]) -> Result<WindowSpec, SqlError> {
    let place = named.iter().position(|NamedWindowDefinition(known, _)| known.value == name.value);
    match place.map(|place| &named[place].1) {
        Some(NamedWindowExpr::WindowSpec(spec)) => Ok(spec.clone()),
        Some(NamedWindowExpr::NamedWindow(other)) if other.value != name.value => meaning(other, named),
        _ => Err(SqlError::new(format!("there is no window `{}`", name.value))),
    }
}
