//! Begins and ends transactions, and gives out producer ids.
//!
//! The end of a transaction is: the decision is written down, every partition gets its marker and every group
//! is told, the completion is written down. All of it happens before the request is answered. What a crash or a
//! full disk leaves undone after the decision is done at start, or by the alarm.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kafka_protocol::ResponseError;
use serde::{Deserialize, Serialize};

use crate::group::classic::Identity;
use crate::group::offsets::Commits;
use crate::journal::Journal;
use crate::log::batch::Marker;
use crate::state::State;
use crate::txn::transaction::{Phase, ProducerKey, Transaction};

/// The longest timeout that a producer may ask for, in milliseconds: Kafka's `transaction.max.timeout.ms`.
const MAX_TIMEOUT_MS: i64 = 15 * 60 * 1_000;
/// Producer ids written down as given out at a time.
const ID_BLOCK: i64 = 1_000;
/// Milliseconds until a transaction that could not be ended is tried again.
const RETRY_MS: i64 = 1_000;

/// A line of `transactions.journal`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Event {
    /// All producer ids below may be in use.
    ProducerIds {
        below: i64,
    },
    Transaction(Transaction),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Transactions {
    by_id: Mutex<BTreeMap<String, Arc<Mutex<Transaction>>>>,
    /// Locked after a transaction, never before.
    journal: Mutex<Written>,
}

#[derive(Debug)]
struct Written {
    journal: Journal<Event>,
    next_producer_id: i64,
    ids_below: i64,
    /// Every transaction as it was last written down.
    latest: BTreeMap<String, Transaction>,
}

impl Written {
    /// Adds a line, and makes the file short again when it has become long.
    fn append(&mut self, event: Event) -> Result<(), ResponseError> {
        self.journal.append(&event).map_err(|error| unwritten(&error))?;
        match event {
            Event::ProducerIds { below } => self.ids_below = below,
            Event::Transaction(transaction) => {
                self.latest.insert(transaction.id.clone(), transaction);
            }
        }
        if self.journal.is_long()
            && let Err(error) = self.journal.rewrite(outcome(self.ids_below, &self.latest))
        {
            tracing::warn!(%error, "the journal of transactions cannot be made shorter");
        }
        Ok(())
    }
}

impl Transactions {
    /// None, and nothing will be kept.
    pub(crate) fn in_memory() -> Self {
        let written = Written {
            journal: Journal::in_memory(),
            next_producer_id: 1,
            ids_below: 1,
            latest: BTreeMap::new(),
        };
        Self { by_id: Mutex::default(), journal: Mutex::new(written) }
    }

