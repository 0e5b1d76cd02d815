//! Micro-batches in the words of Spark Streaming, over the Thalweg engine.

mod context;
mod data_frame;
mod pair;
mod rdd;
mod stream;

pub use context::StreamingContext;
pub use data_frame::{ColumnType, DataFrame, DataFrameError, DataFrameWriter, Field, SaveMode};
pub use rdd::{Publish, Rdd};
pub use stream::DStream;
pub use thalweg_dataflow::error::{BoxError, JobError};
pub use thalweg_dataflow::runtime::{JobResult, RestartStrategy};
