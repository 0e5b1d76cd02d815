//! Runs a bounded pipeline in every way that must not matter, and compares what comes out.
//!
//! ```
//! use thalweg_dataflow::operators::{Emit, Reduce};
//! use thalweg_dataflow::record::Keyed;
//! use thalweg_dataflow::source::CollectionSource;
//! use thalweg_dataflow::watermark::WatermarkStrategy;
//! use thalweg_testkit::Pipeline;
//!
//! Pipeline::new("sums", |run| {
//!     let numbers = CollectionSource::new((0..200_000_i64).collect());
//!     let numbers = run.job.graph().source("numbers", numbers, WatermarkStrategy::no_watermarks());
//!     let sum = Reduce::new(|a, b| a + b, |key: &i64, sum: &i64| (*key, *sum), Emit::Each);
//!     run.crash.on(&numbers).map("key", |n| Keyed::new(n % 10, 1)).exchange().apply("sum", sum)
//! })
//! .check();
//! ```

use std::fmt::Debug;
use std::time::Duration;

use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::graph::Stream;
use thalweg_dataflow::runtime::{CheckpointConfig, Job, JobConfig, MemoryConfig, RestartStrategy};
use thalweg_dataflow::state::StateData;

use crate::{CollectSink, Collected, CrashPoint};

/// What a pipeline is built with, for one run.
pub struct Run {
    /// The job that it is to be part of.
    pub job: Job,
    /// Where it is to crash: the pipeline puts it into one of its streams, best near the source.
    pub crash: CrashPoint,
}

/// A bounded pipeline, and how to run it.
pub struct Pipeline<B> {
    name: String,
    build: B,
    checkpoint_interval: Duration,
}

impl<T, B> Pipeline<B>
where
    T: StateData + Ord + Debug,
    B: Fn(&Run) -> Stream<T>,
{
    /// A pipeline that `build` builds anew for each run; the stream that it returns is what is compared. Its
    /// input must last for some hundred batches, so that it can crash in the middle.
    pub fn new(name: &str, build: B) -> Self {
        Self { name: name.to_owned(), build, checkpoint_interval: Duration::from_millis(5) }
    }

    /// Sets the checkpoint interval; 5 ms unless it is set.
    #[must_use]
    pub fn checkpoint_interval(mut self, interval: Duration) -> Self {
        self.checkpoint_interval = interval;
        self
    }

    /// The output of a run without checkpoints or crashes, at parallelism 1; sorted.
    pub fn output(&self) -> Vec<T> {
        let collected = Collected::default();
        self.run(1, None, CrashPoint::never(), RestartStrategy::None, &collected)
            .unwrap_or_else(fail(&self.name));
        sorted(collected.take())
    }

    /// Runs it plainly; at parallelism 2 and 4; with a crash and a restart in process; and with a crash, a
    /// restore at another parallelism, another crash, and another restore, also with state on disk, and with unaligned checkpoints. Panics if any output differs from
    /// that of the plain run.
    pub fn check(&self) {
        let expected = self.output();
        assert!(!expected.is_empty(), "{}: no output, so nothing is compared", self.name);
        for parallelism in [2, 4] {
            let collected = Collected::default();
            let run = self.run(parallelism, None, CrashPoint::never(), RestartStrategy::None, &collected);
            run.unwrap_or_else(fail(&self.name));
            self.compare(&expected, collected, &format!("at parallelism {parallelism}"));
        }
        let (folder, crash, collected) = (temporary(), CrashPoint::after(2, 5000), Collected::default());
        let restart = RestartStrategy::FixedDelay { attempts: 1, delay: Duration::ZERO };
        self.run(2, Some(folder.path()), crash.clone(), restart, &collected).unwrap_or_else(fail(&self.name));
        assert!(crash.is_over(), "{}: the input is too short to crash in its middle", self.name);
        self.compare(&expected, collected, "with a crash and a restart in process");
        // The last of them with all state on disk that can be, and with barriers that overtake records, where they may.
        let ways =
            [([1, 2, 4], None, None), ([4, 2, 1], None, None), ([2, 4, 2], Some(0), Some(Duration::ZERO))];
        for (parallelisms, memory, unaligned_after) in ways {
            let (folder, collected) = (temporary(), Collected::default());
            for (index, parallelism) in parallelisms.into_iter().enumerate() {
                let last = index + 1 == parallelisms.len();
                let crash = if last { CrashPoint::never() } else { CrashPoint::after(2, 3000) };
                let memory = memory.map(MemoryConfig::new);
                let config = JobConfig { parallelism, memory, unaligned_after, ..JobConfig::new("pipeline") };
                let (folder, strategy) = (Some(folder.path()), RestartStrategy::None);
                let run = self.run_with(config, folder, crash.clone(), strategy, &collected);
                match run {
                    Ok(()) if last => {}
                    Err(error) if error.contains("a crash, as asked for") => {}
                    Ok(()) => panic!("{}: the input is too short to crash twice in its middle", self.name),
                    Err(error) => panic!("{}: {error}", self.name),
                }
            }
            self.compare(
                &expected,
                collected,
                &format!(
                    "crashed and restored at parallelism {parallelisms:?}, memory {memory:?}, unaligned after {unaligned_after:?}"
                ),
            );
        }
    }

    fn run(
        &self,
        parallelism: usize,
        folder: Option<&std::path::Path>,
        crash: CrashPoint,
        restart: RestartStrategy,
        collected: &Collected<T>,
    ) -> Result<(), String> {
        let config = JobConfig { parallelism, ..JobConfig::new("pipeline") };
        self.run_with(config, folder, crash, restart, collected)
    }

    fn run_with(
        &self,
        config: JobConfig,
        folder: Option<&std::path::Path>,
        crash: CrashPoint,
        restart: RestartStrategy,
        collected: &Collected<T>,
    ) -> Result<(), String> {
        let mut config = JobConfig { restart: Some(restart), ..config };
        if let Some(folder) = folder {
            let storage = CheckpointStorage::local(folder).map_err(|error| error.to_string())?;
            config.checkpoint = Some(CheckpointConfig::new(self.checkpoint_interval, storage));
        }
        let run = Run { job: Job::new(config), crash };
        let output = (self.build)(&run);
        if run.job.graph().has_batches() {
            // There no barrier may overtake records.
            run.job.configure(|config| config.unaligned_after = None);
        }
        let _ = output.apply("collect", CollectSink::new(collected.clone())).uid("collected-output");
        run.job.run().map(|_| ()).map_err(|error| error.to_string())
    }

    fn compare(&self, expected: &[T], collected: Collected<T>, how: &str) {
        let found = sorted(collected.take());
        if found == expected {
            return;
        }
        let differs = found.iter().zip(expected).position(|(found, expected)| found != expected);
        let at = differs.unwrap_or(found.len().min(expected.len()));
        panic!(
            "{}: {how}: {} records instead of {}; sorted, they differ at {at}: {:?} instead of {:?}",
            self.name,
            found.len(),
            expected.len(),
            found.get(at),
            expected.get(at)
        );
    }
}

fn sorted<T: Ord>(mut records: Vec<T>) -> Vec<T> {
    records.sort();
    records
}

fn fail<R>(name: &str) -> impl FnOnce(String) -> R + '_ {
    move |error| panic!("{name}: {error}")
}

fn temporary() -> tempfile::TempDir {
    tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary folder: {error}"))
}
