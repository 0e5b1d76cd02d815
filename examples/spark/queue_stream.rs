//! Batches out of a queue that is fed while the job runs: how often each last digit occurs (Spark's `QueueStream`).
//!
//! `cargo run --release -p thalweg --example queue_stream`

use thalweg::prelude::*;

const BATCH: Duration = Duration::from_millis(200);

fn main() -> Result<(), BoxError> {
    let ssc = StreamingContext::new("QueueStream", BATCH);
    let queue = RddQueue::new();
    let numbers = ssc.queue_stream_from(&queue, true, vec![]);
    numbers.map(|n| (n % 10, 1)).reduce_by_key(|a, b| a + b).print();
    ssc.start()?;
    for _ in 0..5 {
        queue.push((1..=1000).collect());
        std::thread::sleep(BATCH);
    }
    queue.close();
    ssc.await_termination()?;
    Ok(())
}
