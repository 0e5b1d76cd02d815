//! What is known of one transactional id.

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

/// See the module. A line of `transactions.journal` holds all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Transaction {
    pub(crate) id: String,
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    /// The epoch in which the producer in charge asked for this one. It may ask again if it has not heard the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) asked_in_epoch: Option<i16>,
    pub(crate) timeout_ms: i64,
    pub(crate) phase: Phase,
    /// When it was begun, in milliseconds since 1970.
    pub(crate) started_ms: i64,
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

impl Transaction {
    pub(crate) fn new(id: &str, producer_id: i64, timeout_ms: i64) -> Self {
        Self {
            id: id.to_owned(),
            producer_id,
            epoch: 0,
            asked_in_epoch: None,
            timeout_ms,
            phase: Phase::Empty,
            started_ms: 0,
            partitions: BTreeSet::new(),
            groups: BTreeSet::new(),
        }
    }

    pub(crate) fn key(&self) -> ProducerKey {
        ProducerKey { id: self.producer_id, epoch: self.epoch }
    }

    /// Whether this producer is the one in charge.
    pub(crate) fn check(&self, producer: ProducerKey) -> Result<(), ResponseError> {
        // Negative until the first producer is in charge.
        if producer.id < 0 || self.producer_id != producer.id {
            return Err(ResponseError::InvalidProducerIdMapping);
        }
        if self.epoch != producer.epoch {
            return Err(ResponseError::ProducerFenced);
        }
        Ok(())
    }

    /// Whether this producer has been given the present epoch already and has not used it yet.
    pub(crate) fn was_told(&self, producer: ProducerKey) -> bool {
        self.phase == Phase::Empty
            && self.producer_id == producer.id
            && self.asked_in_epoch == Some(producer.epoch)
    }

    /// The transaction with more in it, begun if there was none; `None` if that is nothing new.
    pub(crate) fn with(
        &self,
        partitions: impl IntoIterator<Item = (String, i32)>,
        group: Option<&str>,
        now_ms: i64,
    ) -> Result<Option<Self>, ResponseError> {
        let mut next = self.clone();
        match self.phase {
            Phase::Ongoing => {}
            Phase::PrepareCommit | Phase::PrepareAbort => return Err(ResponseError::ConcurrentTransactions),
            Phase::Empty | Phase::CompleteCommit | Phase::CompleteAbort => {
                next.phase = Phase::Ongoing;
                next.started_ms = now_ms;
            }
        }
        next.partitions.extend(partitions);
        next.groups.extend(group.map(str::to_owned));
        Ok((next != *self).then_some(next))
    }

    /// The transaction once it is decided how it ends.
    pub(crate) fn decided(&self, marker: Marker) -> Self {
        let phase = match marker {
            Marker::Commit => Phase::PrepareCommit,
            Marker::Abort => Phase::PrepareAbort,
        };
        Self { phase, ..self.clone() }
    }

    /// The transaction once everyone knows how it ended.
    pub(crate) fn completed(&self, marker: Marker) -> Self {
        let phase = match marker {
            Marker::Commit => Phase::CompleteCommit,
            Marker::Abort => Phase::CompleteAbort,
        };
        Self { phase, partitions: BTreeSet::new(), groups: BTreeSet::new(), ..self.clone() }
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
        (self.phase == Phase::Ongoing).then(|| self.started_ms + self.timeout_ms)
    }
}
