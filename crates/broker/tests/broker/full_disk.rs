//! What groups cannot write down has not happened.

use std::path::Path;
use std::time::Duration;

use crate::common::group::{
    beat, classic, commit, fetch, group, heartbeat, join, listed, partitions, share, sync, types,
};
use crate::common::memory;
use crate::common::wire::Wire;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::*;
use thalweg_broker::{Broker, BrokerConfig, Storage};

const UNAVAILABLE: i16 = ResponseError::CoordinatorNotAvailable.code();
const REBALANCE: i16 = ResponseError::RebalanceInProgress.code();

fn open(data: &Path) -> Broker {
    let storage = Storage::Directory(data.to_owned());
    let broker = Broker::start(BrokerConfig { storage, ..BrokerConfig::default() }).unwrap();
    // It is there after a restart.
    let _ = broker.create_topic("t", 1);
    broker
}

fn fill(broker: &Broker) {
    broker.faults().fill_disk("__consumer_offsets", 0).unwrap();
}

fn free(broker: &Broker) {
    broker.faults().free_disk("__consumer_offsets", 0).unwrap();
}

#[test]
fn in_memory_there_is_always_room() {
    assert!(memory().faults().fill_disk("__consumer_offsets", 0).is_err());
}

#[test]
fn offsets_are_not_committed() {
    let data = tempfile::tempdir().unwrap();
    let broker = open(data.path());
    let mut wire = Wire::connect(&broker);
    fill(&broker);
    assert_eq!(commit(&mut wire, 9, "", -1), UNAVAILABLE);
    assert_eq!((fetch(&mut wire), listed(&mut wire)), (-1, String::new()));
    free(&broker);
    assert_eq!(commit(&mut wire, 9, "", -1), 0);
    fill(&broker);
    let delete = DeleteGroupsRequest::default().with_groups_names(vec![group()]);
    assert_eq!(wire.call(2, &delete).results[0].error_code, UNAVAILABLE);
    assert_eq!(fetch(&mut wire), 7);
}

#[test]
fn members_of_a_classic_group_do_not_get_their_shares_and_try_again() {
    let data = tempfile::tempdir().unwrap();
    let broker = open(data.path());
    let mut wire = Wire::connect(&broker);
    fill(&broker);
    let joined = wire.call(3, &join("", None));
    assert_eq!((joined.error_code, joined.generation_id), (0, 1), "nothing has to be written down yet");
    assert_eq!(wire.call(3, &sync(&joined.member_id, 1, None, &share(0))).error_code, UNAVAILABLE);
    assert_eq!(heartbeat(&mut wire, &joined.member_id, 1), REBALANCE);
    free(&broker);
    assert_eq!(wire.call(3, &join(&joined.member_id, None)).generation_id, 2);
    assert_eq!(wire.call(3, &sync(&joined.member_id, 2, None, &share(0))).error_code, 0);
    assert_eq!(listed(&mut wire), "classic Stable");
}

#[test]
fn a_static_member_is_not_replaced() {
    let data = tempfile::tempdir().unwrap();
    let broker = open(data.path());
    let mut wire = Wire::connect(&broker);
    let old = classic(&mut wire, Some("i"), &share(0));
    fill(&broker);
    assert_eq!(wire.call(5, &join("", Some("i"))).error_code, UNAVAILABLE);
    assert_eq!(wire.call(4, &sync(&old, 1, Some("i"), b"")).error_code, 0, "it is still the one");
    free(&broker);
    let new = wire.call(5, &join("", Some("i")));
    assert_eq!((new.error_code, new.generation_id), (0, 1));
    let fenced = wire.call(4, &sync(&old, 1, Some("i"), b"")).error_code;
    assert_eq!(fenced, ResponseError::FencedInstanceId.code());
}

#[test]
fn a_consumer_group_stays_as_it_was() {
    let data = tempfile::tempdir().unwrap();
    let broker = open(data.path());
    let mut wire = Wire::connect(&broker);
    fill(&broker);
    assert_eq!(wire.call(1, &beat("a", 0, None)).error_code, UNAVAILABLE);
    assert_eq!(listed(&mut wire), "", "there is no group yet");
    free(&broker);
    assert_eq!(wire.call(1, &beat("a", 0, None)).member_epoch, 2);
    fill(&broker);
    assert_eq!(wire.call(1, &beat("b", 0, None)).error_code, UNAVAILABLE);
    assert_eq!(types(&mut wire), [("a".to_owned(), 1)]);
    let beaten = wire.call(1, &beat("a", 2, None));
    assert_eq!((beaten.error_code, beaten.member_epoch), (0, 2), "it has not noticed");
    assert_eq!(beaten.assignment.unwrap().topic_partitions[0].partitions, [0]);
    assert_eq!(wire.call(1, &beat("a", -1, None)).error_code, UNAVAILABLE);
    broker.faults().advance_clock(Duration::from_secs(46));
    assert_eq!(types(&mut wire).len(), 1, "it cannot be removed either");
    free(&broker);
    assert_eq!(wire.call(1, &beat("b", 0, None)).member_epoch, 3);
    broker.faults().advance_clock(Duration::from_secs(46));
    assert_eq!(listed(&mut wire), "consumer Empty", "until there is room");
    drop(broker);
    let broker = open(data.path());
    assert_eq!(listed(&mut Wire::connect(&broker)), "consumer Empty");
}

#[test]
fn a_group_keeps_its_protocol() {
    let data = tempfile::tempdir().unwrap();
    let broker = open(data.path());
    let mut wire = Wire::connect(&broker);
    let old = classic(&mut wire, None, &share(0));
    fill(&broker);
    assert_eq!(wire.call(1, &beat("new", 0, None)).error_code, UNAVAILABLE);
    assert_eq!((heartbeat(&mut wire, &old, 1), listed(&mut wire).as_str()), (0, "classic Stable"));
    free(&broker);
    assert_eq!(wire.call(1, &beat("new", 0, None)).error_code, 0);
    fill(&broker);
    assert_eq!(wire.call(1, &beat("new", -1, None)).error_code, UNAVAILABLE);
    assert_eq!(listed(&mut wire), "consumer Reconciling", "nobody has left");
    assert_eq!(heartbeat(&mut wire, &old, 1), REBALANCE);
    free(&broker);
    assert_eq!(wire.call(5, &join(&old, None)).generation_id, 2);
    let synced = wire.call(4, &sync(&old, 2, None, b""));
    assert_eq!(partitions(&synced.assignment), [0]);
    assert_eq!(wire.call(1, &beat("new", -1, None)).error_code, 0);
    assert_eq!(listed(&mut wire), "classic PreparingRebalance");
}

#[test]
fn that_nobody_is_left_is_written_down_as_soon_as_there_is_room() {
    let data = tempfile::tempdir().unwrap();
    let broker = open(data.path());
    let mut wire = Wire::connect(&broker);
    let old = classic(&mut wire, None, &share(0));
    fill(&broker);
    let leave = LeaveGroupRequest::default().with_group_id(group()).with_member_id(old);
    assert_eq!(wire.call(2, &leave).error_code, UNAVAILABLE);
    assert_eq!(listed(&mut wire), "classic Empty", "it has gone all the same");
    free(&broker);
    broker.faults().advance_clock(Duration::from_secs(1));
    drop(broker);
    let broker = open(data.path());
    assert_eq!(listed(&mut Wire::connect(&broker)), "classic Empty");
}
