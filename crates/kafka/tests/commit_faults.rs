//! The connection breaks while a transaction is committed. These tests need the embedded broker: they put a proxy in front of it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::count::{Counting, check_counts, write_words};
use common::eventually;
use common::proxy::{Fault, Proxy};
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
    let expected = if fault == Fault::Cut { notified } else { notified + 1 };
    assert_eq!(marker, expected);
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
