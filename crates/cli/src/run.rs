//! `thalweg run`: runs a script of SQL.

use std::borrow::Cow;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use thalweg::dataflow::runtime::{JobHandle, MemoryConfig, RestoreFrom};
use thalweg_table::environment::{Outcome, PlannedJob, TableEnvironment};
use thalweg_table::error::SqlError;
use thalweg_table::parser::{Statement, parse_script};

use crate::inside::Inside;
use crate::interrupt::Interrupt;
use crate::job_config::{Given, config, set, storage};
use crate::printable;
use crate::status::Status;
use crate::usage::Usage;

/// Run a script of SQL in Flink's dialect: its INSERTs are jobs, the rows of its SELECTs are shown.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The script
    #[arg(required_unless_present = "execute", conflicts_with = "execute")]
    file: Option<PathBuf>,
    /// The statements themselves
    #[arg(short, long, value_name = "SQL")]
    execute: Option<String>,
    /// A setting, as `SET` sets it
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The folder that checkpoints are kept in; jobs resume from there
    #[arg(long, value_name = "FOLDER")]
    checkpoint_dir: Option<PathBuf>,
    /// The time between checkpoints
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    checkpoint_interval: Duration,
    /// The number of subtasks of each operator; as many as there are cores unless it is given
    #[arg(long, value_name = "N")]
    parallelism: Option<usize>,
    /// How much memory the job may take, such as 512MB; state that is past it goes to disk
    #[arg(long, value_name = "SIZE", value_parser = size)]
    memory: Option<u64>,
    /// A savepoint to begin from
    #[arg(long, value_name = "FOLDER", requires = "checkpoint_dir")]
    from_savepoint: Option<PathBuf>,
    /// The folder of the broker inside, which tables `WITH ('connector' = 'kafka')` without `properties.bootstrap.servers` are in;
    /// in memory without it
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Say on stderr, this often, how far the jobs are; on a terminal that is shown each second unless rows are
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    status: Option<Duration>,
    /// Show the plans of the jobs, and run none
    #[arg(long)]
    explain: bool,
}

const EXAMPLES: &str = "Examples:\n  \
    thalweg run pipeline.sql\n  \
    thalweg run pipeline.sql --checkpoint-dir ./checkpoints     exactly once, also after a crash\n  \
    thalweg run -e \"SELECT 'hello'\"";

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let (script, name) = match (&args.file, &args.execute) {
        (Some(file), _) => {
            let script =
                std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            (script, name)
        }
        (None, Some(script)) => (script.clone(), "statements".to_owned()),
        (None, None) => bail!(Usage("a script, or statements with -e".to_owned())),
    };
    let mut environment = TableEnvironment::new();
    // It goes on until the jobs have ended.
    let inside = Inside::new(args.data.clone());
    inside.register(&mut environment);
    #[cfg(feature = "ml")]
    thalweg_ml_table::register(&mut environment);
    set(&mut environment, &args.set)?;
    let told = |error: SqlError| anyhow::anyhow!("{}", error.render(&script));
    let interrupt = Interrupt::listen()?;
    let (mut jobs, mut started, mut shows_rows) = (Vec::new(), 0, false);
    for statement in parse_script(&script).map_err(told)? {
        let planned = match environment.execute(&statement).map_err(told)? {
            Outcome::Done => continue,
            Outcome::Text(text) => {
                println!("{}", shown(text.trim_end()));
                continue;
            }
            Outcome::Job(job) => job,
            Outcome::Query(query) => {
                environment.show(&query).map_err(|error| told(error.or_at(&statement.span)))?
            }
        };
        if args.explain {
            println!("{}", shown(planned.explain().trim_end()));
            continue;
        }
        let job = start(args, &mut environment, &planned, &statement, &name, started).map_err(|error| {
            match error.downcast::<SqlError>() {
                Ok(error) => told(error),
                Err(error) => error,
            }
        })?;
        shows_rows |= planned.shows_rows();
        // Each INSERT is at its end before the next statement begins, if that is wanted.
        match environment.settings().get("table.dml-sync") {
            Some(sync) if sync.eq_ignore_ascii_case("true") => {
                started += 1;
                wait(vec![job], &interrupt, Status::new(args.status, shows_rows))?;
                if interrupt.is_set() {
                    return Ok(());
                }
            }
            _ => {
                started += 1;
                jobs.push(job);
            }
        }
    }
    wait(jobs, &interrupt, Status::new(args.status, shows_rows))
}

/// A text, on a terminal without anything that it would obey.
fn shown(text: &str) -> Cow<'_, str> {
    match std::io::stdout().is_terminal() {
        true => printable::text(text),
        false => Cow::Borrowed(text),
    }
}

fn start(
    args: &Args,
    environment: &mut TableEnvironment,
    planned: &PlannedJob,
    statement: &Statement,
    name: &str,
    number: usize,
) -> anyhow::Result<(String, JobHandle)> {
    let id = if number == 0 { name.to_owned() } else { format!("{name}-{}", number + 1) };
    let given = Given {
        parallelism: args.parallelism,
        checkpoint_dir: args.checkpoint_dir.clone(),
        checkpoint_interval: Some(args.checkpoint_interval),
    };
    let mut config = config(&id, environment.settings(), &given)?;
    config.memory = args.memory.map(MemoryConfig::new);
    if let Some(folder) = &args.from_savepoint {
        config.restore = RestoreFrom::Savepoint(storage(folder)?);
    }
    let job = planned.build(config).map_err(|error| error.or_at(&statement.span))?;
    Ok((id, job.start()?))
}

/// A number of bytes, as people write it.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        unit => return Err(format!("`{unit}` is no unit: KB, MB, GB")),
    };
    let number: u64 = digits.trim().parse().map_err(|_| format!("`{digits}` is no number"))?;
    number.checked_mul(unit).ok_or_else(|| "more than there can be".to_owned())
}

/// Until all jobs have ended, or somebody wants them to: then what is under way is brought to its end.
fn wait(jobs: Vec<(String, JobHandle)>, interrupt: &Interrupt, mut status: Status) -> anyhow::Result<()> {
    jobs.iter().for_each(|(name, job)| status.add(name, job));
    let mut stopped = false;
    while !jobs.iter().all(|(_, job)| job.is_finished()) {
        if interrupt.is_set() && !std::mem::replace(&mut stopped, true) {
            jobs.iter().for_each(|(_, job)| job.stop());
        }
        status.update();
        std::thread::sleep(Duration::from_millis(5));
    }
    status.clear();
    for (_, job) in jobs {
        job.wait()?;
    }
    Ok(())
}
