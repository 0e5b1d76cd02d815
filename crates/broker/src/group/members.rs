//! What members of both protocols ask of a group, whichever kind of group it is.
//!
//! Every change is written down before anyone is told of it. If that fails, it has not happened.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::protocol::StrBytes;

use crate::group::classic::member::{Answer, JoinRefused, JoinReply, SyncReply};
use crate::group::classic::{Identity, Join, Rules};
use crate::group::consumer::member::JOINING;
use crate::group::consumer::subscription::Catalog;
use crate::group::consumer::{Beaten, Consumer, Heartbeat, Limits};
use crate::group::events::news;
use crate::group::groups::{Groups, Inner};
use crate::group::migration::{self, Policy};
use crate::group::{Denied, Group, Members};
use crate::state::State;

/// How soon to look again at a group that could not be written down.
const RETRY_MS: i64 = 1_000;

impl Groups {
    /// A member of the classic protocol joins.
    pub(crate) fn join(&self, id: &str, state: &State, join: Join, rules: &Rules) -> Answer<JoinReply> {
        let (now_ms, member_id) = (state.clock.now_ms(), join.member_id.clone());
        let refuse = |error| Answer::Now(Err(JoinRefused { error, member_id: member_id.clone() }));
        if !rules.session_ms.contains(&join.session_timeout_ms) {
            return refuse(ResponseError::InvalidSessionTimeout);
        }
        let mut inner = self.lock();
        if member_id.is_empty() {
            inner.by_id.entry(id.to_owned()).or_default();
        }
        let Some(group) = inner.by_id.get_mut(id) else {
            return refuse(ResponseError::UnknownMemberId);
        };
        if let Members::Consumer(consumer) = &group.members
            && consumer.is_empty()
        {
            group.members = Members::default();
        }
        let answer = match &mut group.members {
            Members::Classic(classic) => classic.join(join, rules, now_ms),
            Members::Consumer(consumer) => {
                let broker = state.settings.broker();
                let (max_size, downgrade) = (broker.consumer_group_max_size, Policy::of(&broker).downgrade);
                Answer::Now(consumer.join_classic(join, &state.topics, max_size, downgrade, now_ms))
            }
        };
        match inner.settle(id, state, now_ms) {
            Ok(()) => answer,
            // Whoever waits for the others is not concerned yet.
            Err(_) if matches!(answer, Answer::Later(_)) => answer,
            Err(error) => Answer::Now(Err(JoinRefused { error, member_id: StrBytes::new() })),
        }
    }

    /// A member of the classic protocol asks for its share, or brings everyone's.
    pub(crate) fn sync(
        &self,
        id: &str,
        state: &State,
        who: &Identity,
        protocol: (Option<StrBytes>, Option<StrBytes>),
        assignments: BTreeMap<StrBytes, Bytes>,
    ) -> Answer<SyncReply> {
        let synced = self.change(id, state, |group, now_ms| match &mut group.members {
            Members::Classic(classic) => classic.sync(who, protocol, assignments, now_ms),
            Members::Consumer(consumer) => {
                Answer::Now(consumer.sync_classic(who, protocol, &state.topics, now_ms))
            }
        });
        synced.unwrap_or_else(|error| Answer::Now(Err(error)))
    }

    /// A member of the classic protocol is alive.
    pub(crate) fn beat(&self, id: &str, state: &State, who: &Identity) -> Result<(), ResponseError> {
        self.change(id, state, |group, now_ms| match &mut group.members {
            Members::Classic(classic) => classic.heartbeat(who, now_ms),
            Members::Consumer(consumer) => consumer.beat_classic(who, now_ms),
        })?
    }

