//! Groups against Apache Kafka: the same random requests, word by word, and the same answers.
//!
//! ```text
//! scripts/apache-kafka start --config group.consumer.assignment.interval.ms=0 \
//!     --config group.initial.rebalance.delay.ms=0 --config group.consumer.assignor.offload.enable=false
//! KAFKA=127.0.0.1:<port> SEQUENCES=200 cargo test -p thalweg-broker --test versus_kafka -- --ignored --nocapture
//! ```
//!
//! A sequence that differs is printed. `FIRST` is the number of the first one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use common::wire::{Wire, name};
use kafka_protocol::messages::consumer_group_describe_response::Assignment;
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::messages::consumer_protocol_subscription::TopicPartition;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use thalweg_broker::{Broker, BrokerConfig};
use uuid::Uuid;

const TOPICS: [(&str, i32); 2] = [("versus-a", 4), ("versus-b", 3)];
const INSTANCE: &str = "instance";
const MEMBER_ID_REQUIRED: i16 = 79;

type Partitions = BTreeSet<(String, i32)>;

/// What a member believes, by what both brokers have told it.
#[derive(Debug, Clone, Default)]
struct Member {
    /// Epoch or generation; 0 while it is not in the group.
    epoch: i32,
    told: Partitions,
    reads: Partitions,
}

/// One of the two brokers, and one group in it.
struct Side {
    wire: Wire,
    group: GroupId,
    topics: BTreeMap<String, Uuid>,
    /// Ids that the broker gave to members of the classic protocol.
    ids: BTreeMap<&'static str, String>,
}

fn string(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// An answer as it can be compared: without what is random in it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Answer {
    error: i16,
    epoch: i32,
    assignment: Option<Partitions>,
    more: String,
}

impl Side {
    fn new(address: SocketAddr, group: &str) -> Self {
        let mut wire = Wire::connect_to(address);
        let topic = |(topic, partitions): (&str, i32)| {
            CreatableTopic::default()
                .with_name(name(topic))
                .with_num_partitions(partitions)
                .with_replication_factor(1)
        };
        let topics = TOPICS.map(topic).to_vec();
        let request = CreateTopicsRequest::default().with_topics(topics).with_timeout_ms(5_000);
        if wire.call(5, &request).topics.iter().any(|topic| topic.error_code == 0) {
            // Kafka's groups hear of new topics a little later.
            thread::sleep(Duration::from_secs(1));
        }
        let group = GroupId(string(group));
        let find = FindCoordinatorRequest::default().with_coordinator_keys(vec![group.0.clone()]);
        let fetch = OffsetFetchRequest::default().with_group_id(group.clone()).with_topics(None);
        let mut known = BTreeMap::new();
        // Kafka takes a moment for its first group.
        while known.len() < TOPICS.len() || wire.call(5, &fetch).error_code != 0 {
            thread::sleep(Duration::from_millis(50));
            wire.call(4, &find);
            let metadata = wire.call(12, &MetadataRequest::default().with_topics(None));
            let named =
                metadata.topics.into_iter().map(|topic| (topic.name.unwrap().to_string(), topic.topic_id));
            known = named.filter(|(name, _)| name.starts_with("versus")).collect();
        }
        Self { wire, group, topics: known, ids: BTreeMap::new() }
    }

    fn topic(&self, id: Uuid) -> String {
        self.topics.iter().find(|(_, known)| **known == id).unwrap().0.clone()
    }

