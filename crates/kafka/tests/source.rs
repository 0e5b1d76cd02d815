//! Where the source begins and ends, what it makes of bad records, and what it finds while it runs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::time::{Duration, Instant};

use common::{Cluster, Log, eventually, flush, unique, write};
use rdkafka::producer::Producer;
use thalweg_broker::{ApiKey, Fault, ResponseError};
use thalweg_dataflow::Output;
use thalweg_dataflow::barrier::Barrier;
use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::graph::StreamGraph;
use thalweg_dataflow::operator::Operator;
use thalweg_dataflow::record::Batch;
use thalweg_dataflow::runtime::{CheckpointConfig, JobConfig, JobHandle, JobResult, run, start};
use thalweg_dataflow::watermark::WatermarkStrategy;
use thalweg_kafka::record::{BadRecordPolicy, ConsumerRecord, values};
use thalweg_kafka::source::Deserializer;
use thalweg_kafka::{
    KafkaSource, KafkaSourceBuilder, OffsetResetStrategy, OffsetsInitializer, TopicPartition,
};

fn source(cluster: &Cluster) -> KafkaSourceBuilder<()> {
    KafkaSource::builder(&cluster.bootstrap).set_property("default.api.timeout.ms", "10000")
}

/// Reads values as they are.
fn graph(builder: KafkaSourceBuilder<()>, read: &Log<String>) -> StreamGraph {
    graph_of(builder.set_deserializer(values::<String>()), read)
}

fn graph_of(builder: KafkaSourceBuilder<Deserializer<String>>, read: &Log<String>) -> StreamGraph {
    let (graph, read) = (StreamGraph::new(), read.clone());
    let source = builder.build().unwrap();
    let _ = graph
        .source("kafka", source, WatermarkStrategy::no_watermarks())
        .map("read", move |value| read.push(value));
    graph
}

fn config(parallelism: usize) -> JobConfig {
    JobConfig { parallelism, ..JobConfig::new(&unique("job")) }
}

/// What a bounded source reads, sorted; and what the job said in the end.
fn read_all(builder: KafkaSourceBuilder<()>) -> Vec<String> {
    let read = Log::default();
    run(&graph(builder, &read), config(2)).unwrap();
    read.sorted()
}

fn failure(builder: KafkaSourceBuilder<()>) -> String {
    let result: Result<JobResult, _> = run(&graph(builder, &Log::default()), config(2));
    result.unwrap_err().to_string()
}

fn running(graph: &StreamGraph, parallelism: usize) -> JobHandle {
    start(graph, config(parallelism)).unwrap()
}

fn numbers(range: std::ops::Range<u32>) -> impl Iterator<Item = String> {
    range.map(|n| format!("{n:06}"))
}

#[test]
fn a_bounded_source_reads_every_partition_to_its_end_once() {
    let cluster = Cluster::start();
    let topic = cluster.topic("bounded", 3);
    cluster.write(&topic, 0, numbers(0..5000));
    cluster.write(&topic, 2, numbers(5000..9000));
    let bounded = source(&cluster).set_topics([&topic]).set_bounded(OffsetsInitializer::latest());
    assert!(read_all(bounded).into_iter().eq(numbers(0..9000)));
}

#[test]
fn it_begins_and_ends_where_it_is_told_to() {
    let cluster = Cluster::start();
    let topic = cluster.topic("offsets", 2);
    for (partition, first) in [(0, 100), (1, 200)] {
        let producer = cluster.producer(&[]);
        for n in 0..10_u32 {
            let value = (first + n).to_string();
            let record = rdkafka::producer::BaseRecord::<(), str>::to(&topic).partition(partition);
            producer.send(record.payload(&value).timestamp(1_000_000 + i64::from(n))).unwrap();
        }
        flush(&producer);
    }
    let read = |starting, stopping| {
        read_all(source(&cluster).set_topics([&topic]).set_starting_offsets(starting).set_bounded(stopping))
    };
    let at = |first: i64, second: i64| {
        OffsetsInitializer::offsets([
            (TopicPartition::new(&topic, 0), first),
            (TopicPartition::new(&topic, 1), second),
        ])
    };
    assert_eq!(read(at(8, 9), OffsetsInitializer::latest()), ["108", "109", "209"]);
    assert_eq!(read(OffsetsInitializer::earliest(), at(1, 2)), ["100", "200", "201"]);
    assert_eq!(read(OffsetsInitializer::timestamp(1_000_009), OffsetsInitializer::latest()), ["109", "209"]);
    let before = OffsetsInitializer::timestamp(1_000_001);
    assert_eq!(read(OffsetsInitializer::earliest(), before), ["100", "200"]);
    let none: [&str; 0] = [];
    assert_eq!(read(OffsetsInitializer::timestamp(9_000_000), OffsetsInitializer::latest()), none);
    assert_eq!(read(OffsetsInitializer::latest(), OffsetsInitializer::latest()), none);
}

