//! IncrementalAlterConfigs: changes single settings of topics, the broker and groups.

use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use crate::api::Call;
use crate::api::config_resource::{alter, invalid, named_twice};
use crate::error::Refusal;
use crate::protocol::text;
use crate::settings::alter::{Alteration, Operation};

pub(super) fn handle(
    call: &Call<'_>,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
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
    IncrementalAlterConfigsResponse::default().with_responses(responses.collect())
}

fn alteration(resource: AlterConfigsResource) -> Result<Alteration, Refusal> {
    const DELETE: i8 = 1;
    let configs = &resource.configs;
    if !named_twice(configs.iter().map(|config| &config.name)).is_empty() {
        return Err(invalid("Error due to duplicate config keys"));
    }
    let without_value = configs.iter().filter(|one| one.config_operation != DELETE && one.value.is_none());
    let without_value: Vec<&str> = without_value.map(|config| config.name.as_str()).collect();
    if !without_value.is_empty() {
        return Err(invalid(&format!("Null value not supported for : {}", without_value.join(","))));
    }
    let operation = |config: &AlterableConfig| {
        let value = config.value.as_deref().unwrap_or_default().to_owned();
        let operation = match config.config_operation {
            0 => Operation::Set(value),
            DELETE => Operation::Delete,
            2 => Operation::Append(value),
            3 => Operation::Subtract(value),
            other => return Err(invalid(&format!("Unknown operation type {other}"))),
        };
        Ok((config.name.to_string(), operation))
    };
    Ok(Alteration::Change(configs.iter().map(operation).collect::<Result<_, Refusal>>()?))
}
