//! Flume in Spark's words: `FlumeUtils.createStream`.

use thalweg_connectors::flume::{FlumeEvent, FlumeReceiver};
use thalweg_dataflow::watermark::WatermarkStrategy;
use thalweg_dstream::{DStream, StreamingContext};

/// Makes streams of batches out of what Flume's agents send (Spark's `FlumeUtils`).
#[derive(Clone, Copy, Debug)]
pub struct FlumeUtils;

impl FlumeUtils {
    /// A stream of the events that the avro sinks of agents send to this address. At least once: see [`flume`](thalweg_connectors::flume).
    ///
    /// ```
    /// use thalweg::FlumeUtils;
    /// use thalweg::prelude::*;
    ///
    /// let ssc = StreamingContext::new("events", Duration::from_secs(1));
    /// let events = FlumeUtils::create_stream(&ssc, "0.0.0.0", 41414);
    /// events.map(|event| event.text()).print();
    /// ```
    pub fn create_stream(ssc: &StreamingContext, host: &str, port: u16) -> DStream<FlumeEvent> {
        Self::stream_of(ssc, FlumeReceiver::avro(host, port))
    }

    /// The same for any receiver, such as that of thrift sinks.
    pub fn stream_of(ssc: &StreamingContext, receiver: FlumeReceiver) -> DStream<FlumeEvent> {
        ssc.from_source(receiver.into_source(), WatermarkStrategy::no_watermarks(), "flume")
    }
}
