//! DeleteTopics, by name or by id. Offsets that groups have committed for it go as well.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};

use crate::api::{Call, text};

pub(super) fn handle(call: &Call<'_>, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let by_name =
        request.topic_names.into_iter().map(|name| DeleteTopicState::default().with_name(Some(name)));
    let results = request.topics.into_iter().chain(by_name).map(|wanted| {
        let topic = match &wanted.name {
            Some(name) => call.state.topics.get(name).ok_or(ResponseError::UnknownTopicOrPartition),
            None => call.state.topics.get_by_id(wanted.topic_id).ok_or(ResponseError::UnknownTopicId),
        };
        match topic.and_then(|topic| call.state.topics.delete(&topic).map(|()| topic)) {
            Ok(topic) => {
                call.state.groups.forget_topic(&topic.name);
                DeletableTopicResult::default()
                    .with_name(Some(TopicName(text(&topic.name))))
                    .with_topic_id(topic.id)
            }
            Err(error) => DeletableTopicResult::default()
                .with_name(wanted.name)
                .with_topic_id(wanted.topic_id)
                .with_error_code(error.code())
                .with_error_message(Some(text(&error.to_string()))),
        }
    });
    DeleteTopicsResponse::default().with_responses(results.collect())
}
