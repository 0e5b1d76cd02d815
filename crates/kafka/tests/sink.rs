//! What the sink writes, what at-least-once promises, and what is wrong at its start.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::time::{Duration, Instant};

use common::proxy::Proxy;
use common::{Cluster, unique};
use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::error::JobError;
use thalweg_dataflow::graph::StreamGraph;
use thalweg_dataflow::runtime::{CheckpointConfig, JobConfig, JobResult, RestartStrategy, run, start};
use thalweg_dataflow::sink::Sink;
use thalweg_dataflow::source::CollectionSource;
use thalweg_dataflow::watermark::WatermarkStrategy;
use thalweg_kafka::record::{KafkaSerializer, ProducerRecordBuf, key_values, values};
use thalweg_kafka::{DeliveryGuarantee, KafkaPartitioner, KafkaSink, KafkaSinkBuilder, KafkaSource};
use thalweg_testkit::CrashPoint;

fn sink(cluster: &Cluster) -> KafkaSinkBuilder<()> {
    KafkaSink::builder(&cluster.bootstrap).set_property("default.api.timeout.ms", "10000")
}

fn write<T: Clone + Send + Sync + 'static>(
    items: Vec<(T, i64)>,
    sink: KafkaSink<T>,
    config: JobConfig,
) -> Result<JobResult, JobError> {
    let graph = StreamGraph::new();
    let source = CollectionSource::with_timestamps(items);
    sink.add_to(&graph.source("items", source, WatermarkStrategy::no_watermarks()));
    run(&graph, config)
}

fn config(parallelism: usize) -> JobConfig {
    JobConfig { parallelism, ..JobConfig::new(&unique("job")) }
}

fn checkpointed(folder: &tempfile::TempDir, interval: Duration) -> JobConfig {
    let storage = CheckpointStorage::local(folder.path()).unwrap();
    let checkpoint = Some(CheckpointConfig::new(interval, storage));
    JobConfig { checkpoint, restart: Some(RestartStrategy::None), ..config(1) }
}

#[test]
fn a_serializer_decides_about_every_part_of_a_record() {
    let cluster = Cluster::start();
    let (topic, other) = (cluster.topic("parts", 2), cluster.topic("other", 1));
    let elsewhere = other.clone();
    let serializer = move |n: &u32, record: &mut ProducerRecordBuf| {
        record.set_partition(1);
        match n {
            0 => {
                record.key().extend_from_slice(b"k");
                record.value().extend_from_slice(b"v");
                record.add_header("a", b"1");
                record.add_header("a", b"");
                record.add_null_header("a");
                record.set_timestamp(777);
            }
            1 => record.key().extend_from_slice(b"tombstone"),
            _ => {
                record.set_topic(&elsewhere);
                record.set_partition(0);
                record.value().extend_from_slice(b"elsewhere");
            }
        }
    };
    let sink = sink(&cluster).set_topic(&topic).set_serializer(serializer).build().unwrap();
    let result = write(vec![(0, 5), (1, 6), (2, 7)], sink, config(1)).unwrap();
    assert_eq!(result.metrics.sum("kafka-sink", |metrics| metrics.bytes.get()), 2 + 9 + 9);
    let mut seen = cluster.read(&topic);
    seen.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(seen.len(), 2);
    let [first, second] = [&seen[0], &seen[1]];
    assert_eq!((first.partition, first.timestamp), (1, Some(777)));
    assert_eq!((first.key.as_deref(), first.value.as_deref()), (Some("k"), Some("v")));
    let header = |value: &str| ("a".to_owned(), Some(value.to_owned()));
    assert_eq!(first.headers, [header("1"), header(""), ("a".to_owned(), None)]);
    assert_eq!((second.key.as_deref(), second.value.as_deref()), (Some("tombstone"), None));
    assert_eq!(second.timestamp, Some(6), "the event time");
    assert_eq!(cluster.values(&other), ["elsewhere"]);
}

