//! What is written down of groups, so that neither offsets nor members are lost when the broker starts again.
//!
//! Members are written when something about them changes, not when they beat. Of a classic group that is when its
//! leader has divided the partitions, and when nobody is left; of a consumer group, every step of every member.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::group::classic::Classic;
use crate::group::classic::record::ClassicRecord;
use crate::group::consumer::Consumer;
use crate::group::consumer::member::Member;
use crate::group::offsets::{Commits, Place};
use crate::group::{Group, Members};

/// A line of `offsets.journal`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Event {
    /// Committed.
    Commit { group: String, offsets: Commits },
    /// Committed if the transaction of this producer is.
    Pending { group: String, producer: i64, offsets: Commits },
    /// The transaction of this producer has ended.
    Ended { group: String, producer: i64, commit: bool },
    /// Deleted, expired, or the topic was deleted.
    Forget { group: String, places: Vec<Place> },
    /// The whole group was deleted.
    Delete { group: String },
    /// A classic group, whatever it was before.
    Classic { group: String, state: ClassicRecord },
    /// A consumer group, whatever it was before.
    Epochs { group: String, epoch: i32, assignment_epoch: i32 },
    /// A member of a consumer group.
    Member { group: String, member: Box<Member> },
    /// A member of a consumer group that is no more.
    Gone { group: String, member: String },
}

impl Event {
    /// The group that it is of.
    pub(super) fn group(&self) -> &str {
        match self {
            Self::Commit { group, .. }
            | Self::Pending { group, .. }
            | Self::Ended { group, .. }
            | Self::Forget { group, .. }
            | Self::Delete { group }
            | Self::Classic { group, .. }
            | Self::Epochs { group, .. }
            | Self::Member { group, .. }
            | Self::Gone { group, .. } => group,
        }
    }
}

/// Lets an event happen.
pub(super) fn apply(by_id: &mut BTreeMap<String, Group>, event: Event) {
    match event {
        Event::Commit { group, offsets } => by_id.entry(group).or_default().offsets.commit(offsets),
        Event::Pending { group, producer, offsets } => {
            by_id.entry(group).or_default().offsets.hold(producer, offsets);
        }
        Event::Ended { group, producer, commit } => {
            by_id.entry(group).or_default().offsets.end(producer, commit);
        }
        Event::Forget { group, places } => {
            let offsets = &mut by_id.entry(group).or_default().offsets;
            places.iter().for_each(|place| offsets.forget(place));
        }
        Event::Delete { group } => drop(by_id.remove(&group)),
        Event::Classic { group, state } => {
            by_id.entry(group).or_default().members = Members::Classic(Classic::from(state));
        }
        Event::Epochs { group, epoch, assignment_epoch } => {
            with_consumer(by_id, group, |consumer| {
                (consumer.epoch, consumer.assignment_epoch) = (epoch, assignment_epoch);
            });
        }
        Event::Member { group, member } => {
            with_consumer(by_id, group, |consumer| consumer.restore(*member));
        }
        Event::Gone { group, member } => with_consumer(by_id, group, |consumer| consumer.forget(&member)),
    }
}

/// Lets something happen to the consumer group of this name; if there was another, there is none now.
fn with_consumer(by_id: &mut BTreeMap<String, Group>, id: String, act: impl FnOnce(&mut Consumer)) {
    let group = by_id.entry(id).or_default();
    match &mut group.members {
        Members::Consumer(consumer) => act(consumer),
        Members::Classic(_) => {
            let mut consumer = Consumer::default();
            act(&mut consumer);
            group.members = Members::Consumer(consumer);
        }
    }
}

/// The events that say as much as all that were written.
pub(super) fn outcome(by_id: &BTreeMap<String, Group>) -> impl Iterator<Item = Event> {
    by_id.iter().flat_map(|(id, group)| events(id, group))
}

fn events(id: &str, group: &Group) -> Vec<Event> {
    let name = || id.to_owned();
    let mut events = vec![Event::Commit { group: name(), offsets: group.offsets.committed() }];
    events.extend(group.offsets.pending().map(|(producer, offsets)| Event::Pending {
        group: name(),
        producer,
        offsets,
    }));
    match &group.members {
        Members::Classic(classic) => {
            if classic.is_worth_writing() {
                events.push(Event::Classic { group: name(), state: classic.into() });
            }
        }
        Members::Consumer(consumer) => {
            events.push(epochs(id, consumer));
            let member = |member: &Member| Event::Member { group: name(), member: Box::new(member.clone()) };
            events.extend(consumer.members().map(member));
        }
    }
    events
}

fn epochs(id: &str, consumer: &Consumer) -> Event {
    let (epoch, assignment_epoch) = (consumer.epoch, consumer.assignment_epoch);
    Event::Epochs { group: id.to_owned(), epoch, assignment_epoch }
}

/// What has changed in a group since it was last asked.
pub(super) fn news(id: &str, group: &mut Group) -> Vec<Event> {
    match &mut group.members {
        Members::Classic(classic) => {
            if !classic.take_changed() {
                return Vec::new();
            }
            vec![Event::Classic { group: id.to_owned(), state: (&*classic).into() }]
        }
        Members::Consumer(consumer) => {
            let changed = consumer.take_changed();
            let mut events = Vec::new();
            if changed.epochs {
                events.push(epochs(id, consumer));
            }
            events.extend(changed.members.into_iter().map(|member| {
                let group = id.to_owned();
                match consumer.member(&member) {
                    Some(member) => Event::Member { group, member: Box::new(member.clone()) },
                    None => Event::Gone { group, member },
                }
            }));
            events
        }
    }
}