#[test]
fn a_group_goes_on_where_it_has_committed() {
    let cluster = Cluster::start();
    let (topic, group) = (cluster.topic("committed", 1), unique("group"));
    let committed = |fallback| {
        source(&cluster)
            .set_topics([&topic])
            .set_group_id(&group)
            .set_starting_offsets(OffsetsInitializer::committed_offsets(fallback))
            .set_bounded(OffsetsInitializer::latest())
    };
    cluster.write(&topic, 0, ["a", "b"]);
    let error = failure(committed(OffsetResetStrategy::None));
    assert!(error.contains(&group) && error.contains("no offset for partition 0"), "{error}");
    assert_eq!(read_all(committed(OffsetResetStrategy::Earliest)), ["a", "b"]);
    eventually("the offset to be committed", || cluster.committed(&group, &topic, 0) == Some(2));
    cluster.write(&topic, 0, ["c"]);
    assert_eq!(read_all(committed(OffsetResetStrategy::None)), ["c"]);
}

/// As after a coordinator or a leader has moved.
#[test]
fn a_cluster_that_cannot_say_yet_where_to_begin_is_asked_again() {
    let cluster = Cluster::start();
    let Some(broker) = cluster.broker() else { return };
    let (topic, group) = (cluster.topic("moved", 1), unique("group"));
    cluster.write(&topic, 0, ["a"]);
    let faults = [
        (ApiKey::OffsetFetch, ResponseError::NotCoordinator),
        (ApiKey::OffsetFetch, ResponseError::CoordinatorLoadInProgress),
        (ApiKey::ListOffsets, ResponseError::NotLeaderOrFollower),
    ];
    let faults = faults.map(|(api, error)| broker.faults().on(api, |_| true, Fault::Fail(error), 1).unwrap());
    let source = source(&cluster)
        .set_topics([&topic])
        .set_group_id(&group)
        .set_starting_offsets(OffsetsInitializer::committed_offsets(OffsetResetStrategy::Earliest))
        .set_bounded(OffsetsInitializer::latest());
    assert_eq!(read_all(source), ["a"]);
    assert!(faults.iter().all(|fault| fault.hits() == 1));
}

#[test]
fn a_pattern_matches_whole_names_and_partitions_are_taken_one_by_one() {
    let cluster = Cluster::start();
    let prefix = unique("pattern");
    let topics = [("-a", "in a"), ("-b", "in b"), ("-b.old", "in old")];
    // Names of topics get a suffix of their own; the pattern has to allow for it.
    for (suffix, value) in topics {
        let topic = cluster.topic(&format!("{prefix}{suffix}"), 1);
        cluster.write(&topic, 0, [value]);
    }
    let bounded = source(&cluster).set_bounded(OffsetsInitializer::latest());
    assert_eq!(read_all(bounded.set_topic_pattern(&format!("{prefix}-[ab]-.*"))), ["in a", "in b"]);

    let topic = cluster.topic("partitions", 3);
    (0..3).for_each(|partition| cluster.write(&topic, partition, [partition]));
    let some = [0, 2].map(|partition| TopicPartition::new(&topic, partition));
    let bounded = source(&cluster).set_bounded(OffsetsInitializer::latest());
    assert_eq!(read_all(bounded.set_partitions(some)), ["0", "2"]);
    let error = failure(source(&cluster).set_partitions([TopicPartition::new(&topic, 7)]));
    assert!(error.contains("has no partition 7; it has 3"), "{error}");
}

