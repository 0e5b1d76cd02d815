//! The campaign, and the jobs that it is about.

use std::io::Write;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use rustix::process::{Signal, getpid, kill_process};
use thalweg_campaign::driver::At;
use thalweg_campaign::jobs::{Conditions, JobArgs, Kind, gave_way};
use thalweg_campaign::scenario::{Hurt, Scenario, comes_to, is_at_start};
use thalweg_dataflow::debug_hook;

/// Kills, stops and wakes jobs at every step of the exactly-once protocol, and looks at what comes out.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the campaign.
    Run(RunArgs),
    /// Be one of its jobs; for the campaign itself.
    Job {
        #[command(flatten)]
        job: JobArgs,
        /// STEP:TIME where the process stops itself.
        #[arg(long)]
        stop_at: Option<String>,
    },
}

#[derive(Args)]
struct RunArgs {
    /// Only jobs of this kind.
    #[arg(long)]
    kind: Option<Kind>,
    /// Only this is done to them.
    #[arg(long)]
    hurt: Option<Hurt>,
    /// Only at this step.
    #[arg(long)]
    step: Option<String>,
    /// How often everything is done, each time a little later in the life of the job.
    #[arg(long, default_value_t = 1)]
    rounds: u32,
    /// A real Kafka, for jobs of kind `kafka`; default: the embedded broker. `THALWEG_KAFKA` names one, too.
    #[arg(long)]
    kafka: Option<String>,
    #[command(flatten)]
    conditions: Conditions,
}

/// Where this process stops itself.
static STOP_AT: OnceLock<(String, u32)> = OnceLock::new();
static TIMES: AtomicU32 = AtomicU32::new(0);

fn say(what: std::fmt::Arguments<'_>) {
    // A driver that is gone needs to hear nothing.
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{what}").and_then(|()| out.flush());
}

fn stop_at(step: &'static str) {
    if let Some((wanted, time)) = STOP_AT.get()
        && wanted == step
        && TIMES.fetch_add(1, Ordering::SeqCst) + 1 == *time
    {
        say(format_args!("at {step}"));
        let _ = kill_process(getpid(), Signal::STOP);
    }
}

fn job(job: &JobArgs, at: Option<&str>) -> anyhow::Result<()> {
    if let Some((step, time)) = at.and_then(|at| at.split_once(':')) {
        let _ = STOP_AT.set((step.to_owned(), time.parse()?));
        debug_hook::set(stop_at);
    }
    let (running, _broker) = job.start()?;
    let mut epoch = 0;
    while !running.is_finished() {
        let committed = running.progress().committed_epoch;
        if committed > epoch {
            epoch = committed;
            say(format_args!("epoch {epoch}"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    match running.wait() {
        Ok(result) => say(format_args!("ended {}", result.restarts)),
        Err(error) if gave_way(&error) => say(format_args!("gave-way {error}")),
        Err(error) => say(format_args!("failed {}", error.to_string().replace('\n', " "))),
    }
    Ok(())
}

fn scenarios(args: &RunArgs) -> Vec<Scenario> {
    let mut all = Vec::new();
    for round in 0..args.rounds {
        for kind in
            Kind::value_variants().iter().copied().filter(|kind| args.kind.is_none_or(|only| only == *kind))
        {
            for hurt in Hurt::value_variants()
                .iter()
                .copied()
                .filter(|hurt| args.hurt.is_none_or(|only| only == *hurt))
            {
                if kind == Kind::Store && args.conditions.checkpoints.is_none() {
                    continue;
                }
                // Nobody can take over from an embedded broker that is stopped: its folder is locked.
                if kind == Kind::Embedded && matches!(hurt, Hurt::Wake | Hurt::Triplets) {
                    continue;
                }
                let steps = debug_hook::STEPS.iter().copied().filter(|step| comes_to(kind, step));
                for step in steps.filter(|step| args.step.as_deref().is_none_or(|only| only == *step)) {
                    let time = if is_at_start(step) { 1 } else { 2 + round };
                    all.push(Scenario { kind, hurt, at: At { step, time } });
                    if hurt == Hurt::Triplets {
                        break;
                    }
                }
            }
        }
    }
    all
}

fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let program = std::env::current_exe()?;
    let kafka = args.kafka.clone().or_else(|| std::env::var("THALWEG_KAFKA").ok());
    let (all, mut wrong) = (scenarios(args), 0);
    for (index, scenario) in all.iter().enumerate() {
        let result = scenario.play(&program, kafka.as_deref(), &args.conditions);
        let verdict = match &result {
            Ok(faults) if faults.is_empty() => "well".to_owned(),
            Ok(faults) => format!("{} faults: {}", faults.len(), faults[0]),
            Err(error) => format!("{error:#}"),
        };
        wrong += usize::from(verdict != "well");
        println!("{:>4}/{} {scenario}: {verdict}", index + 1, all.len());
    }
    println!("{} stories, {wrong} of them wrong", all.len());
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Run(args) => run(&args),
        Command::Job { job: args, stop_at } => job(&args, stop_at.as_deref()).map(|()| ExitCode::SUCCESS),
    }
}
