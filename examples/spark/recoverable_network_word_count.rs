//! Counts the words that a server sends, goes on from a checkpoint when it is started again, and appends each batch's counts to a file (Spark's
//! `RecoverableNetworkWordCount`). Words that are not wanted are left out and counted.
//!
//! In one terminal `nc -lk 9999`, in another
//! `cargo run --release -p thalweg --example recoverable_network_word_count -- localhost 9999 checkpoints counts.txt`.

use std::fs::OpenOptions;
use std::io::Write;

use thalweg::prelude::*;

/// What Spark's program has in a broadcast variable: a closure holds what it needs.
const UNWANTED: [&str; 3] = ["a", "b", "c"];

fn create(host: &str, port: u16, output: &str) -> StreamingContext {
    let ssc = StreamingContext::new("RecoverableNetworkWordCount", Duration::from_secs(1));
    let words = ssc
        .socket_text_stream(host, port)
        .flat_map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    let output = output.to_owned();
    // What Spark's program has in an accumulator: all of a batch is handed to one call.
    let mut dropped = 0;
    words.map(|word| (word, 1)).reduce_by_key(|a, b| a + b).try_foreach_rdd(move |rdd, time| {
        let (unwanted, counts): (Vec<_>, Vec<_>) =
            rdd.collect().into_iter().partition(|(word, _)| UNWANTED.contains(&word.as_str()));
        dropped += unwanted.iter().map(|(_, n)| n).sum::<i32>();
        let counts: Vec<String> = counts.iter().map(|(word, n)| format!("({word}, {n})")).collect();
        let text = format!("Counts at time {time} ms [{}]", counts.join(", "));
        writeln!(OpenOptions::new().create(true).append(true).open(&output)?, "{text}")?;
        println!("{text}");
        println!("Dropped {dropped} word(s) totally");
        Ok(())
    });
    ssc
}

fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [host, port, checkpoints, output]: [String; 4] = arguments
        .try_into()
        .map_err(|_| "usage: recoverable_network_word_count HOST PORT CHECKPOINTS OUTPUT")?;
    let port = port.parse()?;
    let ssc = StreamingContext::get_or_create(checkpoints, |recovery: Recovery| {
        println!("{}", if recovery.is_recovery() { "Recovering" } else { "Creating new context" });
        Ok(create(&host, port, &output))
    })?;
    ssc.start()?;
    ssc.await_termination()?;
    Ok(())
}
