//! Micro-batches in the words of Spark Streaming, over the Thalweg engine.
//!
//! A [`StreamingContext`] cuts its streams into batches. A [`DStream`] is such a stream: what is said of it
//! is done to each batch, or over windows of batches. Where a whole batch is wanted, it is an [`Rdd`], which
//! can be saved, also as a [`DataFrame`]; what it saves becomes visible when the batch is committed, exactly
//! once.

mod batches;
mod context;
mod data_frame;
mod foreach_rdd;
mod join;
mod listener;
mod map_with_state;
mod pair;
mod print;
mod rdd;
mod recovery;
mod reduce;
mod stream;
mod transform;
mod window;

pub use batches::Remembered;
pub use context::StreamingContext;
pub use data_frame::{ColumnType, DataFrame, DataFrameError, DataFrameWriter, Field, IntoSaveMode, SaveMode};
pub use listener::{BatchInfo, BatchStarted, OutputOperation, ReceiverInfo, StreamingListener};
pub use map_with_state::MapWithStateDStream;
pub use rdd::{CoGrouped, Rdd};
pub use recovery::{CreateContext, Recovery};
pub use stream::DStream;
pub use thalweg_dataflow::error::{BoxError, Fallible as ForeachResult, JobError};
pub use thalweg_dataflow::metrics::JobMetrics;
pub use thalweg_dataflow::operators::{State, StateSpec};
pub use thalweg_dataflow::runtime::{JobResult, PidRate, Progress, RestartStrategy};
