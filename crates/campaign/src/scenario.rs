//! One story: a job, what is done to it, and what must then be so.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::ValueEnum;
use tempfile::TempDir;
use thalweg_broker::{Broker, BrokerConfig};
use thalweg_connectors::files::system;

use crate::checker::{Fault, Output, Seen, check, check_together};
use crate::driver::{At, PATIENCE, Process, Said};
use crate::jobs::{Conditions, JobArgs, Kind, TRANSACTION_TIMEOUT};
use crate::topics;

const KEYS: u32 = 7;
const RECORDS: u32 = 4_800;
/// A checkpoint in a store may take as long as all of a job whose checkpoints are on this machine: there is to be something left to do after the one at which a job is hurt.
const RECORDS_OF_STORES: u32 = 5 * RECORDS;
const PARTITIONS: u32 = 4;

/// What is done to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Hurt {
    /// It is killed at the step, and started again.
    Kill,
    /// It is stopped at the step; another instance takes over; then it wakes up.
    Wake,
    /// It is stopped at the step for longer than a transaction may be open, and wakes up alone.
    Pause,
    /// Three of it are started at once.
    Triplets,
}

/// A story.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// The job.
    pub kind: Kind,
    /// What is done to it.
    pub hurt: Hurt,
    /// Where.
    pub at: At,
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, hurt, at: At { step, time } } = self;
        match hurt {
            Hurt::Triplets => write!(f, "{kind:?}: three at once"),
            _ => write!(f, "{kind:?}: {hurt:?} at {step}, time {time}"),
        }
    }
}

/// Whether jobs of this kind come to this step at all.
pub fn comes_to(kind: Kind, step: &str) -> bool {
    match step {
        "flushed" | "before-commit" | "committed" => !kind.writes_files(),
        "before-publish" | "published" => kind.writes_files(),
        _ => true,
    }
}

/// Whether a job comes to this step once, at its start.
pub fn is_at_start(step: &str) -> bool {
    matches!(step, "owner-claimed" | "before-fencing" | "fenced" | "before-begin" | "begun")
}

/// Where a story plays.
struct World {
    job: JobArgs,
    /// How many are read.
    records: u32,
    /// That of a Kafka job, unless it has a real one.
    broker: Option<Broker>,
    _folder: TempDir,
}

impl World {
    fn new(kind: Kind, kafka: Option<&str>, conditions: &Conditions) -> anyhow::Result<Self> {
        if kind == Kind::Store && conditions.checkpoints.is_none() {
            bail!("a job of kind `store` wants a store: --checkpoints ADDRESS");
        }
        let folder = tempfile::tempdir()?;
        let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_nanos();
        let mut job = JobArgs {
            kind,
            id: format!("campaign-{:x}-{nanos:x}", std::process::id()),
            folder: folder.path().to_owned(),
            conditions: conditions.clone(),
            bootstrap: String::new(),
            parallelism: 2,
        };
        let broker = match (kind, kafka) {
            (Kind::Kafka, None) => {
                Some(Broker::start(BrokerConfig { auto_create_topics: false, ..BrokerConfig::default() })?)
            }
            (Kind::Embedded, _) => Some(job.broker()?),
            _ => None,
        };
        if let Some(bootstrap) = broker.as_ref().map(Broker::bootstrap).or_else(|| kafka.map(str::to_owned)) {
            job.bootstrap = bootstrap;
        }
        let records = if conditions.checkpoints.is_some() { RECORDS_OF_STORES } else { RECORDS };
        let lines = (0..records).map(|n| (n / KEYS % PARTITIONS, (n % KEYS).to_string()));
        if kind.writes_files() {
            let input = job.folder.join("in");
            std::fs::create_dir(&input)?;
            let mut files = (0..PARTITIONS)
                .map(|part| std::fs::File::create(input.join(format!("in-{part}"))))
                .collect::<Result<Vec<_>, _>>()?;
            for (part, line) in lines {
                writeln!(files[part as usize], "{line}")?;
            }
        } else {
            let outputs = job.outputs().into_iter().map(|topic| (topic, 2));
            let all: Vec<_> = outputs.chain([(job.input(), PARTITIONS as i32)]).collect();
            topics::create(&job.bootstrap, &all)?;
            topics::write(&job.bootstrap, &job.input(), lines.map(|(part, line)| (part as i32, line)))?;
        }
        // An embedded job has its broker to itself.
        Ok(Self { job, records, broker: broker.filter(|_| kind == Kind::Kafka), _folder: folder })
    }

    /// What readers see.
    fn outputs(&self) -> anyhow::Result<Vec<(String, Output)>> {
        if self.job.kind.writes_files() {
            let folder = self.job.outputs().concat();
            return Ok(vec![("out".to_owned(), read_files(Path::new(&folder))?)]);
        }
        let broker = if self.job.kind == Kind::Embedded { Some(self.job.broker()?) } else { None };
        let own = broker.as_ref().or(self.broker.as_ref()).map(Broker::bootstrap);
        let bootstrap = own.unwrap_or_else(|| self.job.bootstrap.clone());
        let topics = self.job.outputs().into_iter();
        topics.map(|topic| Ok((topic.clone(), topics::read(&bootstrap, &topic)?))).collect()
    }

