//! One member of a consumer group: what it wants, what it has, and what it shall have.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::group::classic::record::Blob;
use crate::group::consumer::Partitions;
use crate::group::consumer::assignor::Assignor;
use crate::group::consumer::subscription::Subscription;

/// The epoch of someone who joins.
pub(crate) const JOINING: i32 = 0;
/// The epoch of a member that leaves for good.
pub(crate) const LEAVING: i32 = -1;
/// The epoch of a static member that leaves and will be back.
pub(crate) const AWAY: i32 = -2;

/// How far a member is on its way to its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Progress {
    /// It has what it shall have, as far as its epoch knows.
    Stable,
    /// It still has to give partitions back.
    Unrevoked,
    /// It waits for partitions that others have to give back.
    Unreleased,
}

/// What there is more to know of a member that speaks the classic protocol.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Classic {
    pub(crate) session_timeout_ms: i64,
    /// Names and metadata, the preferred one first.
    pub(crate) protocols: Vec<(String, Blob)>,
}

impl Classic {
    /// The protocol that it is told to have agreed upon; the broker divides, so it does not matter which.
    pub(crate) fn protocol(&self) -> &str {
        self.protocols.first().map_or("", |(name, _)| name)
    }

    /// What it said with that protocol.
    pub(crate) fn metadata(&self) -> Bytes {
        self.protocols.first().map(|(_, metadata)| metadata.0.clone()).unwrap_or_default()
    }

    pub(crate) fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }
}

/// Until when a member must have done something, if it is to stay. These are not kept over a restart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Due {
    /// Been heard of.
    pub(crate) heard_ms: i64,
    /// Given back what it was asked for.
    pub(crate) revoked_ms: Option<i64>,
    /// Joined again, having been told to, in the classic protocol.
    pub(crate) joined_ms: Option<i64>,
    /// Asked for its share, having joined, in the classic protocol.
    pub(crate) synced_ms: Option<i64>,
}

impl Due {
    /// What comes first, and what will have been wrong then.
    pub(crate) fn first(&self) -> (i64, &'static str) {
        let silent = (self.heard_ms, "it was not heard of for its session timeout");
        let others = [
            (self.revoked_ms, "it did not give its partitions back within its rebalance timeout"),
            (self.joined_ms, "it did not join again within its rebalance timeout"),
            (self.synced_ms, "it did not ask for its share within its rebalance timeout"),
        ];
        let others = others.into_iter().filter_map(|(due_ms, reason)| Some((due_ms?, reason)));
        others.fold(silent, |first, other| if other.0 < first.0 { other } else { first })
    }
}

/// See the module. Serialized, it is what is kept of it over a restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) instance_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rack_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) rebalance_timeout_ms: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) assignor: Option<Assignor>,
    pub(crate) subscription: Subscription,
    /// The topics that the subscription meant when it was last looked at, with their numbers of partitions.
    pub(crate) topics: BTreeMap<Uuid, i32>,
    pub(crate) epoch: i32,
    /// The epoch before, which it may still believe to be in if an answer got lost.
    pub(crate) previous_epoch: i32,
    pub(crate) progress: Progress,
    /// What it was told to read.
    pub(crate) assigned: Partitions,
    /// What it was told to give back and may still read.
    pub(crate) revoking: Partitions,
    /// What it shall have in the end.
    pub(crate) target: Partitions,
    /// In which epoch it got each of the partitions that it may be reading. Whoever is late with a commit may make
    /// it if it was in that epoch already (KIP-1251).
    #[serde(default)]
    pub(crate) since: BTreeMap<Uuid, BTreeMap<i32, i32>>,
    /// While it speaks the classic protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) classic: Option<Classic>,
    #[serde(skip)]
    pub(crate) due: Due,
}

impl Member {
    /// Someone who has never been here.
    pub(crate) fn new(id: String) -> Self {
        Self {
            id,
            instance_id: None,
            rack_id: None,
            client_id: String::new(),
            client_host: String::new(),
            rebalance_timeout_ms: 0,
            assignor: None,
            subscription: Subscription::default(),
            topics: BTreeMap::new(),
            epoch: JOINING,
            previous_epoch: JOINING,
            progress: Progress::Stable,
            assigned: Partitions::new(),
            revoking: Partitions::new(),
            target: Partitions::new(),
            since: BTreeMap::new(),
            classic: None,
            due: Due::default(),
        }
    }

    /// Whether something has to be written down that was not `before`.
    pub(crate) fn differs(&self, before: &Self) -> bool {
        Self { due: before.due, ..self.clone() } != *before
    }

    /// How long it may be silent, unless `session_ms` says so for members of the new protocol.
    pub(crate) fn session_ms(&self, session_ms: i64) -> i64 {
        self.classic.as_ref().map_or(session_ms, |classic| classic.session_timeout_ms)
    }

    /// The error for a request that names another epoch than the one it is in.
    pub(crate) fn stale(&self) -> ResponseError {
        if self.classic.is_some() {
            ResponseError::IllegalGeneration
        } else {
            ResponseError::StaleMemberEpoch
        }
    }

    /// Sets the time by which it must have given back what it was asked for. Members of the classic protocol have
    /// other times to keep.
    pub(crate) fn must_give_back(&mut self, now_ms: i64) {
        let gives_back = self.progress == Progress::Unrevoked && self.classic.is_none();
        self.due.revoked_ms = gives_back.then_some(now_ms + i64::from(self.rebalance_timeout_ms));
    }

    /// Whatever it has got now came in `epoch`; the rest it has longer.
    pub(crate) fn has_since(&mut self, epoch: i32) {
        let mut since: BTreeMap<Uuid, BTreeMap<i32, i32>> = BTreeMap::new();
        for (topic, partition) in self.held() {
            let known = self.since.get(&topic).and_then(|partitions| partitions.get(&partition));
            since.entry(topic).or_default().insert(partition, known.copied().unwrap_or(epoch));
        }
        self.since = since;
    }

    /// Whether it has all that it had to have in this epoch.
    pub(crate) fn is_settled(&self, epoch: i32) -> bool {
        self.progress == Progress::Stable && self.epoch == epoch
    }

    /// Every partition that it may be reading.
    pub(crate) fn held(&self) -> impl Iterator<Item = (Uuid, i32)> {
        let both = self.assigned.iter().chain(&self.revoking);
        both.flat_map(|(topic, partitions)| partitions.iter().map(|partition| (*topic, *partition)))
    }
}
