//! The classic group protocol: members join, the leader divides, everyone syncs, hearts beat.
//!
//! A state machine that is handed requests and the time. It owns no timer: [`Classic::tick`] says when it wants
//! to be called again.
//!
//! ```text
//! Empty ──join──▶ PreparingRebalance ──everyone has joined, or time is up──▶ CompletingRebalance ──leader syncs──▶ Stable
//!   ▲                    ▲  │ nobody joined                                          │                          │
//!   └────────────────────┼──┘                                                        │                          │
//!                        └──────────────── join, leave or a session's end ───────────┴──────────────────────────┘
//! ```

mod joining;
pub(crate) mod member;
mod outcome;
mod rebalance;
pub(crate) mod record;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::protocol::StrBytes;
use tokio::sync::oneshot;

use crate::group::classic::member::{Answer, JoinRefused, Joined, Member, SyncReply, Synced};
use crate::group::classic::outcome::Replaced;
use crate::group::classic::rebalance::Initial;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Empty,
    PreparingRebalance { until_ms: i64 },
    CompletingRebalance,
    Stable,
}

impl Phase {
    /// Kafka's name of the state.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance { .. } => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// Who says something to a group.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) member_id: StrBytes,
    pub(crate) instance_id: Option<StrBytes>,
    pub(crate) generation: i32,
}

/// A request to join.
#[derive(Debug)]
pub(crate) struct Join {
    pub(crate) member_id: StrBytes,
    pub(crate) instance_id: Option<StrBytes>,
    pub(crate) client_id: StrBytes,
    pub(crate) client_host: StrBytes,
    pub(crate) session_timeout_ms: i64,
    pub(crate) rebalance_timeout_ms: i64,
    pub(crate) protocol_type: StrBytes,
    pub(crate) protocols: Vec<(StrBytes, Bytes)>,
    /// A new member gets an id first and joins with its second request.
    pub(crate) two_steps: bool,
    /// Whether the client understands [`Joined::skip_assignment`].
    pub(crate) may_skip_assignment: bool,
}

/// What the settings of the broker say about joining.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// Shortest and longest session that a member may ask for.
    pub(crate) session_ms: RangeInclusive<i64>,
    /// Members that a group may have.
    pub(crate) max_size: usize,
    /// How long a group without members waits for more of them after the first.
    pub(crate) initial_delay_ms: i64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Classic {
    pub(crate) phase: Phase,
    pub(crate) generation: i32,
    pub(crate) protocol_type: StrBytes,
    pub(crate) protocol: StrBytes,
    pub(super) leader: StrBytes,
    /// Since when nobody is in it.
    pub(super) empty_since_ms: Option<i64>,
    /// In the order of joining.
    pub(crate) members: Vec<Member>,
    /// Ids that were given out and not used yet, and when they expire.
    pending: BTreeMap<StrBytes, i64>,
    /// Of the first rebalance of a group without members.
    initial: Option<Initial>,
    /// When everyone must have asked for its share.
    sync_by_ms: Option<i64>,
    /// Whether there is something to be written down.
    changed: bool,
    /// The leader has brought the assignments, and they are not written down yet.
    divided: bool,
    /// The static member that was just replaced, in case that cannot be written down.
    replaced: Option<Box<Replaced>>,
    /// Everyone has to join again, even after a restart.
    unsettled: bool,
}

impl Default for Classic {
    fn default() -> Self {
        Self {
            phase: Phase::Empty,
            generation: 0,
            protocol_type: StrBytes::new(),
            protocol: StrBytes::new(),
            leader: StrBytes::new(),
            empty_since_ms: None,
            members: Vec::new(),
            pending: BTreeMap::new(),
            initial: None,
            sync_by_ms: None,
            changed: false,
            divided: false,
            replaced: None,
            unsettled: false,
        }
    }
}

