//! Counts the words of files in a folder of HDFS, S3 or this machine, and writes every new count into another one, exactly once (Flink's `WordCount`, from `FileSource` to `FileSink`).
//!
//! ```sh
//! scripts/s3 start; eval "$(scripts/s3 env)"
//! cargo run --release -p thalweg --features s3 --example store_word_count -- README.md "$THALWEG_S3/counts" "$THALWEG_S3/checkpoints"
//! ```

use thalweg::connectors::store::StoreSink;
use thalweg::prelude::*;

fn main() -> Result<(), BoxError> {
    let [input, output, checkpoints] = arguments()?;
    let env = StreamExecutionEnvironment::new();
    env.enable_checkpointing(Duration::from_secs(5), checkpoints)?;
    let lines = env.read_text_file(input);
    let words =
        lines.flat_map(|line, out| line.split_whitespace().for_each(|word| out.collect(word.to_lowercase())));
    let counts = words.key_by(String::clone).count();
    let _ = counts.map(|(word, count)| format!("{word}\t{count}")).sink_to(StoreSink::lines(&output));
    env.execute("StoreWordCount")?;
    Ok(())
}

fn arguments() -> Result<[String; 3], BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    arguments
        .try_into()
        .map_err(|_| "usage: store_word_count INPUT OUTPUT CHECKPOINTS; OUTPUT is hdfs://… or s3://…".into())
}
