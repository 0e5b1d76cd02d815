//! DescribeConfigs: the settings of topics and of the broker.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

use crate::api::{Call, NODE_ID, text};
use crate::settings::broker;
use crate::settings::definition::{Definition, Kind};
use crate::settings::topic;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

const SET_ON_TOPIC: i8 = 1;
const SET_AT_START: i8 = 4;
const DEFAULT: i8 = 5;

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
            let describe = |setting: &Definition| {
                let set = config.overrides().contains_key(setting.name);
                let source = if set { SET_ON_TOPIC } else { DEFAULT };
                setting_result(setting, config.value(setting.name), source)
            };
            Ok(topic::described().map(describe).collect())
        }
        BROKER if resource.resource_name.is_empty() => Ok(Vec::new()),
        BROKER if resource.resource_name.parse() == Ok(NODE_ID) => {
            let settings = call.state.settings.broker();
            let describe = |setting: &Definition| {
                let value = settings.value(setting.name);
                let source = if value == setting.default { DEFAULT } else { SET_AT_START };
                setting_result(setting, value, source).with_read_only(true)
            };
            Ok(broker::definitions().map(describe).collect())
        }
        BROKER => Err(ResponseError::InvalidRequest),
        _ => Ok(Vec::new()),
    }
}

fn type_of(kind: Kind) -> i8 {
    match kind {
        Kind::Boolean => 1,
        Kind::OneOf(_) | Kind::Text => 2,
        Kind::Int(..) => 3,
        Kind::Long(..) => 5,
        Kind::Double(..) => 6,
        Kind::List(_) | Kind::Replicas => 7,
        Kind::Password => 9,
    }
}

fn setting_result(setting: &Definition, value: Option<&str>, source: i8) -> DescribeConfigsResourceResult {
    let synonym = DescribeConfigsSynonym::default()
        .with_name(text(setting.name))
        .with_value(value.map(text))
        .with_source(source);
    DescribeConfigsResourceResult::default()
        .with_name(text(setting.name))
        .with_value(value.map(text))
        .with_config_source(source)
        .with_synonyms(vec![synonym])
        .with_config_type(type_of(setting.kind))
        .with_documentation(Some(text(setting.doc)))
}
