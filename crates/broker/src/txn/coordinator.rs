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

use crate::alarm::Recurring;
use crate::group::classic::Identity;
use crate::group::offsets::Commits;
use crate::log::batch::Marker;
use crate::state::State;
use crate::txn::markers::RETRY_MS;
use crate::txn::steps::Steps;
use crate::txn::transaction::{Part, ProducerKey, Transaction, Version};

/// See the module.
#[derive(Debug)]
pub(crate) struct Transactions {
    by_id: Mutex<BTreeMap<String, Arc<Mutex<Transaction>>>>,
    /// Locked after a transaction, never before.
    steps: Mutex<Steps>,
    /// When to look for transactional ids that nobody uses.
    pub(super) expiry: Recurring,
}

impl Transactions {
    /// None, and nothing will be kept.
    pub(crate) fn in_memory() -> Self {
        Self::new(Steps::in_memory())
    }

    /// Those of a data folder.
    pub(crate) fn open(path: &Path, now_ms: i64) -> io::Result<Self> {
        Ok(Self::new(Steps::open(path, now_ms)?))
    }

    fn new(steps: Steps) -> Self {
        let entry = |(id, transaction): (&String, &Transaction)| {
            (id.clone(), Arc::new(Mutex::new(transaction.clone())))
        };
        let by_id = steps.latest().iter().map(entry).collect();
        Self { by_id: Mutex::new(by_id), steps: Mutex::new(steps), expiry: Recurring::default() }
    }

    /// A producer id that nobody has had.
    pub(crate) fn new_producer_id(&self) -> Result<i64, ResponseError> {
        self.steps().new_producer_id()
    }

    /// Puts a producer in charge of a transactional id. The one before it is fenced, and what it left open is aborted.
    pub(crate) fn init(
        &self,
        state: &State,
        id: &str,
        timeout_ms: i64,
        known: Option<ProducerKey>,
    ) -> Result<ProducerKey, ResponseError> {
        if !(1..=i64::from(state.settings.broker().transaction_max_timeout_ms)).contains(&timeout_ms) {
            return Err(ResponseError::InvalidTransactionTimeout);
        }
        let now_ms = state.clock.now_ms();
        loop {
            let entry = self.find_or_insert(id, now_ms);
            let mut transaction = lock(&entry);
            if !self.is_current(id, &entry) {
                // It was forgotten in between.
                continue;
            }
            self.finish(state, &mut transaction)?;
            transaction.may_ask(known)?;
            self.abort_open(state, &mut transaction)?;
            let next = transaction.in_charge(known, timeout_ms, now_ms, &|| self.new_producer_id())?;
            self.store(&mut transaction, next)?;
            return Ok(transaction.key());
        }
    }

