//! Counts the words of a Kinesis stream, and writes every new count into a topic of Kafka, exactly once (Flink's `WordCount`, from `KinesisStreamsSource` to `KafkaSink`).
//!
//! Started again with the same folder for checkpoints, it goes on where it was. Region, credentials and address are those of the environment; with a stand-in for Kinesis:
//!
//! ```sh
//! scripts/kinesis start; eval "$(scripts/kinesis env)"
//! cargo run --release -p thalweg --features kinesis --example kinesis_to_kafka -- lines localhost:9092 counts kinesis.checkpoints
//! ```

use thalweg::connectors::kinesis::{KinesisSource, StartAt};
use thalweg::prelude::*;

fn main() -> Result<(), BoxError> {
    let [stream, brokers, topic, checkpoints] = arguments()?;
    let env = StreamExecutionEnvironment::new();
    env.enable_checkpointing(Duration::from_secs(1), checkpoints)?;
    let source = KinesisSource::new(&stream).start_at(StartAt::TrimHorizon);
    let lines = env.from_source(source, WatermarkStrategy::no_watermarks(), "kinesis");
    let words = lines.flat_map(|record, out| {
        let line = String::from_utf8_lossy(&record.data);
        line.split_whitespace().for_each(|word| out.collect(word.to_owned()));
    });
    let counts = words.key_by(String::clone).count();
    let kafka = KafkaSink::builder(brokers)
        .set_topic(topic)
        .set_delivery_guarantee(DeliveryGuarantee::ExactlyOnce)
        .set_serializer(key_values::<String, String>())
        .build()?;
    counts.map(|(word, count)| (word, count.to_string())).sink_to(kafka);
    env.execute("KinesisToKafka")?;
    Ok(())
}

fn arguments() -> Result<[String; 4], BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    arguments.try_into().map_err(|_| "usage: kinesis_to_kafka STREAM BROKERS TOPIC CHECKPOINTS".into())
}
