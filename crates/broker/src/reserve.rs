//! Space that is kept for the moment when the disk is full.
//!
//! Deleting a topic and shortening its retention give space back, but both have to be written down first. A file of
//! zeros is given up for that, and made anew once there is space again.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::owner_only;

/// Bytes that are kept beyond what has to be written.
const SPARE: usize = 64 * 1024;

/// See the module.
#[derive(Debug)]
pub(crate) struct Reserve {
    path: PathBuf,
}

impl Reserve {
    /// The reserve of a data folder, which is filled by [`Reserve::fill`].
    pub(crate) fn of(data: &Path) -> Self {
        Self { path: data.join("reserve") }
    }

    /// Keeps space for writing a file of `len` bytes. Where there is none, there will be no reserve.
    pub(crate) fn fill(&self, len: usize) {
        let wanted = len + SPARE;
        if fs::metadata(&self.path).is_ok_and(|kept| kept.len() >= wanted as u64) {
            return;
        }
        // More, so that it need not be made anew for every topic that is created.
        if let Err(error) = self.write(&vec![0; wanted + SPARE]) {
            tracing::debug!(%error, "no space can be kept for the time when the disk is full");
            self.give_up();
        }
    }

    /// Writes; if the disk is full, once more without the reserve.
    pub(crate) fn spend<T>(&self, mut write: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        match write() {
            Err(error) if is_full(&error) && self.give_up() => write(),
            done => done,
        }
    }

    fn write(&self, zeros: &[u8]) -> io::Result<()> {
        owner_only::read_write().create(true).truncate(true).open(&self.path)?.write_all(zeros)
    }

    /// Whether there was something to give up.
    fn give_up(&self) -> bool {
        fs::remove_file(&self.path).is_ok()
    }
}

/// Whether something failed for want of space.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_given_up_once_and_only_for_space() {
        let data = tempfile::tempdir().unwrap();
        let reserve = Reserve::of(data.path());
        let path = data.path().join("reserve");
        reserve.fill(100_000);
        let kept = fs::metadata(&path).unwrap().len();
        reserve.fill(100_001);
        assert_eq!(fs::metadata(&path).unwrap().len(), kept, "there is enough");

        let denied = reserve.spend(|| Err::<(), _>(io::ErrorKind::PermissionDenied.into()));
        assert_eq!(denied.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert!(path.exists());
        // As a disk does it that has room for this file or for the other.
        let full = || if path.exists() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(7) };
        assert_eq!(reserve.spend(full).unwrap(), 7);
        let mut tries = 0;
        let still_full = reserve.spend(|| -> io::Result<()> {
            tries += 1;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert_eq!((still_full.unwrap_err().kind(), tries), (io::ErrorKind::StorageFull, 1));
        reserve.fill(1);
        assert!(path.exists());
    }
}
