//! What a partition knows of its producers: the last batches of each, and the transactions that are open or
//! were aborted.
//!
//! This is a pure state machine over batch headers. It is rebuilt from the log at start, by feeding it what is there.
//! Producers that have been idle for long are forgotten (`producer.id.expiration.ms`), by the time of their last records.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Range;

use kafka_protocol::ResponseError;
use serde::{Deserialize, Serialize};

use crate::log::batch::{BatchHeader, End, Marker, add_sequence};

/// How many batches of a producer are remembered; producers keep at most this many in flight.
const REMEMBERED: usize = 5;

/// A transaction that was aborted, as a fetch reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AbortedTransaction {
    pub(crate) producer_id: i64,
    pub(crate) first_offset: i64,
    /// Offset of the marker.
    pub(crate) last_offset: i64,
}

/// What to do with a batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Append,
    /// It was appended before, at this offset.
    Duplicate(i64),
}

/// With which sequence number a producer may begin of whom nothing is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum First {
    /// Any: what it wrote before may have been deleted.
    Any,
    /// The first of a transaction, which has an epoch of its own.
    Zero,
}

/// A producer, as a partition describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProducerState {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
    /// -1 if there is none in this epoch.
    pub(crate) last_sequence: i32,
    /// Of its last records or its last marker.
    pub(crate) last_timestamp: i64,
    /// Of its last marker, or -1.
    pub(crate) coordinator_epoch: i32,
    /// First offset of the open transaction.
    pub(crate) open_since: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    first_sequence: i32,
    last_sequence: i32,
    base_offset: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Producer {
    epoch: i16,
    batches: VecDeque<Remembered>,
    /// First offset of the open transaction.
    open_since: Option<i64>,
    /// Of its last records or its last marker.
    last_timestamp: i64,
    /// Of its last marker, or -1.
    coordinator_epoch: i32,
}

/// The end of what a producer has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LastBatch {
    /// Of its last batch; none if all that is known of this epoch is a marker.
    pub(crate) last_offset: Option<i64>,
    pub(crate) epoch: i16,
}

/// All producers at some point of the log in the order of their ids, but for what they have aborted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Snapshot(Vec<(i64, Producer)>);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Producers {
    by_id: HashMap<i64, Producer>,
    /// First offsets of open transactions, and whose they are.
    open: BTreeMap<i64, i64>,
    aborted: Vec<AbortedTransaction>,
}

impl Producers {
    /// Whether a batch may be appended. Changes nothing.
    pub(crate) fn check(&self, batch: &BatchHeader, begin: First) -> Result<Verdict, ResponseError> {
        let (first, last) = (batch.base_sequence, batch.last_sequence());
        let Some(producer) = self.by_id.get(&batch.producer_id) else {
            return match (begin, first) {
                (First::Any, _) | (First::Zero, 0) => Ok(Verdict::Append),
                (First::Zero, _) => Err(ResponseError::OutOfOrderSequenceNumber),
            };
        };
        if batch.producer_epoch < producer.epoch {
            return Err(ResponseError::InvalidProducerEpoch);
        }
        // A new epoch begins to count at 0.
        let seen = if batch.producer_epoch == producer.epoch { Some(&producer.batches) } else { None };
        let seen = seen.into_iter().flatten();
        let same = |seen: &&Remembered| seen.first_sequence == first && seen.last_sequence == last;
        if let Some(same) = seen.clone().find(same) {
            return Ok(Verdict::Duplicate(same.base_offset));
        }
        let next = seen.last().map_or(0, |seen| add_sequence(seen.last_sequence, 1));
        if first != next {
            return Err(ResponseError::OutOfOrderSequenceNumber);
        }
        if producer.open_since.is_some() && !batch.is_transactional() {
            return Err(ResponseError::InvalidTxnState);
        }
        Ok(Verdict::Append)
    }

    /// Takes an appended batch of records into account.
    pub(crate) fn appended(&mut self, batch: &BatchHeader) {
        let producer =
            self.by_id.entry(batch.producer_id).or_insert_with(|| Producer::new(batch.producer_epoch));
        producer.enter(batch.producer_epoch);
        producer.last_timestamp = batch.max_timestamp;
        if producer.batches.len() == REMEMBERED {
            producer.batches.pop_front();
        }
        producer.batches.push_back(Remembered {
            first_sequence: batch.base_sequence,
            last_sequence: batch.last_sequence(),
            base_offset: batch.base_offset,
        });
        if batch.is_transactional() && producer.open_since.is_none() {
            producer.open_since = Some(batch.base_offset);
            self.open.insert(batch.base_offset, batch.producer_id);
        }
    }

