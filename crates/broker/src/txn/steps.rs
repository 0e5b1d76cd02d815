//! `transactions.journal`: every step of every transactional id, and which producer ids are given out.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use kafka_protocol::ResponseError;
use serde::{Deserialize, Serialize};

use crate::journal::Journal;
use crate::txn::transaction::Transaction;

/// Producer ids written down as given out at a time.
const ID_BLOCK: i64 = 1_000;

/// A line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Event {
    /// All producer ids below may be in use.
    ProducerIds {
        below: i64,
    },
    Transaction(Transaction),
    /// Nobody has used a transactional id for a long time.
    Forgotten {
        id: String,
    },
}

/// See the module.
#[derive(Debug)]
pub(super) struct Steps {
    journal: Journal<Event>,
    next_producer_id: i64,
    ids_below: i64,
    /// Every transaction as it was last written down.
    latest: BTreeMap<String, Transaction>,
}

impl Steps {
    /// None, and nothing will be kept.
    pub(super) fn in_memory() -> Self {
        Self { journal: Journal::in_memory(), next_producer_id: 1, ids_below: 1, latest: BTreeMap::new() }
    }

    /// Those of a file.
    pub(super) fn open(path: &Path, now_ms: i64) -> io::Result<Self> {
        let mut below = 1;
        let mut latest = BTreeMap::new();
        let mut journal = Journal::open(path, |event| match event {
            Event::ProducerIds { below: written } => below = written,
            Event::Transaction(transaction) => drop(latest.insert(transaction.id.clone(), transaction)),
            Event::Forgotten { id } => drop(latest.remove(&id)),
        })?;
        for transaction in latest.values_mut() {
            transaction.updated_ms.get_or_insert(now_ms);
        }
        if journal.is_long() {
            journal.rewrite(outcome(below, &latest))?;
        }
        Ok(Self { journal, next_producer_id: below, ids_below: below, latest })
    }

    /// Every transaction as it was last written down.
    pub(super) fn latest(&self) -> &BTreeMap<String, Transaction> {
        &self.latest
    }

    /// A producer id that nobody has had.
    pub(super) fn new_producer_id(&mut self) -> Result<i64, ResponseError> {
        if self.next_producer_id == self.ids_below {
            let below = self.ids_below + ID_BLOCK;
            self.append(Event::ProducerIds { below })?;
        }
        self.next_producer_id += 1;
        Ok(self.next_producer_id - 1)
    }

    /// Writes down how a transaction stands now.
    pub(super) fn add(&mut self, transaction: &Transaction) -> Result<(), ResponseError> {
        self.append(Event::Transaction(transaction.clone()))
    }

    /// Writes down that a transactional id is no more.
    pub(super) fn forget(&mut self, id: &str) -> Result<(), ResponseError> {
        self.append(Event::Forgotten { id: id.to_owned() })
    }

    /// Adds a line, and makes the file short again when it has become long.
    fn append(&mut self, event: Event) -> Result<(), ResponseError> {
        self.journal.append(&event).map_err(|error| unwritten(&error))?;
        match event {
            Event::ProducerIds { below } => self.ids_below = below,
            Event::Transaction(transaction) => {
                self.latest.insert(transaction.id.clone(), transaction);
            }
            Event::Forgotten { id } => drop(self.latest.remove(&id)),
        }
        if self.journal.is_long()
            && let Err(error) = self.journal.rewrite(outcome(self.ids_below, &self.latest))
        {
            tracing::warn!(%error, "the journal of transactions cannot be made shorter");
        }
        Ok(())
    }
}

/// The lines that say as much as all that were written.
fn outcome(below: i64, latest: &BTreeMap<String, Transaction>) -> impl Iterator<Item = Event> {
    let ids = std::iter::once(Event::ProducerIds { below });
    ids.chain(latest.values().cloned().map(Event::Transaction))
}

fn unwritten(error: &io::Error) -> ResponseError {
    tracing::error!(%error, "the state of transactions cannot be written");
    ResponseError::CoordinatorNotAvailable
}
