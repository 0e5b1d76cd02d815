//! Consumer groups: their members, and the offsets they commit.

pub(crate) mod classic;
#[cfg(test)]
mod classic_tests;
pub(crate) mod member;
pub(crate) mod offsets;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kafka_protocol::ResponseError;

use crate::alarm::Alarm;
use crate::group::classic::{Classic, Identity};
use crate::group::offsets::{Commits, OffsetEvent, Offsets, Place};
use crate::journal::Journal;

/// One group.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) classic: Classic,
    pub(crate) offsets: Offsets,
}

impl Group {
    /// Nobody is in it and nothing is committed: as good as none.
    fn is_nothing(&self) -> bool {
        self.classic.is_deserted() && self.offsets.is_empty()
    }
}

/// All groups. One lock serves them all, because what they do is rare next to what partitions do.
#[derive(Debug)]
pub(crate) struct Groups {
    inner: Mutex<Inner>,
}

/// What the lock guards.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) by_id: BTreeMap<String, Group>,
    journal: Journal<OffsetEvent>,
}

impl Groups {
    /// No groups, and nothing will be kept.
    pub(crate) fn in_memory() -> Self {
        Self { inner: Mutex::new(Inner { by_id: BTreeMap::new(), journal: Journal::in_memory() }) }
    }

    /// The groups of a data folder: their offsets, without members.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut by_id = BTreeMap::new();
        let mut journal = Journal::open(path, |event| apply(&mut by_id, event))?;
        by_id.retain(|_, group: &mut Group| !group.offsets.is_empty());
        if journal.is_long() {
            journal.rewrite(outcome(&by_id))?;
        }
        Ok(Self { inner: Mutex::new(Inner { by_id, journal }) })
    }

    /// Takes the lock.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a group's members act, creating the group, and sets the alarm for what they wait for.
    pub(crate) fn with_members<T>(
        &self,
        id: &str,
        alarm: &Alarm,
        now_ms: i64,
        act: impl FnOnce(&mut Classic) -> T,
    ) -> T {
        let mut inner = self.lock();
        if !inner.by_id.contains_key(id) {
            inner.by_id.insert(id.to_owned(), Group::default());
        }
        let group = inner.by_id.entry(id.to_owned()).or_default();
        let result = act(&mut group.classic);
        if let Some(next_ms) = group.classic.tick(now_ms) {
            alarm.by(next_ms);
        }
        if group.is_nothing() {
            inner.by_id.remove(id);
        }
        result
    }

    /// Ends what is overdue in all groups; returns when the next is.
    pub(crate) fn tick(&self, now_ms: i64) -> Option<i64> {
        let mut inner = self.lock();
        let next_ms = inner.by_id.values_mut().filter_map(|group| group.classic.tick(now_ms)).min();
        inner.by_id.retain(|_, group| !group.is_nothing());
        next_ms
    }

    /// Commits offsets for a member, or for someone outside a group.
    pub(crate) fn commit(&self, id: &str, who: &Identity, offsets: Commits) -> Result<(), ResponseError> {
        let mut inner = self.lock();
        inner.may_commit(id, who)?;
        if offsets.is_empty() {
            return Ok(());
        }
        inner.record(OffsetEvent::Commit { group: id.to_owned(), offsets })
    }

    /// Commits offsets for the case that a transaction commits.
    pub(crate) fn commit_in_transaction(
        &self,
        id: &str,
        who: &Identity,
        producer: i64,
        offsets: Commits,
    ) -> Result<(), ResponseError> {
        let mut inner = self.lock();
        if who.generation >= 0 || !who.member_id.is_empty() || who.instance_id.is_some() {
            inner.may_commit(id, who)?;
        }
        if offsets.is_empty() {
            return Ok(());
        }
        inner.record(OffsetEvent::Pending { group: id.to_owned(), producer, offsets })
    }

    /// A transaction has ended: its offsets count, or are forgotten.
    pub(crate) fn end_transaction(&self, id: &str, producer: i64, commit: bool) -> Result<(), ResponseError> {
        let mut inner = self.lock();
        if !inner.by_id.get(id).is_some_and(|group| group.offsets.has_pending_of(producer)) {
            return Ok(());
        }
        inner.record(OffsetEvent::Ended { group: id.to_owned(), producer, commit })
    }

    /// Forgets offsets of all groups for partitions that are no more.
    pub(crate) fn forget_topic(&self, topic: &str) {
        let mut inner = self.lock();
        let mut events = Vec::new();
        for (id, group) in &inner.by_id {
            let places: Vec<Place> = group.offsets.places_of(topic).into_iter().collect();
            if !places.is_empty() {
                events.push(OffsetEvent::Forget { group: id.clone(), places });
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
    pub(crate) fn record(&mut self, event: OffsetEvent) -> Result<(), ResponseError> {
        self.journal.append(&event).map_err(|error| {
            tracing::error!(%error, "committed offsets cannot be written");
            ResponseError::CoordinatorNotAvailable
        })?;
        apply(&mut self.by_id, event);
        if self.journal.is_long()
            && let Err(error) = self.journal.rewrite(outcome(&self.by_id))
        {
            tracing::warn!(%error, "the journal of offsets cannot be made shorter");
        }
        Ok(())
    }

    fn may_commit(&self, id: &str, who: &Identity) -> Result<(), ResponseError> {
        match self.by_id.get(id) {
            Some(group) => group.classic.may_commit(who),
            None => Classic::default().may_commit(who),
        }
    }
}

/// The events that say as much as all that were written.
fn outcome(by_id: &BTreeMap<String, Group>) -> impl Iterator<Item = OffsetEvent> {
    by_id.iter().flat_map(|(id, group)| group.offsets.events(id))
}

fn apply(by_id: &mut BTreeMap<String, Group>, event: OffsetEvent) {
    match event {
        OffsetEvent::Commit { group, offsets } => by_id.entry(group).or_default().offsets.commit(offsets),
        OffsetEvent::Pending { group, producer, offsets } => {
            by_id.entry(group).or_default().offsets.hold(producer, offsets);
        }
        OffsetEvent::Ended { group, producer, commit } => {
            by_id.entry(group).or_default().offsets.end(producer, commit);
        }
        OffsetEvent::Forget { group, places } => {
            let offsets = &mut by_id.entry(group).or_default().offsets;
            places.iter().for_each(|place| offsets.forget(place));
        }
        OffsetEvent::Delete { group } => {
            by_id.remove(&group);
        }
    }
}
