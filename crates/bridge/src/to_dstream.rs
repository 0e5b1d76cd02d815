//! From event time to batches.

use std::time::Duration;

use thalweg_dataflow::record::Data;
use thalweg_datastream::DataStream;
use thalweg_dstream::{DStream, StreamingContext};

/// Crosses over to the micro-batch model.
pub trait ToDStream<T> {
    /// The same stream, in batches of `interval` (whole milliseconds): each holds what has come since the last one.
    ///
    /// - **Records** keep their event times, which decide nothing here: a record belongs to the batch in which
    ///   it arrives.
    /// - **Watermarks** pass, and wait for the end of the batch behind operators that work batch by batch.
    /// - **Barriers** of the job come at the greatest common divisor of all intervals in it; those at multiples
    ///   of `interval` close these batches.
    fn to_dstream(&self, interval: Duration) -> DStream<T>;
}

impl<T: Data> ToDStream<T> for DataStream<T> {
    fn to_dstream(&self, interval: Duration) -> DStream<T> {
        let context = StreamingContext::over(self.environment().job().clone(), interval);
        context.stream(self.stream().clone())
    }
}