#[test]
fn only_committed_records_are_read_and_markers_do_not_hold_up_the_end() {
    let cluster = Cluster::start();
    let topic = cluster.topic("transactions", 1);
    let producer = cluster.producer(&[("transactional.id", &unique("txn"))]);
    producer.init_transactions(common::PATIENCE).unwrap();
    let mut expected = Vec::new();
    for (text, commit) in [("kept", true), ("aborted", false), ("kept too", true), ("given up", false)] {
        producer.begin_transaction().unwrap();
        write(&producer, &topic, 0, [text]);
        flush(&producer);
        if commit {
            producer.commit_transaction(common::PATIENCE).unwrap();
            expected.push(text);
        } else {
            producer.abort_transaction(common::PATIENCE).unwrap();
        }
    }
    // Open while the source runs: behind its end.
    producer.begin_transaction().unwrap();
    write(&producer, &topic, 0, ["open"]);
    flush(&producer);
    let started = Instant::now();
    let bounded = source(&cluster).set_topics([&topic]).set_bounded(OffsetsInitializer::latest());
    assert_eq!(read_all(bounded), expected);
    assert!(started.elapsed() < Duration::from_secs(5), "took {:?}", started.elapsed());
    producer.abort_transaction(common::PATIENCE).unwrap();
}

#[test]
fn committed_offsets_show_no_lag_behind_a_marker() {
    let cluster = Cluster::start();
    let (topic, group) = (cluster.topic("marker", 1), unique("group"));
    let producer = cluster.producer(&[("transactional.id", &unique("txn"))]);
    producer.init_transactions(common::PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    write(&producer, &topic, 0, ["a", "b"]);
    flush(&producer);
    producer.commit_transaction(common::PATIENCE).unwrap();
    let read = Log::default();
    let unbounded = source(&cluster).set_topics([&topic]).set_group_id(&group);
    let folder = tempfile::tempdir().unwrap();
    let storage = CheckpointStorage::local(folder.path()).unwrap();
    let checkpoint = Some(CheckpointConfig::new(Duration::from_millis(10), storage));
    let job = start(&graph(unbounded, &read), JobConfig { checkpoint, ..config(1) }).unwrap();
    eventually("the end to be committed", || cluster.committed(&group, &topic, 0) == Some(3));
    assert_eq!(read.get(), ["a", "b"]);
    job.stop();
    job.wait().unwrap();
}

#[test]
fn bad_records_are_treated_by_the_policy() {
    let cluster = Cluster::start();
    let (topic, letters) = (cluster.topic("bad", 1), cluster.topic("letters", 1));
    cluster.write(&topic, 0, ["1", "two", "3"]);
    let read = |policy| {
        let read = Log::default();
        let number = |record: &ConsumerRecord<'_>| -> Result<String, BoxError> {
            let text = std::str::from_utf8(record.value.unwrap_or_default())?;
            Ok(text.parse::<u32>()?.to_string())
        };
        let source = source(&cluster).set_topics([&topic]).set_bounded(OffsetsInitializer::latest());
        let graph = graph_of(source.set_bad_record_policy(policy).set_deserializer(number), &read);
        run(&graph, config(1))
            .map(|result| (read.get(), result.metrics.sum("kafka", |m| m.bad_records.get())))
    };
    let error = read(BadRecordPolicy::Fail).unwrap_err();
    assert!(error.is_fatal(), "a restart would fail at the same record");
    let error = error.to_string();
    assert!(error.contains("offset 1 of partition 0") && error.contains("invalid digit"), "{error}");
    let good = vec!["1".to_owned(), "3".to_owned()];
    assert_eq!(read(BadRecordPolicy::Skip).unwrap(), (good.clone(), 1));
    assert_eq!(read(BadRecordPolicy::DeadLetter(letters.clone())).unwrap(), (good, 1));
    let letter = cluster.read(&letters).remove(0);
    assert_eq!(letter.value.as_deref(), Some("two"));
    let headers: Vec<(&str, &str)> =
        letter.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref().unwrap())).collect();
    let expected = [
        ("thalweg.topic", topic.as_str()),
        ("thalweg.partition", "0"),
        ("thalweg.offset", "1"),
        ("thalweg.error", "invalid digit found in string"),
    ];
    assert_eq!(headers, expected);
    if cluster.is_strict() {
        let error = read(BadRecordPolicy::DeadLetter(unique("nowhere"))).unwrap_err().to_string();
        assert!(error.contains("there is no topic 'nowhere"), "{error}");
    }
}

