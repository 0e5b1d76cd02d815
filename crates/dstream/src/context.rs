//! The context: the batch interval, input streams, and the life of a job (Spark's `StreamingContext`).

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use thalweg_connectors::files::{BinaryRecordsSource, TextFileSource};
use thalweg_connectors::socket::{RawSocketReceiver, SocketTextReceiver};
use thalweg_connectors::store::checkpoint_storage;
use thalweg_dataflow::error::JobError;
use thalweg_dataflow::graph::Stream;
use thalweg_dataflow::metrics::JobMetrics;
use thalweg_dataflow::record::Data;
use thalweg_dataflow::runtime::{
    CheckpointConfig, Job, JobConfig, JobControls, JobHandle, JobResult, JobView, MemoryConfig, PidRate,
    Progress,
};
use thalweg_dataflow::source::{
    QueueSource, RddQueue, RddQueueSource, Receiver, ReceiverSource, Source, Store,
};
use thalweg_dataflow::time::{at_least_millis, whole_millis};
use thalweg_dataflow::watermark::WatermarkStrategy;

use crate::DStream;
use crate::listener::{Bus, Listened, StreamingListener};
use crate::recovery::{CreateContext, Recovery};

/// Where a program begins. Clones share one job.
///
/// ```
/// use std::time::Duration;
/// use thalweg_dstream::StreamingContext;
///
/// let ssc = StreamingContext::new("sums", Duration::from_millis(10));
/// ssc.queue_stream(vec![vec![1, 2, 3], vec![4]]).map(|n| n * 2).print();
/// ssc.start()?;
/// ssc.await_termination()?;
/// # Ok::<(), thalweg_dstream::JobError>(())
/// ```
#[derive(Clone)]
pub struct StreamingContext {
    job: Job,
    started: Arc<Mutex<Option<Started>>>,
    /// Whether a stream has been given to another face, or to the engine: what becomes of it there is not known here.
    handed_out: Arc<AtomicBool>,
    interval: Duration,
    bus: Bus,
}

/// A job that has been started.
struct Started {
    /// They stay when somebody waits for the end, so that somebody else can bring it about.
    controls: JobControls,
    /// What the job shows of itself, for as long as anybody looks.
    view: JobView,
    /// Whoever waits for the end takes it.
    handle: Option<JobHandle>,
    /// Whether whoever took it has seen the end.
    ended: bool,
}

