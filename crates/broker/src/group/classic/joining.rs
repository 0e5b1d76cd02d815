//! Who may join a classic group, and what becomes of those who do.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::protocol::StrBytes;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::group::classic::member::{Answer, JoinRefused, JoinReply, Member};
use crate::group::classic::outcome::Replaced;
use crate::group::classic::{Classic, Join, Phase, Rules};

/// How long a new member may wait for the others to join before it is told to try again: if its connection has
/// gone, nobody would notice otherwise.
const NEW_MEMBER_MS: i64 = 5 * 60 * 1_000;

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
}

fn new_member_id(join: &Join) -> StrBytes {
    let prefix = join.instance_id.as_ref().unwrap_or(&join.client_id);
    StrBytes::from_string(format!("{}-{}", prefix.as_str(), Uuid::new_v4()))
}
