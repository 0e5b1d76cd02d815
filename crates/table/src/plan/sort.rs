//! `ORDER BY` and `LIMIT`.

use std::sync::Arc;

use datafusion_expr::LogicalPlan;

use super::{Planned, Translator};
use crate::error::SqlError;

/// Rows in order, or some of them.
pub(super) fn sort(_: &Translator<'_>, _: &LogicalPlan) -> Result<Arc<Planned>, SqlError> {
    Err(SqlError::new("ORDER BY and LIMIT are not there yet"))
}
