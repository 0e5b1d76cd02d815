//! Reads and writes topics of an embedded broker that runs in the same process: no socket, no client library.
//!
//! [`BrokerSource`] and [`BrokerSink`] use the words of the Kafka source and sink, and keep the same promises. What
//! they write, any Kafka client reads.

mod error;
mod record;
mod sink;
mod source;

pub use error::EmbeddedError;
pub use record::{Deserialize, RecordBuf, Serialize};
pub use sink::{BrokerSink, BrokerSinkBuilder, DeliveryGuarantee};
pub use source::{
    BadRecordPolicy, BrokerSource, BrokerSourceBuilder, BrokerSourceReader, OffsetResetStrategy,
    OffsetsInitializer,
};
