//! Consumer groups: their members, and the offsets they commit.

pub(crate) mod classic;
pub(crate) mod consumer;
pub(crate) mod events;
mod expiry;
pub(crate) mod groups;
mod members;
mod migration;
pub(crate) mod offsets;

use kafka_protocol::ResponseError;

use crate::group::classic::{Classic, Identity, Phase};
use crate::group::consumer::Consumer;
use crate::group::consumer::subscription::Catalog;
use crate::group::offsets::{Commits, Offsets};
use crate::state::State;

/// Why a request is refused, and what to say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Denied {
    pub(crate) error: ResponseError,
    pub(crate) message: String,
}

impl Denied {
    pub(crate) fn new(error: ResponseError, message: impl Into<String>) -> Self {
        Self { error, message: message.into() }
    }

    /// The group is named by [`Denied::of_group`].
    fn unknown_member(id: &str) -> Self {
        Self::new(ResponseError::UnknownMemberId, format!("Member {id} is not a member of group"))
    }

    /// Says of which group a member is not, which the group itself does not know.
    fn of_group(mut self, id: &str) -> Self {
        if self.error == ResponseError::UnknownMemberId && self.message.ends_with("of group") {
            self.message = format!("{} {id}.", self.message);
        }
        self
    }

    fn no_group(id: &str) -> Self {
        Self::new(ResponseError::GroupIdNotFound, format!("Group {id} not found."))
    }

    fn no_consumer_group(id: &str) -> Self {
        Self::new(ResponseError::GroupIdNotFound, format!("Group {id} is not a consumer group."))
    }

    /// The change could not be written down.
    fn unwritten(error: ResponseError) -> Self {
        Self::new(error, "The coordinator is not available.")
    }
}

/// One group.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) members: Members,
    pub(crate) offsets: Offsets,
}

/// The members of a group, by the protocol that they speak. While there are none, either may take it over.
#[derive(Debug)]
pub(crate) enum Members {
    Classic(Classic),
    Consumer(Consumer),
}

impl Default for Members {
    fn default() -> Self {
        Self::Classic(Classic::default())
    }
}

impl Members {
    /// Nobody is in it, or about to be.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Classic(classic) => classic.is_deserted(),
            Self::Consumer(consumer) => consumer.is_empty(),
        }
    }

    pub(crate) fn count(&self) -> usize {
        match self {
            Self::Classic(classic) => classic.members.len(),
            Self::Consumer(consumer) => consumer.members().count(),
        }
    }

    /// Kafka's name of the state.
    pub(crate) fn state(&self) -> &'static str {
        match self {
            Self::Classic(classic) => classic.phase.name(),
            Self::Consumer(consumer) => consumer.state(),
        }
    }

    /// Whether anyone reads this topic, as far as can be known.
    pub(crate) fn is_subscribed(&self, topic: &str) -> bool {
        match self {
            Self::Classic(classic) => classic.subscribed_topics().is_none_or(|topics| topics.contains(topic)),
            Self::Consumer(consumer) => consumer.is_subscribed(topic),
        }
    }

    /// Whether it is known that someone reads this topic.
    fn reads(&self, topic: &str) -> bool {
        match self {
            Self::Classic(classic) => {
                classic.subscribed_topics().is_some_and(|topics| topics.contains(topic))
            }
            Self::Consumer(consumer) => consumer.is_subscribed(topic),
        }
    }

    /// Whether members of the other protocol could take the group over, or someone could delete it. Who has only been
    /// given an id is not in it.
    pub(crate) fn is_free(&self) -> bool {
        match self {
            Self::Classic(classic) => classic.phase == Phase::Empty,
            Self::Consumer(consumer) => consumer.is_empty(),
        }
    }
}

impl Group {
    /// The sessions of members that were there before a restart begin now.
    fn go_on(&mut self, id: &str, state: &State, now_ms: i64) {
        match &mut self.members {
            Members::Classic(classic) => classic.go_on(now_ms),
            Members::Consumer(consumer) => {
                consumer.go_on(now_ms, state.settings.group(id).session_timeout_ms.into());
            }
        }
    }

    /// It never had members, and has no offsets: as good as none.
    fn is_nothing(&self) -> bool {
        let was_used = match &self.members {
            Members::Classic(classic) => classic.is_worth_writing(),
            Members::Consumer(_) => true,
        };
        !was_used && self.members.is_empty() && self.offsets.is_empty()
    }

    fn may_commit(
        &self,
        who: &Identity,
        how: Commit,
        offsets: &Commits,
        catalog: &impl Catalog,
    ) -> Result<(), ResponseError> {
        let transactional = how == Commit::InTransaction;
        match &self.members {
            Members::Classic(classic) => classic.may_commit(who, transactional),
            Members::Consumer(consumer) => match consumer.may_commit(who, how, offsets, catalog) {
                Err(ResponseError::StaleMemberEpoch) if transactional => {
                    Err(ResponseError::IllegalGeneration)
                }
                other => other,
            },
        }
    }
}

/// How offsets are committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Commit {
    /// By a client that knows about member epochs: from version 9 of OffsetCommit on.
    Plain,
    /// By one that does not.
    Old,
    InTransaction,
}