    /// Members of the classic protocol go, or someone removes members of any group. They are named by id, by instance,
    /// or both.
    pub(crate) fn leave(
        &self,
        id: &str,
        state: &State,
        members: &[(StrBytes, Option<StrBytes>)],
    ) -> Vec<Result<(), ResponseError>> {
        let downgrade = Policy::of(&state.settings.broker()).downgrade;
        let left = self.change(id, state, |group, now_ms| match &mut group.members {
            Members::Classic(classic) => {
                let leave = |(member_id, instance_id): &(StrBytes, Option<StrBytes>)| {
                    classic.leave(member_id, instance_id.as_ref(), now_ms)
                };
                members.iter().map(leave).collect()
            }
            Members::Consumer(consumer) => {
                let named: Vec<_> =
                    members.iter().map(|(id, instance)| (&**id, instance.as_deref())).collect();
                let left = consumer.remove(&named, downgrade).into_iter();
                left.map(|left| left.map_err(|denied| denied.error)).collect()
            }
        });
        left.unwrap_or_else(|error| vec![Err(error); members.len()])
    }

    /// A member of the new protocol joins or beats. The first one in a classic group of consumers makes it one of
    /// the new kind.
    pub(crate) fn beat_consumer(
        &self,
        id: &str,
        state: &State,
        beat: &Heartbeat,
        limits: Limits,
    ) -> Result<Beaten, Denied> {
        let (now_ms, joins) = (state.clock.now_ms(), beat.member_epoch == JOINING);
        let mut inner = self.lock();
        let is_new = !inner.by_id.contains_key(id);
        let group = match inner.by_id.get_mut(id) {
            Some(group) => group,
            None if joins => inner.by_id.entry(id.to_owned()).or_default(),
            None => return Err(Denied::no_group(id)),
        };
        let mut was = None;
        if let Members::Classic(classic) = &group.members {
            let changed = if !joins {
                Err(Denied::no_consumer_group(id))
            } else if group.members.is_free() {
                Ok(Consumer::default())
            } else {
                migration::upgrade(id, classic, Policy::of(&state.settings.broker()), &state.topics, now_ms)
            };
            was = Some(std::mem::replace(&mut group.members, Members::Consumer(changed?)));
        }
        let Members::Consumer(consumer) = &mut group.members else {
            return Err(Denied::no_consumer_group(id));
        };
        let beaten = consumer.heartbeat(beat, &state.topics, limits, now_ms);
        let beaten = beaten.map_err(|denied| denied.of_group(id));
        if beaten.is_err()
            && let Some(was) = was.take()
        {
            group.members = was;
        }
        let beaten = match inner.settle_or_undo(id, state, now_ms, &mut was) {
            Ok(()) => {
                if let Some(Members::Classic(mut classic)) = was {
                    classic.interrupt();
                }
                beaten
            }
            Err(error) => Err(Denied::unwritten(error)),
        };
        if is_new && beaten.is_err() {
            inner.by_id.remove(id);
        }
        beaten
    }

    /// A member of the new protocol goes.
    pub(crate) fn leave_consumer(
        &self,
        id: &str,
        state: &State,
        member_id: &str,
        instance_id: Option<&str>,
        epoch: i32,
    ) -> Result<(), Denied> {
        let downgrade = Policy::of(&state.settings.broker()).downgrade;
        let left = self.change(id, state, |group, _| match &mut group.members {
            Members::Consumer(consumer) => {
                let left = consumer.leave(member_id, instance_id, epoch, downgrade);
                left.map_err(|denied| denied.of_group(id))
            }
            Members::Classic(_) => Err(Denied::no_consumer_group(id)),
        });
        match left {
            Ok(left) => left,
            Err(ResponseError::UnknownMemberId) => Err(Denied::no_group(id)),
            Err(error) => Err(Denied::unwritten(error)),
        }
    }

    /// Lets something happen to a group that is there; without it nobody is a member.
    fn change<T>(
        &self,
        id: &str,
        state: &State,
        act: impl FnOnce(&mut Group, i64) -> T,
    ) -> Result<T, ResponseError> {
        let now_ms = state.clock.now_ms();
        let mut inner = self.lock();
        let group = inner.by_id.get_mut(id).ok_or(ResponseError::UnknownMemberId)?;
        let result = act(group, now_ms);
        inner.settle(id, state, now_ms).map(|()| result)
    }
}

