//! Where a test stops a compaction, or looks at what it has done: before any of the things it does to files.

use std::io;

/// Does nothing but in tests.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    #[cfg(test)]
    watch: Option<watch::Watch>,
}

#[cfg(not(test))]
#[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "tests have something here")]
impl Steps {
    /// Something is about to be done to a file.
    pub(super) fn step(&self) -> io::Result<()> {
        Ok(())
    }

    /// All names are on disk.
    pub(super) fn synced(&self) {}
}

#[cfg(test)]
impl Steps {
    pub(super) fn step(&self) -> io::Result<()> {
        self.watch.as_ref().map_or(Ok(()), watch::Watch::step)
    }

    pub(super) fn synced(&self) {
        self.watch.iter().for_each(watch::Watch::synced);
    }

    /// Everything fails after so many steps, as if the process were gone.
    pub(super) fn ending_after(steps: u32) -> Self {
        Self { watch: Some(watch::Watch::ending_after(steps)) }
    }

    /// The files of a folder are written down at every step.
    pub(super) fn watching(directory: &std::path::Path) -> Self {
        Self { watch: Some(watch::Watch::watching(directory)) }
    }

    /// What may be on disk if the power goes at any time.
    pub(super) fn after_power_cuts(self) -> Vec<watch::Files> {
        self.watch.map(watch::Watch::after_power_cuts).unwrap_or_default()
    }
}

#[cfg(test)]
pub(super) mod watch {
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};

    use super::io;

    /// Names and contents.
    pub(crate) type Files = BTreeMap<String, Vec<u8>>;

    #[derive(Debug, Default)]
    pub(super) struct Watch {
        left: Option<Cell<u32>>,
        directory: Option<PathBuf>,
        /// What was there before each step, and whether all names of that were on disk.
        seen: RefCell<Vec<(Files, bool)>>,
        synced: Cell<bool>,
    }

    impl Watch {
        pub(super) fn ending_after(steps: u32) -> Self {
            Self { left: Some(Cell::new(steps)), ..Self::default() }
        }

        pub(super) fn watching(directory: &Path) -> Self {
            Self { directory: Some(directory.to_owned()), synced: Cell::new(true), ..Self::default() }
        }

        pub(super) fn step(&self) -> io::Result<()> {
            if let Some(left) = &self.left {
                let now = left.get().checked_sub(1).ok_or_else(|| io::Error::other("stopped by a test"))?;
                left.set(now);
            }
            self.look();
            Ok(())
        }

        pub(super) fn synced(&self) {
            self.synced.set(true);
            self.look();
        }

        fn look(&self) {
            if let Some(directory) = &self.directory {
                self.seen.borrow_mut().push((files(directory), self.synced.replace(false)));
            }
        }

        /// Of the names changed since the last time all were on disk, some may have got there and others not.
        pub(super) fn after_power_cuts(self) -> Vec<Files> {
            self.look();
            let (mut found, mut certain, mut changes) = (Vec::new(), Files::new(), Vec::new());
            let mut before = Files::new();
            for (files, synced) in self.seen.into_inner() {
                if synced {
                    (certain, changes) = (files.clone(), Vec::new());
                } else {
                    changes.push(difference(&before, &files));
                    assert!(changes.len() < 12, "too many combinations");
                }
                for subset in 0..1_u32 << changes.len() {
                    let mut there = certain.clone();
                    for (n, change) in changes.iter().enumerate() {
                        if subset >> n & 1 == 1 {
                            change.iter().for_each(|(name, content)| match content {
                                Some(content) => drop(there.insert(name.clone(), content.clone())),
                                None => drop(there.remove(name)),
                            });
                        }
                    }
                    found.push(there);
                }
                before = files;
            }
            found.sort();
            found.dedup();
            found
        }
    }

    fn difference(before: &Files, after: &Files) -> BTreeMap<String, Option<Vec<u8>>> {
        let gone = before.keys().filter(|name| !after.contains_key(*name)).map(|name| (name.clone(), None));
        let come = after.iter().filter(|(name, content)| before.get(*name) != Some(content));
        gone.chain(come.map(|(name, content)| (name.clone(), Some(content.clone())))).collect()
    }

    /// The files of a folder.
    pub(crate) fn files(directory: &Path) -> Files {
        let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
        let named = |entry: std::fs::DirEntry| entry.file_name().into_string().unwrap();
        entries
            .map(|entry| (std::fs::read(entry.path()).unwrap(), entry))
            .map(|(content, entry)| (named(entry), content))
            .collect()
    }
}
