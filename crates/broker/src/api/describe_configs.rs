//! DescribeConfigs: the settings of topics, and of the broker those that clients look for.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

use crate::api::{Call, NODE_ID, text};
use crate::topic_config::{Kind, SETTINGS};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

const SET_ON_TOPIC: i8 = 1;
const SET_AT_START: i8 = 4;
const DEFAULT: i8 = 5;

const BOOLEAN: i8 = 1;
const STRING: i8 = 2;
const INT: i8 = 3;

pub(super) fn handle(call: &Call<'_>, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let results = request.resources.into_iter().map(|resource| {
        let result = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        match describe(call, &resource) {
            Ok(mut configs) => {
                if let Some(wanted) = &resource.configuration_keys {
                    configs.retain(|config| wanted.contains(&config.name));
                }
                if !request.include_synonyms {
                    configs.iter_mut().for_each(|config| config.synonyms.clear());
                }
                result.with_configs(configs)
            }
            Err(error) => {
                result.with_error_code(error.code()).with_error_message(Some(text(&error.to_string())))
            }
        }
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

fn describe(
    call: &Call<'_>,
    resource: &DescribeConfigsResource,
) -> Result<Vec<DescribeConfigsResourceResult>, ResponseError> {
    match resource.resource_type {
        TOPIC => {
            let topic = call
                .state
                .topics
                .get(&resource.resource_name)
                .ok_or(ResponseError::UnknownTopicOrPartition)?;
            let config = topic.config();
            let describe = |setting: &crate::topic_config::Setting| match config.overrides().get(setting.name)
            {
                Some(value) => setting_result(setting.name, value, SET_ON_TOPIC, type_of(setting.kind)),
                None => setting_result(setting.name, setting.default, DEFAULT, type_of(setting.kind)),
            };
            Ok(SETTINGS.iter().map(describe).collect())
        }
        BROKER if resource.resource_name.is_empty() => Ok(Vec::new()),
        BROKER if resource.resource_name.parse() == Ok(NODE_ID) => {
            let config = &call.state.config;
            let at_start = |name, value: &str, config_type| {
                setting_result(name, value, SET_AT_START, config_type).with_read_only(true)
            };
            Ok(vec![
                at_start("auto.create.topics.enable", &config.auto_create_topics.to_string(), BOOLEAN),
                at_start("num.partitions", &config.default_partitions.to_string(), INT),
                at_start("default.replication.factor", "1", INT),
                at_start("socket.request.max.bytes", &config.max_request_bytes.to_string(), INT),
            ])
        }
        BROKER => Err(ResponseError::InvalidRequest),
        _ => Ok(Vec::new()),
    }
}

fn type_of(kind: Kind) -> i8 {
    match kind {
        Kind::Int => INT,
        Kind::OneOf(_) => STRING,
    }
}

fn setting_result(
    name: &'static str,
    value: &str,
    source: i8,
    config_type: i8,
) -> DescribeConfigsResourceResult {
    let synonym = DescribeConfigsSynonym::default()
        .with_name(text(name))
        .with_value(Some(text(value)))
        .with_source(source);
    DescribeConfigsResourceResult::default()
        .with_name(text(name))
        .with_value(Some(text(value)))
        .with_config_source(source)
        .with_synonyms(vec![synonym])
        .with_config_type(config_type)
}
