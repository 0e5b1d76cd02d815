//! Kafka in Spark's words: `KafkaUtils.createDirectStream`, `HasOffsetRanges`, `CanCommitOffsets`.

use std::ops::Deref;
use std::time::Duration;

use thalweg_dataflow::record::Data;
use thalweg_dataflow::time::Timestamp;
use thalweg_dataflow::watermark::WatermarkStrategy;
use thalweg_dstream::{DStream, StreamingContext};
use thalweg_kafka::KafkaSource;
use thalweg_kafka::source::{OffsetRange, OffsetRanges};

/// A partition without records for so long does not hold event time back.
const IDLENESS: Duration = Duration::from_secs(10);

/// Makes streams of batches out of topics (Spark's `KafkaUtils`).
#[derive(Clone, Copy, Debug)]
pub struct KafkaUtils;

impl KafkaUtils {
    /// A stream of the records of a source: each batch is what has come since the last one. Event time, which
    /// counts on the far side of the bridge, is the records' timestamps, taken to rise within a partition; a
    /// partition without records for 10 s is idle.
    ///
    /// ```no_run
    /// use thalweg::prelude::*;
    ///
    /// let ssc = StreamingContext::new("lines", Duration::from_secs(1));
    /// let source = KafkaSource::builder("localhost:9092")
    ///     .set_topics(["lines"])
    ///     .set_group_id("lines")
    ///     .set_commit_offsets_on_checkpoint(false)
    ///     .set_deserializer(values::<String>())
    ///     .build()?;
    /// let stream = KafkaUtils::create_direct_stream(&ssc, source);
    /// let offsets = stream.clone();
    /// stream.foreach_rdd(move |rdd, time| {
    ///     let ranges = offsets.offset_ranges(time);
    ///     println!("{} lines: {ranges:?}", rdd.count());
    ///     offsets.commit_async(&ranges);
    /// });
    /// ssc.start()?;
    /// ssc.await_termination()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn create_direct_stream<T: Data>(ssc: &StreamingContext, source: KafkaSource<T>) -> DirectStream<T> {
        let strategy = WatermarkStrategy::for_monotonous_timestamps().with_idleness(IDLENESS);
        Self::create_direct_stream_with(ssc, source, strategy)
    }

    /// The same, with event times and watermarks by `strategy`.
    pub fn create_direct_stream_with<T: Data>(
        ssc: &StreamingContext,
        source: KafkaSource<T>,
        strategy: WatermarkStrategy<T>,
    ) -> DirectStream<T> {
        let offset_ranges = source.offset_ranges(ssc.batch_interval());
        DirectStream { stream: ssc.from_source(source, strategy, "kafka"), offset_ranges }
    }
}

/// A stream of batches out of topics, which knows the offsets of each batch. It is a [`DStream`] by a reference, and becomes one by
/// [`into_dstream`](Self::into_dstream) or `into()`, where one is wanted by value.
#[derive(Clone)]
pub struct DirectStream<T> {
    stream: DStream<T>,
    offset_ranges: OffsetRanges,
}

impl<T> DirectStream<T> {
    /// What the batch with this time has read, by partition (Spark's `HasOffsetRanges`). Known when the batch
    /// is handed to `foreach_rdd` or `transform`, and for a hundred batches after that.
    pub fn offset_ranges(&self, batch_time: Timestamp) -> Vec<OffsetRange> {
        self.offset_ranges.at(batch_time)
    }

    /// Sets the stable id of the source, as [`DStream::uid`] does.
    pub fn uid(self, uid: &str) -> Self
    where
        T: Data,
    {
        Self { stream: self.stream.uid(uid), ..self }
    }

    /// Sets the name of the source, as [`DStream::name`] does.
    pub fn name(self, name: &str) -> Self
    where
        T: Data,
    {
        Self { stream: self.stream.name(name), ..self }
    }

    /// Sets the number of subtasks of the source, as [`DStream::set_parallelism`] does.
    pub fn set_parallelism(self, parallelism: usize) -> Self
    where
        T: Data,
    {
        Self { stream: self.stream.set_parallelism(parallelism), ..self }
    }

    /// The same stream, without its offsets.
    pub fn into_dstream(self) -> DStream<T> {
        self.stream
    }

    /// Commits the ends of these ranges under the source's group, without waiting for it (Spark's
    /// `CanCommitOffsets`). What a job resumes from is its own checkpoint; this is for jobs without one, and
    /// for tools that show how far a group is.
    pub fn commit_async(&self, ranges: &[OffsetRange]) {
        self.offset_ranges.commit_async(ranges);
    }
}

impl<T> From<DirectStream<T>> for DStream<T> {
    fn from(stream: DirectStream<T>) -> Self {
        stream.stream
    }
}

impl<T> Deref for DirectStream<T> {
    type Target = DStream<T>;

    fn deref(&self) -> &DStream<T> {
        &self.stream
    }
}
