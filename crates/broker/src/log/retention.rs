//! Which records are kept: the first offset of a partition, moved by clients, by time and by size.

use std::io;
use std::time::UNIX_EPOCH;

use kafka_protocol::ResponseError;

use crate::log::offset_file;
use crate::log::partition::{Log, Partition, storage_error};
use crate::log::segment::Segment;
use crate::settings::topic::TopicConfig;

impl Partition {
    /// Removes the segments that are too old, or too much. If that is all there is, an empty one remains.
    pub(crate) fn retain(&self, config: &TopicConfig, now_ms: i64) -> io::Result<()> {
        if !config.delete {
            return Ok(());
        }
        let _upkeep = self.upkeep();
        let mut log = self.log();
        let gone = log.too_old(config.retention_ms, now_ms).max(log.too_much(config.retention_bytes));
        if log.deleted || gone == 0 {
            return Ok(());
        }
        if gone == log.segments.len() {
            log.roll()?;
        }
        let start = log.segments[gone].base_offset();
        tracing::info!(
            file = %log.segments[gone].path().display(), start,
            "removing {gone} segments by retention; this is the first one kept"
        );
        // Nothing to be written down: after a restart, the first file says where the log begins.
        log.start_offset = log.start_offset.max(start);
        log.drop_front();
        Ok(())
    }

    /// Forgets the records before `offset`, or all there are now if it is -1; returns the first offset left.
    pub(crate) fn delete_records(&self, offset: i64) -> Result<i64, ResponseError> {
        let mut log = self.log();
        if log.deleted {
            return Err(ResponseError::UnknownTopicOrPartition);
        }
        let before = if offset == -1 { log.next_offset } else { offset };
        if !(0..=log.next_offset).contains(&before) {
            return Err(ResponseError::OffsetOutOfRange);
        }
        log.raise_start(before).map_err(storage_error)?;
        Ok(log.start_offset)
    }
}

impl Log {
    /// How many segments at the front have nothing that is young enough.
    fn too_old(&self, retention_ms: Option<i64>, now_ms: i64) -> usize {
        let Some(retention_ms) = retention_ms else { return 0 };
        let old = |segment: &&Segment| {
            newest_ms(segment).is_some_and(|newest_ms| now_ms.saturating_sub(newest_ms) > retention_ms)
        };
        self.front(old)
    }

    /// How many segments at the front are not needed to have so many bytes.
    fn too_much(&self, retention_bytes: Option<u64>) -> usize {
        let Some(retention_bytes) = retention_bytes else { return 0 };
        let size: u64 = self.segments.iter().map(Segment::size).sum();
        let mut over = size.saturating_sub(retention_bytes);
        let spare = |segment: &&Segment| match over.checked_sub(segment.size()) {
            Some(left) => {
                over = left;
                true
            }
            None => false,
        };
        self.front(spare)
    }

    /// How many segments at the front may go. Empty ones, which compaction leaves, go with what comes behind them.
    fn front(&self, mut goes: impl FnMut(&&Segment) -> bool) -> usize {
        let front = self.segments.iter().take_while(|segment| segment.size() == 0 || goes(segment)).count();
        self.segments[..front].iter().rposition(|segment| segment.size() > 0).map_or(0, |last| last + 1)
    }

    /// Makes `offset` the first one that can be read, if it is not before that already. Segments that have nothing else
    /// are removed.
    pub(super) fn raise_start(&mut self, offset: i64) -> io::Result<()> {
        if offset <= self.start_offset {
            return Ok(());
        }
        if let Some(directory) = &self.directory {
            offset_file::START.store(directory, offset)?;
        }
        self.start_offset = offset;
        self.drop_front();
        Ok(())
    }

    /// Removes the segments at the front that have nothing at or after the start.
    fn drop_front(&mut self) {
        let gone = self.segments[1..].partition_point(|next| next.base_offset() <= self.start_offset);
        for segment in self.segments.drain(..gone) {
            if let Err(error) = segment.remove_files() {
                // It is below the start, so nobody reads it.
                tracing::warn!(file = %segment.path().display(), %error, "a segment could not be removed");
            }
        }
        self.generation += 1;
        self.upkeep.cleaner().wake();
        self.producers.forget_aborted_before(self.start_offset);
    }
}

