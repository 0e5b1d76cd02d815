//! Heartbeat: a member is alive, and learns whether it has to join again.

use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use crate::api::{Call, code};
use crate::group::classic::Identity;

pub(super) fn handle(call: &Call<'_>, request: HeartbeatRequest) -> HeartbeatResponse {
    let who = Identity {
        member_id: request.member_id,
        instance_id: request.group_instance_id,
        generation: request.generation_id,
    };
    let (state, now_ms) = (call.state, call.now_ms());
    let beat = state
        .groups
        .with_members(&request.group_id, &state.alarm, now_ms, |group| group.heartbeat(&who, now_ms));
    HeartbeatResponse::default().with_error_code(code(&beat))
}
