//! ListConfigResources: what there are settings of. Version 0 asks for metrics of clients, which nobody collects.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_config_resources_response::ConfigResource;
use kafka_protocol::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};

use crate::api::Call;
use crate::api::config_resource::{BROKER, CLIENT_METRICS, GROUP, TOPIC};
use crate::protocol::{NODE_ID, text};

/// The loggers of a broker; there are none to be set.
const BROKER_LOGGER: i8 = 8;
const ALL: [i8; 5] = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];

pub(super) fn handle(call: &Call<'_>, request: ListConfigResourcesRequest) -> ListConfigResourcesResponse {
    let response = ListConfigResourcesResponse::default();
    let mut wanted = match (call.version, request.resource_types.is_empty()) {
        (0, _) => vec![CLIENT_METRICS],
        (_, true) => ALL.to_vec(),
        _ => request.resource_types,
    };
    if wanted.iter().any(|kind| !ALL.contains(kind)) {
        return response.with_error_code(ResponseError::UnsupportedVersion.code());
    }
    wanted.sort_unstable();
    wanted.dedup();
    let state = call.state;
    let names = |kind| match kind {
        TOPIC => state.topics.list().iter().map(|topic| topic.name.clone()).collect(),
        BROKER | BROKER_LOGGER => vec![NODE_ID.to_string()],
        GROUP => state.settings.altered_groups(),
        _ => Vec::new(),
    };
    let resources = wanted.into_iter().flat_map(|kind| {
        let resource = move |name: String| {
            ConfigResource::default().with_resource_type(kind).with_resource_name(text(&name))
        };
        names(kind).into_iter().map(resource)
    });
    response.with_config_resources(resources.collect())
}
