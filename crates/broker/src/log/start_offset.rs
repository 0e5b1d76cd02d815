//! The first offset of a partition that may be read, where it is not the first one of a file.
//!
//! It is written when records are deleted by a client, before that is acknowledged.

use std::io;
use std::path::{Path, PathBuf};

use crate::journal::replace;

fn path(directory: &Path) -> PathBuf {
    directory.join("start-offset")
}

/// Writes it down.
pub(crate) fn store(directory: &Path, offset: i64) -> io::Result<()> {
    replace(&path(directory), format!("{offset}\n").as_bytes()).map(drop)
}

/// What was written down, or 0.
pub(crate) fn load(directory: &Path) -> io::Result<i64> {
    match std::fs::read_to_string(path(directory)) {
        Ok(text) => text
            .trim()
            .parse()
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "start-offset does not hold an offset")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}