    /// A heartbeat of the new protocol.
    fn beat(&mut self, id: &str, beat: &Beat<'_>) -> Answer {
        let owned = beat.owned.map(|owned| {
            let owned = owned.iter().map(|(topic, partition)| {
                TopicPartitions::default().with_topic_id(self.topics[topic]).with_partitions(vec![*partition])
            });
            owned.collect()
        });
        let names = beat.topics.map(|topics| topics.iter().map(|topic| name(topic)).collect());
        let request = ConsumerGroupHeartbeatRequest::default()
            .with_group_id(self.group.clone())
            .with_member_id(string(id))
            .with_member_epoch(beat.epoch)
            .with_instance_id(beat.instance.map(string))
            .with_rebalance_timeout_ms(if beat.topics.is_some() { 30_000 } else { -1 })
            .with_subscribed_topic_names(names)
            .with_topic_partitions(owned)
            .with_server_assignor(beat.assignor.map(string));
        let response = self.wire.call(1, &request);
        let assignment = response.assignment.map(|assignment| {
            let topics = assignment.topic_partitions.iter();
            topics.flat_map(|topic| named(&self.topic(topic.topic_id), &topic.partitions)).collect()
        });
        let message = response.error_message.map(|message| message.to_string()).unwrap_or_default();
        // The rest of such a message is an id.
        let message = message.split(" by ").next().unwrap_or_default().to_owned();
        Answer { error: response.error_code, epoch: response.member_epoch, assignment, more: message }
    }

    /// A join in the classic protocol, with the second request that a new member needs.
    fn join(
        &mut self,
        id: &'static str,
        instance: Option<&str>,
        topics: &[&str],
        owned: &Partitions,
    ) -> Answer {
        let owned = owned.iter().map(|(topic, partition)| {
            TopicPartition::default().with_topic(name(topic)).with_partitions(vec![*partition])
        });
        let subscription = ConsumerProtocolSubscription::default()
            .with_topics(topics.iter().map(|topic| string(topic)).collect())
            .with_owned_partitions(owned.collect());
        let mut metadata = BytesMut::new();
        metadata.put_i16(1);
        subscription.encode(&mut metadata, 1).unwrap();
        let metadata = metadata.freeze();
        let protocol = |name: &str| {
            JoinGroupRequestProtocol::default().with_name(string(name)).with_metadata(metadata.clone())
        };
        let request = JoinGroupRequest::default()
            .with_group_id(self.group.clone())
            .with_member_id(string(&self.id(id)))
            .with_group_instance_id(instance.map(string))
            .with_session_timeout_ms(30_000)
            .with_rebalance_timeout_ms(60_000)
            .with_protocol_type(string("consumer"))
            .with_protocols(vec![protocol("range"), protocol("roundrobin")]);
        let mut response = self.wire.call(5, &request);
        if response.error_code == MEMBER_ID_REQUIRED {
            response = self.wire.call(5, &request.with_member_id(response.member_id));
        }
        if response.error_code == 0 {
            self.ids.insert(id, response.member_id.to_string());
        }
        Answer {
            error: response.error_code,
            epoch: response.generation_id,
            assignment: None,
            more: format!("{:?} {} {}", response.protocol_name, response.leader, response.members.len()),
        }
    }

    fn sync(&mut self, id: &'static str, instance: Option<&str>, generation: i32) -> Answer {
        let request = SyncGroupRequest::default()
            .with_group_id(self.group.clone())
            .with_member_id(string(&self.id(id)))
            .with_group_instance_id(instance.map(string))
            .with_generation_id(generation);
        let response = self.wire.call(4, &request);
        let assignment = (response.error_code == 0).then(|| {
            let decoded = ConsumerProtocolAssignment::decode(&mut response.assignment.slice(2..), 1).unwrap();
            let topics = decoded.assigned_partitions.into_iter();
            topics.flat_map(|topic| named(&topic.topic, &topic.partitions)).collect()
        });
        Answer { error: response.error_code, epoch: 0, assignment, more: String::new() }
    }

    fn heartbeat(&mut self, id: &'static str, instance: Option<&str>, generation: i32) -> i16 {
        let request = HeartbeatRequest::default()
            .with_group_id(self.group.clone())
            .with_member_id(string(&self.id(id)))
            .with_group_instance_id(instance.map(string))
            .with_generation_id(generation);
        self.wire.call(4, &request).error_code
    }