#[test]
fn new_partitions_and_topics_are_found_and_read_from_their_beginning() {
    let cluster = Cluster::start();
    let prefix = unique("growing");
    let topic = cluster.topic(&prefix, 1);
    cluster.write(&topic, 0, ["old"]);
    let read = Log::default();
    let growing = source(&cluster)
        .set_topic_pattern(&format!("{prefix}.*"))
        .set_starting_offsets(OffsetsInitializer::latest())
        .set_partition_discovery_interval(Duration::from_millis(50));
    let job = running(&graph(growing, &read), 2);
    // The source has begun when it sees what is written now.
    let mut n = 0;
    eventually("the first record", || {
        n += 1;
        cluster.write(&topic, 0, [format!("probe {n}")]);
        read.len() > 0
    });
    cluster.add_partitions(&topic, 2);
    cluster.write(&topic, 1, ["in the new partition"]);
    let second = cluster.topic(&prefix, 1);
    cluster.write(&second, 0, ["in the new topic"]);
    let has = |text: &str| read.get().iter().any(|value| value == text);
    eventually("the new partition", || has("in the new partition"));
    eventually("the new topic", || has("in the new topic"));
    assert!(!has("old"));
    job.stop();
    job.wait().unwrap();
}

#[test]
fn a_restored_source_goes_on_where_it_was_and_reads_all_of_what_was_added_meanwhile() {
    let cluster = Cluster::start();
    let topic = cluster.topic("resumed", 2);
    let folder = tempfile::tempdir().unwrap();
    let storage = CheckpointStorage::local(folder.path()).unwrap();
    let checkpoint = Some(CheckpointConfig::new(Duration::from_millis(10), storage));
    let config = JobConfig { checkpoint, ..config(1) };
    cluster.write(&topic, 0, numbers(0..10));
    cluster.write(&topic, 1, numbers(10..15));
    let read = Log::default();
    let job = start(&graph(source(&cluster).set_topics([&topic]), &read), config.clone()).unwrap();
    eventually("what is there", || read.len() == 15);
    job.suspend();
    job.wait().unwrap();
    cluster.write(&topic, 0, ["after"]);
    cluster.add_partitions(&topic, 3);
    cluster.write(&topic, 2, ["added"]);
    // The checkpoint takes precedence over where to start, and does not know the new partition.
    let resumed = source(&cluster).set_topics([&topic]).set_starting_offsets(OffsetsInitializer::latest());
    let resumed = resumed.set_bounded(OffsetsInitializer::latest());
    let read = Log::default();
    run(&graph(resumed, &read), JobConfig { parallelism: 3, ..config }).unwrap();
    assert_eq!(read.sorted(), ["added", "after"]);
}

#[test]
fn the_rate_of_a_partition_is_limited() {
    let cluster = Cluster::start();
    let topic = cluster.topic("rate", 2);
    (0..2).for_each(|partition| cluster.write(&topic, partition, numbers(0..400)));
    let started = Instant::now();
    let limited = source(&cluster)
        .set_topics([&topic])
        .set_bounded(OffsetsInitializer::latest())
        .set_max_rate_per_partition(400);
    assert_eq!(read_all(limited).len(), 800);
    let took = started.elapsed();
    assert!((Duration::from_millis(950)..Duration::from_secs(5)).contains(&took), "took {took:?}");
}

#[test]
fn an_idle_source_hears_of_a_record_at_once() {
    let cluster = Cluster::start();
    let topic = cluster.topic("latency", 4);
    let read = Log::default();
    let source = source(&cluster).set_topics([&topic]).set_deserializer(values::<String>()).build().unwrap();
    let (graph, lag, arrived) = (StreamGraph::new(), source.lag(), read.clone());
    let _ = graph.source("kafka", source, WatermarkStrategy::no_watermarks()).map(
        "read",
        move |value: String| {
            let sent: u128 = value.parse().unwrap();
            arrived.push(now_micros().saturating_sub(sent));
        },
    );
    let job = running(&graph, 2);
    let producer = cluster.producer(&[("linger.ms", "0")]);
    for n in 0..100 {
        write(&producer, &topic, n % 4, [now_micros()]);
        flush(&producer);
        eventually("the record", || read.len() as i32 > n);
    }
    let latencies = read.sorted();
    // A source that was not woken would look by itself a second later; half of that leaves room for a busy machine.
    assert!(latencies[50] < 500_000, "{latencies:?} µs");
    assert_eq!(lag.records(), 0);
    job.stop();
    job.wait().unwrap();
}

fn now_micros() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros()
}

