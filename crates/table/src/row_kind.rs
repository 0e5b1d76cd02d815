//! What kind of change a row is, in Flink's words. Chunks know additions and retractions alone; which of them are the two sides of an
//! update is told here, at the edge.

use arrow::error::ArrowError;

use crate::chunk::Chunk;
use crate::rows::RowCodec;

/// What kind of change a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKind {
    /// `+I`.
    Insert,
    /// `-U`: how the row was before it was updated.
    UpdateBefore,
    /// `+U`: how it is after that.
    UpdateAfter,
    /// `-D`.
    Delete,
}

impl std::fmt::Display for RowKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Insert => "+I",
            Self::UpdateBefore => "-U",
            Self::UpdateAfter => "+U",
            Self::Delete => "-D",
        })
    }
}

/// The kinds of a chunk's rows: a retraction with an addition right behind it that has the same key (without one: whatever it is) is an
/// update.
///
/// # Errors
/// If the key has a type that cannot be compared.
pub fn kinds(chunk: &Chunk, key: &[usize]) -> Result<Vec<RowKind>, ArrowError> {
    let mut kinds: Vec<RowKind> = (0..chunk.len())
        .map(|row| if chunk.is_retraction(row) { RowKind::Delete } else { RowKind::Insert })
        .collect();
    if chunk.retractions().is_none() {
        return Ok(kinds);
    }
    let schema = chunk.rows().schema();
    let codec = RowCodec::of_columns(&schema, key)?;
    let columns: Vec<_> = key.iter().map(|column| chunk.rows().column(*column).clone()).collect();
    let keys = if key.is_empty() { None } else { Some(codec.encode(&columns)?) };
    for row in 1..chunk.len() {
        let same_key = keys.as_ref().is_none_or(|keys| keys.row(row - 1) == keys.row(row));
        if kinds[row - 1] == RowKind::Delete && kinds[row] == RowKind::Insert && same_key {
            (kinds[row - 1], kinds[row]) = (RowKind::UpdateBefore, RowKind::UpdateAfter);
        }
    }
    Ok(kinds)
}