    /// Removes members, all at once.
    fn leave(&mut self, members: &[(&'static str, Option<&str>)]) -> (i16, Vec<i16>) {
        let member = |(id, instance): &(&'static str, Option<&str>)| {
            MemberIdentity::default()
                .with_member_id(string(&self.id(id)))
                .with_group_instance_id(instance.map(string))
        };
        let members_left = members.iter().map(member).collect();
        let request =
            LeaveGroupRequest::default().with_group_id(self.group.clone()).with_members(members_left);
        members.iter().for_each(|(id, _)| drop(self.ids.remove(id)));
        let response = self.wire.call(5, &request);
        (response.error_code, response.members.iter().map(|member| member.error_code).collect())
    }

    fn commit(
        &mut self,
        version: i16,
        id: &'static str,
        epoch: i32,
        topic: &str,
        partitions: &[i32],
    ) -> Vec<i16> {
        let partition = |index: &i32| {
            OffsetCommitRequestPartition::default().with_partition_index(*index).with_committed_offset(5)
        };
        let topic = OffsetCommitRequestTopic::default()
            .with_name(name(topic))
            .with_partitions(partitions.iter().map(partition).collect());
        let request = OffsetCommitRequest::default()
            .with_group_id(self.group.clone())
            .with_member_id(string(&self.id(id)))
            .with_generation_id_or_member_epoch(epoch)
            .with_topics(vec![topic]);
        let response = self.wire.call(version, &request);
        response.topics[0].partitions.iter().map(|partition| partition.error_code).collect()
    }

    /// The group, with the names that members of the classic protocol have here.
    fn describe(&mut self) -> Vec<String> {
        let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![self.group.clone()]);
        let group = self.wire.call(1, &request).groups.remove(0);
        let partitions = |assignment: &Assignment| -> Partitions {
            let topics = assignment.topic_partitions.iter();
            topics.flat_map(|topic| named(&topic.topic_name, &topic.partitions)).collect()
        };
        let mut lines: Vec<String> = group
            .members
            .iter()
            .map(|member| {
                let known = self.ids.iter().find(|(_, id)| *id == member.member_id.as_str());
                let id = match known {
                    Some((name, _)) => name,
                    None if member.member_id.len() <= 2 => member.member_id.as_str(),
                    None => "?",
                };
                let (has, target) = (partitions(&member.assignment), partitions(&member.target_assignment));
                let topics: BTreeSet<_> =
                    member.subscribed_topic_names.iter().map(|name| name.as_str()).collect();
                let (epoch, kind) = (member.member_epoch, member.member_type);
                format!("{id} of type {kind} at {epoch} wants {topics:?} has {has:?} shall have {target:?}")
            })
            .collect();
        lines.sort();
        let (epoch, assigned) = (group.group_epoch, group.assignment_epoch);
        let (state, assignor) = (group.group_state, group.assignor_name);
        lines.insert(0, format!("{} {state} {epoch} {assigned} {assignor}", group.error_code));
        lines
    }

    fn id(&self, id: &'static str) -> String {
        // The broker takes the id that a new member gives if the group is a consumer group.
        self.ids.get(id).cloned().unwrap_or_else(|| id.to_owned())
    }
}

fn named(topic: &str, partitions: &[i32]) -> Vec<(String, i32)> {
    partitions.iter().map(|partition| (topic.to_owned(), *partition)).collect()
}

/// What a member of the new protocol says.
#[derive(Debug, Clone, Default)]
struct Beat<'a> {
    epoch: i32,
    instance: Option<&'a str>,
    topics: Option<&'a [&'a str]>,
    owned: Option<&'a Partitions>,
    assignor: Option<&'a str>,
}

/// Numbers that look random and are the same every time.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    fn of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len() as u64) as usize]
    }
}

/// Both brokers, and what has been said to them.
struct Both {
    ours: Side,
    kafka: Side,
    said: Vec<String>,
    random: Random,
    members: BTreeMap<&'static str, Member>,
}

/// The brokers have answered differently.
#[derive(Debug)]
struct Differ;

