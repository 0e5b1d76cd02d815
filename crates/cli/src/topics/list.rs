//! `thalweg topics list`.

use serde_json::json;

use crate::client::Connection;
use crate::cluster::Cluster;
use crate::table::{self, Table};

/// List the topics of the cluster.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    connection: Connection,
    /// Internal ones too, those that Kafka keeps offsets and transactions in.
    #[arg(short, long)]
    all: bool,
    /// Names only, one a line.
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let mut topics = Cluster::new(&args.connection)?.topics()?;
    topics.retain(|topic| args.all || !topic.name.starts_with("__"));
    if args.json {
        let topics: Vec<_> = topics
            .iter()
            .map(|topic| json!({"topic": topic.name, "partitions": topic.partitions.len(), "replicas": topic.replicas()}))
            .collect();
        return table::print_json(&topics.into());
    }
    if args.quiet {
        return table::print_lines(topics.into_iter().map(|topic| topic.name));
    }
    let mut table = Table::new(&["TOPIC", "PARTITIONS", "REPLICAS"]);
    for topic in topics {
        let (partitions, replicas) = (topic.partitions.len(), topic.replicas());
        table.row(vec![topic.name, partitions.to_string(), replicas.to_string()]);
    }
    table.print()
}
