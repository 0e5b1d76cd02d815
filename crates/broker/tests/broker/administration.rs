//! What one node can truthfully say to those who administer a cluster.

use crate::common::memory;
use crate::common::wire::{Wire, name};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use thalweg_broker::{Broker, BrokerConfig, Storage};

fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

#[test]
fn no_election_is_needed() {
    let broker = memory();
    broker.create_topic("t", 2).unwrap();
    let mut wire = Wire::connect(&broker);
    let topics = [("t", vec![0, 1, 2]), ("none", vec![0])];
    let topics = topics.map(|(topic, partitions)| {
        TopicPartitions::default().with_topic(name(topic)).with_partitions(partitions)
    });
    let (needless, unknown) = (ResponseError::ElectionNotNeeded, ResponseError::UnknownTopicOrPartition);
    let expected = [vec![needless, needless, unknown], vec![unknown]]
        .map(|errors| errors.iter().map(ResponseError::code).collect::<Vec<_>>());
    for version in 0..=2 {
        let request = ElectLeadersRequest::default().with_topic_partitions(Some(topics.to_vec()));
        let response = wire.call(version, &request);
        let codes: Vec<Vec<i16>> = response
            .replica_election_results
            .iter()
            .map(|topic| topic.partition_result.iter().map(|partition| partition.error_code).collect())
            .collect();
        assert_eq!((response.error_code, &codes[..]), (0, &expected[..]));
        // Of all partitions, only those are told where there was something to elect.
        let all = wire.call(version, &ElectLeadersRequest::default().with_topic_partitions(None));
        assert!(all.error_code == 0 && all.replica_election_results.is_empty());
    }
}

#[test]
fn partitions_go_nowhere() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    let mut reassign = |topic: &str, index: i32, replicas: Option<&[i32]>| {
        let replicas = replicas.map(|replicas| replicas.iter().map(|id| BrokerId(*id)).collect());
        let partition = ReassignablePartition::default().with_partition_index(index).with_replicas(replicas);
        let topic = ReassignableTopic::default().with_name(name(topic)).with_partitions(vec![partition]);
        let request = AlterPartitionReassignmentsRequest::default().with_topics(vec![topic]);
        let response = wire.call(0, &request);
        assert_eq!(response.error_code, 0);
        response.responses[0].partitions[0].error_code
    };
    assert_eq!(reassign("t", 0, Some(&[1])), 0);
    assert_eq!(reassign("t", 0, Some(&[2])), ResponseError::InvalidReplicaAssignment.code());
    assert_eq!(reassign("t", 0, Some(&[])), ResponseError::InvalidReplicaAssignment.code());
    assert_eq!(reassign("t", 0, None), ResponseError::NoReassignmentInProgress.code());
    assert_eq!(reassign("t", 1, None), ResponseError::UnknownTopicOrPartition.code());
    assert_eq!(reassign("none", 0, Some(&[1])), ResponseError::UnknownTopicOrPartition.code());
}

#[test]
fn there_is_no_authorizer() {
    let broker = memory();
    let mut wire = Wire::connect(&broker);
    let disabled = ResponseError::SecurityDisabled.code();
    let create = CreateAclsRequest::default().with_creations(vec![Default::default(); 2]);
    let delete = DeleteAclsRequest::default().with_filters(vec![Default::default(); 3]);
    for version in 1..=3 {
        let described = wire.call(version, &DescribeAclsRequest::default());
        assert_eq!((described.error_code, described.resources.len()), (disabled, 0));
        let created = wire.call(version, &create).results;
        assert_eq!(created.iter().map(|result| result.error_code).collect::<Vec<_>>(), [disabled; 2]);
        let deleted = wire.call(version, &delete).filter_results;
        assert_eq!(deleted.iter().map(|result| result.error_code).collect::<Vec<_>>(), [disabled; 3]);
    }
}

/// Kind and name of whom a quota is for.
type Entity<'a> = &'a [(&'a str, Option<&'a str>)];

fn alter(wire: &mut Wire, entity: Entity<'_>, ops: &[(&str, Option<f64>)], validate_only: bool) -> i16 {
    use alter_client_quotas_request::{EntityData, EntryData, OpData};
    let entity = entity.iter().map(|(kind, name)| {
        EntityData::default().with_entity_type(text(kind)).with_entity_name(name.map(text))
    });
    let ops = ops.iter().map(|(key, value)| {
        OpData::default()
            .with_key(text(key))
            .with_value(value.unwrap_or_default())
            .with_remove(value.is_none())
    });
    let entry = EntryData::default().with_entity(entity.collect()).with_ops(ops.collect());
    let request =
        AlterClientQuotasRequest::default().with_entries(vec![entry]).with_validate_only(validate_only);
    wire.call(1, &request).entries.remove(0).error_code
}