const EITHER: [&[&str]; 3] = [&["versus-a"], &["versus-b"], &["versus-a", "versus-b"]];

impl Both {
    fn ask<T: Debug + PartialEq>(&mut self, what: String, ask: impl Fn(&mut Side) -> T) -> Result<T, Differ> {
        let (ours, kafka) = (ask(&mut self.ours), ask(&mut self.kafka));
        self.said.push(format!("{what}\n    {ours:?}"));
        if ours == kafka {
            return Ok(ours);
        }
        self.said.push(format!("Kafka says\n    {kafka:?}"));
        Err(Differ)
    }

    fn beat(&mut self, id: &'static str, beat: &Beat<'_>) -> Result<Answer, Differ> {
        let answer = self.ask(format!("{id} {beat:?}"), |side| side.beat(id, beat))?;
        let member = self.members.entry(id).or_default();
        if answer.error == 0 && beat.epoch >= 0 {
            member.epoch = answer.epoch;
            if let Some(told) = &answer.assignment {
                member.told.clone_from(told);
                member.reads.extend(told.iter().cloned());
            }
        } else {
            *member = Member::default();
        }
        Ok(answer)
    }

    /// A member of the new protocol does something that it might do.
    fn new_member(&mut self, id: &'static str, instance: Option<&str>) -> Result<(), Differ> {
        let member = self.members.entry(id).or_default().clone();
        let (none, topics) = (Partitions::new(), self.random.of(&EITHER));
        let beat = Beat { epoch: member.epoch, instance, ..Beat::default() };
        let beat = match self.random.below(6) {
            _ if member.epoch == 0 => {
                Beat { topics: Some(topics), owned: Some(&none), assignor: Some("range"), ..beat }
            }
            0 => beat,
            1 => Beat { topics: Some(topics), owned: Some(&member.reads), ..beat },
            2 => Beat { owned: Some(&member.reads), ..beat },
            // One stays, so that the group does not become a classic one, in which members wait for each other.
            3 if id != "k0" && self.random.once_in(2) => {
                Beat { epoch: if instance.is_some() && self.random.once_in(2) { -2 } else { -1 }, ..beat }
            }
            _ => {
                self.members.entry(id).or_default().reads.clone_from(&member.told);
                Beat { owned: Some(&member.told), ..beat }
            }
        };
        self.beat(id, &beat).map(drop)
    }

    /// A member of the classic protocol does something that it might do.
    fn classic_member(&mut self, id: &'static str, instance: Option<&str>) -> Result<(), Differ> {
        let member = self.members.entry(id).or_default().clone();
        match self.random.below(8) {
            0..3 => {
                let eager = self.random.once_in(2);
                let owned = if eager { Partitions::new() } else { member.told.clone() };
                let topics = self.random.of(&EITHER);
                if instance.is_some() && self.random.once_in(2) {
                    // It was restarted and knows its instance alone.
                    self.ours.ids.insert(id, String::new());
                    self.kafka.ids.insert(id, String::new());
                }
                let what = format!("{id} joins for {topics:?} with {owned:?}");
                let joined = self.ask(what, |side| side.join(id, instance, topics, &owned))?;
                self.members.insert(id, Member { epoch: joined.epoch.max(0), reads: owned, ..member });
                if joined.error != 0 {
                    self.members.remove(id);
                    self.ours.ids.remove(id);
                    self.kafka.ids.remove(id);
                }
            }
            3..5 => {
                let generation = member.epoch - i32::from(self.random.once_in(6));
                let what = format!("{id} syncs in {generation}");
                let synced = self.ask(what, |side| side.sync(id, instance, generation))?;
                if let (Some(told), Some(member)) = (synced.assignment, self.members.get_mut(id)) {
                    member.told = told;
                }
            }
            5..7 => {
                let generation = member.epoch - i32::from(self.random.once_in(6));
                let what = format!("{id} beats in {generation}");
                self.ask(what, |side| side.heartbeat(id, instance, generation))?;
            }
            _ => {
                if self.random.once_in(3) {
                    let all = [(id, instance), ("k2", None), ("s0", Some(INSTANCE))];
                    let members = &all[..1 + self.random.below(3) as usize];
                    self.ask(format!("{members:?} are removed"), |side| side.leave(members))?;
                    members.iter().for_each(|(id, _)| drop(self.members.remove(id)));
                }
            }
        }
        Ok(())
    }

