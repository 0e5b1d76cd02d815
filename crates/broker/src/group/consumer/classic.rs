//! Members of a consumer group that still speak the classic protocol.
//!
//! They join, sync and beat as ever, but nobody of them leads: the broker divides. A member whose target has changed
//! is told at its next heartbeat to join again. In doing so it says what it reads, and walks a step like any other
//! member at its heartbeat; its generation is its epoch. It is told at once, since there is nobody to wait for.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::protocol::StrBytes;

use crate::group::classic::member::{JoinRefused, JoinReply, Joined, SyncReply, Synced};
use crate::group::classic::record::Blob;
use crate::group::classic::{Identity, Join};
use crate::group::consumer::embedded::{self, CONSUMER};
use crate::group::consumer::member::{Classic, Member, Progress};
use crate::group::consumer::subscription::{Catalog, Pattern, Subscription};
use crate::group::consumer::{Consumer, FallBack, new_member_id};

impl Consumer {
    /// A member of the classic protocol joins, or joins again. `downgrade` is how many members a classic group may
    /// have, if this one may become one.
    pub(crate) fn join_classic(
        &mut self,
        join: Join,
        catalog: &impl Catalog,
        max_size: usize,
        downgrade: Option<usize>,
        now_ms: i64,
    ) -> JoinReply {
        let is_new = join.member_id.is_empty();
        let id = if is_new { new_member_id() } else { join.member_id.to_string() };
        let refuse = |error, id: &str| JoinRefused { error, member_id: StrBytes::from_string(id.to_owned()) };
        self.check_room(&id, max_size).map_err(|denied| refuse(denied.error, ""))?;
        if !self.fits(&join) {
            return Err(refuse(ResponseError::InconsistentGroupProtocol, &join.member_id));
        }
        if is_new && join.two_steps && join.instance_id.is_none() {
            return Err(refuse(ResponseError::MemberIdRequired, &id));
        }
        let subscribed = join.protocols.first().and_then(|(_, bytes)| embedded::subscription(bytes, catalog));
        let subscribed = subscribed.ok_or_else(|| refuse(ResponseError::UnknownServerError, ""))?;
        let instance_id = join.instance_id.as_deref();
        // A member of the new protocol, the last one, may be taken over from by one of the classic protocol.
        let replaces = instance_id.is_some_and(|instance_id| self.holder(instance_id).is_some());
        let stays = |member: &Member| member.instance_id.as_deref() != instance_id;
        let falls_back = replaces && self.would_fall_back(downgrade, stays, 1);
        let mut member = self
            .admit(&id, instance_id, is_new || instance_id.is_none(), true)
            .map_err(|denied| refuse(denied.error, &join.member_id))?;
        let before = member.clone();
        let owned = subscribed.owned;
        member.subscription = Subscription { names: subscribed.topics, pattern: Pattern::default() };
        member.rack_id = subscribed.rack_id.or(member.rack_id);
        update(&mut member, join);
        let subscribed_anew = self.take_in(member, &before, catalog);
        if self.epoch > self.assignment_epoch && !falls_back {
            self.set_targets();
        }
        let rebalance = self.epoch > self.assignment_epoch;
        if !rebalance {
            self.walk(&id, subscribed_anew, Some(&owned), now_ms);
        }
        if falls_back {
            self.fallen_back = Some(FallBack { rebalance });
        }
        let Some(member) = self.members.get_mut(&id) else {
            return Err(refuse(ResponseError::UnknownMemberId, &id));
        };
        let session_ms = member.session_ms(0);
        member.due.heard_ms = now_ms + session_ms;
        member.due.joined_ms = None;
        member.due.synced_ms = Some(now_ms + i64::from(member.rebalance_timeout_ms));
        self.changed.members.insert(id.clone());
        let protocol = member.classic.as_ref().map(Classic::protocol).unwrap_or_default();
        Ok(Joined {
            generation: member.epoch,
            protocol_type: StrBytes::from_static_str(CONSUMER),
            protocol: StrBytes::from_string(protocol.to_owned()),
            leader: StrBytes::new(),
            member_id: StrBytes::from_string(id),
            members: Vec::new(),
            skip_assignment: false,
        })
    }