/// Each subtask has a partition; what says itself where it goes, goes there.
#[test]
fn a_subtask_writes_to_its_partition() {
    let cluster = Cluster::start();
    for guarantee in [DeliveryGuarantee::AtLeastOnce, DeliveryGuarantee::ExactlyOnce] {
        for (partitions, expected) in [(5, vec![0, 1, 2, 4]), (2, vec![0, 1])] {
            let topic = cluster.topic("fixed", partitions);
            let serializer = move |n: &i32, record: &mut ProducerRecordBuf| {
                record.value().extend_from_slice(n.to_string().as_bytes());
                if *n == 0 {
                    record.set_partition(partitions - 1);
                }
            };
            let sink = sink(&cluster).set_topic(&topic).set_delivery_guarantee(guarantee);
            let sink =
                sink.set_partitioner(KafkaPartitioner::Fixed).set_serializer(serializer).build().unwrap();
            let graph = StreamGraph::new();
            let source = CollectionSource::new((0..3000).collect());
            let items = graph.source("items", source, WatermarkStrategy::no_watermarks());
            sink.add_to(&items.rebalance());
            let folder = tempfile::tempdir().unwrap();
            run(&graph, JobConfig { parallelism: 3, ..checkpointed(&folder, Duration::from_millis(50)) })
                .unwrap();
            let seen = cluster.read(&topic);
            assert_eq!(seen.len(), 3000);
            let mut used: Vec<i32> = seen.iter().map(|record| record.partition).collect();
            used.sort_unstable();
            used.dedup();
            assert_eq!(used, expected, "{guarantee:?}");
            let chosen = seen.iter().filter(|record| record.partition == partitions - 1);
            assert!(partitions == 2 || chosen.count() == 1);
        }
    }
}

#[test]
fn a_key_goes_to_the_partition_that_java_chooses() {
    let cluster = Cluster::start();
    let topic = cluster.topic("keys", 7);
    let items = ["apple", "pear", "plum", "fig", "quince"].map(|key| ((key.to_owned(), String::new()), 0));
    let sink = sink(&cluster).set_topic(&topic).set_serializer(key_values::<String, String>());
    write(items.to_vec(), sink.build().unwrap(), config(1)).unwrap();
    // murmur2(key) & 0x7fffffff, modulo 7, as org.apache.kafka.common.utils.Utils computes it.
    let expected = |key: &str| (murmur2(key.as_bytes()) & 0x7fff_ffff) % 7;
    let seen = cluster.read(&topic);
    assert_eq!(seen.len(), 5);
    for record in seen {
        let key = record.key.unwrap();
        assert_eq!(record.partition as u32, expected(&key), "{key}");
    }
}

fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mix = |k: u32| {
        let k = k.wrapping_mul(M);
        (k ^ (k >> 24)).wrapping_mul(M)
    };
    let chunks = data.chunks_exact(4);
    let rest = chunks.remainder();
    let mut hash = 0x9747_b28c ^ data.len() as u32;
    for chunk in chunks {
        hash = hash.wrapping_mul(M) ^ mix(u32::from_le_bytes(chunk.try_into().unwrap()));
    }
    for (index, byte) in rest.iter().enumerate().rev() {
        hash ^= u32::from(*byte) << (8 * index);
    }
    if !rest.is_empty() {
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[test]
fn every_guarantee_delivers_a_job_that_ends_well() {
    let cluster = Cluster::start();
    let expected: Vec<String> = (0..30_000).map(|n| format!("{n:05}")).collect();
    for guarantee in [DeliveryGuarantee::None, DeliveryGuarantee::AtLeastOnce, DeliveryGuarantee::ExactlyOnce]
    {
        let topic = cluster.topic("all", 3);
        let folder = tempfile::tempdir().unwrap();
        let items = expected.iter().map(|value| (value.clone(), 0)).collect();
        let sink = sink(&cluster)
            .set_topic(&topic)
            .set_delivery_guarantee(guarantee)
            .set_serializer(values::<String>())
            .build()
            .unwrap();
        write(items, sink, JobConfig { parallelism: 2, ..checkpointed(&folder, Duration::from_millis(20)) })
            .unwrap();
        assert!(cluster.values(&topic) == expected, "{guarantee:?}");
    }
}

#[test]
fn at_least_once_has_everything_of_a_completed_checkpoint() {
    let cluster = Cluster::start();
    let topic = cluster.topic("at-least-once", 2);
    let expected: Vec<String> = (0..60_000).map(|n| format!("{n:05}")).collect();
    let folder = tempfile::tempdir().unwrap();
    let config = JobConfig { parallelism: 2, ..checkpointed(&folder, Duration::from_millis(5)) };
    let graph = || {
        let (graph, crash) = (StreamGraph::new(), CrashPoint::after(2, 3000));
        let source = CollectionSource::new(expected.clone());
        let lines = crash.on(&graph.source("items", source, WatermarkStrategy::no_watermarks()));
        let sink = sink(&cluster).set_topic(&topic).set_serializer(values::<String>());
        sink.build().unwrap().add_to(&lines);
        graph
    };
    for _ in 0..2 {
        assert!(run(&graph(), config.clone()).unwrap_err().to_string().contains("a crash, as asked for"));
    }
    let restart = Some(RestartStrategy::FixedDelay { attempts: 1, delay: Duration::ZERO });
    run(&graph(), JobConfig { restart, ..config }).unwrap();
    let mut found = cluster.values(&topic);
    found.dedup();
    assert!(found == expected, "{} of {} records", found.len(), expected.len());
}

#[test]
fn what_is_wrong_is_said_at_the_start() {
    let cluster = Cluster::start();
    let items = || vec![("a".to_owned(), 0)];
    let missing = unique("missing");
    for guarantee in [DeliveryGuarantee::AtLeastOnce, DeliveryGuarantee::ExactlyOnce] {
        let folder = tempfile::tempdir().unwrap();
        let config = || checkpointed(&folder, Duration::from_secs(1));
        let build = |builder: KafkaSinkBuilder<()>, topic: &str| {
            let sink = builder.set_topic(topic).set_delivery_guarantee(guarantee);
            sink.set_serializer(values::<String>()).build().unwrap()
        };
        if cluster.is_strict() {
            let error = write(items(), build(sink(&cluster), &missing), config()).unwrap_err();
            assert!(error.is_fatal());
            assert!(error.to_string().contains(&format!("there is no topic '{missing}'")), "{error}");
        }
        let started = Instant::now();
        let nobody = KafkaSink::builder("127.0.0.1:1").set_property("default.api.timeout.ms", "500");
        let error = write(items(), build(nobody, "t"), config()).unwrap_err();
        assert!(error.to_string().contains("no answer from Kafka at 127.0.0.1:1"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(5), "took {:?}", started.elapsed());
    }
}

#[test]
fn a_record_that_cannot_be_written_fails_the_job() {
    struct Refuses;
    impl KafkaSerializer<String> for Refuses {
        fn serialize(
            &self,
            value: &String,
            _: &mut ProducerRecordBuf,
        ) -> Result<(), thalweg_kafka::error::BoxError> {
            Err(format!("cannot write {value}").into())
        }
    }
    let cluster = Cluster::start();
    let topic = cluster.topic("refused", 1);
    let build = |builder: KafkaSinkBuilder<()>| builder.set_topic(&topic);
    let sink_of_refuser = build(sink(&cluster)).set_serializer(Refuses).build().unwrap();
    let error = write(vec![("a".to_owned(), 0)], sink_of_refuser, config(1)).unwrap_err();
    assert!(error.to_string().contains("cannot write a") && error.is_fatal(), "{error}");
    // Larger than the client lets through: the broker never sees it.
    let huge = build(sink(&cluster)).set_serializer(values::<String>()).build().unwrap();
    let error = write(vec![("x".repeat(2_000_000), 0)], huge, config(1)).unwrap_err().to_string();
    assert!(error.contains(&format!("for topic '{topic}' is too large")), "{error}");
}

#[test]
fn a_time_that_kafka_cannot_keep_is_refused_and_its_none_is_the_time_of_sending() {
    let cluster = Cluster::start();
    let topic = cluster.topic("times", 1);
    let sink = || sink(&cluster).set_topic(&topic).set_serializer(values::<String>()).build().unwrap();
    let error = write(vec![("a".to_owned(), -5)], sink(), config(1)).unwrap_err();
    assert!(error.is_fatal() && error.to_string().contains("-5 ms, before 1970"), "{error}");
    let now = || i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let before = now();
    write(vec![("b".to_owned(), -1), ("c".to_owned(), 0)], sink(), config(1)).unwrap();
    let mut times: Vec<i64> = cluster.read(&topic).into_iter().map(|seen| seen.timestamp.unwrap()).collect();
    times.sort_unstable();
    // 1 is the nearest to 0 that librdkafka can send; it was the time of sending.
    assert!(times[0] == 1 && (before..=now()).contains(&times[1]), "{times:?}");
}

#[test]
fn a_record_that_is_too_large_is_refused_with_the_name_of_the_setting() {
    let cluster = Cluster::start();
    let topic = cluster.topic_with("large", 1, &[("max.message.bytes", "3000000")]);
    let sink = |most: &str| {
        let sink = sink(&cluster).set_topic(&topic).set_property("message.max.bytes", most);
        sink.set_serializer(values::<String>()).build().unwrap()
    };
    let write = |bytes, most| write(vec![("x".repeat(bytes), 1)], sink(most), config(1));
    // The sink's own limit, and the topic's.
    for (bytes, most) in [(2_000_000, "1000000"), (4_000_000, "9000000")] {
        let error = write(bytes, most).unwrap_err();
        assert!(
            error.is_fatal() && error.to_string().contains(&format!("message.max.bytes is {most}")),
            "{error}"
        );
        assert!(error.to_string().contains(&topic), "{error}");
    }
    write(2_000_000, "9000000").unwrap();
    assert_eq!(cluster.read(&topic).len(), 1);
}

#[test]
fn a_job_that_is_stopped_while_the_cluster_is_away_ends_and_says_so() {
    let (proxy, cluster) = Proxy::start();
    let topic = cluster.topic("away", 1);
    let sink = KafkaSink::builder(&cluster.bootstrap)
        .set_property("default.api.timeout.ms", "1000")
        .set_topic(&topic)
        .set_serializer(values::<String>())
        .build()
        .unwrap();
    // Records come from elsewhere.
    let (elsewhere, graph) = (Cluster::start(), StreamGraph::new());
    let input = elsewhere.topic("input", 1);
    let source = KafkaSource::builder(&elsewhere.bootstrap).set_topics([&input]);
    let source = source.set_deserializer(values::<String>()).build().unwrap();
    let items = graph.source("items", source, WatermarkStrategy::no_watermarks());
    let read = common::Log::default();
    let seen = read.clone();
    sink.add_to(&items.map("seen", move |item| {
        seen.push(0);
        item
    }));
    let job = start(&graph, config(1)).unwrap();
    elsewhere.write(&input, 0, ["before"]);
    common::eventually("the first record", || cluster.read(&topic).len() == 1);
    proxy.cut();
    elsewhere.write(&input, 0, ["after"]);
    common::eventually("the second record", || read.len() == 2);
    let stopped = Instant::now();
    job.stop();
    let error = job.wait().unwrap_err().to_string();
    assert!(error.contains("no answer from Kafka") && !error.contains("within 0ns"), "{error}");
    assert!(stopped.elapsed() < Duration::from_secs(15), "took {:?}", stopped.elapsed());
}