impl Started {
    fn has_ended(&self) -> bool {
        self.handle.as_ref().map_or(self.ended, JobHandle::is_finished)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StreamingContext {
    /// A context that cuts its streams into batches of `batch_interval` (whole milliseconds). The name is the
    /// job's id.
    pub fn new(app_name: &str, batch_interval: Duration) -> Self {
        Self::over(Job::new(JobConfig::new(app_name)), batch_interval)
    }

    /// A context over a job that exists already: how the bridge puts both faces into one.
    pub fn over(job: Job, batch_interval: Duration) -> Self {
        if whole_millis(batch_interval).is_none() {
            job.graph().refuse(format!(
                "a batch interval of {batch_interval:?}; it must be a whole number of milliseconds"
            ));
        }
        job.graph().batch_interval(at_least_millis(batch_interval));
        let (started, handed_out, bus) = (Arc::default(), Arc::default(), Bus::default());
        Self { job, started, handed_out, interval: batch_interval, bus }
    }

    /// Tells `listener` how the context gets on: batches, outputs and receivers (Spark's `addStreamingListener`). To be called before the start.
    ///
    /// ```
    /// use std::time::Duration;
    /// use thalweg_dstream::{BatchInfo, StreamingContext, StreamingListener};
    ///
    /// struct Slow;
    ///
    /// impl StreamingListener for Slow {
    ///     fn on_batch_completed(&mut self, batch: &BatchInfo) {
    ///         if batch.total_delay() > Duration::from_secs(5) {
    ///             eprintln!("the batch of {} was {:?} late", batch.batch_time, batch.total_delay());
    ///         }
    ///     }
    /// }
    ///
    /// let ssc = StreamingContext::new("listened", Duration::from_millis(10));
    /// ssc.add_streaming_listener(Slow);
    /// ssc.queue_stream(vec![vec![1, 2, 3]]).print();
    /// ssc.start()?;
    /// ssc.await_termination()?;
    /// # Ok::<(), thalweg_dstream::JobError>(())
    /// ```
    pub fn add_streaming_listener(&self, listener: impl StreamingListener) -> &Self {
        if self.bus.is_empty() {
            let listen = self.bus.of_job(self.interval());
            self.configure(|config| config.listeners.add(listen));
        }
        self.bus.add(Box::new(listener));
        self
    }

    /// Lets sources read as many records a second as a batch can be worked on in its interval, so that batches stay in time under load (Spark's
    /// `spark.streaming.backpressure.enabled`). Without it, only full edges hold sources back: nothing is lost, but what is read lies about for longer.
    pub fn set_backpressure(&self, rate: PidRate) -> &Self {
        self.configure(|config| config.back_pressure = Some(rate))
    }

    pub(crate) fn bus(&self) -> &Bus {
        &self.bus
    }

    /// The context that `create` makes, with checkpoints in `folder`. If there is a checkpoint of the job, it
    /// begins there, else from nothing.
    ///
    /// Other than in Spark, `create` is called in either case, also when the job recovers: the program itself is not part of a
    /// checkpoint, and is built anew each time. What is to be done only once, at the very start (clearing a table, producing
    /// a first record), has to look at the [`Recovery`] that `create` may take.
    ///
    /// ```
    /// use std::time::Duration;
    /// use thalweg_dstream::{Recovery, StreamingContext};
    ///
    /// let folder = tempfile::tempdir()?;
    /// let create = |recovery: Recovery| {
    ///     if !recovery.is_recovery() {
    ///         println!("starting for the first time");
    ///     }
    ///     let ssc = StreamingContext::new("totals", Duration::from_millis(10));
    ///     ssc.queue_stream(vec![vec![1, 2, 3]]).print();
    ///     Ok(ssc)
    /// };
    /// let ssc = StreamingContext::get_or_create(folder.path(), create)?;
    /// ssc.start()?;
    /// ssc.await_termination()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub fn get_or_create<Arguments>(
        folder: impl AsRef<Path>,
        create: impl CreateContext<Arguments>,
    ) -> Result<Self, JobError> {
        let context = create.create(Recovery::of(folder.as_ref())?)?;
        context.checkpoint(folder)?;
        Ok(context)
    }

    /// Writes a checkpoint at the end of every batch, into a folder: one of this machine, or, with the feature, of a
    /// [store](thalweg_connectors::store): `s3://…`, `az://…`, `gs://…`, `hdfs://…`. See also [`checkpoint_every`](Self::checkpoint_every).
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn checkpoint(&self, folder: impl AsRef<Path>) -> Result<&Self, JobError> {
        self.checkpoint_every(folder, self.interval)
    }

    /// Writes a checkpoint so often, rounded up to whole batches. Exactly-once sinks make results visible at
    /// checkpoints.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn checkpoint_every(&self, folder: impl AsRef<Path>, interval: Duration) -> Result<&Self, JobError> {
        let storage = checkpoint_storage(folder)?;
        Ok(self.configure(|config| config.checkpoint = Some(CheckpointConfig::new(interval, storage))))
    }

    /// Bounds the memory that the job takes for keyed state and for records on their way, in bytes; the coldest entries beyond it are kept on
    /// disk, in the system's folder for temporary files. For another folder, and for what is counted, see [`MemoryConfig`].
    pub fn set_memory(&self, limit: u64) -> &Self {
        self.configure(|config| config.memory = Some(MemoryConfig::new(limit)))
    }

    /// Lets the job go on without the state of operators that it does not have any more; it is gone for good at the next
    /// checkpoint. Otherwise the job is refused, with a list of what would be lost.
    pub fn allow_non_restored_state(&self, allow: bool) -> &Self {
        self.configure(|config| config.allow_non_restored_state = allow)
    }