    fn commit(&mut self, id: &'static str) -> Result<(), Differ> {
        let known = self.members.get(id).map_or(0, |member| member.epoch);
        let epoch = known + 1 - self.random.below(4) as i32;
        let version = if self.random.once_in(5) { 8 } else { 9 };
        let topic = self.random.of(&["versus-a", "versus-b"]);
        let first = self.random.below(3) as i32;
        let partitions = if self.random.once_in(2) { vec![first] } else { vec![first, (first + 1) % 3] };
        let what = format!("{id} commits {partitions:?} of {topic} in {epoch}, version {version}");
        self.ask(what, |side| side.commit(version, id, epoch, topic, &partitions)).map(drop)
    }

    /// A request that makes no sense.
    fn nonsense(&mut self) -> Result<(), Differ> {
        let (none, topics) = (Partitions::new(), Some(EITHER[0]));
        let joins = Beat { topics, owned: Some(&none), ..Beat::default() };
        let beats = [
            Beat { assignor: Some("nonsense"), ..joins.clone() },
            Beat { topics: None, ..joins.clone() },
            Beat { owned: None, ..joins.clone() },
            Beat { epoch: -3, ..joins.clone() },
            Beat { epoch: -2, ..Beat::default() },
            Beat { instance: Some(""), ..joins.clone() },
            Beat { epoch: 1, instance: Some("stranger"), ..Beat::default() },
            Beat { epoch: 1, ..Beat::default() },
        ];
        let beat = &beats[self.random.below(beats.len() as u64) as usize];
        self.beat("k9", beat)?;
        self.beat("", &joins).map(drop)
    }

    fn run(&mut self, steps: usize) -> Result<(), Differ> {
        self.new_member("k0", None)?;
        for _ in 0..steps {
            match self.random.below(16) {
                0..6 => {
                    let id = self.random.of(&["k0", "k1", "k2"]);
                    self.new_member(id, None)?;
                }
                6..11 => {
                    let id = self.random.of(&["c0", "c1"]);
                    self.classic_member(id, None)?;
                }
                11..13 => {
                    let id = self.random.of(&["s0", "s1"]);
                    self.new_member(id, Some(INSTANCE))?;
                }
                13 => self.classic_member("c9", Some(INSTANCE))?,
                14 => {
                    let id = self.random.of(&["k0", "k1", "c0", "c1"]);
                    self.commit(id)?;
                }
                _ => self.nonsense()?,
            }
            self.ask("describe".to_owned(), Side::describe)?;
        }
        Ok(())
    }
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
#[ignore = "needs Apache Kafka, see above"]
fn groups_of_both_protocols_are_answered_as_by_kafka() {
    let kafka: SocketAddr = std::env::var("KAFKA").unwrap().parse().unwrap();
    let broker = Broker::start(BrokerConfig::default()).unwrap();
    let (first, sequences) = (number("FIRST", 1), number("SEQUENCES", 20));
    let mut different = 0;
    for sequence in first..first + sequences {
        let group = format!("versus-{}-{sequence}", std::process::id());
        let mut both = Both {
            ours: Side::new(broker.address(), &group),
            kafka: Side::new(kafka, &group),
            said: Vec::new(),
            random: Random(sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            members: BTreeMap::new(),
        };
        if both.run(60).is_err() {
            println!("sequence {sequence}\n{}", both.said.join("\n"));
            different += 1;
        }
    }
    assert_eq!(different, 0, "of {sequences} sequences");
}
