//! DescribeGroups: members, and what each of them has.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse, GroupId};

use crate::api::{Call, NO_AUTHORIZATION, text};
use crate::group::Group;
use crate::group::classic::Phase;

pub(super) fn handle(call: &Call<'_>, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
    let inner = call.state.groups.lock();
    let groups = request.groups.into_iter().map(|id| match inner.by_id.get(id.as_str()) {
        Some(group) => describe(id, group),
        None => {
            let group = DescribedGroup::default()
                .with_group_id(id)
                .with_group_state(text("Dead"))
                .with_authorized_operations(NO_AUTHORIZATION);
            if call.version < 6 {
                return group;
            }
            let error = ResponseError::GroupIdNotFound;
            group.with_error_code(error.code()).with_error_message(Some(text("There is no such group.")))
        }
    });
    DescribeGroupsResponse::default().with_groups(groups.collect())
}

fn describe(id: GroupId, group: &Group) -> DescribedGroup {
    let classic = &group.classic;
    let settled = classic.phase == Phase::Stable;
    let members = classic.members.iter().map(|member| {
        let described = DescribedGroupMember::default()
            .with_member_id(member.id.clone())
            .with_group_instance_id(member.instance_id.clone())
            .with_client_id(member.client_id.clone())
            .with_client_host(member.client_host.clone());
        if !settled {
            return described;
        }
        described
            .with_member_metadata(member.metadata(&classic.protocol))
            .with_member_assignment(member.assignment.clone())
    });
    let described = DescribedGroup::default()
        .with_group_id(id)
        .with_group_state(text(classic.phase.name()))
        .with_protocol_type(classic.protocol_type.clone())
        .with_members(members.collect())
        .with_authorized_operations(NO_AUTHORIZATION);
    if settled { described.with_protocol_data(classic.protocol.clone()) } else { described }
}
