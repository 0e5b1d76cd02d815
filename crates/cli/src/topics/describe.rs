//! `thalweg topics describe`.

use std::io::Write as _;

use serde_json::json;

use crate::admin::Admin;
use crate::client::Connection;
use crate::cluster::Cluster;
use crate::position::Position;
use crate::table::{self, Table};

/// Show the partitions of topics, where they begin and end, and the settings that were made for them.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    connection: Connection,
    /// Names of the topics.
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let cluster = Cluster::new(&args.connection)?;
    let admin = Admin::new(&args.connection)?;
    let mut described = Vec::new();
    let mut out = Vec::new();
    for (nth, name) in args.topics.iter().enumerate() {
        let topic = cluster.topic(name)?;
        let ids: Vec<_> = topic.partitions.iter().map(|partition| (name.clone(), partition.id)).collect();
        let ranges = cluster
            .offsets(&ids, Position::Beginning)?
            .into_iter()
            .zip(cluster.offsets(&ids, Position::End)?);
        let rows: Vec<_> = topic.partitions.iter().zip(ranges).collect();
        let records: i64 = rows.iter().map(|(_, (start, end))| end - start).sum();
        let settings = admin.settings(name)?;
        if args.json {
            let partitions: Vec<_> = rows
                .iter()
                .map(|(partition, (start, end))| {
                    json!({"partition": partition.id, "leader": partition.leader, "replicas": partition.replicas,
                           "isr": partition.in_sync, "start": start, "end": end})
                })
                .collect();
            described.push(
                json!({"topic": name, "partitions": partitions, "offsets": records, "config": settings}),
            );
            continue;
        }
        if nth > 0 {
            writeln!(out)?;
        }
        writeln!(out, "{name}: {} partitions, {records} offsets", topic.partitions.len())?;
        for (setting, value) in &settings {
            writeln!(out, "  {setting}={value}")?;
        }
        let mut table = Table::new(&["PARTITION", "LEADER", "REPLICAS", "ISR", "START", "END", "COUNT"]);
        for (partition, (start, end)) in rows {
            let (id, leader) = (partition.id.to_string(), partition.leader.to_string());
            let (replicas, in_sync) = (join(&partition.replicas), join(&partition.in_sync));
            let count = (end - start).to_string();
            table.row(vec![id, leader, replicas, in_sync, start.to_string(), end.to_string(), count]);
        }
        table.write(&mut out)?;
    }
    if args.json { table::print_json(&described.into()) } else { table::print(&out) }
}

fn join(ids: &[i32]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
