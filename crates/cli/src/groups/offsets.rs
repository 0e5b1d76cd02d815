//! What a group has committed.

use std::collections::BTreeMap;

use rdkafka::consumer::Consumer as _;
use rdkafka::{Offset, TopicPartitionList};

use crate::client::TIMEOUT;
use crate::cluster::{Cluster, TopicPartition};

/// What the group has committed in all topics of the cluster. `cluster` is that of the group.
pub(super) fn committed(cluster: &Cluster<'_>, group: &str) -> anyhow::Result<BTreeMap<TopicPartition, i64>> {
    let mut asked = TopicPartitionList::new();
    for topic in cluster.topics()? {
        for partition in &topic.partitions {
            asked.add_partition(&topic.name, partition.id);
        }
    }
    if asked.count() == 0 {
        return Ok(BTreeMap::new());
    }
    let action = format!("look up the offsets of group '{group}'");
    let answer = cluster.consumer().committed_offsets(asked, TIMEOUT);
    let answer = answer.map_err(|error| cluster.failed(&action, &error))?;
    let offsets = answer.elements().into_iter().filter_map(|element| match element.offset() {
        Offset::Offset(offset) => Some(((element.topic().to_owned(), element.partition()), offset)),
        _ => None,
    });
    Ok(offsets.collect())
}
