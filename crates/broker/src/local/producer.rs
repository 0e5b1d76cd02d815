//! Writing: records are packed into batches here and appended in the caller's thread.
//!
//! A batch is appended when the next record would not fit, or by `flush` and `commit`; nothing happens behind the
//! caller's back. An append has succeeded or failed when it returns, so nothing can be written twice; the sequence
//! numbers are there because readers of the log and tools look at them.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use kafka_protocol::ResponseError;

use crate::local::builder::Builder;
use crate::local::offsets::{GroupOffset, commits, nobody};
use crate::local::partitioner::partition_of;
use crate::local::{LocalError, upgrade};
use crate::log::batch::{Marker, add_sequence};
use crate::log::partition::Origin;
use crate::settings::Given;
use crate::state::State;
use crate::topics::Topic;
use crate::txn::transaction::{Part, ProducerKey, Version};

/// What a producer is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerOptions {
    /// With an id, records are written in transactions.
    pub transactional_id: Option<String>,
    /// When a transaction that was not ended is aborted.
    pub transaction_timeout: Duration,
    /// Bytes of a batch; a longer record gets one of its own.
    pub batch_bytes: usize,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        Self { transactional_id: None, transaction_timeout: Duration::from_secs(60), batch_bytes: 64 * 1024 }
    }
}

/// A record to send.
#[derive(Debug, Clone, Copy)]
pub struct LocalRecord<'a> {
    topic: &'a str,
    partition: Option<i32>,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: &'a [(&'a str, Option<&'a [u8]>)],
    timestamp: Option<i64>,
}

impl<'a> LocalRecord<'a> {
    /// A record without key and value.
    pub fn to(topic: &'a str) -> Self {
        Self { topic, partition: None, key: None, value: None, headers: &[], timestamp: None }
    }

    /// Its partition. By default the key's, or any if there is no key.
    #[must_use]
    pub fn partition(self, partition: i32) -> Self {
        Self { partition: Some(partition), ..self }
    }

    /// Its key.
    #[must_use]
    pub fn key(self, key: &'a [u8]) -> Self {
        Self { key: Some(key), ..self }
    }

    /// Its value.
    #[must_use]
    pub fn value(self, value: &'a [u8]) -> Self {
        Self { value: Some(value), ..self }
    }

    /// Its headers.
    #[must_use]
    pub fn headers(self, headers: &'a [(&'a str, Option<&'a [u8]>)]) -> Self {
        Self { headers, ..self }
    }

    /// Its time, in milliseconds since 1970. By default when its batch was begun.
    #[must_use]
    pub fn timestamp(self, timestamp: i64) -> Self {
        Self { timestamp: Some(timestamp), ..self }
    }
}

/// A topic that is written to.
#[derive(Debug)]
struct Target {
    topic: Arc<Topic>,
    partitions: Vec<Open>,
    /// Where records without a key go until its batch is full.
    sticky: usize,
}

/// A partition that is written to.
#[derive(Debug, Default)]
struct Open {
    batch: Builder,
    sequence: i32,
    /// The transaction knows of it.
    is_added: bool,
}

/// Where a transactional producer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Begun,
    /// The broker knows of it.
    Open,
}

/// A writer; see [`LocalClient::producer`](crate::LocalClient::producer).
///
/// Dropped without [`flush`](Self::flush), it loses the records that are not yet appended, and its open transaction is
/// aborted by the next producer of its id or by the timeout, as if its process had ended.
#[derive(Debug)]
pub struct LocalProducer {
    state: Weak<State>,
    key: ProducerKey,
    transactional_id: Option<String>,
    batch_bytes: usize,
    targets: HashMap<String, Target>,
    phase: Phase,
}

impl LocalProducer {
    pub(super) fn new(state: Weak<State>, options: ProducerOptions) -> Result<Self, LocalError> {
        let running = upgrade(&state)?;
        let key = match &options.transactional_id {
            None => running.transactions.new_producer_id().map(|id| ProducerKey { id, epoch: 0 }),
            Some(id) => {
                let timeout_ms = i64::try_from(options.transaction_timeout.as_millis()).unwrap_or(i64::MAX);
                running.transactions.init(&running, id, timeout_ms, None)
            }
        };
        let key = key.map_err(|error| LocalError::new(error, "the producer"))?;
        Ok(Self {
            state,
            key,
            transactional_id: options.transactional_id,
            batch_bytes: options.batch_bytes,
            targets: HashMap::new(),
            phase: Phase::Idle,
        })
    }

