//! `thalweg checkpoints`: look into a folder of checkpoints.

mod folder;
mod ls;
mod rm;
mod show;
mod verify;

/// List, show, verify and remove the checkpoints and savepoints of jobs. A job may run meanwhile.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Ls(ls::Args),
    Show(show::Args),
    Verify(verify::Args),
    Rm(rm::Args),
}

const EXAMPLES: &str = "Examples:\n  \
    thalweg checkpoints ls ./checkpoints                      all jobs\n  \
    thalweg checkpoints show ./checkpoints word-count         the one that the job would resume from\n  \
    thalweg checkpoints show ./savepoint\n  \
    thalweg checkpoints verify ./checkpoints word-count 41\n  \
    thalweg checkpoints rm ./checkpoints word-count 40";

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Ls(args) => ls::run(args),
        Command::Show(args) => show::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Rm(args) => rm::run(args),
    }
}
