//! Opening a partition's files at start: what is whole is kept, a torn end is cut off.
//!
//! What a checkpoint speaks of was on disk before it was written, so only what comes after it is read, and checked
//! by CRC. That is nothing after a clean stop, and little after a crash.

use std::fs;
use std::io;
use std::path::Path;

use crate::log::batch::{BatchHeader, Marker, coordinator_epoch_of, marker_of};
use crate::log::checkpoint::{self, Checkpoint};
use crate::log::compaction::swap;
use crate::log::offset_file;
use crate::log::producers::Producers;
use crate::log::segment::{Segment, base_offset_of, file_name};
use crate::owner_only;

/// What a partition's folder holds.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// In order of offsets; never empty, and all but the last closed.
    pub(crate) segments: Vec<Segment>,
    pub(crate) producers: Producers,
    pub(crate) start_offset: i64,
    /// Everything before it is compacted.
    pub(crate) clean_offset: i64,
    pub(crate) next_offset: i64,
    /// Bytes of the last segment that its checkpoint speaks of.
    pub(crate) checkpointed: u64,
    /// Bytes that had to be read, because no checkpoint spoke of them.
    pub(crate) read: u64,
    /// Bytes of torn ends that were cut off.
    pub(crate) cut: u64,
}

/// Opens the folder, creating it and its first file where there is none.
pub(crate) fn recover(directory: &Path) -> io::Result<Recovered> {
    owner_only::create_dir_all(directory)?;
    swap::resume(directory)?;
    let bases = segments_in(directory)?;
    let start_offset = offset_file::START.load(directory)?.max(bases[0]);
    let mut recovered = Recovered {
        segments: Vec::with_capacity(bases.len()),
        start_offset,
        clean_offset: offset_file::CLEAN.load(directory)?,
        next_offset: bases[0],
        ..Recovered::default()
    };
    let last = bases.len() - 1;
    for (n, base) in bases.into_iter().enumerate() {
        recovered.next_offset = recovered.next_offset.max(base);
        recovered.open(directory, base, n == last)?;
    }
    recovered.producers.forget_aborted_before(start_offset);
    Ok(recovered)
}

/// The first offsets of the files, in order. What belongs to none of them is removed: a crash has left it behind.
fn segments_in(directory: &Path) -> io::Result<Vec<i64>> {
    let (mut bases, mut others) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        match path.file_name().and_then(|name| base_offset_of(name.to_str()?)) {
            Some(base) => bases.push(base),
            None => others.push(path),
        }
    }
    for path in others {
        let left = match path.extension().and_then(|extension| extension.to_str()) {
            Some("index") => !path.with_extension("log").exists(),
            Some("next") => true,
            _ => false,
        };
        if left {
            checkpoint::remove(&path)?;
        }
    }
    bases.sort_unstable();
    if bases.is_empty() {
        bases.push(0);
    }
    Ok(bases)
}

impl Recovered {
    /// Adds the segment that begins with `base`, reading what its checkpoint does not know.
    fn open(&mut self, directory: &Path, base: i64, last: bool) -> io::Result<()> {
        let path = directory.join(file_name(base));
        let len = match fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        let known = Checkpoint::load(&path, len)?.map(|checkpoint| {
            self.producers.restore(checkpoint.producers);
            self.producers.note_aborted(checkpoint.aborted);
            self.next_offset = self.next_offset.max(checkpoint.summary.next_offset);
            checkpoint.summary
        });
        if !last && let Some(summary) = known.as_ref().filter(|summary| summary.size == len) {
            self.segments.push(Segment::closed(directory, base, summary.clone()));
            return Ok(());
        }
        let mut segment = Segment::in_file(directory, base, known)?;
        self.checkpointed = segment.size();
        self.read += len - segment.size();
        self.replay(&mut segment)?;
        let cut = segment.cut_file()?;
        if cut > 0 {
            tracing::warn!(
                file = %path.display(), at = segment.size(), bytes = cut, next_offset = self.next_offset,
                "cut off an incomplete end of the log; it was never acknowledged"
            );
            self.cut += cut;
        }
        if !last {
            checkpoint_closed(&mut segment, &self.producers);
        }
        self.segments.push(segment);
        Ok(())
    }

    /// Feeds the batches that the segment has not noted yet to it and to the producers.
    fn replay(&mut self, segment: &mut Segment) -> io::Result<()> {
        let mut batches = segment.file_from(segment.size())?.batches();
        while let Some((header, batch)) = batches.next()? {
            if header.base_offset < self.next_offset || BatchHeader::verify(&batch).is_err() {
                break;
            }
            segment.note(&header);
            self.next_offset = header.last_offset() + 1;
            self.observe(&header, &batch);
        }
        Ok(())
    }

    fn observe(&mut self, header: &BatchHeader, batch: &[u8]) {
        if !header.has_producer() {
            return;
        }
        if !header.is_control() {
            self.producers.appended(header);
        } else if let Some(marker) = marker_of(batch) {
            self.producers.ended(marker, coordinator_epoch_of(batch).unwrap_or_default(), header);
        } else if header.record_count == 0 {
            // Compaction has left of it which epoch the producer has.
            self.producers.ended(Marker::Commit, -1, header);
        }
    }
}

