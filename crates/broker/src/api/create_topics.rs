//! CreateTopics. There is one node, so a replication factor other than 1 is refused, and assignments only tell a count.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic};
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse, TopicName};
use uuid::Uuid;

use crate::api::config_resource::{invalid, named_twice};
use crate::api::proportion::MAX_NEW_PARTITIONS;
use crate::api::{Call, assignments};
use crate::error::Refusal;
use crate::protocol::text;
use crate::settings::Given;
use crate::settings::describe::of_topic;
use crate::settings::topic::TopicConfig;

pub(super) fn handle(call: &Call<'_>, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let twice = named_twice(request.topics.iter().map(|topic| topic.name.clone()));
    let duplicates = twice.iter().map(|name| failed(name, invalid("Duplicate topic name.")));
    let wanted = || request.topics.iter().filter(|wanted| !twice.contains(&wanted.name));
    if new_partitions(call, wanted()) > MAX_NEW_PARTITIONS {
        let message = "Excessively large number of partitions per request.";
        let refused = |topic: &CreatableTopic| {
            failed(&topic.name, (ResponseError::PolicyViolation, message.to_owned()))
        };
        return CreateTopicsResponse::default()
            .with_topics(duplicates.chain(wanted().map(refused)).collect());
    }
    let checked = wanted().map(|wanted| (&wanted.name, check(call, wanted)));
    let results = create(call, checked.collect(), request.validate_only);
    let results = results.into_iter().map(|(name, result)| match result {
        Ok((id, partitions, config)) => CreatableTopicResult::default()
            .with_name(name.clone())
            .with_topic_id(id)
            .with_num_partitions(partitions)
            .with_replication_factor(1)
            .with_configs(Some(describe(call, &config))),
        Err(refusal) => failed(name, refusal),
    });
    CreateTopicsResponse::default().with_topics(duplicates.chain(results).collect())
}

/// How many partitions are asked for, whether they can be had or not.
fn new_partitions<'a>(call: &Call<'_>, wanted: impl Iterator<Item = &'a CreatableTopic>) -> i64 {
    let default = i64::from(call.state.settings.broker().num_partitions);
    let of_one = |topic: &CreatableTopic| match (topic.assignments.len(), topic.num_partitions) {
        (0, -1) => default,
        (0, count) => i64::from(count.max(0)),
        (count, _) => i64::try_from(count).unwrap_or(i64::MAX),
    };
    wanted.map(of_one).fold(0, i64::saturating_add)
}

fn failed(name: &TopicName, (error, message): Refusal) -> CreatableTopicResult {
    CreatableTopicResult::default()
        .with_name(name.clone())
        .with_error_code(error.code())
        .with_error_message(Some(text(&message)))
        .with_num_partitions(-1)
        .with_replication_factor(-1)
}

/// A topic as it shall be: its partitions, and what shall be set on it.
type Checked = Result<(i32, Given), Refusal>;
/// What comes of it: its id, its partitions, and all its settings.
type Created = Result<(Uuid, i32, TopicConfig), Refusal>;

/// What the request says of one topic.
fn check(call: &Call<'_>, wanted: &CreatableTopic) -> Checked {
    let partitions = partitions(call, wanted)?;
    let mut given = Given::new();
    for config in &wanted.configs {
        let name = config.name.to_string();
        let Some(value) = &config.value else {
            return Err((
                ResponseError::InvalidConfig,
                format!("Null value not supported for topic configs: {name}"),
            ));
        };
        given.insert(name, value.to_string());
    }
    Ok((partitions, given))
}

/// Creates those that are not refused yet, all at once.
fn create<'a>(
    call: &Call<'_>,
    checked: Vec<(&'a TopicName, Checked)>,
    validate_only: bool,
) -> Vec<(&'a TopicName, Created)> {
    if validate_only {
        let validate = |(name, checked): (&'a TopicName, Checked)| {
            let created = checked.and_then(|(partitions, given)| {
                call.state.topics.may_create(name, partitions)?;
                let config = TopicConfig::new(given, &call.state.settings.broker())
                    .map_err(|message| (ResponseError::InvalidConfig, message))?;
                Ok((Uuid::nil(), partitions, config))
            });
            (name, created)
        };
        return checked.into_iter().map(validate).collect();
    }
    let mut wanted = Vec::new();
    let mut results = Vec::with_capacity(checked.len());
    for (name, checked) in checked {
        match checked {
            Ok((partitions, given)) => {
                wanted.push((name.to_string(), partitions, given));
                results.push((name, None));
            }
            Err(refusal) => results.push((name, Some(Err(refusal)))),
        }
    }
    let mut created = call.state.create_topics(wanted).into_iter().map(|created| {
        created.map(|topic| (topic.id, topic.partition_count(), TopicConfig::clone(&topic.config())))
    });
    let results = results.into_iter().map(|(name, refused)| {
        // There is one for each that was wanted.
        let unknown = ResponseError::UnknownServerError;
        let result = refused.or_else(|| created.next());
        (name, result.unwrap_or_else(|| Err((unknown, unknown.to_string()))))
    });
    results.collect()
}

/// How many partitions there shall be.
fn partitions(call: &Call<'_>, wanted: &CreatableTopic) -> Result<i32, Refusal> {
    let count = match wanted.num_partitions {
        -1 => call.state.settings.broker().num_partitions,
        count => count,
    };
    let replication = |message: &str| Err((ResponseError::InvalidReplicationFactor, message.to_owned()));
    match (wanted.assignments.is_empty(), wanted.replication_factor) {
        (false, -1) if wanted.num_partitions == -1 => assigned(&wanted.assignments),
        (false, -1) => {
            Err(invalid("A manual partition assignment was specified, but numPartitions was not set to -1."))
        }
        (false, _) => Err(invalid(
            "A manual partition assignment was specified, but replication factor was not set to -1.",
        )),
        (true, -1 | 1) => Ok(count),
        (true, ..=0) => replication("Replication factor was set to an invalid non-positive value."),
        (true, more) => replication(&format!(
            "Unable to replicate the partition {more} time(s): The target replication factor of {more} cannot be \
             reached because only 1 broker(s) are registered or some brokers have all their log directories \
             cordoned."
        )),
    }
}

fn assigned(assignments: &[CreatableReplicaAssignment]) -> Result<i32, Refusal> {
    let wrong = |message: String| Err((ResponseError::InvalidReplicaAssignment, message));
    let mut indexes: Vec<i32> = assignments.iter().map(|assignment| assignment.partition_index).collect();
    if let Some(twice) = named_twice(indexes.iter()).first().copied() {
        return wrong(format!("Found multiple manual partition assignments for partition {twice}"));
    }
    for assignment in assignments {
        assignments::check(&assignment.broker_ids)?;
    }
    indexes.sort_unstable();
    if indexes.iter().enumerate().any(|(n, index)| n as i32 != *index) {
        return wrong("partitions should be a consecutive 0-based integer sequence".to_owned());
    }
    Ok(indexes.len() as i32)
}

fn describe(call: &Call<'_>, config: &TopicConfig) -> Vec<CreatableTopicConfigs> {
    let describe = |described: crate::settings::describe::Described| {
        CreatableTopicConfigs::default()
            .with_name(text(described.definition.name))
            .with_config_source(described.source() as i8)
            .with_is_sensitive(described.definition.is_sensitive())
            .with_value(described.value.as_deref().map(text))
    };
    of_topic(config, &call.state.settings).into_iter().map(describe).collect()
}
