//! Reading some partitions from where one wants, in whole batches.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::local::batch::Batch;
use crate::local::wait::wait;
use crate::local::{LocalError, partition, upgrade};
use crate::log::batch::{BadBatch, BatchHeader, HEADER_LEN, Marker, marker_of};
use crate::log::codec::expand;
use crate::log::partition::Isolation;
use crate::log::producers::AbortedTransaction;
use crate::log::reading::Read;
use crate::log::waiters::Waiter;
use crate::state::State;

/// Bytes that are read of a partition at a time.
const FETCH_BYTES: usize = 1 << 20;
/// Bytes of expanded records after which a poll goes no further.
const POLL_BYTES: usize = 8 << 20;
/// The longest wait, for whoever says "for ever".
const FOREVER: Duration = Duration::from_secs(86_400);

/// A partition that is read.
#[derive(Debug)]
struct Assigned {
    topic: Arc<str>,
    partition: i32,
    position: i64,
}

/// A reader of some partitions; see [`LocalClient::consumer`](crate::LocalClient::consumer).
#[derive(Debug)]
pub struct LocalConsumer {
    state: Weak<State>,
    isolation: Isolation,
    assigned: Vec<Assigned>,
    /// Whose turn it is, so that one full partition does not keep the others waiting.
    next: usize,
    /// Of [`wake_when_ready`](Self::wake_when_ready); partitions hold it weakly.
    waiter: Option<Arc<Waiter>>,
}

impl LocalConsumer {
    pub(super) fn new(state: Weak<State>, isolation: Isolation) -> Self {
        Self { state, isolation, assigned: Vec::new(), next: 0, waiter: None }
    }

    /// Adds a partition, to be read from `offset` on, or moves there if it is read already.
    pub fn assign(&mut self, topic: &str, partition: i32, offset: i64) {
        match self.find(topic, partition) {
            Some(n) => self.assigned[n].position = offset,
            None => self.assigned.push(Assigned { topic: topic.into(), partition, position: offset }),
        }
    }

    /// Reads a partition no longer.
    pub fn unassign(&mut self, topic: &str, partition: i32) {
        if let Some(n) = self.find(topic, partition) {
            self.assigned.remove(n);
        }
    }

    /// The offset that will be read next in a partition; `None` if it is not assigned.
    pub fn position(&self, topic: &str, partition: i32) -> Option<i64> {
        self.find(topic, partition).map(|n| self.assigned[n].position)
    }

    /// Reads on: some batches of some partitions, or none if nothing has come in time.
    ///
    /// With [`Isolation::ReadCommitted`], records of aborted transactions are left out, and reading stops before the
    /// first transaction that is open.
    ///
    /// # Errors
    ///
    /// If a partition does not exist, its position is out of range, or it cannot be read; positions stay where they
    /// are then. [`LocalError::BadBatch`] comes once everything before that batch has been handed out, and again until
    /// [`assign`](Self::assign) goes past it. If the broker stops.
    pub fn poll(&mut self, timeout: Duration) -> Result<Vec<Batch>, LocalError> {
        let until = Instant::now() + timeout.min(FOREVER);
        loop {
            let state = upgrade(&self.state)?;
            let batches = self.read(&state)?;
            if !batches.is_empty() || timeout.is_zero() {
                return Ok(batches);
            }
            let waiter = Arc::new(Waiter::default());
            for assigned in &self.assigned {
                partition(&state, &assigned.topic, assigned.partition)?.1.hang(&waiter);
            }
            // Something may have come before the waiter hung.
            let batches = self.read(&state)?;
            if !batches.is_empty() {
                return Ok(batches);
            }
            if wait(state.stopping.unless(waiter.woken()), until).is_none() {
                return Ok(Vec::new());
            }
        }
    }

    /// Has `wake` called once, as soon as one of the partitions may have more: for whoever cannot wait in
    /// [`poll`](Self::poll). It is called from the thread that appends and must return at once. The next call of this
    /// replaces what was asked for before. `true` if there may be more already.
    ///
    /// # Errors
    ///
    /// If a partition does not exist, or the broker has stopped.
    pub fn wake_when_ready(&mut self, wake: impl Fn() + Send + Sync + 'static) -> Result<bool, LocalError> {
        let state = upgrade(&self.state)?;
        let waiter = Arc::new(Waiter::calling(wake));
        let mut ready = false;
        for assigned in &self.assigned {
            let (_, partition) = partition(&state, &assigned.topic, assigned.partition)?;
            partition.hang(&waiter);
            ready |= partition.bounds().visible_end(self.isolation) > assigned.position;
        }
        self.waiter = Some(waiter);
        Ok(ready)
    }

    /// Reads what there is, every partition at most once, and moves the positions if all went well.
    fn read(&mut self, state: &State) -> Result<Vec<Batch>, LocalError> {
        let count = self.assigned.len();
        let (mut batches, mut bytes) = (Vec::new(), 0);
        let mut moved = Vec::new();
        for n in (0..count).map(|n| (self.next + n) % count) {
            if bytes >= POLL_BYTES {
                self.next = n;
                break;
            }
            let mut position = self.assigned[n].position;
            // Everything that was read may be invisible, and what comes behind it may not.
            loop {
                let before = batches.len();
                let read = self.read_one(state, n, position, POLL_BYTES - bytes, &mut batches)?;
                bytes += read.bytes;
                if bytes >= POLL_BYTES || read.next == position || batches.len() > before {
                    position = read.next;
                    break;
                }
                position = read.next;
            }
            moved.push((n, position));
        }
        for (n, position) in moved {
            self.assigned[n].position = position;
        }
        Ok(batches)
    }

