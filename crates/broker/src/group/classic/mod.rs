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
use uuid::Uuid;

use crate::group::classic::member::{Answer, JoinRefused, JoinReply, Joined, Member, SyncReply, Synced};
use crate::group::classic::outcome::Replaced;
use crate::group::classic::rebalance::Initial;

/// How long a new member may wait for the others to join before it is told to try again: if its connection has
/// gone, nobody would notice otherwise.
const NEW_MEMBER_MS: i64 = 5 * 60 * 1_000;

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
    /// A member joins, or comes back.
    pub(crate) fn join(&mut self, join: Join, rules: &Rules, now_ms: i64) -> Answer<JoinReply> {
        let refuse = |error| Answer::Now(Err(JoinRefused { error, member_id: join.member_id.clone() }));
        if !rules.session_ms.contains(&join.session_timeout_ms) {
            return refuse(ResponseError::InvalidSessionTimeout);
        }
        if !self.has_room(&join.member_id, rules.max_size) {
            self.forget(&join.member_id);
            let error = ResponseError::GroupMaxSizeReached;
            return Answer::Now(Err(JoinRefused { error, member_id: StrBytes::new() }));
        }
        if !self.fits(&join) {
            return refuse(ResponseError::InconsistentGroupProtocol);
        }
        let place = match self.find(&join.member_id, join.instance_id.as_ref()) {
            Ok(place) => place,
            Err(error) => return refuse(error),
        };
        match place {
            Some(n) if join.member_id.is_empty() => self.replace_static(n, join, now_ms),
            Some(n) => self.rejoin(n, join, now_ms),
            None if join.member_id.is_empty() => {
                let member_id = new_member_id(&join);
                if join.two_steps && join.instance_id.is_none() {
                    self.pending.insert(member_id.clone(), now_ms + join.session_timeout_ms);
                    return Answer::Now(Err(JoinRefused {
                        error: ResponseError::MemberIdRequired,
                        member_id,
                    }));
                }
                self.add(member_id, join, rules, now_ms)
            }
            None if self.pending.remove(&join.member_id).is_some() => {
                self.add(join.member_id.clone(), join, rules, now_ms)
            }
            None => refuse(ResponseError::UnknownMemberId),
        }
    }

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

    /// Whether a member with these protocols can be in one group with the others, and with what it was itself until
    /// now.
    fn fits(&self, join: &Join) -> bool {
        if self.phase == Phase::Empty {
            return !join.protocol_type.is_empty() && !join.protocols.is_empty();
        }
        let supported = |name: &StrBytes| {
            self.members.iter().all(|member| member.protocols.iter().any(|(other, _)| other == name))
        };
        self.protocol_type == join.protocol_type && join.protocols.iter().any(|(name, _)| supported(name))
    }

    /// Whether this member may join. While everyone joins again, the first ones count.
    fn has_room(&self, member_id: &StrBytes, max_size: usize) -> bool {
        let member = self.members.iter().find(|member| member.id == *member_id);
        match self.phase {
            Phase::Empty => true,
            Phase::PreparingRebalance { .. } => {
                let joining = |member: &Member| member.joining.is_some();
                member.is_some_and(joining)
                    || self.members.iter().filter(|member| joining(member)).count() < max_size
            }
            Phase::CompletingRebalance | Phase::Stable => member.is_some() || self.members.len() < max_size,
        }
    }

    /// There was no room for a member, so it is none any more.
    fn forget(&mut self, member_id: &StrBytes) {
        self.pending.remove(member_id);
        if let Some(n) = self.members.iter().position(|member| member.id == *member_id) {
            self.remove(n);
        }
    }

    fn has_synced(&mut self, n: usize) {
        self.members[n].has_synced = true;
        if self.members.iter().all(|member| member.has_synced) {
            self.sync_by_ms = None;
        }
    }

    fn add(&mut self, id: StrBytes, join: Join, rules: &Rules, now_ms: i64) -> Answer<JoinReply> {
        let (sender, receiver) = oneshot::channel();
        if self.members.is_empty() {
            self.protocol_type = join.protocol_type;
        }
        self.members.push(Member {
            id,
            instance_id: join.instance_id,
            client_id: join.client_id,
            client_host: join.client_host,
            session_timeout_ms: join.session_timeout_ms,
            rebalance_timeout_ms: join.rebalance_timeout_ms,
            protocols: join.protocols,
            assignment: Bytes::new(),
            expires_ms: now_ms + NEW_MEMBER_MS,
            is_new: true,
            has_synced: false,
            joining: Some(sender),
            syncing: None,
        });
        if self.phase == Phase::Empty || self.initial.is_some() {
            self.begin(rules.initial_delay_ms, now_ms);
        } else {
            self.rebalance(now_ms);
        }
        Answer::Later(receiver)
    }

    fn rejoin(&mut self, n: usize, join: Join, now_ms: i64) -> Answer<JoinReply> {
        let unchanged = self.members[n].protocols == join.protocols;
        let is_leader = self.members[n].id == self.leader;
        let answered = match self.phase {
            // The answer to its join was lost.
            Phase::CompletingRebalance => unchanged,
            // The leader joins again when it has noticed that the partitions have changed.
            Phase::Stable => unchanged && !is_leader,
            Phase::Empty | Phase::PreparingRebalance { .. } => false,
        };
        if answered {
            self.members[n].touch(now_ms);
            return Answer::Now(Ok(self.joined(n)));
        }
        self.wait_for_join(n, join, now_ms)
    }

    /// A static member was restarted: it gets a new id and its old place, without a rebalance if nothing has changed.
    fn replace_static(&mut self, n: usize, join: Join, now_ms: i64) -> Answer<JoinReply> {
        let replaced = Replaced { before: (&self.members[n]).into(), by: new_member_id(&join) };
        let old = std::mem::replace(&mut self.members[n].id, replaced.by.clone());
        let (fenced, may_skip) = (ResponseError::FencedInstanceId, join.may_skip_assignment);
        self.members[n].answer_join(Err(JoinRefused { error: fenced, member_id: old.clone() }));
        self.members[n].answer_sync(Err(fenced));
        let was_leader = self.leader == old;
        if was_leader {
            self.leader = self.members[n].id.clone();
        }
        if self.phase != Phase::Stable {
            return self.wait_for_join(n, join, now_ms);
        }
        self.members[n].update(join, now_ms);
        if self.vote() != self.protocol {
            let answer = self.members[n].wait();
            self.rebalance(now_ms);
            return answer;
        }
        self.changed = true;
        self.replaced = Some(Box::new(replaced));
        let mut joined = self.joined(n);
        joined.skip_assignment = was_leader && may_skip;
        if was_leader && !may_skip {
            // Told that it leads, an old client would divide anew and be refused. Told that another does, it
            // takes what it had.
            (joined.leader, joined.members) = (old, Vec::new());
        }
        Answer::Now(Ok(joined))
    }

    fn wait_for_join(&mut self, n: usize, join: Join, now_ms: i64) -> Answer<JoinReply> {
        self.members[n].update(join, now_ms);
        let answer = self.members[n].wait();
        self.rebalance(now_ms);
        answer
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

fn new_member_id(join: &Join) -> StrBytes {
    let prefix = join.instance_id.as_ref().unwrap_or(&join.client_id);
    StrBytes::from_string(format!("{}-{}", prefix.as_str(), Uuid::new_v4()))
}
