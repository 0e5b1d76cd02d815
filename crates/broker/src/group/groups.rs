//! All groups, and their journal.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kafka_protocol::ResponseError;

use crate::group::classic::Identity;
use crate::group::events::{Event, apply, outcome};
use crate::group::offsets::{Commits, Committed, Place, last_of_each};
use crate::group::{Commit, Group, Members};
use crate::journal::Journal;
use crate::state::State;

/// All groups. One lock serves them all, because what they do is rare next to what partitions do.
#[derive(Debug)]
pub(crate) struct Groups {
    inner: Mutex<Inner>,
}

/// What the lock guards.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) by_id: BTreeMap<String, Group>,
    pub(super) journal: Journal<Event>,
    /// When to look for old offsets again.
    clean_ms: i64,
}

impl Groups {
    /// No groups, and nothing will be kept.
    pub(crate) fn in_memory() -> Self {
        Self {
            inner: Mutex::new(Inner { by_id: BTreeMap::new(), journal: Journal::in_memory(), clean_ms: 0 }),
        }
    }

    /// The groups of a data folder. Sessions of their members begin with [`Groups::go_on`].
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut by_id = BTreeMap::new();
        let mut journal = Journal::open(path, |event| apply(&mut by_id, event))?;
        by_id.retain(|_, group: &mut Group| !group.is_nothing());
        if journal.is_long() {
            journal.rewrite(outcome(&by_id))?;
        }
        Ok(Self { inner: Mutex::new(Inner { by_id, journal, clean_ms: 0 }) })
    }

    /// After a restart, members have their session timeout to be heard of again.
    pub(crate) fn go_on(&self, state: &State) {
        let now_ms = state.clock.now_ms();
        let mut inner = self.lock();
        inner.clean_ms = now_ms + state.settings.broker().offsets_retention_check_interval_ms;
        for (id, group) in &mut inner.by_id {
            group.go_on(id, state, now_ms);
        }
    }

    /// Lets everything that is to be written down fail, or no longer; not possible in memory.
    pub(crate) fn set_full(&self, full: bool) -> bool {
        self.lock().journal.set_full(full)
    }

    /// Takes the lock.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends what is overdue in all groups; returns when the next is.
    pub(crate) fn tick(&self, state: &State, now_ms: i64) -> Option<i64> {
        let mut inner = self.lock();
        let mut next_ms = inner.tick(state, now_ms);
        if inner.clean_ms <= now_ms {
            let settings = state.settings.broker();
            inner.clean(now_ms, settings.offsets_retention_ms);
            inner.clean_ms = now_ms + settings.offsets_retention_check_interval_ms;
        }
        next_ms = next_ms.into_iter().chain([inner.clean_ms]).min();
        next_ms
    }

    /// Commits offsets for a member, or for someone outside a group.
    pub(crate) fn commit(
        &self,
        state: &State,
        id: &str,
        who: &Identity,
        how: Commit,
        offsets: Commits,
    ) -> Result<(), ResponseError> {
        let now_ms = state.clock.now_ms();
        let offsets = last_of_each(offsets);
        let mut inner = self.lock();
        inner.may_commit(state, id, who, how, &offsets)?;
        if let Some(Group { members: Members::Classic(classic), .. }) = inner.by_id.get_mut(id) {
            classic.committed(who, now_ms);
        }
        if offsets.is_empty() {
            return Ok(());
        }
        inner.record(Event::Commit { group: id.to_owned(), offsets })
    }

    /// Commits offsets for the case that a transaction commits.
    pub(crate) fn commit_in_transaction(
        &self,
        state: &State,
        id: &str,
        who: &Identity,
        producer: i64,
        offsets: Commits,
    ) -> Result<(), ResponseError> {
        let offsets = last_of_each(offsets);
        let mut inner = self.lock();
        inner.may_commit(state, id, who, Commit::InTransaction, &offsets)?;
        if offsets.is_empty() {
            return Ok(());
        }
        inner.record(Event::Pending { group: id.to_owned(), producer, offsets })
    }

    /// A transaction has ended: its offsets count, or are forgotten.
    pub(crate) fn end_transaction(&self, id: &str, producer: i64, commit: bool) -> Result<(), ResponseError> {
        let mut inner = self.lock();
        if !inner.by_id.get(id).is_some_and(|group| group.offsets.has_pending_of(producer)) {
            return Ok(());
        }
        inner.record(Event::Ended { group: id.to_owned(), producer, commit })
    }

    /// Forgets offsets of all groups for partitions that are no more.
    pub(crate) fn forget_topic(&self, topic: &str) {
        let mut inner = self.lock();
        let mut events = Vec::new();
        for (id, group) in &inner.by_id {
            let places: Vec<Place> = group.offsets.places_of(topic).into_iter().collect();
            if !places.is_empty() {
                events.push(Event::Forget { group: id.clone(), places });
            }
        }
        for event in events {
            if let Err(error) = inner.record(event) {
                tracing::warn!(topic, ?error, "offsets of a deleted topic could not be forgotten");
            }
        }
    }
}