    /// Whether a partition that is assigned may have more than has been read: `false` if it is not assigned.
    ///
    /// # Errors
    ///
    /// If it does not exist, or the broker has stopped.
    pub fn may_have_more(&self, topic: &str, index: i32) -> Result<bool, LocalError> {
        let state = upgrade(&self.state)?;
        let Some(n) = self.find(topic, index) else { return Ok(false) };
        let (_, partition) = partition(&state, topic, index)?;
        Ok(partition.bounds().visible_end(self.isolation) > self.assigned[n].position)
    }

    fn read_one(
        &self,
        state: &State,
        n: usize,
        position: i64,
        room: usize,
        batches: &mut Vec<Batch>,
    ) -> Result<Progress, LocalError> {
        let assigned = &self.assigned[n];
        let at = |error| LocalError::at(error, &assigned.topic, assigned.partition);
        let (topic, partition) = partition(state, &assigned.topic, assigned.partition)?;
        let read = partition.read(position, FETCH_BYTES, true, self.isolation).map_err(at)?;
        topic.traffic.fetched(read.records.len());
        let (mut bytes, mut next) = (0, position);
        for visible in split(read, self.isolation) {
            let bad = |header: Option<&BatchHeader>, reason: &str| {
                let behind = header.map(|header| header.last_offset() + 1).filter(|behind| *behind > next);
                LocalError::BadBatch {
                    topic: (&*assigned.topic).into(),
                    partition: assigned.partition,
                    base_offset: header.map_or(next, |header| header.base_offset),
                    next_offset: behind,
                    reason: reason.into(),
                }
            };
            let expanded = match visible {
                Err(header) => Err(bad(header.as_ref(), "its checksum is wrong")),
                Ok((header, None)) => Ok((header, None)),
                Ok((header, Some(batch))) => match unpack(&header, &batch) {
                    Ok(records) => Ok((header, Some(records))),
                    Err(error) => Err(bad(Some(&header), &error.to_string())),
                },
            };
            let (header, records) = match expanded {
                Ok(expanded) => expanded,
                // First what can be read. It is the first of the next poll.
                Err(_) if !batches.is_empty() => return Ok(Progress { next, bytes: room }),
                Err(error) => return Err(error),
            };
            next = header.last_offset() + 1;
            if let Some(records) = records {
                bytes += records.len();
                batches.push(Batch {
                    topic: Arc::clone(&assigned.topic),
                    partition: assigned.partition,
                    header,
                    records,
                    from: position,
                });
                // A few bytes may have become very many.
                if bytes >= room {
                    break;
                }
            }
        }
        Ok(Progress { next, bytes })
    }

    fn find(&self, topic: &str, partition: i32) -> Option<usize> {
        self.assigned.iter().position(|assigned| &*assigned.topic == topic && assigned.partition == partition)
    }
}

/// How far a read has come.
struct Progress {
    next: i64,
    bytes: usize,
}

/// The records of a batch; those that are plain are not copied.
fn unpack(header: &BatchHeader, batch: &Bytes) -> io::Result<Bytes> {
    Ok(match expand(batch, header)? {
        Cow::Borrowed(_) => batch.slice(HEADER_LEN..),
        Cow::Owned(records) => records.into(),
    })
}

/// Splits what was read into batches; those that shall not be seen have no bytes. Behind one that is damaged there is no
/// other; of it there is the header, if that can be read.
fn split(
    read: Read,
    isolation: Isolation,
) -> impl Iterator<Item = Result<(BatchHeader, Option<Bytes>), Option<BatchHeader>>> {
    let Read { mut records, aborted, .. } = read;
    let mut hidden = Hidden::new(aborted);
    std::iter::from_fn(move || {
        if records.is_empty() {
            return None;
        }
        let header = match BatchHeader::verify(&records) {
            Ok(header) => header,
            Err(bad) => {
                let header = BatchHeader::parse(&records).ok().filter(|_| bad == BadBatch::Corrupt);
                records.clear();
                return Some(Err(header));
            }
        };
        let batch = records.split_to(header.len);
        let hides = isolation == Isolation::ReadCommitted && hidden.hides(&header, &batch);
        // Compaction leaves batches without records.
        let visible = !hides && !header.is_control() && header.record_count > 0;
        Some(Ok((header, visible.then_some(batch))))
    })
}

/// The aborted transactions that the reader is within.
struct Hidden {
    /// By their first offsets, the last first.
    coming: Vec<AbortedTransaction>,
    producers: HashSet<i64>,
}

impl Hidden {
    fn new(mut aborted: Vec<AbortedTransaction>) -> Self {
        aborted.sort_by_key(|aborted| std::cmp::Reverse(aborted.first_offset));
        Self { coming: aborted, producers: HashSet::new() }
    }

    /// Whether the next batch belongs to an aborted transaction.
    fn hides(&mut self, header: &BatchHeader, batch: &[u8]) -> bool {
        if !header.is_transactional() {
            return false;
        }
        while let Some(aborted) = self.coming.pop_if(|aborted| aborted.first_offset <= header.last_offset()) {
            self.producers.insert(aborted.producer_id);
        }
        if header.is_control() {
            if marker_of(batch) == Some(Marker::Abort) {
                self.producers.remove(&header.producer_id);
            }
            return true;
        }
        self.producers.contains(&header.producer_id)
    }
}
