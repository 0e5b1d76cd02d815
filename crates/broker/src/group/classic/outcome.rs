//! What becomes of a classic group once its news is written down, or cannot be; and how it becomes another kind of
//! group.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::protocol::StrBytes;

use crate::group::classic::member::{JoinRefused, Member};
use crate::group::classic::record::MemberRecord;
use crate::group::classic::{Classic, Phase};

/// A static member as it was before another took its place.
#[derive(Debug)]
pub(super) struct Replaced {
    pub(super) before: MemberRecord,
    /// The id of the other.
    pub(super) by: StrBytes,
}

impl Classic {
    /// The news is written down, so whoever waits for it is told. If it could not be, it has not happened: a static
    /// member has its old id, and members that were about to get their shares join again.
    pub(crate) fn written(&mut self, outcome: Result<(), ResponseError>, now_ms: i64) {
        let replaced = self.replaced.take().map(|replaced| *replaced);
        let divided = std::mem::take(&mut self.divided);
        // That nobody is left has happened all the same.
        self.changed |= outcome.is_err() && self.phase == Phase::Empty;
        if let (Err(_), Some(Replaced { before, by })) = (outcome, replaced)
            && let Some(n) = self.members.iter().position(|member| member.id == by)
        {
            let mut before = Member::from(before);
            if self.leader == by {
                self.leader = before.id.clone();
            }
            before.touch(now_ms);
            self.members[n] = before;
        }
        if !divided {
            return;
        }
        for n in 0..self.members.len() {
            if outcome.is_err() {
                self.members[n].assignment = Bytes::new();
            }
            let reply = outcome.map(|()| self.synced(n));
            self.members[n].answer_sync(reply);
        }
        if outcome.is_err() {
            self.rebalance(now_ms);
        }
    }

    /// The group becomes another kind of group, so whoever waits for the others shall join that.
    pub(crate) fn interrupt(&mut self) {
        let error = ResponseError::RebalanceInProgress;
        for member in &mut self.members {
            let member_id = member.id.clone();
            member.answer_join(Err(JoinRefused { error, member_id }));
            member.answer_sync(Err(error));
        }
    }

    /// A group that was another kind of group until now, whose members have what they shall have, or else have to
    /// join again.
    pub(crate) fn converted(
        generation: i32,
        protocol_type: &'static str,
        members: Vec<Member>,
        unsettled: bool,
        now_ms: i64,
    ) -> Self {
        let mut classic = Self {
            phase: Phase::Stable,
            generation,
            protocol_type: StrBytes::from_static_str(protocol_type),
            leader: members.first().map(|member| member.id.clone()).unwrap_or_default(),
            members,
            changed: true,
            unsettled,
            ..Self::default()
        };
        classic.protocol = classic.vote();
        classic.go_on(now_ms);
        classic
    }
}
