//! `thalweg demo`: the main job. Lines go into a topic; their words are counted in micro-batches, exactly-once
//! from Kafka to Kafka; the counts go over the bridge into event-time windows; both are shown.

mod display;
mod feed;
mod pipeline;
mod text;
mod totals;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use thalweg::dataflow::runtime::JobHandle;
use thalweg::kafka::TopicPartition;
use thalweg::kafka::admin::KafkaAdmin;
use thalweg::kafka::config::KafkaProperties;
use thalweg_broker::{Broker, BrokerConfig, Storage};

use self::display::Display;
use self::feed::{Feed, Input};
use self::pipeline::{Pipeline, Seen};
use crate::interrupt::Interrupt;

/// Count words from Kafka to Kafka, live: the main job, on text that ships with the binary unless told otherwise.
///
/// Without --bootstrap it starts a broker of its own. Ctrl-C stops reading, finishes what was read, and says
/// what was committed.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Count the words of this file; `-` for standard input. Default: text that ships with the binary, over and over.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// End when the input has been read, and print the ten most frequent words, `word<TAB>count` a line, on stdout.
    #[arg(long)]
    once: bool,
    /// How many lines a second of the text that ships with the binary.
    #[arg(long, default_value_t = 5000, value_name = "LINES", value_parser = clap::value_parser!(u32).range(1..),
          conflicts_with_all = ["input", "once"])]
    rate: u32,
    /// Use this Kafka cluster instead of a broker of its own. Topics are created there, and stay.
    #[arg(long, value_name = "HOST:PORT")]
    bootstrap: Option<String>,
    /// Keep the topics of the own broker in this folder instead of in memory: for input that is larger than memory.
    #[arg(long, value_name = "DIR", conflicts_with = "bootstrap")]
    data: Option<PathBuf>,
    /// How long a micro-batch is.
    #[arg(long, default_value = "25ms", value_name = "TIME", value_parser = humantime::parse_duration)]
    batch_interval: Duration,
    /// How often results are committed; rounded up to whole batches.
    #[arg(long, default_value = "500ms", value_name = "TIME", value_parser = humantime::parse_duration)]
    checkpoint_interval: Duration,
    /// How long a window of event time is.
    #[arg(long, default_value = "5s", value_name = "TIME", value_parser = humantime::parse_duration)]
    window: Duration,
    /// Subtasks of each step. Default: the number of cores.
    #[arg(long, value_name = "N")]
    parallelism: Option<usize>,
    /// Partitions of the topics.
    #[arg(long, default_value_t = 2, value_name = "N")]
    partitions: i32,
}

/// How often the state of things is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// The topics of one run.
struct Topics {
    lines: String,
    counts: String,
}

pub(crate) fn run(args: &Args, started: Instant) -> anyhow::Result<()> {
    let interrupt = Interrupt::listen()?;
    let input = Input::of(args.input.as_deref(), args.once, args.rate)?;
    let checkpoints = tempfile::tempdir().context("no folder for checkpoints")?;
    let broker = args.bootstrap.is_none().then(|| own_broker(args)).transpose()?;
    let bootstrap = match (&args.bootstrap, &broker) {
        (Some(bootstrap), _) => bootstrap.clone(),
        (None, Some(broker)) => broker.bootstrap(),
        (None, None) => bail!("neither a cluster nor a broker"),
    };
    // A name of its own for each run: topics of a cluster outlive it.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis();
    let job = format!("thalweg-demo-{now}");
    let topics = Topics { lines: format!("{job}-lines"), counts: format!("{job}-counts") };
    let admin = KafkaAdmin::new(&KafkaProperties::new(&bootstrap))?;
    for topic in [&topics.lines, &topics.counts] {
        admin.create_topic(topic, args.partitions)?;
    }
    eprintln!("{bootstrap}: from topic {} to topic {}", topics.lines, topics.counts);
    eprintln!("to look in: thalweg consume -b {bootstrap} -K ' ' -s value=Q {}", topics.counts);

    let seen = Seen::new(started);
    let pipeline = Pipeline::build(&job, &bootstrap, &topics, args, checkpoints.path(), &seen)?;
    let handle = pipeline.start()?;
    let feed = Feed::start(input, &bootstrap, &topics.lines)?;
    let result = watch(args, &interrupt, &admin, &topics, &pipeline, handle, feed, &seen)?;
    let totals = totals::of_topic(&bootstrap, &topics.counts)?;
    let words: u64 = totals.values().sum();
    eprintln!(
        "committed up to epoch {}: {words} words, {} different ones, in topic {}{}",
        result.epoch,
        totals.len(),
        topics.counts,
        if broker.is_some() && !retention(args).is_empty() { ", as far as they are kept" } else { "" }
    );
    if args.once {
        let mut out = std::io::stdout().lock();
        for (word, count) in totals::most_frequent(&totals, 10) {
            writeln!(out, "{word}\t{count}")?;
        }
    }
    Ok(())
}

/// How much the demo's own broker keeps of each partition of a feed that never ends, in segments of a quarter of it.
const KEPT_BYTES: u64 = 32 << 20;

fn own_broker(args: &Args) -> anyhow::Result<Broker> {
    let storage = args.data.clone().map_or(Storage::Memory, Storage::Directory);
    Ok(Broker::start(BrokerConfig { storage, properties: retention(args), ..BrokerConfig::default() })?)
}

/// Nothing is dropped of a text that the user gave; of the built-in one, over and over, what has long been read.
fn retention(args: &Args) -> BTreeMap<String, String> {
    let properties = [
        ("log.retention.bytes", KEPT_BYTES),
        ("log.segment.bytes", KEPT_BYTES / 4),
        ("log.retention.check.interval.ms", 5_000),
    ];
    let endless = args.input.is_none() && !args.once;
    let properties = properties.into_iter().filter(|_| endless);
    properties.map(|(name, value)| (name.to_owned(), value.to_string())).collect()
}

/// Shows how it goes, until the job ends: with its input, by Ctrl-C, or by a failure.
#[expect(clippy::too_many_arguments, reason = "everything that there is to be watched")]
fn watch(
    args: &Args,
    interrupt: &Interrupt,
    admin: &KafkaAdmin,
    topics: &Topics,
    pipeline: &Pipeline,
    handle: JobHandle,
    feed: Feed,
    seen: &Seen,
) -> anyhow::Result<thalweg::dataflow::runtime::JobResult> {
    let mut display = Display::new(pipeline.lag(), seen.clone());
    let mut feed = Some(feed);
    // Where the input ends in the topic, once it has all been written.
    let mut end: Option<BTreeMap<TopicPartition, i64>> = None;
    let mut stopping = false;
    while !handle.is_finished() {
        std::thread::sleep(LOOK);
        display.update(&handle);
        if let Some(finished) = feed.take_if(|feed| feed.is_finished()) {
            finished.wait()?;
            end = Some(admin.end_offsets(&topics.lines)?);
            if !args.once && !stopping {
                display.say("all input is in the topic; Ctrl-C ends the demo");
            }
        }
        if interrupt.is_set() && !stopping {
            stopping = true;
            display.say("stopping: finishing what was read (once more Ctrl-C to stop at once)");
            if let Some(feed) = feed.take() {
                feed.stop();
            }
            handle.stop();
        }
        if args.once && !stopping && end.as_ref().is_some_and(|end| seen.has_reached(end)) {
            stopping = true;
            handle.stop();
        }
    }
    if let Some(feed) = feed.take() {
        feed.stop();
    }
    Ok(handle.wait()?)
}
