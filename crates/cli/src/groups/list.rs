//! `thalweg groups list`.

use serde_json::json;

use super::group;
use crate::client::Connection;
use crate::cluster::Cluster;
use crate::table::{self, Table};

/// List the groups of the cluster.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    connection: Connection,
    /// Names only, one a line.
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let cluster = Cluster::new(&args.connection)?;
    cluster.check()?;
    let groups = group::list(&args.connection, &cluster)?;
    if args.json {
        let groups: Vec<_> = groups
            .iter()
            .map(|group| {
                json!({"group": group.name, "type": group.kind, "state": group.state, "members": group.members.len()})
            })
            .collect();
        return table::print_json(&groups.into());
    }
    if args.quiet {
        return table::print_lines(groups.into_iter().map(|group| group.name));
    }
    let mut table = Table::new(&["GROUP", "TYPE", "STATE", "MEMBERS"]);
    for group in groups {
        let members = group.members.len().to_string();
        table.row(vec![group.name, group.kind.to_owned(), group.state, members]);
    }
    table.print()
}
