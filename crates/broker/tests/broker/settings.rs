//! Settings of topics, the broker and groups, as clients alter and read them.

use std::collections::BTreeMap;
use std::path::Path;

use crate::common::wire::{NO_PRODUCER, Wire, batch, name};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{
    CreateTopicsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest, ListConfigResourcesRequest,
};
use kafka_protocol::protocol::StrBytes;
use thalweg_broker::{Broker, BrokerConfig, BrokerError, Storage};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const GROUP: i8 = 32;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn start(data: &Path, properties: &[(&str, &str)]) -> Result<Broker, BrokerError> {
    let properties: BTreeMap<String, String> =
        properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let storage = Storage::Directory(data.to_owned());
    Broker::start(BrokerConfig { storage, properties, ..BrokerConfig::default() })
}

/// Alters one setting; returns what the broker has to say about it.
fn alter(
    wire: &mut Wire,
    (kind, of): (i8, &str),
    (setting, operation, value): (&str, i8, Option<&str>),
) -> Result<(), (i16, String)> {
    let config = AlterableConfig::default()
        .with_name(text(setting))
        .with_config_operation(operation)
        .with_value(value.map(text));
    let resource = AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(of))
        .with_configs(vec![config]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let response = wire.call(1, &request).responses.remove(0);
    match response.error_code {
        0 => Ok(()),
        code => Err((code, response.error_message.unwrap().to_string())),
    }
}

fn describe(wire: &mut Wire, (kind, of): (i8, &str), setting: &str) -> DescribeConfigsResourceResult {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(of))
        .with_configuration_keys(Some(vec![text(setting)]));
    let request =
        DescribeConfigsRequest::default().with_resources(vec![resource]).with_include_synonyms(true);
    let mut result = wire.call(4, &request).results.remove(0);
    assert_eq!(result.error_code, 0, "{:?}", result.error_message);
    result.configs.remove(0)
}

/// The value, and where it and those below it come from.
fn value(wire: &mut Wire, of: (i8, &str), setting: &str) -> (String, Vec<i8>) {
    let described = describe(wire, of, setting);
    let sources = described.synonyms.iter().map(|synonym| synonym.source).collect();
    (described.value.unwrap().to_string(), sources)
}

#[test]
fn settings_of_a_topic_are_altered_while_it_is_used_and_outlive_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let broker = start(data.path(), &[]).unwrap();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    let long = || batch(&[&"x".repeat(2_000)], NO_PRODUCER, false);
    assert_eq!(wire.produce("t", long(), None).error_code, 0);
    alter(&mut wire, (TOPIC, "t"), ("max.message.bytes", SET, Some("1000"))).unwrap();
    alter(&mut wire, (TOPIC, "t"), ("cleanup.policy", APPEND, Some("compact"))).unwrap();
    let check = |wire: &mut Wire| {
        let refused = wire.produce("t", long(), None).error_code;
        assert_eq!(refused, ResponseError::MessageTooLarge.code());
        let size = value(wire, (TOPIC, "t"), "max.message.bytes");
        assert_eq!(size, ("1000".to_owned(), vec![1, 5]));
        let policy = value(wire, (TOPIC, "t"), "cleanup.policy");
        assert_eq!(policy, ("delete,compact".to_owned(), vec![1, 5]));
    };
    check(&mut wire);
    drop(broker);
    let broker = start(data.path(), &[]).unwrap();
    let mut wire = Wire::connect(&broker);
    check(&mut wire);
    alter(&mut wire, (TOPIC, "t"), ("max.message.bytes", DELETE, None)).unwrap();
    let keyless = wire.produce("t", long(), None).error_code;
    assert_eq!(keyless, ResponseError::InvalidRecord.code(), "it is short enough, and lacks a key");
    alter(&mut wire, (TOPIC, "t"), ("cleanup.policy", SET, Some("delete"))).unwrap();
    assert_eq!(wire.produce("t", long(), None).error_code, 0);
}

#[test]
fn topics_follow_the_broker_whose_settings_are_altered_or_given_at_the_start() {
    let data = tempfile::tempdir().unwrap();
    let broker = start(data.path(), &[("log.retention.hours", "2")]).unwrap();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    let retention = |wire: &mut Wire| value(wire, (TOPIC, "t"), "retention.ms");
    // Clients are told of no synonym unless the one in milliseconds is there.
    assert_eq!(retention(&mut wire), ("7200000".to_owned(), vec![]));
    alter(&mut wire, (BROKER, ""), ("log.retention.ms", SET, Some("5000"))).unwrap();
    assert_eq!(retention(&mut wire), ("5000".to_owned(), vec![3, 4, 5]));
    alter(&mut wire, (BROKER, "1"), ("log.retention.ms", SET, Some("6000"))).unwrap();
    assert_eq!(retention(&mut wire), ("6000".to_owned(), vec![2, 3, 4, 5]));
    drop(broker);
    let broker = start(data.path(), &[("log.retention.ms", "7000")]).unwrap();
    let mut wire = Wire::connect(&broker);
    assert_eq!(retention(&mut wire), ("6000".to_owned(), vec![2, 3, 4, 5]));
    alter(&mut wire, (BROKER, "1"), ("log.retention.ms", DELETE, None)).unwrap();
    alter(&mut wire, (BROKER, ""), ("log.retention.ms", DELETE, None)).unwrap();
    assert_eq!(retention(&mut wire), ("7000".to_owned(), vec![4, 5]));
}