    /// Takes an appended marker into account.
    pub(crate) fn ended(&mut self, marker: Marker, coordinator_epoch: i32, batch: &BatchHeader) {
        let producer =
            self.by_id.entry(batch.producer_id).or_insert_with(|| Producer::new(batch.producer_epoch));
        producer.enter(batch.producer_epoch);
        producer.last_timestamp = batch.max_timestamp;
        producer.coordinator_epoch = coordinator_epoch;
        let Some(first_offset) = producer.open_since.take() else { return };
        self.open.remove(&first_offset);
        if marker == Marker::Abort {
            self.aborted.push(AbortedTransaction {
                producer_id: batch.producer_id,
                first_offset,
                last_offset: batch.base_offset,
            });
        }
    }

    /// Whether a marker may be appended, or somebody knows of a later one.
    pub(crate) fn check_end(&self, end: &End) -> Result<(), ResponseError> {
        let Some(producer) = self.by_id.get(&end.producer_id) else { return Ok(()) };
        // One that comes in the epoch of records which are open belongs to what was before them. The highest epoch has
        // none after it.
        let is_late = end.is_bumped
            && end.epoch == producer.epoch
            && producer.open_since.is_some()
            && end.epoch < i16::MAX;
        if end.epoch < producer.epoch || is_late {
            return Err(ResponseError::InvalidProducerEpoch);
        }
        if end.coordinator_epoch < producer.coordinator_epoch {
            return Err(ResponseError::TransactionCoordinatorFenced);
        }
        Ok(())
    }

    /// Whether this marker has been here, or there is nothing that it could end.
    pub(crate) fn has_ended(&self, end: &End) -> bool {
        match self.by_id.get(&end.producer_id) {
            Some(producer) => {
                producer.open_since.is_none() && (!end.is_bumped || producer.epoch >= end.epoch)
            }
            None => !end.is_bumped,
        }
    }

    /// The producers in the order of their ids.
    pub(crate) fn describe(&self) -> Vec<ProducerState> {
        let state = |(id, producer): (&i64, &Producer)| ProducerState {
            id: *id,
            epoch: producer.epoch,
            last_sequence: producer.batches.back().map_or(-1, |seen| seen.last_sequence),
            last_timestamp: producer.last_timestamp,
            coordinator_epoch: producer.coordinator_epoch,
            open_since: producer.open_since,
        };
        let mut all: Vec<_> = self.by_id.iter().map(state).collect();
        all.sort_unstable_by_key(|producer| producer.id);
        all
    }

    /// Forgets the producers whose last records are so old and belong to no open transaction.
    pub(crate) fn forget_idle(&mut self, now_ms: i64, idle_ms: i64) {
        let before = self.by_id.len();
        self.by_id.retain(|_, producer| {
            producer.open_since.is_some() || now_ms.saturating_sub(producer.last_timestamp) < idle_ms
        });
        if self.by_id.len() < before / 2 {
            self.by_id.shrink_to_fit();
        }
    }

    /// Producers that are remembered.
    pub(crate) fn count(&self) -> usize {
        self.by_id.len()
    }

    /// First offset that belongs to an open transaction.
    pub(crate) fn first_open(&self) -> Option<i64> {
        self.open.keys().next().copied()
    }

    /// The aborted transactions that have something in `from..to`.
    pub(crate) fn aborted_in(&self, from: i64, to: i64) -> Vec<AbortedTransaction> {
        // Markers come in the order of offsets, so all that ended before `from` are at the front.
        let first = self.aborted.partition_point(|aborted| aborted.last_offset < from);
        self.aborted[first..].iter().filter(|aborted| aborted.first_offset < to).copied().collect()
    }
}

