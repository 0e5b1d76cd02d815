//! DescribeAcls, CreateAcls and DeleteAcls: there is no authorizer, and clients are told so as by Kafka without one.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_acls_response::AclCreationResult;
use kafka_protocol::messages::delete_acls_response::DeleteAclsFilterResult;
use kafka_protocol::messages::{
    CreateAclsRequest, CreateAclsResponse, DeleteAclsRequest, DeleteAclsResponse, DescribeAclsRequest,
    DescribeAclsResponse,
};

use crate::protocol::text;

const DISABLED: i16 = ResponseError::SecurityDisabled.code();
const REASON: &str = "No Authorizer is configured.";

pub(super) fn describe(_: DescribeAclsRequest) -> DescribeAclsResponse {
    DescribeAclsResponse::default()
        .with_error_code(DISABLED)
        .with_error_message(Some(text("No Authorizer is configured on the broker")))
}

pub(super) fn create(request: CreateAclsRequest) -> CreateAclsResponse {
    let refused =
        |_| AclCreationResult::default().with_error_code(DISABLED).with_error_message(Some(text(REASON)));
    CreateAclsResponse::default().with_results(request.creations.into_iter().map(refused).collect())
}

pub(super) fn delete(request: DeleteAclsRequest) -> DeleteAclsResponse {
    let refused = |_| {
        DeleteAclsFilterResult::default().with_error_code(DISABLED).with_error_message(Some(text(REASON)))
    };
    DeleteAclsResponse::default().with_filter_results(request.filters.into_iter().map(refused).collect())
}
