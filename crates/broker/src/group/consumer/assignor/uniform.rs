//! The `uniform` assignor: everyone gets as much as the others, and nothing moves without need.
//!
//! It starts from what the members were to have, hands out what is free to whoever has least, and then evens out:
//! partitions move from a member that has two more than another, directly or over members in between, because two
//! members need not subscribe to the same topics. Every such step makes the shares more equal, so there is an end.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use uuid::Uuid;

use super::Subscriber;
use crate::group::consumer::Partitions;

pub(super) fn assign(members: &[Subscriber<'_>], topics: &BTreeMap<Uuid, i32>) -> Vec<Partitions> {
    let mut shares = Shares::kept(members, topics);
    shares.hand_out(topics);
    shares.even_out();
    shares.by_member
}

struct Shares<'a> {
    members: &'a [Subscriber<'a>],
    /// Members by topic.
    subscribers: BTreeMap<Uuid, Vec<usize>>,
    by_member: Vec<Partitions>,
    /// Partitions that a member has, of all topics.
    load: Vec<usize>,
}

impl<'a> Shares<'a> {
    /// What everyone had and may keep.
    fn kept(members: &'a [Subscriber<'a>], topics: &BTreeMap<Uuid, i32>) -> Self {
        let mut subscribers: BTreeMap<Uuid, Vec<usize>> = BTreeMap::new();
        let mut taken: BTreeSet<(Uuid, i32)> = BTreeSet::new();
        let mut by_member = Vec::with_capacity(members.len());
        for (n, member) in members.iter().enumerate() {
            for topic in member.topics.iter().filter(|topic| topics.contains_key(topic)) {
                subscribers.entry(*topic).or_default().push(n);
            }
            let mut kept = Partitions::new();
            for (topic, partitions) in member.previous {
                let count = topics.get(topic).filter(|_| member.topics.contains(topic)).copied().unwrap_or(0);
                for &partition in partitions.range(..count) {
                    if taken.insert((*topic, partition)) {
                        kept.entry(*topic).or_default().insert(partition);
                    }
                }
            }
            by_member.push(kept);
        }
        let load = by_member.iter().map(|share| share.values().map(BTreeSet::len).sum()).collect();
        Self { members, subscribers, by_member, load }
    }

    /// Gives partitions that nobody has to those who have least; topics with few subscribers first, because
    /// the others leave more choice.
    fn hand_out(&mut self, topics: &BTreeMap<Uuid, i32>) {
        let mut order: Vec<(usize, Uuid)> =
            self.subscribers.iter().map(|(topic, subscribers)| (subscribers.len(), *topic)).collect();
        order.sort_unstable();
        for (_, topic) in order {
            let subscribers = &self.subscribers[&topic];
            let taken: BTreeSet<i32> = subscribers
                .iter()
                .filter_map(|&n| self.by_member[n].get(&topic))
                .flat_map(|partitions| partitions.iter().copied())
                .collect();
            let mut least: BTreeSet<(usize, usize)> =
                subscribers.iter().map(|&n| (self.load[n], n)).collect();
            for partition in (0..topics[&topic]).filter(|partition| !taken.contains(partition)) {
                let Some((load, n)) = least.pop_first() else { break };
                self.by_member[n].entry(topic).or_default().insert(partition);
                self.load[n] = load + 1;
                least.insert((load + 1, n));
            }
        }
    }

    /// Moves partitions until no member that could have one more has two less than the one it would come from.
    fn even_out(&mut self) {
        loop {
            let mut order: Vec<usize> = (0..self.load.len()).collect();
            order.sort_by_key(|&n| std::cmp::Reverse(self.load[n]));
            let (Some(&most), Some(&least)) = (order.first(), order.last()) else { return };
            if self.load[most] < self.load[least] + 2 {
                return;
            }
            // Whom a member with more partitions has reached in vain, a member with fewer need not try again.
            let mut seen = Seen { members: vec![false; self.load.len()], topics: BTreeSet::new() };
            if !order.into_iter().any(|from| self.unburden(from, &mut seen)) {
                return;
            }
        }
    }

    /// Moves one partition away from a member, if there is a way to another that has two less.
    fn unburden(&mut self, from: usize, seen: &mut Seen) -> bool {
        if std::mem::replace(&mut seen.members[from], true) {
            return false;
        }
        // For every member that was reached: who gives to it, and of which topic.
        let mut givers: BTreeMap<usize, (usize, Uuid)> = BTreeMap::new();
        let mut queue = VecDeque::from([from]);
        while let Some(giver) = queue.pop_front() {
            for topic in self.by_member[giver].keys() {
                if !seen.topics.insert(*topic) {
                    continue;
                }
                for &taker in &self.subscribers[topic] {
                    if !std::mem::replace(&mut seen.members[taker], true) {
                        givers.insert(taker, (giver, *topic));
                        queue.push_back(taker);
                    }
                }
            }
        }
        let Some(mut taker) = givers.keys().copied().min_by_key(|&n| self.load[n]) else { return false };
        if self.load[taker] + 2 > self.load[from] {
            return false;
        }
        self.load[taker] += 1;
        self.load[from] -= 1;
        while let Some(&(giver, topic)) = givers.get(&taker) {
            self.hand_over(topic, giver, taker);
            taker = giver;
        }
        true
    }

    /// One partition of the topic changes hands: best one that the giver did not have before, or the taker did.
    fn hand_over(&mut self, topic: Uuid, giver: usize, taker: usize) {
        let had = |n: usize, partition| {
            self.members[n].previous.get(&topic).is_some_and(|had: &BTreeSet<i32>| had.contains(&partition))
        };
        let cost =
            |&partition: &i32| (had(giver, partition), !had(taker, partition), std::cmp::Reverse(partition));
        let Some(partition) =
            self.by_member[giver].get(&topic).and_then(|given| given.iter().copied().min_by_key(cost))
        else {
            return;
        };
        if let Some(given) = self.by_member[giver].get_mut(&topic) {
            given.remove(&partition);
            if given.is_empty() {
                self.by_member[giver].remove(&topic);
            }
        }
        self.by_member[taker].entry(topic).or_default().insert(partition);
    }
}

/// What a search for a way has come by.
struct Seen {
    members: Vec<bool>,
    topics: BTreeSet<Uuid>,
}
