//! The input: lines from a file, standard input or the built-in text, written to a topic by a job of its own.

use std::fs::File;
use std::io::{BufRead, BufReader, stdin};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use thalweg::dataflow::record::BATCH_SIZE;
use thalweg::dataflow::runtime::JobHandle;
use thalweg::dataflow::source::{
    Source, SourceContext, SourceOutput, SourceReader, SourceStatus, SplitId, Waker,
};
use thalweg::dataflow::time::NO_TIMESTAMP;
use thalweg::prelude::*;

use super::text::LINES;

/// How often lines of the built-in text are sent, when it is read over and over.
const PACE: Duration = Duration::from_millis(10);

/// Where lines come from.
#[derive(Clone)]
pub(crate) enum Input {
    File(PathBuf),
    Stdin,
    /// The built-in text: once, or over and over at some pace.
    BuiltIn {
        once: bool,
        /// So many lines a second.
        rate: u32,
    },
}

impl Input {
    pub(crate) fn of(path: Option<&Path>, once: bool, rate: u32) -> anyhow::Result<Self> {
        match path {
            None => Ok(Self::BuiltIn { once, rate }),
            Some(path) if path == Path::new("-") => Ok(Self::Stdin),
            Some(path) => {
                // So that a wrong path is told before anything is started.
                let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
                if file.metadata()?.is_dir() {
                    bail!("{} is a folder; name a file, or - for standard input", path.display());
                }
                Ok(Self::File(path.to_owned()))
            }
        }
    }

    /// Hands all lines to `send`, in batches, until it says that nobody listens any more.
    fn read(&self, mut send: impl FnMut(Vec<String>) -> bool) -> std::io::Result<()> {
        match self {
            Self::File(path) => read_lines(BufReader::with_capacity(1 << 18, File::open(path)?), send),
            Self::Stdin => read_lines(stdin().lock(), send),
            Self::BuiltIn { once: true, .. } => {
                send(LINES.lines().map(str::to_owned).collect());
                Ok(())
            }
            Self::BuiltIn { once: false, rate } => {
                let mut lines = std::iter::repeat_with(|| LINES.lines()).flatten();
                let (start, mut sent) = (Instant::now(), 0);
                loop {
                    // What the clock says, so that a busy machine sends no fewer.
                    let due = (start.elapsed().as_secs_f64() * f64::from(*rate)) as usize + 1;
                    let now: Vec<String> = lines.by_ref().take(due - sent).map(str::to_owned).collect();
                    sent = due;
                    if !send(now) {
                        return Ok(());
                    }
                    std::thread::sleep(PACE);
                }
            }
        }
    }
}

/// Sends on what is at hand: a whole batch of a file, a single line of somebody who types.
fn read_lines(mut reader: impl BufRead, mut send: impl FnMut(Vec<String>) -> bool) -> std::io::Result<()> {
    loop {
        let mut lines = Vec::new();
        let available = reader.fill_buf()?;
        if available.is_empty() {
            return Ok(());
        }
        let whole = available.iter().filter(|byte| **byte == b'\n').count();
        for _ in 0..whole.max(1) {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            line.truncate(line.trim_end_matches(['\n', '\r']).len());
            lines.push(line);
        }
        if !send(lines) {
            return Ok(());
        }
    }
}

/// The job that writes the input to the topic.
pub(crate) struct Feed(JobHandle);

impl Feed {
    pub(crate) fn start(input: Input, bootstrap: &str, topic: &str) -> anyhow::Result<Self> {
        let env = StreamExecutionEnvironment::new();
        env.set_parallelism(1).set_restart_strategy(RestartStrategy::None);
        let sink = KafkaSink::builder(bootstrap)
            .set_topic(topic)
            .set_delivery_guarantee(DeliveryGuarantee::AtLeastOnce)
            .set_serializer(values::<String>())
            .build()?;
        let _ = env.from_source(Lines(input), WatermarkStrategy::no_watermarks(), "input").sink_to(sink);
        Ok(Self(env.execute_async("thalweg-demo-feed")?))
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// Stops reading. What has been read is still written.
    pub(crate) fn stop(self) {
        self.0.stop();
        // The reader of a terminal waits for a line that may never come, so nobody waits for it.
    }

    pub(crate) fn wait(self) -> anyhow::Result<()> {
        self.0.wait().context("the input could not be written to the topic")?;
        Ok(())
    }
}

/// Reads an [`Input`] once. It cannot be read again, so the job is never restarted.
struct Lines(Input);

struct LinesReader {
    input: Input,
    waker: Waker,
    lines: Option<Receiver<std::io::Result<Vec<String>>>>,
    split: Option<SplitId>,
    number: u64,
}

impl Source for Lines {
    type Item = String;
    type Reader = LinesReader;

    fn reader(&self, context: &SourceContext) -> Result<LinesReader, BoxError> {
        let waker = context.waker.clone();
        Ok(LinesReader { input: self.0.clone(), waker, lines: None, split: None, number: 0 })
    }
}

impl SourceReader for LinesReader {
    type Item = String;
    type Position = u64;

    fn open(&mut self, _: Option<Vec<(String, u64)>>) -> Result<(), BoxError> {
        let (sender, receiver) = sync_channel(8);
        let (input, waker) = (self.input.clone(), Arc::new(self.waker.clone()));
        let read = move || {
            let result = input.read(|lines| {
                lines.chunks(BATCH_SIZE).all(|lines| {
                    let sent = sender.send(Ok(lines.to_vec())).is_ok();
                    // After each: a full channel is emptied only by who is awake.
                    waker.wake();
                    sent
                })
            });
            if let Err(error) = result {
                // Nobody listens any more if the job has ended.
                let _ = sender.send(Err(error));
            }
            drop(sender);
            waker.wake();
        };
        std::thread::Builder::new().name("input".to_owned()).spawn(read)?;
        self.lines = Some(receiver);
        Ok(())
    }

    fn poll(&mut self, output: &mut SourceOutput<String>) -> Result<SourceStatus, BoxError> {
        let split = *self.split.get_or_insert_with(|| output.add_split("input"));
        let Some(lines) = &self.lines else { return Ok(SourceStatus::End) };
        match lines.try_recv() {
            Ok(lines) => {
                let lines = lines.map_err(|error| format!("the input cannot be read: {error}"))?;
                output.origin(split, self.number, self.number + lines.len() as u64);
                self.number += lines.len() as u64;
                lines.into_iter().for_each(|line| output.push(line, NO_TIMESTAMP));
                Ok(SourceStatus::Ready)
            }
            Err(TryRecvError::Empty) => Ok(SourceStatus::Idle { until: None }),
            Err(TryRecvError::Disconnected) => Ok(SourceStatus::End),
        }
    }

    fn positions(&mut self) -> Vec<(String, u64)> {
        vec![("input".to_owned(), self.number)]
    }
}
