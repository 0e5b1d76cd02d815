//! Members of both protocols that join, leave, crash, dawdle, lose answers and change their protocol, in any order: no
//! partition ever has two readers, and when things calm down, every partition has one.

use proptest::prelude::*;

use super::classic_tests::{joins, who};
use super::tests::{LIMITS, Shelf, beat, join};
use super::*;
use crate::group::consumer::embedded;

#[derive(Debug, Clone)]
enum Act {
    /// Joins, or beats if it has.
    Beat(usize),
    /// Beats, but the answer never arrives.
    Deaf(usize),
    /// Stops reading what it was told to give back.
    GiveBack(usize),
    Leave(usize),
    /// Is gone without a word, and its session ends.
    Crash(usize),
    Subscribe(usize, Vec<usize>),
    Grow(usize),
    Recreate(usize),
    /// Leaves, to come back with the next protocol.
    Switch(usize),
}

/// How a member speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Speaks {
    #[default]
    New,
    /// The classic protocol, giving everything back before it joins.
    Eager,
    /// The classic protocol, giving back what it is not assigned any more.
    Cooperative,
}

impl Speaks {
    const ALL: [Self; 3] = [Self::New, Self::Eager, Self::Cooperative];
}

const NAMES: [&str; 3] = ["x", "y", "z"];

#[derive(Debug, Default)]
struct Client {
    id: String,
    epoch: i32,
    /// What it reads at the moment.
    reads: Partitions,
    /// What it was told to read.
    told: Partitions,
    wants: Vec<usize>,
    resubscribed: bool,
    speaks: Speaks,
    /// It was told to join again.
    must_join: bool,
}

struct World {
    group: Consumer,
    shelf: Shelf,
    clients: Vec<Client>,
    ids: u128,
}

impl World {
    fn new(clients: usize) -> Self {
        let mut world =
            Self { group: Consumer::default(), shelf: Shelf::default(), clients: Vec::new(), ids: 10 };
        for name in NAMES {
            world.ids += 1;
            world.shelf.put(name, world.ids, 3);
        }
        let client =
            |n| Client { wants: vec![n % 3, (n + 1) % 3], speaks: Speaks::ALL[n % 3], ..Client::default() };
        world.clients.extend((0..clients).map(client));
        world
    }

    fn beat(&mut self, n: usize, answered: bool) {
        if self.clients[n].speaks != Speaks::New {
            return self.beat_classic(n, answered);
        }
        let client = &mut self.clients[n];
        let names: Vec<&str> = client.wants.iter().map(|topic| NAMES[*topic]).collect();
        let request = if client.epoch == JOINING {
            if client.id.is_empty() {
                self.ids += 1;
                client.id = format!("m{}", self.ids);
            }
            join(&client.id, &names)
        } else {
            let owned = Some(client.reads.clone());
            let (member_epoch, full) = (client.epoch, join(&client.id, &names));
            let short = beat(&client.id, member_epoch, owned.clone());
            if client.resubscribed { Heartbeat { member_epoch, owned, ..full } } else { short }
        };
        let answer = self.group.heartbeat(&request, &self.shelf, LIMITS, 0);
        let client = &mut self.clients[n];
        match answer {
            Ok(_) if !answered => {
                // Whoever has not heard an answer says everything, and so asks for everything.
                client.resubscribed = true;
            }
            Ok(beaten) => {
                (client.epoch, client.resubscribed) = (beaten.member_epoch, false);
                if let Some(told) = beaten.assignment {
                    for (topic, partitions) in &told {
                        client.reads.entry(*topic).or_default().extend(partitions);
                    }
                    client.told = told;
                }
            }
            Err(_) => self.act(&Act::Crash(n)),
        }
    }

