//! What is known of one transactional id, and who may add what to its transaction.
//!
//! How a transaction ends is in `ending`, how a producer takes over in `charge`. All of it are pure functions: they
//! return the next state, which counts once it was written down.

use std::collections::BTreeSet;

use kafka_protocol::ResponseError;
use serde::{Deserialize, Serialize};

use crate::log::batch::Marker;

/// Where a transactional id stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Phase {
    Empty,
    Ongoing,
    /// Decided, and not yet everywhere known.
    PrepareCommit,
    PrepareAbort,
    CompleteCommit,
    CompleteAbort,
}

impl Phase {
    /// Kafka's name of the state.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::PrepareCommit => "PrepareCommit",
            Self::PrepareAbort => "PrepareAbort",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
        }
    }
}

/// Which version of transactions a client speaks. In the second (KIP-890) every transaction has an epoch of its own, so
/// that nothing that is late can be taken for a part of the next one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Version {
    #[default]
    One,
    Two,
}

impl Version {
    fn is_one(&self) -> bool {
        *self == Self::One
    }
}

/// See the module. A line of `transactions.journal` holds all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Transaction {
    pub(crate) id: String,
    /// Negative until the first producer is in charge.
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    /// The epoch in which the producer in charge was given this one. It may ask again if it has not heard the answer.
    #[serde(rename = "asked_in_epoch", default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_epoch: Option<i16>,
    /// The producer id that it was given this one under, if that was another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_producer_id: Option<i64>,
    /// The producer id that comes after the decided transaction, because the epochs of this one have run out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next_producer_id: Option<i64>,
    /// In which version it was decided how it ends.
    #[serde(default, skip_serializing_if = "Version::is_one")]
    pub(crate) version: Version,
    pub(crate) timeout_ms: i64,
    pub(crate) phase: Phase,
    /// When it was begun, in milliseconds since 1970; -1 if it was not.
    pub(crate) started_ms: i64,
    /// When the last of its steps was; `None` if that was written down without its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) updated_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) partitions: BTreeSet<(String, i32)>,
    /// Groups whose offsets ride along.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) groups: BTreeSet<String>,
}

/// A producer's name for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProducerKey {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

/// Something that belongs to a transaction.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part<'a> {
    Partition(&'a (String, i32)),
    /// The offsets of a group.
    Group(&'a str),
}

impl Transaction {
    /// One that nobody is in charge of.
    pub(crate) fn new(id: &str, now_ms: i64) -> Self {
        Self {
            id: id.to_owned(),
            producer_id: -1,
            epoch: -1,
            last_epoch: None,
            last_producer_id: None,
            next_producer_id: None,
            version: Version::One,
            timeout_ms: 0,
            phase: Phase::Empty,
            started_ms: -1,
            updated_ms: Some(now_ms),
            partitions: BTreeSet::new(),
            groups: BTreeSet::new(),
        }
    }

    /// Whether a producer was ever in charge.
    pub(crate) fn is_owned(&self) -> bool {
        self.producer_id >= 0
    }

    /// Who is in charge once everyone knows how the transaction ended.
    pub(crate) fn key(&self) -> ProducerKey {
        match self.next_producer_id {
            Some(id) => ProducerKey { id, epoch: 0 },
            None => ProducerKey { id: self.producer_id, epoch: self.epoch },
        }
    }

    /// Whether this producer is the one in charge.
    pub(crate) fn check(&self, producer: ProducerKey) -> Result<(), ResponseError> {
        if !self.is_owned() || self.producer_id != producer.id {
            return Err(ResponseError::InvalidProducerIdMapping);
        }
        if self.epoch != producer.epoch {
            return Err(ResponseError::ProducerFenced);
        }
        Ok(())
    }

    /// Whether a part belongs to the open transaction of this producer.
    pub(crate) fn verify(&self, producer: ProducerKey, part: Part<'_>) -> Result<(), ResponseError> {
        self.check(producer)?;
        if self.undelivered().is_some() {
            return Err(ResponseError::ConcurrentTransactions);
        }
        if self.has(part) { Ok(()) } else { Err(ResponseError::TransactionAbortable) }
    }

    fn has(&self, part: Part<'_>) -> bool {
        match part {
            Part::Partition(place) => self.partitions.contains(place),
            Part::Group(group) => self.groups.contains(group),
        }
    }

    /// The transaction with more in it, begun if there was none; `None` if that is nothing new.
    pub(crate) fn with<'a>(
        &self,
        producer: ProducerKey,
        parts: impl IntoIterator<Item = Part<'a>>,
        now_ms: i64,
    ) -> Result<Option<Self>, ResponseError> {
        // Comes first, because the producer may have been given an id that does not count before this is over.
        if self.undelivered().is_some() {
            return Err(ResponseError::ConcurrentTransactions);
        }
        self.check(producer)?;
        let mut new = parts.into_iter().filter(|part| !self.has(*part)).peekable();
        if self.phase == Phase::Ongoing && new.peek().is_none() {
            return Ok(None);
        }
        let mut next = self.at(Phase::Ongoing, now_ms);
        if self.phase != Phase::Ongoing {
            next.started_ms = now_ms;
        }
        for part in new {
            match part {
                Part::Partition(place) => drop(next.partitions.insert(place.clone())),
                Part::Group(group) => drop(next.groups.insert(group.to_owned())),
            }
        }
        Ok(Some(next))
    }

    /// The same in another phase.
    pub(super) fn at(&self, phase: Phase, now_ms: i64) -> Self {
        Self { phase, updated_ms: Some(now_ms), last_producer_id: None, ..self.clone() }
    }

    /// How it was decided to end, while that is not everywhere known.
    pub(crate) fn undelivered(&self) -> Option<Marker> {
        match self.phase {
            Phase::PrepareCommit => Some(Marker::Commit),
            Phase::PrepareAbort => Some(Marker::Abort),
            _ => None,
        }
    }

    /// When it will be aborted if its producer does not end it.
    pub(crate) fn deadline_ms(&self) -> Option<i64> {
        (self.phase == Phase::Ongoing).then(|| self.started_ms.saturating_add(self.timeout_ms))
    }
}
