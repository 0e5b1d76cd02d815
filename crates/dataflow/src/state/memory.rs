//! The memory that the state of a job may take. What is past it goes to disk, coldest first.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::tell;

/// A budget that all keyed tables of a job share. Each says what it takes, and moves entries to disk when all together take too much
/// and it has more than its share.
#[derive(Clone, Debug)]
pub struct Memory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit: u64,
    folder: PathBuf,
    used: AtomicU64,
    tables: AtomicUsize,
    on_disk: AtomicU64,
    told: AtomicBool,
}

impl Memory {
    /// So many bytes, and the folder for what is past them.
    pub fn new(limit: u64, folder: impl Into<PathBuf>) -> Self {
        Self(Arc::new(Inner {
            limit,
            folder: folder.into(),
            used: AtomicU64::new(0),
            tables: AtomicUsize::new(0),
            on_disk: AtomicU64::new(0),
            told: AtomicBool::new(false),
        }))
    }

    /// How many bytes state may take.
    pub fn limit(&self) -> u64 {
        self.0.limit
    }

    /// About how many bytes it takes.
    pub fn used(&self) -> u64 {
        self.0.used.load(Relaxed)
    }

    /// How many entries are on disk.
    pub fn on_disk(&self) -> u64 {
        self.0.on_disk.load(Relaxed)
    }

    /// The folder for what is past the limit.
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// A file of its own, which has no name and is gone with whoever has it open.
    pub(crate) fn file(&self) -> std::io::Result<File> {
        tempfile::tempfile_in(&self.0.folder)
    }

    /// Tells once that entries cannot be moved to disk.
    pub(crate) fn cannot(&self, reason: &dyn std::fmt::Display) {
        if !self.0.told.swap(true, Relaxed) {
            let folder = self.0.folder.display();
            tell::warn(format_args!(
                "state takes more than the {} bytes that it may, and cannot be moved to {folder}: {reason}. It stays in memory",
                self.0.limit
            ));
        }
    }

    /// Takes a table into account.
    pub(crate) fn share(&self) -> Share {
        self.0.tables.fetch_add(1, Relaxed);
        Share { memory: self.clone(), used: 0, on_disk: 0 }
    }
}

/// What one table takes of the memory.
#[derive(Debug)]
pub(crate) struct Share {
    memory: Memory,
    used: u64,
    on_disk: u64,
}

impl Share {
    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Says what the table takes now.
    pub(crate) fn report(&mut self, used: u64, on_disk: u64) {
        let inner = &self.memory.0;
        // Differences wrap around, as the sum does.
        inner.used.fetch_add(used.wrapping_sub(self.used), Relaxed);
        inner.on_disk.fetch_add(on_disk.wrapping_sub(self.on_disk), Relaxed);
        (self.used, self.on_disk) = (used, on_disk);
    }

    /// How many bytes the table should make free: as many as all tables take too much, as long as it has more than its share.
    pub(crate) fn too_much(&self) -> u64 {
        let inner = &self.memory.0;
        let fair = inner.limit / inner.tables.load(Relaxed).max(1) as u64;
        inner.used.load(Relaxed).saturating_sub(inner.limit).min(self.used.saturating_sub(fair))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.report(0, 0);
        self.memory.0.tables.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_more_than_its_share_makes_room() {
        let memory = Memory::new(100, std::env::temp_dir());
        let (mut small, mut large) = (memory.share(), memory.share());
        small.report(30, 0);
        large.report(60, 0);
        assert_eq!((small.too_much(), large.too_much(), memory.used()), (0, 0, 90));
        large.report(100, 0);
        assert_eq!((small.too_much(), large.too_much()), (0, 30), "what is too much, not all over its share");
        large.report(65, 7);
        assert_eq!((large.too_much(), memory.used(), memory.on_disk()), (0, 95, 7));
        drop(large);
        assert_eq!((memory.used(), memory.on_disk()), (30, 0));
        small.report(120, 0);
        assert_eq!(small.too_much(), 20, "the only one has all of it");
    }
}
