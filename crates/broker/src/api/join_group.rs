//! JoinGroup: a consumer becomes a member, and is answered when all are there.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::Call;
use crate::api::proportion::{check_group, check_size};
use crate::group::classic::member::{JoinRefused, JoinReply};
use crate::group::classic::{Join, Rules};
use crate::protocol::text;

/// Protocols that a member may speak; clients know a handful. All members' are compared with each other.
const MAX_PROTOCOLS: usize = 100;

pub(super) async fn handle(call: &Call<'_>, request: JoinGroupRequest) -> JoinGroupResponse {
    if request.group_id.is_empty() {
        let error = ResponseError::InvalidGroupId;
        return respond(call, Err(JoinRefused { error, member_id: request.member_id }));
    }
    if let Err(error) = check(call, &request) {
        return respond(call, Err(JoinRefused { error, member_id: StrBytes::new() }));
    }
    let session_timeout_ms = i64::from(request.session_timeout_ms);
    let join = Join {
        member_id: request.member_id.clone(),
        instance_id: request.group_instance_id,
        client_id: call.client_id.clone(),
        client_host: text(&format!("/{}", call.peer)),
        session_timeout_ms,
        // Version 0 knew one timeout for both.
        rebalance_timeout_ms: if call.version == 0 {
            session_timeout_ms
        } else {
            request.rebalance_timeout_ms.into()
        },
        protocol_type: request.protocol_type,
        protocols: request.protocols.into_iter().map(|protocol| (protocol.name, protocol.metadata)).collect(),
        two_steps: call.version >= 4,
        may_skip_assignment: call.version >= 9,
    };
    let answer = call.state.groups.join(&request.group_id, call.state, join, &rules(call));
    let gone = JoinRefused { error: ResponseError::UnknownMemberId, member_id: request.member_id };
    let reply = answer.get().await.unwrap_or(Err(gone));
    respond(call, reply)
}

/// Whether it is not too much to be kept, and to be compared with what others say.
fn check(call: &Call<'_>, request: &JoinGroupRequest) -> Result<(), ResponseError> {
    check_group(&request.group_id)?;
    let protocols = request.protocols.iter().map(|protocol| protocol.name.len() + protocol.metadata.len());
    let instance = request.group_instance_id.as_ref().map_or(0, |id| id.len());
    let ids = request.member_id.len() + instance + call.client_id.len() + request.protocol_type.len();
    check_size(protocols.chain([ids]))?;
    if request.protocols.len() > MAX_PROTOCOLS { Err(ResponseError::InvalidRequest) } else { Ok(()) }
}

fn rules(call: &Call<'_>) -> Rules {
    let settings = call.state.settings.broker();
    Rules {
        session_ms: settings.group_min_session_timeout_ms.into()
            ..=settings.group_max_session_timeout_ms.into(),
        max_size: settings.group_max_size,
        initial_delay_ms: settings.group_initial_rebalance_delay_ms.into(),
    }
}

fn respond(call: &Call<'_>, reply: JoinReply) -> JoinGroupResponse {
    match reply {
        Ok(joined) => {
            let members = joined.members.into_iter().map(|(member_id, instance_id, metadata)| {
                JoinGroupResponseMember::default()
                    .with_member_id(member_id)
                    .with_group_instance_id(instance_id)
                    .with_metadata(metadata)
            });
            JoinGroupResponse::default()
                .with_generation_id(joined.generation)
                .with_protocol_type(Some(joined.protocol_type))
                .with_protocol_name(Some(joined.protocol))
                .with_leader(joined.leader)
                .with_skip_assignment(joined.skip_assignment)
                .with_member_id(joined.member_id)
                .with_members(members.collect())
        }
        Err(refused) => JoinGroupResponse::default()
            .with_error_code(refused.error.code())
            .with_generation_id(-1)
            // The name may be null from version 7 on.
            .with_protocol_name((call.version < 7).then(StrBytes::new))
            .with_member_id(refused.member_id),
    }
}
