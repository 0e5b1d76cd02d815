//! CreatePartitions: gives topics more partitions. `count` is the number there shall be.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

use crate::api::config_resource::{invalid, named_twice};
use crate::api::proportion::MAX_NEW_PARTITIONS;
use crate::api::{Call, assignments};
use crate::error::Refusal;
use crate::protocol::text;

pub(super) fn handle(call: &Call<'_>, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let twice = named_twice(request.topics.iter().map(|topic| topic.name.clone()));
    let duplicates = twice.iter().map(|name| (name.clone(), Err(invalid("Duplicate topic name."))));
    let wanted = || request.topics.iter().filter(|wanted| !twice.contains(&wanted.name));
    let more = |wanted: &CreatePartitionsTopic| {
        let before = call.state.topics.get(&wanted.name).map(|topic| topic.partition_count());
        before.map_or(0, |before| i64::from(wanted.count) - i64::from(before)).max(0)
    };
    let too_many = wanted().map(more).fold(0, i64::saturating_add) > MAX_NEW_PARTITIONS;
    let grown = wanted().map(|wanted| {
        let grown = if too_many {
            let message = "Unable to perform excessively large batch operation.".to_owned();
            Err((ResponseError::PolicyViolation, message))
        } else {
            grow(call, wanted, request.validate_only)
        };
        (wanted.name.clone(), grown)
    });
    let results = duplicates.chain(grown).map(|(name, grown)| {
        let result = CreatePartitionsTopicResult::default().with_name(name);
        match grown {
            Ok(()) => result,
            Err((error, message)) => {
                result.with_error_code(error.code()).with_error_message(Some(text(&message)))
            }
        }
    });
    CreatePartitionsResponse::default().with_results(results.collect())
}

fn grow(call: &Call<'_>, wanted: &CreatePartitionsTopic, validate_only: bool) -> Result<(), Refusal> {
    let topics = &call.state.topics;
    let unknown = ResponseError::UnknownTopicOrPartition;
    let topic = topics.get(&wanted.name).ok_or_else(|| (unknown, unknown.to_string()))?;
    topics.may_grow(&topic, wanted.count)?;
    if let Some(assignments) = &wanted.assignments {
        let more = wanted.count - topic.partition_count();
        if assignments.len() as i32 != more {
            let message = format!(
                "Attempted to add {more} additional partition(s), but only {} assignment(s) were specified.",
                assignments.len()
            );
            return Err((ResponseError::InvalidReplicaAssignment, message));
        }
        for assignment in assignments {
            assignments::check(&assignment.broker_ids)?;
        }
    }
    if validate_only { Ok(()) } else { topics.grow(&topic, wanted.count) }
}
