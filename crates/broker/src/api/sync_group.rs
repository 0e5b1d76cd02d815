//! SyncGroup: the leader brings everyone's share, and everyone gets its own.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};

use crate::api::Call;
use crate::api::proportion::check_size;
use crate::group::classic::Identity;

pub(super) async fn handle(call: &Call<'_>, request: SyncGroupRequest) -> SyncGroupResponse {
    // From version 5 on, members say what they have agreed upon.
    let incomplete =
        call.version >= 5 && (request.protocol_type.is_none() || request.protocol_name.is_none());
    let refused = if incomplete {
        Some(ResponseError::InconsistentGroupProtocol)
    } else {
        request.group_id.is_empty().then_some(ResponseError::InvalidGroupId)
    };
    let sizes =
        request.assignments.iter().map(|given| check_size([given.member_id.len(), given.assignment.len()]));
    let refused = refused.or(sizes.filter_map(Result::err).next());
    if let Some(error) = refused {
        return SyncGroupResponse::default().with_error_code(error.code());
    }
    let who = Identity {
        member_id: request.member_id,
        instance_id: request.group_instance_id,
        generation: request.generation_id,
    };
    let assignments =
        request.assignments.into_iter().map(|given| (given.member_id, given.assignment)).collect();
    let protocol = (request.protocol_type, request.protocol_name);
    let answer = call.state.groups.sync(&request.group_id, call.state, &who, protocol, assignments);
    let synced = answer.get().await.unwrap_or(Err(ResponseError::UnknownMemberId));
    match synced {
        Ok(synced) => SyncGroupResponse::default()
            .with_protocol_type(Some(synced.protocol_type))
            .with_protocol_name(Some(synced.protocol))
            .with_assignment(synced.assignment),
        Err(error) => SyncGroupResponse::default().with_error_code(error.code()),
    }
}
