//! The `thalweg` binary.

mod admin;
mod broker;
mod checkpoints;
mod client;
mod cluster;
mod consume;
mod count;
mod demo;
mod envelope;
mod format;
mod groups;
#[cfg(feature = "sql")]
mod inside;
mod interrupt;
#[cfg(feature = "sql")]
mod job_config;
mod position;
mod printable;
mod produce;
mod properties;
#[cfg(feature = "sql")]
mod run;
#[cfg(feature = "sql")]
mod shell;
#[cfg(feature = "sql")]
mod status;
mod table;
mod terminal;
mod topics;
mod unpack;
mod usage;
mod wire;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// By measurement: queries of Nexmark take a fifth less CPU than with the C library's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    Topics(topics::Args),
    Groups(groups::Args),
    Produce(produce::Args),
    Consume(consume::Args),
    Checkpoints(checkpoints::Args),
    #[cfg(feature = "sql")]
    Run(run::Args),
    #[cfg(feature = "sql")]
    Sql(shell::Args),
}

fn main() -> ExitCode {
    let started = std::time::Instant::now();
    let args = Args::parse();
    // What a broker has cut off at its start is to be seen.
    let usual = if matches!(args.command, Command::Broker(_)) { "warn" } else { "error" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    log.with_ansi(std::io::stderr().is_terminal()).init();
    let result = match args.command {
        Command::Demo(args) => demo::run(&args, started),
        Command::Broker(args) => broker::run(&args),
        Command::Topics(args) => topics::run(&args),
        Command::Groups(args) => groups::run(&args),
        Command::Produce(args) => produce::run(&args),
        Command::Consume(args) => consume::run(&args),
        Command::Checkpoints(args) => checkpoints::run(&args),
        #[cfg(feature = "sql")]
        Command::Run(args) => run::run(&args),
        #[cfg(feature = "sql")]
        Command::Sql(args) => shell::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", printable::text(&in_one_line(&error)));
            if error.is::<usage::Usage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

/// An error and its causes, without what has been said already: many errors have their cause in their text.
fn in_one_line(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}
