//! `thalweg groups reset`.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};

use super::{group, offsets};
use crate::client::Connection;
use crate::cluster::{Cluster, TopicPartition, topic_and_partition};
use crate::position::{POSITIONS, Position};
use crate::table::Table;

/// Set where a group goes on reading. It must have no members.
///
/// Prints what was committed and what is committed now.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("where").required(true))]
pub(super) struct Args {
    #[command(flatten)]
    connection: Connection,
    /// Name of the group.
    group: String,
    /// Where to go on.
    #[arg(long, value_name = "POSITION", group = "where", allow_hyphen_values = true, value_parser = Position::parse,
          long_help = format!("Where to go on: {POSITIONS}"))]
    to: Option<Position>,
    /// Go on so many records later, or earlier if it is less than 0.
    #[arg(long, value_name = "N", group = "where", allow_hyphen_values = true)]
    shift: Option<i64>,
    /// Only in this topic, whether it was read or not; may be given again. Default: wherever it has committed.
    #[arg(short, long = "topic", value_name = "TOPIC[:PARTITION]", value_parser = topic_and_partition)]
    topics: Vec<(String, Option<i32>)>,
    /// Only print it.
    #[arg(short = 'n', long)]
    dry_run: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let group = &args.group;
    let cluster = Cluster::of_group(&args.connection, group)?;
    cluster.check()?;
    let committed = offsets::committed(&cluster, group)?;
    let partitions = partitions(args, &cluster, &committed)?;
    if partitions.is_empty() {
        bail!("group '{group}' has committed nothing; name the topics with --topic");
    }
    let wanted = wanted(args, &cluster, &partitions, &committed)?;
    let mut table = Table::new(&["TOPIC", "PARTITION", "BEFORE", "AFTER"]);
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for (partition, offset) in partitions.iter().zip(wanted) {
        let before = committed.get(partition).map_or("-".to_owned(), ToString::to_string);
        table.row(vec![partition.0.clone(), partition.1.to_string(), before, offset.to_string()]);
        let added = list.add_partition_offset(&partition.0, partition.1, Offset::Offset(offset));
        added.context("an offset that librdkafka does not know")?;
    }
    if !args.dry_run {
        refuse_members(args, &cluster)?;
        let done = cluster.consumer().commit(&list, CommitMode::Sync);
        done.map_err(|error| cluster.failed(&format!("set the offsets of group '{group}'"), &error))?;
    }
    table.print()
}

fn partitions(
    args: &Args,
    cluster: &Cluster<'_>,
    committed: &BTreeMap<TopicPartition, i64>,
) -> anyhow::Result<Vec<TopicPartition>> {
    if args.topics.is_empty() {
        return Ok(committed.keys().cloned().collect());
    }
    let mut partitions = Vec::new();
    for (topic, partition) in &args.topics {
        partitions.extend(cluster.partitions(topic, partition.as_slice())?);
    }
    Ok(partitions)
}

fn wanted(
    args: &Args,
    cluster: &Cluster<'_>,
    partitions: &[TopicPartition],
    committed: &BTreeMap<TopicPartition, i64>,
) -> anyhow::Result<Vec<i64>> {
    if let Some(to) = args.to {
        return cluster.offsets(partitions, to);
    }
    let bounds = cluster.offsets(partitions, Position::Beginning)?.into_iter();
    let bounds = bounds.zip(cluster.offsets(partitions, Position::End)?);
    let at =
        partitions.iter().zip(bounds).map(|(partition, (beginning, end))| match committed.get(partition) {
            Some(offset) => Ok((beginning, *offset, end)),
            None => {
                bail!("there is nothing to shift in {}:{}: nothing was committed", partition.0, partition.1)
            }
        });
    cluster.shifted(partitions, &at.collect::<anyhow::Result<Vec<_>>>()?, args.shift.unwrap_or(0))
}

/// Its members would commit over what we commit, and do not look at it.
fn refuse_members(args: &Args, cluster: &Cluster<'_>) -> anyhow::Result<()> {
    match group::describe(&args.connection, cluster, &args.group)?.members.len() {
        0 => Ok(()),
        members => bail!("group '{}' has {members} members; stop them first", args.group),
    }
}
