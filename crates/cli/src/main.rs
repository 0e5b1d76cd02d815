//! The `thalweg` binary.

mod broker;
mod demo;
mod interrupt;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// Thalweg: streams from Kafka to Kafka, in Spark's and in Flink's words, over one engine.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Args),
    Broker(broker::Args),
}

fn main() -> anyhow::Result<()> {
    let started = std::time::Instant::now();
    let args = Args::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match args.command {
        Command::Demo(args) => demo::run(&args, started),
        Command::Broker(args) => broker::run(args),
    }
}
