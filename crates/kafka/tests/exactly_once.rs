//! Kafka to Kafka, exactly once: through crashes, restores at other parallelisms, a second instance, and idle times.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::count::{Counting, check_counts, write_more_words, write_words};
use common::{Cluster, eventually, unique};
use thalweg_dataflow::Output;
use thalweg_dataflow::barrier::Epoch;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::graph::StreamGraph;
use thalweg_dataflow::operator::Operator;
use thalweg_dataflow::record::Batch;
use thalweg_dataflow::runtime::{JobConfig, RestartStrategy, run, start};
use thalweg_dataflow::sink::Sink;
use thalweg_dataflow::source::CollectionSource;
use thalweg_dataflow::watermark::WatermarkStrategy;
use thalweg_kafka::record::values;
use thalweg_kafka::{DeliveryGuarantee, KafkaSink};
use thalweg_testkit::CrashPoint;

#[test]
fn a_keyed_count_survives_crashes_and_restores_at_other_parallelisms() {
    let cluster = Cluster::start();
    for parallelisms in [[1, 2, 4], [4, 1, 2]] {
        let job = Counting::new(&cluster);
        write_words(&cluster, &job.input, 40_000);
        for (index, parallelism) in parallelisms.into_iter().enumerate() {
            let last = index + 1 == parallelisms.len();
            let crash = if last { CrashPoint::never() } else { CrashPoint::after(2, 2000) };
            let result = run(&job.graph(&cluster, &crash), job.config(parallelism));
            match result {
                Ok(_) if last => {}
                Err(error) if error.to_string().contains("a crash, as asked for") => {}
                other => panic!("run {index}: {other:?}"),
            }
        }
        check_counts(&cluster, &job.output, 40_000);
    }
}

#[test]
fn a_restart_in_the_same_process_loses_and_doubles_nothing() {
    let cluster = Cluster::start();
    let job = Counting::new(&cluster);
    write_words(&cluster, &job.input, 40_000);
    let crash = CrashPoint::after(3, 1000);
    let restart = RestartStrategy::FixedDelay { attempts: 1, delay: Duration::ZERO };
    let result =
        run(&job.graph(&cluster, &crash), JobConfig { restart: Some(restart), ..job.config(2) }).unwrap();
    assert_eq!(result.restarts, 1);
    check_counts(&cluster, &job.output, 40_000);
}

#[test]
fn a_job_whose_marker_is_lost_does_not_begin_anew_by_itself() {
    let cluster = Cluster::start();
    let mut job = Counting::new(&cluster);
    write_words(&cluster, &job.input, 40_000);
    run(&job.graph(&cluster, &CrashPoint::after(2, 1000)), job.config(1)).unwrap_err();
    // The marker is kept with the topic that is written to.
    job.output = cluster.topic("elsewhere", 2);
    let error = run(&job.graph(&cluster, &CrashPoint::never()), job.config(1)).unwrap_err().to_string();
    assert!(error.contains("marker is lost") && error.contains("RestoreFrom::Epoch("), "{error}");
    assert!(cluster.values(&job.output).is_empty());
}

#[test]
fn source_offsets_ride_in_the_transaction() {
    let cluster = Cluster::start();
    let job = Counting::new(&cluster);
    write_words(&cluster, &job.input, 4_000);
    run(&job.graph(&cluster, &CrashPoint::never()), job.config(2)).unwrap();
    // Known when the job has ended: no commit of the source's own is under way.
    let committed = (0..4).map(|partition| cluster.committed(&job.id, &job.input, partition).unwrap());
    assert_eq!(committed.sum::<i64>(), 4_000);
}

#[test]
fn the_older_of_two_instances_is_fenced_and_says_so() {
    let cluster = Cluster::start();
    let job = Counting::new(&cluster);
    write_words(&cluster, &job.input, 40_000);
    let older = start(&job.unbounded_graph(&cluster), job.config(2)).unwrap();
    eventually("a few commits", || older.progress().committed_epoch >= 3);
    // Restarts are allowed, and must not happen: they would fence the younger one.
    let restart = Some(RestartStrategy::FixedDelay { attempts: 9, delay: Duration::ZERO });
    let younger = run(&job.graph(&cluster, &CrashPoint::never()), JobConfig { restart, ..job.config(2) });
    // The older one finds out when it writes, and may have been through with what there was.
    write_more_words(&cluster, &job.input, 40_000..42_000);
    let error = older.wait().unwrap_err();
    assert!(error.is_fatal() && error.to_string().contains("took over"), "{error}");
    assert_eq!(younger.unwrap().restarts, 0);
    check_counts(&cluster, &job.output, 40_000);
}

