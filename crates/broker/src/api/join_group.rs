//! JoinGroup: a consumer becomes a member, and is answered when all are there.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::Call;
use crate::group::classic::member::{JoinRefused, JoinReply};
use crate::group::classic::{Join, Rules};
use crate::protocol::text;

pub(super) async fn handle(call: &Call<'_>, request: JoinGroupRequest) -> JoinGroupResponse {
    if request.group_id.is_empty() {
        let error = ResponseError::InvalidGroupId;
        return respond(call, Err(JoinRefused { error, member_id: request.member_id }));
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
