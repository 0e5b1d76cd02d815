//! FindCoordinator: whatever the group or transactional id, it is us.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};

use crate::api::Call;
use crate::api::proportion::once;
use crate::protocol::{NODE_ID, text};

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

pub(super) fn handle(call: &Call<'_>, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    let (host, port) = call.endpoint();
    let known = matches!(request.key_type, GROUP | TRANSACTION);
    if call.version < 4 {
        let response = FindCoordinatorResponse::default();
        return if known {
            response.with_node_id(BrokerId(NODE_ID)).with_host(host).with_port(port)
        } else {
            response
                .with_node_id(BrokerId(-1))
                .with_port(-1)
                .with_error_code(ResponseError::InvalidRequest.code())
        };
    }
    let mut keys = request.coordinator_keys;
    once(&mut keys, Clone::clone);
    let coordinators = keys.into_iter().map(|key| {
        let coordinator = Coordinator::default().with_key(key);
        if known {
            coordinator.with_node_id(BrokerId(NODE_ID)).with_host(host.clone()).with_port(port)
        } else {
            coordinator
                .with_node_id(BrokerId(-1))
                .with_port(-1)
                .with_error_code(ResponseError::InvalidRequest.code())
                .with_error_message(Some(text("only groups and transactions have coordinators here")))
        }
    });
    FindCoordinatorResponse::default().with_coordinators(coordinators.collect())
}
