//! DescribeCluster: one node, which is its own controller.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};

use crate::api::{Call, operations};
use crate::protocol::NODE_ID;

const BROKERS: i8 = 1;

pub(super) fn handle(call: &Call<'_>, request: DescribeClusterRequest) -> DescribeClusterResponse {
    let operations = operations::cluster(request.include_cluster_authorized_operations);
    let response = DescribeClusterResponse::default().with_cluster_authorized_operations(operations);
    if call.version >= 1 && request.endpoint_type != BROKERS {
        // There are no controllers to be talked to apart from the broker.
        return response.with_error_code(ResponseError::MismatchedEndpointType.code());
    }
    let (host, port) = call.endpoint();
    let broker =
        DescribeClusterBroker::default().with_broker_id(BrokerId(NODE_ID)).with_host(host).with_port(port);
    response
        .with_endpoint_type(BROKERS)
        .with_cluster_id(call.state.cluster_id.clone())
        .with_controller_id(BrokerId(NODE_ID))
        .with_brokers(vec![broker])
}
