//! Starts jobs in processes of their own, and hurts them.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::jobs::{Conditions, JobArgs, Kind};

/// How long a job may take for what it is waited for.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// What a job says on its standard output, a line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It has come to the step, and stopped itself there.
    At(String),
    /// So many epochs are committed.
    Epoch(u64),
    /// It has ended well, after so many restarts.
    Ended(u32),
    /// It has ended because another instance owns the job.
    GaveWay(String),
    /// It has ended with another error.
    Failed(String),
}

impl Said {
    fn parse(line: &str) -> Option<Self> {
        let (what, rest) = line.split_once(' ')?;
        Some(match what {
            "at" => Said::At(rest.to_owned()),
            "epoch" => Said::Epoch(rest.parse().ok()?),
            "ended" => Said::Ended(rest.parse().ok()?),
            "gave-way" => Said::GaveWay(rest.to_owned()),
            "failed" => Said::Failed(rest.to_owned()),
            _ => return None,
        })
    }

    /// Whether it is the last that a job says.
    pub fn is_end(&self) -> bool {
        matches!(self, Said::Ended(_) | Said::GaveWay(_) | Said::Failed(_))
    }
}

/// A job in a process of its own. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    said: Receiver<Said>,
    /// What it has said last.
    pub last: Option<Said>,
}

/// Where a process is to stop itself: at a step, when it comes to it for the so-and-so-many-th time.
#[derive(Clone, Copy, Debug)]
pub struct At {
    /// One of [`STEPS`](thalweg_dataflow::debug_hook::STEPS).
    pub step: &'static str,
    /// 1: the first time.
    pub time: u32,
}

impl Process {
    /// Starts `program`, the binary of this crate, as this job.
    ///
    /// # Errors
    /// When there can be no process.
    pub fn start(program: &Path, job: &JobArgs, at: Option<At>) -> anyhow::Result<Self> {
        let kind = match job.kind {
            Kind::Kafka => "kafka",
            Kind::Embedded => "embedded",
            Kind::Files => "files",
            Kind::Store => "store",
        };
        let mut command = Command::new(program);
        command
            .args(["job", "--kind", kind, "--id", &job.id, "--bootstrap", &job.bootstrap, "--folder"])
            .arg(&job.folder);
        let Conditions { checkpoints, memory, unaligned } = &job.conditions;
        if let Some(address) = checkpoints {
            command.args(["--checkpoints", address]);
        }
        if let Some(memory) = memory {
            command.args(["--memory", &memory.to_string()]);
        }
        if *unaligned {
            command.arg("--unaligned");
        }
        command.args(["--parallelism", &job.parallelism.to_string()]);
        if let Some(At { step, time }) = at {
            command.args(["--stop-at", &format!("{step}:{time}")]);
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("no process can be started")?;
        let (sender, said) = channel();
        let output = child.stdout.take().context("a process without output")?;
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(said) = Said::parse(&line)
                    && sender.send(said).is_err()
                {
                    return;
                }
            }
        });
        Ok(Self { child, said, last: None })
    }

    /// Waits until it has said something of the kind; `None` if its output has ended before.
    ///
    /// # Errors
    /// When it takes too long.
    pub fn until(&mut self, what: &str, is_it: impl Fn(&Said) -> bool) -> anyhow::Result<Option<Said>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.said.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(said) => {
                    self.last = Some(said.clone());
                    if is_it(&said) {
                        return Ok(Some(said));
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => {
                    bail!("waited {PATIENCE:?} until {what}; it said last: {:?}", self.last)
                }
            }
        }
    }

    /// Waits for its end, until the process is gone, with all that it has held.
    ///
    /// # Errors
    /// When it takes too long, or died without a word.
    pub fn end(&mut self) -> anyhow::Result<Said> {
        let end = match self.last.clone().filter(Said::is_end) {
            Some(last) => last,
            None => self.until("it ends", Said::is_end)?.context("it died without a word")?,
        };
        self.child.wait()?;
        Ok(end)
    }

    /// Waits until so many further epochs are committed, or it has ended.
    ///
    /// # Errors
    /// When it takes too long.
    pub fn commits(&mut self, count: u64) -> anyhow::Result<()> {
        let mut first = None;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = self.until("it commits", |said| matches!(said, Said::Epoch(_)) || said.is_end())?;
            let Some(Said::Epoch(epoch)) = said else { return Ok(()) };
            if epoch >= *first.get_or_insert(epoch) + count {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{count} commits take too long");
            }
        }
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("no such process")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Stops it in its tracks.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn stop(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn wake(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Kills it, and waits until it is gone.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
