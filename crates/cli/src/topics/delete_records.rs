//! `thalweg topics delete-records`.

use anyhow::Context as _;
use rdkafka::{Offset, TopicPartitionList};

use crate::admin::Admin;
use crate::client::Connection;
use crate::cluster::{Cluster, refuse_pattern, topic_and_partition};
use crate::position::{POSITIONS, Position};
use crate::table::Table;

/// Delete the oldest records of topics.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    connection: Connection,
    /// Names of the topics; no patterns.
    #[arg(required = true, value_name = "TOPIC[:PARTITION]", value_parser = topic_and_partition)]
    topics: Vec<(String, Option<i32>)>,
    /// Delete what stands before this.
    #[arg(long, value_name = "POSITION", allow_hyphen_values = true, value_parser = Position::parse,
          long_help = format!("Delete what stands before this: {POSITIONS}"))]
    before: Position,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let cluster = Cluster::new(&args.connection)?;
    let admin = Admin::new(&args.connection)?;
    let mut table = Table::new(&["TOPIC", "PARTITION", "START"]);
    for (topic, partition) in &args.topics {
        refuse_pattern(topic)?;
        let partitions = cluster.partitions(topic, partition.as_slice())?;
        let offsets = cluster.offsets(&partitions, args.before)?;
        let mut before = TopicPartitionList::new();
        for ((topic, partition), offset) in partitions.iter().zip(offsets) {
            let added = before.add_partition_offset(topic, *partition, Offset::Offset(offset));
            added.context("an offset that librdkafka does not know")?;
        }
        for partition in admin.delete_records(&before)?.elements() {
            let start = partition.offset().to_raw().unwrap_or(-1).to_string();
            table.row(vec![topic.clone(), partition.partition().to_string(), start]);
        }
    }
    table.print()
}
