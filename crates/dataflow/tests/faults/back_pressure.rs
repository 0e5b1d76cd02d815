//! A sink that is slower than the source: what is in flight stays bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::graph::StreamGraph;
use thalweg_dataflow::record::BATCH_SIZE;
use thalweg_dataflow::runtime::{CheckpointConfig, JobConfig, run, start};
use thalweg_dataflow::watermark::WatermarkStrategy;

use crate::faucet::Faucet;

#[test]
fn a_source_does_not_run_ahead_of_a_slow_sink_by_more_than_the_edge_holds() {
    const NUMBERS: u64 = 40_000;
    const CAPACITY: usize = 4;
    let (graph, faucet) = (StreamGraph::new(), Faucet::new(NUMBERS));
    faucet.open();
    let numbers = graph.source("numbers", faucet.clone(), WatermarkStrategy::no_watermarks());
    let (written, furthest) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (count, ahead) = (written.clone(), furthest.clone());
    let _ = numbers.rebalance().map("sink", move |_| {
        let written = count.fetch_add(1, Ordering::SeqCst);
        ahead.fetch_max(faucet.read() - written, Ordering::SeqCst);
        if written % 100 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let config = JobConfig { parallelism: 1, channel_capacity: CAPACITY, ..JobConfig::new("job") };
    let result = run(&graph, config).unwrap();
    assert_eq!(written.load(Ordering::SeqCst), NUMBERS);
    // What is queued, what the sink works on, and what the source waits with.
    let bound = (CAPACITY + 3) * BATCH_SIZE;
    let furthest = furthest.load(Ordering::SeqCst);
    assert!(furthest > BATCH_SIZE as u64 && furthest <= bound as u64, "{furthest} in flight of {bound}");
    let source = result.metrics.tasks.iter().find(|(operator, _)| &*operator.name == "numbers").unwrap();
    let waited = source.1.back_pressured_micros.get();
    // The sink slept for 400 ms, and the source had nothing else to do.
    let total = source.1.total_micros.get();
    assert!(waited > 200_000 && waited + source.1.busy_micros() <= total, "{waited} of {:?}", source.1);
}

/// A barrier waits for what is under way before it: for some time, and not for so many records.
#[test]
fn a_barrier_overtakes_a_backlog_of_slow_records_in_time() {
    let (graph, faucet) = (StreamGraph::new(), Faucet::new(1_000_000));
    faucet.open();
    let numbers = graph.source("numbers", faucet, WatermarkStrategy::no_watermarks());
    let _ = numbers.rebalance().map("slow", |_| std::thread::sleep(Duration::from_millis(1)));
    let folder = tempfile::tempdir().unwrap();
    let storage = CheckpointStorage::local(folder.path()).unwrap();
    let checkpoint = Some(CheckpointConfig::new(Duration::from_millis(100), storage));
    let job = start(&graph, JobConfig { parallelism: 1, checkpoint, ..JobConfig::new("job") }).unwrap();
    std::thread::sleep(Duration::from_secs(4));
    let epochs = job.progress().committed_epoch;
    job.cancel();
    let _ = job.wait();
    // Sixteen batches of a thousand records would take sixteen seconds. Two hundred milliseconds of work are queued at the most, but
    // for the time in which nobody knew yet how slow it is.
    assert!(epochs >= 3, "{epochs} epochs");
}