#[test]
fn a_fenced_job_that_still_owns_its_checkpoints_takes_its_place_back() {
    let cluster = Cluster::start();
    let job = Counting::new(&cluster);
    write_words(&cluster, &job.input, 20_000);
    // Whatever the restart strategy: nothing has failed.
    let config = JobConfig { restart: Some(RestartStrategy::None), ..job.config(2) };
    let running = start(&job.unbounded_graph(&cluster), config).unwrap();
    eventually("a commit", || running.progress().committed_epoch >= 1);
    let other = cluster.producer(&[("transactional.id", &job.id)]);
    rdkafka::producer::Producer::init_transactions(&other, common::PATIENCE).unwrap();
    // It finds out when it writes, so it gets something to write: it may have been through with all of it.
    write_more_words(&cluster, &job.input, 20_000..40_000);
    eventually("its place back", || running.progress().restarts >= 1);
    let committed = running.progress().committed_epoch;
    eventually("a commit", || running.progress().committed_epoch > committed);
    running.suspend();
    running.wait().unwrap();
    run(&job.graph(&cluster, &CrashPoint::never()), job.config(1)).unwrap();
    check_counts(&cluster, &job.output, 40_000);
}

#[test]
fn of_instances_that_start_at_once_exactly_one_survives() {
    let cluster = Cluster::start();
    for _ in 0..5 {
        let job = Counting::new(&cluster);
        write_words(&cluster, &job.input, 2_000);
        let started: Vec<_> =
            (0..3).map(|_| start(&job.unbounded_graph(&cluster), job.config(1)).unwrap()).collect();
        // Who has written all before another begins, finds out when there is more to write.
        let mut words = 2_000;
        eventually("two have given way", || {
            write_more_words(&cluster, &job.input, words..words + 1_000);
            words += 1_000;
            started.iter().filter(|job| job.is_finished()).count() >= 2
        });
        let Some(survivor) = started.iter().position(|job| !job.is_finished()) else {
            let ends = started.into_iter().map(|job| job.wait().map(|result| result.epoch));
            panic!("none survives: {:?}", ends.collect::<Vec<_>>());
        };
        eventually("it commits", || started[survivor].progress().committed_epoch >= 2);
        started[survivor].suspend();
        let errors = started.into_iter().filter_map(|job| job.wait().err()).collect::<Vec<_>>();
        assert_eq!(errors.len(), 2, "{errors:?}");
        for error in errors {
            assert!(error.is_fatal() && error.to_string().contains("another instance of the job"), "{error}");
        }
        run(&job.graph(&cluster, &CrashPoint::never()), job.config(1)).unwrap();
        check_counts(&cluster, &job.output, words);
    }
}

#[test]
fn the_marker_is_that_of_the_last_epoch_when_an_idle_job_ends() {
    let cluster = Cluster::start();
    let job = Counting::new(&cluster);
    let running = start(&job.unbounded_graph(&cluster), job.config(1)).unwrap();
    let marker = || cluster.committed(&format!("{}-thalweg", job.id), &job.output, 0).unwrap_or(0);
    eventually("idle epochs", || running.progress().committed_epoch >= 5);
    // Of which only the first has cost a transaction: it says where the job began.
    assert!(marker() <= 1, "epoch {} was committed", marker());
    running.suspend();
    let epoch = running.wait().unwrap().epoch;
    assert_eq!(marker(), epoch as i64);
    // It goes on from there.
    write_words(&cluster, &job.input, 1_000);
    let result = run(&job.graph(&cluster, &CrashPoint::never()), job.config(2)).unwrap();
    assert!(result.epoch > epoch);
    check_counts(&cluster, &job.output, 1_000);
}

/// Fails once, when it is told that an epoch has been committed: the commit counts, and not everybody knows of it.
#[derive(Clone)]
struct FailsAfterCommit(Arc<AtomicU64>);

