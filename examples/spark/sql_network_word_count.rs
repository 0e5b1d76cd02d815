//! Counts the words of text that a server sends, batch by batch, in SQL (Spark's `SqlNetworkWordCount`).
//!
//! In one terminal `nc -lk 9999`, in another
//! `cargo run --release -p thalweg --features sql --example sql_network_word_count -- localhost 9999`; then type.

use serde::{Deserialize, Serialize};
use thalweg::prelude::*;

/// A row of the table.
#[derive(Clone, Serialize, Deserialize)]
struct Record {
    word: String,
}

fn main() -> Result<(), BoxError> {
    let [host, port] = arguments()?;
    let ssc = StreamingContext::new("SqlNetworkWordCount", Duration::from_secs(2));
    let lines = ssc.socket_text_stream(&host, port.parse()?);
    let words = lines.flat_map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>());
    let spark = SparkSession::new();
    words.try_foreach_rdd(move |rdd, time| {
        let words = spark.create_data_frame(&rdd.map(|word| Record { word }))?;
        words.create_or_replace_temp_view("words")?;
        let counts = spark.sql("select word, count(*) as total from words group by word")?;
        println!("========= {time} =========");
        counts.show()?;
        Ok(())
    });
    ssc.start()?;
    ssc.await_termination()?;
    Ok(())
}

fn arguments() -> Result<[String; 2], BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    arguments.try_into().map_err(|_| "usage: sql_network_word_count HOST PORT".into())
}
