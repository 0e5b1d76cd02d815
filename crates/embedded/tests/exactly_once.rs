//! From topic to topic, exactly once: through crashes, restores at other parallelisms, and a second instance.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use thalweg_broker::{
    Broker, BrokerConfig, Isolation, LocalClient, LocalRecord, OffsetOf, ProducerOptions, Record,
};
use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::graph::{Stream, StreamGraph};
use thalweg_dataflow::operators::{Emit, Reduce};
use thalweg_dataflow::record::Keyed;
use thalweg_dataflow::runtime::{CheckpointConfig, JobConfig, RestartStrategy, run, start};
use thalweg_dataflow::sink::Sink;
use thalweg_dataflow::watermark::WatermarkStrategy;
use thalweg_embedded::{BrokerSink, BrokerSource, DeliveryGuarantee, OffsetsInitializer, RecordBuf};
use thalweg_testkit::CrashPoint;

const WORDS: usize = 37;
const PARTITIONS: i32 = 4;
/// Enough for there to be a middle to crash in.
const MANY: usize = 200_000;
const PATIENCE: Duration = Duration::from_secs(30);

/// A job that counts words from one topic into another.
struct Counting {
    client: LocalClient,
    guarantee: DeliveryGuarantee,
    folder: TempDir,
    /// Dropped last.
    _broker: Broker,
}

fn text(bytes: Option<&[u8]>) -> Result<String, BoxError> {
    Ok(std::str::from_utf8(bytes.unwrap_or_default())?.to_owned())
}

impl Counting {
    fn new(guarantee: DeliveryGuarantee) -> Self {
        let broker = Broker::start(BrokerConfig::default()).unwrap();
        broker.create_topic("words", PARTITIONS).unwrap();
        broker.create_topic("counts", 2).unwrap();
        Self { client: broker.client(), guarantee, folder: tempfile::tempdir().unwrap(), _broker: broker }
    }

    /// Checkpoints every 20 ms; no restarts.
    fn config(&self, parallelism: usize) -> JobConfig {
        let storage = CheckpointStorage::local(self.folder.path()).unwrap();
        JobConfig {
            parallelism,
            checkpoint: Some(CheckpointConfig::new(Duration::from_millis(20), storage)),
            restart: Some(RestartStrategy::None),
            ..JobConfig::new("job")
        }
    }

