//! `thalweg checkpoints verify`.

use super::folder::{Which, open, size};
use crate::table;

/// Check a checkpoint or savepoint: every file, every checksum, and that nothing that it needs is missing.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let folder = open(&args.which.folder)?;
    let (job, id) = args.which.find(&folder)?;
    let (manifest, states) = folder.read(&job, id)?;
    let bytes: u64 = states.iter().map(|state| state.bytes).sum();
    table::print_lines(std::iter::once(format!(
        "checkpoint {} of job {} is intact: {} of state in {} files",
        manifest.epoch,
        manifest.job,
        size(bytes),
        manifest.files.len()
    )))
}
