//! Small files that hold one offset of a partition.

use std::io;
use std::path::Path;

use crate::journal::replace;

/// The first offset that may be read, where it is not the first one of a file. Written when records are deleted by a
/// client, before that is acknowledged.
pub(crate) const START: OffsetFile = OffsetFile("start-offset");
/// Everything before it is compacted. Written after a compaction; what it does not say costs the next one time.
pub(crate) const CLEAN: OffsetFile = OffsetFile("clean-offset");

/// A file of that name in a partition's folder.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OffsetFile(&'static str);

impl OffsetFile {
    /// Writes it down.
    pub(crate) fn store(self, directory: &Path, offset: i64) -> io::Result<()> {
        replace(&directory.join(self.0), format!("{offset}\n").as_bytes()).map(drop)
    }

    /// What was written down, or 0.
    pub(crate) fn load(self, directory: &Path) -> io::Result<i64> {
        let invalid =
            |_| io::Error::new(io::ErrorKind::InvalidData, format!("{} does not hold an offset", self.0));
        match std::fs::read_to_string(directory.join(self.0)) {
            Ok(text) => text.trim().parse().map_err(invalid),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }
}
