//! `save_as_text_file`: one line for each record.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;

use super::{FileSet, Rdd};

impl<T: Display> Rdd<T> {
    /// Writes each record as a line, one file for each partition with records, into the folder `path`. Files
    /// of an `Rdd` that a stream has handed out become visible when its batch is committed.
    ///
    /// # Errors
    /// When the folder cannot be written; the message names it.
    pub fn save_as_text_file(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let path = path.as_ref();
        let with_path =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let mut files = FileSet::begin(path, false, self.batch.clone()).map_err(with_path)?;
        for (index, partition) in
            self.partitions.iter().enumerate().filter(|(_, partition)| !partition.is_empty())
        {
            files
                .write(index, "", |file| partition.iter().try_for_each(|record| writeln!(file, "{record}")))
                .map_err(with_path)?;
        }
        files.finish().map_err(with_path)
    }
}
