//! What most programs need: `use thalweg::prelude::*`.

pub use std::time::Duration;

pub use thalweg_bridge::{ToDStream, ToDataStream};
pub use thalweg_connectors::files::{FileSink, RollingPolicy, TextFileSource};
pub use thalweg_dataflow::OutputTag;
pub use thalweg_dataflow::error::{BoxError, JobError};
pub use thalweg_dataflow::runtime::{JobControls, JobHandle, JobResult, RestartStrategy};
pub use thalweg_dataflow::source::{DataGeneratorSource, RddQueue, Receiver, Store};
pub use thalweg_dataflow::state::{
    AggregatingState, ListState, MapState, ReducingState, StateTtlConfig, States, ValueState,
};
pub use thalweg_dataflow::time::{NO_TIMESTAMP, Timestamp};
pub use thalweg_dataflow::watermark::{WatermarkGenerator, WatermarkOutput, WatermarkStrategy};
pub use thalweg_dataflow::window::aggregate::{self, AggregateFunction};
pub use thalweg_dataflow::window::evictor::{CountEvictor, DeltaEvictor, TimeEvictor};
pub use thalweg_dataflow::window::trigger::{
    ContinuousEventTimeTrigger, ContinuousProcessingTimeTrigger, CountTrigger, DeltaTrigger,
    EventTimeTrigger, ProcessingTimeTrigger, PurgingTrigger,
};
pub use thalweg_dataflow::window::{
    EventTimeSessionWindows, GlobalWindows, ProcessWindowFunction, ProcessingTimeSessionWindows,
    SlidingEventTimeWindows, SlidingProcessingTimeWindows, TimeWindow, TumblingEventTimeWindows,
    TumblingProcessingTimeWindows, WindowContextOf,
};
pub use thalweg_datastream::cep::{
    AfterMatchSkipStrategy, Cep, Pattern, PatternMatch, PatternProcessFunction,
};
pub use thalweg_datastream::{
    AsyncDataStream, AsyncFunction, AsyncRetryStrategy, BroadcastContextOf, BroadcastProcessFunction,
    BroadcastState, BroadcastStream, CoContextOf, CoProcessFunction, Collector, ConnectedStreams, ContextOf,
    DataStream, IntervalJoinContext, KeyedBroadcastProcessFunction, KeyedCoProcessFunction,
    KeyedProcessContext, KeyedProcessFunction, KeyedStream, OnTimer, ProcessContext, ProcessFunction,
    RuntimeContext, RuntimeMode, Sink, StreamExecutionEnvironment, WindowedStream,
};
pub use thalweg_dstream::{
    BatchInfo, DStream, DataFrame, PidRate, Rdd, Recovery, SaveMode, State, StateSpec, StreamingContext,
    StreamingListener,
};
#[cfg(feature = "kafka")]
pub use thalweg_kafka::{
    DeliveryGuarantee, KafkaSink, KafkaSource, OffsetResetStrategy, OffsetsInitializer, TopicPartition,
    record::{
        BadRecordPolicy, ConsumerRecord, Json, KafkaDeserializer, KafkaSerializer, ProducerRecordBuf, json,
        key_values, values,
    },
};

#[cfg(feature = "sql")]
pub use crate::spark_sql::SparkSession;
#[cfg(feature = "kafka")]
pub use crate::{DirectStream, KafkaUtils};