impl Producers {
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut all: Vec<_> = self.by_id.iter().map(|(id, producer)| (*id, producer.clone())).collect();
        all.sort_unstable_by_key(|(id, _)| *id);
        Snapshot(all)
    }

    /// Goes on from a snapshot; what was aborted before is told by [`Producers::note_aborted`].
    pub(crate) fn restore(&mut self, snapshot: Snapshot) {
        self.by_id = snapshot.0.into_iter().collect();
        let open = self.by_id.iter().filter_map(|(id, producer)| Some((producer.open_since?, *id)));
        self.open = open.collect();
    }

    /// Takes aborted transactions into account, which come in the order of their markers.
    pub(crate) fn note_aborted(&mut self, aborted: impl IntoIterator<Item = AbortedTransaction>) {
        self.aborted.extend(aborted);
    }

    /// The transactions whose abort marker is at or after `from`.
    pub(crate) fn aborted_since(&self, from: i64) -> Vec<AbortedTransaction> {
        self.aborted[self.aborted.partition_point(|aborted| aborted.last_offset < from)..].to_vec()
    }

    /// The last batch of each producer.
    pub(crate) fn last_batches(&self) -> HashMap<i64, LastBatch> {
        let last = |producer: &Producer| LastBatch {
            last_offset: producer.batches.back().map(Remembered::last_offset),
            epoch: producer.epoch,
        };
        self.by_id.iter().map(|(id, producer)| (*id, last(producer))).collect()
    }

    /// Leaves of the aborted transactions whose marker is in `ended` only these.
    pub(crate) fn retain_aborted(&mut self, ended: Range<i64>, left: Vec<AbortedTransaction>) {
        let place = |offset| self.aborted.partition_point(|aborted| aborted.last_offset < offset);
        let range = place(ended.start)..place(ended.end);
        self.aborted.splice(range, left);
    }

    /// Forgets the aborted transactions that ended before `offset`, where nobody reads any more.
    pub(crate) fn forget_aborted_before(&mut self, offset: i64) {
        let gone = self.aborted.partition_point(|aborted| aborted.last_offset < offset);
        self.aborted.drain(..gone);
    }
}

impl Remembered {
    fn last_offset(&self) -> i64 {
        // Sequence numbers wrap to 0 after `i32::MAX`.
        let span = self.last_sequence.wrapping_sub(self.first_sequence) & i32::MAX;
        self.base_offset + i64::from(span)
    }
}

impl Producer {
    fn new(epoch: i16) -> Self {
        Self { epoch, batches: VecDeque::new(), open_since: None, last_timestamp: -1, coordinator_epoch: -1 }
    }

