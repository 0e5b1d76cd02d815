//! Top-N and deduplication: `WHERE row_number <= n` over a `ROW_NUMBER()`.

use std::sync::Arc;

use datafusion_expr::Filter;

use super::{Planned, Translator};
use crate::error::SqlError;

/// What a filter asks of a rank.
pub(super) struct Top;

/// Whether a filter is one over a rank.
pub(super) fn matching(_: &Filter) -> Option<Top> {
    None
}

/// The first rows of each partition.
pub(super) fn filter(_: &Translator<'_>, _: &Filter, _: Top) -> Result<Arc<Planned>, SqlError> {
    Err(SqlError::new("Top-N is not there yet"))
}
