//! The consumer group protocol of KIP-848: members only beat, and the broker says what each shall read.
//!
//! A state machine that is handed requests, the topics there are, and the time. It owns no timer:
//! [`Consumer::tick`] says when it wants to be called again.
//!
//! Whatever changes what members shall read gives the group a new epoch. The next heartbeat of any member then
//! computes everyone's target, and every member walks towards its own at its own heartbeats ([`reconcile`]).
//! Members that still speak the classic protocol walk when they join again ([`classic`]).

mod admission;
pub(crate) mod assignor;
mod classic;
#[cfg(test)]
mod classic_tests;
#[cfg(test)]
mod convergence_tests;
pub(crate) mod embedded;
pub(crate) mod member;
mod reconcile;
mod removal;
pub(crate) mod subscription;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use kafka_protocol::ResponseError;
use uuid::Uuid;

use crate::group::classic::Identity;
use crate::group::consumer::admission::check_epoch;
pub(crate) use crate::group::consumer::admission::new_member_id;
use crate::group::consumer::assignor::{Assignor, Subscriber};
use crate::group::consumer::member::{JOINING, Member};
use crate::group::consumer::subscription::{Catalog, Pattern};
use crate::group::offsets::Commits;
use crate::group::{Commit, Denied};

/// Partitions by topic. No topic is there without a partition.
pub(crate) type Partitions = BTreeMap<Uuid, BTreeSet<i32>>;

/// A member says that it is alive, and what has changed; what it leaves out is as before.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heartbeat {
    pub(crate) member_id: String,
    pub(crate) member_epoch: i32,
    pub(crate) instance_id: Option<String>,
    pub(crate) rack_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) rebalance_timeout_ms: Option<i32>,
    pub(crate) names: Option<BTreeSet<String>>,
    pub(crate) pattern: Option<Pattern>,
    pub(crate) assignor: Option<Assignor>,
    /// What it reads.
    pub(crate) owned: Option<Partitions>,
}

impl Heartbeat {
    /// Whether it says everything, so that it wants to be told everything.
    fn is_full(&self) -> bool {
        self.member_epoch == JOINING
            || (self.rebalance_timeout_ms.is_some()
                && (self.names.is_some() || self.pattern.is_some())
                && self.owned.is_some())
    }
}

/// What a member is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Beaten {
    pub(crate) member_epoch: i32,
    /// What it shall read from now on; `None` if that has not changed.
    pub(crate) assignment: Option<Partitions>,
}

/// What the settings of broker and group say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// After what silence a member is gone.
    pub(crate) session_ms: i64,
    /// Members that the group may have.
    pub(crate) max_size: usize,
}

/// A group of the new protocol.
#[derive(Debug, Default)]
pub(crate) struct Consumer {
    pub(crate) epoch: i32,
    /// The epoch that the targets were computed in.
    pub(crate) assignment_epoch: i32,
    members: BTreeMap<String, Member>,
    /// Partitions that somebody may be reading.
    held: HashSet<(Uuid, i32)>,
    /// The version of the catalog that subscriptions were last looked up in.
    seen: Option<u64>,
    /// What has to be written down.
    changed: Changed,
    /// Only members of the classic protocol are left, and the group shall be theirs.
    fallen_back: Option<FallBack>,
}

/// How a group becomes a classic one again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FallBack {
    /// Whether its members have to divide the partitions anew.
    pub(crate) rebalance: bool,
}

/// Of whom there is news since it was last asked for.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    pub(crate) epochs: bool,
    pub(crate) members: BTreeSet<String>,
}

impl Consumer {
    /// A group that was a classic one until now, in this generation. `seen` is the version of the catalog that its
    /// members have divided.
    pub(crate) fn converted(generation: i32, members: Vec<Member>, seen: Option<u64>) -> Self {
        let ids = members.iter().map(|member| member.id.clone()).collect();
        Self {
            epoch: generation,
            assignment_epoch: generation,
            held: members.iter().flat_map(Member::held).collect(),
            members: members.into_iter().map(|member| (member.id.clone(), member)).collect(),
            seen,
            changed: Changed { epochs: true, members: ids },
            ..Self::default()
        }
    }

    /// A member as it was before a restart.
    pub(crate) fn restore(&mut self, member: Member) {
        self.forget(&member.id);
        self.members.insert(member.id.clone(), member);
    }

    /// All members are restored, and their sessions begin now.
    pub(crate) fn go_on(&mut self, now_ms: i64, session_ms: i64) {
        for member in self.members.values_mut() {
            member.due.heard_ms = now_ms + member.session_ms(session_ms);
            member.must_give_back(now_ms);
        }
        self.held = self.members.values().flat_map(Member::held).collect();
    }

