//! CreateTopics. There is one node, so a replication factor other than 1 is refused, and assignments only tell a count.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};
use uuid::Uuid;

use crate::api::{Call, text};
use crate::settings::definition::Definition;
use crate::settings::topic::{TopicConfig, described};

pub(super) fn handle(call: &Call<'_>, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let results = request.topics.iter().map(|wanted| {
        let result = CreatableTopicResult::default().with_name(wanted.name.clone());
        match create(call, wanted, request.validate_only) {
            Ok((id, partitions, config)) => result
                .with_topic_id(id)
                .with_num_partitions(partitions)
                .with_replication_factor(1)
                .with_configs(Some(describe(&config))),
            Err((error, reason)) => result
                .with_error_code(error.code())
                .with_error_message(Some(text(&reason)))
                .with_num_partitions(-1)
                .with_replication_factor(-1),
        }
    });
    CreateTopicsResponse::default().with_topics(results.collect())
}

fn create(
    call: &Call<'_>,
    wanted: &CreatableTopic,
    validate_only: bool,
) -> Result<(Uuid, i32, TopicConfig), (ResponseError, String)> {
    if !matches!(wanted.replication_factor, -1 | 1) {
        let reason = "This broker keeps one copy: the replication factor must be 1 or -1.".to_owned();
        return Err((ResponseError::InvalidReplicationFactor, reason));
    }
    let partitions = match wanted.num_partitions {
        -1 if !wanted.assignments.is_empty() => wanted.assignments.len() as i32,
        -1 => call.state.settings.broker().num_partitions,
        count => count,
    };
    let given: BTreeMap<String, String> = wanted
        .configs
        .iter()
        .filter_map(|config| Some((config.name.to_string(), config.value.as_ref()?.to_string())))
        .collect();
    let config = TopicConfig::new(given, &call.state.settings.broker())
        .map_err(|reason| (ResponseError::InvalidConfig, reason))?;
    let explained = |error: ResponseError| {
        let name = wanted.name.as_str();
        let reason = match error {
            ResponseError::TopicAlreadyExists => format!("Topic '{name}' already exists."),
            ResponseError::InvalidPartitions => "The number of partitions must be 1 to 10000.".to_owned(),
            ResponseError::InvalidTopicException => {
                format!(
                    "Topic name {name:?} is illegal: 1 to 249 of a-z, A-Z, 0-9, '.', '_' and '-', but not '.' or '..'."
                )
            }
            other => other.to_string(),
        };
        (error, reason)
    };
    let topics = &call.state.topics;
    let id = if validate_only {
        topics.may_create(&wanted.name, partitions).map_err(explained)?;
        Uuid::nil()
    } else {
        topics.create(&wanted.name, partitions, config.clone()).map_err(explained)?.id
    };
    Ok((id, partitions, config))
}

fn describe(config: &TopicConfig) -> Vec<CreatableTopicConfigs> {
    let describe = |setting: &Definition| {
        let set = config.overrides().contains_key(setting.name);
        CreatableTopicConfigs::default()
            .with_name(text(setting.name))
            .with_value(config.value(setting.name).map(text))
            .with_config_source(if set { 1 } else { 5 })
    };
    described().map(describe).collect()
}
