//! LeaveGroup: members go, or an administrator removes them.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};

use crate::api::{Call, code};

pub(super) fn handle(call: &Call<'_>, request: LeaveGroupRequest) -> LeaveGroupResponse {
    let leave = |member: &MemberIdentity| {
        let instance_id = member.group_instance_id.as_ref();
        call.state.groups.leave(&request.group_id, call.state, &member.member_id, instance_id)
    };
    if request.group_id.is_empty() {
        return LeaveGroupResponse::default().with_error_code(ResponseError::InvalidGroupId.code());
    }
    if call.version < 3 {
        let left = leave(&MemberIdentity::default().with_member_id(request.member_id));
        return LeaveGroupResponse::default().with_error_code(code(&left));
    }
    let members = request.members.into_iter().map(|member| {
        let left = leave(&member);
        MemberResponse::default()
            .with_member_id(member.member_id)
            .with_group_instance_id(member.group_instance_id)
            .with_error_code(code(&left))
    });
    LeaveGroupResponse::default().with_members(members.collect())
}