    /// A member beats, joins or comes back. The answer is about the member id in the request.
    pub(crate) fn heartbeat(
        &mut self,
        beat: &Heartbeat,
        catalog: &impl Catalog,
        limits: Limits,
        now_ms: i64,
    ) -> Result<Beaten, Denied> {
        if let Some(answer) = self.beat_only(beat, catalog, limits, now_ms) {
            return Ok(answer);
        }
        self.check_room(&beat.member_id, limits.max_size)?;
        let joins = beat.member_epoch == JOINING;
        let mut member = self.admit(&beat.member_id, beat.instance_id.as_deref(), joins, false)?;
        if !joins {
            check_epoch(&member, beat)?;
        }
        let before = member.clone();
        let (id, known) = (member.id.clone(), self.members.contains_key(&member.id));
        update(&mut member, beat);
        let subscribed_anew = self.take_in(member, &before, catalog);
        if self.epoch > self.assignment_epoch {
            self.set_targets();
        }
        self.walk(&id, subscribed_anew, beat.owned.as_ref(), now_ms);
        let Some(member) = self.members.get_mut(&id) else {
            return Err(Denied::unknown_member(&id));
        };
        let assignment_changed = before.assigned != member.assigned || !known;
        let answer = Beaten {
            member_epoch: member.epoch,
            assignment: (assignment_changed || beat.is_full()).then(|| member.assigned.clone()),
        };
        member.due.heard_ms = now_ms + limits.session_ms;
        if member.differs(&before) || !known {
            self.changed.members.insert(id);
        }
        Ok(answer)
    }

    /// Makes a member, or what is new about it, part of the group; whether it subscribes to something else now.
    fn take_in(&mut self, member: Member, before: &Member, catalog: &impl Catalog) -> bool {
        let subscribed_anew = member.subscription != before.subscription;
        // What Kafka begins with, so that a group that was just made can be told from one that is not there.
        self.bump_if(self.epoch == 0);
        let id = member.id.clone();
        self.members.insert(id.clone(), member);
        let version = catalog.version();
        if self.seen != Some(version) {
            self.seen = Some(version);
            let changed =
                self.members.values_mut().map(|member| look_up(member, catalog)).fold(false, |a, b| a | b);
            self.bump_if(changed || subscribed_anew);
        } else if subscribed_anew {
            self.members.get_mut(&id).map(|member| look_up(member, catalog));
            self.bump_if(true);
        }
        subscribed_anew
    }

    /// Takes a member a step on towards its target.
    fn walk(&mut self, id: &str, subscribed_anew: bool, owned: Option<&Partitions>, now_ms: i64) {
        let (held, epoch) = (&mut self.held, self.assignment_epoch);
        let Some(member) = self.members.get_mut(id) else { return };
        let was = (member.epoch, member.progress, member.assigned.clone(), member.revoking.clone());
        let holding: Vec<(Uuid, i32)> = member.held().collect();
        reconcile::step(member, epoch, subscribed_anew, owned, |topic, partition| {
            held.contains(&(topic, partition))
        });
        if was != (member.epoch, member.progress, member.assigned.clone(), member.revoking.clone()) {
            for place in &holding {
                held.remove(place);
            }
            held.extend(member.held());
            member.has_since(epoch);
            member.must_give_back(now_ms);
        }
    }

    /// Whether these offsets may be committed by a member, or by someone outside (with a negative epoch).
    pub(crate) fn may_commit(
        &self,
        who: &Identity,
        how: Commit,
        offsets: &Commits,
        catalog: &impl Catalog,
    ) -> Result<(), ResponseError> {
        let is_nobody = who.generation < 0 && who.member_id.is_empty() && who.instance_id.is_none();
        let outside = who.generation < 0 && self.members.is_empty();
        if outside || (how == Commit::InTransaction && is_nobody) {
            return Ok(());
        }
        let member = self.members.get(who.member_id.as_str()).ok_or(ResponseError::UnknownMemberId)?;
        if how == Commit::Old && member.classic.is_none() {
            // It would not understand that its epoch is stale.
            return Err(ResponseError::UnsupportedVersion);
        }
        if member.epoch == who.generation {
            return Ok(());
        }
        // It may not have heard of its new epoch yet. What it has had since before, it may go on committing.
        let had_already = |topic: &str, partition: &i32| {
            let (topic, _) = catalog.find(topic)?;
            Some(*member.since.get(&topic)?.get(partition)? <= who.generation)
        };
        let all = || offsets.iter().all(|(topic, partition, _)| had_already(topic, partition) == Some(true));
        if who.generation < member.epoch && all() { Ok(()) } else { Err(member.stale()) }
    }

    /// Whether this member is in this epoch.
    pub(crate) fn may_fetch(&self, id: &str, epoch: i32) -> Result<(), ResponseError> {
        let member = self.members.get(id).ok_or(ResponseError::UnknownMemberId)?;
        if member.epoch == epoch { Ok(()) } else { Err(member.stale()) }
    }

