//! Flume in Spark's words: `FlumeUtils.createStream`.

use thalweg_connectors::flume::{FlumeEvent, FlumePollingReceiver, FlumeReceiver};
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

    /// A stream of the events that the agents at these addresses are asked for, which have Spark's sink. At least once: see
    /// [`FlumePollingReceiver`](thalweg_connectors::flume::FlumePollingReceiver).
    ///
    /// ```
    /// use thalweg::FlumeUtils;
    /// use thalweg::prelude::*;
    ///
    /// let ssc = StreamingContext::new("events", Duration::from_secs(1));
    /// let events = FlumeUtils::create_polling_stream(&ssc, [("agent.example.org", 41414)], 1_000, 5);
    /// events.map(|event| event.text()).print();
    /// ```
    pub fn create_polling_stream<'a>(
        ssc: &StreamingContext,
        addresses: impl IntoIterator<Item = (&'a str, u16)>,
        max_batch_size: u32,
        parallelism: usize,
    ) -> DStream<FlumeEvent> {
        let receiver =
            FlumePollingReceiver::new(addresses).max_batch_size(max_batch_size).parallelism(parallelism);
        ssc.from_source(receiver.into_source(), WatermarkStrategy::no_watermarks(), "flume")
    }

    /// The same as [`create_stream`](Self::create_stream) for any receiver, such as that of thrift sinks.
    pub fn stream_of(ssc: &StreamingContext, receiver: FlumeReceiver) -> DStream<FlumeEvent> {
        ssc.from_source(receiver.into_source(), WatermarkStrategy::no_watermarks(), "flume")
    }
}