impl Operator for FailsAfterCommit {
    type In = String;
    type Out = String;

    fn process(&mut self, batch: &mut Batch<String>, output: &mut Output<String>) -> Result<(), BoxError> {
        output.push_batch(&mut batch.records);
        Ok(())
    }

    fn committed(&mut self, epoch: Epoch) -> Result<(), BoxError> {
        let fails = self.0.fetch_add(1, Ordering::SeqCst) == 2;
        if fails { Err(format!("failed after commit {epoch}").into()) } else { Ok(()) }
    }
}

#[test]
fn a_crash_right_after_a_commit_repeats_nothing() {
    let cluster = Cluster::start();
    let job = Counting::new(&cluster);
    write_words(&cluster, &job.input, 20_000);
    let count = Arc::new(AtomicU64::new(0));
    let graph = || {
        let graph = StreamGraph::new();
        job.count(&job.source(&cluster, &graph).apply("fails", FailsAfterCommit(count.clone())), &cluster);
        graph
    };
    let error = run(&graph(), job.config(2)).unwrap_err().to_string();
    assert!(error.contains("failed after commit"), "{error}");
    run(&graph(), job.config(1)).unwrap();
    check_counts(&cluster, &job.output, 20_000);
}

#[test]
fn two_sinks_commit_as_one_and_must_agree() {
    let cluster = Cluster::start();
    let (first, second) = (cluster.topic("first", 2), cluster.topic("second", 1));
    let sink = |topic: &str, linger: &str| {
        KafkaSink::builder(&cluster.bootstrap)
            .set_topic(topic)
            .set_delivery_guarantee(DeliveryGuarantee::ExactlyOnce)
            .set_property("linger.ms", linger)
            .set_serializer(values::<String>())
            .build()
            .unwrap()
    };
    let job = Counting::new(&cluster);
    let expected: Vec<String> = (0..40_000).map(|n| format!("{n:05}")).collect();
    for (partition, values) in (0..).zip(expected.chunks(10_000)) {
        cluster.write(&job.input, partition, values);
    }
    let graph = |crash: &CrashPoint, linger: &str| {
        let graph = StreamGraph::new();
        let lines = crash.on(&job.source(&cluster, &graph));
        let _ = sink(&first, "5").add_to(&lines);
        let _ = sink(&second, linger).add_to(&lines);
        graph
    };
    let error = run(&graph(&CrashPoint::never(), "6"), job.config(2)).unwrap_err().to_string();
    assert!(error.contains("they share one producer"), "{error}");
    let error = run(&graph(&CrashPoint::after(3, 3000), "5"), job.config(2)).unwrap_err().to_string();
    assert!(error.contains("a crash, as asked for"), "{error}");
    // What is visible of one is visible of the other.
    let visible = cluster.values(&first);
    assert!(!visible.is_empty() && visible == cluster.values(&second));
    run(&graph(&CrashPoint::never(), "5"), job.config(1)).unwrap();
    assert!(cluster.values(&first) == expected && cluster.values(&second) == expected);
}

#[test]
fn a_transaction_that_cannot_last_is_refused_at_the_start() {
    let cluster = Cluster::start();
    let graph = |timeout: &str| {
        let graph = StreamGraph::new();
        let sink = KafkaSink::builder(&cluster.bootstrap)
            .set_topic(cluster.topic("refused", 1))
            .set_delivery_guarantee(DeliveryGuarantee::ExactlyOnce)
            .set_property("transaction.timeout.ms", timeout)
            .set_serializer(values::<String>());
        let source = CollectionSource::new(vec![unique("a")]);
        let source = graph.source("source", source, WatermarkStrategy::no_watermarks());
        let _ = sink.build().unwrap().add_to(&source);
        graph
    };
    let job = Counting::new(&cluster);
    let mut config = job.config(1);
    config.checkpoint.as_mut().unwrap().interval = Duration::from_secs(30);
    let error = run(&graph("30000"), config.clone()).unwrap_err().to_string();
    assert!(error.contains("checkpoint interval of 30s") && error.contains("= 30000"), "{error}");
    let error = run(&graph("2000000000"), config).unwrap_err().to_string();
    assert!(error.contains("= 2000000000 is longer than the cluster allows"), "{error}");
}
