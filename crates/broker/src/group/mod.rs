//! Consumer groups: their members, and the offsets they commit.

pub(crate) mod classic;
pub(crate) mod consumer;
pub(crate) mod events;
mod expiry;
pub(crate) mod offsets;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kafka_protocol::ResponseError;
use kafka_protocol::protocol::StrBytes;

use crate::group::classic::{Classic, Identity};
use crate::group::consumer::Consumer;
use crate::group::events::{Event, apply, news, outcome};
use crate::group::offsets::{Commits, Offsets, Place};
use crate::journal::Journal;
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

    fn unknown_member(id: &str) -> Self {
        Self::new(ResponseError::UnknownMemberId, format!("Member {id} is not a member of the group."))
    }

    fn no_consumer_group(id: &str, why: &str) -> Self {
        Self::new(ResponseError::GroupIdNotFound, format!("Consumer group {id} {why}."))
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

    fn tick(&mut self, now_ms: i64) -> Option<i64> {
        match self {
            Self::Classic(classic) => classic.tick(now_ms),
            Self::Consumer(consumer) => consumer.tick(now_ms),
        }
    }
}

impl Group {
    /// It never had members, and has no offsets: as good as none.
    fn is_nothing(&self) -> bool {
        let was_used = match &self.members {
            Members::Classic(classic) => classic.is_worth_writing(),
            Members::Consumer(_) => true,
        };
        !was_used && self.members.is_empty() && self.offsets.is_empty()
    }

    fn may_commit(&self, who: &Identity, how: Commit) -> Result<(), ResponseError> {
        let transactional = how == Commit::InTransaction;
        match &self.members {
            Members::Classic(classic) => classic.may_commit(who, transactional),
            Members::Consumer(consumer) => {
                match consumer.may_commit(&who.member_id, who.generation) {
                    Err(ResponseError::StaleMemberEpoch) if transactional => {
                        Err(ResponseError::IllegalGeneration)
                    }
                    // It would not understand that its epoch is stale.
                    Ok(()) | Err(ResponseError::StaleMemberEpoch)
                        if how == Commit::Old && !consumer.is_empty() =>
                    {
                        Err(ResponseError::UnsupportedVersion)
                    }
                    other => other,
                }
            }
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

/// All groups. One lock serves them all, because what they do is rare next to what partitions do.
#[derive(Debug)]
pub(crate) struct Groups {
    inner: Mutex<Inner>,
}

/// What the lock guards.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) by_id: BTreeMap<String, Group>,
    journal: Journal<Event>,
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
            match &mut group.members {
                Members::Classic(classic) => classic.go_on(now_ms),
                Members::Consumer(consumer) => {
                    consumer.go_on(now_ms, state.settings.group(id).session_timeout_ms.into());
                }
            }
        }
    }

    /// Takes the lock.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets members of a classic group act, and sets the alarm for what they wait for. Without `create`, a group
    /// that is not there has no members.
    pub(crate) fn with_classic<T>(
        &self,
        id: &str,
        state: &State,
        create: bool,
        act: impl FnOnce(&mut Classic, i64) -> T,
    ) -> Result<T, ResponseError> {
        let now_ms = state.clock.now_ms();
        let mut inner = self.lock();
        if create && !inner.by_id.contains_key(id) {
            inner.by_id.insert(id.to_owned(), Group::default());
        }
        let group = inner.by_id.get_mut(id).ok_or(ResponseError::UnknownMemberId)?;
        if let Members::Consumer(consumer) = &group.members {
            if !create {
                return Err(ResponseError::UnknownMemberId);
            }
            if !consumer.is_empty() {
                return Err(ResponseError::InconsistentGroupProtocol);
            }
            group.members = Members::default();
        }
        let Members::Classic(classic) = &mut group.members else {
            return Err(ResponseError::UnknownMemberId);
        };
        let result = act(classic, now_ms);
        if let Some(next_ms) = classic.tick(now_ms) {
            state.alarm.by(next_ms);
        }
        let news = news(id, group);
        if group.is_nothing() {
            inner.by_id.remove(id);
        }
        inner.write_down(&news);
        Ok(result)
    }

