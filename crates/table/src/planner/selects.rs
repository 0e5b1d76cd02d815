//! Goes over every SELECT of a query: of those within, and of both sides of a set operation.

use std::ops::ControlFlow;

use sqlparser::ast::{Query, Select, SetExpr, VisitMut, VisitorMut};

use crate::error::SqlError;

/// Calls `rewrite` for every SELECT, those within before those around them.
pub(super) fn rewrite_selects(
    query: &mut Query,
    rewrite: fn(&mut Select) -> Result<(), SqlError>,
) -> Result<(), SqlError> {
    struct Rewriter(fn(&mut Select) -> Result<(), SqlError>);
    impl VisitorMut for Rewriter {
        type Break = SqlError;

        fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<SqlError> {
            match of_body(&mut query.body, self.0) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => ControlFlow::Break(error),
            }
        }
    }
    match query.visit(&mut Rewriter(rewrite)) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

fn of_body(body: &mut SetExpr, rewrite: fn(&mut Select) -> Result<(), SqlError>) -> Result<(), SqlError> {
    match body {
        SetExpr::Select(select) => rewrite(select),
        SetExpr::SetOperation { left, right, .. } => {
            of_body(left, rewrite)?;
            of_body(right, rewrite)
        }
        // Queries within are visited by themselves.
        _ => Ok(()),
    }
}
