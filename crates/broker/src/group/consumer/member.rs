//! One member of a consumer group: what it wants, what it has, and what it shall have.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

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
    /// When its session ends, unless it is heard of.
    #[serde(skip)]
    pub(crate) expires_ms: i64,
    /// When it must have given back what it was asked for.
    #[serde(skip)]
    pub(crate) revoked_by_ms: Option<i64>,
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
            expires_ms: 0,
            revoked_by_ms: None,
        }
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
