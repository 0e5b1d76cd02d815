//! From batches to event time.

use thalweg_dataflow::operators::BatchTime;
use thalweg_dataflow::record::Data;
use thalweg_dataflow::time::at_least_millis;
use thalweg_datastream::{DataStream, StreamExecutionEnvironment};
use thalweg_dstream::DStream;

/// Crosses over to the continuous model.
pub trait ToDataStream<T> {
    /// The same stream, continuous.
    ///
    /// - **Records** keep their event times, if the source of the stream has a `WatermarkStrategy` that makes
    ///   watermarks; one that has none gets the time of its batch. Without such a source event time begins
    ///   here, and all records get the time of their batch.
    /// - **Watermarks** pass; where event time begins here, the end of each batch is one.
    /// - **Barriers** pass: those that close batches go on as what they are, cuts through the whole job.
    fn to_data_stream(&self) -> DataStream<T>;
}

impl<T: Data> ToDataStream<T> for DStream<T> {
    fn to_data_stream(&self) -> DataStream<T> {
        let env = StreamExecutionEnvironment::over(self.context().job().clone());
        let interval = at_least_millis(self.slide_duration());
        let has_time = self.stream().has_event_time();
        let time = if has_time { BatchTime::passing(interval) } else { BatchTime::beginning(interval) };
        DataStream::over(env, self.stream().apply("batch-time", time))
    }
}