impl Classic {
    /// A member asks for what the leader has assigned to it; the leader brings the assignments.
    pub(crate) fn sync(
        &mut self,
        who: &Identity,
        protocol: (Option<StrBytes>, Option<StrBytes>),
        mut assignments: BTreeMap<StrBytes, Bytes>,
        now_ms: i64,
    ) -> Answer<SyncReply> {
        let n = match self.member(who) {
            Ok(n) => n,
            Err(error) => return Answer::Now(Err(error)),
        };
        let differs =
            |given: &Option<StrBytes>, ours: &StrBytes| given.as_ref().is_some_and(|given| given != ours);
        if differs(&protocol.0, &self.protocol_type) || differs(&protocol.1, &self.protocol) {
            return Answer::Now(Err(ResponseError::InconsistentGroupProtocol));
        }
        match self.phase {
            Phase::Empty => Answer::Now(Err(ResponseError::UnknownMemberId)),
            Phase::PreparingRebalance { .. } => Answer::Now(Err(ResponseError::RebalanceInProgress)),
            Phase::Stable => {
                self.has_synced(n);
                Answer::Now(Ok(self.synced(n)))
            }
            Phase::CompletingRebalance => {
                self.has_synced(n);
                let (sender, receiver) = oneshot::channel();
                self.members[n].syncing = Some(sender);
                if self.members[n].id == self.leader {
                    self.phase = Phase::Stable;
                    (self.changed, self.divided) = (true, true);
                    for member in &mut self.members {
                        member.assignment = assignments.remove(&member.id).unwrap_or_default();
                        if member.syncing.is_some() {
                            member.touch(now_ms);
                        }
                    }
                }
                Answer::Later(receiver)
            }
        }
    }

