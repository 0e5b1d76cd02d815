//! Kafka to Kafka, as tables: the lines of a topic are counted, and the counts go, by line, to another topic.
//!
//! ```text
//! cargo run --release -p thalweg --features sql --example table_kafka -- --bootstrap HOST:PORT --topic lines --output counts --until-end
//! ```

use std::path::PathBuf;

use clap::Parser;
use thalweg::prelude::*;
use thalweg::table::{Schema, StreamTableEnvironment, TableDescriptor};

/// Counts the lines of a topic, and writes each new count to another topic: the line is the key, JSON the value.
#[derive(Parser)]
struct Args {
    /// The Kafka cluster: HOST:PORT, or several with commas between.
    #[arg(long)]
    bootstrap: String,
    /// The topic to read lines from.
    #[arg(long)]
    topic: String,
    /// The topic to write to.
    #[arg(long)]
    output: String,
    /// Stop at the end of what is there now.
    #[arg(long)]
    until_end: bool,
    /// Where checkpoints are kept: started again with the same folder, the program goes on where it was.
    #[arg(long, default_value = "table-kafka.checkpoints")]
    checkpoints: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let env = StreamExecutionEnvironment::new();
    env.configure(|config| config.id = "table-kafka".to_owned());
    env.enable_checkpointing(Duration::from_secs(1), args.checkpoints)?;
    let tables = StreamTableEnvironment::create(&env);

    let mut source = KafkaSource::builder(&args.bootstrap)
        .set_topics([args.topic])
        .set_starting_offsets(OffsetsInitializer::earliest());
    if args.until_end {
        source = source.set_bounded(OffsetsInitializer::latest());
    }
    let source = source.set_deserializer(values::<String>()).build()?;
    let lines = env.from_source(source, WatermarkStrategy::no_watermarks(), "lines");

    let counts = tables
        .from_data_stream(&lines)?
        .as_(&["value"])?
        .group_by("value")?
        .select("value, count() AS `count`")?;

    let columns =
        Schema::new_builder().column("value", "STRING").column("count", "BIGINT").primary_key(&["value"]);
    let output = TableDescriptor::for_connector("upsert-kafka")
        .schema(columns.build())
        .option("properties.bootstrap.servers", &args.bootstrap)
        .option("topic", &args.output)
        .option("key.format", "raw")
        .option("value.format", "json")
        .option("sink.delivery-guarantee", "exactly-once")
        .option("sink.transactional-id-prefix", "table-kafka")
        .build();
    tables.create_temporary_table("output", &output)?;

    let job = counts.execute_insert("output")?;
    let controls = job.controls();
    ctrlc::set_handler(move || controls.stop())?;
    let result = job.wait()?;
    eprintln!("stopped at checkpoint {}", result.epoch);
    Ok(())
}
