//! Positions that do not fit the log any more: topics made anew, records that were deleted before they were read, bounds that
//! the log has not reached yet, and partitions that are not seen at one restart.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use thalweg_broker::{Broker, BrokerConfig, GroupOffset, LocalRecord, ProducerOptions, Record};
use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::error::{BoxError, JobError};
use thalweg_dataflow::graph::StreamGraph;
use thalweg_dataflow::runtime::{CheckpointConfig, JobConfig, RestartStrategy, run, start};
use thalweg_dataflow::watermark::WatermarkStrategy;
use thalweg_embedded::{
    BadRecordPolicy, BrokerSource, BrokerSourceBuilder, OffsetResetStrategy, OffsetsInitializer,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// A broker with a topic `t`, and a job that reads from it.
struct Job {
    broker: Broker,
    folder: TempDir,
    read: Arc<Mutex<Vec<u32>>>,
}

impl Job {
    fn new(partitions: i32) -> Self {
        let broker = Broker::start(BrokerConfig::default()).unwrap();
        broker.create_topic("t", partitions).unwrap();
        Self { broker, folder: tempfile::tempdir().unwrap(), read: Arc::default() }
    }

    /// Writes numbers to a partition, each twice as long apart as it is long: in batches of ten.
    fn write(&self, partition: i32, numbers: Range<u32>) {
        let mut producer = self.broker.client().producer(ProducerOptions::default()).unwrap();
        for n in numbers {
            producer.send(LocalRecord::to("t").partition(partition).value(n.to_string().as_bytes())).unwrap();
            if n % 10 == 9 {
                producer.flush().unwrap();
            }
        }
        producer.flush().unwrap();
    }

    fn make_anew(&self, partitions: i32) {
        self.broker.delete_topic("t").unwrap();
        self.broker.create_topic("t", partitions).unwrap();
    }

    fn source(&self) -> BrokerSourceBuilder {
        BrokerSource::builder(self.broker.client()).set_topics(["t"])
    }

    fn bounded(&self) -> BrokerSourceBuilder {
        self.source().set_bounded(OffsetsInitializer::Latest)
    }

    fn graph(&self, builder: BrokerSourceBuilder) -> StreamGraph {
        let (graph, read) = (StreamGraph::new(), Arc::clone(&self.read));
        let number = |record: &Record<'_>| -> Result<u32, BoxError> {
            Ok(std::str::from_utf8(record.value.unwrap_or_default())?.parse()?)
        };
        let source = builder.build(number).unwrap();
        let _ = graph
            .source("t", source, WatermarkStrategy::no_watermarks())
            .uid("source")
            .map("read", move |value| read.lock().unwrap().push(value))
            .uid("read");
        graph
    }

    fn config(&self) -> JobConfig {
        let storage = CheckpointStorage::local(self.folder.path()).unwrap();
        JobConfig {
            parallelism: 2,
            checkpoint: Some(CheckpointConfig::new(Duration::from_millis(10), storage)),
            restart: Some(RestartStrategy::None),
            ..JobConfig::new("job")
        }
    }

    /// Runs a bounded job. What it read, sorted.
    fn read_on(&self, builder: BrokerSourceBuilder) -> Result<Vec<u32>, JobError> {
        self.read.lock().unwrap().clear();
        run(&self.graph(builder), self.config()).map(|_| self.read())
    }

    fn read(&self) -> Vec<u32> {
        let mut read = self.read.lock().unwrap().clone();
        read.sort_unstable();
        read
    }

    fn wait_for(&self, is_so: impl Fn(&[u32]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(&self.read()) {
            assert!(Instant::now() < deadline, "{:?}", self.read());
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn a_topic_that_was_made_anew_while_the_job_was_down_is_an_error_or_read_anew() {
    // Fewer records than had been read, and more.
    for records in [5, 20] {
        let job = Job::new(1);
        job.write(0, 0..10);
        assert_eq!(job.read_on(job.bounded()).unwrap().len(), 10);
        job.make_anew(1);
        job.write(0, 100..100 + records);
        let error = job.read_on(job.bounded()).unwrap_err();
        assert!(error.is_fatal() && error.to_string().contains("'t' was made anew"), "{error}");
        let earliest = job.bounded().set_offset_reset_strategy(OffsetResetStrategy::Earliest);
        assert!(job.read_on(earliest).unwrap().into_iter().eq(100..100 + records));
        job.write(0, 200..201);
        assert_eq!(job.read_on(job.bounded()).unwrap(), [200]);
    }
}

#[test]
fn a_topic_that_is_made_anew_while_the_job_runs_is_an_error_or_read_anew() {
    for strategy in [OffsetResetStrategy::None, OffsetResetStrategy::Earliest] {
        let job = Job::new(2);
        job.write(0, 0..10);
        let source = job.source().set_offset_reset_strategy(strategy);
        let running = start(&job.graph(source), job.config()).unwrap();
        job.wait_for(|read| read.len() == 10);
        job.make_anew(1);
        job.write(0, 100..120);
        if strategy == OffsetResetStrategy::None {
            let error = running.wait().unwrap_err().to_string();
            assert!(error.contains("made anew") || error.contains("no topic"), "{error}");
            assert_eq!(job.read().len(), 10, "nothing is read of the new one");
            continue;
        }
        job.wait_for(|read| read.len() == 30);
        running.suspend();
        running.wait().unwrap();
        job.write(0, 200..201);
        assert_eq!(job.read_on(job.bounded()).unwrap(), [200]);
    }
}

#[test]
fn a_topic_that_is_deleted_while_the_job_runs_is_an_error() {
    let job = Job::new(1);
    job.write(0, 0..10);
    let running = start(&job.graph(job.source()), job.config()).unwrap();
    job.wait_for(|read| read.len() == 10);
    job.broker.delete_topic("t").unwrap();
    let error = running.wait().unwrap_err().to_string();
    assert!(error.contains("no topic 't'"), "{error}");
}

#[test]
fn records_that_were_deleted_before_they_were_read_are_an_error_or_left_out() {
    let job = Job::new(1);
    job.write(0, 0..5);
    assert_eq!(job.read_on(job.bounded()).unwrap().len(), 5);
    job.write(0, 5..10);
    job.broker.client().delete_records("t", 0, 8).unwrap();
    let error = job.read_on(job.bounded()).unwrap_err().to_string();
    assert!(error.contains("offset 5 of t-0") && error.contains("begins at 8"), "{error}");
    assert_eq!(job.read_on(job.bounded().set_fail_on_data_loss(false)).unwrap(), [8, 9]);
}

#[test]
fn an_offset_of_the_group_that_is_not_in_the_log_falls_back_as_one_that_was_not_committed() {
    let job = Job::new(1);
    job.write(0, 0..10);
    let offset = |offset| GroupOffset { topic: "t".into(), partition: 0, offset, metadata: String::new() };
    let read = |fallback| {
        job.read.lock().unwrap().clear();
        let source =
            job.bounded().set_group_id("g").set_starting_offsets(OffsetsInitializer::Committed(fallback));
        run(&job.graph(source), JobConfig { checkpoint: None, ..job.config() }).map(|_| job.read())
    };
    let error = read(OffsetResetStrategy::None).unwrap_err().to_string();
    assert!(error.contains("group 'g' has committed no offset for t-0"), "{error}");
    job.broker.client().delete_records("t", 0, 8).unwrap();
    for (committed, part) in [(5, "begins at 8"), (100, "beyond the end")] {
        job.broker.client().commit("g", &[offset(committed)]).unwrap();
        let error = read(OffsetResetStrategy::None).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
        assert_eq!(read(OffsetResetStrategy::Earliest).unwrap(), [8, 9]);
        job.broker.client().commit("g", &[offset(committed)]).unwrap();
        assert!(read(OffsetResetStrategy::Latest).unwrap().is_empty());
    }
}

#[test]
fn a_bound_within_a_batch_or_beyond_the_log_is_where_the_source_ends() {
    let job = Job::new(1);
    job.write(0, 0..10);
    let at = |offset| job.source().set_bounded(OffsetsInitializer::offsets([(("t", 0), offset)]));
    assert!(job.read_on(at(4)).unwrap().into_iter().eq(0..4));
    job.read.lock().unwrap().clear();
    let running = start(&job.graph(at(100)), job.config()).unwrap();
    job.wait_for(|read| read.len() == 6);
    job.write(0, 10..60);
    job.wait_for(|read| read.len() == 56);
    job.write(0, 60..110);
    running.wait().unwrap();
    assert!(job.read().into_iter().eq(4..100));
    assert!(job.read_on(job.bounded()).unwrap().into_iter().eq(100..110));
}

#[test]
fn a_bound_for_some_of_the_partitions_is_refused() {
    let job = Job::new(3);
    let some = OffsetsInitializer::offsets([(("t", 0), 1), (("t", 2), 1)]);
    let error = job.read_on(job.source().set_bounded(some)).unwrap_err();
    assert!(error.is_fatal() && error.to_string().contains("set_bounded leaves out t-1"), "{error}");
}

#[test]
fn positions_of_partitions_that_are_not_seen_are_carried_on() {
    let job = Job::new(1);
    job.broker.create_topic("other", 1).unwrap();
    job.write(0, 0..10);
    let both = || job.bounded().set_topics(["t", "other"]);
    assert_eq!(job.read_on(both()).unwrap().len(), 10);
    assert!(job.read_on(job.bounded().set_topics(["other"])).unwrap().is_empty());
    job.write(0, 10..12);
    assert_eq!(job.read_on(both()).unwrap(), [10, 11]);
}

#[test]
fn bad_records_are_treated_by_the_policy() {
    let job = Job::new(1);
    job.write(0, 0..2);
    let mut producer = job.broker.client().producer(ProducerOptions::default()).unwrap();
    producer.send(LocalRecord::to("t").partition(0).value(b"two")).unwrap();
    producer.flush().unwrap();
    job.write(0, 3..4);
    let error = job.read_on(job.bounded()).unwrap_err();
    assert!(error.is_fatal() && error.to_string().contains("offset 2 of t-0"), "{error}");
    let skipping = job.bounded().set_bad_record_policy(BadRecordPolicy::Skip);
    let result = run(&job.graph(skipping), job.config()).unwrap();
    assert_eq!(result.metrics.sum("t", |metrics| metrics.bad_records.get()), 1);
    assert!(job.read().ends_with(&[0, 1, 3]));
}
