//! `thalweg produce`: lines of files or of standard input into a topic.

mod delivery;
mod input;
mod parse;
mod progress;
mod writer;

use std::path::PathBuf;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use anyhow::bail;

use self::input::{Piece, Splitter};
use self::parse::Parser;
use self::writer::Writer;
use crate::client::{Connection, KeyValue};
use crate::format::{self, TOKENS};
use crate::interrupt::Interrupt;
use crate::usage::Usage;

/// Write records to a topic, from standard input or files.
///
/// A line is a record, unless told otherwise. A record that cannot be delivered is reported with its line, and makes
/// the exit code 1. Ctrl-C writes what was read so far.
#[derive(clap::Args)]
#[command(after_help = examples())]
pub(crate) struct Args {
    #[command(flatten)]
    connection: Connection,
    /// The topic.
    topic: String,
    /// Files to read one after the other; `-` is standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    files: Vec<PathBuf>,
    /// The key is what stands before the first of this in a line.
    #[arg(short = 'K', long, value_name = "TEXT", conflicts_with_all = ["format", "json"])]
    key_delimiter: Option<String>,
    /// What ends a record; nothing, if each file is one record.
    #[arg(short = 'D', long, value_name = "TEXT", default_value = "\\n", conflicts_with_all = ["format", "json"])]
    delimiter: String,
    /// How a record is written in the input.
    #[arg(short, long, conflicts_with = "json", long_help = format!("How a record is written in the input; what \
          stands at the end of the format ends the record: {TOKENS}. %t and %o are passed over"))]
    format: Option<String>,
    /// The input has a record a line in JSON, as `thalweg consume -J` prints it. Times are kept.
    #[arg(short = 'J', long)]
    json: bool,
    /// With -J: write each record to the partition with the number that it had.
    #[arg(long, requires = "json", conflicts_with = "partition")]
    keep_partitions: bool,
    /// The key of every record that has none of its own.
    #[arg(short, long)]
    key: Option<String>,
    /// A header of every record; may be given again.
    #[arg(short = 'H', long = "header", value_name = "NAME=VALUE", value_parser = KeyValue)]
    headers: Vec<(String, String)>,
    /// The partition. Default: by the key as Java's producer does it, or any if there is no key.
    #[arg(short, long, value_name = "N")]
    partition: Option<i32>,
    /// An empty value is none (a tombstone), and so is an empty key.
    #[arg(short = 'Z', long)]
    null: bool,
    /// How records are compressed.
    #[arg(short = 'z', long, value_name = "CODEC", value_parser = ["none", "gzip", "snappy", "lz4", "zstd"])]
    compression: Option<String>,
    /// Whose confirmation is waited for: that of all replicas, of the leader (1), or nobody's (0).
    #[arg(long, value_parser = ["all", "-1", "1", "0"], allow_hyphen_values = true, default_value = "all")]
    acks: String,
    /// Write the whole input in one transaction of this id: all or nothing.
    #[arg(long, value_name = "ID", conflicts_with = "acks")]
    transactional: Option<String>,
    /// Records a second, at most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Say nothing on standard error but errors.
    #[arg(short, long)]
    quiet: bool,
}

fn examples() -> String {
    "Examples:\n  \
       seq 1000 | thalweg produce numbers\n  \
       thalweg produce users -K : < users.txt               lines such as 7:{\"name\":\"Anna\"}\n  \
       thalweg produce users -k 7 -Z < /dev/null            nothing: there is no line\n  \
       echo | thalweg produce users -k 7 -Z                 a tombstone for key 7\n  \
       thalweg produce clicks -f '%T %k %s\\n' clicks.log    with the time of each record\n  \
       thalweg produce lines book.txt --transactional load  all of it or nothing\n  \
       thalweg produce images -D '' *.png                   each file is a record\n  \
       thalweg consume lines -J -e | thalweg produce -J copy"
        .to_owned()
}

/// How long to wait for input before looking at deliveries and for Ctrl-C.
const LOOK: Duration = Duration::from_millis(20);

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let interrupt = Interrupt::listen()?;
    let (parser, delimiter) = parser(args).map_err(Usage)?;
    let mut writer = Writer::open(args, &interrupt)?;
    let result = write(args, &interrupt, &mut writer, &parser, &delimiter);
    writer.close(result)
}

fn parser(args: &Args) -> Result<(Parser, Vec<u8>), String> {
    if args.json {
        return Ok((Parser::Json, b"\n".to_vec()));
    }
    if let Some(format) = &args.format {
        return Parser::of_format(format::parse(format)?);
    }
    let delimiter = format::unescape(&args.delimiter)?;
    let key_delimiter = args.key_delimiter.as_deref().map(format::unescape).transpose()?;
    if key_delimiter.as_ref().is_some_and(Vec::is_empty) {
        return Err("the delimiter between key and value is not empty".to_owned());
    }
    Ok((Parser::Line { key_delimiter }, delimiter))
}

/// Writes all input, or what there is of it when Ctrl-C is pressed.
fn write(
    args: &Args,
    interrupt: &Interrupt,
    writer: &mut Writer<'_>,
    parser: &Parser,
    delimiter: &[u8],
) -> anyhow::Result<()> {
    let pieces = input::read(args.files.clone());
    let mut splitter = Splitter::new(delimiter);
    while !interrupt.is_set() {
        let piece = match pieces.recv_timeout(LOOK) {
            Ok(piece) => piece?,
            Err(RecvTimeoutError::Timeout) => {
                writer.idle();
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        };
        match piece {
            Piece::Begin(file) => {
                splitter.finish(|record| writer.write(parser, record))?;
                writer.begin(file);
            }
            Piece::Bytes(bytes) => splitter.feed(&bytes, |record| writer.write(parser, record))?,
        }
    }
    match (interrupt.is_set(), &args.transactional) {
        (false, _) => splitter.finish(|record| writer.write(parser, record)),
        (true, Some(_)) => bail!("interrupted before the end of the input"),
        // What is behind the last delimiter may be the beginning of a record.
        (true, None) => Ok(()),
    }
}
