//! The jobs: each counts the records of each key, from where it reads to where it writes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use thalweg_broker::{Broker, BrokerConfig, Record, Storage};
use thalweg_connectors::files::{FileSink, TextFileSource};
use thalweg_connectors::store::{StoreSink, checkpoint_storage};
use thalweg_dataflow::checkpoint::CheckpointStorage;
use thalweg_dataflow::error::{BoxError, JobError};
use thalweg_dataflow::graph::{Stream, StreamGraph};
use thalweg_dataflow::operators::{Emit, Reduce};
use thalweg_dataflow::record::Keyed;
use thalweg_dataflow::runtime::{
    CheckpointConfig, JobConfig, JobHandle, MemoryConfig, RestartStrategy, start,
};
use thalweg_dataflow::sink::Sink;
use thalweg_dataflow::watermark::WatermarkStrategy;
use thalweg_embedded::{BrokerSink, BrokerSource, RecordBuf};
use thalweg_kafka::record::{key_values, values};
use thalweg_kafka::{KafkaSink, KafkaSource};

use crate::checker::Seen;

/// Between two checkpoints.
const INTERVAL: Duration = Duration::from_millis(40);

/// How long a transaction may be open: short, so that a pause is longer.
pub const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(3);

/// What kind of job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// From topic to topics of a Kafka, exactly once.
    Kafka,
    /// From topic to topics of a broker in the same process, exactly once.
    Embedded,
    /// From text files to text files.
    Files,
    /// From text files to text files of a store, which is where the checkpoints are.
    Store,
}

impl Kind {
    /// Whether it writes files.
    pub fn writes_files(self) -> bool {
        matches!(self, Self::Files | Self::Store)
    }
}

/// Under what conditions jobs run.
#[derive(Clone, Debug, Default, Args)]
pub struct Conditions {
    /// A store for the checkpoints, and for what jobs of kind `store` write: `s3://bucket/folder`, `hdfs://namenode:8020/folder`. Default: folders of this machine,
    /// and no jobs of kind `store`.
    #[arg(long)]
    pub checkpoints: Option<String>,
    /// So many bytes of memory for each job; the rest of its state goes to disk. Default: no bound.
    #[arg(long)]
    pub memory: Option<u64>,
    /// Barriers overtake records, of which some are always under way to the counts.
    #[arg(long)]
    pub unaligned: bool,
}

impl Conditions {
    /// The address of the store, without a slash at its end.
    pub fn store(&self) -> Option<&str> {
        self.checkpoints.as_deref().map(|address| address.trim_end_matches('/'))
    }
}

/// One job.
#[derive(Clone, Debug, Args)]
pub struct JobArgs {
    /// What kind.
    #[arg(long)]
    pub kind: Kind,
    /// Its id; the names of its topics begin with it.
    #[arg(long)]
    pub id: String,
    /// Where its checkpoints, and its files, are.
    #[arg(long)]
    pub folder: PathBuf,
    /// Under what conditions.
    #[command(flatten)]
    pub conditions: Conditions,
    /// The cluster.
    #[arg(long, default_value = "")]
    pub bootstrap: String,
    /// Its parallelism.
    #[arg(long, default_value_t = 2)]
    pub parallelism: usize,
}

impl JobArgs {
    /// The topic that it reads.
    pub fn input(&self) -> String {
        format!("{}-in", self.id)
    }

    /// The topics that it writes, as one; or its folder.
    pub fn outputs(&self) -> Vec<String> {
        match self.kind {
            Kind::Kafka | Kind::Embedded => ["a", "b"].map(|place| format!("{}-{place}", self.id)).to_vec(),
            Kind::Files => vec![self.folder.join("out").display().to_string()],
            Kind::Store => {
                vec![format!("{}/{}-out", self.conditions.store().unwrap_or_default(), self.id)]
            }
        }
    }

    /// Starts the broker of an embedded job, with what is in its folder.
    ///
    /// # Errors
    /// As the broker's.
    pub fn broker(&self) -> anyhow::Result<Broker> {
        broker(&self.folder.join("broker"))
    }

    /// Starts the job. The broker, if it has one of its own, ends with the value returned.
    ///
    /// # Errors
    /// What is known before it runs.
    pub fn start(&self) -> anyhow::Result<(JobHandle, Option<Broker>)> {
        let graph = StreamGraph::new();
        let broker = match self.kind {
            Kind::Embedded => Some(self.broker()?),
            Kind::Kafka | Kind::Files | Kind::Store => None,
        };
        match (self.kind, &broker) {
            (Kind::Embedded, Some(broker)) => self.embedded(&graph, broker)?,
            (Kind::Kafka, _) => self.kafka(&graph)?,
            _ => self.files(&graph),
        }
        let storage = match self.conditions.store() {
            Some(address) => checkpoint_storage(format!("{address}/checkpoints"))?,
            None => CheckpointStorage::local(self.folder.join("checkpoints"))?,
        };
        let config = JobConfig {
            parallelism: self.parallelism,
            checkpoint: Some(CheckpointConfig::new(INTERVAL, storage)),
            memory: self.conditions.memory.map(MemoryConfig::new),
            unaligned_after: self.conditions.unaligned.then_some(Duration::ZERO),
            restart: Some(RestartStrategy::FixedDelay { attempts: 3, delay: Duration::from_millis(100) }),
            ..JobConfig::new(&self.id)
        };
        Ok((start(&graph, config)?, broker))
    }