    pub(crate) fn hands_out(&self) {
        self.handed_out.store(true, Ordering::Relaxed);
    }

    /// Changes any setting of the job.
    pub fn configure(&self, change: impl FnOnce(&mut JobConfig)) -> &Self {
        self.job.configure(change);
        self
    }

    /// The job that the streams of this context are part of.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// The batch interval.
    pub fn batch_interval(&self) -> Duration {
        self.interval
    }

    /// The batch interval in milliseconds.
    pub(crate) fn interval(&self) -> i64 {
        at_least_millis(self.interval)
    }

    /// Reads a source of the engine. Event times play no role within batches; they are there for the bridge.
    pub fn from_source<S>(
        &self,
        source: S,
        strategy: WatermarkStrategy<S::Item>,
        name: &str,
    ) -> DStream<S::Item>
    where
        S: Source,
        S::Item: Data,
    {
        self.stream(self.job.graph().source(name, source, strategy))
    }

    /// A stream of the engine, of the same graph, as a stream of batches.
    pub fn stream<T: Data>(&self, stream: Stream<T>) -> DStream<T> {
        DStream::over(self.clone(), stream)
    }

    /// One collection a batch, then the end: for tests and examples.
    pub fn queue_stream<T: Data + Sync>(&self, batches: Vec<Vec<T>>) -> DStream<T> {
        let source = QueueSource::new(batches, self.interval());
        self.from_source(source, WatermarkStrategy::no_watermarks(), "queue")
    }

    /// A stream of batches out of a queue that can be fed while the job runs: of each batch one entry if `one_at_a_time`, else all that
    /// are in it; `default` when there is none. The stream goes on until the queue is closed.
    ///
    /// ```
    /// use std::time::Duration;
    /// use thalweg_dataflow::source::RddQueue;
    /// use thalweg_dstream::StreamingContext;
    ///
    /// let ssc = StreamingContext::new("queue", Duration::from_millis(10));
    /// let queue = RddQueue::new();
    /// ssc.queue_stream_from(&queue, true, vec![]).map(|n| n * 2).print();
    /// ssc.start()?;
    /// queue.push(vec![1, 2]);
    /// queue.close();
    /// ssc.await_termination()?;
    /// # Ok::<(), thalweg_dstream::JobError>(())
    /// ```
    pub fn queue_stream_from<T: Data + Sync>(
        &self,
        queue: &RddQueue<T>,
        one_at_a_time: bool,
        default: Vec<T>,
    ) -> DStream<T> {
        let source = RddQueueSource::new(queue, self.interval(), one_at_a_time, default);
        self.from_source(source, WatermarkStrategy::no_watermarks(), "queue")
    }

    /// The lines that a server sends (`nc -lk 9999`); when it is away, that is told, and tried again every two seconds. One subtask
    /// reads; what came in before a failure of the job, and was not committed, is lost.
    pub fn socket_text_stream(&self, host: &str, port: u16) -> DStream<String> {
        let receiver = SocketTextReceiver::new(host, port);
        let address = receiver.address();
        self.received(receiver, "socket", Some(address))
    }

    /// Blocks of bytes that a server sends, each behind its length in four bytes (big-endian).
    pub fn raw_socket_stream(&self, host: &str, port: u16) -> DStream<Vec<u8>> {
        let receiver = RawSocketReceiver::new(host, port);
        let address = receiver.address();
        self.received(receiver, "raw-socket", Some(address))
    }

