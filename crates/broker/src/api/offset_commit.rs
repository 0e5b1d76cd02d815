//! OffsetCommit: a group's place in its partitions.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::proportion::check_group;
use crate::api::{Call, newest};
use crate::group::Commit;
use crate::group::classic::Identity;
use crate::group::groups::check_commit;
use crate::group::offsets::{Commits, Committed};
use crate::protocol::code;

pub(super) fn handle(call: &Call<'_>, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let may_be_called_that = check_group(&request.group_id);
    let who = Identity {
        member_id: request.member_id,
        instance_id: request.group_instance_id,
        generation: request.generation_id_or_member_epoch,
    };
    let (now_ms, retention_ms) = (call.state.clock.now_ms(), request.retention_time_ms);
    let mut offsets = Commits::new();
    let mut topics: Vec<OffsetCommitResponseTopic> = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let name = newest::topic_name(call, &topic.name);
        let partitions = topic.partitions.into_iter().map(|wanted| {
            let metadata = owned(wanted.committed_metadata);
            let committed = Committed {
                until_ms: (retention_ms >= 0).then(|| now_ms.saturating_add(retention_ms)),
                ..Committed::new(wanted.committed_offset, wanted.committed_leader_epoch, metadata, now_ms)
            };
            let checked = match &name {
                Some(name) => check_commit(call.state, name, wanted.partition_index, &committed),
                None => Err(ResponseError::UnknownTopicId),
            };
            if let (Ok(()), Some(name)) = (checked, &name) {
                offsets.push((name.clone(), wanted.partition_index, committed));
            }
            OffsetCommitResponsePartition::default()
                .with_partition_index(wanted.partition_index)
                .with_error_code(code(&checked))
        });
        let partitions = partitions.collect();
        topics.push(OffsetCommitResponseTopic::default().with_name(topic.name).with_partitions(partitions));
    }
    let how = if call.version >= 9 { Commit::Plain } else { Commit::Old };
    let committed = may_be_called_that
        .and_then(|()| call.state.groups.commit(call.state, &request.group_id, &who, how, offsets));
    if let Err(error) = committed {
        let partitions = topics.iter_mut().flat_map(|topic| &mut topic.partitions);
        partitions
            .filter(|partition| partition.error_code == 0)
            .for_each(|partition| partition.error_code = error.code());
    }
    OffsetCommitResponse::default().with_topics(topics)
}

pub(super) fn owned(metadata: Option<StrBytes>) -> String {
    metadata.map(|metadata| metadata.to_string()).unwrap_or_default()
}
