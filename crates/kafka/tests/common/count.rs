//! A job that counts words from one topic into another, exactly once, and what must come out of it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use rdkafka::producer::BaseRecord;
use tempfile::TempDir;
use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::graph::{Stream, StreamGraph};
use thalweg_dataflow::operators::{Emit, Reduce};
use thalweg_dataflow::record::Keyed;
use thalweg_dataflow::runtime::{CheckpointConfig, JobConfig, RestartStrategy};
use thalweg_dataflow::sink::Sink;
use thalweg_dataflow::watermark::WatermarkStrategy;
use thalweg_kafka::record::{key_values, values};
use thalweg_kafka::{DeliveryGuarantee, KafkaSink, KafkaSource, KafkaSourceBuilder, OffsetsInitializer};
use thalweg_testkit::CrashPoint;

use super::{Cluster, flush, unique};

const WORDS: usize = 37;
const PARTITIONS: i32 = 4;

/// The job: its topics, and its checkpoints.
pub(crate) struct Counting {
    pub(crate) id: String,
    pub(crate) input: String,
    pub(crate) output: String,
    pub(crate) properties: Vec<(&'static str, &'static str)>,
    folder: TempDir,
}

impl Counting {
    pub(crate) fn new(cluster: &Cluster) -> Self {
        Self {
            id: unique("count"),
            input: cluster.topic("words", PARTITIONS),
            output: cluster.topic("counts", 2),
            properties: vec![("default.api.timeout.ms", "10000")],
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Checkpoints every 20 ms; no restarts.
    pub(crate) fn config(&self, parallelism: usize) -> JobConfig {
        let storage = CheckpointStorage::local(self.folder.path()).unwrap();
        JobConfig {
            parallelism,
            checkpoint: Some(CheckpointConfig::new(Duration::from_millis(20), storage)),
            restart: Some(RestartStrategy::None),
            ..JobConfig::new(&self.id)
        }
    }

    fn builder(&self, cluster: &Cluster) -> KafkaSourceBuilder<()> {
        let builder = KafkaSource::builder(&cluster.bootstrap).set_topics([&self.input]);
        // Slow enough for there to be a middle to crash in.
        builder.set_max_rate_per_partition(8_000)
    }

    fn add(&self, builder: KafkaSourceBuilder<()>, graph: &StreamGraph) -> Stream<String> {
        let source = builder.set_deserializer(values::<String>()).build().unwrap();
        graph.source("words", source, WatermarkStrategy::no_watermarks())
    }

    /// The words that are there when the job starts for the first time.
    pub(crate) fn source(&self, cluster: &Cluster, graph: &StreamGraph) -> Stream<String> {
        self.add(self.builder(cluster).set_bounded(OffsetsInitializer::latest()), graph)
    }

    /// Writes the running count of each word, each time that it comes.
    pub(crate) fn count(&self, words: &Stream<String>, cluster: &Cluster) {
        let count = Reduce::new(
            |a, b| a + b,
            |word: &String, count: &u64| (word.clone(), count.to_string()),
            Emit::Each,
        );
        let counts = words.map("key", |word| Keyed::new(word, 1_u64)).exchange().apply("count", count);
        let mut sink = KafkaSink::builder(&cluster.bootstrap)
            .set_topic(&self.output)
            .set_delivery_guarantee(DeliveryGuarantee::ExactlyOnce);
        for (property, value) in &self.properties {
            sink = sink.set_property(*property, *value);
        }
        let sink = sink.set_serializer(key_values::<String, String>()).build().unwrap();
        let _ = sink.add_to(&counts);
    }

    pub(crate) fn graph(&self, cluster: &Cluster, crash: &CrashPoint) -> StreamGraph {
        let graph = StreamGraph::new();
        self.count(&crash.on(&self.source(cluster, &graph)), cluster);
        graph
    }

    pub(crate) fn unbounded_graph(&self, cluster: &Cluster) -> StreamGraph {
        let graph = StreamGraph::new();
        self.count(&CrashPoint::never().on(&self.add(self.builder(cluster), &graph)), cluster);
        graph
    }
}

/// Writes so many words to all partitions.
pub(crate) fn write_words(cluster: &Cluster, topic: &str, count: usize) {
    write_more_words(cluster, topic, 0..count);
}

/// Those of a longer list, of which what comes before has been written.
pub(crate) fn write_more_words(cluster: &Cluster, topic: &str, range: Range<usize>) {
    let producer = cluster.producer(&[]);
    for n in range {
        let word = format!("word {}", n % WORDS);
        let record = BaseRecord::<(), str>::to(topic).partition(n as i32 % PARTITIONS).payload(&word);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    flush(&producer);
}

/// Each word's counts are 1, 2, 3 …, each once and in order, as far as so many words make them go.
pub(crate) fn check_counts(cluster: &Cluster, topic: &str, words: usize) {
    let mut counts: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for record in cluster.read(topic) {
        counts.entry(record.key.unwrap()).or_default().push(record.value.unwrap().parse().unwrap());
    }
    for n in 0..WORDS {
        let expected = words / WORDS + usize::from(n < words % WORDS);
        let found = counts.remove(&format!("word {n}")).unwrap_or_default();
        let wrong = found.iter().zip(1..).position(|(found, expected)| *found != expected);
        assert!(
            wrong.is_none() && found.len() == expected,
            "word {n}: {} counts instead of {expected}; wrong at {wrong:?}: {:?}",
            found.len(),
            wrong.map(|at| &found[at..found.len().min(at + 5)])
        );
    }
    assert!(counts.is_empty(), "{counts:?}");
}