#[test]
fn what_cannot_be_is_refused_in_the_words_of_kafka() {
    let data = tempfile::tempdir().unwrap();
    let broker = start(data.path(), &[]).unwrap();
    broker.create_topic("t", 1).unwrap();
    let mut wire = Wire::connect(&broker);
    let invalid = ResponseError::InvalidConfig;
    let request = ResponseError::InvalidRequest;
    for (of, change, error, message) in [
        ((TOPIC, "t"), ("retention", SET, Some("1")), invalid, "Unknown topic config name: retention"),
        (
            (TOPIC, "t"),
            ("retention.ms", APPEND, Some("1")),
            invalid,
            "Can't APPEND to key retention.ms because its type is not LIST.",
        ),
        ((TOPIC, "t"), ("retention.ms", SET, None), request, "Null value not supported for : retention.ms"),
        ((TOPIC, "t"), ("retention.ms", 9, Some("1")), request, "Unknown operation type 9"),
        ((TOPIC, ""), ("retention.ms", SET, Some("1")), request, "Default topic resources are not allowed."),
        (
            (TOPIC, "none"),
            ("retention.ms", SET, Some("1")),
            ResponseError::UnknownTopicOrPartition,
            "The topic 'none' does not exist.",
        ),
        (
            (BROKER, "1"),
            ("num.partitions", SET, Some("2")),
            request,
            "Cannot update these configs dynamically: [num.partitions]",
        ),
        (
            (BROKER, "2"),
            ("log.retention.ms", SET, Some("2")),
            request,
            "Unexpected broker id, expected 1, but received 2",
        ),
        (
            (GROUP, "g"),
            ("consumer.session.timeout.ms", SET, Some("5")),
            invalid,
            "consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms",
        ),
    ] {
        assert_eq!(alter(&mut wire, of, change), Err((error.code(), message.to_owned())));
    }
    let config = CreatableTopicConfig::default().with_name(text("segment.bytes")).with_value(Some(text("5")));
    let topic = CreatableTopic::default()
        .with_name(name("u"))
        .with_num_partitions(1)
        .with_replication_factor(-1)
        .with_configs(vec![config]);
    let response = wire.call(7, &CreateTopicsRequest::default().with_topics(vec![topic])).topics.remove(0);
    assert_eq!(response.error_code, invalid.code());
    let message = "Invalid value 5 for configuration segment.bytes: Value must be at least 1048576";
    assert_eq!(response.error_message.unwrap().as_str(), message);
}

#[test]
fn groups_are_listed_once_something_is_set_for_them() {
    let data = tempfile::tempdir().unwrap();
    let broker = start(data.path(), &[("group.consumer.heartbeat.interval.ms", "6000")]).unwrap();
    let mut wire = Wire::connect(&broker);
    let of_group = (GROUP, "g");
    let session = "consumer.session.timeout.ms";
    assert_eq!(value(&mut wire, of_group, session), ("45000".to_owned(), vec![5]));
    let heartbeat = "consumer.heartbeat.interval.ms";
    assert_eq!(value(&mut wire, of_group, heartbeat), ("6000".to_owned(), vec![4, 5]));
    alter(&mut wire, of_group, (session, SET, Some("50000"))).unwrap();
    assert_eq!(value(&mut wire, of_group, session), ("50000".to_owned(), vec![8, 5]));
    let mut groups = || {
        let request = ListConfigResourcesRequest::default().with_resource_types(vec![GROUP]);
        let listed = wire.call(1, &request).config_resources;
        listed.into_iter().map(|resource| resource.resource_name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(groups(), ["g"]);
    alter(&mut Wire::connect(&broker), of_group, (session, DELETE, None)).unwrap();
    assert_eq!(groups(), [""; 0]);
}

#[test]
fn a_broker_does_not_start_with_a_setting_that_it_would_not_obey() {
    let data = tempfile::tempdir().unwrap();
    for (name, value, hint) in [
        ("log.retension.ms", "1", "did you mean \"log.retention.ms\"?"),
        ("num.partitions", "none", "Not a number of type INT"),
        ("log.dirs", "a,b", "is not one folder"),
    ] {
        let error = start(data.path(), &[(name, value)]).unwrap_err().to_string();
        assert!(error.contains(hint), "{error}");
    }
    let folder = data.path().join("by-property");
    let properties = [("num.partitions", "4"), ("log.dirs", folder.to_str().unwrap())];
    let broker = start(data.path(), &properties).unwrap();
    assert!(folder.join("broker.json").exists());
    let described = describe(&mut Wire::connect(&broker), (BROKER, "1"), "num.partitions");
    assert_eq!(described.value.unwrap().as_str(), "4");
    assert!(described.read_only);
}
