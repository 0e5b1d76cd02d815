//! `thalweg groups describe`.

use std::collections::BTreeMap;
use std::io::Write as _;

use anyhow::bail;
use rdkafka::consumer::Consumer as _;
use rdkafka::groups::{GroupInfo, GroupMemberInfo};
use serde_json::{Value, json};

use super::{assignment, kind, offsets, state};
use crate::client::{Connection, TIMEOUT};
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
    owner: Option<&'a GroupMemberInfo>,
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
        let asked = cluster.consumer().fetch_group_list(Some(name), TIMEOUT);
        let list = asked.map_err(|error| cluster.failed(&format!("describe group '{name}'"), &error))?;
        let known = list.groups().iter().find(|group| group.name() == name);
        let Some(group) = known.filter(|group| !committed.is_empty() || state(group) != "-") else {
            bail!("the cluster has no group '{name}', or it has no members and no offsets");
        };
        let rows = rows(&cluster, group, committed)?;
        if args.json {
            described.push(as_json(group, &rows));
        } else {
            if nth > 0 {
                writeln!(out)?;
            }
            write(group, &rows, &mut out)?;
        }
    }
    if args.json { table::print_json(&described.into()) } else { table::print(&out) }
}

fn rows<'a>(
    cluster: &Cluster<'_>,
    group: &'a GroupInfo,
    committed: BTreeMap<TopicPartition, i64>,
) -> anyhow::Result<Vec<Row<'a>>> {
    let mut seen: BTreeMap<TopicPartition, (Option<i64>, Option<&GroupMemberInfo>)> = BTreeMap::new();
    for (partition, offset) in committed {
        seen.entry(partition).or_default().0 = Some(offset);
    }
    for member in group.members() {
        for partition in assignment::partitions(member.assignment().unwrap_or_default()) {
            seen.entry(partition).or_default().1 = Some(member);
        }
    }
    let partitions: Vec<_> = seen.keys().cloned().collect();
    let ends = cluster.offsets(&partitions, Position::End)?;
    let rows = seen.into_iter().zip(ends);
    Ok(rows.map(|((partition, (committed, owner)), end)| Row { partition, committed, end, owner }).collect())
}

fn write(group: &GroupInfo, rows: &[Row<'_>], out: &mut Vec<u8>) -> std::io::Result<()> {
    let lag: i64 = rows.iter().filter_map(Row::lag).sum();
    if state(group) == "-" {
        writeln!(out, "{}: lag {lag}; its members speak the new protocol, and are not shown", group.name())?;
    } else {
        let members = group.members().len();
        let protocol = Some(group.protocol()).filter(|protocol| !protocol.is_empty()).unwrap_or("none");
        let state = state(group);
        writeln!(out, "{}: {state}, {members} members, assignment {protocol}, lag {lag}", group.name())?;
    }
    let mut table =
        Table::new(&["TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "CLIENT", "HOST", "MEMBER"]);
    let number = |number: Option<i64>| number.map_or("-".to_owned(), |number| number.to_string());
    for row in rows {
        let text = |part: fn(&GroupMemberInfo) -> &str| row.owner.map_or("-", part).to_owned();
        table.row(vec![
            row.partition.0.clone(),
            row.partition.1.to_string(),
            number(row.committed),
            row.end.to_string(),
            number(row.lag()),
            text(GroupMemberInfo::client_id),
            text(GroupMemberInfo::client_host),
            text(GroupMemberInfo::id),
        ]);
    }
    table.write(out)?;
    for member in group.members() {
        if !rows.iter().any(|row| row.owner.is_some_and(|owner| owner.id() == member.id())) {
            writeln!(out, "no partitions: {} {} {}", member.client_id(), member.client_host(), member.id())?;
        }
    }
    Ok(())
}

fn as_json(group: &GroupInfo, rows: &[Row<'_>]) -> Value {
    let members = group.members().iter();
    let members = members.map(
        |member| json!({"member": member.id(), "client": member.client_id(), "host": member.client_host()}),
    );
    let partitions = rows.iter().map(|row| {
        json!({"topic": row.partition.0, "partition": row.partition.1, "committed": row.committed, "end": row.end,
               "lag": row.lag(), "member": row.owner.map(GroupMemberInfo::id)})
    });
    json!({"group": group.name(), "protocol": kind(group), "state": state(group), "assignment": group.protocol(),
           "members": members.collect::<Vec<_>>(), "partitions": partitions.collect::<Vec<_>>()})
}
