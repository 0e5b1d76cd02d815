//! `thalweg broker`: the embedded broker, alone.

mod folder;
mod settings;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use thalweg_broker::{Broker, Storage};

use crate::client::KeyValue;
use crate::interrupt::Interrupt;

/// Run the Kafka-compatible broker alone, for any Kafka client, until Ctrl-C.
///
/// The first line on standard output says where it listens; then it serves. A second Ctrl-C ends it at once, which
/// loses nothing that was acknowledged.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// HOST:PORT or NAME://HOST:PORT to listen on; port 0 takes a free one; may be given again.
    ///
    /// NAME is PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL, or has its protocol in the setting
    /// listener.security.protocol.map. Default: the setting `listeners`, or else 127.0.0.1:9092.
    #[arg(short, long, value_name = "ADDR")]
    listen: Vec<String>,
    /// What clients are told to connect to, in the order of --listen. Default: where they reached the broker.
    #[arg(long, value_name = "ADDR", requires = "listen")]
    advertised: Vec<String>,
    /// Folder to keep topics, offsets and transactions in. Default: the setting `log.dirs`, or else memory, gone with
    /// the process.
    #[arg(short, long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Partitions of topics that are created by their first use.
    #[arg(short, long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: i32,
    /// A topic to create if it is not there; may be given again.
    #[arg(short, long = "topic", value_name = "NAME[:PARTITIONS]", value_parser = topic)]
    topics: Vec<(String, Option<i32>)>,
    /// A setting under Kafka's name, such as `log.retention.hours=1`; may be given again.
    #[arg(short = 'c', long = "config", value_name = "KEY=VALUE", value_parser = KeyValue)]
    settings: Vec<(String, String)>,
    /// Settings in a file, as Kafka's server.properties; those of the command line count more. What this broker does not
    /// have is refused.
    #[arg(long, value_name = "FILE")]
    config_file: Option<PathBuf>,
    /// HOST:PORT to tell Prometheus metrics at, under /metrics. Default: nowhere.
    #[arg(long, value_name = "ADDR")]
    metrics: Option<String>,
}

const EXAMPLES: &str = "Examples:\n  \
    thalweg broker                                          in memory, at 127.0.0.1:9092\n  \
    thalweg broker --data ./data --topic lines:3            kept in files, with a topic\n  \
    thalweg broker --listen 0.0.0.0:9092 --advertised box.local:9092\n  \
    thalweg broker --config log.retention.hours=1 --config auto.create.topics.enable=false\n  \
    thalweg broker --config-file server.properties --metrics 127.0.0.1:9090";

/// Parses `NAME` or `NAME:PARTITIONS`.
fn topic(text: &str) -> Result<(String, Option<i32>), String> {
    match text.split_once(':') {
        None => Ok((text.to_owned(), None)),
        Some((name, partitions)) => match partitions.parse() {
            Ok(partitions) if partitions > 0 => Ok((name.to_owned(), Some(partitions))),
            _ => Err(format!("'{partitions}' is no number of partitions")),
        },
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let interrupt = Interrupt::listen()?;
    let config = settings::config(args)?;
    let data = match &config.storage {
        Storage::Directory(folder) => Some(folder.clone()),
        Storage::Memory => None,
    };
    let names = settings::listener_names(&config);
    let began = Instant::now();
    let broker = Broker::start(config)?;
    let took = began.elapsed();
    create_topics(args, &broker)?;
    println!("{}", start_line(&broker, &names, data.as_deref(), took)?);
    if let Some(address) = broker.metrics_address() {
        println!("metrics at http://{address}/metrics");
    }
    while !interrupt.is_set() {
        std::thread::sleep(Duration::from_millis(50));
    }
    let topics = broker.client().topics().unwrap_or_default().len();
    broker.stop();
    match data {
        None => eprintln!("stopped; its data was in memory and is gone: {topics} topics"),
        Some(folder) => eprintln!(
            "stopped; all that was acknowledged is kept in {}: {topics} topics, {} of records",
            folder.display(),
            folder::size(folder::records(&folder))
        ),
    }
    Ok(())
}

fn create_topics(args: &Args, broker: &Broker) -> anyhow::Result<()> {
    let client = broker.client();
    for (topic, partitions) in &args.topics {
        if client.partition_count(topic)?.is_none() {
            broker.create_topic(topic, partitions.unwrap_or(args.partitions))?;
        }
    }
    Ok(())
}

/// Where it listens, where its data is, what was there, and how long the start took.
fn start_line(
    broker: &Broker,
    names: &[String],
    data: Option<&std::path::Path>,
    took: Duration,
) -> anyhow::Result<String> {
    let address = |name: &String| Some(format!("{name}://{}", broker.address_of(name)?));
    let addresses = match names {
        [_] => broker.address().to_string(),
        names => names.iter().filter_map(address).collect::<Vec<_>>().join(", "),
    };
    let topics = broker.client().topics().context("cannot list the topics")?;
    let partitions: i32 = topics.iter().map(|(_, partitions)| partitions).sum();
    let kept = match data {
        None => "data in memory".to_owned(),
        Some(folder) => {
            format!("data in {}, {} of records", folder.display(), folder::size(folder::records(folder)))
        }
    };
    let took = took.as_secs_f64() * 1000.0;
    Ok(format!(
        "listening on {addresses}; bootstrap.servers={}; {kept}; {} topics, {partitions} partitions; started in {took:.0} ms",
        broker.bootstrap(),
        topics.len()
    ))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_topic_has_a_number_of_partitions_or_the_default() {
        assert_eq!(super::topic("lines"), Ok(("lines".to_owned(), None)));
        assert_eq!(super::topic("lines:3"), Ok(("lines".to_owned(), Some(3))));
        assert!(super::topic("lines:0").is_err() && super::topic("lines:x").is_err());
    }
}
