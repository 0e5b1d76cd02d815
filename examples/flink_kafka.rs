//! Kafka to Kafka, continuously, exactly once: `key,number` lines of a topic are aggregated by key; each new
//! aggregate goes to the output topic.
//!
//! ```text
//! cargo run --release -p thalweg --example flink_kafka -- --bootstrap HOST:PORT --topic readings --output means --until-end
//! ```

use std::path::PathBuf;

use clap::Parser;
use thalweg::prelude::*;

/// Averages the numbers of `key,number` lines by key, and writes each new average to another topic, exactly once.
#[derive(Parser)]
struct Args {
    /// The Kafka cluster: HOST:PORT, or several with commas between.
    #[arg(long)]
    bootstrap: String,
    /// The topic to read `key,number` lines from. A line of another form fails the job, with its place.
    #[arg(long)]
    topic: String,
    /// The topic to write to: the key, and as value its average, as text.
    #[arg(long)]
    output: String,
    /// Stop at the end of what is there now.
    #[arg(long)]
    until_end: bool,
    /// Where checkpoints are kept: started again with the same folder, the program goes on where it was.
    #[arg(long, default_value = "flink-kafka.checkpoints")]
    checkpoints: PathBuf,
}

fn parse(line: &str) -> Result<(String, f64), BoxError> {
    let (key, number) =
        line.split_once(',').ok_or_else(|| format!("'{line}' is not of the form key,number"))?;
    let number = number.trim().parse().map_err(|error| format!("'{line}': {error}"))?;
    Ok((key.trim().to_owned(), number))
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let env = StreamExecutionEnvironment::new();
    env.enable_checkpointing(Duration::from_secs(1), args.checkpoints)?;

    let mut source = KafkaSource::builder(&args.bootstrap)
        .set_topics([args.topic])
        .set_starting_offsets(OffsetsInitializer::earliest());
    if args.until_end {
        source = source.set_bounded(OffsetsInitializer::latest());
    }
    let source = source.set_deserializer(values::<String>()).build()?;
    let lines = env.from_source(source, WatermarkStrategy::for_monotonous_timestamps(), "readings");

    let averages = lines
        .try_map(|line| parse(&line))
        .key_by(|(key, _)| key.clone())
        .aggregate(aggregate::Average::new(|(_, number): &(String, f64)| *number))
        .map(|(key, average)| (key, average.map(|average| format!("{average:.3}"))));

    let sink = KafkaSink::builder(&args.bootstrap)
        .set_topic(args.output)
        .set_delivery_guarantee(DeliveryGuarantee::ExactlyOnce)
        .set_serializer(key_values::<String, Option<String>>())
        .build()?;
    averages.sink_to(sink);

    let job = env.execute_async("flink-kafka")?;
    let controls = job.controls();
    ctrlc::set_handler(move || controls.stop())?;
    let result = job.wait()?;
    eprintln!("stopped; everything up to epoch {} is committed", result.epoch);
    Ok(())
}
