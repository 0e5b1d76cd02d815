//! What most programs need: `use thalweg::prelude::*`.

pub use std::time::Duration;

pub use thalweg_bridge::{ToDStream, ToDataStream};
pub use thalweg_connectors::files::{FileSink, TextFileSource};
pub use thalweg_dataflow::OutputTag;
pub use thalweg_dataflow::error::{BoxError, JobError};
pub use thalweg_dataflow::runtime::{JobHandle, JobResult, RestartStrategy};
pub use thalweg_dataflow::source::{DataGeneratorSource, RddQueue, Receiver, Store};
pub use thalweg_dataflow::state::{
    AggregatingState, ListState, MapState, ReducingState, StateTtlConfig, States, ValueState,
};
pub use thalweg_dataflow::time::Timestamp;
pub use thalweg_dataflow::watermark::WatermarkStrategy;
pub use thalweg_dataflow::window::aggregate::{self, AggregateFunction};
pub use thalweg_dataflow::window::evictor::{CountEvictor, DeltaEvictor, TimeEvictor};
pub use thalweg_dataflow::window::trigger::{
    ContinuousEventTimeTrigger, ContinuousProcessingTimeTrigger, CountTrigger, DeltaTrigger,
    EventTimeTrigger, ProcessingTimeTrigger, PurgingTrigger,
};
pub use thalweg_dataflow::window::{
    EventTimeSessionWindows, GlobalWindows, ProcessingTimeSessionWindows, SlidingEventTimeWindows,
    SlidingProcessingTimeWindows, TimeWindow, TumblingEventTimeWindows, TumblingProcessingTimeWindows,
};
pub use thalweg_datastream::cep::{AfterMatchSkipStrategy, Cep, Pattern, PatternMatch};
pub use thalweg_datastream::{
    AsyncDataStream, AsyncFunction, AsyncRetryStrategy, CoProcessFunction, Collector, ContextOf, DataStream,
    KeyedCoProcessFunction, KeyedProcessContext, KeyedProcessFunction, KeyedStream, OnTimer, ProcessContext,
    ProcessFunction, RuntimeContext, StreamExecutionEnvironment, WindowedStream,
};
pub use thalweg_dstream::{DStream, DataFrame, Rdd, SaveMode, State, StateSpec, StreamingContext};
#[cfg(feature = "kafka")]
pub use thalweg_kafka::{
    DeliveryGuarantee, KafkaSink, KafkaSource, OffsetResetStrategy, OffsetsInitializer, TopicPartition,
    record::{
        BadRecordPolicy, ConsumerRecord, KafkaDeserializer, KafkaSerializer, ProducerRecordBuf, key_values,
        values,
    },
};

#[cfg(feature = "kafka")]
pub use crate::{DirectStream, KafkaUtils};