    /// Adds partitions or a group to the open transaction, beginning one if there is none.
    pub(crate) fn add<'a>(
        &self,
        state: &State,
        id: &str,
        producer: ProducerKey,
        parts: impl IntoIterator<Item = Part<'a>>,
    ) -> Result<(), ResponseError> {
        let entry = self.find(id)?;
        let mut transaction = lock(&entry);
        if let Some(next) = transaction.with(producer, parts, state.clock.now_ms())? {
            self.store(&mut transaction, next)?;
            if let Some(deadline_ms) = transaction.deadline_ms() {
                state.alarm.by(deadline_ms);
            }
        }
        Ok(())
    }

    /// Does `act` if a part belongs to the open transaction, which stays open meanwhile.
    pub(crate) fn within<T>(
        &self,
        id: &str,
        producer: ProducerKey,
        part: Part<'_>,
        act: impl FnOnce() -> Result<T, ResponseError>,
    ) -> Result<T, ResponseError> {
        let entry = self.find(id)?;
        let transaction = lock(&entry);
        transaction.verify(producer, part)?;
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
        self.within(id, producer, Part::Group(group), || {
            state.groups.commit_in_transaction(state, group, who, producer.id, offsets)
        })
    }

    /// Ends a transaction as its producer wishes; returns what the producer is called from then on.
    pub(crate) fn end(
        &self,
        state: &State,
        id: &str,
        producer: ProducerKey,
        marker: Marker,
        version: Version,
    ) -> Result<ProducerKey, ResponseError> {
        let entry = self.find(id)?;
        let mut transaction = lock(&entry);
        self.finish(state, &mut transaction)?;
        let new_id = || self.new_producer_id();
        if let Some(next) = transaction.end(producer, marker, version, state.clock.now_ms(), &new_id)? {
            self.store(&mut transaction, next)?;
            match self.deliver(state, &mut transaction, marker, false) {
                // It is decided, which is what the producer wants to know.
                Ok(()) | Err(ResponseError::ConcurrentTransactions) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(transaction.key())
    }

    /// How a transactional id stands.
    pub(crate) fn get(&self, id: &str) -> Result<Transaction, ResponseError> {
        let transaction = lock(&*self.find(id)?).clone();
        if transaction.is_owned() { Ok(transaction) } else { Err(ResponseError::InvalidProducerIdMapping) }
    }

    /// The transactional ids that are wanted, in order.
    pub(crate) fn list(&self, wanted: impl Fn(&Transaction) -> bool) -> Vec<Transaction> {
        let wanted = |entry: &Arc<Mutex<Transaction>>| {
            let transaction = lock(entry);
            (transaction.is_owned() && wanted(&transaction)).then(|| transaction.clone())
        };
        self.entries().iter().filter_map(wanted).collect()
    }

    /// How many transactional ids are in which state.
    pub(crate) fn count_by_phase(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for entry in self.entries() {
            *counts.entry(lock(&entry).phase.name()).or_default() += 1;
        }
        counts
    }

    /// Aborts what is overdue, finishes what was left undone, and forgets what nobody uses; returns when to look again.
    pub(crate) fn tick(&self, state: &State, now_ms: i64) -> Option<i64> {
        let mut next_ms = self.forget_unused(state, now_ms);
        for entry in self.entries() {
            let mut transaction = lock(&entry);
            let is_overdue = transaction.deadline_ms().is_some_and(|deadline_ms| deadline_ms <= now_ms);
            if is_overdue {
                tracing::warn!(
                    id = transaction.id,
                    timeout_ms = transaction.timeout_ms,
                    "aborting a transaction that was not ended in time; its producer is fenced"
                );
            }
            let done = match is_overdue {
                true => self.abort_open(state, &mut transaction),
                false => self.finish(state, &mut transaction),
            };
            let again_ms = if done.is_err() { Some(now_ms + RETRY_MS) } else { transaction.deadline_ms() };
            next_ms = next_ms.into_iter().chain(again_ms).min();
        }
        next_ms
    }

    /// Aborts the transaction if one is open, under an epoch that fences its producer.
    fn abort_open(&self, state: &State, transaction: &mut Transaction) -> Result<(), ResponseError> {
        if transaction.deadline_ms().is_none() {
            return Ok(());
        }
        let next = transaction.fenced(state.clock.now_ms(), &|| self.new_producer_id())?;
        self.store(transaction, next)?;
        self.deliver(state, transaction, Marker::Abort, false)
    }

    /// Writes the next state down, then takes it.
    pub(super) fn store(
        &self,
        transaction: &mut Transaction,
        next: Transaction,
    ) -> Result<(), ResponseError> {
        self.steps().add(&next)?;
        *transaction = next;
        Ok(())
    }

    pub(super) fn find(&self, id: &str) -> Result<Arc<Mutex<Transaction>>, ResponseError> {
        if id.is_empty() {
            return Err(ResponseError::InvalidRequest);
        }
        self.by_id().get(id).cloned().ok_or(ResponseError::InvalidProducerIdMapping)
    }

    fn find_or_insert(&self, id: &str, now_ms: i64) -> Arc<Mutex<Transaction>> {
        let mut by_id = self.by_id();
        if let Some(entry) = by_id.get(id) {
            return Arc::clone(entry);
        }
        let fresh = Arc::new(Mutex::new(Transaction::new(id, now_ms)));
        by_id.insert(id.to_owned(), Arc::clone(&fresh));
        fresh
    }

    fn is_current(&self, id: &str, entry: &Arc<Mutex<Transaction>>) -> bool {
        self.by_id().get(id).is_some_and(|current| Arc::ptr_eq(current, entry))
    }

    pub(super) fn entries(&self) -> Vec<Arc<Mutex<Transaction>>> {
        self.by_id().values().cloned().collect()
    }

    /// Locked after a transaction and while none is waited for.
    pub(super) fn by_id(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Mutex<Transaction>>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn steps(&self) -> MutexGuard<'_, Steps> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn lock(entry: &Mutex<Transaction>) -> MutexGuard<'_, Transaction> {
    entry.lock().unwrap_or_else(PoisonError::into_inner)
}
