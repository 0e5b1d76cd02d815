//! Asks somebody else about each record, twenty requests at a time (Flink's `AsyncIOExample`).
//!
//! `cargo run --release -p thalweg --example async_io`

use thalweg::prelude::*;

/// A client of a service that takes a while to answer.
async fn query(key: i64) -> Result<Option<String>, BoxError> {
    tokio::time::sleep(Duration::from_millis(20)).await;
    Ok(Some(format!("key{}: {key}", key % 10)))
}

fn main() -> Result<(), BoxError> {
    let env = StreamExecutionEnvironment::new();
    // Each subtask asks so many at a time, and keeps the order of its own records.
    env.set_parallelism(1);
    let keys = env.from_sequence(0, 399);
    let answers = AsyncDataStream::ordered_wait(&keys, query, Duration::from_secs(10), 20);
    answers.print();
    env.execute("Async IO Example: ORDERED")?;
    Ok(())
}