    fn beat_classic(&mut self, n: usize, answered: bool) {
        if self.clients[n].epoch != JOINING && !self.clients[n].must_join && !self.clients[n].resubscribed {
            let client = &mut self.clients[n];
            match self.group.beat_classic(&who(&client.id, client.epoch), 0) {
                Ok(()) => {}
                Err(ResponseError::RebalanceInProgress) => client.must_join = true,
                Err(_) => self.act(&Act::Crash(n)),
            }
            return;
        }
        let client = &mut self.clients[n];
        if client.id.is_empty() {
            self.ids += 1;
            client.id = format!("m{}", self.ids);
        }
        if client.speaks == Speaks::Eager {
            client.reads.clear();
            client.told.clear();
        }
        let names: Vec<&str> = client.wants.iter().map(|topic| NAMES[*topic]).collect();
        // Of a topic that was deleted it cannot say anything by name.
        let owned: Vec<(&str, &BTreeSet<i32>)> = NAMES
            .iter()
            .filter_map(|name| Some((*name, client.reads.get(&self.shelf.topics[*name].0)?)))
            .collect();
        let joined = self.group.join_classic(joins(&client.id, &names, &owned), &self.shelf, 100, None, 0);
        let Ok(joined) = joined else { return self.act(&Act::Crash(n)) };
        if !answered {
            client.must_join = true;
            return;
        }
        (client.epoch, client.must_join, client.resubscribed) = (joined.generation, false, false);
        match self.group.sync_classic(&who(&client.id, client.epoch), (None, None), &self.shelf, 0) {
            Ok(synced) => {
                let (told, _) = embedded::assignment(&synced.assignment, &self.shelf).unwrap();
                for (topic, partitions) in &told {
                    client.reads.entry(*topic).or_default().extend(partitions);
                }
                client.told = told;
            }
            Err(ResponseError::RebalanceInProgress) => client.must_join = true,
            Err(_) => self.act(&Act::Crash(n)),
        }
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Beat(n) => self.beat(n, true),
            Act::Deaf(n) => self.beat(n, false),
            Act::GiveBack(n) => self.clients[n].reads = self.clients[n].told.clone(),
            Act::Leave(n) | Act::Crash(n) => {
                let client = &mut self.clients[n];
                // Removed by the broker either way; a member that never joined is not there.
                let _ = self.group.leave(&client.id, None, -1, None);
                *client = Client { wants: client.wants.clone(), speaks: client.speaks, ..Client::default() };
            }
            Act::Switch(n) => {
                self.act(&Act::Leave(n));
                let speaks = self.clients[n].speaks as usize;
                self.clients[n].speaks = Speaks::ALL[(speaks + 1) % Speaks::ALL.len()];
            }
            Act::Subscribe(n, ref wants) => {
                (self.clients[n].wants, self.clients[n].resubscribed) = (wants.clone(), true);
            }
            Act::Grow(topic) => {
                let (id, count) = self.shelf.topics[NAMES[topic]];
                self.shelf.put(NAMES[topic], id.as_u128(), count + 1);
            }
            Act::Recreate(topic) => {
                self.ids += 1;
                self.shelf.put(NAMES[topic], self.ids, 2);
            }
        }
    }

    fn check_readers(&self) {
        let mut readers = BTreeSet::new();
        for client in &self.clients {
            for (topic, partitions) in &client.reads {
                for partition in partitions {
                    assert!(readers.insert((*topic, *partition)), "two read {partition} of {topic}");
                }
            }
        }
    }

    /// Everyone goes on beating and doing what it is told.
    fn calm_down(&mut self) {
        for _ in 0..12 {
            for n in 0..self.clients.len() {
                self.beat(n, true);
                self.check_readers();
                self.act(&Act::GiveBack(n));
            }
        }
    }
}

fn acts(clients: usize) -> impl Strategy<Value = Vec<Act>> {
    let n = 0..clients;
    let act = prop_oneof![
        6 => n.clone().prop_map(Act::Beat),
        1 => n.clone().prop_map(Act::Deaf),
        4 => n.clone().prop_map(Act::GiveBack),
        1 => n.clone().prop_map(Act::Leave),
        1 => n.clone().prop_map(Act::Crash),
        1 => (n, prop::collection::vec(0..3usize, 1..3)).prop_map(|(n, wants)| Act::Subscribe(n, wants)),
        1 => (0..3usize).prop_map(Act::Grow),
        1 => (0..3usize).prop_map(Act::Recreate),
        1 => (0..clients).prop_map(Act::Switch),
    ];
    prop::collection::vec(act, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_partition_has_two_readers_and_in_the_end_each_has_one(acts in acts(4)) {
        let mut world = World::new(4);
        for act in &acts {
            world.act(act);
            world.check_readers();
        }
        world.calm_down();
        prop_assert_eq!(world.group.state(), "Stable");
        let mut expected = BTreeSet::new();
        for client in &world.clients {
            for topic in &client.wants {
                let (id, count) = world.shelf.topics[NAMES[*topic]];
                expected.extend((0..count).map(|partition| (id, partition)));
            }
            prop_assert_eq!(client.epoch, world.group.epoch);
        }
        let read: BTreeSet<(Uuid, i32)> = world
            .clients
            .iter()
            .flat_map(|client| &client.reads)
            .flat_map(|(topic, partitions)| partitions.iter().map(|partition| (*topic, *partition)))
            .collect();
        prop_assert_eq!(read, expected);
        let before = world.group.epoch;
        world.calm_down();
        prop_assert_eq!(world.group.epoch, before, "nothing moves once it is stable");
    }
}
