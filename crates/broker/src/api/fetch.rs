//! Fetch: batches of some partitions, waiting for them if there are none.
//!
//! Every fetch stands for itself: the answer says session 0, which clients understand as "name all partitions
//! each time".

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::{AbortedTransaction, FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse, ProducerId};

use crate::api::Call;
use crate::log::partition::{Isolation, Partition};
use crate::log::waiters::Waiter;
use crate::topics::Topic;

/// Bytes of records in one answer, whatever the client would take.
const MAX_BYTES: usize = 64 << 20;

pub(super) async fn handle(call: &Call<'_>, request: FetchRequest) -> FetchResponse {
    let patience = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    let min_bytes = usize::try_from(request.min_bytes).unwrap_or(0);
    let mut found = read(call, &request);
    if !found.is_enough(min_bytes) && !patience.is_zero() {
        let waited = tokio::time::timeout(patience, async {
            while !found.is_enough(min_bytes) {
                let waiter = Arc::new(Waiter::default());
                for partition in partitions(call, &request) {
                    partition.hang(&waiter);
                }
                // Something may have come before the waiter hung.
                found = read(call, &request);
                if !found.is_enough(min_bytes) {
                    let woken = call.state.stopping.unless(waiter.woken()).await;
                    found = read(call, &request);
                    if woken.is_none() {
                        break;
                    }
                }
            }
        });
        // Time is up: what there is has to do.
        let _ = waited.await;
    }
    for (wanted, found) in request.topics.iter().zip(&found.topics) {
        let records = found.partitions.iter().filter_map(|partition| partition.records.as_ref());
        let bytes = records.map(bytes::Bytes::len).sum();
        if bytes > 0
            && let Ok(topic) = topic(call, wanted)
        {
            topic.traffic.fetched(bytes);
        }
    }
    FetchResponse::default().with_responses(found.topics)
}

/// An answer in the making.
#[derive(Debug)]
struct Found {
    topics: Vec<FetchableTopicResponse>,
    bytes: usize,
    failed: bool,
}

impl Found {
    fn is_enough(&self, min_bytes: usize) -> bool {
        self.failed || self.bytes >= min_bytes
    }
}

fn topic(call: &Call<'_>, wanted: &FetchTopic) -> Result<Arc<Topic>, ResponseError> {
    if call.version >= 13 {
        call.state.topics.get_by_id(wanted.topic_id).ok_or(ResponseError::UnknownTopicId)
    } else {
        call.state.topics.get(&wanted.topic).ok_or(ResponseError::UnknownTopicOrPartition)
    }
}

fn partitions(call: &Call<'_>, request: &FetchRequest) -> Vec<Arc<Partition>> {
    let wanted =
        request.topics.iter().filter_map(|wanted| topic(call, wanted).ok().map(|topic| (topic, wanted)));
    wanted
        .flat_map(|(topic, wanted)| {
            wanted.partitions.iter().filter_map(move |partition| topic.partition(partition.partition))
        })
        .collect()
}

fn read(call: &Call<'_>, request: &FetchRequest) -> Found {
    let isolation = Isolation::from_wire(request.isolation_level);
    let max_bytes = usize::try_from(request.max_bytes).unwrap_or(0).min(MAX_BYTES);
    let mut found = Found { topics: Vec::with_capacity(request.topics.len()), bytes: 0, failed: false };
    for wanted in &request.topics {
        let topic = topic(call, wanted);
        let mut partitions = Vec::with_capacity(wanted.partitions.len());
        for partition in &wanted.partitions {
            let left = max_bytes.saturating_sub(found.bytes);
            // A batch that is longer than all limits must get through nevertheless, or the client would be stuck.
            let read = topic
                .as_ref()
                .map_err(|error| *error)
                .and_then(|topic| read_partition(topic, partition, left, found.bytes == 0, isolation));
            let data = read.unwrap_or_else(|error| {
                found.failed = true;
                empty(partition.partition).with_error_code(error.code())
            });
            found.bytes += data.records.as_ref().map_or(0, |records| records.len());
            partitions.push(data);
        }
        let response = FetchableTopicResponse::default()
            .with_topic(wanted.topic.clone())
            .with_topic_id(wanted.topic_id)
            .with_partitions(partitions);
        found.topics.push(response);
    }
    found
}

fn read_partition(
    topic: &Topic,
    wanted: &FetchPartition,
    max_bytes: usize,
    at_least_one: bool,
    isolation: Isolation,
) -> Result<PartitionData, ResponseError> {
    let partition = topic.partition(wanted.partition).ok_or(ResponseError::UnknownTopicOrPartition)?;
    if wanted.current_leader_epoch > 0 {
        return Err(ResponseError::UnknownLeaderEpoch);
    }
    let max_bytes = max_bytes.min(usize::try_from(wanted.partition_max_bytes).unwrap_or(0));
    let read = partition.read(wanted.fetch_offset, max_bytes, at_least_one, isolation)?;
    let aborted = read.aborted.iter().map(|aborted| {
        AbortedTransaction::default()
            .with_producer_id(ProducerId(aborted.producer_id))
            .with_first_offset(aborted.first_offset)
    });
    Ok(empty(wanted.partition)
        .with_high_watermark(read.bounds.end)
        .with_last_stable_offset(read.bounds.last_stable)
        .with_log_start_offset(read.bounds.start)
        .with_aborted_transactions((isolation == Isolation::ReadCommitted).then(|| aborted.collect()))
        .with_records(Some(read.records)))
}

fn empty(partition: i32) -> PartitionData {
    PartitionData::default()
        .with_partition_index(partition)
        .with_high_watermark(-1)
        .with_last_stable_offset(-1)
        .with_log_start_offset(-1)
        .with_preferred_read_replica(BrokerId(-1))
        .with_records(Some(bytes::Bytes::new()))
}
