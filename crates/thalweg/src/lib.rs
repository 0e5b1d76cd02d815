#![doc = include_str!("../../../README.md")]

mod flume_utils;
#[cfg(feature = "kafka")]
mod kafka_utils;
#[cfg(feature = "kinesis")]
mod kinesis_utils;
pub mod prelude;
#[cfg(feature = "sql")]
pub mod spark_sql;
#[cfg(feature = "sql")]
pub mod table;

pub use flume_utils::FlumeUtils;
#[cfg(feature = "kafka")]
pub use kafka_utils::{DirectStream, KafkaUtils};
#[cfg(feature = "kinesis")]
pub use kinesis_utils::{KinesisInputDStream, KinesisInputDStreamBuilder, KinesisUtils};
pub use thalweg_bridge as bridge;
pub use thalweg_connectors as connectors;
pub use thalweg_dataflow as dataflow;
pub use thalweg_datastream as datastream;
pub use thalweg_dstream as dstream;
#[cfg(feature = "kafka")]
pub use thalweg_kafka as kafka;
#[cfg(feature = "ml")]
pub use thalweg_ml as ml;
#[cfg(feature = "ml-sql")]
pub use thalweg_ml_table as ml_table;
#[cfg(feature = "sql")]
pub use thalweg_table as sql;