/// The quotas of everything that fits, as `user=alice,client-id=<default>: key=value`.
fn described(wire: &mut Wire, wanted: &[(&str, i8, Option<&str>)], strict: bool) -> Vec<String> {
    use describe_client_quotas_request::ComponentData;
    let components = wanted.iter().map(|(kind, how, name)| {
        ComponentData::default().with_entity_type(text(kind)).with_match_type(*how).with_match(name.map(text))
    });
    let request =
        DescribeClientQuotasRequest::default().with_components(components.collect()).with_strict(strict);
    let response = wire.call(1, &request);
    assert_eq!(response.error_code, 0);
    let mut all: Vec<String> = Vec::new();
    for entry in response.entries.unwrap() {
        let mut entity: Vec<String> = Vec::new();
        for part in &entry.entity {
            let name = part.entity_name.as_ref().map_or("<default>", |name| name.as_str());
            entity.push(format!("{}={name}", part.entity_type.as_str()));
        }
        let values: Vec<String> =
            entry.values.iter().map(|value| format!("{}={}", value.key.as_str(), value.value)).collect();
        all.push(format!("{}: {}", entity.join(","), values.join(",")));
    }
    all.sort();
    all
}

#[test]
fn quotas_are_kept_and_described() {
    let data = tempfile::tempdir().unwrap();
    let open = || {
        let storage = Storage::Directory(data.path().to_owned());
        Broker::start(BrokerConfig { storage, ..BrokerConfig::default() }).unwrap()
    };
    let broker = open();
    let mut wire = Wire::connect(&broker);
    let alice: Entity<'_> = &[("user", Some("alice"))];
    let both: Entity<'_> = &[("user", Some("alice")), ("client-id", None)];
    let rates = [("producer_byte_rate", Some(1024.0)), ("request_percentage", Some(12.5))];
    assert_eq!(alter(&mut wire, alice, &rates, false), 0);
    assert_eq!(alter(&mut wire, both, &[("consumer_byte_rate", Some(2048.0))], false), 0);
    assert_eq!(alter(&mut wire, &[("ip", None)], &[("connection_creation_rate", Some(7.0))], false), 0);
    assert_eq!(alter(&mut wire, alice, &[("consumer_byte_rate", Some(1.0))], true), 0, "only a question");
    drop((wire, broker));

    let broker = open();
    let mut wire = Wire::connect(&broker);
    let of_alice = "user=alice: producer_byte_rate=1024,request_percentage=12.5";
    let of_both = "client-id=<default>,user=alice: consumer_byte_rate=2048";
    let of_ips = "ip=<default>: connection_creation_rate=7";
    assert_eq!(described(&mut wire, &[], false), [of_both, of_ips, of_alice]);
    assert_eq!(described(&mut wire, &[("user", 0, Some("alice"))], false), [of_both, of_alice]);
    assert_eq!(described(&mut wire, &[("user", 0, Some("alice"))], true), [of_alice]);
    assert_eq!(described(&mut wire, &[("client-id", 1, None)], false), [of_both]);
    assert_eq!(described(&mut wire, &[("ip", 2, None)], true), [of_ips]);
    assert!(described(&mut wire, &[("user", 1, None)], false).is_empty());

    assert_eq!(
        alter(&mut wire, both, &[("consumer_byte_rate", None), ("request_percentage", None)], false),
        0
    );
    assert_eq!(described(&mut wire, &[], false), [of_ips, of_alice]);
    let invalid = ResponseError::InvalidRequest.code();
    type Rates<'a> = &'a [(&'a str, Option<f64>)];
    let rate: Rates<'_> = &[("producer_byte_rate", Some(1.0))];
    let wrong: [(Entity<'_>, Rates<'_>); 9] = [
        (&[], rate),
        (&[("planet", Some("x"))], rate),
        (&[("user", Some(""))], rate),
        (&[("user", Some("a")), ("ip", Some("127.0.0.1"))], rate),
        (&[("ip", Some("127.0.0.1"))], rate),
        (&[("ip", Some("not an address"))], &[("connection_creation_rate", Some(1.0))]),
        (alice, &[("producer_byte_rate", Some(0.5))]),
        (alice, &[("producer_byte_rate", Some(-1.0))]),
        (alice, &[("producer_byte_rate", Some(1.0)), ("producer_byte_rate", None)]),
    ];
    for (entity, ops) in wrong {
        assert_eq!(alter(&mut wire, entity, ops, false), invalid, "{entity:?} {ops:?}");
    }
    assert_eq!(described(&mut wire, &[], false), [of_ips, of_alice]);
}
