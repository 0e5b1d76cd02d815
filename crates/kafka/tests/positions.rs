//! Positions that do not fit the log any more: topics made anew, records that were deleted before they were read, bounds that
//! the log has not reached yet, and partitions that are not seen at one restart.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::Path;
use std::time::Duration;

use common::{Cluster, Log, eventually, flush, unique, write};
use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::error::JobError;
use thalweg_dataflow::graph::StreamGraph;
use thalweg_dataflow::runtime::{CheckpointConfig, JobConfig, RestartStrategy, run, start};
use thalweg_dataflow::watermark::WatermarkStrategy;
use thalweg_kafka::record::values;
use thalweg_kafka::{
    KafkaSource, KafkaSourceBuilder, OffsetResetStrategy, OffsetsInitializer, TopicPartition,
};

fn source(cluster: &Cluster) -> KafkaSourceBuilder<()> {
    KafkaSource::builder(&cluster.bootstrap).set_property("default.api.timeout.ms", "10000")
}

fn graph(builder: KafkaSourceBuilder<()>, read: &Log<String>) -> StreamGraph {
    let (graph, read) = (StreamGraph::new(), read.clone());
    let source = builder.set_deserializer(values::<String>()).build().unwrap();
    let _ = graph
        .source("kafka", source, WatermarkStrategy::no_watermarks())
        .uid("kafka")
        .map("read", move |value| read.push(value))
        .uid("read");
    graph
}

fn config(folder: &Path, parallelism: usize) -> JobConfig {
    let storage = CheckpointStorage::local(folder).unwrap();
    JobConfig {
        parallelism,
        checkpoint: Some(CheckpointConfig::new(Duration::from_millis(10), storage)),
        restart: Some(RestartStrategy::None),
        ..JobConfig::new("positions")
    }
}

/// Runs a bounded job with the checkpoints in a folder. What it read, sorted.
fn read_on(folder: &Path, builder: KafkaSourceBuilder<()>) -> Result<Vec<String>, JobError> {
    let read = Log::default();
    run(&graph(builder, &read), config(folder, 2)).map(|_| read.sorted())
}

fn numbers(range: std::ops::Range<u32>) -> impl Iterator<Item = String> {
    range.map(|n| format!("{n:06}"))
}

#[test]
fn a_topic_that_was_made_anew_while_the_job_was_down_is_an_error_or_read_anew() {
    let cluster = Cluster::start();
    // Fewer records than had been read, and more.
    for records in [5, 20] {
        let topic = cluster.topic("anew", 1);
        let bounded = || source(&cluster).set_topics([&topic]).set_bounded(OffsetsInitializer::latest());
        cluster.write(&topic, 0, numbers(0..10));
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read_on(folder.path(), bounded()).unwrap().len(), 10);
        cluster.make_anew(&topic, 1);
        cluster.write(&topic, 0, numbers(100..100 + records));
        let error = read_on(folder.path(), bounded()).unwrap_err();
        assert!(error.is_fatal(), "{error}");
        let error = error.to_string();
        assert!(error.contains("made anew") && error.contains(&topic), "{error}");
        assert!(error.contains("set_offset_reset_strategy"), "{error}");
        let earliest = bounded().set_offset_reset_strategy(OffsetResetStrategy::Earliest);
        assert!(read_on(folder.path(), earliest).unwrap().into_iter().eq(numbers(100..100 + records)));
        // From now on it is the new topic's position that is kept.
        cluster.write(&topic, 0, ["after"]);
        assert_eq!(read_on(folder.path(), bounded()).unwrap(), ["after"]);
    }
}

#[test]
fn a_bound_that_the_log_has_not_reached_is_waited_for() {
    let cluster = Cluster::start();
    let topic = cluster.topic("bound", 1);
    cluster.write(&topic, 0, numbers(0..10));
    let at = |offset| OffsetsInitializer::offsets([(TopicPartition::new(&topic, 0), offset)]);
    let folder = tempfile::tempdir().unwrap();
    let read = Log::default();
    let bounded = source(&cluster).set_topics([&topic]).set_bounded(at(100));
    let job = start(&graph(bounded, &read), config(folder.path(), 1)).unwrap();
    eventually("what is there", || read.len() == 10);
    // Long enough for the client to say that it has reached the end.
    std::thread::sleep(Duration::from_millis(700));
    cluster.write(&topic, 0, numbers(10..60));
    eventually("what has come", || read.len() == 60);
    cluster.write(&topic, 0, numbers(60..110));
    job.wait().unwrap();
    assert!(read.sorted().into_iter().eq(numbers(0..100)));
    let rest = source(&cluster).set_topics([&topic]).set_bounded(OffsetsInitializer::latest());
    assert!(read_on(folder.path(), rest).unwrap().into_iter().eq(numbers(100..110)));
}

