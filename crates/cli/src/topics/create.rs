//! `thalweg topics create`.

use anyhow::bail;

use crate::admin::Admin;
use crate::client::{Connection, KeyValue};

/// Create topics.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    connection: Connection,
    /// Names of the topics.
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// How many partitions. Default: as the cluster has it.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// How many copies. Default: as the cluster has it.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    replicas: Option<i32>,
    /// A setting of the topics, such as `cleanup.policy=compact`; may be given again.
    #[arg(short, long = "config", value_name = "KEY=VALUE", value_parser = KeyValue)]
    config: Vec<(String, String)>,
    /// A topic that is there already is left as it is.
    #[arg(long)]
    if_not_exists: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let admin = Admin::new(&args.connection)?;
    // -1: as the cluster has it.
    let (partitions, replicas) = (args.partitions.unwrap_or(-1), args.replicas.unwrap_or(-1));
    for topic in &args.topics {
        if !admin.create_topic(topic, partitions, replicas, &args.config)? && !args.if_not_exists {
            bail!("cannot create topic '{topic}': it exists already; --if-not-exists lets it be");
        }
    }
    Ok(())
}
