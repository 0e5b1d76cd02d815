//! DescribeConfigs: the settings of topics, the broker and groups.

use std::collections::HashSet;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

use crate::api::Call;
use crate::api::config_resource::{BROKER, CLIENT_METRICS, GROUP, TOPIC, invalid, layer};
use crate::api::proportion::{OF_ANY_NAME, OF_WHAT_IS_THERE, Room, once};
use crate::error::Refusal;
use crate::protocol::text;
use crate::settings::describe::{self, Described};
use crate::settings::store::Layer;
use crate::topics::check_name;

pub(super) fn handle(call: &Call<'_>, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let (synonyms, documentation) = (request.include_synonyms, request.include_documentation);
    let mut resources = request.resources;
    once(&mut resources, |resource| (resource.resource_type, resource.resource_name.clone()));
    let (mut of_topics, mut of_any) = (Room::of(OF_WHAT_IS_THERE), Room::of(OF_ANY_NAME));
    let results = resources.into_iter().map(|resource| {
        let room = if resource.resource_type == TOPIC { &mut of_topics } else { &mut of_any };
        let result = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        let described = room.check().and_then(|()| {
            let mut configs = describe(call, &resource)?;
            // Clients that want all say null or nothing.
            if let Some(wanted) = resource.configuration_keys.filter(|wanted| !wanted.is_empty()) {
                let wanted: HashSet<&str> = wanted.iter().map(|name| name.as_str()).collect();
                configs.retain(|config| wanted.contains(config.definition.name));
            }
            room.take(configs.iter().map(|config| len(config, synonyms, documentation)).sum())?;
            Ok(configs)
        });
        match described {
            Ok(configs) => {
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

/// About as many bytes as a setting takes in the answer.
fn len(config: &Described, synonyms: bool, documentation: bool) -> usize {
    const NUMBERS: usize = 16;
    let synonym = |synonym: &describe::Synonym| NUMBERS + synonym.name.len() + synonym.value.len();
    let synonyms = if synonyms { config.synonyms.iter().map(synonym).sum() } else { 0 };
    let documentation = if documentation { config.definition.doc.len() } else { 0 };
    NUMBERS
        + config.definition.name.len()
        + config.value.as_ref().map_or(0, String::len)
        + synonyms
        + documentation
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
