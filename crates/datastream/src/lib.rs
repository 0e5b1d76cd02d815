//! Continuous event-time streams in the words of Flink, over the Thalweg engine.
//!
//! ```
//! use thalweg_datastream::StreamExecutionEnvironment;
//!
//! let env = StreamExecutionEnvironment::new();
//! let lines = env.from_collection(vec!["deep and fast".to_owned(), "fast and deep".to_owned()]);
//! let counts = lines
//!     .flat_map(|line: String, out| line.split(' ').for_each(|word| out.collect((word.to_owned(), 1))))
//!     .key_by(|(word, _)| word.clone())
//!     .sum(|(_, n)| *n);
//! let mut counts = counts.execute_and_collect("words")?;
//! counts.sort();
//! assert_eq!(counts.last(), Some(&("fast".to_owned(), 2)));
//! # Ok::<(), thalweg_datastream::JobError>(())
//! ```

mod async_data_stream;
mod broadcast;
pub mod cep;
mod collect_async;
mod connected;
mod environment;
mod join;
mod keyed;
mod stream;
mod triggered;
mod window;

pub use async_data_stream::AsyncDataStream;
pub use broadcast::{BroadcastConnectedStream, BroadcastStream};
pub use collect_async::CollectedAsync;
pub use connected::ConnectedStreams;
pub use environment::{RuntimeMode, StreamExecutionEnvironment};
pub use join::{BoundedIntervalJoin, IntervalJoined, JoinedByKey, JoinedStreams, JoinedWhere, WindowedJoin};
pub use keyed::KeyedStream;
pub use stream::{Collector, DataStream};
pub use thalweg_dataflow::OutputTag;
pub use thalweg_dataflow::error::{BoxError, JobError};
pub use thalweg_dataflow::operator::OperatorContext as RuntimeContext;
pub use thalweg_dataflow::operators::{
    AsyncFunction, AsyncRetryStrategy, AsyncWait, BroadcastContextOf, BroadcastProcessFunction,
    BroadcastState, CoContextOf, CoProcessFunction, ContextOf, IntervalJoinContext,
    KeyedBroadcastProcessFunction, KeyedCoProcessFunction, KeyedProcessContext, KeyedProcessFunction,
    OnTimer, ProcessContext, ProcessFunction,
};
pub use thalweg_dataflow::runtime::{JobHandle, JobResult, RestartStrategy};
pub use thalweg_dataflow::sink::Sink;
pub use thalweg_dataflow::watermark::{WatermarkGenerator, WatermarkOutput, WatermarkStrategy};
pub use thalweg_dataflow::window::{
    EventTimeSessionWindows, GlobalWindows, ProcessWindowFunction, ProcessingTimeSessionWindows,
    SlidingEventTimeWindows, SlidingProcessingTimeWindows, TimeWindow, TumblingEventTimeWindows,
    TumblingProcessingTimeWindows, WindowAssigner, WindowContext, WindowContextOf, aggregate, evictor,
    trigger,
};
pub use triggered::TriggeredStream;
pub use window::WindowedStream;
