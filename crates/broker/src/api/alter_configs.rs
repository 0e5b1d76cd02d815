//! AlterConfigs: sets settings of topics, the broker and groups, and deletes those that are not named. Older clients
//! have no other way.

use kafka_protocol::messages::alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};

use crate::api::Call;
use crate::api::config_resource::{alter, invalid, named_twice};
use crate::error::Refusal;
use crate::protocol::text;
use crate::settings::alter::Alteration;

pub(super) fn handle(call: &Call<'_>, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let all = request.resources.iter();
    let twice = named_twice(all.map(|resource| (resource.resource_type, resource.resource_name.clone())));
    let responses = request.resources.into_iter().map(|resource| {
        let named = (resource.resource_type, resource.resource_name.clone());
        let altered = if twice.contains(&named) {
            Err(invalid("Each resource must appear at most once."))
        } else {
            alteration(resource)
                .and_then(|wanted| alter(call, (named.0, &named.1), wanted, request.validate_only))
        };
        let response =
            AlterConfigsResourceResponse::default().with_resource_type(named.0).with_resource_name(named.1);
        match altered {
            Ok(()) => response,
            Err((error, message)) => {
                response.with_error_code(error.code()).with_error_message(Some(text(&message)))
            }
        }
    });
    AlterConfigsResponse::default().with_responses(responses.collect())
}

fn alteration(resource: AlterConfigsResource) -> Result<Alteration, Refusal> {
    let configs = resource.configs;
    if !named_twice(configs.iter().map(|config| &config.name)).is_empty() {
        return Err(invalid("Error due to duplicate config keys"));
    }
    let given = configs.iter().map(|config| match &config.value {
        Some(value) => Ok((config.name.to_string(), value.to_string())),
        None => Err(invalid(&format!("Null value not supported for : {}", config.name.as_str()))),
    });
    Ok(Alteration::Replace(given.collect::<Result<_, Refusal>>()?))
}
