//! DeleteGroups: forgets groups without members, with their offsets.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse};

use crate::api::Call;
use crate::api::proportion::once;
use crate::group::events::Event;
use crate::protocol::code;

pub(super) fn handle(call: &Call<'_>, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let mut names = request.groups_names;
    once(&mut names, Clone::clone);
    let mut inner = call.state.groups.lock();
    let results = names.into_iter().map(|id| {
        let deleted = match inner.by_id.get(id.as_str()) {
            None => Err(ResponseError::GroupIdNotFound),
            Some(group) if !group.members.is_free() => Err(ResponseError::NonEmptyGroup),
            Some(_) => inner.record(Event::Delete { group: id.to_string() }),
        };
        DeletableGroupResult::default().with_group_id(id).with_error_code(code(&deleted))
    });
    let results = results.collect();
    DeleteGroupsResponse::default().with_results(results)
}