/// When the newest record of a segment was written, as far as is known.
pub(super) fn newest_ms(segment: &Segment) -> Option<i64> {
    if segment.max_timestamp() >= 0 {
        return Some(segment.max_timestamp());
    }
    // Compaction may have left only a batch without records, which keeps the time of what it had.
    if segment.summary().first_timestamp >= 0 {
        return Some(segment.summary().first_timestamp);
    }
    // Very old clients give records no time.
    let modified = std::fs::metadata(segment.path()).ok()?.modified().ok()?;
    i64::try_from(modified.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::log::batch::Marker;
    use crate::log::batch::tests::{end, plain_batch};
    use crate::log::partition::{AppendRules, Isolation};
    use crate::settings::Given;
    use crate::settings::broker::BrokerSettings;

    fn config(settings: &[(&str, &str)]) -> TopicConfig {
        let given = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        TopicConfig::new(given.collect::<Given>(), &BrokerSettings::default()).unwrap()
    }

    /// Ten segments of a record each, a second apart.
    fn filled(directory: Option<&Path>) -> Partition {
        let partition = match directory {
            Some(directory) => Partition::open(directory, &Arc::default()).unwrap(),
            None => Partition::in_memory(&Arc::default()),
        };
        let rules = AppendRules { segment_ms: 500, ..AppendRules::DEFAULT };
        for n in 0..10 {
            partition.append(&plain_batch(1, 1_000 * n, (-1, -1, -1), false), &rules, 0).unwrap();
        }
        assert_eq!(partition.log().segments.len(), 10);
        partition
    }

    fn files(directory: &Path) -> usize {
        std::fs::read_dir(directory).unwrap().count()
    }

    #[test]
    fn segments_are_removed_when_all_of_them_is_too_old() {
        let directory = tempfile::tempdir().unwrap();
        for partition in [filled(None), filled(Some(directory.path()))] {
            let week = config(&[("retention.ms", "4000")]);
            partition.retain(&week, 4_000).unwrap();
            assert_eq!(partition.bounds().start, 0, "what is just old enough stays");
            partition.retain(&week, 7_500).unwrap();
            assert_eq!(partition.bounds().start, 4);
            partition
                .retain(&config(&[("cleanup.policy", "compact"), ("retention.ms", "1")]), 99_999)
                .unwrap();
            partition.retain(&config(&[("retention.ms", "-1")]), 99_999).unwrap();
            assert_eq!(partition.bounds().start, 4);
            // Also the one that is appended to.
            partition.retain(&week, 99_999).unwrap();
            assert_eq!((partition.bounds().start, partition.bounds().end), (10, 10));
            partition.retain(&week, 99_999).unwrap();
            let next = plain_batch(1, 100_000, (-1, -1, -1), false);
            assert_eq!(partition.append(&next, &AppendRules::DEFAULT, 0).unwrap().base_offset, 10);
        }
        assert_eq!(files(directory.path()), 1);
        let again = Partition::open(directory.path(), &Arc::default()).unwrap();
        assert_eq!((again.bounds().start, again.bounds().end), (10, 11));
    }

    #[test]
    fn segments_are_removed_while_the_others_are_enough() {
        let partition = filled(None);
        let size = partition.log().segments[0].size();
        let keep = |bytes: u64| config(&[("retention.bytes", &bytes.to_string())]);
        partition.retain(&keep(4 * size + 1), 0).unwrap();
        assert_eq!(partition.bounds().start, 5);
        partition.retain(&keep(4 * size), 0).unwrap();
        assert_eq!(partition.bounds().start, 6);
        partition.retain(&keep(0), 0).unwrap();
        assert_eq!(partition.bounds().start, 10);
    }

    #[test]
    fn a_transaction_that_lost_its_beginning_hides_nothing_before_the_start() {
        let partition = Partition::in_memory(&Arc::default());
        let rules = AppendRules { segment_ms: 500, ..AppendRules::DEFAULT };
        partition.append(&plain_batch(1, 0, (7, 0, 0), true), &rules, 0).unwrap();
        for n in 1..5 {
            partition.append(&plain_batch(1, 1_000 * n, (-1, -1, -1), false), &rules, 0).unwrap();
        }
        partition.retain(&config(&[("retention.ms", "1000")]), 3_500).unwrap();
        let bounds = partition.bounds();
        assert_eq!((bounds.start, bounds.last_stable), (3, 3));
        partition.append_marker(&end(Marker::Abort, 7, 0), &rules, 0).unwrap();
        let read = partition.read(3, 1 << 20, true, Isolation::ReadCommitted).unwrap();
        assert_eq!(read.bounds.last_stable, 6);
    }
}
