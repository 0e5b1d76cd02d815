//! Micro-batches in the words of Spark Streaming, over the Thalweg engine.

mod context;
mod pair;
mod stream;

pub use context::StreamingContext;
pub use stream::DStream;
pub use thalweg_dataflow::error::{BoxError, JobError};
pub use thalweg_dataflow::runtime::{JobResult, RestartStrategy};
