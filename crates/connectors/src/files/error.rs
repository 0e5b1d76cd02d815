//! Why a file could not be read.

use std::path::{Path, PathBuf};

use thalweg_dataflow::error::{BoxError, Fatal};

use super::compression::Compression;
use crate::contract::ConnectorError;

/// A line must fit into memory; one above this is not text.
pub(super) const LONGEST_LINE: usize = 64 << 20;

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TextFileError {
    /// It cannot be opened or read.
    #[error("cannot read {path}: {error}; check that it exists and may be read")]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A line is not UTF-8.
    #[error("{path}: the line at byte {offset} is not UTF-8; convert the file to UTF-8")]
    NotUtf8 {
        /// Which file.
        path: PathBuf,
        /// Where its line begins.
        offset: u64,
    },
    /// It cannot be decompressed.
    #[error(
        "{path}: what is compressed in it ({compression:?}, by its name) cannot be read on at byte {offset} of the text: {error}"
    )]
    Compressed {
        /// Which file.
        path: PathBuf,
        /// As what it was read.
        compression: Compression,
        /// How much of it could be read.
        offset: u64,
        /// What is wrong with it.
        error: std::io::Error,
    },
    /// A line does not end.
    #[error("{path}: the line at byte {offset} is longer than {LONGEST_LINE} bytes; it seems not to be text")]
    LineTooLong {
        /// Which file.
        path: PathBuf,
        /// Where its line begins.
        offset: u64,
    },
    /// Another file has taken its place since a checkpoint.
    #[error(
        "{path} is another file than when the checkpoint was taken: it begins otherwise. Give new files names of their own; to read what is \
         there now from its beginning, give the source another uid"
    )]
    Replaced {
        /// Which file.
        path: PathBuf,
    },
    /// More was written to a line that had been read already.
    #[error(
        "{path}: the line before byte {offset} was read when it was not complete; let files appear whole, by a rename, or write whole lines"
    )]
    Unfinished {
        /// Which file.
        path: PathBuf,
        /// Where the line seemed to end.
        offset: u64,
    },
    /// A file has become shorter since a checkpoint.
    #[error(
        "{path} is shorter than when the checkpoint was taken; files must not be changed while they are read"
    )]
    Shrunk {
        /// Which file.
        path: PathBuf,
    },
}

impl TextFileError {
    /// As the engine wants it: what a restart cannot mend is marked as such.
    pub(super) fn boxed(self) -> BoxError {
        match &self {
            Self::Io { error, .. } if !lasts(error) => Box::new(self),
            _ => Box::new(Fatal(Box::new(self))),
        }
    }
}

/// Whether a store has said that trying again cannot help.
fn lasts(error: &std::io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ConnectorError>());
    inner.is_some_and(|error| !error.passes())
}

pub(super) fn io(path: &Path, error: std::io::Error) -> TextFileError {
    TextFileError::Io { path: path.to_owned(), error }
}
