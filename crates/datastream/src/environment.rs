//! The environment: settings, sources, and the start of a job (Flink's `StreamExecutionEnvironment`).

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use thalweg_connectors::files::TextFileSource;
use thalweg_connectors::socket::SocketTextReceiver;
use thalweg_connectors::store::checkpoint_storage;
use thalweg_dataflow::error::{BoxError, JobError};
use thalweg_dataflow::record::Data;
use thalweg_dataflow::runtime::{
    CheckpointConfig, Job, JobConfig, JobHandle, JobResult, MemoryConfig, RestartStrategy,
};
use thalweg_dataflow::source::{
    CollectionSource, DataGeneratorSource, IteratorSource, ParallelCollectionSource, ReceiverSource, Source,
    Store,
};
use thalweg_dataflow::time::Timestamp;
use thalweg_dataflow::watermark::WatermarkStrategy;

use crate::DataStream;

/// Where a program begins. Clones share one job.
#[derive(Clone)]
pub struct StreamExecutionEnvironment {
    job: Job,
    mode: Arc<AtomicBool>,
}

/// Whether a job goes on for as long as its input, or works on input that has an end as a whole (Flink's `RuntimeExecutionMode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RuntimeMode {
    /// Results come as records do, and are brought up to date.
    #[default]
    Streaming,
    /// Each result comes once, when the input has ended, as Flink's batch mode has it: there is no watermark but the last, and nothing is late. Keyed
    /// functions see the records of a key in the order of their times. Running aggregates (`reduce`, `sum`, `count`, `max_by` …) emit the last value of
    /// each key alone. There are no checkpoints: a job that fails is run again. What is sorted is kept in memory. Input without an end gives no result.
    Batch,
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
        Self { job, mode: Arc::default() }
    }

    /// Sets whether the job works on its input as a whole. To be called before the first stream is made: it decides what streams are made of.
    ///
    /// ```
    /// use thalweg_datastream::{RuntimeMode, StreamExecutionEnvironment};
    ///
    /// let env = StreamExecutionEnvironment::new();
    /// env.set_runtime_mode(RuntimeMode::Batch);
    /// let words = env.from_collection(vec!["to", "be", "or", "not", "to", "be"]);
    /// let mut counts = words.key_by(|word| word.to_string()).count().execute_and_collect("words")?;
    /// counts.sort();
    /// assert_eq!(counts, [("be", 2), ("not", 1), ("or", 1), ("to", 2)].map(|(word, n)| (word.to_owned(), n)));
    /// # Ok::<(), thalweg_datastream::JobError>(())
    /// ```
    pub fn set_runtime_mode(&self, mode: RuntimeMode) -> &Self {
        self.mode.store(mode == RuntimeMode::Batch, Ordering::Relaxed);
        self
    }

    /// Whether it was set to work in batch mode.
    pub(crate) fn is_batch(&self) -> bool {
        self.mode.load(Ordering::Relaxed)
    }

    /// A strategy, as it is in the mode of this environment.
    pub(crate) fn in_mode<T: Data>(&self, strategy: WatermarkStrategy<T>) -> WatermarkStrategy<T> {
        if self.is_batch() { strategy.at_the_end_only() } else { strategy }
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

    /// Writes a checkpoint every `interval` into a folder, in which the job, found by its name, begins where it left off: one of this
    /// machine, or, with the feature, of a [store](thalweg_connectors::store): `s3://…`, `hdfs://…`.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn enable_checkpointing(
        &self,
        interval: Duration,
        folder: impl Into<PathBuf>,
    ) -> Result<&Self, JobError> {
        let storage = checkpoint_storage(folder.into())?;
        Ok(self.configure(|config| config.checkpoint = Some(CheckpointConfig::new(interval, storage))))
    }

    /// Lets barriers overtake records at once (Flink's `enableUnalignedCheckpoints`): what is under way becomes a part of the checkpoint, and a
    /// checkpoint is through soon also where a record takes seconds. It holds on streams that say so, as their records have to be such as can be kept
    /// in state: [`KeyedStream::unaligned`](crate::KeyedStream::unaligned), [`DataStream::unaligned`], and so on. Savepoints wait for all records before them.
    ///
    /// ```
    /// use std::time::Duration;
    /// use thalweg_datastream::StreamExecutionEnvironment;
    ///
    /// let (env, folder) = (StreamExecutionEnvironment::new(), tempfile::tempdir()?);
    /// env.enable_checkpointing(Duration::from_secs(1), folder.path())?.enable_unaligned_checkpoints();
    /// // Only if a barrier has been on its way for half a minute.
    /// env.set_aligned_checkpoint_timeout(Duration::from_secs(30));
    /// let slow = env.from_collection(vec![1, 2, 3]).key_by(|n| n % 2).unaligned().reduce(|a, b| a + b);
    /// assert_eq!(slow.execute_and_collect("sums")?.len(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn enable_unaligned_checkpoints(&self) -> &Self {
        self.set_aligned_checkpoint_timeout(Duration::ZERO)
    }

    /// Lets barriers overtake records that have been on their way for so long (Flink's `setAlignedCheckpointTimeout`). See
    /// [`enable_unaligned_checkpoints`](Self::enable_unaligned_checkpoints), which is the same with a time of zero.
    pub fn set_aligned_checkpoint_timeout(&self, timeout: Duration) -> &Self {
        self.configure(|config| config.unaligned_after = Some(timeout))
    }

    /// Sets what is done when the job fails.
    pub fn set_restart_strategy(&self, strategy: RestartStrategy) -> &Self {
        self.configure(|config| config.restart = Some(strategy))
    }

    /// Bounds the memory that the job takes for keyed state and for records on their way, in bytes; the coldest entries beyond it are kept on
    /// disk, in the system's folder for temporary files. For another folder, and for what is counted, see [`MemoryConfig`].
    pub fn set_memory(&self, limit: u64) -> &Self {
        self.configure(|config| config.memory = Some(MemoryConfig::new(limit)))
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
        DataStream::over(self.clone(), self.job.graph().source(name, source, self.in_mode(strategy)))
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

    /// Reads what is iterated over, in order, then ends; an iterator without an end goes on for ever. It is cloned at each start of the
    /// job, and must yield the same items each time.
    ///
    /// ```
    /// use thalweg_datastream::StreamExecutionEnvironment;
    ///
    /// let env = StreamExecutionEnvironment::new();
    /// let squares = env.from_iter((1..=4).map(|n| n * n));
    /// assert_eq!(squares.execute_and_collect("squares")?, [1, 4, 9, 16]);
    /// # Ok::<(), thalweg_datastream::JobError>(())
    /// ```
    pub fn from_iter<I>(&self, items: I) -> DataStream<I::Item>
    where
        I: IntoIterator + Clone + Send + Sync + 'static,
        I::Item: Data,
        I::IntoIter: Send + 'static,
    {
        self.from_source(IteratorSource::new(items), WatermarkStrategy::no_watermarks(), "iterator")
    }

    /// The numbers from `from` to `to`, both included, made in all subtasks at once; then the end (Flink's `fromSequence`). One
    /// subtask makes them in order.
    ///
    /// ```
    /// use thalweg_datastream::StreamExecutionEnvironment;
    ///
    /// let env = StreamExecutionEnvironment::new();
    /// env.set_parallelism(1);
    /// assert_eq!(env.from_sequence(-1, 2).execute_and_collect("numbers")?, [-1, 0, 1, 2]);
    /// # Ok::<(), thalweg_datastream::JobError>(())
    /// ```
    pub fn from_sequence(&self, from: i64, to: i64) -> DataStream<i64> {
        let count = u64::try_from(i128::from(to) - i128::from(from) + 1).unwrap_or(0);
        let source = DataGeneratorSource::new(move |n: u64| from.wrapping_add_unsigned(n), count);
        self.from_source(source, WatermarkStrategy::no_watermarks(), "sequence")
    }

    /// Runs a function that gets records from somewhere and stores them, in one subtask, on a thread of its own (Flink's
    /// `addSource` with a `SourceFunction`): until it returns, or the job ends, which [`Store::is_stopped`] says. When it fails it is called again
    /// after two seconds. See [`ReceiverSource`] for what that means for what is delivered.
    ///
    /// ```
    /// use thalweg_datastream::StreamExecutionEnvironment;
    /// use thalweg_dataflow::source::Store;
    ///
    /// let env = StreamExecutionEnvironment::new();
    /// let words = env.add_source(|store: &Store<String>| Ok(store.store("hello".to_owned())?), "greeting");
    /// assert_eq!(words.execute_and_collect("words")?, ["hello"]);
    /// # Ok::<(), thalweg_datastream::JobError>(())
    /// ```
    pub fn add_source<T: Data>(
        &self,
        function: impl FnMut(&Store<T>) -> Result<(), BoxError> + Clone + Send + Sync + 'static,
        name: &str,
    ) -> DataStream<T> {
        self.from_source(ReceiverSource::new(function), WatermarkStrategy::no_watermarks(), name)
    }

    /// The lines that a server sends (`nc -lk 9999`). Other than Flink's it connects again when the connection ends, and says so; see
    /// [`socket_text_stream_with`](Self::socket_text_stream_with). One subtask reads. What came in before a failure of the job, and was not committed,
    /// is lost: a socket cannot be read again.
    pub fn socket_text_stream(&self, host: &str, port: u16) -> DataStream<String> {
        self.socket(SocketTextReceiver::new(host, port))
    }

    /// The same with another delimiter than `\n`. With 0 retries the stream ends when the connection does, as Flink's does by default; with more
    /// so many attempts to connect in a row may fail after the first.
    pub fn socket_text_stream_with(
        &self,
        host: &str,
        port: u16,
        delimiter: &str,
        max_retries: u32,
    ) -> DataStream<String> {
        let receiver = SocketTextReceiver::new(host, port).delimiter(delimiter);
        self.socket(if max_retries == 0 {
            receiver.ends_with_the_connection()
        } else {
            receiver.max_retries(max_retries)
        })
    }

    fn socket(&self, receiver: SocketTextReceiver) -> DataStream<String> {
        let address = receiver.address();
        let source = ReceiverSource::of(receiver).described(address);
        self.from_source(source, WatermarkStrategy::no_watermarks(), "socket")
    }

    /// Reads a text file, or all files of a folder, by line, then ends.
    pub fn read_text_file(&self, path: impl Into<PathBuf>) -> DataStream<String> {
        self.from_source(TextFileSource::new(path), WatermarkStrategy::no_watermarks(), "text-file")
    }

    /// The plan of the job so far (Flink's `getExecutionPlan`): its tasks, and the operators of each, with what they are and from where they get
    /// their records.
    ///
    /// ```
    /// use thalweg_datastream::StreamExecutionEnvironment;
    ///
    /// let env = StreamExecutionEnvironment::new();
    /// env.from_collection(vec!["deep", "fast"]).key_by(|word| word.len()).count().print();
    /// let plan = env.explain()?;
    /// assert!(plan.contains("count: from `field`, by key"), "{plan}");
    /// # Ok::<(), thalweg_datastream::JobError>(())
    /// ```
    ///
    /// # Errors
    /// What would keep the job from being started.
    pub fn explain(&self) -> Result<String, JobError> {
        self.job.graph().explain(&self.job.config())
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
        let is_batch = self.is_batch();
        self.job.configure(|config| {
            name.clone_into(&mut config.id);
            if is_batch && config.checkpoint.take().is_some() {
                thalweg_dataflow::tell::info(format_args!(
                    "'{name}' is in batch mode, in which there are no checkpoints"
                ));
            }
        });
        &self.job
    }
}
