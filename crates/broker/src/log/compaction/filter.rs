//! What stays of a batch: of each key the last value, and what readers and producers need besides.
//!
//! A batch of which everything stays is not written anew. One of which something goes keeps its place, its producer
//! and sequence numbers, and its codec.

use std::collections::HashMap;
use std::io;

use crate::log::batch::{BatchHeader, HEADER_LEN, write_header};
use crate::log::codec::compress;
use crate::log::compaction::keys::Keys;
use crate::log::compaction::transactions::Transactions;
use crate::log::producers::LastBatch;
use crate::log::records::{Record, Records};

/// What becomes of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Gone,
    Same,
    Changed(BatchHeader, Vec<u8>),
}

/// Goes through the batches of a log from its front.
#[derive(Debug)]
pub(super) struct Filter<'a> {
    pub(super) keys: &'a Keys,
    /// Before this, something is known of every key.
    pub(super) keys_end: i64,
    pub(super) transactions: Transactions,
    /// The last batch of every producer that is remembered.
    pub(super) last_batches: HashMap<i64, LastBatch>,
    /// Nobody can read what is before it.
    pub(super) start: i64,
    /// The batch that ends here is kept, at least empty, so that readers come past all that is gone.
    pub(super) bound: i64,
    pub(super) now_ms: i64,
    pub(super) delete_retention_ms: i64,
}

impl Filter<'_> {
    /// Looks at the next batch.
    pub(super) fn apply(&mut self, header: &BatchHeader, batch: &[u8]) -> io::Result<Outcome> {
        let horizon_ms = header.delete_horizon_ms();
        let all_go = if header.is_control() {
            let needless = self.transactions.is_needless(header, batch);
            if needless && horizon_ms.is_none() && header.record_count > 0 {
                // It stays for as long as somebody may be reading what it ended.
                let records = Records::open(batch, header)?;
                return self.rewrite(header, decode(&records)?, true);
            }
            needless && horizon_ms.is_none_or(|at_ms| at_ms <= self.now_ms)
        } else {
            self.transactions.is_aborted(header) || header.record_count == 0
        };
        if all_go {
            return Ok(self.empty(header));
        }
        if header.is_control() || (header.base_offset >= self.keys_end && header.base_offset >= self.start) {
            return Ok(Outcome::Same);
        }
        let records = Records::open(batch, header)?;
        // They are gone through again and again instead of being kept: there may be millions of them in few bytes.
        let kept = decode(&records)?.filter(|record| self.stays(record, horizon_ms));
        let count = kept.clone().count();
        if count == 0 {
            return Ok(self.empty(header));
        }
        let begins_horizon = horizon_ms.is_none() && kept.clone().any(|record| !record.has_value);
        if i32::try_from(count) == Ok(header.record_count) && !begins_horizon {
            return Ok(Outcome::Same);
        }
        self.rewrite(header, kept, begins_horizon)
    }

    /// Whether a record of no aborted transaction stays.
    fn stays(&self, record: &Record<'_>, horizon_ms: Option<i64>) -> bool {
        if record.offset < self.start {
            return false;
        }
        if record.offset >= self.keys_end {
            return true;
        }
        // Without a key it came before the topic was compacted.
        let Some(key) = record.key else { return false };
        let kept = record.has_value || horizon_ms.is_none_or(|at_ms| self.now_ms < at_ms);
        kept && !self.keys.comes_after(key, record.offset)
    }

    /// A batch that has nothing left. The last one of a producer stays for its sequence number and its epoch.
    fn empty(&self, header: &BatchHeader) -> Outcome {
        let last_of_producer = header.has_producer()
            && self.last_batches.get(&header.producer_id).is_some_and(|last| match last.last_offset {
                Some(offset) => header.last_offset() == offset,
                None => header.is_control() && header.producer_epoch == last.epoch,
            });
        if !last_of_producer && header.last_offset() + 1 != self.bound {
            return Outcome::Gone;
        }
        if header.record_count == 0 {
            return Outcome::Same;
        }
        let mut header = *header;
        header.empty();
        let mut batch = vec![0; HEADER_LEN];
        write_header(&mut batch, &header);
        Outcome::Changed(header, batch)
    }

    /// The batch with these records. A delete horizon begins when compaction sees what it is for.
    fn rewrite<'a>(
        &self,
        header: &BatchHeader,
        kept: impl Iterator<Item = Record<'a>> + Clone,
        begins_horizon: bool,
    ) -> io::Result<Outcome> {
        let mut header = *header;
        if begins_horizon {
            header.set_delete_horizon(self.now_ms.saturating_add(self.delete_retention_ms));
        }
        header.record_count = kept.clone().count() as i32;
        if !header.is_append_time() {
            header.max_timestamp = kept.clone().map(|record| record.timestamp).max().unwrap_or(-1);
        }
        let mut batch = vec![0; HEADER_LEN];
        if header.codec() == 0 {
            kept.for_each(|record| record.write(&mut batch, header.base_timestamp));
        } else {
            let mut records = Vec::new();
            kept.for_each(|record| record.write(&mut records, header.base_timestamp));
            batch.extend_from_slice(&compress(&records, &header, None)?);
        }
        header.len = batch.len();
        write_header(&mut batch, &header);
        Ok(Outcome::Changed(header, batch))
    }
}

/// The records of a batch, if they are all there.
pub(super) fn decode<'a>(records: &'a Records<'_>) -> io::Result<impl Iterator<Item = Record<'a>> + Clone> {
    let undecodable =
        || io::Error::new(io::ErrorKind::InvalidData, "the records of a batch cannot be decoded");
    records.are_whole().then(|| records.iter()).ok_or_else(undecodable)
}
