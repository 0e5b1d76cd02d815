//! From `DStream` to `DataStream` and back, inside one job.
//!
//! A micro-batch is what lies between two barriers, and both faces stand on the same barriers. So a stream
//! crosses over without being written anywhere: the edge is handed over as it is, in the same job, under the
//! same checkpoints. Nothing is lost or doubled that would not be without the bridge, and watermarks pass.
//!
//! ```
//! use std::time::Duration;
//! use thalweg_bridge::{ToDStream, ToDataStream};
//! use thalweg_datastream::TumblingEventTimeWindows;
//! use thalweg_dstream::StreamingContext;
//!
//! let ssc = StreamingContext::new("both", Duration::from_millis(10));
//! let words = ssc.queue_stream(vec![vec!["deep", "fast", "deep"], vec!["deep"]]);
//! let counts = words.map(|word| (word.to_string(), 1)).reduce_by_key(|a, b| a + b);
//! // Continuous from here on: what came out of a batch has the batch's time.
//! let per_hour = counts.to_data_stream().key_by(|(word, _)| word.clone());
//! let totals = per_hour.window(TumblingEventTimeWindows::of(Duration::from_secs(3600))).sum(|(_, n)| *n);
//! // And in batches again.
//! totals.to_dstream(Duration::from_millis(20)).foreach_rdd(|rdd, _| println!("{:?}", rdd.collect()));
//! ssc.start()?;
//! ssc.await_termination()?;
//! # Ok::<(), thalweg_dstream::JobError>(())
//! ```

mod to_data_stream;
mod to_dstream;

pub use to_data_stream::ToDataStream;
pub use to_dstream::ToDStream;
