//! WriteTxnMarkers: ends transactions on partitions, whatever their coordinator knows of them.
//!
//! Brokers of a cluster tell each other in this way how transactions have ended. Here it is what an administrator ends a
//! transaction with that is left open on a partition and that its coordinator has forgotten.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::write_txn_markers_request::WritableTxnMarker;
use kafka_protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use kafka_protocol::messages::{WriteTxnMarkersRequest, WriteTxnMarkersResponse};

use crate::api::{Call, code};
use crate::log::batch::{End, Marker};

pub(super) fn handle(call: &Call<'_>, request: WriteTxnMarkersRequest) -> WriteTxnMarkersResponse {
    let markers = request.markers.into_iter().map(|marker| write(call, marker));
    WriteTxnMarkersResponse::default().with_markers(markers.collect())
}

fn write(call: &Call<'_>, marker: WritableTxnMarker) -> WritableTxnMarkerResult {
    let end = End {
        marker: if marker.transaction_result { Marker::Commit } else { Marker::Abort },
        producer_id: marker.producer_id.0,
        epoch: marker.producer_epoch,
        coordinator_epoch: marker.coordinator_epoch,
        is_bumped: false,
    };
    let topics = marker.topics.into_iter().map(|topic| {
        let partitions = topic.partition_indexes.iter().map(|index| {
            let found = call.state.topics.partition(&topic.name, *index);
            let written =
                found.ok_or(ResponseError::UnknownTopicOrPartition).and_then(|(topic, partition)| {
                    partition.append_marker(&end, topic.config().rules(), call.state.clock.now_ms())
                });
            WritableTxnMarkerPartitionResult::default()
                .with_partition_index(*index)
                .with_error_code(code(&written))
        });
        let partitions = partitions.collect();
        WritableTxnMarkerTopicResult::default().with_name(topic.name).with_partitions(partitions)
    });
    WritableTxnMarkerResult::default().with_producer_id(marker.producer_id).with_topics(topics.collect())
}