    /// A member of the classic protocol asks for its share.
    pub(crate) fn sync_classic(
        &mut self,
        who: &Identity,
        protocol: (Option<StrBytes>, Option<StrBytes>),
        catalog: &impl Catalog,
        now_ms: i64,
    ) -> SyncReply {
        let epoch = self.assignment_epoch;
        let member = self.classic_member(who)?;
        let classic = member.classic.clone().ok_or(ResponseError::UnknownMemberId)?;
        let differs =
            |given: &Option<StrBytes>, ours: &str| given.as_deref().is_some_and(|given| given != ours);
        if differs(&protocol.0, CONSUMER) || differs(&protocol.1, classic.protocol()) {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        // Whoever has to give something back first has been told what it may keep.
        if epoch > member.epoch && member.progress != Progress::Unrevoked {
            member.must_join(now_ms);
            return Err(ResponseError::RebalanceInProgress);
        }
        member.due.synced_ms = None;
        member.due.heard_ms = now_ms + classic.session_timeout_ms;
        Ok(Synced {
            protocol_type: protocol.0.unwrap_or_default(),
            protocol: protocol.1.unwrap_or_default(),
            assignment: embedded::encode_assignment(&member.assigned, &classic.metadata(), catalog),
        })
    }

    /// A member of the classic protocol is alive. It has to join again when its target has changed, when it has
    /// given back what it had to, and when it can have what others had to give back first.
    pub(crate) fn beat_classic(&mut self, who: &Identity, now_ms: i64) -> Result<(), ResponseError> {
        let epoch = self.assignment_epoch;
        let id = self.classic_member(who)?.id.clone();
        let waits = self.members.get(&id).is_some_and(|member| self.waits_for_others(member));
        let member = self.classic_member(who)?;
        member.due.heard_ms = now_ms + member.session_ms(0);
        let has_to_join = member.epoch < epoch
            || match member.progress {
                Progress::Stable => false,
                Progress::Unrevoked => true,
                Progress::Unreleased => !waits,
            };
        if has_to_join {
            member.must_join(now_ms);
            return Err(ResponseError::RebalanceInProgress);
        }
        Ok(())
    }

    /// The member of the classic protocol that says something in its present generation.
    fn classic_member(&mut self, who: &Identity) -> Result<&mut Member, ResponseError> {
        if let Some(instance_id) = &who.instance_id {
            self.static_member(&who.member_id, instance_id).map_err(|denied| denied.error)?;
        }
        let member = self.members.get_mut(who.member_id.as_str()).ok_or(ResponseError::UnknownMemberId)?;
        if member.classic.is_none() {
            return Err(ResponseError::UnknownMemberId);
        }
        if member.epoch == who.generation { Ok(member) } else { Err(ResponseError::IllegalGeneration) }
    }

    /// Whether something that it shall have is still with others.
    fn waits_for_others(&self, member: &Member) -> bool {
        member.target.iter().any(|(topic, partitions)| {
            let assigned = member.assigned.get(topic);
            partitions.iter().any(|partition| {
                !assigned.is_some_and(|assigned| assigned.contains(partition))
                    && self.held.contains(&(*topic, *partition))
            })
        })
    }

    /// Whether there is a protocol that this member and all others of the classic protocol have.
    fn fits(&self, join: &Join) -> bool {
        let supported = |name: &str| {
            self.members
                .values()
                .filter_map(|member| member.classic.as_ref())
                .all(|classic| classic.supports(name))
        };
        join.protocol_type.as_str() == CONSUMER && join.protocols.iter().any(|(name, _)| supported(name))
    }
}

impl Member {
    /// From when it is told to join again it has its rebalance timeout to do so.
    fn must_join(&mut self, now_ms: i64) {
        let by_ms = now_ms + i64::from(self.rebalance_timeout_ms);
        self.due.joined_ms.get_or_insert(by_ms);
    }
}

/// Takes over what a join says of the member.
fn update(member: &mut Member, join: Join) {
    let text = |text: &StrBytes| text.to_string();
    if join.instance_id.is_some() {
        member.instance_id = join.instance_id.as_ref().map(text);
    }
    member.rebalance_timeout_ms = i32::try_from(join.rebalance_timeout_ms).unwrap_or(i32::MAX);
    member.client_id = text(&join.client_id);
    member.client_host = text(&join.client_host);
    let protocol = |(name, metadata): (StrBytes, Bytes)| (name.to_string(), Blob(metadata));
    member.classic = Some(Classic {
        session_timeout_ms: join.session_timeout_ms,
        protocols: join.protocols.into_iter().map(protocol).collect(),
    });
    member.due.revoked_ms = None;
}
