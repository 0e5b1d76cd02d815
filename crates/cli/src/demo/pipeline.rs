//! The job: words counted batch by batch, from a topic to a topic; and the most frequent words of each window
//! of event time.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use thalweg::dataflow::runtime::JobHandle;
use thalweg::kafka::TopicPartition;
use thalweg::kafka::source::Lag;
use thalweg::prelude::*;

use super::{Args, Topics};

/// A partition of the input that has had no line for so long does not hold the windows back.
const IDLENESS: Duration = Duration::from_millis(500);

/// The most frequent words shown of a window.
pub(crate) const TOP: usize = 10;

/// What has come out so far, to be shown.
#[derive(Clone)]
pub(crate) struct Seen {
    started: Instant,
    shown: Arc<Mutex<Shown>>,
}

#[derive(Default)]
pub(crate) struct Shown {
    /// Of the last batch that had words.
    pub(crate) batch_time: i64,
    pub(crate) batch_words: u64,
    pub(crate) batch_distinct: usize,
    /// Of the last window that has fired.
    pub(crate) window: Option<(TimeWindow, Vec<(String, u64)>)>,
    pub(crate) first_result: Option<Duration>,
    read_until: HashMap<TopicPartition, i64>,
}

impl Seen {
    pub(crate) fn new(started: Instant) -> Self {
        Self { started, shown: Arc::default() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether batches have been counted up to these offsets.
    pub(crate) fn has_reached(&self, end: &BTreeMap<TopicPartition, i64>) -> bool {
        let shown = self.lock();
        end.iter().all(|(partition, end)| shown.read_until.get(partition).copied().unwrap_or(0) >= *end)
    }
}

/// The job, ready to be started.
pub(crate) struct Pipeline {
    ssc: StreamingContext,
    lag: Lag,
}

impl Pipeline {
    pub(crate) fn build(
        job: &str,
        bootstrap: &str,
        topics: &Topics,
        args: &Args,
        checkpoints: &Path,
        seen: &Seen,
    ) -> anyhow::Result<Self> {
        let ssc = StreamingContext::new(job, args.batch_interval);
        ssc.checkpoint_every(checkpoints, args.checkpoint_interval)?;
        if let Some(parallelism) = args.parallelism {
            ssc.configure(|config| config.parallelism = parallelism);
        }
        let source = KafkaSource::builder(bootstrap)
            .set_topics([&topics.lines])
            .set_starting_offsets(OffsetsInitializer::earliest())
            .set_deserializer(values::<String>())
            .build()?;
        let lag = source.lag();
        let strategy = WatermarkStrategy::for_monotonous_timestamps().with_idleness(IDLENESS);
        let lines = KafkaUtils::create_direct_stream_with(&ssc, source, strategy);

        // Micro-batches: the counts of each batch go to the topic of counts, exactly once.
        let words = lines.flat_map_each(|line: &String, emit| {
            line.split_whitespace().for_each(|word| emit((word.to_owned(), 1_u64)));
        });
        let counts = words.name("words").reduce_by_key(|a, b| a + b);
        let sink = KafkaSink::builder(bootstrap)
            .set_topic(&topics.counts)
            .set_delivery_guarantee(DeliveryGuarantee::ExactlyOnce)
            .set_serializer(key_values::<String, u64>())
            .build()?;
        let _ = counts.sink_to(sink);
        let batches = seen.clone();
        let totals = counts.map(|(_, n)| (1_usize, n)).reduce(|a, b| (a.0 + b.0, a.1 + b.1));
        totals.foreach_rdd(move |rdd, time| {
            let ranges = lines.offset_ranges(time);
            let mut shown = batches.lock();
            shown.read_until.extend(
                ranges
                    .into_iter()
                    .map(|range| (TopicPartition::new(range.topic, range.partition), range.until_offset)),
            );
            if let Some((distinct, words)) = rdd.collect().pop() {
                (shown.batch_time, shown.batch_words, shown.batch_distinct) = (time, words, distinct);
                shown.first_result.get_or_insert_with(|| batches.started.elapsed());
            }
        });

        // Over the bridge, continuously: the same counts by the time of their lines.
        let windows = seen.clone();
        let per_window = counts
            .to_data_stream()
            .key_by(|(word, _)| word.clone())
            .window(TumblingEventTimeWindows::of(args.window))
            .sum(|(_, n)| *n);
        per_window
            .window_all(TumblingEventTimeWindows::of(args.window))
            .process(|(), window, mut words, out| {
                words.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
                words.truncate(TOP);
                out.collect((window, words));
            })
            .for_each(move |window| windows.lock().window = Some(window));
        Ok(Self { ssc, lag })
    }

    pub(crate) fn start(&self) -> Result<JobHandle, JobError> {
        self.ssc.job().start()
    }

    pub(crate) fn lag(&self) -> Lag {
        self.lag.clone()
    }
}
