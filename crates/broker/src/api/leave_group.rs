//! LeaveGroup: members go, or an administrator removes them.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::Call;
use crate::protocol::code;

pub(super) fn handle(call: &Call<'_>, request: LeaveGroupRequest) -> LeaveGroupResponse {
    if request.group_id.is_empty() {
        return LeaveGroupResponse::default().with_error_code(ResponseError::InvalidGroupId.code());
    }
    let named: Vec<(StrBytes, Option<StrBytes>)> = if call.version < 3 {
        vec![(request.member_id, None)]
    } else {
        let name = |member: MemberIdentity| (member.member_id, member.group_instance_id);
        request.members.into_iter().map(name).collect()
    };
    let left = call.state.groups.leave(&request.group_id, call.state, &named);
    if call.version < 3 {
        return LeaveGroupResponse::default().with_error_code(left.first().map_or(0, code));
    }
    let members = named.into_iter().zip(left).map(|((member_id, instance_id), left)| {
        MemberResponse::default()
            .with_member_id(member_id)
            .with_group_instance_id(instance_id)
            .with_error_code(code(&left))
    });
    LeaveGroupResponse::default().with_members(members.collect())
}
