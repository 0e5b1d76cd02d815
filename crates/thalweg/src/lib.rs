//! Thalweg: one engine, two faces, from Kafka to Kafka.

pub use thalweg_connectors as connectors;
pub use thalweg_dataflow as dataflow;
pub use thalweg_datastream as datastream;
pub use thalweg_dstream as dstream;