    /// A member says that it is alive, and asks whether it has to join again.
    pub(crate) fn heartbeat(&mut self, who: &Identity, now_ms: i64) -> Result<(), ResponseError> {
        let n = self.member(who)?;
        self.members[n].touch(now_ms);
        match self.phase {
            Phase::PreparingRebalance { .. } => Err(ResponseError::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    /// A member goes. A static one may be named by its instance alone.
    pub(crate) fn leave(
        &mut self,
        member_id: &StrBytes,
        instance_id: Option<&StrBytes>,
        now_ms: i64,
    ) -> Result<(), ResponseError> {
        if self.pending.remove(member_id).is_some() {
            // It was nobody yet, but Kafka has everyone join again all the same.
            match self.phase {
                Phase::Empty | Phase::PreparingRebalance { .. } => {
                    self.complete_join_if_all_are_there(now_ms)
                }
                Phase::CompletingRebalance | Phase::Stable => self.rebalance(now_ms),
            }
            return Ok(());
        }
        let n = self.find(member_id, instance_id)?.ok_or(ResponseError::UnknownMemberId)?;
        self.remove(n);
        self.rebalance(now_ms);
        Ok(())
    }

    /// Whether offsets may be committed by `who`. Transactions may do so without being in the group, and at any
    /// moment.
    pub(crate) fn may_commit(&self, who: &Identity, transactional: bool) -> Result<(), ResponseError> {
        if who.generation < 0 && self.phase == Phase::Empty {
            // Someone who assigns partitions by itself.
            return Ok(());
        }
        if who.generation >= 0 || !who.member_id.is_empty() || who.instance_id.is_some() {
            self.member(who)?;
        } else if !transactional {
            return Err(ResponseError::UnknownMemberId);
        }
        match self.phase {
            Phase::CompletingRebalance if !transactional => Err(ResponseError::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    /// A member has committed offsets, so it is alive.
    pub(crate) fn committed(&mut self, who: &Identity, now_ms: i64) {
        if matches!(self.phase, Phase::PreparingRebalance { .. } | Phase::Stable)
            && let Ok(n) = self.member(who)
        {
            self.members[n].touch(now_ms);
        }
    }

    /// The topics its members read, or `None` if they are no consumers, or hide it.
    pub(crate) fn subscribed_topics(&self) -> Option<BTreeSet<String>> {
        if !self.members.is_empty() && self.protocol_type.as_str() != "consumer" {
            return None;
        }
        let mut topics = BTreeSet::new();
        for metadata in self.members.iter().flat_map(|member| &member.protocols).map(|(_, metadata)| metadata)
        {
            topics.extend(subscription(metadata)?);
        }
        Some(topics)
    }

    /// The sessions of members that were there before a restart begin now.
    pub(crate) fn go_on(&mut self, now_ms: i64) {
        self.members.iter_mut().for_each(|member| member.touch(now_ms));
        if self.unsettled {
            self.rebalance(now_ms);
        }
    }

    /// Whether there is news to write down since this was last asked.
    pub(crate) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Whether it ever had members; otherwise it is but a name for offsets.
    pub(crate) fn is_worth_writing(&self) -> bool {
        self.generation > 0
    }

    /// Nobody is in it, or about to be.
    pub(crate) fn is_deserted(&self) -> bool {
        self.members.is_empty() && self.pending.is_empty()
    }

    /// Finds a member by instance or id: `Ok(None)` if it is new here.
    fn find(
        &self,
        member_id: &StrBytes,
        instance_id: Option<&StrBytes>,
    ) -> Result<Option<usize>, ResponseError> {
        let Some(instance_id) = instance_id else {
            return Ok(self
                .members
                .iter()
                .position(|member| member.id == *member_id && !member_id.is_empty()));
        };
        match self.members.iter().position(|member| member.instance_id.as_ref() == Some(instance_id)) {
            Some(n) if member_id.is_empty() || self.members[n].id == *member_id => Ok(Some(n)),
            Some(_) => Err(ResponseError::FencedInstanceId),
            None => Ok(None),
        }
    }

    /// Finds a member of the present generation.
    fn member(&self, who: &Identity) -> Result<usize, ResponseError> {
        if who.member_id.is_empty() && self.find(&who.member_id, who.instance_id.as_ref())?.is_some() {
            return Err(ResponseError::FencedInstanceId);
        }
        let n = self.find(&who.member_id, who.instance_id.as_ref())?.ok_or(ResponseError::UnknownMemberId)?;
        if who.generation == self.generation { Ok(n) } else { Err(ResponseError::IllegalGeneration) }
    }

    fn has_synced(&mut self, n: usize) {
        self.members[n].has_synced = true;
        if self.members.iter().all(|member| member.has_synced) {
            self.sync_by_ms = None;
        }
    }

    fn remove(&mut self, n: usize) {
        let mut member = self.members.remove(n);
        let error = ResponseError::UnknownMemberId;
        member.answer_join(Err(JoinRefused { error, member_id: StrBytes::new() }));
        member.answer_sync(Err(error));
    }

    fn joined(&self, n: usize) -> Joined {
        let member_id = self.members[n].id.clone();
        let everyone = || {
            let describe = |member: &Member| {
                (member.id.clone(), member.instance_id.clone(), member.metadata(&self.protocol))
            };
            self.members.iter().map(describe).collect()
        };
        Joined {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            members: if member_id == self.leader { everyone() } else { Vec::new() },
            member_id,
            skip_assignment: false,
        }
    }

    fn synced(&self, n: usize) -> Synced {
        Synced {
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: self.members[n].assignment.clone(),
        }
    }
}

/// The topics in a consumer's metadata: a version, a count, and strings with 16-bit lengths.
fn subscription(metadata: &[u8]) -> Option<Vec<String>> {
    let (_version, mut rest) = metadata.split_at_checked(2)?;
    let count = rest.split_off(..4)?;
    let count = u32::from_be_bytes(count.try_into().ok()?);
    let mut topics = Vec::new();
    for _ in 0..count {
        let len = rest.split_off(..2)?;
        let len = u16::from_be_bytes(len.try_into().ok()?);
        topics.push(String::from_utf8(rest.split_off(..usize::from(len))?.to_vec()).ok()?);
    }
    Some(topics)
}
