//! Putting a compacted segment in the place of those that it was made of, so that a crash leaves the old or the new.
//!
//! What is made of the segments from `base` up to `end` is written into `<base>-<end>.cleaned`, with its index beside
//! it, and forced to disk. The swap is decided when that is renamed to `<base>-<end>.swap`; what is left to do then is
//! also done at the next start: remove the other segments, and rename index and log to the names that they will have.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::log::checkpoint;
use crate::log::compaction::steps::Steps;
use crate::log::segment::{base_offset_of, file_name};

/// The files of one swap.
#[derive(Debug)]
pub(super) struct Swap<'a> {
    directory: &'a Path,
    base: i64,
    end: i64,
}

impl<'a> Swap<'a> {
    /// Of all segments from `base` up to `end`.
    pub(super) fn new(directory: &'a Path, base: i64, end: i64) -> Self {
        Self { directory, base, end }
    }

    /// Where the new segment is written.
    pub(super) fn cleaned(&self) -> PathBuf {
        self.directory.join(format!("{:020}-{:020}.cleaned", self.base, self.end))
    }

    fn decided(&self) -> PathBuf {
        self.cleaned().with_extension("swap")
    }

    fn log(&self) -> PathBuf {
        self.directory.join(file_name(self.base))
    }

    /// Says that the new segment, whose index is written, counts from now on.
    pub(super) fn decide(&self, steps: &Steps) -> io::Result<()> {
        self.sync(steps)?;
        steps.step()?;
        fs::rename(self.cleaned(), self.decided())?;
        self.sync(steps)?;
        self.place_index(steps)?;
        self.sync(steps)
    }

    /// The index has its name before the log has, so that a log never meets the index of another.
    fn place_index(&self, steps: &Steps) -> io::Result<()> {
        steps.step()?;
        match fs::rename(checkpoint::path(&self.cleaned()), checkpoint::path(&self.log())) {
            // It was renamed before the crash.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            renamed => renamed,
        }
    }

    /// Removes the segments that it was made of, which begin with these offsets, and puts it in their place.
    pub(super) fn place(&self, made_of: &[i64], steps: &Steps) -> io::Result<()> {
        for base in made_of.iter().filter(|base| **base != self.base) {
            let log = self.directory.join(file_name(*base));
            steps.step()?;
            checkpoint::remove(&checkpoint::path(&log))?;
            steps.step()?;
            checkpoint::remove(&log)?;
        }
        steps.step()?;
        fs::rename(self.decided(), self.log())
    }

    /// Forces to disk which names there are.
    pub(super) fn sync(&self, steps: &Steps) -> io::Result<()> {
        steps.step()?;
        File::open(self.directory)?.sync_all()?;
        steps.synced();
        Ok(())
    }

    /// Takes back what was begun: the segments that it is made of are still in use, or all gone.
    pub(super) fn undo(&self, steps: &Steps) -> io::Result<()> {
        let log = self.log();
        for path in [self.cleaned(), checkpoint::path(&self.cleaned()), self.decided()] {
            steps.step()?;
            checkpoint::remove(&path)?;
        }
        steps.step()?;
        if log.exists() { Ok(()) } else { checkpoint::remove(&checkpoint::path(&log)) }
    }
}

/// Finishes the swaps that a crash has left decided, and clears away those that were not.
pub(crate) fn resume(directory: &Path) -> io::Result<()> {
    resume_by(directory, &Steps::default())
}

pub(super) fn resume_by(directory: &Path, steps: &Steps) -> io::Result<()> {
    let (mut bases, mut decided) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        bases.extend(base_offset_of(name));
        decided.extend(range_of(name));
        if name.ends_with(".cleaned") {
            steps.step()?;
            checkpoint::remove(&path)?;
        }
    }
    for (base, end) in decided {
        tracing::info!(directory = %directory.display(), base, end, "finishing a compaction");
        let swap = Swap::new(directory, base, end);
        swap.place_index(steps)?;
        swap.sync(steps)?;
        let made_of: Vec<_> = bases.iter().copied().filter(|other| (base..end).contains(other)).collect();
        swap.place(&made_of, steps)?;
        swap.sync(steps)?;
    }
    Ok(())
}

/// What is swapped by a file of that name.
fn range_of(name: &str) -> Option<(i64, i64)> {
    let (base, end) = name.strip_suffix(".swap")?.split_once('-')?;
    Some((base.parse().ok()?, end.parse().ok()?))
}
