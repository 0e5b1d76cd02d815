//! `thalweg topics`: look at topics and change them.

mod alter;
mod create;
mod delete;
mod delete_records;
mod describe;
mod list;

/// List, create, describe, alter and delete topics.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    List(list::Args),
    Create(create::Args),
    Describe(describe::Args),
    Alter(alter::Args),
    Delete(delete::Args),
    DeleteRecords(delete_records::Args),
}

const EXAMPLES: &str = "Examples:\n  \
    thalweg topics list\n  \
    thalweg topics create lines counts -p 3\n  \
    thalweg topics create users -c cleanup.policy=compact\n  \
    thalweg topics describe lines\n  \
    thalweg topics alter lines --partitions 6 -c retention.ms=3600000\n  \
    thalweg topics delete-records lines --before @-1h\n  \
    thalweg topics delete lines";

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::List(args) => list::run(args),
        Command::Create(args) => create::run(args),
        Command::Describe(args) => describe::run(args),
        Command::Alter(args) => alter::run(args),
        Command::Delete(args) => delete::run(args),
        Command::DeleteRecords(args) => delete_records::run(args),
    }
}
