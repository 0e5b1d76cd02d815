//! `thalweg checkpoints ls`.

use std::path::PathBuf;

use serde_json::json;

use super::folder::{age, open, size};
use crate::table::{self, Table};

/// List the jobs and checkpoints of a folder, the newest first. One that is not complete, or was written by somebody who did not
/// own the job any more, does not count; it is cleared away by the job.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The folder of the checkpoints.
    folder: PathBuf,
    /// Only those of this job.
    job: Option<String>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let folder = open(&args.folder)?;
    let jobs = folder.jobs()?.into_iter().filter(|job| args.job.as_ref().is_none_or(|wanted| wanted == job));
    let mut table = Table::new(&["JOB", "CHECKPOINT", "OWNER", "AGE", "SIZE", "NEW", "FILES", "COUNTS"]);
    let mut listed = Vec::new();
    for job in jobs {
        for info in folder.checkpoints(&job)? {
            let time = info.manifest.as_ref().map(|manifest| manifest.time);
            let files = info.manifest.as_ref().map_or(0, |manifest| manifest.files.len());
            let counts = if info.counts { "yes" } else { "no" };
            listed.push(json!({
                "job": job, "checkpoint": info.id.epoch, "owner": info.id.generation, "time": time, "bytes": info.bytes,
                "new_bytes": info.bytes - info.shared, "files": files, "complete": info.manifest.is_some(), "counts": info.counts,
            }));
            table.row(vec![
                job.clone(),
                info.id.epoch.to_string(),
                info.id.generation.to_string(),
                time.map_or_else(|| "-".to_owned(), age),
                size(info.bytes),
                size(info.bytes - info.shared),
                files.to_string(),
                if info.manifest.is_some() { counts.to_owned() } else { "no (not complete)".to_owned() },
            ]);
        }
    }
    if args.json { table::print_json(&listed.into()) } else { table.print() }
}