impl Inner {
    /// Writes an event down, then lets it happen.
    pub(crate) fn record(&mut self, event: Event) -> Result<(), ResponseError> {
        self.journal.append(&event).map_err(|error| {
            tracing::error!(%error, "committed offsets cannot be written");
            ResponseError::CoordinatorNotAvailable
        })?;
        apply(&mut self.by_id, event);
        self.shorten();
        Ok(())
    }

    /// Writes down what has happened to members.
    pub(super) fn write_down(&mut self, events: &[Event]) -> Result<(), ResponseError> {
        if events.is_empty() {
            return Ok(());
        }
        self.journal.append_all(events).map_err(|error| {
            tracing::error!(%error, "members of groups cannot be written");
            ResponseError::CoordinatorNotAvailable
        })?;
        self.shorten();
        Ok(())
    }

    /// What a consumer group is as far as it is written down, which is what counts when something could not be.
    pub(super) fn restore(&mut self, state: &State, id: &str, now_ms: i64) {
        let mut written = BTreeMap::new();
        let read = self.journal.read(|event| {
            if event.group() == id {
                apply(&mut written, event);
            }
        });
        if let Err(error) = read {
            tracing::error!(group = id, %error, "the group cannot be read again; a restart may make its members join");
            return;
        }
        let members = written.remove(id).unwrap_or_default().members;
        let group = self.by_id.entry(id.to_owned()).or_default();
        group.members = members;
        group.go_on(id, state, now_ms);
        if group.is_nothing() {
            self.by_id.remove(id);
        }
    }

    fn shorten(&mut self) {
        if self.journal.is_long()
            && let Err(error) = self.journal.rewrite(outcome(&self.by_id))
        {
            tracing::warn!(%error, "the journal of groups cannot be made shorter");
        }
    }

    fn may_commit(
        &self,
        state: &State,
        id: &str,
        who: &Identity,
        how: Commit,
        offsets: &Commits,
    ) -> Result<(), ResponseError> {
        match self.by_id.get(id) {
            Some(group) => group.may_commit(who, how, offsets, &state.topics),
            // Someone who assigns partitions by itself: the group comes into being.
            None if who.generation < 0 => Ok(()),
            None if how == Commit::Plain => Err(ResponseError::GroupIdNotFound),
            None => Err(ResponseError::IllegalGeneration),
        }
    }
}

/// What can be wrong with one offset, whoever commits it.
pub(crate) fn check_commit(
    state: &State,
    topic: &str,
    partition: i32,
    committed: &Committed,
) -> Result<(), ResponseError> {
    state.topics.partition(topic, partition).ok_or(ResponseError::UnknownTopicOrPartition)?;
    // Kafka counts Java's characters, of which there are never more than bytes.
    let max = state.settings.broker().offset_metadata_max_bytes;
    if committed.metadata.len() > max && committed.metadata.encode_utf16().count() > max {
        return Err(ResponseError::OffsetMetadataTooLarge);
    }
    Ok(())
}
