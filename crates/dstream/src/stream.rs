//! `DStream`: a stream of batches. What works record by record is here; the rest has pages of its own.

use std::sync::Arc;
use std::time::Duration;

use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::graph::Stream;
use thalweg_dataflow::record::Data;
use thalweg_dataflow::sink::Sink;

use crate::StreamingContext;

/// Gives a part of an operation the uid that the operation is given.
type SetUid = Arc<dyn Fn(&str) + Send + Sync>;

/// A stream of `T`, cut into batches. Cloning it reads it twice; nothing is computed twice.
#[derive(Clone)]
pub struct DStream<T> {
    pub(crate) context: StreamingContext,
    pub(crate) stream: Stream<T>,
    /// The batch interval, in milliseconds: that of the context, or the slide of a window.
    pub(crate) interval: i64,
    /// What else belongs to the operation that this stream comes out of.
    pub(crate) parts: Vec<SetUid>,
}

impl<T: Data> DStream<T> {
    pub(crate) fn over(context: StreamingContext, stream: Stream<T>) -> Self {
        let interval = context.interval();
        Self { context, stream, interval, parts: Vec::new() }
    }

    /// The context.
    pub fn context(&self) -> &StreamingContext {
        &self.context
    }

    /// The stream of the engine underneath.
    pub fn stream(&self) -> &Stream<T> {
        self.context.hands_out();
        &self.stream
    }

    /// How often it yields a batch (Spark's `slideDuration`).
    pub fn slide_duration(&self) -> Duration {
        Duration::from_millis(self.interval.max(0).unsigned_abs())
    }

    pub(crate) fn then<U: Data>(&self, stream: Stream<U>) -> DStream<U> {
        DStream { interval: self.interval, ..DStream::over(self.context.clone(), stream) }
    }

    /// Makes `earlier` a part of the operation that this stream comes out of: its uid is then the
    /// operation's, with `name` behind it.
    pub(crate) fn with_part<U: Data>(mut self, name: &'static str, earlier: &DStream<U>) -> Self {
        let earlier = earlier.clone();
        self.parts.push(Arc::new(move |uid| {
            let _ = earlier.clone().uid(&format!("{uid}-{name}"));
        }));
        self
    }

    /// Streams that meet batch by batch need batches of one length; others are refused when the job starts.
    pub(crate) fn check_interval<U>(&self, what: &str, other: &DStream<U>) {
        if self.interval != other.interval {
            let reason = format!(
                "{what}: streams with batches of {} ms and of {} ms; window the faster one first",
                self.interval, other.interval
            );
            self.context.job().graph().refuse(reason);
        }
    }

    /// One record for each.
    pub fn map<U: Data>(&self, function: impl FnMut(T) -> U + Clone + Send + 'static) -> DStream<U> {
        self.then(self.stream.map("map", function))
    }

    /// One record for each; an error fails the job, with the name of the operator and the origin of the
    /// record.
    pub fn try_map<U: Data, E: Into<BoxError>>(
        &self,
        mut function: impl FnMut(T) -> Result<U, E> + Clone + Send + 'static,
    ) -> DStream<U> {
        self.then(self.stream.flat_map("map", move |value, out| {
            out.collect(function(value).map_err(Into::into)?);
            Ok(())
        }))
    }

    /// None, one or many records for each.
    pub fn flat_map<U: Data, I: IntoIterator<Item = U>>(
        &self,
        mut function: impl FnMut(T) -> I + Clone + Send + 'static,
    ) -> DStream<U> {
        self.then(self.stream.flat_map("flat-map", move |value, out| {
            function(value).into_iter().for_each(|each| out.collect(each));
            Ok(())
        }))
    }

    /// None, one or many records for each, made of a borrowed one: `function` hands each to `emit`. No
    /// collection is made on the way, which is what splitting lines into words wants.
    pub fn flat_map_each<U: Data>(
        &self,
        mut function: impl FnMut(&T, &mut dyn FnMut(U)) + Clone + Send + 'static,
    ) -> DStream<U> {
        self.then(self.stream.flat_map("flat-map", move |value, out| {
            function(&value, &mut |each| out.collect(each));
            Ok(())
        }))
    }

    /// The records for which `predicate` holds.
    #[must_use]
    pub fn filter(&self, mut predicate: impl FnMut(&T) -> bool + Clone + Send + 'static) -> Self {
        self.then(self.stream.flat_map("filter", move |value, out| {
            if predicate(&value) {
                out.collect(value);
            }
            Ok(())
        }))
    }

    /// The records of both streams, batch by batch.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.check_interval("union", other);
        self.then(self.stream.union(&other.stream))
    }

    /// Deals records out evenly over `partitions` subtasks. So many partitions have the batches of what follows, until they are
    /// brought together by key or in one place.
    #[must_use]
    pub fn repartition(&self, partitions: usize) -> Self {
        self.then(self.stream.repartition(partitions))
    }

    /// Sets the number of subtasks of the operator that this stream comes out of, which is how many partitions its batches have.
    pub fn set_parallelism(self, parallelism: usize) -> Self {
        Self { stream: self.stream.parallelism(parallelism), ..self }
    }

    /// Writes the stream to a sink of the engine, such as Kafka.
    pub fn sink_to(&self, sink: impl Sink<T>) -> DStream<()> {
        self.then(self.context.job().graph().output(|| sink.add_to(&self.stream)))
    }

    /// Sets the stable id of the operation that this stream comes out of: under it its state is found again.
    pub fn uid(self, uid: &str) -> Self {
        self.parts.iter().for_each(|part| part(uid));
        Self { stream: self.stream.uid(uid), ..self }
    }

    /// Sets the name of the operator that this stream comes out of, as it appears in errors and metrics.
    pub fn name(self, name: &str) -> Self {
        Self { stream: self.stream.name(name), ..self }
    }
}
