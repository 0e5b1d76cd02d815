//! The environment: settings, sources, and the start of a job (Flink's `StreamExecutionEnvironment`).

use std::path::PathBuf;
use std::time::Duration;

use thalweg_connectors::files::TextFileSource;
use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::error::JobError;
use thalweg_dataflow::record::Data;
use thalweg_dataflow::runtime::{CheckpointConfig, Job, JobConfig, JobHandle, JobResult, RestartStrategy};
use thalweg_dataflow::source::{CollectionSource, ParallelCollectionSource, Source};
use thalweg_dataflow::time::Timestamp;
use thalweg_dataflow::watermark::WatermarkStrategy;

use crate::DataStream;

/// Where a program begins. Clones share one job.
#[derive(Clone)]
pub struct StreamExecutionEnvironment {
    job: Job,
}

impl Default for StreamExecutionEnvironment {
    fn default() -> Self {
        Self::new()
    }
}

impl StreamExecutionEnvironment {
    /// An environment with the defaults: as many subtasks as cores, no checkpoints.
    pub fn new() -> Self {
        Self::over(Job::new(JobConfig::new("job")))
    }

    /// An environment over a job that exists already: how the bridge puts both faces into one.
    pub fn over(job: Job) -> Self {
        Self { job }
    }

    /// The job that the streams of this environment are part of.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// Changes any setting of the job; the common ones have methods of their own.
    pub fn configure(&self, change: impl FnOnce(&mut JobConfig)) -> &Self {
        self.job.configure(change);
        self
    }

    /// Sets the number of subtasks of operators that do not say otherwise.
    pub fn set_parallelism(&self, parallelism: usize) -> &Self {
        self.configure(|config| config.parallelism = parallelism)
    }

    /// Writes a checkpoint every `interval` into a folder of the local file system, in which the job, found by
    /// its name, begins where it left off.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn enable_checkpointing(
        &self,
        interval: Duration,
        folder: impl Into<PathBuf>,
    ) -> Result<&Self, JobError> {
        let storage = CheckpointStorage::local(folder.into())?;
        Ok(self.configure(|config| config.checkpoint = Some(CheckpointConfig::new(interval, storage))))
    }

    /// Sets what is done when the job fails.
    pub fn set_restart_strategy(&self, strategy: RestartStrategy) -> &Self {
        self.configure(|config| config.restart = Some(strategy))
    }

    /// Lets the job go on without the state of operators that it does not have any more (Flink's
    /// `allowNonRestoredState`); it is gone for good at the next checkpoint. Otherwise the job is refused, with a list of what would
    /// be lost.
    pub fn allow_non_restored_state(&self, allow: bool) -> &Self {
        self.configure(|config| config.allow_non_restored_state = allow)
    }

    /// Reads a source. Event times and watermarks are made by `strategy`, for each partition of the source.
    pub fn from_source<S>(
        &self,
        source: S,
        strategy: WatermarkStrategy<S::Item>,
        name: &str,
    ) -> DataStream<S::Item>
    where
        S: Source,
        S::Item: Data,
    {
        DataStream::over(self.clone(), self.job.graph().source(name, source, strategy))
    }

    /// Reads a collection in its order, then ends. One subtask reads it, and what follows in the same task keeps its order; to
    /// spread the work, [`rebalance`](DataStream::rebalance) it, or read it with
    /// [`from_parallel_collection`](Self::from_parallel_collection).
    pub fn from_collection<T: Data + Sync>(&self, items: Vec<T>) -> DataStream<T> {
        self.from_source(CollectionSource::new(items), WatermarkStrategy::no_watermarks(), "collection")
    }

    /// Reads a collection in all subtasks at once (up to eight), in no particular order, then ends.
    pub fn from_parallel_collection<T: Data + Sync>(&self, items: Vec<T>) -> DataStream<T> {
        self.from_source(
            ParallelCollectionSource::new(items),
            WatermarkStrategy::no_watermarks(),
            "collection",
        )
    }

    /// Reads a collection of items with their event times (milliseconds), in its order; then ends. The watermark follows the
    /// highest time so far: an item that comes after the watermark has passed it may be late.
    pub fn from_timed_collection<T: Data + Sync>(&self, items: Vec<(T, Timestamp)>) -> DataStream<T> {
        let source = CollectionSource::with_timestamps(items);
        self.from_source(source, WatermarkStrategy::for_monotonous_timestamps(), "collection")
    }

    /// Reads a text file, or all files of a folder, by line, then ends.
    pub fn read_text_file(&self, path: impl Into<PathBuf>) -> DataStream<String> {
        self.from_source(TextFileSource::new(path), WatermarkStrategy::no_watermarks(), "text-file")
    }

    /// Runs the job to its end. The name is its id: its checkpoints are found by it.
    ///
    /// # Errors
    /// What ended it, if that was not the end of its input.
    pub fn execute(&self, name: &str) -> Result<JobResult, JobError> {
        self.named(name).run()
    }

    /// Starts the job, and returns a handle to it.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn execute_async(&self, name: &str) -> Result<JobHandle, JobError> {
        self.named(name).start()
    }

    fn named(&self, name: &str) -> &Job {
        self.job.configure(|config| name.clone_into(&mut config.id));
        &self.job
    }
}
