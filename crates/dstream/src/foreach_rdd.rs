//! `foreach_rdd`: a function over every batch, whole; and the engine's side of it, which `transform` shares.
//!
//! What a batch saves through its `Rdd` is written when the function runs, and becomes visible when the batch
//! is committed: exactly once, whatever crashes in between. What the function does by itself, such as calling
//! a web service, may happen again after a crash.

use std::fmt::Display;
use std::io::ErrorKind;
use std::marker::PhantomData;
use std::time::Instant;

use thalweg_dataflow::error::{BoxError, Fallible, Fatal};
use thalweg_dataflow::operator::OperatorContext;
use thalweg_dataflow::operators::{BatchFunction, Collect, CollectBatch, ForeachBatch};
use thalweg_dataflow::record::Data;
use thalweg_dataflow::state::StateData;
use thalweg_dataflow::time::Timestamp;

use crate::listener::{Bus, Event, OutputOperation};
use crate::rdd::{BatchContext, Publish, Saver};
use crate::{DStream, Rdd};

impl<T: StateData> DStream<T> {
    /// Calls `function` on each batch, empty ones too, with the batch's time in milliseconds. It may return
    /// nothing, or a `Result`: an error fails the job. (In a closure with `?` the type of the error cannot be told; see
    /// [`try_foreach_rdd`](Self::try_foreach_rdd).) Of each batch it is called in one place; what it keeps
    /// to itself is lost when the job restarts.
    ///
    /// Outputs of a batch run one after the other, in the order in which they were registered, as in Spark: this one is called
    /// for a batch when those before it have been ([`print`](Self::print) is one, too). A sink ([`sink_to`](Self::sink_to)) is not
    /// among them: it is written to as records come.
    ///
    /// Files that it saves out of the `Rdd` become visible when the batch is committed, exactly once.
    ///
    /// ```
    /// use std::time::Duration;
    /// use thalweg_dstream::{SaveMode, StreamingContext};
    ///
    /// let folder = tempfile::tempdir()?;
    /// let counts = folder.path().join("counts");
    /// let ssc = StreamingContext::new("counts", Duration::from_millis(10));
    /// let words = ssc.queue_stream(vec![vec!["deep".to_owned(), "fast".to_owned()], vec!["deep".to_owned()]]);
    /// let path = counts.clone();
    /// words.map(|word| (word, 1)).reduce_by_key(|a, b| a + b).foreach_rdd(move |rdd, _time| {
    ///     rdd.to_df_named(&["word", "count"]).write().mode(SaveMode::Append).parquet(&path)
    /// });
    /// ssc.start()?;
    /// ssc.await_termination()?;
    /// assert!(std::fs::read_dir(counts)?.next().is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn foreach_rdd<R: Fallible + 'static>(
        &self,
        function: impl FnMut(Rdd<T>, Timestamp) -> R + Clone + Send + 'static,
    ) -> DStream<()> {
        self.foreach_rdd_as("foreach-rdd", function)
    }

    /// The same, of which listeners are told under a name.
    pub(crate) fn foreach_rdd_as<R: Fallible + 'static>(
        &self,
        name: &'static str,
        mut function: impl FnMut(Rdd<T>, Timestamp) -> R + Clone + Send + 'static,
    ) -> DStream<()> {
        let graph = self.context.job().graph();
        graph.output(|| {
            let bus = self.context.bus().clone();
            let output = self.over_batches("foreach-rdd", move |rdd, time, _| {
                told(&bus, name, time, || function(rdd, time).into_result())
            });
            DStream { stream: output.stream.in_turn(), ..output }
        })
    }

    /// The same for a closure with `?` in it, whatever errors that meets.
    ///
    /// ```
    /// use std::time::Duration;
    /// use thalweg_dstream::StreamingContext;
    ///
    /// let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("sums");
    /// let ssc = StreamingContext::new("sums", Duration::from_millis(10));
    /// let sums = ssc.queue_stream(vec![vec!["1", "2"]]).map(str::to_owned);
    /// sums.try_foreach_rdd(move |rdd, _time| {
    ///     let mut sum = 0;
    ///     for text in rdd.collect() {
    ///         sum += text.parse::<i32>()?;
    ///     }
    ///     std::fs::write(&path, sum.to_string())?;
    ///     Ok(())
    /// });
    /// ssc.start()?;
    /// ssc.await_termination()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_foreach_rdd(
        &self,
        function: impl FnMut(Rdd<T>, Timestamp) -> Result<(), BoxError> + Clone + Send + 'static,
    ) -> DStream<()> {
        self.foreach_rdd(function)
    }

    /// Writes each batch as text, a line for each record, into a folder `prefix-TIME_IN_MS.suffix` of its own
    /// (without the dot if the suffix is empty). The folder appears when the batch is committed; a batch
    /// without records makes none.
    pub fn save_as_text_files(&self, prefix: &str, suffix: &str) -> DStream<()>
    where
        T: Display,
    {
        let (prefix, suffix) = (prefix.to_owned(), suffix.to_owned());
        let dot = if suffix.is_empty() { "" } else { "." };
        let save = move |rdd: Rdd<T>, time| rdd.save_as_text_file(format!("{prefix}-{time}{dot}{suffix}"));
        self.foreach_rdd_as("save-as-text-files", save).name("save-as-text-files")
    }

    /// Writes each batch into a folder `prefix-TIME_IN_MS.suffix` of its own, as [`Rdd::save_as_object_file`] does; [`Rdd::object_file`] reads it back. The
    /// folder appears when the batch is committed; a batch without records makes none.
    pub fn save_as_object_files(&self, prefix: &str, suffix: &str) -> DStream<()> {
        let (prefix, suffix) = (prefix.to_owned(), suffix.to_owned());
        let dot = if suffix.is_empty() { "" } else { "." };
        let save = move |rdd: Rdd<T>, time| rdd.save_as_object_file(format!("{prefix}-{time}{dot}{suffix}"));
        self.foreach_rdd_as("save-as-object-files", save).name("save-as-object-files")
    }

    /// Calls `function` on each batch; what it collects is the batch of the stream returned.
    pub(crate) fn over_batches<U: Data>(
        &self,
        name: &str,
        function: impl FnMut(Rdd<T>, Timestamp, &mut Collect<'_, U>) -> Result<(), BoxError>
        + Clone
        + Send
        + 'static,
    ) -> DStream<U> {
        let function = OverBatches { function, saver: None, types: PhantomData };
        let batches = self.stream.apply("collect-batch", CollectBatch::new(self.interval)).described(name);
        let batches = self.then(batches);
        let calls = batches.stream.apply(name, ForeachBatch::new(function, self.interval)).parallelism(1);
        self.then(calls).with_part("batch", &batches)
    }
}

