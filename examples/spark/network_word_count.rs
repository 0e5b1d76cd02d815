//! Counts the words of text that a server sends, second by second (Spark's `NetworkWordCount`).
//!
//! In one terminal `nc -lk 9999`, in another
//! `cargo run --release -p thalweg --example network_word_count -- localhost 9999`; then type.

use thalweg::prelude::*;

fn main() -> Result<(), BoxError> {
    let [host, port] = arguments()?;
    let ssc = StreamingContext::new("NetworkWordCount", Duration::from_secs(1));
    let lines = ssc.socket_text_stream(&host, port.parse()?);
    let words = lines.flat_map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    let counts = words.map(|word| (word, 1)).reduce_by_key(|a, b| a + b);
    counts.print();
    ssc.start()?;
    ssc.await_termination()?;
    Ok(())
}

fn arguments() -> Result<[String; 2], BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    arguments.try_into().map_err(|_| "usage: network_word_count HOST PORT".into())
}