    /// Those of a data folder.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut below = 1;
        let mut latest = BTreeMap::new();
        let mut journal = Journal::open(path, |event| match event {
            Event::ProducerIds { below: written } => below = written,
            Event::Transaction(transaction) => drop(latest.insert(transaction.id.clone(), transaction)),
        })?;
        if journal.is_long() {
            journal.rewrite(outcome(below, &latest))?;
        }
        let by_id = latest
            .iter()
            .map(|(id, transaction)| (id.clone(), Arc::new(Mutex::new(transaction.clone()))))
            .collect();
        let written = Written { journal, next_producer_id: below, ids_below: below, latest };
        Ok(Self { by_id: Mutex::new(by_id), journal: Mutex::new(written) })
    }

    /// A producer id that nobody has had.
    pub(crate) fn new_producer_id(&self) -> Result<i64, ResponseError> {
        let mut written = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        if written.next_producer_id == written.ids_below {
            let below = written.ids_below + ID_BLOCK;
            written.append(Event::ProducerIds { below })?;
        }
        written.next_producer_id += 1;
        Ok(written.next_producer_id - 1)
    }

    /// Puts a producer in charge of a transactional id. The one before it is fenced, and what it left open is aborted.
    pub(crate) fn init(
        &self,
        state: &State,
        id: &str,
        timeout_ms: i64,
        known: Option<ProducerKey>,
    ) -> Result<ProducerKey, ResponseError> {
        if !(1..=MAX_TIMEOUT_MS).contains(&timeout_ms) {
            return Err(ResponseError::InvalidTransactionTimeout);
        }
        let entry = match self.find(id) {
            Some(entry) => entry,
            None => {
                let fresh = Arc::new(Mutex::new(Transaction::new(id, -1, timeout_ms)));
                Arc::clone(self.by_id().entry(id.to_owned()).or_insert(fresh))
            }
        };
        let mut transaction = lock(&entry);
        if let Some(known) = known
            && transaction.producer_id >= 0
        {
            if transaction.was_told(known) {
                return Ok(transaction.key());
            }
            transaction.check(known).map_err(|_| ResponseError::ProducerFenced)?;
        }
        let mut next = transaction.clone();
        // The last epoch is kept for fencing whoever has the one before.
        if next.producer_id < 0 || next.epoch >= i16::MAX - 1 {
            self.abort_open(state, &mut transaction, i16::MAX)?;
            (next.producer_id, next.epoch) = (self.new_producer_id()?, 0);
        } else {
            next.epoch += 1;
            let epoch = next.epoch;
            self.abort_open(state, &mut transaction, epoch)?;
        }
        next.timeout_ms = timeout_ms;
        next.asked_in_epoch = known.filter(|known| known.id == next.producer_id).map(|known| known.epoch);
        next.phase = Phase::Empty;
        next.partitions.clear();
        next.groups.clear();
        self.store(&mut transaction, next)?;
        Ok(transaction.key())
    }

    /// Adds partitions or a group to the open transaction, beginning one if there is none.
    pub(crate) fn add(
        &self,
        state: &State,
        id: &str,
        producer: ProducerKey,
        partitions: impl IntoIterator<Item = (String, i32)>,
        group: Option<&str>,
    ) -> Result<(), ResponseError> {
        let entry = self.find(id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        let mut transaction = lock(&entry);
        transaction.check(producer)?;
        if let Some(next) = transaction.with(partitions, group, state.clock.now_ms())? {
            self.store(&mut transaction, next)?;
            if let Some(deadline_ms) = transaction.deadline_ms() {
                state.alarm.by(deadline_ms);
            }
        }
        Ok(())
    }

    /// Does `act` while the transaction is open and stays so.
    pub(crate) fn within<T>(
        &self,
        id: &str,
        producer: ProducerKey,
        belongs: impl FnOnce(&Transaction) -> bool,
        act: impl FnOnce() -> Result<T, ResponseError>,
    ) -> Result<T, ResponseError> {
        let entry = self.find(id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        let transaction = lock(&entry);
        transaction.check(producer)?;
        if transaction.phase != Phase::Ongoing || !belongs(&transaction) {
            return Err(ResponseError::InvalidTxnState);
        }
        act()
    }

    /// Commits offsets of a group, for the case that the transaction commits.
    pub(crate) fn commit_offsets(
        &self,
        state: &State,
        id: &str,
        producer: ProducerKey,
        group: &str,
        who: &Identity,
        offsets: Commits,
    ) -> Result<(), ResponseError> {
        self.within(
            id,
            producer,
            |open| open.groups.contains(group),
            || state.groups.commit_in_transaction(state, group, who, producer.id, offsets),
        )
    }

    /// Ends a transaction as its producer wishes.
    pub(crate) fn end(
        &self,
        state: &State,
        id: &str,
        producer: ProducerKey,
        marker: Marker,
    ) -> Result<(), ResponseError> {
        let entry = self.find(id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        let mut transaction = lock(&entry);
        transaction.check(producer)?;
        match (transaction.phase, marker) {
            (Phase::Ongoing, _) => {
                let next = transaction.decided(marker);
                self.store(&mut transaction, next)?;
                match self.deliver(state, &mut transaction, marker, false) {
                    // It is decided, which is what the producer wants to know.
                    Err(ResponseError::ConcurrentTransactions) => Ok(()),
                    done => done,
                }
            }
            // The answer to the first request was lost.
            (Phase::CompleteCommit, Marker::Commit) | (Phase::CompleteAbort, Marker::Abort) => Ok(()),
            (Phase::PrepareCommit, Marker::Commit) | (Phase::PrepareAbort, Marker::Abort) => {
                self.deliver(state, &mut transaction, marker, true)
            }
            _ => Err(ResponseError::InvalidTxnState),
        }
    }

    /// How many transactional ids are in which state.
    pub(crate) fn count_by_phase(&self) -> BTreeMap<&'static str, usize> {
        let entries: Vec<_> = self.by_id().values().cloned().collect();
        let mut counts = BTreeMap::new();
        for entry in entries {
            *counts.entry(lock(&entry).phase.name()).or_default() += 1;
        }
        counts
    }

    /// Aborts what is overdue and finishes what was left undone; returns when to look again.
    pub(crate) fn tick(&self, state: &State, now_ms: i64) -> Option<i64> {
        let entries: Vec<_> = self.by_id().values().cloned().collect();
        let mut next_ms: Option<i64> = None;
        for entry in entries {
            let mut transaction = lock(&entry);
            let done = match (transaction.undelivered(), transaction.deadline_ms()) {
                (Some(marker), _) => self.deliver(state, &mut transaction, marker, true),
                (None, Some(deadline_ms)) if deadline_ms <= now_ms => {
                    tracing::warn!(
                        id = transaction.id,
                        timeout_ms = transaction.timeout_ms,
                        "aborting a transaction that was not ended in time; its producer is fenced"
                    );
                    let epoch = transaction.epoch.saturating_add(1);
                    self.abort_open(state, &mut transaction, epoch)
                }
                (None, _) => Ok(()),
            };
            let again_ms = if done.is_err() { Some(now_ms + RETRY_MS) } else { transaction.deadline_ms() };
            next_ms = next_ms.into_iter().chain(again_ms).min();
        }
        next_ms
    }

    /// Aborts the transaction if one is open, under an epoch that fences its producer.
    fn abort_open(
        &self,
        state: &State,
        transaction: &mut Transaction,
        epoch: i16,
    ) -> Result<(), ResponseError> {
        if let Some(marker) = transaction.undelivered() {
            return self.deliver(state, transaction, marker, true);
        }
        if transaction.phase != Phase::Ongoing {
            return Ok(());
        }
        let next = Transaction { epoch, ..transaction.decided(Marker::Abort) };
        self.store(transaction, next)?;
        self.deliver(state, transaction, Marker::Abort, false)
    }

    /// Tells everyone how a transaction has ended; if that fails, the alarm will see to it.
    fn deliver(
        &self,
        state: &State,
        transaction: &mut Transaction,
        marker: Marker,
        again: bool,
    ) -> Result<(), ResponseError> {
        self.tell(state, transaction, marker, again).map_err(|error| {
            if error == ResponseError::ConcurrentTransactions {
                return error;
            }
            tracing::error!(id = transaction.id, %error, "a decided transaction cannot be finished now");
            state.alarm.by(state.clock.now_ms() + RETRY_MS);
            // What clients understand as "ask again".
            ResponseError::CoordinatorNotAvailable
        })
    }

    /// Tells partitions and groups, in this order. A second attempt leaves out the partitions that know.
    /// Where a test holds markers back, the transaction stays unfinished.
    fn tell(
        &self,
        state: &State,
        transaction: &mut Transaction,
        marker: Marker,
        again: bool,
    ) -> Result<(), ResponseError> {
        let ProducerKey { id: producer_id, epoch } = transaction.key();
        let mut held = false;
        for place in &transaction.partitions {
            if state.faults.holds(&transaction.id, Some(place)) {
                held = true;
                continue;
            }
            let (name, index) = place;
            // A topic that was deleted meanwhile has nothing to be told.
            let Some((topic, partition)) = state.topics.partition(name, *index) else { continue };
            if again && !partition.has_open_transaction(producer_id) {
                continue;
            }
            let config = topic.config();
            match partition.append_marker(marker, producer_id, epoch, config.rules(), state.clock.now_ms()) {
                // A later epoch has been there, or the topic has gone since: there is nothing left to end.
                Ok(())
                | Err(ResponseError::InvalidProducerEpoch | ResponseError::UnknownTopicOrPartition) => {}
                Err(error) => return Err(error),
            }
        }
        for group in &transaction.groups {
            if state.faults.holds(&transaction.id, None) {
                held = true;
                continue;
            }
            state.groups.end_transaction(group, producer_id, marker == Marker::Commit)?;
        }
        if held {
            return Err(ResponseError::ConcurrentTransactions);
        }
        let next = transaction.completed(marker);
        self.store(transaction, next)
    }

    /// Writes the next state down, then takes it.
    fn store(&self, transaction: &mut Transaction, next: Transaction) -> Result<(), ResponseError> {
        let mut written = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        written.append(Event::Transaction(next.clone()))?;
        *transaction = next;
        Ok(())
    }

    fn find(&self, id: &str) -> Option<Arc<Mutex<Transaction>>> {
        self.by_id().get(id).cloned()
    }

    fn by_id(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Mutex<Transaction>>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lines that say as much as all that were written.
fn outcome(below: i64, latest: &BTreeMap<String, Transaction>) -> impl Iterator<Item = Event> {
    let ids = std::iter::once(Event::ProducerIds { below });
    ids.chain(latest.values().cloned().map(Event::Transaction))
}

fn lock(entry: &Mutex<Transaction>) -> MutexGuard<'_, Transaction> {
    entry.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unwritten(error: &io::Error) -> ResponseError {
    tracing::error!(%error, "the state of transactions cannot be written");
    ResponseError::CoordinatorNotAvailable
}
