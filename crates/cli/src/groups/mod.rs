//! `thalweg groups`: look at consumer groups and where they are, and set it.

mod assignment;
mod delete;
mod describe;
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
    thalweg groups delete my-group";

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::List(args) => list::run(args),
        Command::Describe(args) => describe::run(args),
        Command::Reset(args) => reset::run(args),
        Command::Delete(args) => delete::run(args),
    }
}

/// What librdkafka says of a group that does not speak the classic protocol, which is all it can describe.
const NOT_CLASSIC: &str = "Dead";

/// The state of a group, in Kafka's word, or `-` where it cannot be known.
fn state(group: &rdkafka::groups::GroupInfo) -> &str {
    Some(group.state()).filter(|state| !state.is_empty() && *state != NOT_CLASSIC).unwrap_or("-")
}

/// Which protocol the members of a group that is there speak.
fn kind(group: &rdkafka::groups::GroupInfo) -> &'static str {
    if state(group) == "-" { "new" } else { "classic" }
}
