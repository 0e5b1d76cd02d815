//! DeleteTopics, by name or by id. Offsets that groups have committed for it go as well.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};

use crate::api::Call;
use crate::api::config_resource::{invalid, named_twice};
use crate::error::Refusal;
use crate::protocol::text;

pub(super) fn handle(call: &Call<'_>, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let by_name =
        request.topic_names.into_iter().map(|name| DeleteTopicState::default().with_name(Some(name)));
    let wanted: Vec<DeleteTopicState> = request.topics.into_iter().chain(by_name).collect();
    let twice = named_twice(wanted.iter().map(|topic| (topic.name.clone(), topic.topic_id)));
    let is_twice = |wanted: &DeleteTopicState| twice.contains(&(wanted.name.clone(), wanted.topic_id));
    let duplicates = twice.iter().map(|(name, id)| {
        let what = if name.is_some() { "name" } else { "id" };
        let result = DeletableTopicResult::default().with_name(name.clone()).with_topic_id(*id);
        failed(result, invalid(&format!("Duplicate topic {what}.")))
    });
    let results = wanted.iter().filter(|wanted| !is_twice(wanted)).map(|wanted| match delete(call, wanted) {
        Ok(result) => result,
        Err(refusal) => {
            let result = DeletableTopicResult::default();
            failed(result.with_name(wanted.name.clone()).with_topic_id(wanted.topic_id), refusal)
        }
    });
    DeleteTopicsResponse::default().with_responses(duplicates.chain(results).collect())
}

fn delete(call: &Call<'_>, wanted: &DeleteTopicState) -> Result<DeletableTopicResult, Refusal> {
    let state = call.state;
    let plain = |error: ResponseError| (error, error.to_string());
    if !state.settings.broker().delete_topics {
        // Older clients do not know the better word.
        return Err(plain(match call.version {
            0..3 => ResponseError::InvalidRequest,
            _ => ResponseError::TopicDeletionDisabled,
        }));
    }
    let topic = match &wanted.name {
        Some(_) if !wanted.topic_id.is_nil() => {
            return Err(invalid("You may not specify both topic name and topic id."));
        }
        None if wanted.topic_id.is_nil() => {
            return Err(invalid("Neither topic name nor id were specified."));
        }
        Some(name) => state.topics.get(name).ok_or_else(|| plain(ResponseError::UnknownTopicOrPartition)),
        None => state.topics.get_by_id(wanted.topic_id).ok_or_else(|| plain(ResponseError::UnknownTopicId)),
    }?;
    state.topics.delete(&topic)?;
    state.groups.forget_topic(&topic.name);
    Ok(DeletableTopicResult::default().with_name(Some(TopicName(text(&topic.name)))).with_topic_id(topic.id))
}

fn failed(result: DeletableTopicResult, (error, message): Refusal) -> DeletableTopicResult {
    result.with_error_code(error.code()).with_error_message(Some(text(&message)))
}
