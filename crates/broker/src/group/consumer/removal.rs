//! How members go: by themselves, by an administrator, or because they did not do in time what they had to.

use crate::group::Denied;
use crate::group::consumer::member::{AWAY, Member};
use crate::group::consumer::{Consumer, FallBack};

impl Consumer {
    /// A member leaves: for good, or, being static, for a while. `downgrade` is how many members a classic group may
    /// have, if this one may become one.
    pub(crate) fn leave(
        &mut self,
        id: &str,
        instance_id: Option<&str>,
        epoch: i32,
        downgrade: Option<usize>,
    ) -> Result<(), Denied> {
        match instance_id {
            None if self.members.contains_key(id) => {}
            None => return Err(Denied::unknown_member(id)),
            Some(instance_id) => drop(self.static_member(id, instance_id)?),
        }
        if epoch != AWAY {
            self.fence(&[id.to_owned()], downgrade);
            return Ok(());
        }
        if let Some(member) = self.members.get_mut(id) {
            for place in member.held() {
                self.held.remove(&place);
            }
            member.epoch = AWAY;
            member.revoking.clear();
            member.since.clear();
            member.has_since(0);
            self.held.extend(member.held());
            member.due.revoked_ms = None;
            self.changed.members.insert(id.to_owned());
        }
        Ok(())
    }

    /// An administrator removes members, static ones by their instances alone if need be. Members of the classic
    /// protocol leave in the same way.
    pub(crate) fn remove(
        &mut self,
        members: &[(&str, Option<&str>)],
        downgrade: Option<usize>,
    ) -> Vec<Result<(), Denied>> {
        let find = |&(id, instance_id): &(&str, Option<&str>)| match instance_id {
            None => self.members.get(id).ok_or_else(|| Denied::unknown_member(id)),
            Some(instance_id) => match self.holder(instance_id) {
                Some(holder) if id.is_empty() => Ok(holder),
                _ => self.static_member(id, instance_id),
            },
        };
        let found: Vec<Result<String, Denied>> =
            members.iter().map(|member| find(member).map(|member| member.id.clone())).collect();
        let ids: Vec<String> = found.iter().flatten().cloned().collect();
        if !ids.is_empty() {
            self.fence(&ids, downgrade);
        }
        found.into_iter().map(|found| found.map(drop)).collect()
    }

    /// Removes members that were not heard of, or did not do in time what they had to; returns when to look again.
    pub(crate) fn tick(&mut self, now_ms: i64, downgrade: Option<usize>) -> Option<i64> {
        let mut next_ms: Option<i64> = None;
        let mut late = Vec::new();
        for member in self.members.values() {
            let (due_ms, reason) = member.due.first();
            if due_ms > now_ms {
                next_ms = Some(next_ms.map_or(due_ms, |next_ms| next_ms.min(due_ms)));
                continue;
            }
            tracing::info!(member = member.id, reason, "a member is removed from its consumer group");
            late.push(member.id.clone());
        }
        if !late.is_empty() {
            self.fence(&late, downgrade);
        }
        next_ms
    }

    /// Removes members. If none is left that speaks the new protocol, the group may become a classic one.
    fn fence(&mut self, ids: &[String], downgrade: Option<usize>) {
        let stays = |member: &Member| !ids.contains(&member.id);
        let falls_back = self.would_fall_back(downgrade, stays, 0);
        for id in ids {
            self.forget(id);
            self.changed.members.insert(id.clone());
        }
        if falls_back {
            self.fallen_back = Some(FallBack { rebalance: true });
        } else {
            self.bump_if(true);
        }
    }

    /// Whether those who stay, with so many of the classic protocol who come, could form a classic group.
    pub(super) fn would_fall_back(
        &self,
        downgrade: Option<usize>,
        stays: impl Fn(&Member) -> bool,
        come: usize,
    ) -> bool {
        let mut staying = self.members.values().filter(|member| stays(member));
        let size = staying.clone().count() + come;
        size > 0
            && downgrade.is_some_and(|max_size| size <= max_size)
            && staying.all(|member| member.classic.is_some())
    }
}
