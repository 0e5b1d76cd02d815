//! How a member gets from what it has to what it shall have, without two members reading one partition.
//!
//! It gives back first, and enters the new epoch when it says that it has. Then it gets what is free; what others
//! still hold it gets at a later heartbeat, when they have given it back.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::group::consumer::Partitions;
use crate::group::consumer::member::{Member, Progress};

/// Takes a member one step on towards its target in `epoch`. `owned` is what it says it reads, if it says
/// anything; `is_held` tells which partitions anyone may be reading.
pub(crate) fn step(
    member: &mut Member,
    epoch: i32,
    subscribed_anew: bool,
    owned: Option<&Partitions>,
    is_held: impl Fn(Uuid, i32) -> bool,
) {
    if member.is_settled(epoch) {
        return;
    }
    // A member that does not say what it reads has given nothing back.
    let still_reads = |partitions: &Partitions| owned.is_none_or(|owned| overlap(owned, partitions));
    if member.progress == Progress::Unrevoked && still_reads(&member.revoking) {
        if subscribed_anew {
            give_up_unsubscribed(member);
        }
        return;
    }
    let mut assigned = Partitions::new();
    let mut revoking = Partitions::new();
    let mut free = Partitions::new();
    let mut waits = false;
    let topics: BTreeSet<Uuid> = member.target.keys().chain(member.assigned.keys()).copied().collect();
    let none = BTreeSet::new();
    for topic in topics {
        let target = member.target.get(&topic).unwrap_or(&none);
        let has = member.assigned.get(&topic).unwrap_or(&none);
        // What it has just given back may come back to it.
        let own = member.revoking.get(&topic).unwrap_or(&none);
        let (others, pending): (BTreeSet<i32>, BTreeSet<i32>) = target
            .difference(has)
            .partition(|&&partition| is_held(topic, partition) && !own.contains(&partition));
        waits |= !others.is_empty();
        insert(&mut assigned, topic, target.intersection(has).copied().collect());
        insert(&mut revoking, topic, has.difference(target).copied().collect());
        insert(&mut free, topic, pending);
    }
    member.previous_epoch = member.epoch;
    if !revoking.is_empty() && still_reads(&revoking) {
        member.progress = Progress::Unrevoked;
        (member.assigned, member.revoking) = (assigned, revoking);
        return;
    }
    for (topic, partitions) in free {
        assigned.entry(topic).or_default().extend(partitions);
    }
    member.epoch = epoch;
    member.progress = if waits { Progress::Unreleased } else { Progress::Stable };
    (member.assigned, member.revoking) = (assigned, Partitions::new());
}

/// A member that is giving back need not be asked twice for what it does not want any more.
fn give_up_unsubscribed(member: &mut Member) {
    let all = std::mem::take(&mut member.assigned);
    let (wanted, unwanted) = all.into_iter().partition(|(topic, _)| member.topics.contains_key(topic));
    member.assigned = wanted;
    let unwanted: Partitions = unwanted;
    for (topic, partitions) in unwanted {
        member.previous_epoch = member.epoch;
        member.revoking.entry(topic).or_default().extend(partitions);
    }
}

fn insert(into: &mut Partitions, topic: Uuid, partitions: BTreeSet<i32>) {
    if !partitions.is_empty() {
        into.insert(topic, partitions);
    }
}

fn overlap(one: &Partitions, other: &Partitions) -> bool {
    one.iter().any(|(topic, partitions)| other.get(topic).is_some_and(|other| !other.is_disjoint(partitions)))
}