    fn kafka(&self, graph: &StreamGraph) -> anyhow::Result<()> {
        let source = KafkaSource::builder(&self.bootstrap)
            .set_topics([self.input()])
            .set_bounded(thalweg_kafka::OffsetsInitializer::latest())
            .set_deserializer(values::<String>())
            .build()?;
        let lines = graph.source("lines", source, WatermarkStrategy::no_watermarks()).uid("lines");
        let counts = count(lines, self.conditions.unaligned);
        for topic in self.outputs() {
            let sink = KafkaSink::builder(&self.bootstrap)
                .set_topic(topic)
                .set_delivery_guarantee(thalweg_kafka::DeliveryGuarantee::ExactlyOnce)
                .set_property("transaction.timeout.ms", TRANSACTION_TIMEOUT.as_millis().to_string())
                .set_serializer(key_values::<String, String>())
                .build()?;
            let _ = sink.add_to(&counts.map("pair", |(key, line): (u32, String)| (key.to_string(), line)));
        }
        Ok(())
    }

    fn embedded(&self, graph: &StreamGraph, broker: &Broker) -> anyhow::Result<()> {
        let source = BrokerSource::builder(broker.client())
            .set_topics([self.input()])
            .set_bounded(thalweg_embedded::OffsetsInitializer::Latest)
            .build(|record: &Record<'_>| -> Result<String, BoxError> {
                Ok(String::from_utf8(record.value.unwrap_or_default().to_vec())?)
            })?;
        let lines = graph.source("lines", source, WatermarkStrategy::no_watermarks()).uid("lines");
        let counts = count(lines, self.conditions.unaligned);
        let write = |(key, line): &(u32, String), record: &mut RecordBuf| -> Result<(), BoxError> {
            record.key().extend_from_slice(key.to_string().as_bytes());
            record.value().extend_from_slice(line.as_bytes());
            Ok(())
        };
        for topic in self.outputs() {
            let sink = BrokerSink::builder(broker.client())
                .set_topic(topic)
                .set_delivery_guarantee(thalweg_embedded::DeliveryGuarantee::ExactlyOnce)
                .set_transaction_timeout(TRANSACTION_TIMEOUT)
                .build(write)?;
            let _ = sink.add_to(&counts);
        }
        Ok(())
    }

    fn files(&self, graph: &StreamGraph) {
        let source = TextFileSource::new(self.folder.join("in"));
        let lines = graph.source("lines", source, WatermarkStrategy::no_watermarks()).uid("lines");
        let write = |(_, line): &(u32, String), text: &mut Vec<u8>| text.extend_from_slice(line.as_bytes());
        let counts = count(lines, self.conditions.unaligned);
        let written = match self.kind {
            Kind::Store => counts.apply("write", StoreSink::new(&self.outputs().concat(), write)),
            _ => counts.apply("write", FileSink::new(self.folder.join("out"), write)),
        };
        let _ = written.uid("write");
    }
}

/// A broker that keeps its data in a folder.
///
/// # Errors
/// As the broker's.
pub fn broker(folder: &Path) -> anyhow::Result<Broker> {
    let storage = Storage::Directory(folder.to_owned());
    Ok(Broker::start(BrokerConfig { storage, auto_create_topics: false, ..BrokerConfig::default() })?)
}

/// Counts the keys, slowly enough for there to be a middle to be hurt in: where they are read, and, if there are to be records under way, even more slowly
/// where they are counted.
fn count(lines: Stream<String>, unaligned: bool) -> Stream<(u32, String)> {
    let slowly = |every: u32| {
        let mut seen = 0_u32;
        move || {
            seen += 1;
            if seen.is_multiple_of(every) {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    };
    let mut at_the_source = slowly(8);
    let keyed = lines.map("key", move |line: String| {
        at_the_source();
        Keyed::new(line.parse::<u32>().unwrap_or(u32::MAX), 1_u64)
    });
    let count =
        Reduce::new(|a, b| a + b, |key: &u32, count: &u64| (*key, Seen::line(*key, *count)), Emit::Each);
    let keyed = keyed.uid("key").exchange().unaligned();
    let mut at_the_count = slowly(6);
    let keyed = match unaligned {
        false => keyed,
        true => keyed.map("slow", move |keyed| {
            at_the_count();
            keyed
        }),
    };
    keyed.apply("count", count).uid("count")
}

/// Whether an error says that another instance owns the job.
pub fn gave_way(error: &JobError) -> bool {
    error.is_fatal() && error.to_string().contains("another instance of the job")
}
