//! `thalweg consume`: records of topics on standard output.

mod bad_batch;
mod output;
mod reader;

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use self::output::Output;
use self::reader::{Event, Reader};
use crate::client::Connection;
use crate::cluster::Cluster;
use crate::format;
use crate::interrupt::Interrupt;
use crate::position::{self, POSITIONS, Position};
use crate::unpack::{self, Serdes};
use crate::usage::Usage;

/// Print the records of topics, and wait for more.
///
/// Reads all partitions from the beginning, a record a line, until Ctrl-C; -e ends when there is nothing more.
#[derive(clap::Args)]
#[command(after_help = examples(), disable_help_flag = true)]
pub(crate) struct Args {
    #[command(flatten)]
    connection: Connection,
    /// Topics to read.
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Where to begin. In a group, beginning or end: where it has committed nothing.
    #[arg(short, long, value_name = "POSITION", default_value = "beginning", allow_hyphen_values = true,
          value_parser = Position::parse, long_help = format!("Where to begin: {POSITIONS}.\nIn a group, beginning or \
          end: where to begin in a partition of which nothing was committed"))]
    offset: Position,
    /// Where to end: like --offset; a time may be one to come.
    #[arg(long, value_name = "POSITION", allow_hyphen_values = true, value_parser = Position::parse, conflicts_with = "group")]
    until: Option<Position>,
    /// Only this partition; may be given again.
    #[arg(short, long, value_name = "N", conflicts_with = "group")]
    partition: Vec<i32>,
    /// End after so many records.
    #[arg(short, long, value_name = "N")]
    count: Option<u64>,
    /// End when all records have been read.
    #[arg(short, long)]
    exit: bool,
    /// How a record is printed.
    #[arg(short, long, long_help = format!("How a record is printed: {}", format::TOKENS))]
    format: Option<String>,
    /// How a key or a value is read that is not text: value=q for the i64 that Rust programs and Java's `long` write; may be given for each.
    #[arg(short = 's', long = "unpack", value_name = "[key=|value=]LETTERS", value_parser = Serdes::parse, conflicts_with = "json",
          long_help = format!("How a key or a value is read that is not text, in kcat's letters: {}.\nOf both if neither is named. \
          What is null stays so", unpack::LETTERS))]
    unpack: Vec<Serdes>,
    /// Print each record as a line of JSON, as kcat does; what is no UTF-8 as {"base64":"…"}.
    #[arg(short = 'J', long, conflicts_with_all = ["format", "key_delimiter", "delimiter", "print_offset", "null"])]
    json: bool,
    /// Print the key and this before the value.
    #[arg(short = 'K', long, value_name = "TEXT", conflicts_with = "format")]
    key_delimiter: Option<String>,
    /// Print this behind each record.
    #[arg(short = 'D', long, value_name = "TEXT", default_value = "\\n", conflicts_with = "format")]
    delimiter: String,
    /// Print topic, partition and offset before each record.
    #[arg(short = 'O', long, conflicts_with = "format")]
    print_offset: bool,
    /// Print keys and values that are not there as NULL.
    #[arg(short = 'Z', long)]
    null: bool,
    /// Read as a member of this group: share the partitions, go on where it was, and commit what was printed.
    #[arg(short, long)]
    group: Option<String>,
    /// Whether records of transactions that are open or were aborted are read too.
    #[arg(long, value_name = "LEVEL", default_value = "read_committed", value_parser = ["read_committed", "read_uncommitted"])]
    isolation: String,
    /// What becomes of records that cannot be read, since their batch is damaged: fail, or skip them and say which.
    #[arg(long, value_name = "POLICY", default_value = "fail", value_parser = ["fail", "skip"], conflicts_with = "group")]
    bad_records: String,
    /// Say nothing on standard error but errors.
    #[arg(short, long)]
    quiet: bool,
    /// Print help.
    #[arg(short, long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

fn examples() -> String {
    "Examples:\n  \
       thalweg consume lines                               all of it, and what comes\n  \
       thalweg consume lines -o -10 -e                     the last ten of each partition\n  \
       thalweg consume lines -o @-1h --until @now          the last hour\n  \
       thalweg consume lines -o end -f '%T %k: %s\\n'       as they come, with time and key\n  \
       thalweg consume counts -K ' ' -s value=q            words and their counts, which are i64\n  \
       thalweg consume lines -g my-group -c 100            the next hundred of a group\n  \
       thalweg consume lines -J -e | thalweg produce -J copy"
        .to_owned()
}

/// How long to wait for records before looking at the clock and for Ctrl-C.
const LOOK: Duration = Duration::from_millis(50);