    /// A member of a consumer group beats, joins or leaves.
    pub(crate) fn with_consumer<T>(
        &self,
        id: &str,
        state: &State,
        create: bool,
        act: impl FnOnce(&mut Consumer, i64) -> T,
    ) -> Result<T, Denied> {
        let now_ms = state.clock.now_ms();
        let mut inner = self.lock();
        let group = match inner.by_id.get_mut(id) {
            Some(group) => group,
            None if create => inner.by_id.entry(id.to_owned()).or_default(),
            None => return Err(Denied::no_consumer_group(id, "not found")),
        };
        let mut created = Consumer::default();
        let (consumer, is_new) = match &mut group.members {
            Members::Consumer(consumer) => (consumer, false),
            Members::Classic(classic) if create && classic.is_deserted() => (&mut created, true),
            Members::Classic(_) => {
                return Err(Denied::no_consumer_group(id, "has members that speak the classic protocol"));
            }
        };
        let result = act(consumer, now_ms);
        if let Some(next_ms) = consumer.tick(now_ms) {
            state.alarm.by(next_ms);
        }
        if is_new && !created.is_empty() {
            group.members = Members::Consumer(created);
        }
        let news = news(id, group);
        if group.is_nothing() {
            inner.by_id.remove(id);
        }
        inner.write_down(&news);
        Ok(result)
    }

    /// A member of a classic group goes, or someone removes a member of any group.
    pub(crate) fn leave(
        &self,
        id: &str,
        state: &State,
        member_id: &StrBytes,
        instance_id: Option<&StrBytes>,
    ) -> Result<(), ResponseError> {
        let left = self.with_consumer(id, state, false, |group, _| {
            group.remove(member_id, instance_id.map(StrBytes::as_str)).map_err(|denied| denied.error)
        });
        match left {
            Ok(left) => left,
            Err(_) => self.with_classic(id, state, false, |group, now_ms| {
                group.leave(member_id, instance_id, now_ms)
            })?,
        }
    }

    /// Ends what is overdue in all groups; returns when the next is.
    pub(crate) fn tick(&self, state: &State, now_ms: i64) -> Option<i64> {
        let mut inner = self.lock();
        let mut next_ms: Option<i64> = None;
        let mut events = Vec::new();
        for (id, group) in &mut inner.by_id {
            next_ms = next_ms.into_iter().chain(group.members.tick(now_ms)).min();
            events.extend(news(id, group));
        }
        inner.by_id.retain(|_, group| !group.is_nothing());
        inner.write_down(&events);
        if inner.clean_ms <= now_ms {
            let settings = state.settings.broker();
            inner.clean(now_ms, settings.offsets_retention_ms);
            inner.clean_ms = now_ms + settings.offsets_retention_check_interval_ms;
        }
        next_ms.into_iter().chain([inner.clean_ms]).min()
    }

    /// Commits offsets for a member, or for someone outside a group.
    pub(crate) fn commit(
        &self,
        id: &str,
        who: &Identity,
        how: Commit,
        offsets: Commits,
        now_ms: i64,
    ) -> Result<(), ResponseError> {
        let mut inner = self.lock();
        inner.may_commit(id, who, how)?;
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
        id: &str,
        who: &Identity,
        producer: i64,
        offsets: Commits,
    ) -> Result<(), ResponseError> {
        let mut inner = self.lock();
        inner.may_commit(id, who, Commit::InTransaction)?;
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

    /// Writes down what has happened to members. If that fails they only notice after a restart.
    fn write_down(&mut self, events: &[Event]) {
        for event in events {
            if let Err(error) = self.journal.append(event) {
                tracing::error!(%error, "members of groups cannot be written; a restart would make them join again");
                return;
            }
        }
        self.shorten();
    }

    fn shorten(&mut self) {
        if self.journal.is_long()
            && let Err(error) = self.journal.rewrite(outcome(&self.by_id))
        {
            tracing::warn!(%error, "the journal of groups cannot be made shorter");
        }
    }

    fn may_commit(&self, id: &str, who: &Identity, how: Commit) -> Result<(), ResponseError> {
        match self.by_id.get(id) {
            Some(group) => group.may_commit(who, how),
            // Someone who assigns partitions by itself: the group comes into being.
            None if who.generation < 0 => Ok(()),
            None if how == Commit::Plain => Err(ResponseError::GroupIdNotFound),
            None => Err(ResponseError::IllegalGeneration),
        }
    }
}