    /// Takes a record. It is written when its batch is full, or with [`flush`](Self::flush).
    ///
    /// # Errors
    ///
    /// If its partition does not exist, or a transactional producer has not begun: the record is not taken. If the
    /// batch before it cannot be appended: neither is the record taken. With an error that
    /// [may pass](LocalError::is_retriable) the batch is kept for the next attempt, otherwise its records are lost.
    pub fn send(&mut self, record: LocalRecord<'_>) -> Result<(), LocalError> {
        if self.transactional_id.is_some() && self.phase == Phase::Idle {
            return Err(LocalError::new(ResponseError::InvalidTxnState, "no transaction was begun"));
        }
        let state = upgrade(&self.state)?;
        if !self.targets.contains_key(record.topic) {
            let target = Target::find(&state, record.topic)?;
            self.targets.insert(record.topic.to_owned(), target);
        }
        // It was put there, but it costs nothing to be told.
        let unknown = || LocalError::new(ResponseError::UnknownTopicOrPartition, record.topic);
        let target = self.targets.get_mut(record.topic).ok_or_else(unknown)?;
        let count = target.topic.partition_count();
        let index = match (record.partition, record.key) {
            (Some(partition), _) => usize::try_from(partition).ok().filter(|_| partition < count),
            (None, Some(key)) => usize::try_from(partition_of(key, count)).ok(),
            (None, None) => Some(target.sticky),
        };
        let unknown = || {
            let partition = record.partition.unwrap_or(-1);
            LocalError::at(ResponseError::UnknownTopicOrPartition, record.topic, partition)
        };
        let index = index.ok_or_else(unknown)?;
        if index >= target.partitions.len() {
            target.partitions.resize_with(index + 1, Open::default);
        }
        let open = &target.partitions[index];
        if !open.batch.is_empty() && open.batch.len() + record.len() > self.batch_bytes {
            if record.partition.is_none() && record.key.is_none() {
                target.sticky = (index + 1) % usize::try_from(count).unwrap_or(1).max(1);
            }
            self.append(&state, record.topic, index)?;
            return self.send(record);
        }
        let open = &mut target.partitions[index];
        let timestamp = record.timestamp.or_else(|| open.batch.base_timestamp());
        let timestamp = timestamp.unwrap_or_else(|| state.clock.now_ms());
        open.batch.push(record.key, record.value, record.headers, timestamp);
        Ok(())
    }

    /// Appends all records that were taken.
    ///
    /// # Errors
    ///
    /// The first thing that went wrong; the other partitions are written nevertheless. What became of the records is
    /// said at [`send`](Self::send).
    pub fn flush(&mut self) -> Result<(), LocalError> {
        let state = upgrade(&self.state)?;
        let waiting = |(name, target): (&String, &Target)| {
            let open = target.partitions.iter().enumerate().filter(|(_, open)| !open.batch.is_empty());
            open.map(|(index, _)| (name.clone(), index)).collect::<Vec<_>>()
        };
        let places: Vec<(String, usize)> = self.targets.iter().flat_map(waiting).collect();
        let mut first = Ok(());
        for (topic, index) in places {
            let appended = self.append(&state, &topic, index);
            first = first.and(appended);
        }
        first
    }

    /// Begins a transaction.
    ///
    /// # Errors
    ///
    /// If the producer is not transactional, or one is open.
    pub fn begin(&mut self) -> Result<(), LocalError> {
        if self.transactional_id.is_none() || self.phase != Phase::Idle {
            return Err(LocalError::new(ResponseError::InvalidTxnState, "a transaction cannot be begun"));
        }
        self.phase = Phase::Begun;
        Ok(())
    }

    /// Lets a group's offsets be committed if the transaction is.
    ///
    /// # Errors
    ///
    /// If no transaction was begun, another producer has taken over, or a partition does not exist.
    pub fn send_offsets(&mut self, group: &str, offsets: &[GroupOffset]) -> Result<(), LocalError> {
        let state = upgrade(&self.state)?;
        let (Some(id), Phase::Begun | Phase::Open) = (&self.transactional_id, self.phase) else {
            return Err(LocalError::new(ResponseError::InvalidTxnState, "no transaction was begun"));
        };
        let commits = commits(&state, offsets)?;
        let transactions = &state.transactions;
        transactions.add(&state, id, self.key, [Part::Group(group)]).map_err(|error| refused(id, error))?;
        self.phase = Phase::Open;
        transactions
            .commit_offsets(&state, id, self.key, group, &nobody(), commits)
            .map_err(|error| refused(id, error))
    }

