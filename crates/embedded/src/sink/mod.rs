//! The sink.
//!
//! With `AtLeastOnce`, every record is there when its checkpoint is complete, and after a failure some are there
//! twice. With `ExactlyOnce`, a record is there once, for those who read committed records only, when its checkpoint
//! is committed; see [`transactions`].

mod committer;
mod transactions;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use committer::BrokerCommitterFactory;
use thalweg_broker::LocalClient;
use thalweg_dataflow::graph::Stream;
use thalweg_dataflow::operator::OperatorContext;
use thalweg_dataflow::record::Data;
use thalweg_dataflow::sink::Sink;
use writer::{TransactionalWriter, WriteRecords, Writer};

use crate::error::EmbeddedError;
use crate::record::Serialize;

/// What a sink promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeliveryGuarantee {
    /// Every record is there when its checkpoint is complete; after a failure some are there twice.
    #[default]
    AtLeastOnce,
    /// Every record is there once, whatever fails.
    ExactlyOnce,
}

/// Writes records to a topic of an embedded broker.
pub struct BrokerSink<T> {
    settings: Settings,
    serializer: Arc<dyn WriteRecords<T>>,
}

#[derive(Debug, Clone)]
struct Settings {
    client: LocalClient,
    topic: String,
    guarantee: DeliveryGuarantee,
    transactional_id_prefix: Option<String>,
    transaction_timeout: Duration,
}

impl<T> Clone for BrokerSink<T> {
    fn clone(&self) -> Self {
        Self { settings: self.settings.clone(), serializer: Arc::clone(&self.serializer) }
    }
}

impl BrokerSink<()> {
    /// Begins a sink that writes to this broker.
    pub fn builder(client: LocalClient) -> BrokerSinkBuilder {
        BrokerSinkBuilder {
            client,
            topic: None,
            guarantee: DeliveryGuarantee::default(),
            transactional_id_prefix: None,
            transaction_timeout: Duration::from_secs(60),
        }
    }
}

impl<T: Data> Sink<T> for BrokerSink<T> {
    fn add_to(self, stream: &Stream<T>) -> Stream<()> {
        let topic = self.settings.topic.clone();
        if self.settings.guarantee != DeliveryGuarantee::ExactlyOnce {
            let sink = stream.apply_with("broker-sink", move |_| Ok(Writer::new(self.clone())));
            return sink.described(&topic);
        }
        let graph = stream.graph();
        let factory = graph.committer("embedded broker", || BrokerCommitterFactory::new(&self.settings));
        if !factory.join(&self.settings) {
            graph.refuse(
                "exactly-once sinks of different embedded brokers, or with different transactional ids or timeouts: \
                 they commit as one; give all of them the same",
            );
        }
        let write = move |_: &OperatorContext| Ok(TransactionalWriter::new(self.clone(), factory.clone()));
        stream.apply_with("broker-sink", write).described(&topic)
    }
}

/// Builds a [`BrokerSink`]. What must be set is the topic.
#[must_use = "a builder does nothing by itself"]
#[derive(Debug)]
pub struct BrokerSinkBuilder {
    client: LocalClient,
    topic: Option<String>,
    guarantee: DeliveryGuarantee,
    transactional_id_prefix: Option<String>,
    transaction_timeout: Duration,
}

impl BrokerSinkBuilder {
    /// The topic.
    pub fn set_topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// What is promised. Default: [`DeliveryGuarantee::AtLeastOnce`].
    pub fn set_delivery_guarantee(mut self, guarantee: DeliveryGuarantee) -> Self {
        self.guarantee = guarantee;
        self
    }

    /// What the transactional ids of an exactly-once job begin with. Default: the job's id. No two jobs that run at
    /// the same time may share it, and it must not change while a job has checkpoints.
    pub fn set_transactional_id_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.transactional_id_prefix = Some(prefix.into());
        self
    }

    /// When what a job has left open that does not come back is aborted. It must be longer than the checkpoint
    /// interval. Default: a minute.
    pub fn set_transaction_timeout(mut self, timeout: Duration) -> Self {
        self.transaction_timeout = timeout;
        self
    }

    /// The sink, writing records so. It asks the broker nothing before the job starts.
    ///
    /// # Errors
    /// If no topic was set.
    pub fn build<T>(self, serializer: impl Serialize<T>) -> Result<BrokerSink<T>, EmbeddedError> {
        let Self { client, topic, guarantee, transactional_id_prefix, transaction_timeout } = self;
        let topic = topic.ok_or(EmbeddedError::Missing("say where to write, with set_topic"))?;
        let settings = Settings { client, topic, guarantee, transactional_id_prefix, transaction_timeout };
        Ok(BrokerSink { settings, serializer: Arc::new(serializer) })
    }
}
