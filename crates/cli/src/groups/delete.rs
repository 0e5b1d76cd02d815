//! `thalweg groups delete`.

use crate::admin::Admin;
use crate::client::Connection;
use crate::cluster::refuse_pattern;

/// Delete groups, with what they have committed. They must have no members.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    connection: Connection,
    /// Names of the groups; no patterns.
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    args.groups.iter().try_for_each(|group| refuse_pattern(group))?;
    let admin = Admin::new(&args.connection)?;
    args.groups.iter().try_for_each(|group| admin.delete_group(group))
}