/// Gives a segment that a crash has left without a whole checkpoint its last one.
fn checkpoint_closed(segment: &mut Segment, producers: &Producers) {
    segment.close();
    let checkpoint = Checkpoint {
        summary: segment.summary().clone(),
        aborted: producers.aborted_since(segment.base_offset()),
        producers: producers.snapshot(),
    };
    let stored = segment.sync().and_then(|()| checkpoint.store(segment.path()));
    if let Err(error) = stored {
        // The next start reads it once more.
        tracing::warn!(file = %segment.path().display(), %error, "the index of a segment cannot be written");
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::*;
    use crate::log::batch::Placed;
    use crate::log::batch::tests::{end, plain_batch};
    use crate::log::partition::{AppendRules, Partition};
    use crate::log::pending::Extent;

    #[test]
    fn a_torn_end_is_cut_off_and_the_rest_kept() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = Vec::new();
        for n in 0..3 {
            let batch = plain_batch(2, 0, (7, 0, 2 * n), false);
            file.extend(Placed::at(i64::from(2 * n), &batch).unwrap().pieces().concat());
        }
        let path = directory.path().join("00000000000000000000.log");
        let whole = file.len() / 3;
        for torn in [1, 30, whole - 1] {
            fs::write(&path, &file[..file.len() - torn]).unwrap();
            let recovered = recover(directory.path()).unwrap();
            assert_eq!((recovered.next_offset, recovered.cut), (4, (whole - torn) as u64));
            assert_eq!(fs::metadata(&path).unwrap().len(), 2 * whole as u64);
        }
        // A bit flipped in the last batch costs that batch.
        let mut flipped = file.clone();
        flipped[2 * whole + 70] ^= 1;
        fs::write(&path, &flipped).unwrap();
        assert_eq!(recover(directory.path()).unwrap().next_offset, 4);
    }

    /// A partition of many small segments with transactions across them, and nothing of it checkpointed.
    fn filled(directory: &Path) {
        let partition = Partition::open(directory, &Arc::default()).unwrap();
        let rules = AppendRules { segment_bytes: 400, ..AppendRules::DEFAULT };
        for n in 0..30 {
            let producer = i64::from(n % 3);
            partition.append(&plain_batch(2, n.into(), (producer, 0, n / 3 * 2), true), &rules, 0).unwrap();
            if n % 4 == 3 {
                let marker = if n % 8 == 3 { Marker::Abort } else { Marker::Commit };
                partition.append_marker(&end(marker, producer, 0), &rules, n.into()).unwrap();
            }
        }
    }

    /// What a restart must not change.
    fn outcome(recovered: &Recovered) -> impl PartialEq + std::fmt::Debug + use<> {
        let segments: Vec<_> = recovered
            .segments
            .iter()
            .map(|segment| {
                let summary = segment.summary();
                (segment.base_offset(), summary.size, summary.next_offset, summary.max_timestamp)
            })
            .collect();
        let producers = &recovered.producers;
        let (aborted, open) = (producers.aborted_since(0), producers.first_open());
        (segments, producers.snapshot(), aborted, open, recovered.next_offset, recovered.start_offset)
    }

    fn indexes(directory: &Path) -> Vec<PathBuf> {
        let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        let mut indexes: Vec<_> =
            paths.filter(|path| path.extension().is_some_and(|end| end == "index")).collect();
        indexes.sort();
        indexes
    }

    #[test]
    fn a_missing_or_damaged_checkpoint_costs_only_time() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        filled(directory);
        let read_all = recover(directory).unwrap();
        assert!(read_all.read > 2_000 && read_all.cut == 0);
        let expected = outcome(&read_all);
        let last = fs::metadata(read_all.segments.last().unwrap().path()).unwrap().len();
        let again = recover(directory).unwrap();
        assert_eq!(again.read, last, "closed segments have their checkpoints now");
        assert_eq!(outcome(&again), expected);
        Partition::open(directory, &Arc::default()).unwrap().checkpoint(Extent::All).unwrap();
        assert_eq!(recover(directory).unwrap().read, 0);

        let whole: Vec<_> =
            indexes(directory).into_iter().map(|path| (fs::read(&path).unwrap(), path)).collect();
        assert!(whole.len() > 4);
        for (bytes, path) in &whole {
            fs::remove_file(path).unwrap();
            assert_eq!(outcome(&recover(directory).unwrap()), expected, "without {path:?}");
            let mut damaged = bytes.clone();
            damaged[bytes.len() / 2] ^= 1;
            fs::write(path, damaged).unwrap();
            assert_eq!(outcome(&recover(directory).unwrap()), expected, "damaged {path:?}");
            fs::write(path, bytes).unwrap();
        }
        for (_, path) in &whole[1..] {
            fs::remove_file(path).unwrap();
        }
        assert_eq!(outcome(&recover(directory).unwrap()), expected, "only the first");
    }

    #[test]
    fn a_checkpoint_of_what_was_cut_off_is_not_believed_when_the_log_has_grown_again() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        filled(directory);
        Partition::open(directory, &Arc::default()).unwrap().checkpoint(Extent::All).unwrap();
        let last = recover(directory).unwrap().segments.pop().unwrap();
        // As after a power cut on a disk that did not do what it was told.
        let file = OpenOptions::new().write(true).open(last.path()).unwrap();
        file.set_len(last.size() - 1).unwrap();
        let cut = recover(directory).unwrap();
        assert!(cut.cut > 0 && cut.next_offset < last.summary().next_offset);
        assert!(!checkpoint::path(last.path()).exists());
    }

    #[test]
    fn what_a_crash_left_between_two_steps_is_cleared_away() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        filled(directory);
        let expected = outcome(&recover(directory).unwrap());
        // An index half written, and one whose log is gone.
        for left in ["00000000000000000000.next", "00000000000000009999.index"] {
            fs::write(directory.join(left), "x").unwrap();
        }
        assert_eq!(outcome(&recover(directory).unwrap()), expected);
        assert!(indexes(directory).iter().all(|path| path.with_extension("log").exists()));
        assert!(!directory.join("00000000000000000000.next").exists());
    }
}
