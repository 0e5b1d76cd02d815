//! `thalweg groups`: look at consumer groups and where they are, and set it.

mod assignment;
mod delete;
mod describe;
mod group;
mod list;
mod offsets;
mod reset;

/// List, describe, reset and delete consumer groups.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    List(list::Args),
    Describe(describe::Args),
    Reset(reset::Args),
    Delete(delete::Args),
}

const EXAMPLES: &str = "Examples:\n  \
    thalweg groups list\n  \
    thalweg groups describe my-group\n  \
    thalweg groups reset my-group --to earliest --dry-run\n  \
    thalweg groups reset my-group --topic lines --to @-1h\n  \
    thalweg groups reset my-group --topic lines:0 --shift -10\n  \
    thalweg groups delete my-group\n  \
    thalweg groups delete my-group --topic lines             only what it has committed there";

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::List(args) => list::run(args),
        Command::Describe(args) => describe::run(args),
        Command::Reset(args) => reset::run(args),
        Command::Delete(args) => delete::run(args),
    }
}