    /// Writes everything and commits it. When this returns, every reader sees it.
    ///
    /// # Errors
    ///
    /// If something cannot be written or another producer has taken over; the transaction is still open then, to be
    /// committed again if the error [may pass](LocalError::is_retriable), or aborted.
    pub fn commit(&mut self) -> Result<(), LocalError> {
        self.flush()?;
        self.end(Marker::Commit)
    }

    /// Throws away everything since [`begin`](Self::begin).
    ///
    /// # Errors
    ///
    /// If another producer has taken over, or it cannot be written down.
    pub fn abort(&mut self) -> Result<(), LocalError> {
        for open in self.targets.values_mut().flat_map(|target| &mut target.partitions) {
            open.batch.clear();
        }
        self.end(Marker::Abort)
    }

    fn end(&mut self, marker: Marker) -> Result<(), LocalError> {
        let state = upgrade(&self.state)?;
        let (Some(id), Phase::Begun | Phase::Open) = (&self.transactional_id, self.phase) else {
            return Err(LocalError::new(ResponseError::InvalidTxnState, "no transaction was begun"));
        };
        if self.phase == Phase::Open {
            let ended = state.transactions.end(&state, id, self.key, marker, Version::Two);
            // Another epoch, in which sequence numbers begin anew.
            self.key = ended.map_err(|error| refused(id, error))?;
        }
        let ended = self.phase == Phase::Open;
        self.phase = Phase::Idle;
        for open in self.targets.values_mut().flat_map(|target| &mut target.partitions) {
            open.is_added = false;
            if ended {
                open.sequence = 0;
            }
        }
        Ok(())
    }

    /// Appends the batch of one partition.
    fn append(&mut self, state: &State, topic: &str, index: usize) -> Result<(), LocalError> {
        let Some(target) = self.targets.get_mut(topic) else { return Ok(()) };
        let (open, partition) = (&mut target.partitions[index], index as i32);
        let id = self.transactional_id.as_deref();
        if let Some(id) = id
            && !open.is_added
        {
            let place = (topic.to_owned(), partition);
            let added = state.transactions.add(state, id, self.key, [Part::Partition(&place)]);
            added.map_err(|error| refused(id, error))?;
            (open.is_added, self.phase) = (true, Phase::Open);
        }
        let count = open.batch.count();
        let batch = open.batch.finish(self.key, open.sequence, id.is_some());
        let (batch, now_ms) = ((Origin::Process, batch), state.clock.now_ms());
        match state.append(&target.topic, partition, batch, id, Version::Two, now_ms) {
            Ok(_) => {
                open.sequence = add_sequence(open.sequence, count);
                open.batch.clear();
                Ok(())
            }
            Err(error) => {
                if error == ResponseError::UnknownTopicOrPartition {
                    // The topic was deleted. There may be another of its name next time.
                    self.targets.remove(topic);
                } else if !error.is_retriable() {
                    open.batch.clear();
                }
                Err(LocalError::at(error, topic, partition))
            }
        }
    }
}

impl Target {
    /// The topic of that name, created if it may be.
    fn find(state: &State, name: &str) -> Result<Self, LocalError> {
        let refused = |error| LocalError::new(error, format!("topic {name:?}"));
        let topic = match state.topics.get(name) {
            Some(topic) => topic,
            None => {
                let settings = state.settings.broker();
                if !settings.auto_create_topics {
                    return Err(refused(ResponseError::UnknownTopicOrPartition));
                }
                match state.create_topic(name, settings.num_partitions, Given::new()) {
                    Ok(topic) => topic,
                    // Someone else may have been faster.
                    Err((error, _)) => state.topics.get(name).ok_or_else(|| refused(error))?,
                }
            }
        };
        Ok(Self { topic, partitions: Vec::new(), sticky: 0 })
    }
}

impl LocalRecord<'_> {
    /// About as many bytes as it will take.
    fn len(&self) -> usize {
        let len = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
        let headers = self.headers.iter().map(|(name, value)| name.len() + len(*value) + 8);
        len(self.key) + len(self.value) + headers.sum::<usize>() + 16
    }
}

fn refused(transactional_id: &str, error: ResponseError) -> LocalError {
    LocalError::new(error, format!("transactional id {transactional_id:?}"))
}
