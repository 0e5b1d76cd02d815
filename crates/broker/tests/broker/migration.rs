//! Groups with members that change from the classic protocol to the new one (KIP-848) and back: as librdkafka does
//! it, and word by word.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::common::group::{
    beat, classic, commit, group, heartbeat, join, listed, partitions, share, string, sync, types,
};
use crate::common::wire::Wire;
use crate::common::{PATIENCE, config, producer, send};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::*;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use thalweg_broker::{Broker, BrokerConfig, Storage};

/// A broker whose members of consumer groups beat often.
fn start(storage: Storage, policy: &str) -> Broker {
    let set = [
        ("group.consumer.min.heartbeat.interval.ms", "100"),
        ("group.consumer.heartbeat.interval.ms", "100"),
        ("group.consumer.migration.policy", policy),
    ];
    let properties = set.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Broker::start(BrokerConfig { properties, storage, ..BrokerConfig::default() }).unwrap()
}

/// A consumer that notes what it reads.
struct Reader {
    consumer: BaseConsumer,
    values: Vec<String>,
}

impl Reader {
    fn new(broker: &Broker, set: &[(&str, &str)]) -> Self {
        let mut config = config(broker);
        config.set("group.id", "g").set("auto.offset.reset", "earliest").set("enable.auto.commit", "false");
        for (name, value) in set {
            config.set(*name, *value);
        }
        let consumer: BaseConsumer = config.create().unwrap();
        consumer.subscribe(&["t"]).unwrap();
        Self { consumer, values: Vec::new() }
    }

    fn assigned(&self) -> BTreeSet<i32> {
        self.consumer.assignment().unwrap().elements().iter().map(|element| element.partition()).collect()
    }

    fn poll(&mut self) {
        if let Some(Ok(message)) = self.consumer.poll(Duration::from_millis(10)) {
            self.values.push(String::from_utf8(message.payload().unwrap().to_vec()).unwrap());
            // What fails because the group is changing is read again.
            let _ = self.consumer.commit_message(&message, CommitMode::Sync);
        }
    }
}

/// Polls until all four partitions are divided evenly.
fn settle(readers: &mut [&mut Reader]) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let shares: Vec<BTreeSet<i32>> = readers.iter().map(|reader| reader.assigned()).collect();
        let all: BTreeSet<&i32> = shares.iter().flatten().collect();
        let even = shares.iter().all(|share| share.len() == 4 / shares.len());
        if all.len() == 4 && even {
            return;
        }
        assert!(Instant::now() < deadline, "{shares:?}");
        readers.iter_mut().for_each(|reader| reader.poll());
    }
}

/// Polls until the group is of this type and in this state.
fn wait_for(wire: &mut Wire, readers: &mut [&mut Reader], wanted: &str) {
    let deadline = Instant::now() + PATIENCE;
    while listed(wire) != wanted {
        assert!(Instant::now() < deadline, "{}", listed(wire));
        readers.iter_mut().for_each(|reader| reader.poll());
    }
}

/// Polls until everything has been read by someone.
fn read(readers: &mut [&mut Reader], values: &[String], already: &mut BTreeSet<String>) {
    let deadline = Instant::now() + PATIENCE;
    while !values.iter().all(|value| already.contains(value)) {
        assert!(Instant::now() < deadline, "{} of {}", already.len(), values.len());
        for reader in readers.iter_mut() {
            reader.poll();
            already.extend(reader.values.drain(..));
        }
    }
}

const RANGE: Protocol = &[("partition.assignment.strategy", "range"), HEARTBEAT];
const COOPERATIVE: Protocol = &[("partition.assignment.strategy", "cooperative-sticky"), HEARTBEAT];
const NEW: Protocol = &[("group.protocol", "consumer")];

type Protocol = &'static [(&'static str, &'static str)];
const HEARTBEAT: (&str, &str) = ("heartbeat.interval.ms", "100");

