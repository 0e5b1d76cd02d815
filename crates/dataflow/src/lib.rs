//! The stream engine of Thalweg: graph, operators, time, state, checkpoints, runtime. It knows no Kafka and no SQL.
//!
//! On every edge of a dataflow there travel, in order: batches of records, watermarks, barriers, and the end. A
//! barrier is a consistent cut through the whole graph; Spark's batch boundary and Flink's checkpoint barrier
//! are both that.

pub mod barrier;
pub mod cep;
mod chain;
pub mod checkpoint;
mod collector;
pub mod debug_hook;
pub mod error;
pub mod graph;
pub mod harness;
pub mod hash;
pub mod key_group;
pub mod metrics;
pub mod operator;
pub mod operators;
mod output;
pub mod printed;
pub mod record;
pub mod runtime;
pub mod sink;
pub mod source;
pub mod state;
pub mod tell;
pub mod time;
mod type_name;
pub mod watermark;
pub mod window;

pub use output::{Output, OutputTag};
