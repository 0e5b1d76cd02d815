//! Consumer groups as librdkafka forms them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::common::{PATIENCE, consumer, memory, poll_values, producer, send};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use thalweg_broker::{Broker, BrokerConfig};

fn partitions(consumer: &BaseConsumer) -> BTreeSet<i32> {
    consumer.assignment().unwrap().elements().iter().map(|element| element.partition()).collect()
}

/// Polls all consumers until their partitions are as wanted.
fn settle(consumers: &[&BaseConsumer], wanted: impl Fn(&[BTreeSet<i32>]) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let assigned: Vec<_> = consumers.iter().map(|consumer| partitions(consumer)).collect();
        if wanted(&assigned) {
            return;
        }
        assert!(Instant::now() < deadline, "{assigned:?}");
        for consumer in consumers {
            consumer.poll(Duration::from_millis(20));
        }
    }
}

fn shares(strategy: &'static str) {
    let broker = memory();
    broker.create_topic("t", 4).unwrap();
    let member = || {
        consumer(&broker, "g", &["t"], |config| {
            config.set("partition.assignment.strategy", strategy);
        })
    };
    let first = member();
    settle(&[&first], |assigned| assigned[0].len() == 4);
    let second = member();
    settle(&[&first, &second], |assigned| {
        assigned[0].len() == 2 && assigned[1].len() == 2 && assigned[0].is_disjoint(&assigned[1])
    });
    let description = first.fetch_group_list(Some("g"), PATIENCE).unwrap();
    let group = &description.groups()[0];
    assert_eq!((group.state(), group.members().len()), ("Stable", 2));
    drop(second);
    settle(&[&first], |assigned| assigned[0].len() == 4);
}

#[test]
fn two_members_share_and_the_rest_take_over_with_range() {
    shares("range");
}

#[test]
fn two_members_share_and_the_rest_take_over_with_cooperative_sticky() {
    shares("cooperative-sticky");
}

#[test]
fn a_member_that_falls_silent_loses_its_partitions() {
    let properties = [("group.min.session.timeout.ms".to_owned(), "1000".to_owned())].into();
    let broker = Broker::start(BrokerConfig { properties, ..BrokerConfig::default() }).unwrap();
    broker.create_topic("t", 2).unwrap();
    let member = || {
        consumer(&broker, "g", &["t"], |config| {
            config.set("session.timeout.ms", "1000").set("max.poll.interval.ms", "1000");
        })
    };
    let first = member();
    settle(&[&first], |assigned| assigned[0].len() == 2);
    let silent = member();
    settle(&[&first, &silent], |assigned| assigned[0].len() == 1 && assigned[1].len() == 1);
    settle(&[&first], |assigned| assigned[0].len() == 2);
}

#[test]
fn a_restarted_static_member_keeps_its_place() {
    let broker = memory();
    broker.create_topic("t", 2).unwrap();
    let member = |instance: &'static str| {
        consumer(&broker, "g", &["t"], move |config| {
            config.set("group.instance.id", instance);
        })
    };
    let (first, second) = (member("a"), member("b"));
    settle(&[&first, &second], |assigned| assigned[0].len() == 1 && assigned[1].len() == 1);
    let before = partitions(&second);
    drop(second);
    let again = member("b");
    settle(&[&first, &again], |assigned| assigned[0].len() == 1 && assigned[1] == before);
}

#[test]
fn a_group_goes_on_where_it_committed() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let values: Vec<String> = (0..10).map(|n| n.to_string()).collect();
    send(&producer(&broker, |_| {}), "t", &values);
    let first = consumer(&broker, "g", &["t"], |_| {});
    assert_eq!(poll_values(&first, 10), values);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("t", 0, Offset::Offset(7)).unwrap();
    first.commit(&list, CommitMode::Sync).unwrap();
    drop(first);
    assert_eq!(poll_values(&consumer(&broker, "g", &["t"], |_| {}), 3), values[7..]);
}
