//! `thalweg groups describe`.

use std::collections::BTreeMap;
use std::io::Write as _;

use anyhow::bail;
use serde_json::{Value, json};

use super::group::{self, Group, Member};
use super::offsets;
use crate::client::Connection;
use crate::cluster::{Cluster, TopicPartition};
use crate::position::Position;
use crate::table::{self, Table};

/// Show the members of groups, who reads what, and how far behind they are.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    connection: Connection,
    /// Names of the groups.
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// A partition that the group has to do with.
struct Row<'a> {
    partition: TopicPartition,
    committed: Option<i64>,
    end: i64,
    owner: Option<&'a Member>,
}

impl Row<'_> {
    fn lag(&self) -> Option<i64> {
        self.committed.map(|committed| (self.end - committed).max(0))
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let mut described = Vec::new();
    let mut out = Vec::new();
    for (nth, name) in args.groups.iter().enumerate() {
        let cluster = Cluster::of_group(&args.connection, name)?;
        cluster.check()?;
        let committed = offsets::committed(&cluster, name)?;
        let group = group::describe(&args.connection, &cluster, name)?;
        if committed.is_empty() && group.state == "-" {
            bail!("the cluster has no group '{name}', or it has no members and no offsets");
        }
        let rows = rows(&cluster, &group, committed)?;
        if args.json {
            described.push(as_json(&group, &rows));
        } else {
            if nth > 0 {
                writeln!(out)?;
            }
            write(&group, &rows, &mut out)?;
        }
    }
    if args.json { table::print_json(&described.into()) } else { table::print(&out) }
}

fn rows<'a>(
    cluster: &Cluster<'_>,
    group: &'a Group,
    committed: BTreeMap<TopicPartition, i64>,
) -> anyhow::Result<Vec<Row<'a>>> {
    let mut seen: BTreeMap<TopicPartition, (Option<i64>, Option<&Member>)> = BTreeMap::new();
    for (partition, offset) in committed {
        seen.entry(partition).or_default().0 = Some(offset);
    }
    for member in &group.members {
        for partition in &member.partitions {
            seen.entry(partition.clone()).or_default().1 = Some(member);
        }
    }
    let partitions: Vec<_> = seen.keys().cloned().collect();
    let ends = cluster.offsets(&partitions, Position::End)?;
    let rows = seen.into_iter().zip(ends);
    Ok(rows.map(|((partition, (committed, owner)), end)| Row { partition, committed, end, owner }).collect())
}

fn write(group: &Group, rows: &[Row<'_>], out: &mut Vec<u8>) -> std::io::Result<()> {
    let lag: i64 = rows.iter().filter_map(Row::lag).sum();
    let assignor = Some(group.assignor.as_str()).filter(|assignor| !assignor.is_empty()).unwrap_or("-");
    let (name, kind, state, members) = (&group.name, group.kind, &group.state, group.members.len());
    writeln!(out, "{name}: type {kind}, {state}, {members} members, assignment {assignor}, lag {lag}")?;
    let mut table =
        Table::new(&["TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "CLIENT", "HOST", "MEMBER"]);
    let number = |number: Option<i64>| number.map_or("-".to_owned(), |number| number.to_string());
    for row in rows {
        let text = |part: fn(&Member) -> &String| row.owner.map_or("-", |owner| part(owner)).to_owned();
        table.row(vec![
            row.partition.0.clone(),
            row.partition.1.to_string(),
            number(row.committed),
            row.end.to_string(),
            number(row.lag()),
            text(|owner| &owner.client),
            text(|owner| &owner.host),
            text(|owner| &owner.id),
        ]);
    }
    table.write(out)?;
    for member in group.members.iter().filter(|member| member.partitions.is_empty()) {
        writeln!(out, "no partitions: {} {} {}", member.client, member.host, member.id)?;
    }
    Ok(())
}

fn as_json(group: &Group, rows: &[Row<'_>]) -> Value {
    let members = group.members.iter();
    let members =
        members.map(|member| json!({"member": member.id, "client": member.client, "host": member.host}));
    let partitions = rows.iter().map(|row| {
        json!({"topic": row.partition.0, "partition": row.partition.1, "committed": row.committed, "end": row.end,
               "lag": row.lag(), "member": row.owner.map(|owner| &owner.id)})
    });
    json!({"group": group.name, "type": group.kind, "state": group.state, "assignor": group.assignor,
           "members": members.collect::<Vec<_>>(), "partitions": partitions.collect::<Vec<_>>()})
}
