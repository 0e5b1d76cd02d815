//! Counts the words of text files that appear in a folder (by a rename), batch by batch (Spark's `HdfsWordCount`), and writes the counts into another folder, exactly once.
//!
//! A folder may be in HDFS or in S3, or on this machine. With an HDFS that `scripts/hdfs start` has printed the address of:
//!
//! ```sh
//! cargo run --release -p thalweg --features hdfs --example hdfs_word_count -- hdfs://127.0.0.1:8020/in hdfs://127.0.0.1:8020/out hdfs://127.0.0.1:8020/checkpoints
//! echo "deep and fast" | scripts/hdfs shell -put - /in/one.txt; scripts/hdfs shell -cat '/out/part-*'
//! ```

use thalweg::connectors::store::StoreSink;
use thalweg::prelude::*;

fn main() -> Result<(), BoxError> {
    let [input, output, checkpoints] = arguments()?;
    let create = |_: thalweg::dstream::Recovery| {
        let ssc = StreamingContext::new("HdfsWordCount", Duration::from_secs(2));
        let lines = ssc.text_file_stream(&input);
        let words = lines.flat_map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        let counts = words.map(|word| (word, 1)).reduce_by_key(|a, b| a + b);
        counts.print();
        let lines = counts.map(|(word, count)| format!("{word}\t{count}"));
        if output.contains("://") {
            lines.sink_to(StoreSink::lines(&output));
        } else {
            let format = |line: &String, out: &mut Vec<u8>| out.extend_from_slice(line.as_bytes());
            lines.sink_to(FileSink::new(&output, format));
        }
        Ok::<_, JobError>(ssc)
    };
    let ssc = StreamingContext::get_or_create(&checkpoints, create)?;
    ssc.start()?;
    ssc.await_termination()?;
    Ok(())
}

fn arguments() -> Result<[String; 3], BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    arguments.try_into().map_err(|_| {
        "usage: hdfs_word_count INPUT OUTPUT CHECKPOINTS, folders of this machine, hdfs://… or s3://…".into()
    })
}