    fn enter(&mut self, epoch: i16) {
        if epoch != self.epoch {
            self.epoch = epoch;
            self.batches.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::batch::marker_batch;
    use crate::log::batch::tests::{end, plain_batch};

    fn batch(offset: i64, count: i32, epoch: i16, sequence: i32, transactional: bool) -> BatchHeader {
        let mut header =
            BatchHeader::parse(&plain_batch(count, 0, (7, epoch, sequence), transactional)).unwrap();
        header.base_offset = offset;
        header
    }

    fn check(producers: &Producers, batch: &BatchHeader) -> Result<Verdict, ResponseError> {
        producers.check(batch, First::Any)
    }

    fn marker(offset: i64, epoch: i16) -> BatchHeader {
        let mut header = BatchHeader::parse(&marker_batch(&end(Marker::Abort, 7, epoch), 0)).unwrap();
        header.base_offset = offset;
        header
    }

    #[test]
    fn duplicates_have_their_old_offset_and_gaps_are_refused() {
        let mut producers = Producers::default();
        producers.appended(&batch(10, 3, 0, 0, false));
        producers.appended(&batch(13, 2, 0, 3, false));
        assert_eq!(check(&producers, &batch(0, 3, 0, 0, false)), Ok(Verdict::Duplicate(10)));
        assert_eq!(check(&producers, &batch(0, 1, 0, 5, false)), Ok(Verdict::Append));
        assert_eq!(
            check(&producers, &batch(0, 1, 0, 6, false)),
            Err(ResponseError::OutOfOrderSequenceNumber)
        );
        assert_eq!(
            check(&producers, &batch(0, 1, 1, 5, false)),
            Err(ResponseError::OutOfOrderSequenceNumber)
        );
        assert_eq!(check(&producers, &batch(0, 1, 1, 0, false)), Ok(Verdict::Append));
    }

    #[test]
    fn a_marker_of_a_later_epoch_fences_the_older() {
        let mut producers = Producers::default();
        producers.appended(&batch(0, 1, 0, 0, true));
        assert_eq!(producers.first_open(), Some(0));
        producers.ended(Marker::Abort, 0, &marker(1, 1));
        assert_eq!(producers.first_open(), None);
        assert_eq!(check(&producers, &batch(0, 1, 0, 1, true)), Err(ResponseError::InvalidProducerEpoch));
        assert_eq!(check(&producers, &batch(0, 1, 1, 0, true)), Ok(Verdict::Append));
    }

    #[test]
    fn a_producer_of_whom_nothing_is_known_begins_anywhere_but_in_a_transaction_of_its_own_epoch() {
        let producers = Producers::default();
        assert_eq!(producers.check(&batch(0, 1, 3, 9, true), First::Any), Ok(Verdict::Append));
        assert_eq!(producers.check(&batch(0, 1, 3, 0, true), First::Zero), Ok(Verdict::Append));
        let refused = producers.check(&batch(0, 1, 3, 9, true), First::Zero);
        assert_eq!(refused, Err(ResponseError::OutOfOrderSequenceNumber));
    }

    #[test]
    fn a_marker_of_the_next_epoch_does_not_end_what_that_epoch_has_begun() {
        let mut producers = Producers::default();
        let bumped = |epoch| End { is_bumped: true, ..end(Marker::Commit, 7, epoch) };
        assert_eq!((producers.check_end(&bumped(1)), producers.has_ended(&bumped(1))), (Ok(()), false));
        producers.appended(&batch(0, 1, 0, 0, true));
        assert_eq!((producers.check_end(&bumped(1)), producers.has_ended(&bumped(1))), (Ok(()), false));
        assert_eq!(producers.check_end(&bumped(0)), Err(ResponseError::InvalidProducerEpoch));
        producers.ended(Marker::Commit, 0, &marker(1, 1));
        assert_eq!((producers.check_end(&bumped(1)), producers.has_ended(&bumped(1))), (Ok(()), true));
        producers.appended(&batch(2, 1, 1, 0, true));
        assert_eq!(producers.check_end(&bumped(1)), Err(ResponseError::InvalidProducerEpoch));
        assert_eq!(producers.check_end(&end(Marker::Abort, 7, 1)), Ok(()), "an administrator may");
    }

    #[test]
    fn a_coordinator_that_was_replaced_is_fenced() {
        let mut producers = Producers::default();
        producers.ended(Marker::Abort, 5, &marker(0, 0));
        assert_eq!(
            producers.check_end(&end(Marker::Abort, 7, 0)),
            Err(ResponseError::TransactionCoordinatorFenced)
        );
        let later = End { coordinator_epoch: 6, ..end(Marker::Abort, 7, 0) };
        assert_eq!(producers.check_end(&later), Ok(()));
    }

    #[test]
    fn idle_producers_are_forgotten_and_those_with_an_open_transaction_are_not() {
        let mut producers = Producers::default();
        producers.appended(&batch(0, 1, 0, 0, true));
        producers.appended(&BatchHeader { producer_id: 8, max_timestamp: 50, ..batch(1, 3, 2, 0, false) });
        producers.forget_idle(99, 50);
        let known = |producers: &Producers| producers.describe().iter().map(|one| one.id).collect::<Vec<_>>();
        assert_eq!(known(&producers), [7, 8]);
        let last = producers.describe()[1];
        let wanted = ProducerState {
            id: 8,
            epoch: 2,
            last_sequence: 2,
            last_timestamp: 50,
            coordinator_epoch: -1,
            open_since: None,
        };
        assert_eq!(last, wanted);
        producers.forget_idle(100, 50);
        assert_eq!(known(&producers), [7], "its transaction is open");
        producers.ended(Marker::Abort, 0, &marker(2, 0));
        producers.forget_idle(100, 50);
        assert_eq!(known(&producers), [0; 0]);
    }

    #[test]
    fn aborted_transactions_are_found_by_what_they_overlap() {
        let mut producers = Producers::default();
        producers.appended(&batch(5, 2, 0, 0, true));
        producers.ended(Marker::Abort, 0, &marker(9, 0));
        assert_eq!(producers.aborted_in(0, 5), []);
        assert_eq!(producers.aborted_in(9, 20).len(), 1);
        assert_eq!(producers.aborted_in(10, 20), []);
    }
}
