//! DescribeConfigs: the settings of topics, the broker and groups.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

use crate::api::Call;
use crate::api::config_resource::{BROKER, CLIENT_METRICS, GROUP, TOPIC, invalid, layer};
use crate::error::Refusal;
use crate::protocol::text;
use crate::settings::describe::{self, Described};
use crate::settings::store::Layer;
use crate::topics::check_name;

pub(super) fn handle(call: &Call<'_>, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let (synonyms, documentation) = (request.include_synonyms, request.include_documentation);
    let results = request.resources.into_iter().map(|resource| {
        let result = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        match describe(call, &resource) {
            Ok(mut configs) => {
                // Clients that want all say null or nothing.
                if let Some(wanted) = resource.configuration_keys.filter(|wanted| !wanted.is_empty()) {
                    configs.retain(|config| wanted.iter().any(|name| *name == *config.definition.name));
                }
                let configs = configs.into_iter().map(|config| to_wire(config, synonyms, documentation));
                result.with_configs(configs.collect())
            }
            Err((error, message)) => {
                result.with_error_code(error.code()).with_error_message(Some(text(&message)))
            }
        }
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

fn describe(call: &Call<'_>, resource: &DescribeConfigsResource) -> Result<Vec<Described>, Refusal> {
    let (state, name) = (call.state, resource.resource_name.as_str());
    let settings = &state.settings;
    match resource.resource_type {
        TOPIC => {
            check_name(name)?;
            let topic = state.topics.get(name).ok_or_else(|| {
                (ResponseError::UnknownTopicOrPartition, format!("The topic '{name}' does not exist."))
            })?;
            Ok(describe::of_topic(&topic.config(), settings))
        }
        BROKER => Ok(match layer(name)? {
            Layer::Cluster => describe::of_cluster(settings),
            Layer::Broker | Layer::Start => describe::of_broker(settings),
        }),
        GROUP if name.is_empty() => Err(invalid("Default group resources are not allowed.")),
        GROUP => Ok(describe::of_group(name, settings)),
        CLIENT_METRICS => Ok(Vec::new()),
        other => Err(invalid(&format!("Unsupported resource type: {other}"))),
    }
}

fn to_wire(config: Described, synonyms: bool, documentation: bool) -> DescribeConfigsResourceResult {
    let result = DescribeConfigsResourceResult::default()
        .with_name(text(config.definition.name))
        .with_config_source(config.source() as i8)
        .with_is_sensitive(config.definition.is_sensitive())
        .with_read_only(config.read_only)
        .with_config_type(config.type_number())
        .with_documentation(documentation.then(|| text(config.definition.doc)))
        .with_value(config.value.as_deref().map(text));
    if !synonyms {
        return result;
    }
    let synonym = |synonym: describe::Synonym| {
        DescribeConfigsSynonym::default()
            .with_name(text(synonym.name))
            .with_value(Some(text(&synonym.value)))
            .with_source(synonym.source as i8)
    };
    result.with_synonyms(config.synonyms.into_iter().map(synonym).collect())
}
