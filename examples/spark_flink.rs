//! Kafka to Kafka, through both models in one job, exactly once: values of a topic come in batches, cross the
//! bridge, and are counted continuously; each new count goes to the output topic.
//!
//! ```text
//! cargo run --release -p thalweg --example spark_flink -- --bootstrap HOST:PORT --topic values --output value-counts --until-end
//! ```

use std::path::PathBuf;

use clap::Parser;
use thalweg::prelude::*;

/// Counts equal values of a topic, and writes each count to another topic, exactly once.
#[derive(Parser)]
struct Args {
    /// The Kafka cluster: HOST:PORT, or several with commas between.
    #[arg(long)]
    bootstrap: String,
    /// The topic to read from.
    #[arg(long)]
    topic: String,
    /// The topic to write to: the key is the value counted, the value its count, as text.
    #[arg(long)]
    output: String,
    /// Stop at the end of what is there now.
    #[arg(long)]
    until_end: bool,
    /// Where checkpoints are kept: started again with the same folder, the program goes on where it was.
    #[arg(long, default_value = "spark-flink.checkpoints")]
    checkpoints: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let ssc = StreamingContext::new("spark-flink", Duration::from_secs(1));
    ssc.checkpoint(args.checkpoints)?;

    let mut source = KafkaSource::builder(&args.bootstrap)
        .set_topics([args.topic])
        .set_starting_offsets(OffsetsInitializer::earliest());
    if args.until_end {
        source = source.set_bounded(OffsetsInitializer::latest());
    }
    let source = source.set_deserializer(values::<String>()).build()?;
    let in_batches = KafkaUtils::create_direct_stream(&ssc, source)
        .map(|value| (value, 1_u64))
        .reduce_by_key(|a, b| a + b);

    let counts = in_batches.to_data_stream().key_by(|(value, _)| value.clone()).sum(|(_, n)| *n);
    let sink = KafkaSink::builder(&args.bootstrap)
        .set_topic(args.output)
        .set_delivery_guarantee(DeliveryGuarantee::ExactlyOnce)
        .set_serializer(key_values::<String, String>())
        .build()?;
    counts.map(|(value, count)| (value, count.to_string())).sink_to(sink);

    let controls_of = ssc.clone();
    ctrlc::set_handler(move || controls_of.stop(true))?;
    ssc.start()?;
    let result = ssc.await_termination()?;
    eprintln!("stopped; everything up to epoch {} is committed", result.epoch);
    Ok(())
}
