//! TxnOffsetCommit: offsets that count when the transaction commits.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};

use crate::api::Call;
use crate::api::offset_commit::owned;
use crate::api::proportion::check_group;
use crate::group::classic::Identity;
use crate::group::groups::check_commit;
use crate::group::offsets::{Commits, Committed};
use crate::protocol::code;
use crate::txn::transaction::{Part, ProducerKey};

/// From this version on, clients speak the second version of transactions: the group is added to the transaction.
const ADDS_GROUP: i16 = 5;

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
            let checked = check_commit(call.state, &topic.name, wanted.partition_index, &committed);
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
    if offsets.is_empty() {
        return TxnOffsetCommitResponse::default().with_topics(topics);
    }
    let producer = ProducerKey { id: request.producer_id.0, epoch: request.producer_epoch };
    let (state, id, group) = (call.state, &request.transactional_id, &request.group_id);
    let may_be_added = match (group.is_empty(), call.version >= ADDS_GROUP) {
        (true, _) => Err(ResponseError::InvalidGroupId),
        (false, _) if check_group(group).is_err() => check_group(group),
        (false, true) => state.transactions.add(state, id, producer, [Part::Group(group)]),
        (false, false) => Ok(()),
    };
    let committed = may_be_added
        .and_then(|()| state.transactions.commit_offsets(state, id, producer, group, &who, offsets));
    if let Err(error) = committed {
        let error = match error {
            ResponseError::ProducerFenced => ResponseError::InvalidProducerEpoch,
            ResponseError::TransactionAbortable if call.version < 4 => ResponseError::InvalidTxnState,
            // "Ask again", for clients that do not expect it here.
            ResponseError::ConcurrentTransactions if call.version < ADDS_GROUP => {
                ResponseError::CoordinatorNotAvailable
            }
            other => other,
        };
        let partitions = topics.iter_mut().flat_map(|topic| &mut topic.partitions);
        partitions
            .filter(|partition| partition.error_code == 0)
            .for_each(|partition| partition.error_code = error.code());
    }
    TxnOffsetCommitResponse::default().with_topics(topics)
}
