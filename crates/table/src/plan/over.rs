//! `OVER`.

use std::sync::Arc;

use datafusion_expr::Window;

use super::{Planned, Translator};
use crate::error::SqlError;

/// Functions over the rows before each row.
pub(super) fn over(_: &Translator<'_>, _: &Window) -> Result<Arc<Planned>, SqlError> {
    Err(SqlError::new("OVER is not there yet"))
}
