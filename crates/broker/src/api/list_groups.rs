//! ListGroups, filtered by state and type.

use std::collections::HashSet;

use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{GroupId, ListGroupsRequest, ListGroupsResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::Call;
use crate::group::Members;
use crate::protocol::text;

pub(super) fn handle(call: &Call<'_>, request: ListGroupsRequest) -> ListGroupsResponse {
    let folded = |filter: &[StrBytes]| -> HashSet<String> {
        filter.iter().map(|wanted| wanted.trim().to_ascii_lowercase()).collect()
    };
    let (states, types) = (folded(&request.states_filter), folded(&request.types_filter));
    let wanted = |filter: &HashSet<String>, value: &str| {
        filter.is_empty() || filter.contains(&value.to_ascii_lowercase())
    };
    let inner = call.state.groups.lock();
    let groups = inner.by_id.iter().filter_map(|(id, group)| {
        let state = group.members.state();
        let (kind, protocol_type) = match &group.members {
            Members::Classic(classic) => ("classic", classic.protocol_type.clone()),
            Members::Consumer(_) => ("consumer", text("consumer")),
        };
        (wanted(&states, state) && wanted(&types, kind)).then(|| {
            ListedGroup::default()
                .with_group_id(GroupId(text(id)))
                .with_protocol_type(protocol_type)
                .with_group_state(text(state))
                .with_group_type(text(kind))
        })
    });
    ListGroupsResponse::default().with_groups(groups.collect())
}
