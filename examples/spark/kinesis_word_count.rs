//! Counts the words of a Kinesis stream, batch by batch (Spark's `KinesisWordCountASL`), and writes the counts of each batch into a topic of Kafka, exactly once: the word is the
//! key, how often it was in the batch the value.
//!
//! Started again with the same folder for checkpoints, it goes on where it was. Region, credentials and address are those of the environment; with a stand-in for Kinesis:
//!
//! ```sh
//! scripts/kinesis start; eval "$(scripts/kinesis env)"
//! cargo run --release -p thalweg --features kinesis --example kinesis_word_count -- lines localhost:9092 counts kinesis.checkpoints
//! ```

use thalweg::KinesisInputDStream;
use thalweg::connectors::kinesis::StartAt;
use thalweg::prelude::*;

fn main() -> Result<(), BoxError> {
    let [stream, brokers, topic, checkpoints] = arguments()?;
    let ssc = StreamingContext::new("KinesisWordCount", Duration::from_secs(1));
    ssc.checkpoint(checkpoints)?;
    let lines = KinesisInputDStream::builder()
        .streaming_context(&ssc)
        .stream_name(&stream)
        .initial_position(StartAt::TrimHorizon)
        .build_with_message_handler(|record| String::from_utf8_lossy(&record.data).into_owned())?;
    let words = lines.flat_map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    let counts = words.map(|word| (word, 1_u64)).reduce_by_key(|a, b| a + b);
    counts.print();
    let kafka = KafkaSink::builder(brokers)
        .set_topic(topic)
        .set_delivery_guarantee(DeliveryGuarantee::ExactlyOnce)
        .set_serializer(key_values::<String, String>())
        .build()?;
    counts.map(|(word, count)| (word, count.to_string())).sink_to(kafka);
    ssc.start()?;
    ssc.await_termination()?;
    Ok(())
}

fn arguments() -> Result<[String; 4], BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    arguments.try_into().map_err(|_| "usage: kinesis_word_count STREAM BROKERS TOPIC CHECKPOINTS".into())
}