    /// Kafka's name of the state.
    pub(crate) fn state(&self) -> &'static str {
        if self.members.is_empty() {
            "Empty"
        } else if self.epoch > self.assignment_epoch {
            "Assigning"
        } else if self.members.values().any(|member| !member.is_settled(self.assignment_epoch)) {
            "Reconciling"
        } else {
            "Stable"
        }
    }

    /// The assignor that most members ask for.
    pub(crate) fn assignor(&self) -> Assignor {
        let votes = |wanted: &Assignor| {
            self.members.values().filter(|member| member.assignor == Some(*wanted)).count()
        };
        // The last of several greatest ones is taken, and that shall be the default.
        Assignor::ALL.into_iter().rev().max_by_key(votes).unwrap_or(Assignor::Uniform)
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    pub(crate) fn member(&self, id: &str) -> Option<&Member> {
        self.members.get(id)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether a member reads this topic, or would if it were there.
    pub(crate) fn is_subscribed(&self, topic: &str) -> bool {
        self.members.values().any(|member| {
            let subscription = &member.subscription;
            subscription.names.contains(topic) || subscription.pattern.matches(topic)
        })
    }

    /// Whether the group has to become a classic one, since this was last asked.
    pub(crate) fn take_fallen_back(&mut self) -> Option<FallBack> {
        self.fallen_back.take()
    }

    /// What has changed since this was last asked.
    pub(crate) fn take_changed(&mut self) -> Changed {
        std::mem::take(&mut self.changed)
    }

    /// Forgets a member as if it had never been there.
    pub(crate) fn forget(&mut self, id: &str) {
        if let Some(member) = self.members.remove(id) {
            for place in member.held() {
                self.held.remove(&place);
            }
        }
    }

    /// The answer to a heartbeat that brings no news and need not be told any, which nearly all are.
    fn beat_only(
        &mut self,
        beat: &Heartbeat,
        catalog: &impl Catalog,
        limits: Limits,
        now_ms: i64,
    ) -> Option<Beaten> {
        let nothing_new = self.seen == Some(catalog.version()) && self.epoch == self.assignment_epoch;
        let says_nothing = beat.member_epoch != JOINING
            && beat.rack_id.is_none()
            && beat.rebalance_timeout_ms.is_none()
            && beat.names.is_none()
            && beat.pattern.is_none()
            && beat.assignor.is_none();
        if !nothing_new || !says_nothing {
            return None;
        }
        let member = self.members.get_mut(&beat.member_id)?;
        let unchanged = member.epoch == beat.member_epoch
            && member.is_settled(self.assignment_epoch)
            && member.classic.is_none()
            && (beat.instance_id.is_none() || member.instance_id == beat.instance_id)
            && member.client_id == beat.client_id
            && member.client_host == beat.client_host;
        if !unchanged {
            return None;
        }
        member.due.heard_ms = now_ms + limits.session_ms;
        Some(Beaten { member_epoch: member.epoch, assignment: None })
    }

    fn bump_if(&mut self, needed: bool) {
        if needed {
            self.epoch += 1;
            self.changed.epochs = true;
        }
    }

    /// Computes what everyone shall have.
    fn set_targets(&mut self) {
        let mut topics: BTreeMap<Uuid, i32> = BTreeMap::new();
        for member in self.members.values() {
            topics.extend(&member.topics);
        }
        let wanted: Vec<BTreeSet<Uuid>> =
            self.members.values().map(|member| member.topics.keys().copied().collect()).collect();
        let subscriber = |(member, topics)| {
            let member: &Member = member;
            Subscriber {
                member_id: &member.id,
                instance_id: member.instance_id.as_deref(),
                topics,
                previous: &member.target,
            }
        };
        let subscribers: Vec<Subscriber<'_>> = self.members.values().zip(&wanted).map(subscriber).collect();
        let targets = self.assignor().assign(&subscribers, &topics);
        for (member, target) in self.members.values_mut().zip(targets) {
            if member.target != target {
                member.target = target;
                self.changed.members.insert(member.id.clone());
            }
        }
        self.assignment_epoch = self.epoch;
        self.changed.epochs = true;
    }
}

/// Takes over what the heartbeat says of the member.
fn update(member: &mut Member, beat: &Heartbeat) {
    if beat.instance_id.is_some() {
        member.instance_id.clone_from(&beat.instance_id);
    }
    if beat.rack_id.is_some() {
        member.rack_id.clone_from(&beat.rack_id);
    }
    if let Some(timeout_ms) = beat.rebalance_timeout_ms {
        member.rebalance_timeout_ms = timeout_ms;
    }
    member.assignor = beat.assignor.or(member.assignor);
    if let Some(names) = &beat.names {
        member.subscription.names.clone_from(names);
    }
    if let Some(pattern) = &beat.pattern {
        member.subscription.pattern.clone_from(pattern);
    }
    member.client_id.clone_from(&beat.client_id);
    member.client_host.clone_from(&beat.client_host);
    member.classic = None;
    (member.due.joined_ms, member.due.synced_ms) = (None, None);
}

/// Looks up which topics a member's subscription means now; whether they are others than before.
fn look_up(member: &mut Member, catalog: &impl Catalog) -> bool {
    let topics = member.subscription.resolve(catalog);
    let changed = topics != member.topics;
    member.topics = topics;
    changed
}
