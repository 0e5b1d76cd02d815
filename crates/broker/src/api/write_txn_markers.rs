//! WriteTxnMarkers: ends transactions on partitions, whatever their coordinator knows of them.
//!
//! Brokers of a cluster tell each other in this way how transactions have ended. Here it is what an administrator ends a
//! transaction with that is left open on a partition and that its coordinator has forgotten.

use std::collections::{BTreeMap, HashSet};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::write_txn_markers_request::WritableTxnMarker;
use kafka_protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use kafka_protocol::messages::{ProducerId, TopicName, WriteTxnMarkersRequest, WriteTxnMarkersResponse};

use crate::api::Call;
use crate::api::newest::NUMBER;
use crate::log::batch::{End, Marker};
use crate::protocol::code;

/// The outcomes for one producer, by topic and partition.
type Outcomes = BTreeMap<TopicName, BTreeMap<i32, i16>>;

/// Several markers of one producer are answered together; of what was said of one partition, the last counts.
pub(super) fn handle(call: &Call<'_>, request: WriteTxnMarkersRequest) -> WriteTxnMarkersResponse {
    let mut by_producer = BTreeMap::<i64, Outcomes>::new();
    for marker in request.markers {
        write(call, &marker, by_producer.entry(marker.producer_id.0).or_default());
    }
    let markers = by_producer.into_iter().map(|(id, outcomes)| {
        let topics = outcomes.into_iter().map(|(name, partitions)| {
            let partitions = partitions.into_iter().map(|(index, code)| {
                WritableTxnMarkerPartitionResult::default().with_partition_index(index).with_error_code(code)
            });
            WritableTxnMarkerTopicResult::default().with_name(name).with_partitions(partitions.collect())
        });
        WritableTxnMarkerResult::default().with_producer_id(ProducerId(id)).with_topics(topics.collect())
    });
    WriteTxnMarkersResponse::default().with_markers(markers.collect())
}

fn write(call: &Call<'_>, marker: &WritableTxnMarker, outcomes: &mut Outcomes) {
    // The version of transactions that it is of, which the newest version of the request says.
    let version = marker.unknown_tagged_fields.get(&NUMBER).filter(|_| call.version >= 2);
    let end = End {
        marker: if marker.transaction_result { Marker::Commit } else { Marker::Abort },
        producer_id: marker.producer_id.0,
        epoch: marker.producer_epoch,
        coordinator_epoch: marker.coordinator_epoch,
        is_bumped: version.is_some_and(|version| matches!(version[..], [2..=127])),
    };
    let mut written = HashSet::new();
    for topic in &marker.topics {
        for index in &topic.partition_indexes {
            // Named again, it is the same marker.
            if !written.insert((&topic.name, index)) {
                continue;
            }
            let found = call.state.topics.partition(&topic.name, *index);
            let written =
                found.ok_or(ResponseError::UnknownTopicOrPartition).and_then(|(topic, partition)| {
                    partition.append_marker(&end, topic.config().rules(), call.state.clock.now_ms())
                });
            outcomes.entry(topic.name.clone()).or_default().insert(*index, code(&written));
        }
    }
}
