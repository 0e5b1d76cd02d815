//! A transaction cannot be committed, as the connection breaks or it takes too long. These tests need the
//! embedded broker: they put a proxy in front of it, and count on it to abort a transaction as soon as it may.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::time::{Duration, Instant};

use common::count::{Counting, check_counts, write_words};
use common::eventually;
use common::proxy::{Fault, Holder, Proxy};
use thalweg_dataflow::Output;
use thalweg_dataflow::barrier::Barrier;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::graph::StreamGraph;
use thalweg_dataflow::operator::Operator;
use thalweg_dataflow::record::Batch;
use thalweg_dataflow::runtime::{run, start};
use thalweg_dataflow::sink::Sink;
use thalweg_kafka::record::values;
use thalweg_kafka::{DeliveryGuarantee, KafkaSink};
use thalweg_testkit::CrashPoint;

#[test]
fn a_commit_whose_answer_is_lost_is_repeated() {
    let (proxy, cluster) = Proxy::start();
    let job = Counting::new(&cluster);
    write_words(&cluster, &job.input, 40_000);
    let running = start(&job.graph(&cluster, &CrashPoint::never()), job.config(2)).unwrap();
    eventually("a commit", || running.progress().committed_epoch >= 2);
    proxy.inject(Fault::LoseAnswer);
    eventually("the fault", || proxy.is_done());
    let result = running.wait().unwrap();
    assert_eq!(result.restarts, 0);
    check_counts(&cluster, &job.output, 40_000);
}

/// The job fails at a commit, and another process goes on where that left it.
fn fails_at_a_commit(fault: Fault) {
    let (proxy, cluster) = Proxy::start();
    let mut job = Counting::new(&cluster);
    job.properties = vec![("default.api.timeout.ms", "1500"), ("transaction.timeout.ms", "1500")];
    write_words(&cluster, &job.input, 40_000);
    let running = start(&job.graph(&cluster, &CrashPoint::never()), job.config(2)).unwrap();
    eventually("a commit", || running.progress().committed_epoch >= 2);
    proxy.inject(fault);
    eventually("the fault", || proxy.is_done());
    let notified = running.progress().committed_epoch;
    let error = running.wait().unwrap_err();
    assert!(!error.is_fatal(), "a restart may well help: {error}");
    assert!(error.to_string().contains("no answer from Kafka"), "{error}");
    proxy.heal();
    let marker = cluster.committed(&format!("{}-thalweg", job.id), &job.output, 0).unwrap() as u64;
    match fault {
        // The last epochs before it may have had nothing to commit.
        Fault::Cut => assert!(marker <= notified, "epoch {marker} was committed after {notified}"),
        _ => assert_eq!(marker, notified + 1),
    }
    run(&job.graph(&cluster, &CrashPoint::never()), job.config(1)).unwrap();
    check_counts(&cluster, &job.output, 40_000);
}

#[test]
fn a_crash_before_the_commit_arrives_replays_the_epoch() {
    fails_at_a_commit(Fault::Cut);
}

#[test]
fn a_crash_after_the_commit_arrived_does_not() {
    fails_at_a_commit(Fault::CommitAndCut);
}

/// Holds the third checkpoint up, if it `is_slow`.
#[derive(Clone)]
struct SlowBarrier {
    is_slow: bool,
}

impl Operator for SlowBarrier {
    type In = String;
    type Out = String;

    fn process(&mut self, batch: &mut Batch<String>, output: &mut Output<String>) -> Result<(), BoxError> {
        output.push_batch(&mut batch.records);
        Ok(())
    }

    fn barrier(&mut self, barrier: &Barrier, _: &mut Output<String>) -> Result<(), BoxError> {
        if self.is_slow && barrier.epoch == 3 {
            std::thread::sleep(Duration::from_millis(2500));
        }
        Ok(())
    }
}

#[test]
fn a_checkpoint_that_takes_longer_than_a_transaction_may_says_so() {
    let (_proxy, cluster) = Proxy::start();
    let graph = |job: &Counting, is_slow| {
        let graph = StreamGraph::new();
        job.count(&job.source(&cluster, &graph).apply("slow", SlowBarrier { is_slow }), &cluster);
        graph
    };
    let attempt = || {
        let mut job = Counting::new(&cluster);
        job.properties.push(("transaction.timeout.ms", "1000"));
        write_words(&cluster, &job.input, 20_000);
        let error = run(&graph(&job, true), job.config(2)).err()?;
        Some((job, error))
    };
    // If none of the epoch's records has been sent when it is held up, there is no transaction that could take too long.
    let (job, error) = (0..10).find_map(|_| attempt()).expect("a transaction that takes too long");
    // The broker does not tell a timeout from a younger instance; the checkpoint store does, before a restart fences anybody.
    assert!(!error.is_fatal(), "{error}");
    for part in ["transaction.timeout.ms = 1000", "the process was paused, or checkpoints took too long"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    run(&graph(&job, false), job.config(1)).unwrap();
    check_counts(&cluster, &job.output, 20_000);
}

/// Fails while the broker does not answer, with one part of a transaction written and another on its way.
#[derive(Clone)]
struct FailsWhileBusy {
    holder: Holder,
    /// The records of the open transaction began to come then.
    since: Option<Instant>,
}

impl Operator for FailsWhileBusy {
    type In = String;
    type Out = String;

    fn process(&mut self, batch: &mut Batch<String>, output: &mut Output<String>) -> Result<(), BoxError> {
        if self.holder.holds() {
            // What came before is with the client now, and on its way.
            std::thread::sleep(Duration::from_millis(100));
            return Err("a failure, as asked for by the test".into());
        }
        if self.since.get_or_insert_with(Instant::now).elapsed() > Duration::from_millis(200) {
            self.holder.hold(Duration::from_secs(3));
        }
        output.push_batch(&mut batch.records);
        Ok(())
    }

    fn barrier(&mut self, _: &Barrier, _: &mut Output<String>) -> Result<(), BoxError> {
        self.since = None;
        Ok(())
    }
}

/// Else readers of what is committed would have to wait until it times out, a minute by default.
#[test]
fn a_transaction_is_given_up_also_when_the_broker_is_busy() {
    let (proxy, cluster) = Proxy::start();
    let job = Counting::new(&cluster);
    write_words(&cluster, &job.input, 40_000);
    let graph = StreamGraph::new();
    let words =
        job.source(&cluster, &graph).apply("fails", FailsWhileBusy { holder: proxy.holder(), since: None });
    let sink = KafkaSink::builder(&cluster.bootstrap)
        .set_topic(&job.output)
        .set_delivery_guarantee(DeliveryGuarantee::ExactlyOnce)
        .set_serializer(values::<String>());
    let _ = sink.build().unwrap().add_to(&words);
    let mut config = job.config(1);
    config.checkpoint.as_mut().unwrap().interval = Duration::from_millis(500);
    let error = run(&graph, config).unwrap_err();
    assert!(error.to_string().contains("as asked for"), "{error}");
    eventually("the broker to be there again", || !proxy.holder().holds());
    let before = Instant::now();
    cluster.read(&job.output);
    assert!(before.elapsed() < Duration::from_secs(20), "readers waited for {:?}", before.elapsed());
}
