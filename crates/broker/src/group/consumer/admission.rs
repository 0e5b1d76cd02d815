//! Who may be in a consumer group, and who takes over from whom.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kafka_protocol::ResponseError;
use uuid::Uuid;

use crate::group::Denied;
use crate::group::consumer::member::{AWAY, JOINING, Member};
use crate::group::consumer::{Consumer, Heartbeat};

impl Consumer {
    /// Whether there is room for this member.
    pub(super) fn check_room(&self, id: &str, max_size: usize) -> Result<(), Denied> {
        if self.members.len() < max_size || self.members.contains_key(id) {
            return Ok(());
        }
        let message = format!("The consumer group has reached its maximum capacity of {max_size} members.");
        Err(Denied::new(ResponseError::GroupMaxSizeReached, message))
    }

    /// Finds the member that a request comes from, or, if it joins, makes a new one, which is not among the members
    /// yet. A static member takes over what its predecessor had. In the new protocol that must have left first; when
    /// one of the two speaks the classic protocol it need not, as it is there.
    pub(super) fn admit(
        &mut self,
        id: &str,
        instance_id: Option<&str>,
        joins: bool,
        classic: bool,
    ) -> Result<Member, Denied> {
        let Some(instance_id) = instance_id else {
            return match self.members.get(id) {
                Some(member) => Ok(member.clone()),
                None if joins => Ok(Member::new(id.to_owned())),
                None => Err(Denied::unknown_member(id)),
            };
        };
        if !joins {
            return self.static_member(id, instance_id).cloned();
        }
        let Some(old) = self.holder(instance_id) else {
            return Ok(self.members.get(id).cloned().unwrap_or_else(|| Member::new(id.to_owned())));
        };
        if !classic && old.classic.is_none() && old.epoch != AWAY {
            let message = format!(
                "Static member {id} with instance id {instance_id} cannot join the group because the instance id \
                 is owned by {} member.",
                old.id
            );
            return Err(Denied::new(ResponseError::UnreleasedInstanceId, message));
        }
        let heir = Member { id: id.to_owned(), epoch: JOINING, previous_epoch: JOINING, ..old.clone() };
        let old_id = old.id.clone();
        self.forget(&old_id);
        self.changed.members.insert(old_id);
        self.held.extend(heir.held());
        self.changed.members.insert(heir.id.clone());
        self.members.insert(heir.id.clone(), heir.clone());
        Ok(heir)
    }

    pub(super) fn holder(&self, instance_id: &str) -> Option<&Member> {
        self.members.values().find(|member| member.instance_id.as_deref() == Some(instance_id))
    }

    /// The static member of this name, if it has this id.
    pub(super) fn static_member(&self, id: &str, instance_id: &str) -> Result<&Member, Denied> {
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
}

/// The id of a member that did not make one for itself.
pub(crate) fn new_member_id() -> String {
    URL_SAFE_NO_PAD.encode(Uuid::new_v4().as_bytes())
}

/// Whether the member may go on in the epoch that it believes to be in.
pub(super) fn check_epoch(member: &Member, beat: &Heartbeat) -> Result<(), Denied> {
    let (given, known) = (beat.member_epoch, member.epoch);
    if given == known {
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
