//! Which records are kept: the first offset of a partition, moved by clients, by time and by size.

use std::io;

use kafka_protocol::ResponseError;

use crate::log::partition::{Log, Partition, storage_error};
use crate::log::start_offset;

impl Partition {
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
    /// Makes `offset` the first one that can be read, if it is not before that already. Segments that have nothing else
    /// are removed.
    pub(super) fn raise_start(&mut self, offset: i64) -> io::Result<()> {
        if offset <= self.start_offset {
            return Ok(());
        }
        if let Some(directory) = &self.directory {
            start_offset::store(directory, offset)?;
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
        self.producers.forget_aborted_before(self.start_offset);
    }
}