#[test]
fn a_bound_for_some_of_the_partitions_is_refused() {
    let cluster = Cluster::start();
    let topic = cluster.topic("some", 3);
    let some =
        OffsetsInitializer::offsets([0, 2].map(|partition| (TopicPartition::new(&topic, partition), 1)));
    let folder = tempfile::tempdir().unwrap();
    let error = read_on(folder.path(), source(&cluster).set_topics([&topic]).set_bounded(some)).unwrap_err();
    let text = error.to_string();
    assert!(
        error.is_fatal() && text.contains(&format!("{topic}-1")) && text.contains("set_bounded"),
        "{text}"
    );
}

#[test]
fn positions_of_partitions_that_are_not_seen_are_carried_on() {
    let cluster = Cluster::start();
    let topic = cluster.topic("carried", 2);
    (0..2).for_each(|partition| cluster.write(&topic, partition, numbers(0..10)));
    let folder = tempfile::tempdir().unwrap();
    let of = |partitions: &[i32]| {
        let partitions = partitions.iter().map(|partition| TopicPartition::new(&topic, *partition));
        source(&cluster).set_partitions(partitions).set_bounded(OffsetsInitializer::latest())
    };
    assert_eq!(read_on(folder.path(), of(&[0, 1])).unwrap().len(), 20);
    (0..2).for_each(|partition| cluster.write(&topic, partition, numbers(10..12)));
    assert_eq!(read_on(folder.path(), of(&[0])).unwrap().len(), 2);
    assert!(read_on(folder.path(), of(&[0, 1])).unwrap().into_iter().eq(numbers(10..12)));
}

#[test]
fn records_that_were_deleted_before_they_were_read_are_an_error_also_with_a_checkpoint() {
    let cluster = Cluster::start();
    let topic = cluster.topic("overtaken", 1);
    let bounded = || source(&cluster).set_topics([&topic]).set_bounded(OffsetsInitializer::latest());
    cluster.write(&topic, 0, numbers(0..5));
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(read_on(folder.path(), bounded()).unwrap().len(), 5);
    cluster.write(&topic, 0, numbers(5..10));
    cluster.delete_records(&topic, 0, 8);
    let error = read_on(folder.path(), bounded()).unwrap_err().to_string();
    assert!(error.contains("offset 5") && error.contains("begins at 8"), "{error}");
    assert!(error.contains("set_offset_reset_strategy"), "{error}");
    assert!(
        read_on(folder.path(), bounded().set_fail_on_data_loss(false))
            .unwrap()
            .into_iter()
            .eq(numbers(8..10))
    );
}

#[test]
fn an_offset_of_the_group_that_is_not_in_the_log_falls_back_as_one_that_was_not_committed() {
    let cluster = Cluster::start();
    let (topic, group) = (cluster.topic("fallback", 1), unique("group"));
    let committed = |fallback| {
        source(&cluster)
            .set_topics([&topic])
            .set_group_id(&group)
            .set_starting_offsets(OffsetsInitializer::committed_offsets(fallback))
            .set_bounded(OffsetsInitializer::latest())
    };
    // Without a checkpoint.
    let read = |builder| {
        let read = Log::default();
        run(&graph(builder, &read), JobConfig { checkpoint: None, ..config(Path::new("/"), 1) })
            .map(|_| read.sorted())
    };
    cluster.write(&topic, 0, numbers(0..5));
    assert_eq!(read(committed(OffsetResetStrategy::Earliest)).unwrap().len(), 5);
    eventually("the offset to be committed", || cluster.committed(&group, &topic, 0) == Some(5));
    cluster.write(&topic, 0, numbers(5..10));
    cluster.delete_records(&topic, 0, 8);
    let error = read(committed(OffsetResetStrategy::None)).unwrap_err().to_string();
    assert!(error.contains("offset 5") && error.contains("begins at 8"), "{error}");
    assert_eq!(read(committed(OffsetResetStrategy::Latest)).unwrap(), [""; 0]);
    eventually("the end to be committed", || cluster.committed(&group, &topic, 0) == Some(10));
    // Beyond the end: of a topic that was made anew, as far as the group knows.
    cluster.make_anew(&topic, 1);
    cluster.write(&topic, 0, numbers(0..3));
    let before = cluster.committed(&group, &topic, 0);
    let read = read(committed(OffsetResetStrategy::Earliest)).unwrap();
    assert!(read.into_iter().eq(numbers(0..3)), "committed before: {before:?}");
}

