//! `thalweg broker`: the embedded broker, alone.

use std::path::PathBuf;
use std::time::Duration;

use thalweg_broker::{Broker, BrokerConfig, Storage};

use crate::interrupt::Interrupt;

/// Run the Kafka-compatible broker alone, for any Kafka client, until Ctrl-C.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// HOST:PORT to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:9092", value_name = "ADDR")]
    listen: String,
    /// HOST:PORT that clients are told to connect to. Default: where they reached the broker.
    #[arg(long, value_name = "ADDR")]
    advertised: Option<String>,
    /// Folder to keep topics, offsets and transactions in. Default: memory, gone with the process.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Partitions of topics that are created by their first use.
    #[arg(long, default_value_t = 1)]
    partitions: i32,
    /// HOST:PORT to tell Prometheus metrics at, under /metrics. Default: nowhere.
    #[arg(long, value_name = "ADDR")]
    metrics: Option<String>,
    /// A setting under Kafka's name, as in a server.properties; may be given several times.
    #[arg(long = "config", value_name = "KEY=VALUE", value_parser = setting)]
    configs: Vec<(String, String)>,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it has no '='; write it as num.partitions=3")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let interrupt = Interrupt::listen()?;
    let kept = match &args.data {
        Some(folder) => format!("data in {}", folder.display()),
        None => "data in memory".to_owned(),
    };
    let broker = Broker::start(BrokerConfig {
        listen: args.listen,
        advertised: args.advertised,
        storage: args.data.map_or(Storage::Memory, Storage::Directory),
        default_partitions: args.partitions,
        metrics_listen: args.metrics,
        properties: args.configs.into_iter().collect(),
        ..BrokerConfig::default()
    })?;
    println!("listening on {}; bootstrap.servers={}; {kept}", broker.address(), broker.bootstrap());
    if let Some(address) = broker.metrics_address() {
        println!("metrics at http://{address}/metrics");
    }
    while !interrupt.is_set() {
        std::thread::sleep(Duration::from_millis(50));
    }
    broker.stop();
    eprintln!(
        "stopped; {}",
        if kept.ends_with("memory") { "its data is gone" } else { "all that was acknowledged is kept" }
    );
    Ok(())
}
