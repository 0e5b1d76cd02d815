//! `thalweg topics alter`.

use crate::admin::Admin;
use crate::client::{Connection, KeyValue};
use crate::cluster::{Cluster, refuse_pattern};

/// Give topics more partitions, or other settings.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
pub(super) struct Args {
    #[command(flatten)]
    connection: Connection,
    /// Names of the topics.
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// How many partitions there are to be. They can only become more, and keys then go elsewhere.
    #[arg(short, long, value_name = "N", group = "change")]
    partitions: Option<usize>,
    /// A setting, such as `retention.ms=3600000`; may be given again.
    #[arg(short, long = "config", value_name = "KEY=VALUE", value_parser = KeyValue, group = "change")]
    config: Vec<(String, String)>,
    /// Go back to the cluster's value of a setting; may be given again.
    #[arg(long, value_name = "KEY", group = "change")]
    unset: Vec<String>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let cluster = Cluster::new(&args.connection)?;
    let admin = Admin::new(&args.connection)?;
    for topic in &args.topics {
        refuse_pattern(topic)?;
        cluster.topic(topic)?;
        if let Some(partitions) = args.partitions {
            admin.set_partitions(topic, partitions)?;
        }
        if !args.config.is_empty() || !args.unset.is_empty() {
            admin.change_settings(topic, &args.config, &args.unset)?;
        }
    }
    Ok(())
}