    /// Looks at what is there while nobody writes. If the job is over, all must be there.
    fn check(&self, over: bool) -> anyhow::Result<Vec<Fault>> {
        let expected: BTreeMap<u32, u64> =
            (0..KEYS).map(|key| (key, u64::from((self.records - key).div_ceil(KEYS)))).collect();
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let outputs = self.outputs()?;
            let places = outputs.iter();
            let mut faults: Vec<Fault> =
                places.flat_map(|(place, output)| check(place, output, over.then_some(&expected))).collect();
            let partial = if self.job.kind.writes_files() { Vec::new() } else { check_together(&outputs) };
            // A transaction that is committed becomes visible topic by topic.
            if !partial.is_empty() && faults.is_empty() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(50));
                continue;
            }
            faults.extend(partial);
            return Ok(faults);
        }
    }
}

/// The visible files of a folder, in the order of each writer.
fn read_files(folder: &Path) -> anyhow::Result<Output> {
    let (mut files, system) = (Vec::new(), system::of(folder)?);
    let listed = match system.list(folder, false) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        listed => listed?,
    };
    for entry in listed {
        let name = entry.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // part-<subtask>-<epoch>-<token>
        if let Some([subtask, epoch]) = name.strip_prefix("part-").map(|rest| {
            let mut numbers = rest.split('-').map(|number| number.parse::<u64>().unwrap_or(0));
            [numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)]
        }) {
            files.push((subtask, epoch, name));
        }
    }
    files.sort();
    let mut output = Output::new();
    for (_, _, name) in files {
        let mut text = Vec::new();
        system.open(&folder.join(name), 0)?.read_to_end(&mut text)?;
        let text = String::from_utf8_lossy(&text);
        output
            .extend(text.split_terminator('\n').map(|line| Seen::parse(line).ok_or_else(|| line.to_owned())));
        if !text.is_empty() && !text.ends_with('\n') {
            output.push(Err("the end of a line is missing".to_owned()));
        }
    }
    Ok(output)
}

impl Scenario {
    /// Plays it. What the output shows that it must not is returned; what the jobs did that they must not is an error.
    ///
    /// # Errors
    /// See above, and when processes, topics or files cannot be had.
    pub fn play(
        &self,
        program: &Path,
        kafka: Option<&str>,
        conditions: &Conditions,
    ) -> anyhow::Result<Vec<Fault>> {
        let world = World::new(self.kind, kafka, conditions)?;
        let start = |at| Process::start(program, &world.job, at);
        if self.hurt == Hurt::Triplets {
            return self.triplets(&world, program);
        }
        // What happens at a start is of interest when there is something to go on from.
        if is_at_start(self.at.step) {
            let mut before = start(None)?;
            before.commits(2)?;
            before.kill()?;
        }
        let mut hurt = start(Some(self.at))?;
        match hurt.until("it comes to the step", |said| matches!(said, Said::At(_)) || said.is_end())? {
            Some(Said::At(_)) => {}
            other => bail!("it never came to the step: {other:?}"),
        }
        let mut faults = Vec::new();
        match self.hurt {
            Hurt::Kill => {
                hurt.kill()?;
                faults.extend(world.check(false)?);
                ended(&mut start(None)?)?;
            }
            Hurt::Wake => {
                let mut successor = start(None)?;
                successor.commits(2)?;
                hurt.wake()?;
                match hurt.end()? {
                    Said::GaveWay(_) => {}
                    other => bail!("it woke up, was not the owner, and {other:?}"),
                }
                ended(&mut successor)?;
                // Whatever the other one has left, who comes after them goes on from the right place.
                ended(&mut start(None)?)?;
            }
            Hurt::Pause => {
                std::thread::sleep(TRANSACTION_TIMEOUT + Duration::from_millis(1500));
                hurt.wake()?;
                ended(&mut hurt)?;
                ended(&mut start(None)?)?;
            }
            Hurt::Triplets => unreachable!("played above"),
        }
        faults.extend(world.check(true)?);
        Ok(faults)
    }

    fn triplets(&self, world: &World, program: &Path) -> anyhow::Result<Vec<Fault>> {
        let started: Vec<_> =
            (0..3).map(|_| Process::start(program, &world.job, None)).collect::<anyhow::Result<_>>()?;
        let ends: Vec<Said> =
            started.into_iter().map(|mut process| process.end()).collect::<anyhow::Result<_>>()?;
        // One that was slow to start may have found the job done.
        let survivors = ends.iter().filter(|end| matches!(end, Said::Ended(_))).count();
        if survivors == 0 || ends.iter().any(|end| matches!(end, Said::Failed(_))) {
            bail!("of three that were started at once: {ends:?}");
        }
        world.check(true)
    }
}

fn ended(process: &mut Process) -> anyhow::Result<()> {
    match process.end().with_context(|| format!("within {PATIENCE:?}"))? {
        Said::Ended(_) => Ok(()),
        other => bail!("it was to end well, and {other:?}"),
    }
}
