//! Heartbeat: a member is alive, and learns whether it has to join again.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use crate::api::Call;
use crate::group::classic::Identity;
use crate::protocol::code;

pub(super) fn handle(call: &Call<'_>, request: HeartbeatRequest) -> HeartbeatResponse {
    let who = Identity {
        member_id: request.member_id,
        instance_id: request.group_instance_id,
        generation: request.generation_id,
    };
    if request.group_id.is_empty() {
        return HeartbeatResponse::default().with_error_code(ResponseError::InvalidGroupId.code());
    }
    let beat = call.state.groups.beat(&request.group_id, call.state, &who);
    HeartbeatResponse::default().with_error_code(code(&beat))
}
