//! ListGroups, filtered by state and type.

use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{GroupId, ListGroupsRequest, ListGroupsResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::{Call, text};

const CLASSIC: &str = "classic";

pub(super) fn handle(call: &Call<'_>, request: ListGroupsRequest) -> ListGroupsResponse {
    let wanted = |filter: &[StrBytes], value: &str| {
        filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
    };
    let inner = call.state.groups.lock();
    let groups = inner.by_id.iter().filter_map(|(id, group)| {
        let state = group.classic.phase.name();
        (wanted(&request.states_filter, state) && wanted(&request.types_filter, CLASSIC)).then(|| {
            ListedGroup::default()
                .with_group_id(GroupId(text(id)))
                .with_protocol_type(group.classic.protocol_type.clone())
                .with_group_state(text(state))
                .with_group_type(text(CLASSIC))
        })
    });
    ListGroupsResponse::default().with_groups(groups.collect())
}
