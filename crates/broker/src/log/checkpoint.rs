//! The file beside a segment that spares the next start from reading it.
//!
//! It says what the first so many bytes of the segment hold, and what was known of the producers behind them. It is
//! written when a segment is closed, now and then while it is appended to, and at a clean stop, always after the
//! segment itself was forced to disk, so it can be trusted even after a power cut. A file that is missing or damaged
//! costs time and nothing else: the log is read instead.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::journal::replace;
use crate::log::producers::{AbortedTransaction, Snapshot};
use crate::log::segment::Summary;

/// What the file begins with; the digit changes with the format.
const MAGIC: &[u8; 4] = b"twi2";

/// What is known of a segment's first bytes.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    pub(crate) summary: Summary,
    /// Transactions whose abort marker is in these bytes.
    pub(crate) aborted: Vec<AbortedTransaction>,
    /// The producers after these bytes.
    pub(crate) producers: Snapshot,
}

/// Where the checkpoint of a segment's file is.
pub(crate) fn path(log: &Path) -> PathBuf {
    log.with_extension("index")
}

impl Checkpoint {
    /// Writes it beside the segment's file, in place of an earlier one.
    pub(crate) fn store(&self, log: &Path) -> io::Result<()> {
        let body = postcard::to_stdvec(self).map_err(io::Error::other)?;
        let mut bytes = Vec::with_capacity(MAGIC.len() + 4 + body.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&crc32c::crc32c(&body).to_be_bytes());
        bytes.extend_from_slice(&body);
        replace(&path(log), &bytes).map(drop)
    }

    /// What was written last, if it is whole and the segment's file, of `len` bytes, has all that it speaks of.
    /// Otherwise it is removed, lest it be believed when the file has grown again.
    pub(crate) fn load(log: &Path, len: u64) -> io::Result<Option<Self>> {
        let path = path(log);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let found = decode(&bytes).filter(|found| found.summary.size <= len);
        if found.is_none() {
            tracing::warn!(path = %path.display(), "this index does not fit its log, which is read instead");
            remove(&path)?;
        }
        Ok(found)
    }
}

fn decode(bytes: &[u8]) -> Option<Checkpoint> {
    let (crc, body) = bytes.strip_prefix(MAGIC)?.split_first_chunk()?;
    if crc32c::crc32c(body) != u32::from_be_bytes(*crc) {
        return None;
    }
    postcard::from_bytes(body).ok()
}

/// Removes a file that need not be there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
