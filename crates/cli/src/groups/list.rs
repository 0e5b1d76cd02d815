//! `thalweg groups list`.

use rdkafka::consumer::Consumer as _;
use serde_json::json;

use super::{kind, state};
use crate::client::{Connection, TIMEOUT};
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
    let asked = cluster.consumer().fetch_group_list(None, TIMEOUT);
    let list = asked.map_err(|error| cluster.failed("list the groups", &error))?;
    let mut groups: Vec<_> = list.groups().iter().collect();
    groups.sort_by_key(|group| group.name());
    if args.json {
        let groups: Vec<_> = groups
            .iter()
            .map(|group| {
                json!({"group": group.name(), "protocol": kind(group), "state": state(group),
                       "members": group.members().len()})
            })
            .collect();
        return table::print_json(&groups.into());
    }
    if args.quiet {
        return table::print_lines(groups.iter().map(|group| group.name().to_owned()));
    }
    let mut table = Table::new(&["GROUP", "PROTOCOL", "STATE", "MEMBERS"]);
    for group in groups {
        let members = if state(group) == "-" { "-".to_owned() } else { group.members().len().to_string() };
        table.row(vec![group.name().to_owned(), kind(group).to_owned(), state(group).to_owned(), members]);
    }
    table.print()
}
