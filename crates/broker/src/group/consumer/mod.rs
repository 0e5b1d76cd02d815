//! The consumer group protocol of KIP-848: members only beat, and the broker says what each shall read.
//!
//! A state machine that is handed requests, the topics there are, and the time. It owns no timer:
//! [`Consumer::tick`] says when it wants to be called again.
//!
//! Whatever changes what members shall read gives the group a new epoch. The next heartbeat of any member then
//! computes everyone's target, and every member walks towards its own at its own heartbeats ([`reconcile`]).

pub(crate) mod assignor;
#[cfg(test)]
mod convergence_tests;
pub(crate) mod member;
mod reconcile;
pub(crate) mod subscription;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use kafka_protocol::ResponseError;
use uuid::Uuid;

use crate::group::Denied;
use crate::group::consumer::assignor::{Assignor, Subscriber};
use crate::group::consumer::member::{AWAY, JOINING, LEAVING, Member};
use crate::group::consumer::subscription::{Catalog, Pattern};

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
}

/// Of whom there is news since it was last asked for.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    pub(crate) epochs: bool,
    pub(crate) members: BTreeSet<String>,
}

impl Consumer {
    /// A member as it was before a restart.
    pub(crate) fn restore(&mut self, member: Member) {
        self.forget(&member.id);
        self.members.insert(member.id.clone(), member);
    }

