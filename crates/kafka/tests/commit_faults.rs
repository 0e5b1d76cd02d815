//! A transaction cannot be committed, as the connection breaks or it takes too long. These tests need the
//! embedded broker: they put a proxy in front of it, and count on it to abort a transaction as soon as it may.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::time::Duration;

use common::count::{Counting, check_counts, write_words};
use common::eventually;
use common::proxy::{Fault, Proxy};
use thalweg_dataflow::Output;
use thalweg_dataflow::barrier::Barrier;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::graph::StreamGraph;
use thalweg_dataflow::operator::Operator;
use thalweg_dataflow::record::Batch;
use thalweg_dataflow::runtime::{run, start};
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