    /// What a receiver of the user's own stores, on a thread of its own; see [`Receiver`] for what is delivered.
    ///
    /// ```
    /// use std::time::Duration;
    /// use thalweg_dataflow::error::BoxError;
    /// use thalweg_dataflow::source::{Receiver, Store};
    /// use thalweg_dstream::StreamingContext;
    ///
    /// #[derive(Clone)]
    /// struct Ticks;
    ///
    /// impl Receiver for Ticks {
    ///     type Item = u64;
    ///
    ///     fn receive(&mut self, store: &Store<u64>) -> Result<(), BoxError> {
    ///         Ok((0..5).try_for_each(|n| store.store(n))?)
    ///     }
    /// }
    ///
    /// let ssc = StreamingContext::new("ticks", Duration::from_millis(10));
    /// ssc.receiver_stream(Ticks).print();
    /// ssc.start()?;
    /// ssc.await_termination()?;
    /// # Ok::<(), thalweg_dstream::JobError>(())
    /// ```
    pub fn receiver_stream<R: Receiver + Clone + Sync>(&self, receiver: R) -> DStream<R::Item> {
        self.received(receiver, "receiver", None)
    }

    fn received<R: Receiver + Clone + Sync>(
        &self,
        receiver: R,
        name: &str,
        address: Option<String>,
    ) -> DStream<R::Item> {
        let receiver = Listened { receiver, name: name.to_owned(), bus: self.bus.clone() };
        let source = ReceiverSource::of(receiver);
        let source = match address {
            Some(address) => source.described(address),
            None => source,
        };
        self.from_source(source, WatermarkStrategy::no_watermarks(), name)
    }

    /// All of these streams as one (Spark's `ssc.union`); of none, one that is empty and ends.
    pub fn union<T: Data, S: Into<DStream<T>>>(&self, streams: impl IntoIterator<Item = S>) -> DStream<T> {
        let all = streams.into_iter().map(Into::into).reduce(|all: DStream<T>, next| all.union(&next));
        all.unwrap_or_else(|| {
            let nothing = ReceiverSource::new(|_: &Store<T>| Ok(()));
            self.from_source(nothing, WatermarkStrategy::no_watermarks(), "nothing")
        })
    }

    /// The records of binary files, `record_length` bytes each, that appear in a folder (by a rename) from now on. It looks once a batch.
    pub fn binary_records_stream(
        &self,
        folder: impl Into<PathBuf>,
        record_length: usize,
    ) -> DStream<Vec<u8>> {
        let source = BinaryRecordsSource::new(folder, record_length);
        let source = source.monitor_continuously(self.interval).new_files_only();
        self.from_source(source, WatermarkStrategy::no_watermarks(), "binary-records")
    }

    /// The lines of files that appear in a folder (by a rename) from now on, as in Spark: what is there when this is called is passed
    /// over. It looks once a batch. A job that recovers reads what has appeared since its checkpoint. To read what is there already,
    /// too, see [`file_stream`](Self::file_stream).
    pub fn text_file_stream(&self, folder: impl Into<PathBuf>) -> DStream<String> {
        self.file_stream(folder, true)
    }

    /// As [`text_file_stream`](Self::text_file_stream); the files that are there already are read first unless `new_files_only`.
    pub fn file_stream(&self, folder: impl Into<PathBuf>, new_files_only: bool) -> DStream<String> {
        let source = TextFileSource::new(folder).monitor_continuously(self.interval);
        let source = if new_files_only { source.new_files_only() } else { source };
        self.from_source(source, WatermarkStrategy::no_watermarks(), "text-files")
    }

    /// The lines of a file, or of all files in a folder, then the end.
    pub fn text_file(&self, path: impl Into<PathBuf>) -> DStream<String> {
        self.from_source(TextFileSource::new(path), WatermarkStrategy::no_watermarks(), "text-file")
    }

    /// The plan of the job so far: its tasks, and the operators of each, with what they are and from where they get their records.
    ///
    /// # Errors
    /// What would keep the job from being started.
    pub fn explain(&self) -> Result<String, JobError> {
        self.job().graph().explain(&self.job().config())
    }