/// How many records of one topic are taken before the next topic's turn.
const TURN: usize = 10_000;

/// How long a cluster may be gone when an end is waited for.
const LOST: Duration = Duration::from_secs(30);

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let interrupt = Interrupt::listen()?;
    let mut output = Output::of(args)?;
    let mut readers = readers(args)?;
    match read(args, &interrupt, &mut readers, &mut output) {
        // Whoever read from us has enough, as `head` does.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        result => result,
    }
}

fn readers(args: &Args) -> anyhow::Result<Vec<Reader>> {
    let cluster = Cluster::new(&args.connection)?.counting(&args.isolation);
    if let Some(group) = &args.group {
        if !matches!(args.offset, Position::Beginning | Position::End) {
            return Err(Usage(
                "a group begins where it has committed; for what it has not, --offset is beginning \
                              or end. `thalweg groups reset` sets its offsets"
                    .into(),
            )
            .into());
        }
        if args.exit && args.topics.len() > 1 {
            return Err(Usage("--exit in a group takes one topic".into()).into());
        }
        for topic in &args.topics {
            cluster.topic(topic)?;
        }
        return Ok(vec![Reader::of_group(args, group)?]);
    }
    let mut readers = Vec::new();
    for topic in &args.topics {
        let partitions = cluster.partitions(topic, &args.partition)?;
        let begin = cluster.offsets(&partitions, args.offset)?;
        let until = match args.until {
            None => vec![i64::MAX; partitions.len()],
            // What is to come is not at an offset yet.
            Some(Position::Time(time)) if time > position::now() => vec![i64::MAX; partitions.len()],
            Some(Position::Offset(offset)) => vec![offset; partitions.len()],
            Some(position) => cluster.offsets(&partitions, position)?,
        };
        let ranges = partitions.iter().map(|(_, partition)| *partition).zip(begin).zip(until);
        let ranges = ranges.map(|((partition, begin), until)| (partition, begin, until)).collect();
        readers.push(Reader::of_partitions(args, topic, ranges)?);
    }
    Ok(readers)
}

fn read(
    args: &Args,
    interrupt: &Interrupt,
    readers: &mut [Reader],
    output: &mut Output,
) -> anyhow::Result<()> {
    // A time to come: records are looked at, as no offset stands for it yet.
    let until = match args.until {
        Some(Position::Time(time)) if time > position::now() => Some(time),
        _ => None,
    };
    let mut left = args.count.unwrap_or(u64::MAX);
    let mut idle = false;
    let mut lost: Option<Instant> = None;
    loop {
        let ending = args.exit || args.until.is_some() && until.is_none_or(|until| until <= position::now());
        if left == 0 || interrupt.is_set() || readers.iter_mut().all(|reader| reader.is_done(ending)) {
            break;
        }
        if idle && output.is_closed() {
            break;
        }
        let mut wait =
            if idle { LOOK / u32::try_from(readers.len()).unwrap_or(u32::MAX) } else { Duration::ZERO };
        idle = true;
        for reader in readers.iter_mut() {
            for _ in 0..TURN {
                match reader.poll(wait, until, |message| output.write(message))? {
                    Event::Nothing => break,
                    Event::Passed => {}
                    Event::Printed => {
                        (idle, left, lost) = (false, left - 1, None);
                        if left == 0 {
                            break;
                        }
                    }
                    Event::End { topic, partition, next } => {
                        lost = None;
                        if !args.quiet && std::io::stderr().is_terminal() {
                            flush(output, reader)?;
                            eprintln!("% Reached end of topic {topic} [{partition}] at offset {next}");
                        }
                    }
                    Event::Lost => {
                        lost.get_or_insert_with(Instant::now);
                        if !args.quiet {
                            eprintln!(
                                "no connection to Kafka at {}; trying again",
                                args.connection.bootstrap()
                            );
                        }
                    }
                }
                wait = Duration::ZERO;
                if output.is_full() {
                    flush(output, reader)?;
                }
            }
            flush(output, reader)?;
            if left == 0 {
                break;
            }
        }
        if args.exit && lost.is_some_and(|since| since.elapsed() > LOST) {
            bail!("lost Kafka at {} before the end of what there is to read", args.connection.bootstrap());
        }
    }
    readers.iter().try_for_each(Reader::commit)
}

/// Prints what was written so far; only then has it been read, as far as a group is concerned.
fn flush(output: &mut Output, reader: &mut Reader) -> anyhow::Result<()> {
    output.flush().context("cannot write to standard output")?;
    reader.printed();
    Ok(())
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>());
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
