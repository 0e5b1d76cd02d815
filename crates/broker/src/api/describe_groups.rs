//! DescribeGroups: members, and what each of them has.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse, GroupId};

use crate::api::proportion::once;
use crate::api::{Call, operations};
use crate::group::classic::{Classic, Phase};
use crate::group::{Group, Members};
use crate::protocol::text;

pub(super) fn handle(call: &Call<'_>, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
    let mut groups = request.groups;
    once(&mut groups, GroupId::clone);
    let inner = call.state.groups.lock();
    let groups = groups.into_iter().map(|id| match inner.by_id.get(id.as_str()) {
        Some(Group { members: Members::Classic(classic), .. }) => describe(id, classic),
        found => {
            let why = if found.is_some() { "is not a classic group" } else { "not found" };
            let message = format!("Group {} {why}.", id.as_str());
            let group = DescribedGroup::default()
                .with_group_id(id)
                .with_group_state(text("Dead"))
                .with_authorized_operations(operations::group(false));
            if call.version < 6 {
                return group;
            }
            let error = ResponseError::GroupIdNotFound;
            group.with_error_code(error.code()).with_error_message(Some(text(&message)))
        }
    });
    let asked = request.include_authorized_operations;
    let groups = groups.map(|group| match group.error_code {
        0 => group.with_authorized_operations(operations::group(asked)),
        _ => group,
    });
    DescribeGroupsResponse::default().with_groups(groups.collect())
}

fn describe(id: GroupId, classic: &Classic) -> DescribedGroup {
    let settled = classic.phase == Phase::Stable;
    let members = classic.members.iter().map(|member| {
        let described = DescribedGroupMember::default()
            .with_member_id(member.id.clone())
            .with_group_instance_id(member.instance_id.clone())
            .with_client_id(member.client_id.clone())
            .with_client_host(member.client_host.clone())
            .with_member_assignment(member.assignment.clone());
        if settled { described.with_member_metadata(member.metadata(&classic.protocol)) } else { described }
    });
    let described = DescribedGroup::default()
        .with_group_id(id)
        .with_group_state(text(classic.phase.name()))
        .with_protocol_type(classic.protocol_type.clone())
        .with_members(members.collect())
        .with_authorized_operations(operations::group(false));
    if settled { described.with_protocol_data(classic.protocol.clone()) } else { described }
}
