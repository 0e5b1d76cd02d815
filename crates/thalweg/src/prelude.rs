//! What most programs need: `use thalweg::prelude::*`.

pub use std::time::Duration;

pub use thalweg_bridge::{ToDStream, ToDataStream};
pub use thalweg_connectors::files::{FileSink, TextFileSource};
pub use thalweg_dataflow::OutputTag;
pub use thalweg_dataflow::error::{BoxError, JobError};
pub use thalweg_dataflow::runtime::{JobResult, RestartStrategy};
pub use thalweg_dataflow::watermark::WatermarkStrategy;
pub use thalweg_dataflow::window::aggregate::{self, AggregateFunction};
pub use thalweg_dataflow::window::{
    EventTimeSessionWindows, ProcessingTimeSessionWindows, SlidingEventTimeWindows,
    SlidingProcessingTimeWindows, TimeWindow, TumblingEventTimeWindows, TumblingProcessingTimeWindows,
};
pub use thalweg_datastream::{
    DataStream, KeyedCoProcessFunction, KeyedProcessContext, KeyedProcessFunction, KeyedStream, OnTimer,
    StreamExecutionEnvironment, WindowedStream,
};
pub use thalweg_dstream::{DStream, DataFrame, Rdd, SaveMode, StreamingContext};
#[cfg(feature = "kafka")]
pub use thalweg_kafka::{
    DeliveryGuarantee, KafkaSink, KafkaSource, OffsetResetStrategy, OffsetsInitializer, TopicPartition,
    record::{ConsumerRecord, KafkaDeserializer, KafkaSerializer, ProducerRecordBuf, key_values, values},
};

#[cfg(feature = "kafka")]
pub use crate::{DirectStream, KafkaUtils};