    /// Starts the job.
    ///
    /// # Errors
    /// When it has been started before, when no stream has an output (`foreach_rdd`, `print`, `sink_to` and their kin), or when a
    /// thread cannot be started.
    pub fn start(&self) -> Result<(), JobError> {
        let mut started = lock(&self.started);
        if started.is_some() {
            return Err(JobError::Config(
                "the context has been started already; make another one".to_owned(),
            ));
        }
        let graph = self.job.graph();
        // Mistakes found while building come first; the job tells them.
        if !graph.has_output() && !self.handed_out.load(Ordering::Relaxed) && graph.refusal().is_none() {
            return Err(JobError::Graph(
                "no output operations registered, so there is nothing to execute; end a stream with foreach_rdd, print, \
                 save_as_text_files or sink_to"
                    .to_owned(),
            ));
        }
        self.bus.start().map_err(JobError::Thread)?;
        let handle = self.job.start()?;
        *started = Some(Started {
            controls: handle.controls(),
            view: handle.view(),
            handle: Some(handle),
            ended: false,
        });
        Ok(())
    }

    /// Waits until the job ends: by the end of its input, by [`stop`](Self::stop), or by a failure, which is
    /// returned.
    ///
    /// # Errors
    /// What ended the job, [`JobError::Cancelled`] if it was stopped at once; or that there is no job to wait
    /// for.
    pub fn await_termination(&self) -> Result<JobResult, JobError> {
        let handle = match lock(&self.started).as_mut() {
            Some(started) => started.handle.take().ok_or("is being waited for already"),
            None => Err("has not been started; call start() first"),
        };
        let handle = handle.map_err(|reason| JobError::Config(format!("the context {reason}")))?;
        // Not under the lock: others may want to stop the job meanwhile.
        let result = handle.wait();
        if let Some(started) = lock(&self.started).as_mut() {
            started.ended = true;
        }
        self.bus.end();
        result
    }

    /// Waits until the job ends, or the time is up; returns whether it has ended.
    /// [`await_termination`](Self::await_termination) then tells how.
    pub fn await_termination_or_timeout(&self, timeout: Duration) -> bool {
        let until = Instant::now() + timeout;
        loop {
            if lock(&self.started).as_ref().is_none_or(Started::has_ended) {
                return true;
            }
            if Instant::now() >= until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5).min(until.saturating_duration_since(Instant::now())));
        }
    }

    /// Asks the job to stop; [`await_termination`](Self::await_termination) waits for it. Gracefully: sources
    /// read no further, what they have read is processed, the last batch is closed and committed. Otherwise
    /// at once: what the last checkpoint covers is safe. Either way, a context made by
    /// [`get_or_create`](Self::get_or_create) goes on from there.
    pub fn stop(&self, gracefully: bool) {
        if let Some(controls) = self.controls() {
            if gracefully { controls.stop() } else { controls.cancel() }
        }
    }

    /// How far the started context has come: the last batch, how late it was, how often the job was restarted. `None` before the start.
    ///
    /// ```
    /// use std::time::Duration;
    /// use thalweg_dstream::StreamingContext;
    ///
    /// let ssc = StreamingContext::new("watched", Duration::from_millis(10));
    /// ssc.queue_stream(vec![vec![1, 2, 3]; 3]).print();
    /// assert_eq!(ssc.progress(), None);
    /// ssc.start()?;
    /// while !ssc.await_termination_or_timeout(Duration::from_millis(10)) {
    ///     println!("{:?}", ssc.progress());
    /// }
    /// assert!(ssc.progress().is_some_and(|progress| progress.batch_time > 0));
    /// assert_eq!(ssc.metrics().map(|metrics| metrics.sum("queue", |source| source.records_out.get())), Some(9));
    /// ssc.await_termination()?;
    /// # Ok::<(), thalweg_dstream::JobError>(())
    /// ```
    pub fn progress(&self) -> Option<Progress> {
        lock(&self.started).as_ref().map(|started| started.view.progress())
    }

    /// The counters of the started context; `None` before the start.
    pub fn metrics(&self) -> Option<JobMetrics> {
        lock(&self.started).as_ref().map(|started| started.view.metrics())
    }

    /// A handle that stops the job from anywhere, such as a signal handler; `None` before it is started.
    pub fn controls(&self) -> Option<JobControls> {
        lock(&self.started).as_ref().map(|started| started.controls.clone())
    }
}