/// Two members are replaced one by one by members of the other protocol, in one round or more, while records are read
/// and offsets committed.
fn migrate(rounds: &[Protocol]) {
    let broker = start(Storage::Memory, "bidirectional");
    broker.create_topic("t", 4).unwrap();
    let mut wire = Wire::connect(&broker);
    let sender = producer(&broker, |_| {});
    let (mut values, mut already) = (Vec::new(), BTreeSet::new());
    let more = |values: &mut Vec<String>| {
        let new: Vec<String> = (0..20).map(|n| (values.len() + n).to_string()).collect();
        send(&sender, "t", &new);
        values.extend(new);
    };
    let mut one = Reader::new(&broker, rounds[0]);
    let mut two = Reader::new(&broker, rounds[0]);
    settle(&mut [&mut one, &mut two]);
    for following in &rounds[1..] {
        more(&mut values);
        let mut three = Reader::new(&broker, following);
        drop(one);
        settle(&mut [&mut two, &mut three]);
        more(&mut values);
        wait_for(&mut wire, &mut [&mut two, &mut three], "consumer Stable");
        let mut speak: Vec<i8> = types(&mut wire).into_iter().map(|(_, kind)| kind).collect();
        speak.sort();
        assert_eq!(speak, [0, 1], "one of each");
        read(&mut [&mut two, &mut three], &values, &mut already);
        let mut four = Reader::new(&broker, following);
        drop(two);
        settle(&mut [&mut three, &mut four]);
        more(&mut values);
        let kind = if *following == NEW { "consumer Stable" } else { "classic Stable" };
        wait_for(&mut wire, &mut [&mut three, &mut four], kind);
        read(&mut [&mut three, &mut four], &values, &mut already);
        (one, two) = (three, four);
    }
    drop((one, two));
    let mut last = Reader::new(&broker, NEW);
    let end = Instant::now() + PATIENCE;
    while last.assigned().len() < 4 {
        assert!(Instant::now() < end);
        last.poll();
    }
    let committed = last.consumer.committed(PATIENCE).unwrap();
    let sum: i64 = committed.elements().iter().map(|at| at.offset().to_raw().unwrap_or(0).max(0)).sum();
    assert!(sum > 0 && sum <= values.len() as i64, "{committed:?}");
}

#[test]
fn members_are_replaced_one_by_one_there_and_back() {
    migrate(&[RANGE, NEW, RANGE]);
}

/// Not the other way round: librdkafka leaves a note in each assignment, see below.
#[test]
fn members_are_replaced_one_by_one_by_such_that_rebalance_cooperatively() {
    migrate(&[NEW, COOPERATIVE]);
}

const REBALANCE: i16 = ResponseError::RebalanceInProgress.code();

#[test]
fn a_classic_member_goes_on_in_the_group_that_its_group_has_become() {
    let broker = start(Storage::Memory, "bidirectional");
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    let old = classic(&mut wire, None, &share(0));
    let joined = wire.call(1, &beat("new", 0, None));
    assert_eq!((joined.error_code, joined.member_epoch), (0, 2), "{:?}", joined.error_message);
    assert_eq!(joined.assignment.unwrap().topic_partitions, [], "the other has what there is");
    assert_eq!(listed(&mut wire), "consumer Reconciling");
    assert_eq!(types(&mut wire), [("new".to_owned(), 1), (old.to_string(), 0)]);
    assert_eq!(commit(&mut wire, 8, &old, 1), 0, "in the generation that it knows");
    assert_eq!(commit(&mut wire, 9, "new", 2), 0);
    assert_eq!(commit(&mut wire, 8, "new", 2), ResponseError::UnsupportedVersion.code());
    assert_eq!(heartbeat(&mut wire, &old, 1), REBALANCE);
    let again = wire.call(5, &join(&old, None));
    assert_eq!((again.error_code, again.generation_id, again.leader.as_str()), (0, 2, ""));
    let synced = wire.call(4, &sync(&old, 2, None, b""));
    assert_eq!((synced.error_code, partitions(&synced.assignment)), (0, vec![0]), "as it had");
    assert_eq!(heartbeat(&mut wire, &old, 2), 0);
    let left = wire.call(1, &beat("new", -1, None));
    assert_eq!(left.error_code, 0);
    assert_eq!(listed(&mut wire), "classic PreparingRebalance");
    assert_eq!(heartbeat(&mut wire, &old, 2), REBALANCE);
    let again = wire.call(5, &join(&old, None));
    assert_eq!((again.error_code, again.generation_id, &again.leader), (0, 3, &old), "now it leads again");
}

#[test]
fn a_group_keeps_its_protocol_where_the_policy_says_so() {
    let not_found = ResponseError::GroupIdNotFound.code();
    for (policy, upgrades, downgrades) in
        [("disabled", false, false), ("upgrade", true, false), ("downgrade", false, true)]
    {
        let broker = start(Storage::Memory, policy);
        broker.create_topic("t", 1).unwrap();
        let mut wire = Wire::connect(&broker);
        let old = classic(&mut wire, None, &share(0));
        let joined = wire.call(1, &beat("new", 0, None));
        assert_eq!(joined.error_code, if upgrades { 0 } else { not_found }, "{policy}");
        if !upgrades {
            let why = joined.error_message.unwrap();
            assert!(why.contains("online upgrade is disabled"), "{why}");
            assert_eq!(heartbeat(&mut wire, &old, 1), 0);
            let leave = LeaveGroupRequest::default().with_group_id(group()).with_member_id(old);
            assert_eq!(wire.call(2, &leave).error_code, 0);
            assert_eq!(wire.call(1, &beat("new", 0, None)).error_code, 0, "an empty group may always change");
            let joined = wire.call(3, &join("", None));
            assert_eq!(joined.error_code, 0, "and its first classic member may come in any case");
        }
        wire.call(1, &beat("new", -1, None));
        let kind = listed(&mut wire);
        assert_eq!(kind.starts_with("classic"), downgrades, "{policy}: {kind}");
    }
}

