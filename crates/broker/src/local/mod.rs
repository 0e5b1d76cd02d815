//! The in-process client: reads and writes without a socket, with the semantics of one.
//!
//! Everything ends in the functions that the API handlers call. Nothing here is async: calls act in the thread that
//! makes them, and only [`LocalConsumer::poll`] waits. A client does not keep its broker alive; when that is gone,
//! every call says so.

mod batch;
mod builder;
mod consumer;
mod error;
mod offsets;
mod partitioner;
mod producer;
mod wait;

pub use batch::{Batch, Headers, Record, Records};
pub use consumer::LocalConsumer;
pub use error::LocalError;
pub use offsets::{GroupOffset, OffsetOf};
pub use producer::{LocalProducer, LocalRecord, ProducerOptions};

use std::sync::{Arc, Weak};

use kafka_protocol::ResponseError;

use crate::log::partition::{Isolation, Partition};
use crate::state::State;
use crate::topics::Topic;

/// A client in the broker's process; see [`Broker::client`](crate::Broker::client).
///
/// ```
/// use std::time::Duration;
/// use thalweg_broker::{Broker, BrokerConfig, Isolation, LocalRecord, ProducerOptions};
///
/// let broker = Broker::start(BrokerConfig::default())?;
/// broker.create_topic("lines", 1)?;
/// let client = broker.client();
/// let mut producer = client.producer(ProducerOptions::default())?;
/// producer.send(LocalRecord::to("lines").key(b"k").value(b"v"))?;
/// producer.flush()?;
///
/// let mut consumer = client.consumer(Isolation::ReadCommitted);
/// consumer.assign("lines", 0, 0);
/// for batch in consumer.poll(Duration::from_secs(1))? {
///     for record in batch.records() {
///         assert_eq!(record?.value, Some(&b"v"[..]));
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct LocalClient {
    state: Weak<State>,
}

impl LocalClient {
    pub(crate) fn new(state: &Arc<State>) -> Self {
        Self { state: Arc::downgrade(state) }
    }

    /// Whether both are clients of the same broker.
    pub fn is_of_same_broker(&self, other: &Self) -> bool {
        Weak::ptr_eq(&self.state, &other.state)
    }

    /// Names of all topics, and how many partitions each has.
    ///
    /// # Errors
    ///
    /// If the broker has stopped.
    pub fn topics(&self) -> Result<Vec<(String, i32)>, LocalError> {
        let topics = upgrade(&self.state)?.topics.list();
        Ok(topics.iter().map(|topic| (topic.name.clone(), topic.partition_count())).collect())
    }

    /// How many partitions a topic has; `None` if there is no such topic.
    ///
    /// # Errors
    ///
    /// If the broker has stopped.
    pub fn partition_count(&self, topic: &str) -> Result<Option<i32>, LocalError> {
        Ok(upgrade(&self.state)?.topics.get(topic).map(|topic| topic.partition_count()))
    }

    /// The id of a topic, `None` if there is no such topic. Another topic that gets the name later has another id.
    ///
    /// # Errors
    ///
    /// If the broker has stopped.
    pub fn topic_id(&self, topic: &str) -> Result<Option<u128>, LocalError> {
        Ok(upgrade(&self.state)?.topics.get(topic).map(|topic| topic.id.as_u128()))
    }

    /// A consumer that has no partitions yet. It is in no group.
    pub fn consumer(&self, isolation: Isolation) -> LocalConsumer {
        LocalConsumer::new(self.state.clone(), isolation)
    }

    /// A producer, idempotent or transactional.
    ///
    /// # Errors
    ///
    /// If the transactional id cannot be taken over now ([`ResponseError::ConcurrentTransactions`]: later it can), or
    /// its timeout is out of range.
    pub fn producer(&self, options: ProducerOptions) -> Result<LocalProducer, LocalError> {
        LocalProducer::new(self.state.clone(), options)
    }
}

/// The broker, while it is there.
fn upgrade(state: &Weak<State>) -> Result<Arc<State>, LocalError> {
    state.upgrade().filter(|state| !state.stopping.is_told()).ok_or(LocalError::Stopped)
}

fn partition(state: &State, topic: &str, index: i32) -> Result<(Arc<Topic>, Arc<Partition>), LocalError> {
    state
        .topics
        .partition(topic, index)
        .ok_or_else(|| LocalError::at(ResponseError::UnknownTopicOrPartition, topic, index))
}
