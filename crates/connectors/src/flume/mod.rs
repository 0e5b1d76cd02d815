//! Flume: events that agents send to us, as their sinks send them to another agent (Spark's `FlumeUtils.createStream`), and, by a [`FlumeSink`], events that we send to agents.
//!
//! | the agent's sink | receiver |
//! |---|---|
//! | `type = avro` | [`FlumeReceiver::avro`] |
//! | `type = thrift`, with its default `protocol = compact` | [`FlumeReceiver::thrift`] |
//! | `type = org.apache.spark.streaming.flume.sink.SparkSink`, which does not send, but waits to be asked (Spark's `createPollingStream`) | [`FlumePollingReceiver`] |
//!
//! - **Guarantee**: at least once. A batch is acknowledged when the checkpoint that holds it is committed (in a `DStream` without checkpoints: when the micro-batch that holds it is
//!   through; a `DataStream` without checkpoints has neither, and wants [`acknowledging_at_once`](FlumeReceiver::acknowledging_at_once)), and the agent keeps it in its channel until then; so neither a crash of the job nor one of an agent with a file channel loses any. After a crash of ours
//!   the agent sends again what was not acknowledged, though some of it may have been committed just before.
//! - **Settings of the agent**: it waits for an acknowledgement for `request-timeout` (20 s unless it is set): that must be longer than the time between two checkpoints, or
//!   everything is sent again and again. Each connection of it sends one batch a checkpoint: give its sink a large `batch-size`.
//! - **Failure**: an agent that goes away comes back when it likes. What is not of the protocol is told, and ends its connection, and nothing else. A port that is taken is told, and
//!   tried again every two seconds.
//! - **Memory**: a batch of an agent may have 64 MiB; 64 agents may be connected.
//! - One subtask listens, the first; to spread the work, rebalance the stream. It has to be on the machine that the agents send to.
//!
//! Spark's sink is tested in Flume 1.11, from `org.apache.spark:spark-streaming-flume-sink_2.11:2.4.7`. It was made for Flume 1.6: `avro-ipc` 1.8.2,
//! Netty 3.5, Jackson 1.9 and Scala 2.11 have to be in the class path before Flume's own jars, as `scripts/flume` puts them; the agent can have no avro source or sink of Flume's then.
//!
//! Compression (`compression-type`) and TLS of the agent's sink are not here.

mod avro;
pub mod polling;
mod server;
pub mod sink;
mod thrift;

use std::collections::BTreeMap;

pub use polling::FlumePollingReceiver;
use serde::{Deserialize, Serialize};
use server::{Protocol, serve};
pub use sink::FlumeSink;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::source::{Receiver, ReceiverSource, Store};

use crate::contract::{Guarantee, Promise};

/// What Flume carries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlumeEvent {
    /// What interceptors and sources have said of it: `timestamp`, `host`.
    pub headers: BTreeMap<String, String>,
    /// The event itself: of a line of text, its bytes without the end.
    pub body: Vec<u8>,
}

impl FlumeEvent {
    /// The body as text; what is not UTF-8 in it is U+FFFD.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Listens for agents. See the [module](self).
///
/// ```
/// use thalweg_connectors::flume::FlumeReceiver;
/// use thalweg_dataflow::graph::StreamGraph;
/// use thalweg_dataflow::watermark::WatermarkStrategy;
///
/// let graph = StreamGraph::new();
/// let source = FlumeReceiver::avro("0.0.0.0", 41414).into_source();
/// let events = graph.source("flume", source, WatermarkStrategy::no_watermarks());
/// let lines = events.map("text", |event| event.text());
/// # let _ = lines;
/// ```
#[derive(Clone, Debug)]
pub struct FlumeReceiver {
    host: String,
    port: u16,
    protocol: Protocol,
    at_once: bool,
}

impl FlumeReceiver {
    /// For avro sinks. The host is the address to listen at: `0.0.0.0` for any.
    pub fn avro(host: &str, port: u16) -> Self {
        Self { host: host.to_owned(), port, protocol: Protocol::Avro, at_once: false }
    }

    /// For thrift sinks.
    pub fn thrift(host: &str, port: u16) -> Self {
        Self { host: host.to_owned(), port, protocol: Protocol::Thrift, at_once: false }
    }

    /// A batch is acknowledged when the job has taken it over, before it is part of any checkpoint: so what is under way at a crash of the job is lost.
    #[must_use]
    pub fn acknowledging_at_once(mut self) -> Self {
        self.at_once = true;
        self
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// A source of it, that is known by its address.
    pub fn into_source(self) -> ReceiverSource<Self> {
        let address = self.address();
        ReceiverSource::of(self).described(address)
    }
}

impl Receiver for FlumeReceiver {
    type Item = FlumeEvent;

    fn receive(&mut self, store: &Store<FlumeEvent>) -> Result<(), BoxError> {
        serve(self, store)
    }
}

impl Promise for FlumeReceiver {
    fn place(&self) -> String {
        format!("Flume's agents at {}", self.address())
    }

    fn guarantee(&self) -> Guarantee {
        if self.at_once { Guarantee::BestEffort } else { Guarantee::AtLeastOnce }
    }

    fn because(&self) -> String {
        if self.at_once {
            return "batches are acknowledged before they are part of a checkpoint".to_owned();
        }
        "an agent sends a batch again whose acknowledgement it has not seen, and batches have no numbers"
            .to_owned()
    }
}
