//! ConsumerGroupHeartbeat: all that members of the new protocol (KIP-848) say and are told.

use std::collections::BTreeSet;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions as Owned;
use kafka_protocol::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use kafka_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::Call;
use crate::api::proportion::{check_group, check_size};
use crate::group::Denied;
use crate::group::consumer::assignor::Assignor;
use crate::group::consumer::member::{AWAY, JOINING, LEAVING};
use crate::group::consumer::subscription::Pattern;
use crate::group::consumer::{Beaten, Heartbeat, Limits, Partitions, new_member_id};
use crate::protocol::text;

pub(super) fn handle(
    call: &Call<'_>,
    request: ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatResponse {
    match beat(call, request) {
        Ok(response) => response,
        Err(denied) => ConsumerGroupHeartbeatResponse::default()
            .with_error_code(denied.error.code())
            .with_error_message(Some(text(&denied.message))),
    }
}

fn beat(
    call: &Call<'_>,
    request: ConsumerGroupHeartbeatRequest,
) -> Result<ConsumerGroupHeartbeatResponse, Denied> {
    check(call, &request)?;
    let (state, group, epoch) = (call.state, request.group_id.to_string(), request.member_epoch);
    if matches!(epoch, LEAVING | AWAY) {
        let (member, instance) = (request.member_id, request.instance_id);
        state.groups.leave_consumer(&group, state, &member, instance.as_deref(), epoch)?;
        return Ok(ConsumerGroupHeartbeatResponse::default()
            .with_member_id(Some(member))
            .with_member_epoch(epoch));
    }
    let settings = state.settings.group(&group);
    let limits = Limits {
        session_ms: settings.session_timeout_ms.into(),
        max_size: state.settings.broker().consumer_group_max_size,
    };
    let heartbeat = heartbeat(call, request)?;
    let beaten = state.groups.beat_consumer(&group, state, &heartbeat, limits)?;
    Ok(respond(heartbeat.member_id, beaten).with_heartbeat_interval_ms(settings.heartbeat_interval_ms))
}

/// What is wrong with a request whatever the group.
fn check(call: &Call<'_>, request: &ConsumerGroupHeartbeatRequest) -> Result<(), Denied> {
    let invalid = |message: &str| Err(Denied::new(ResponseError::InvalidRequest, message));
    let is_empty = |text: &Option<StrBytes>| text.as_ref().is_some_and(|text| text.is_empty());
    if request.group_id.is_empty() {
        return invalid("GroupId can't be empty.");
    }
    check_group(&request.group_id).map_err(|error| Denied::new(error, "GroupId is too long."))?;
    let len = |text: &Option<StrBytes>| text.as_ref().map_or(0, |text| text.len());
    let names = request.subscribed_topic_names.iter().flatten().map(|name| name.len());
    let texts = [&request.instance_id, &request.rack_id, &request.subscribed_topic_regex].map(len);
    let own = [request.member_id.len(), call.client_id.len()];
    check_size(names.chain(texts).chain(own))
        .map_err(|error| Denied::new(error, "The member says more of itself than can be kept."))?;
    if is_empty(&request.instance_id) {
        return invalid("InstanceId can't be empty.");
    }
    if is_empty(&request.rack_id) {
        return invalid("RackId can't be empty.");
    }
    // From version 1 on, members make their ids themselves.
    if request.member_id.is_empty() && (call.version >= 1 || request.member_epoch != JOINING) {
        return invalid("MemberId can't be empty.");
    }
    if request.member_epoch == JOINING {
        if request.rebalance_timeout_ms == -1 {
            return invalid("RebalanceTimeoutMs must be provided in first request.");
        }
        if request.topic_partitions.as_ref().is_none_or(|owned| !owned.is_empty()) {
            return invalid("TopicPartitions must be empty when (re-)joining.");
        }
        if request.subscribed_topic_names.is_none() && request.subscribed_topic_regex.is_none() {
            return invalid(
                "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
            );
        }
    }
    if request.member_epoch == AWAY && request.instance_id.is_none() {
        return invalid("InstanceId can't be null.");
    }
    if request.member_epoch < AWAY {
        return invalid("MemberEpoch is invalid.");
    }
    Ok(())
}

fn heartbeat(call: &Call<'_>, request: ConsumerGroupHeartbeatRequest) -> Result<Heartbeat, Denied> {
    let assignor = match request.server_assignor.as_deref() {
        Some(name) => Some(Assignor::named(name).ok_or_else(|| unsupported(name))?),
        None => None,
    };
    let member_id =
        if request.member_id.is_empty() { new_member_id() } else { request.member_id.to_string() };
    let owned = |text: StrBytes| text.to_string();
    Ok(Heartbeat {
        member_id,
        member_epoch: request.member_epoch,
        instance_id: request.instance_id.map(owned),
        rack_id: request.rack_id.map(owned),
        client_id: call.client_id.to_string(),
        client_host: format!("/{}", call.peer),
        rebalance_timeout_ms: (request.rebalance_timeout_ms != -1).then_some(request.rebalance_timeout_ms),
        names: request
            .subscribed_topic_names
            .map(|names| names.iter().map(|name| name.to_string()).collect::<BTreeSet<String>>()),
        pattern: request.subscribed_topic_regex.as_deref().map(Pattern::new).transpose()?,
        assignor,
        owned: request.topic_partitions.map(partitions),
    })
}

fn unsupported(name: &str) -> Denied {
    let supported = Assignor::ALL.map(Assignor::name).join(", ");
    let message = format!("ServerAssignor {name} is not supported. Supported assignors: {supported}.");
    Denied::new(ResponseError::UnsupportedAssignor, message)
}

fn partitions(owned: Vec<Owned>) -> Partitions {
    let mut partitions = Partitions::new();
    for topic in owned.into_iter().filter(|topic| !topic.partitions.is_empty()) {
        partitions.entry(topic.topic_id).or_default().extend(topic.partitions);
    }
    partitions
}

fn respond(member_id: String, beaten: Beaten) -> ConsumerGroupHeartbeatResponse {
    let assignment = beaten.assignment.map(|assignment| {
        let topics = assignment.into_iter().map(|(topic, partitions)| {
            TopicPartitions::default().with_topic_id(topic).with_partitions(partitions.into_iter().collect())
        });
        Assignment::default().with_topic_partitions(topics.collect())
    });
    ConsumerGroupHeartbeatResponse::default()
        .with_member_id(Some(StrBytes::from_string(member_id)))
        .with_member_epoch(beaten.member_epoch)
        .with_assignment(assignment)
}