#[test]
fn the_lag_is_shown_while_the_source_runs() {
    let cluster = Cluster::start();
    let topic = cluster.topic("lag", 1);
    cluster.write(&topic, 0, numbers(0..1000));
    let slow = source(&cluster).set_topics([&topic]).set_max_rate_per_partition(500);
    let source = slow.set_deserializer(values::<String>()).build().unwrap();
    let (graph, lag) = (StreamGraph::new(), source.lag());
    let read = Log::default();
    let seen = read.clone();
    let _ = graph
        .source("kafka", source, WatermarkStrategy::no_watermarks())
        .map("read", move |v: String| seen.push(v));
    let job = running(&graph, 1);
    let gauge =
        || job.metrics().operators.iter().find_map(|(_, metrics)| metrics.gauges().get("lag").copied());
    eventually("the lag", || (1..1000).contains(&lag.records()));
    eventually("the same as a metric", || gauge().is_some_and(|lag| (1.0..1000.0).contains(&lag)));
    eventually("the end", || read.len() == 1000);
    eventually("no lag", || lag.records() == 0 && gauge() == Some(0.0));
    job.stop();
    job.wait().unwrap();
}

#[test]
fn what_is_not_there_is_said_at_the_start() {
    let cluster = Cluster::start();
    let error = failure(source(&cluster).set_topics([unique("missing")]));
    assert!(error.contains("there is no topic 'missing-") && error.contains(&cluster.bootstrap), "{error}");
    let nobody =
        KafkaSource::builder("127.0.0.1:1").set_topics(["t"]).set_property("default.api.timeout.ms", "500");
    let started = Instant::now();
    let error = failure(nobody);
    assert!(error.contains("no answer from Kafka at 127.0.0.1:1"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(5), "took {:?}", started.elapsed());
    let topic = cluster.topic("deleted", 1);
    cluster.write(&topic, 0, ["a"]);
    let beyond = OffsetsInitializer::offsets([(TopicPartition::new(&topic, 0), 100)]);
    let error = failure(source(&cluster).set_topics([&topic]).set_starting_offsets(beyond));
    assert!(error.contains("offset 100 of partition 0") && error.contains("beyond the end"), "{error}");
}

/// Remembers the batch time of each barrier, after the source has seen it.
#[derive(Clone)]
struct BatchTimes(Log<i64>);

impl Operator for BatchTimes {
    type In = String;
    type Out = ();

    fn process(&mut self, batch: &mut Batch<String>, _: &mut Output<()>) -> Result<(), BoxError> {
        batch.records.clear();
        Ok(())
    }

    fn barrier(&mut self, barrier: &Barrier, _: &mut Output<()>) -> Result<(), BoxError> {
        self.0.push(barrier.time);
        Ok(())
    }
}

#[test]
fn each_batch_knows_which_offsets_it_has_read() {
    let cluster = Cluster::start();
    let (topic, group) = (cluster.topic("batches", 3), unique("group"));
    (0..3).for_each(|partition| cluster.write(&topic, partition, numbers(0..300)));
    let source = source(&cluster)
        .set_topics([&topic])
        .set_group_id(&group)
        .set_commit_offsets_on_checkpoint(false)
        .set_max_rate_per_partition(1000)
        .set_deserializer(values::<String>())
        .build()
        .unwrap();
    let ranges = source.offset_ranges(Duration::from_millis(50));
    let (graph, times) = (StreamGraph::new(), Log::default());
    graph.batch_interval(50);
    let stream = graph.source("kafka", source, WatermarkStrategy::no_watermarks());
    let _ = stream.apply("batch times", BatchTimes(times.clone())).parallelism(1);
    let job = running(&graph, 2);
    let read = || times.get().iter().flat_map(|time| ranges.at(*time)).collect::<Vec<_>>();
    let records = || read().iter().map(|range| range.until_offset - range.from_offset).sum::<i64>();
    eventually("everything to be read", || records() == 900);
    for partition in 0..3 {
        let of_partition: Vec<_> = read().into_iter().filter(|range| range.partition == partition).collect();
        assert!(of_partition.iter().all(|range| range.topic == topic));
        assert!(of_partition.windows(2).all(|pair| pair[0].until_offset == pair[1].from_offset));
        let read = of_partition.iter().filter(|range| range.until_offset > range.from_offset).count();
        assert!(read >= 3, "partition {partition} at 1000/s: {of_partition:?}");
    }
    assert_eq!(cluster.committed(&group, &topic, 0), None, "the user commits");
    let batch = times.get().into_iter().map(|time| ranges.at(time)).find(|batch| batch[0].until_offset > 0);
    let batch = batch.unwrap();
    ranges.commit_async(&batch);
    eventually("the commit", || cluster.committed(&group, &topic, 0) == Some(batch[0].until_offset));
    job.stop();
    job.wait().unwrap();
}
