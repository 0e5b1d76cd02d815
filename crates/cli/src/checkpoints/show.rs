//! `thalweg checkpoints show`.

use serde_json::json;

use super::folder::{Which, age, open, size};
use crate::table::{self, Table};

/// Show what a checkpoint or savepoint consists of: its operators, their state, its files. All of it is read and checked.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let folder = open(&args.which.folder)?;
    let (job, id) = args.which.find(&folder)?;
    let (manifest, states) = folder.read(&job, id)?;
    if args.json {
        let states: Vec<_> = states
            .iter()
            .map(|state| {
                json!({
                    "operator": state.operator, "state": state.name, "kind": format!("{:?}", state.kind).to_lowercase(),
                    "type": state.shape, "groups": state.groups, "bytes": state.bytes, "files": state.files,
                })
            })
            .collect();
        return table::print_json(&json!({ "manifest": manifest, "states": states }));
    }
    let bytes: u64 =
        manifest.files.iter().filter_map(|file| file.contents).map(|contents| contents.length).sum();
    table::print_lines(
        [
            format!("job          {}", manifest.job),
            format!("checkpoint   {} of owner {}", manifest.epoch, manifest.generation),
            format!("age          {}", age(manifest.time)),
            format!("size         {} in {} files", size(bytes), manifest.files.len()),
            format!("key groups   {}", manifest.max_parallelism),
            format!("format       {}", manifest.format_version),
            String::new(),
        ]
        .into_iter(),
    )?;
    let mut table =
        Table::new(&["OPERATOR", "UID", "SUBTASKS", "STATE", "KIND", "GROUPS", "SIZE", "FILES", "TYPE"]);
    for operator in &manifest.operators {
        let mut mine = states.iter().filter(|state| state.operator == operator.uid).peekable();
        let first =
            |name: &str| vec![name.to_owned(), operator.uid.clone(), operator.parallelism.to_string()];
        if mine.peek().is_none() {
            table.row(first(&operator.name));
        }
        for state in mine {
            let mut row = first(&operator.name);
            row.extend([
                state.name.clone(),
                format!("{:?}", state.kind).to_lowercase(),
                state.groups.to_string(),
                size(state.bytes),
                state.files.to_string(),
                state.shape.clone(),
            ]);
            table.row(row);
        }
    }
    table.print()
}
