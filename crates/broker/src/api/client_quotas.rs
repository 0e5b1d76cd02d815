//! DescribeClientQuotas and AlterClientQuotas: quotas are kept and described. None of them is enforced.

use std::collections::BTreeSet;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_client_quotas_response::{EntityData, EntryData, ValueData};
use kafka_protocol::messages::{
    AlterClientQuotasRequest, AlterClientQuotasResponse, DescribeClientQuotasRequest,
    DescribeClientQuotasResponse, alter_client_quotas_request as wanted,
    alter_client_quotas_response as altered,
};

use crate::api::Call;
use crate::api::config_resource::invalid;
use crate::error::Refusal;
use crate::protocol::text;
use crate::settings::quotas::{Entity, Filter, Match, Quotas};

pub(super) fn describe(
    call: &Call<'_>,
    request: DescribeClientQuotasRequest,
) -> DescribeClientQuotasResponse {
    let quotas = call.state.settings.quotas();
    let filter = match filter(&request) {
        Ok(filter) => filter,
        Err((error, message)) => {
            return DescribeClientQuotasResponse::default()
                .with_error_code(error.code())
                .with_error_message(Some(text(&message)))
                .with_entries(None);
        }
    };
    let entries = quotas.matching(&filter).map(|quota| {
        let entity = quota.entity.iter().map(|(kind, name)| {
            EntityData::default().with_entity_type(text(kind)).with_entity_name(name.as_deref().map(text))
        });
        let values = quota
            .values
            .iter()
            .map(|(key, value)| ValueData::default().with_key(text(key)).with_value(*value));
        EntryData::default().with_entity(entity.collect()).with_values(values.collect())
    });
    DescribeClientQuotasResponse::default().with_error_message(None).with_entries(Some(entries.collect()))
}

fn filter(request: &DescribeClientQuotasRequest) -> Result<Filter, Refusal> {
    let mut filter = Filter { components: Vec::new(), strict: request.strict };
    let mut seen = BTreeSet::new();
    for component in &request.components {
        let kind = component.entity_type.to_string();
        if kind.is_empty() {
            return Err(invalid("Unexpected empty entity type"));
        }
        if !Quotas::KINDS.contains(&kind.as_str()) {
            let message = format!("Custom entity type '{kind}' not supported");
            return Err((ResponseError::UnsupportedVersion, message));
        }
        if !seen.insert(kind.clone()) {
            return Err(invalid(&format!(
                "Entity type '{kind}' cannot appear more than once in the filter."
            )));
        }
        let wanted = match (component.match_type, &component._match) {
            (0, Some(name)) => Match::Name(name.to_string()),
            (1, None) => Match::Default,
            (2, None) => Match::Any,
            (0..=2, _) => return Err(invalid("Request specified a match that does not go with its type")),
            (other, _) => return Err(invalid(&format!("Unexpected match type: {other}"))),
        };
        filter.components.push((kind, wanted));
    }
    if seen.contains("ip") && seen.len() > 1 {
        return Err(invalid("Invalid entity filter component specification"));
    }
    Ok(filter)
}

pub(super) fn alter(call: &Call<'_>, request: AlterClientQuotasRequest) -> AlterClientQuotasResponse {
    let mut seen: BTreeSet<Entity> = BTreeSet::new();
    let entries = request.entries.iter().map(|entry| {
        let outcome = entity(entry).and_then(|entity| {
            if !seen.insert(entity.clone()) {
                return Err(invalid("Ignoring duplicate entity"));
            }
            let changes = changes(entry)?;
            call.state.settings.alter_quota(entity, changes, request.validate_only)
        });
        let told = entry.entity.iter().map(|part| {
            altered::EntityData::default()
                .with_entity_type(part.entity_type.clone())
                .with_entity_name(part.entity_name.clone())
        });
        let result = altered::EntryData::default().with_entity(told.collect());
        match outcome {
            Ok(()) => result.with_error_message(None),
            Err((error, message)) => {
                result.with_error_code(error.code()).with_error_message(Some(text(&message)))
            }
        }
    });
    AlterClientQuotasResponse::default().with_entries(entries.collect())
}

fn entity(entry: &wanted::EntryData) -> Result<Entity, Refusal> {
    let mut entity = Entity::new();
    for part in &entry.entity {
        let name = part.entity_name.as_ref().map(ToString::to_string);
        if entity.insert(part.entity_type.to_string(), name).is_some() {
            let kind = part.entity_type.as_str();
            return Err(invalid(&format!(
                "Invalid empty client quota entity, duplicate entity entry {kind}"
            )));
        }
    }
    Ok(entity)
}

/// A new value for each key, or none where it is to be removed.
fn changes(entry: &wanted::EntryData) -> Result<Vec<(String, Option<f64>)>, Refusal> {
    let mut seen = BTreeSet::new();
    if let Some(twice) = entry.ops.iter().find(|op| !seen.insert(&op.key)) {
        return Err(invalid(&format!("Duplicate quota key {}", twice.key.as_str())));
    }
    Ok(entry.ops.iter().map(|op| (op.key.to_string(), (!op.remove).then_some(op.value))).collect())
}