#[test]
fn groups_that_only_their_members_understand_are_not_upgraded() {
    let broker = start(Storage::Memory, "bidirectional");
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    let refused = |wire: &mut Wire, why: &str| {
        let joined = wire.call(1, &beat("new", 0, None));
        assert_eq!(joined.error_code, ResponseError::GroupIdNotFound.code());
        let message = joined.error_message.unwrap();
        assert!(message.contains(why), "{message}");
    };
    let old = classic(&mut wire, None, &share(3));
    refused(&mut wire, "custom assignor");
    assert_eq!(heartbeat(&mut wire, &old, 1), 0, "it has not noticed");
    wire.call(2, &LeaveGroupRequest::default().with_group_id(group()).with_member_id(old));
    let connect = join("", None).with_protocol_type(string("connect"));
    assert_eq!(wire.call(3, &connect).error_code, 0);
    refused(&mut wire, "does not use the consumer embedded protocol");
}

#[test]
fn a_static_member_is_replaced_by_itself_in_the_other_protocol() {
    let broker = start(Storage::Memory, "bidirectional");
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    let i = Some("i");
    let old = classic(&mut wire, i, &share(0));
    let joined = wire.call(1, &beat("new", 0, i));
    assert_eq!((joined.error_code, joined.member_epoch), (0, 1), "it wants the same, so nothing moves");
    assert_eq!(joined.assignment.unwrap().topic_partitions[0].partitions, [0]);
    assert_eq!(types(&mut wire), [("new".to_owned(), 1)]);
    assert_eq!(heartbeat(&mut wire, &old, 1), ResponseError::UnknownMemberId.code());
    let back = wire.call(5, &join("", i));
    assert_eq!((back.error_code, back.generation_id), (0, 1));
    assert_eq!(listed(&mut wire), "classic Stable", "nobody has to divide anew");
    let synced = wire.call(4, &sync(&back.member_id, 1, i, b""));
    assert_eq!((synced.error_code, partitions(&synced.assignment)), (0, vec![0]));
}

#[test]
fn members_that_wait_in_the_classic_group_are_told_to_join_again() {
    let broker = start(Storage::Memory, "bidirectional");
    broker.create_topic("t", 1).unwrap();
    let (mut wire, mut waiting) = (Wire::connect(&broker), Wire::connect(&broker));
    let old = classic(&mut wire, None, &share(0));
    let id = waiting.call(5, &join("", None)).member_id;
    waiting.send(5, &join(&id, None));
    while heartbeat(&mut wire, &old, 1) != REBALANCE {}
    assert_eq!(wire.call(1, &beat("new", 0, None)).error_code, 0);
    let told = waiting.receive::<JoinGroupRequest>(5);
    assert_eq!((told.error_code, told.member_id), (REBALANCE, id.clone()));
    assert_eq!(waiting.call(5, &join(&id, None)).error_code, 0);
    assert_eq!(types(&mut wire).len(), 3);
}

#[test]
fn a_group_of_both_protocols_goes_on_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let open = |data: &Path| start(Storage::Directory(data.to_owned()), "bidirectional");
    let old = {
        let broker = open(data.path());
        broker.create_topic("t", 2).unwrap();
        let mut wire = Wire::connect(&broker);
        let old = classic(&mut wire, None, &share(0));
        assert_eq!(wire.call(1, &beat("new", 0, None)).member_epoch, 2);
        old
    };
    let broker = open(data.path());
    let mut wire = Wire::connect(&broker);
    assert_eq!(types(&mut wire), [("new".to_owned(), 1), (old.to_string(), 0)]);
    assert_eq!(heartbeat(&mut wire, &old, 1), REBALANCE, "in the generation that it knew");
    assert_eq!(wire.call(5, &join(&old, None)).generation_id, 2);
    let synced = wire.call(4, &sync(&old, 2, None, b""));
    let beaten = wire.call(1, &beat("new", 2, None));
    let mine = beaten.assignment.unwrap().topic_partitions.remove(0).partitions;
    assert_eq!([partitions(&synced.assignment), mine], [[0], [1]], "each has one");
    wire.call(1, &beat("new", -1, None));
    drop(broker);
    let broker = open(data.path());
    let mut wire = Wire::connect(&broker);
    assert_eq!(heartbeat(&mut wire, &old, 2), REBALANCE, "it has not divided anew yet");
    assert_eq!(wire.call(5, &join(&old, None)).generation_id, 3);
    assert_eq!(listed(&mut wire), "classic CompletingRebalance");
}
