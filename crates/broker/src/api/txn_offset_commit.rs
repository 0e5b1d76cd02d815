//! TxnOffsetCommit: offsets that count when the transaction commits.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};

use crate::api::offset_commit::{check, owned};
use crate::api::{Call, code};
use crate::group::classic::Identity;
use crate::group::offsets::{Commits, Committed};
use crate::txn::transaction::ProducerKey;

pub(super) fn handle(call: &Call<'_>, request: TxnOffsetCommitRequest) -> TxnOffsetCommitResponse {
    let who = Identity {
        member_id: request.member_id,
        instance_id: request.group_instance_id,
        generation: request.generation_id,
    };
    let now_ms = call.state.clock.now_ms();
    let mut offsets = Commits::new();
    let mut topics: Vec<TxnOffsetCommitResponseTopic> = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let partitions = topic.partitions.into_iter().map(|wanted| {
            let metadata = owned(wanted.committed_metadata);
            let committed =
                Committed::new(wanted.committed_offset, wanted.committed_leader_epoch, metadata, now_ms);
            let checked = check(call.state, &topic.name, wanted.partition_index, &committed);
            if checked.is_ok() {
                offsets.push((topic.name.to_string(), wanted.partition_index, committed));
            }
            TxnOffsetCommitResponsePartition::default()
                .with_partition_index(wanted.partition_index)
                .with_error_code(code(&checked))
        });
        let partitions = partitions.collect();
        topics
            .push(TxnOffsetCommitResponseTopic::default().with_name(topic.name).with_partitions(partitions));
    }
    let producer = ProducerKey { id: request.producer_id.0, epoch: request.producer_epoch };
    let (state, id) = (call.state, &request.transactional_id);
    let committed = state.transactions.commit_offsets(state, id, producer, &request.group_id, &who, offsets);
    if let Err(error) = committed {
        let error =
            if error == ResponseError::ProducerFenced { ResponseError::InvalidProducerEpoch } else { error };
        let partitions = topics.iter_mut().flat_map(|topic| &mut topic.partitions);
        partitions
            .filter(|partition| partition.error_code == 0)
            .for_each(|partition| partition.error_code = error.code());
    }
    TxnOffsetCommitResponse::default().with_topics(topics)
}
