//! `thalweg topics delete`.

use crate::admin::Admin;
use crate::client::Connection;
use crate::cluster::refuse_pattern;

/// Delete topics, with all that is in them, at once.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    connection: Connection,
    /// Names of the topics; no patterns.
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    args.topics.iter().try_for_each(|topic| refuse_pattern(topic))?;
    let admin = Admin::new(&args.connection)?;
    args.topics.iter().try_for_each(|topic| admin.delete_topic(topic))
}