    fn source(&self, graph: &StreamGraph, bounded: bool) -> Stream<String> {
        let builder = BrokerSource::builder(self.client.clone()).set_topics(["words"]);
        let builder = if bounded { builder.set_bounded(OffsetsInitializer::Latest) } else { builder };
        let source = builder.build(|record: &Record<'_>| text(record.value)).unwrap();
        graph.source("words", source, WatermarkStrategy::no_watermarks())
    }

    /// Writes the running count of each word, each time that it comes.
    fn graph(&self, crash: &CrashPoint, bounded: bool) -> StreamGraph {
        let graph = StreamGraph::new();
        let words = crash.on(&self.source(&graph, bounded));
        let count = Reduce::new(
            |a, b| a + b,
            |word: &String, count: &u64| (word.clone(), count.to_string()),
            Emit::Each,
        );
        let counts = words.map("key", |word| Keyed::new(word, 1_u64)).exchange().apply("count", count);
        let serialize = |(word, count): &(String, String), record: &mut RecordBuf| -> Result<(), BoxError> {
            record.key().extend_from_slice(word.as_bytes());
            record.value().extend_from_slice(count.as_bytes());
            Ok(())
        };
        let sink = BrokerSink::builder(self.client.clone())
            .set_topic("counts")
            .set_delivery_guarantee(self.guarantee)
            .build(serialize)
            .unwrap();
        let _ = sink.add_to(&counts);
        graph
    }

    fn write_words(&self, range: std::ops::Range<usize>) {
        let mut producer = self.client.producer(ProducerOptions::default()).unwrap();
        for n in range {
            let word = format!("word {}", n % WORDS);
            let record = LocalRecord::to("words").partition(n as i32 % PARTITIONS).value(word.as_bytes());
            producer.send(record).unwrap();
            // Batches of all lengths.
            if n % 97 == 0 {
                producer.flush().unwrap();
            }
        }
        producer.flush().unwrap();
    }

    /// The counts of each word, in order.
    fn counts(&self) -> BTreeMap<String, Vec<usize>> {
        let mut counts: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let mut consumer = self.client.consumer(Isolation::ReadCommitted);
        (0..2).for_each(|partition| consumer.assign("counts", partition, 0));
        loop {
            let batches = consumer.poll(Duration::ZERO).unwrap();
            if batches.is_empty() {
                return counts;
            }
            for record in batches.iter().flat_map(|batch| batch.records()) {
                let record = record.unwrap();
                let count = text(record.value).unwrap().parse().unwrap();
                counts.entry(text(record.key).unwrap()).or_default().push(count);
            }
        }
    }

    /// Each word's counts are 1, 2, 3 …, each once and in order, as far as so many words make them go.
    fn check(&self, words: usize) {
        let mut counts = self.counts();
        for n in 0..WORDS {
            let expected = words / WORDS + usize::from(n < words % WORDS);
            let found = counts.remove(&format!("word {n}")).unwrap_or_default();
            assert!(found.iter().copied().eq(1..=expected), "word {n}, up to {expected}: {found:?}");
        }
        assert!(counts.is_empty(), "{counts:?}");
    }
}

#[test]
fn a_keyed_count_survives_crashes_and_restores_at_other_parallelisms() {
    for parallelisms in [[1, 2, 4], [4, 1, 2]] {
        let job = Counting::new(DeliveryGuarantee::ExactlyOnce);
        job.write_words(0..MANY);
        for (index, parallelism) in parallelisms.into_iter().enumerate() {
            let last = index + 1 == parallelisms.len();
            let crash = if last { CrashPoint::never() } else { CrashPoint::after(2, 2_000) };
            match run(&job.graph(&crash, true), job.config(parallelism)) {
                Ok(_) if last => {}
                Err(error) if error.to_string().contains("a crash, as asked for") => {}
                other => panic!("run {index}: {other:?}"),
            }
        }
        job.check(MANY);
        // The last epoch's positions were committed with it.
        let position = |partition| job.client.committed("job", "words", partition).unwrap().unwrap().offset;
        assert_eq!((0..PARTITIONS).map(position).sum::<i64>(), MANY as i64);
    }
}

#[test]
fn a_restart_in_the_same_process_loses_and_doubles_nothing() {
    let job = Counting::new(DeliveryGuarantee::ExactlyOnce);
    job.write_words(0..MANY);
    let restart = RestartStrategy::FixedDelay { attempts: 1, delay: Duration::ZERO };
    let config = JobConfig { restart: Some(restart), ..job.config(2) };
    let result = run(&job.graph(&CrashPoint::after(3, 1_000), true), config).unwrap();
    assert_eq!(result.restarts, 1);
    job.check(MANY);
}

#[test]
fn an_unbounded_job_is_woken_by_records_and_suspended_between_epochs() {
    let job = Counting::new(DeliveryGuarantee::ExactlyOnce);
    let running = start(&job.graph(&CrashPoint::never(), false), job.config(2)).unwrap();
    for n in 0..20 {
        job.write_words(n * 100..(n + 1) * 100);
        let deadline = Instant::now() + PATIENCE;
        while job.counts().values().map(Vec::len).sum::<usize>() < (n + 1) * 100 {
            assert!(Instant::now() < deadline, "after {n}: {:?}", job.counts());
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    running.suspend();
    let epoch = running.wait().unwrap().epoch;
    // While nothing came, epochs were committed all the same.
    let marker = job.client.committed("job-thalweg", "counts", 0).unwrap().unwrap();
    assert!(
        marker.metadata.starts_with(&format!("thalweg-epoch={epoch};generation=1;")),
        "{}",
        marker.metadata
    );
    job.write_words(2_000..3_000);
    run(&job.graph(&CrashPoint::never(), true), job.config(1)).unwrap();
    job.check(3_000);
}

#[test]
fn the_older_of_two_instances_is_fenced_and_says_so() {
    let job = Counting::new(DeliveryGuarantee::ExactlyOnce);
    job.write_words(0..10_000);
    let older = start(&job.graph(&CrashPoint::never(), false), job.config(2)).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while older.progress().committed_epoch < 3 {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(1));
    }
    let younger = run(&job.graph(&CrashPoint::never(), true), job.config(1));
    let error = older.wait().unwrap_err();
    assert!(error.is_fatal() && error.to_string().contains("took over"), "{error}");
    younger.unwrap();
    job.check(10_000);
}

#[test]
fn at_least_once_loses_nothing() {
    let job = Counting::new(DeliveryGuarantee::AtLeastOnce);
    job.write_words(0..MANY);
    run(&job.graph(&CrashPoint::after(2, 1_000), true), job.config(2)).unwrap_err();
    run(&job.graph(&CrashPoint::never(), true), job.config(1)).unwrap();
    let counts = job.counts();
    for n in 0..WORDS {
        let expected = MANY / WORDS + usize::from(n < MANY % WORDS);
        let mut found = counts[&format!("word {n}")].clone();
        found.sort_unstable();
        found.dedup();
        assert!(found.iter().copied().eq(1..=expected), "word {n}");
    }
}

#[test]
fn what_cannot_work_is_said_at_the_start() {
    let job = Counting::new(DeliveryGuarantee::ExactlyOnce);
    assert!(
        BrokerSource::builder(job.client.clone()).build(|record: &Record<'_>| text(record.value)).is_err()
    );
    let mut config = job.config(1);
    config.checkpoint.as_mut().unwrap().interval = Duration::from_secs(60);
    let error = run(&job.graph(&CrashPoint::never(), true), config).unwrap_err().to_string();
    assert!(error.contains("checkpoint interval of 60s"), "{error}");
    let graph = StreamGraph::new();
    let source = BrokerSource::builder(job.client.clone()).set_topics(["missing"]);
    let source = source.build(|record: &Record<'_>| text(record.value)).unwrap();
    let lines = graph.source("missing", source, WatermarkStrategy::no_watermarks());
    let serialize = |line: &String, record: &mut RecordBuf| -> Result<(), BoxError> {
        record.value().extend_from_slice(line.as_bytes());
        Ok(())
    };
    let sink = BrokerSink::builder(job.client.clone()).set_topic("counts").build(serialize).unwrap();
    let _ = sink.add_to(&lines);
    let error = run(&graph, job.config(1)).unwrap_err().to_string();
    assert!(error.contains("no topic 'missing'"), "{error}");
    let end = OffsetOf::End(Isolation::ReadUncommitted);
    assert_eq!(job.client.offset("counts", 0, end), Ok(Some(0)));
}