#[test]
fn records_that_are_deleted_while_the_job_runs_are_an_error_or_left_out() {
    let cluster = Cluster::start();
    for strategy in [OffsetResetStrategy::None, OffsetResetStrategy::Earliest] {
        let topic = cluster.topic("deleted", 1);
        cluster.write(&topic, 0, numbers(0..10));
        let (read, folder) = (Log::default(), tempfile::tempdir().unwrap());
        // One record is fetched at a time, and few are read in a second.
        let slow = source(&cluster)
            .set_topics([&topic])
            .set_max_rate_per_partition(20)
            .set_property("queued.min.messages", "1")
            .set_property("fetch.message.max.bytes", "1")
            .set_offset_reset_strategy(strategy);
        let job = start(&graph(slow, &read), config(folder.path(), 1)).unwrap();
        eventually("a record", || read.len() > 0);
        // Each in a batch of its own.
        let producer = cluster.producer(&[("batch.num.messages", "1")]);
        write(&producer, &topic, 0, numbers(10..401));
        flush(&producer);
        cluster.delete_records(&topic, 0, 390);
        if strategy == OffsetResetStrategy::None {
            let error = job.wait().unwrap_err().to_string();
            assert!(error.contains("begins at 390"), "{error}");
        } else {
            eventually("the rest", || read.get().last() == Some(&"000400".to_owned()));
            let read = read.get();
            assert!(read.is_sorted() && read.len() < 400, "{}", read.len());
            assert!(read.ends_with(&numbers(390..401).collect::<Vec<_>>()), "{read:?}");
            job.stop();
            job.wait().unwrap();
        }
    }
}

#[test]
fn a_topic_that_is_made_anew_while_the_job_runs_is_an_error() {
    let cluster = Cluster::start();
    let topic = cluster.topic("running", 1);
    cluster.write(&topic, 0, numbers(0..10));
    let (read, folder) = (Log::default(), tempfile::tempdir().unwrap());
    let job = start(&graph(source(&cluster).set_topics([&topic]), &read), config(folder.path(), 1)).unwrap();
    eventually("what is there", || read.len() == 10);
    cluster.make_anew(&topic, 1);
    cluster.write(&topic, 0, numbers(100..120));
    let error = job.wait().unwrap_err().to_string();
    assert!(error.contains("made anew") || error.contains("no topic"), "{error}");

    let topic = cluster.topic("running", 2);
    cluster.write(&topic, 0, numbers(0..10));
    let (read, folder) = (Log::default(), tempfile::tempdir().unwrap());
    let earliest =
        source(&cluster).set_topics([&topic]).set_offset_reset_strategy(OffsetResetStrategy::Earliest);
    let job = start(&graph(earliest, &read), config(folder.path(), 1)).unwrap();
    eventually("what is there", || read.len() == 10);
    cluster.make_anew(&topic, 1);
    cluster.write(&topic, 0, numbers(100..105));
    eventually("the new topic", || {
        read.sorted().iter().filter(|value| value.as_str() >= "000100").count() == 5
    });
    job.suspend();
    job.wait().unwrap();
    cluster.write(&topic, 0, ["after"]);
    let rest = source(&cluster).set_topics([&topic]).set_bounded(OffsetsInitializer::latest());
    assert_eq!(read_on(folder.path(), rest).unwrap(), ["after"]);
}

#[test]
fn a_topic_that_is_deleted_while_the_job_runs_is_soon_noticed() {
    let cluster = Cluster::start();
    let topic = cluster.topic("gone", 1);
    cluster.write(&topic, 0, numbers(0..10));
    let (read, folder) = (Log::default(), tempfile::tempdir().unwrap());
    let job = start(&graph(source(&cluster).set_topics([&topic]), &read), config(folder.path(), 1)).unwrap();
    eventually("what is there", || read.len() == 10);
    cluster.delete_topic(&topic);
    let deleted = std::time::Instant::now();
    let error = job.wait().unwrap_err().to_string();
    assert!(error.contains("no topic") && error.contains(&topic), "{error}");
    // It took 17 s; a second or two is what it takes, the rest is for a busy machine.
    assert!(deleted.elapsed() < Duration::from_secs(10), "took {:?}", deleted.elapsed());
}