/// Does something with a batch, of which listeners are told.
fn told(
    bus: &Bus,
    name: &'static str,
    batch_time: Timestamp,
    work: impl FnOnce() -> Result<(), BoxError>,
) -> Result<(), BoxError> {
    if !bus.is_running() {
        return work();
    }
    let operation = OutputOperation { batch_time, name: name.to_owned(), duration: None, failure: None };
    bus.tell(Event::OutputStarted(operation.clone()));
    let since = Instant::now();
    let result = work();
    let (duration, failure) = (Some(since.elapsed()), result.as_ref().err().map(ToString::to_string));
    bus.tell(Event::OutputCompleted(OutputOperation { duration, failure, ..operation }));
    result
}

/// A function over batches, as the engine calls it.
struct OverBatches<T, U, F> {
    function: F,
    saver: Option<Saver>,
    types: PhantomData<fn(T) -> U>,
}

impl<T, U, F: Clone> Clone for OverBatches<T, U, F> {
    fn clone(&self) -> Self {
        Self { function: self.function.clone(), saver: None, types: PhantomData }
    }
}

impl<T, U, F> BatchFunction<T> for OverBatches<T, U, F>
where
    T: Data,
    U: Data,
    F: FnMut(Rdd<T>, Timestamp, &mut Collect<'_, U>) -> Result<(), BoxError> + Send + 'static,
{
    type Out = U;
    type Pending = Publish;

    fn open(&mut self, context: &OperatorContext) {
        self.saver = Some(Saver::new(context));
    }

    fn call(
        &mut self,
        partitions: Vec<Vec<T>>,
        time: Timestamp,
        pending: &mut Vec<Publish>,
        out: &mut Collect<'_, U>,
    ) -> Result<(), BoxError> {
        let batch = BatchContext::new(time, self.saver.clone());
        let result = (self.function)(Rdd::of_batch(partitions, batch.clone()), time, out);
        let saved = batch.take_pending();
        if result.is_err() {
            saved.iter().for_each(Publish::discard);
        } else {
            pending.extend(saved);
        }
        result
    }

    fn publish(&mut self, pending: Publish) -> Result<(), BoxError> {
        let folder = pending.folder().display();
        pending.perform().map_err(|error| {
            let text = format!("cannot make files visible in {folder}: {error}");
            match error.kind() {
                // Of no use to try again.
                ErrorKind::NotFound | ErrorKind::InvalidData => Box::new(Fatal(text.into())).into(),
                _ => text.into(),
            }
        })
    }
}