    /// All members are restored, and their sessions begin now.
    pub(crate) fn go_on(&mut self, now_ms: i64, session_ms: i64) {
        for member in self.members.values_mut() {
            member.expires_ms = now_ms + session_ms;
            let until_ms = now_ms + i64::from(member.rebalance_timeout_ms);
            member.revoked_by_ms = (!member.revoking.is_empty()).then_some(until_ms);
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
        if self.members.len() >= limits.max_size && !self.members.contains_key(&beat.member_id) {
            let message = format!(
                "The consumer group has reached its maximum capacity of {} members.",
                limits.max_size
            );
            return Err(Denied::new(ResponseError::GroupMaxSizeReached, message));
        }
        let mut member = self.admit(beat)?;
        let before = member.clone();
        let known = self.members.contains_key(&member.id);
        update(&mut member, beat);
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
        if self.epoch > self.assignment_epoch {
            self.set_targets();
        }
        let (held, epoch) = (&mut self.held, self.assignment_epoch);
        let Some(member) = self.members.get_mut(&id) else {
            return Err(Denied::unknown_member(&id));
        };
        let (was_at, was_in, had) = (member.epoch, member.progress, member.assigned.clone());
        let holding: Vec<(Uuid, i32)> = member.held().collect();
        reconcile::step(member, epoch, beat.owned.as_ref(), |topic, partition| {
            held.contains(&(topic, partition))
        });
        if (was_at, was_in) != (member.epoch, member.progress) || had != member.assigned {
            for place in &holding {
                held.remove(place);
            }
            held.extend(member.held());
            let until_ms = now_ms + i64::from(member.rebalance_timeout_ms);
            member.revoked_by_ms = (!member.revoking.is_empty()).then_some(until_ms);
        }
        let assignment_changed = before.assigned != member.assigned || !known;
        let answer = Beaten {
            member_epoch: member.epoch,
            assignment: (assignment_changed || beat.is_full()).then(|| member.assigned.clone()),
        };
        let differs =
            Member { expires_ms: before.expires_ms, revoked_by_ms: before.revoked_by_ms, ..member.clone() }
                != before;
        member.expires_ms = now_ms + limits.session_ms;
        if differs || !known {
            self.changed.members.insert(id);
        }
        Ok(answer)
    }

    /// A member leaves: for good, or, being static, for a while.
    pub(crate) fn leave(&mut self, id: &str, instance_id: Option<&str>, epoch: i32) -> Result<(), Denied> {
        match instance_id {
            None if self.members.contains_key(id) => {}
            None => return Err(Denied::unknown_member(id)),
            Some(instance_id) => drop(self.static_member(id, instance_id)?),
        }
        if epoch != AWAY {
            self.fence(id);
            return Ok(());
        }
        if let Some(member) = self.members.get_mut(id) {
            for place in member.held() {
                self.held.remove(&place);
            }
            member.epoch = AWAY;
            member.revoking.clear();
            self.held.extend(member.held());
            member.revoked_by_ms = None;
            self.changed.members.insert(id.to_owned());
        }
        Ok(())
    }

    /// An administrator removes a member, a static one by its instance alone if need be.
    pub(crate) fn remove(&mut self, id: &str, instance_id: Option<&str>) -> Result<(), Denied> {
        let id = match instance_id {
            Some(instance_id) if id.is_empty() => {
                self.holder(instance_id).map(|member| member.id.clone()).unwrap_or_default()
            }
            _ => id.to_owned(),
        };
        self.leave(&id, instance_id, LEAVING)
    }

    /// Removes members that were not heard of, or did not give back in time; returns when to look again.
    pub(crate) fn tick(&mut self, now_ms: i64) -> Option<i64> {
        let mut next_ms: Option<i64> = None;
        let mut late = Vec::new();
        for member in self.members.values() {
            let due_ms = member.revoked_by_ms.unwrap_or(i64::MAX).min(member.expires_ms);
            if due_ms > now_ms {
                next_ms = Some(next_ms.map_or(due_ms, |next_ms| next_ms.min(due_ms)));
                continue;
            }
            let reason = if member.expires_ms <= now_ms {
                "it was not heard of for its session timeout"
            } else {
                "it did not give its partitions back within its rebalance timeout"
            };
            tracing::info!(member = member.id, reason, "a member is removed from its consumer group");
            late.push(member.id.clone());
        }
        late.iter().for_each(|id| self.fence(id));
        next_ms
    }

    /// Whether offsets may be committed by a member, or by someone outside (with a negative epoch).
    pub(crate) fn may_commit(&self, id: &str, epoch: i32) -> Result<(), ResponseError> {
        if epoch < 0 && self.members.is_empty() {
            return Ok(());
        }
        self.may_fetch(id, epoch)
    }

    /// Whether this member is in this epoch.
    pub(crate) fn may_fetch(&self, id: &str, epoch: i32) -> Result<(), ResponseError> {
        let member = self.members.get(id).ok_or(ResponseError::UnknownMemberId)?;
        if member.epoch == epoch { Ok(()) } else { Err(ResponseError::StaleMemberEpoch) }
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
            && (beat.instance_id.is_none() || member.instance_id == beat.instance_id)
            && member.client_id == beat.client_id
            && member.client_host == beat.client_host;
        if !unchanged {
            return None;
        }
        member.expires_ms = now_ms + limits.session_ms;
        Some(Beaten { member_epoch: member.epoch, assignment: None })
    }

    /// Finds the member that a heartbeat comes from, or makes a new one, which is not among the members yet.
    fn admit(&mut self, beat: &Heartbeat) -> Result<Member, Denied> {
        let id = beat.member_id.as_str();
        let joins = beat.member_epoch == JOINING;
        let Some(instance_id) = beat.instance_id.as_deref() else {
            return match self.members.get(id) {
                Some(member) => check_epoch(member, beat).map(|()| member.clone()),
                None if joins => Ok(Member::new(id.to_owned())),
                None => Err(Denied::unknown_member(id)),
            };
        };
        if !joins {
            let member = self.static_member(id, instance_id)?;
            return check_epoch(member, beat).map(|()| member.clone());
        }
        let Some(old) = self.holder(instance_id) else {
            return Ok(self.members.get(id).cloned().unwrap_or_else(|| Member::new(id.to_owned())));
        };
        if old.epoch != AWAY {
            let message = format!(
                "Static member {id} with instance id {instance_id} cannot join the group because the instance id \
                 is owned by {} member.",
                old.id
            );
            return Err(Denied::new(ResponseError::UnreleasedInstanceId, message));
        }
        // It is back, and takes over what its predecessor had.
        let heir = Member { id: id.to_owned(), epoch: JOINING, previous_epoch: JOINING, ..old.clone() };
        let old_id = old.id.clone();
        self.forget(&old_id);
        self.changed.members.insert(old_id);
        self.held.extend(heir.held());
        self.changed.members.insert(heir.id.clone());
        self.members.insert(heir.id.clone(), heir.clone());
        Ok(heir)
    }

    fn holder(&self, instance_id: &str) -> Option<&Member> {
        self.members.values().find(|member| member.instance_id.as_deref() == Some(instance_id))
    }

    /// The static member of this name, if it has this id.
    fn static_member(&self, id: &str, instance_id: &str) -> Result<&Member, Denied> {
        let Some(member) = self.holder(instance_id) else {
            let message = format!("Instance id {instance_id} is unknown.");
            return Err(Denied::new(ResponseError::UnknownMemberId, message));
        };
        if member.id != id {
            let message = format!(
                "Static member {id} with instance id {instance_id} was fenced by member {}.",
                member.id
            );
            return Err(Denied::new(ResponseError::FencedInstanceId, message));
        }
        Ok(member)
    }

    fn fence(&mut self, id: &str) {
        self.forget(id);
        self.changed.members.insert(id.to_owned());
        self.bump_if(true);
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
}

/// Looks up which topics a member's subscription means now; whether they are others than before.
fn look_up(member: &mut Member, catalog: &impl Catalog) -> bool {
    let topics = member.subscription.resolve(catalog);
    let changed = topics != member.topics;
    member.topics = topics;
    changed
}

/// Whether the member may go on in the epoch that it believes to be in.
fn check_epoch(member: &Member, beat: &Heartbeat) -> Result<(), Denied> {
    let (given, known) = (beat.member_epoch, member.epoch);
    // Whoever joins has given everything up, so it does not matter where it was.
    if given == known || given == JOINING {
        return Ok(());
    }
    // The answer that brought the new epoch may have been lost.
    let lost = given < known
        && given == member.previous_epoch
        && beat.owned.as_ref().is_some_and(|owned| {
            owned.iter().all(|(topic, partitions)| {
                member.assigned.get(topic).is_some_and(|assigned| partitions.is_subset(assigned))
            })
        });
    if lost {
        return Ok(());
    }
    let compared = if given > known { "greater" } else { "smaller" };
    let message = format!(
        "The consumer group member has a {compared} member epoch ({given}) than the one known by the group \
         coordinator ({known}). The member must abandon all its partitions and rejoin."
    );
    Err(Denied::new(ResponseError::FencedMemberEpoch, message))
}
