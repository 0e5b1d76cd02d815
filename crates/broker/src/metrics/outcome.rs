//! Where each response has its error codes, so that they can be counted. One line for each.

use kafka_protocol::messages::*;

/// A response in which something may have failed.
pub(crate) trait Outcome {
    /// Visits every error code there is room for, 0 for what has not failed.
    fn codes(&self, visit: impl FnMut(i16));
}

macro_rules! each_code {
    ($value:expr, $visit:ident, $code:ident) => {
        $visit($value.$code)
    };
    ($value:expr, $visit:ident, $list:ident $($rest:ident)+) => {
        for element in &$value.$list {
            each_code!(element, $visit, $($rest)+);
        }
    };
}

macro_rules! outcomes {
    ($($response:ident { $($($path:ident).+),* })*) => {$(
        impl Outcome for $response {
            fn codes(&self, mut visit: impl FnMut(i16)) {
                $(each_code!(self, visit, $($path)+);)*
            }
        }
    )*};
}

outcomes! {
    AddOffsetsToTxnResponse { error_code }
    AddPartitionsToTxnResponse {
        error_code,
        results_by_transaction.topic_results.results_by_partition.partition_error_code,
        results_by_topic_v3_and_below.results_by_partition.partition_error_code
    }
    AlterClientQuotasResponse { entries.error_code }
    AlterConfigsResponse { responses.error_code }
    AlterPartitionReassignmentsResponse { error_code, responses.partitions.error_code }
    ApiVersionsResponse { error_code }
    ConsumerGroupDescribeResponse { groups.error_code }
    ConsumerGroupHeartbeatResponse { error_code }
    CreateAclsResponse { results.error_code }
    CreatePartitionsResponse { results.error_code }
    CreateTopicsResponse { topics.error_code }
    DeleteAclsResponse { filter_results.error_code }
    DeleteGroupsResponse { results.error_code }
    DeleteRecordsResponse { topics.partitions.error_code }
    DeleteTopicsResponse { responses.error_code }
    DescribeAclsResponse { error_code }
    DescribeClientQuotasResponse { error_code }
    DescribeClusterResponse { error_code }
    DescribeConfigsResponse { results.error_code }
    DescribeGroupsResponse { groups.error_code }
    DescribeLogDirsResponse { error_code, results.error_code }
    DescribeProducersResponse { topics.partitions.error_code }
    DescribeTopicPartitionsResponse { topics.error_code, topics.partitions.error_code }
    DescribeTransactionsResponse { transaction_states.error_code }
    DescribeUserScramCredentialsResponse { error_code, results.error_code }
    AlterUserScramCredentialsResponse { results.error_code }
    ElectLeadersResponse { error_code, replica_election_results.partition_result.error_code }
    EndTxnResponse { error_code }
    FetchResponse { error_code, responses.partitions.error_code }
    FindCoordinatorResponse { error_code, coordinators.error_code }
    HeartbeatResponse { error_code }
    IncrementalAlterConfigsResponse { responses.error_code }
    InitProducerIdResponse { error_code }
    JoinGroupResponse { error_code }
    LeaveGroupResponse { error_code, members.error_code }
    ListConfigResourcesResponse { error_code }
    ListGroupsResponse { error_code }
    ListOffsetsResponse { topics.partitions.error_code }
    ListPartitionReassignmentsResponse { error_code }
    ListTransactionsResponse { error_code }
    MetadataResponse { error_code, topics.error_code, topics.partitions.error_code }
    OffsetCommitResponse { topics.partitions.error_code }
    OffsetDeleteResponse { error_code, topics.partitions.error_code }
    OffsetFetchResponse {
        error_code, topics.partitions.error_code, groups.error_code, groups.topics.partitions.error_code
    }
    OffsetForLeaderEpochResponse { topics.partitions.error_code }
    ProduceResponse { responses.partition_responses.error_code }
    SaslAuthenticateResponse { error_code }
    SaslHandshakeResponse { error_code }
    SyncGroupResponse { error_code }
    WriteTxnMarkersResponse { markers.topics.partitions.error_code }
    TxnOffsetCommitResponse { topics.partitions.error_code }
}
