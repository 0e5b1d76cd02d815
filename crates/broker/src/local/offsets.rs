//! Places in partitions: by time, and as groups commit them.

use kafka_protocol::ResponseError;
use kafka_protocol::protocol::StrBytes;

use crate::group::Commit;
use crate::group::classic::Identity;
use crate::group::groups::check_commit;
use crate::group::offsets::{Commits, Committed};
use crate::local::{LocalClient, LocalError, partition, upgrade};
use crate::log::partition::Isolation;
use crate::state::State;

/// A place to look up in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetOf {
    /// The first record.
    Start,
    /// One past the last record that a reader of that isolation may see.
    End(Isolation),
    /// The first record of this time or later, in milliseconds since 1970.
    Time(i64, Isolation),
    /// The record with the latest timestamp.
    Newest,
}

/// Where a group will go on in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupOffset {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The next record to read.
    pub offset: i64,
    /// Whatever the group notes with it.
    pub metadata: String,
}

impl LocalClient {
    /// Looks up an offset; `None` if there is no such record.
    ///
    /// # Errors
    ///
    /// If there is no such partition, or it cannot be read.
    pub fn offset(&self, topic: &str, index: i32, of: OffsetOf) -> Result<Option<i64>, LocalError> {
        let state = upgrade(&self.state)?;
        let (_, partition) = partition(&state, topic, index)?;
        let found = match of {
            OffsetOf::Start => return Ok(Some(partition.bounds().start)),
            OffsetOf::End(isolation) => return Ok(Some(partition.bounds().visible_end(isolation))),
            OffsetOf::Time(time, isolation) => partition.offset_of_time(time, isolation),
            OffsetOf::Newest => partition.newest(),
        };
        let found = found.map_err(|error| LocalError::at(error, topic, index))?;
        Ok(found.map(|found| found.offset))
    }

    /// Removes the records before an offset, as retention does.
    ///
    /// # Errors
    ///
    /// If there is no such partition, or the offset lies behind its end.
    pub fn delete_records(&self, topic: &str, index: i32, before: i64) -> Result<(), LocalError> {
        let state = upgrade(&self.state)?;
        let (_, partition) = partition(&state, topic, index)?;
        partition.delete_records(before).map(drop).map_err(|error| LocalError::at(error, topic, index))
    }

    /// Commits offsets of a group that has no members.
    ///
    /// # Errors
    ///
    /// If a partition does not exist, the group has members, or it cannot be written down. Nothing is committed then.
    pub fn commit(&self, group: &str, offsets: &[GroupOffset]) -> Result<(), LocalError> {
        let state = upgrade(&self.state)?;
        let commits = commits(&state, offsets)?;
        state
            .groups
            .commit(&state, group, &nobody(), Commit::Plain, commits)
            .map_err(|error| LocalError::new(error, format!("offsets of group {group:?}")))
    }

    /// What a group has committed for a partition, if anything.
    ///
    /// # Errors
    ///
    /// With [`ResponseError::UnstableOffsetCommit`] while an open transaction may still change it.
    pub fn committed(&self, group: &str, topic: &str, index: i32) -> Result<Option<GroupOffset>, LocalError> {
        let state = upgrade(&self.state)?;
        let inner = state.groups.lock();
        let Some(offsets) = inner.by_id.get(group).map(|group| &group.offsets) else { return Ok(None) };
        let place = (topic.to_owned(), index);
        if offsets.is_unstable(&place) {
            return Err(LocalError::at(ResponseError::UnstableOffsetCommit, topic, index));
        }
        Ok(offsets.get(&place).map(|at| GroupOffset {
            topic: place.0,
            partition: index,
            offset: at.offset,
            metadata: at.metadata.clone(),
        }))
    }
}

/// The form in which groups keep them.
pub(super) fn commits(state: &State, offsets: &[GroupOffset]) -> Result<Commits, LocalError> {
    let commit = |at: &GroupOffset| {
        let committed = Committed::new(at.offset, -1, at.metadata.clone(), state.clock.now_ms());
        check_commit(state, &at.topic, at.partition, &committed)
            .map_err(|error| LocalError::at(error, &at.topic, at.partition))?;
        Ok((at.topic.clone(), at.partition, committed))
    };
    offsets.iter().map(commit).collect()
}

/// Who commits without being a member.
pub(super) fn nobody() -> Identity {
    Identity { member_id: StrBytes::new(), instance_id: None, generation: -1 }
}
