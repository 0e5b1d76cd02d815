//! `thalweg checkpoints rm`.

use super::folder::{Which, open};
use crate::table;
use crate::usage::Usage;

/// Remove a checkpoint, and the files that no other one needs.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
    /// Also if it is the one that the job would resume from.
    #[arg(long)]
    force: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    if args.which.checkpoint.is_none() {
        return Err(Usage("say which checkpoint is to be removed: FOLDER JOB NUMBER".to_owned()).into());
    }
    let folder = open(&args.which.folder)?;
    let (job, id) = args.which.find(&folder)?;
    let Some(id) = id else {
        return Err(Usage("a savepoint is removed with its folder".to_owned()).into());
    };
    folder.remove(&job, id, args.force)?;
    table::print_lines([format!("removed checkpoint {id} of job {job}")].into_iter())
}
