//! DescribeLogDirs: how many bytes each partition takes, and how many there are on the disk.

use std::path::Path;

use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse, TopicName};

use crate::api::Call;
use crate::api::proportion::parts_once;
use crate::config::Storage;
use crate::protocol::text;
use crate::topics::Topic;

/// Said where nothing limits what is kept, or nobody knows.
const UNKNOWN_BYTES: i64 = -1;

pub(super) fn handle(call: &Call<'_>, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let state = call.state;
    let topics: Vec<DescribeLogDirsTopic> = match request.topics {
        None => state.topics.list().iter().map(|topic| describe(topic, None)).collect(),
        Some(mut wanted) => {
            parts_once(
                &mut wanted,
                |topic| topic.topic.clone(),
                |topic| &mut topic.partitions,
                |index| *index,
            );
            let found = wanted.iter().filter_map(|wanted| Some((state.topics.get(&wanted.topic)?, wanted)));
            found.map(|(topic, wanted)| describe(&topic, Some(&wanted.partitions))).collect()
        }
    };
    let (directory, (total, usable)) = match &state.config.storage {
        Storage::Directory(data) => {
            let absolute = std::path::absolute(data);
            let path = absolute.as_deref().unwrap_or(data);
            (path.display().to_string(), volume(data))
        }
        Storage::Memory => ("memory".to_owned(), (UNKNOWN_BYTES, UNKNOWN_BYTES)),
    };
    let result = DescribeLogDirsResult::default()
        .with_log_dir(text(&directory))
        .with_topics(topics.into_iter().filter(|topic| !topic.partitions.is_empty()).collect())
        .with_total_bytes(total)
        .with_usable_bytes(usable);
    DescribeLogDirsResponse::default().with_results(vec![result])
}

fn describe(topic: &Topic, wanted: Option<&[i32]>) -> DescribeLogDirsTopic {
    let indexes: Vec<i32> = match wanted {
        Some(wanted) => wanted.to_vec(),
        None => (0..topic.partition_count()).collect(),
    };
    let partition = |index| {
        let size = topic.partition(index)?.usage().bytes;
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        Some(DescribeLogDirsPartition::default().with_partition_index(index).with_partition_size(size))
    };
    DescribeLogDirsTopic::default()
        .with_name(TopicName(text(&topic.name)))
        .with_partitions(indexes.into_iter().filter_map(partition).collect())
}

/// Bytes of the disk that holds a folder, and those of them that may still be written.
fn volume(folder: &Path) -> (i64, i64) {
    match rustix::fs::statvfs(folder) {
        Ok(volume) => {
            let bytes =
                |blocks: u64| i64::try_from(blocks.saturating_mul(volume.f_frsize)).unwrap_or(i64::MAX);
            (bytes(volume.f_blocks), bytes(volume.f_bavail))
        }
        Err(_) => (UNKNOWN_BYTES, UNKNOWN_BYTES),
    }
}