impl Inner {
    /// Draws the consequences of what has happened to a group, and writes it down.
    fn settle(&mut self, id: &str, state: &State, now_ms: i64) -> Result<(), ResponseError> {
        self.settle_or_undo(id, state, now_ms, &mut None)
    }

    /// The same; `was` is what its members were, if they have become another kind.
    fn settle_or_undo(
        &mut self,
        id: &str,
        state: &State,
        now_ms: i64,
        was: &mut Option<Members>,
    ) -> Result<(), ResponseError> {
        let Some(group) = self.by_id.get_mut(id) else { return Ok(()) };
        let downgrade = Policy::of(&state.settings.broker()).downgrade;
        let ticked = group.tick(&state.topics, now_ms, downgrade);
        if let Some(next_ms) = ticked.next_ms {
            state.alarm.by(next_ms);
        }
        let news = news(id, group);
        let written = self.write_down(&news);
        match was.take() {
            Some(before) if written.is_err() => {
                if let Some(group) = self.by_id.get_mut(id) {
                    group.members = before;
                }
            }
            before => {
                self.written(id, state, written, ticked.fell_back, now_ms);
                *was = before;
            }
        }
        written
    }

    /// A group's news is written down, or could not be.
    fn written(
        &mut self,
        id: &str,
        state: &State,
        outcome: Result<(), ResponseError>,
        fell_back: bool,
        now_ms: i64,
    ) {
        match self.by_id.get_mut(id).map(|group| &mut group.members) {
            Some(Members::Classic(classic)) if !fell_back || outcome.is_ok() => {
                classic.written(outcome, now_ms);
            }
            Some(_) if outcome.is_err() => self.restore(state, id, now_ms),
            _ => {}
        }
        if outcome.is_err() {
            // Members have other times to keep now, and what is left to write down may find room.
            state.alarm.by(now_ms + RETRY_MS);
        }
    }

    /// Ends what is overdue in all groups; returns when the next is.
    pub(super) fn tick(&mut self, state: &State, now_ms: i64) -> Option<i64> {
        let downgrade = Policy::of(&state.settings.broker()).downgrade;
        let mut next_ms: Option<i64> = None;
        let mut changed = Vec::new();
        for (id, group) in &mut self.by_id {
            let ticked = group.tick(&state.topics, now_ms, downgrade);
            next_ms = next_ms.into_iter().chain(ticked.next_ms).min();
            let news = news(id, group);
            if !news.is_empty() {
                changed.push((id.clone(), news, ticked.fell_back));
            }
        }
        for (id, news, fell_back) in changed {
            let outcome = self.write_down(&news);
            self.written(&id, state, outcome, fell_back, now_ms);
        }
        next_ms
    }
}

/// What has become of a group as time went on.
struct Ticked {
    /// When to look again.
    next_ms: Option<i64>,
    /// It was a consumer group, and is a classic one now.
    fell_back: bool,
}

impl Group {
    /// Removes members that are overdue. A consumer group that has none left of the new protocol becomes a classic
    /// one, whether they have gone now or before.
    fn tick(&mut self, catalog: &impl Catalog, now_ms: i64, downgrade: Option<usize>) -> Ticked {
        let mut fell_back = false;
        let next_ms = match &mut self.members {
            Members::Classic(classic) => classic.tick(now_ms),
            Members::Consumer(consumer) => {
                let next_ms = consumer.tick(now_ms, downgrade);
                match consumer.take_fallen_back() {
                    None => next_ms,
                    Some(how) => {
                        fell_back = true;
                        let mut classic = migration::downgrade(consumer, how.rebalance, catalog, now_ms);
                        let next_ms = classic.tick(now_ms);
                        self.members = Members::Classic(classic);
                        next_ms
                    }
                }
            }
        };
        Ticked { next_ms, fell_back }
    }
}
