//! How many of the blocks that several streams of a server bring have "the" in them (Spark's `RawNetworkGrep`). A block is behind its length in four
//! bytes.
//!
//! `cargo run --release -p thalweg --example raw_network_grep -- STREAMS HOST PORT BATCH_MILLIS`

use thalweg::prelude::*;

fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [streams, host, port, batch]: [String; 4] =
        arguments.try_into().map_err(|_| "usage: raw_network_grep STREAMS HOST PORT BATCH_MILLIS")?;
    let ssc = StreamingContext::new("RawNetworkGrep", Duration::from_millis(batch.parse()?));
    let (streams, port) = (streams.parse::<u32>()?, port.parse()?);
    let all = ssc.union((0..streams).map(|_| ssc.raw_socket_stream(&host, port)));
    let with_the = all.filter(|block| String::from_utf8_lossy(block).contains("the"));
    with_the.count().foreach_rdd(|rdd, _| rdd.for_each(|count| println!("Grep count: {count}")));
    ssc.start()?;
    ssc.await_termination()?;
    Ok(())
}
