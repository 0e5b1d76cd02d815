//! Kafka to files, by batches: lines of a topic are cut into words, counted batch by batch, and each batch is saved.
//!
//! ```text
//! cargo run --release -p thalweg --example spark_kafka -- --bootstrap HOST:PORT --topic lines --output counts --until-end
//! ```
//!
//! What Spark Streaming does with `createDirectStream`, `reduceByKey` and `foreachRDD`. A batch's file appears
//! when the batch is committed, so it is there once, whatever fails.

use std::path::PathBuf;

use clap::Parser;
use thalweg::prelude::*;

/// Counts the words of a topic, batch by batch, and saves each batch to a folder.
#[derive(Parser)]
struct Args {
    /// The Kafka cluster: HOST:PORT, or several with commas between.
    #[arg(long)]
    bootstrap: String,
    /// The topic to read lines from.
    #[arg(long)]
    topic: String,
    /// The folder to save to.
    #[arg(long)]
    output: PathBuf,
    /// Stop at the end of what is there now.
    #[arg(long)]
    until_end: bool,
    /// parquet, json or csv.
    #[arg(long, default_value = "parquet")]
    format: String,
    /// Seconds a batch lasts.
    #[arg(long, default_value_t = 1)]
    batch_seconds: u64,
    /// Where checkpoints are kept: started again with the same folder, the program goes on where it was.
    /// Default: OUTPUT.checkpoints
    #[arg(long)]
    checkpoints: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let ssc = StreamingContext::new("spark-kafka", Duration::from_secs(args.batch_seconds));
    ssc.checkpoint(args.checkpoints.unwrap_or_else(|| args.output.with_extension("checkpoints")))?;

    let mut source = KafkaSource::builder(args.bootstrap)
        .set_topics([args.topic])
        .set_starting_offsets(OffsetsInitializer::earliest());
    if args.until_end {
        source = source.set_bounded(OffsetsInitializer::latest());
    }
    let lines = KafkaUtils::create_direct_stream(&ssc, source.set_deserializer(values::<String>()).build()?);

    let words = lines.flat_map(|line: String| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    let counts = words.map(|word| (word, 1_i64)).reduce_by_key(|a, b| a + b);
    counts.foreach_rdd(move |rdd, time| {
        if rdd.is_empty() {
            return Ok(());
        }
        eprintln!("batch {time}: {} words", rdd.count());
        let df = rdd.to_df_named(&["word", "count"]);
        df.write().format(&args.format).mode(SaveMode::Append).save(&args.output)
    });

    let controls_of = ssc.clone();
    ctrlc::set_handler(move || controls_of.stop(true))?;
    ssc.start()?;
    let result = ssc.await_termination()?;
    eprintln!("stopped; everything up to epoch {} is saved", result.epoch);
    Ok(())
}
