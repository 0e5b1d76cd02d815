//! Counts the events that Flume's agents send, second by second, and prints the first of them (Spark's `FlumeEventCount`).
//!
//! The agent's sink is an avro sink to this address. With a real agent, which takes lines out of files:
//!
//! ```sh
//! cargo run --release -p thalweg --example flume_event_count -- 0.0.0.0 41414
//! scripts/flume start --to 127.0.0.1:41414      # prints the folder that it takes files out of
//! ```

use thalweg::FlumeUtils;
use thalweg::prelude::*;

fn main() -> Result<(), BoxError> {
    let [host, port] = arguments()?;
    let ssc = StreamingContext::new("FlumeEventCount", Duration::from_secs(1));
    let events = FlumeUtils::create_stream(&ssc, &host, port.parse()?);
    events.count().map(|count| format!("Received {count} flume events.")).print();
    events.map(|event| event.text()).print_n(3);
    ssc.start()?;
    ssc.await_termination()?;
    Ok(())
}

fn arguments() -> Result<[String; 2], BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    arguments.try_into().map_err(|_| "usage: flume_event_count HOST PORT, the address to listen at".into())
}
