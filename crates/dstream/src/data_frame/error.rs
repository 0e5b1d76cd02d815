//! Why a table could not be made or written.

use std::io;
use std::path::PathBuf;

/// Why a table could not be made or written. Nothing that was visible before has been touched.
#[derive(thiserror::Error)]
pub enum DataFrameError {
    /// The records are no table.
    #[error("the records cannot be made a table: {reason}")]
    Schema {
        /// Which column, and what is wrong with it.
        reason: String,
    },
    /// There is no such format.
    #[error("there is no format `{0}`; the formats are {formats}", formats = super::writer::FORMATS.join(", "))]
    Format(String),
    /// There is no such mode.
    #[error("there is no save mode `{0}`; the modes are append, overwrite, errorifexists and ignore")]
    Mode(String),
    /// The mode is `ErrorIfExists`, and there is something.
    #[error("{0} exists already; choose another path, or mode append, overwrite or ignore")]
    Exists(PathBuf),
    /// The mode is `Overwrite`, and there is something that no save has written.
    #[error(
        "{path} is not overwritten, as it holds what no save has written: {}; remove it, or choose another path",
        others.join(", ")
    )]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// What was found there: names, at most ten of them.
        others: Vec<String>,
    },
    /// Two columns have one name, and the format tells them by it.
    #[error(
        "two columns are named `{0}`, and JSON can keep one of them only; name the columns with to_df_named"
    )]
    Columns(String),
    /// The files cannot be written.
    #[error("cannot write to {path}: {error}; check that the folder may be written and that there is room")]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// For people, as that is what `main() -> Result` prints.
impl std::fmt::Debug for DataFrameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        thalweg_dataflow::error::debug(self, f)
    }
}
