//! `thalweg groups delete`.

use anyhow::{Context as _, anyhow};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::{GroupId, OffsetDeleteRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::admin::Admin;
use crate::client::Connection;
use crate::cluster::{Cluster, TopicPartition, refuse_pattern, topic_and_partition};
use crate::wire::Wire;

/// Delete groups, with what they have committed. They must have no members.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    connection: Connection,
    /// Names of the groups; no patterns.
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
    /// Delete only what they have committed in this topic, which no member may read; may be given again.
    #[arg(short, long = "topic", value_name = "TOPIC[:PARTITION]", value_parser = topic_and_partition)]
    topics: Vec<(String, Option<i32>)>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    args.groups.iter().try_for_each(|group| refuse_pattern(group))?;
    if args.topics.is_empty() {
        let admin = Admin::new(&args.connection)?;
        return args.groups.iter().try_for_each(|group| admin.delete_group(group));
    }
    let cluster = Cluster::new(&args.connection)?;
    let mut partitions = Vec::new();
    for (topic, partition) in &args.topics {
        partitions.extend(cluster.partitions(topic, partition.as_slice())?);
    }
    args.groups.iter().try_for_each(|group| delete_offsets(&args.connection, group, &partitions))
}

fn delete_offsets(connection: &Connection, group: &str, partitions: &[TopicPartition]) -> anyhow::Result<()> {
    let failed = || format!("cannot delete offsets of group '{group}'");
    let mut topics: Vec<OffsetDeleteRequestTopic> = Vec::new();
    for (topic, partition) in partitions {
        let partition = OffsetDeleteRequestPartition::default().with_partition_index(*partition);
        match topics.iter_mut().find(|known| known.name.as_str() == topic) {
            Some(known) => known.partitions.push(partition),
            None => {
                let name = TopicName(StrBytes::from_string(topic.clone()));
                topics.push(
                    OffsetDeleteRequestTopic::default().with_name(name).with_partitions(vec![partition]),
                );
            }
        }
    }
    let request = OffsetDeleteRequest::default()
        .with_group_id(GroupId(StrBytes::from_string(group.to_owned())))
        .with_topics(topics);
    let answer = Wire::to_coordinator(connection, group).and_then(|mut wire| wire.call(0, &request));
    let answer = answer.with_context(failed)?;
    let partitions = answer.topics.iter().flat_map(|topic| topic.partitions.iter());
    let mut codes =
        std::iter::once(answer.error_code).chain(partitions.map(|partition| partition.error_code));
    match codes.find_map(ResponseError::try_from_code) {
        None => Ok(()),
        Some(ResponseError::GroupIdNotFound) => Err(anyhow!("{}: the cluster has no such group", failed())),
        Some(ResponseError::GroupSubscribedToTopic | ResponseError::NonEmptyGroup) => {
            Err(anyhow!("{}: its members read that topic; stop them first", failed()))
        }
        Some(error) => Err(anyhow!("{}: {error}", failed())),
    }
}
