//! What a test can do to a broker: move its clock, fail or lose its answers, hold back markers, fill its disk.
//!
//! Requests over sockets meet faults; the in-process client does not. As long as none is set, a request pays one
//! relaxed load for the possibility.

pub(crate) mod rules;

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::ApiKey;

use crate::error::BrokerError;
use crate::faults::rules::{Held, Rule};
use crate::state::State;

/// The topic that Kafka has for what groups write down.
const OFFSETS: &str = "__consumer_offsets";

/// The APIs whose answer can be an error of a test's choice. `api/faulty` has the answers.
pub(crate) const CAN_FAIL: &[ApiKey] = &[
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::ListOffsets,
    ApiKey::Metadata,
    ApiKey::OffsetCommit,
    ApiKey::OffsetFetch,
    ApiKey::FindCoordinator,
    ApiKey::JoinGroup,
    ApiKey::Heartbeat,
    ApiKey::SyncGroup,
    ApiKey::CreateTopics,
    ApiKey::InitProducerId,
    ApiKey::AddPartitionsToTxn,
    ApiKey::AddOffsetsToTxn,
    ApiKey::EndTxn,
    ApiKey::TxnOffsetCommit,
];

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It is not carried out. The answer has this error wherever that API has room for one: in every partition,
    /// topic or coordinator that was asked for, or else once.
    Fail(ResponseError),
    /// It is carried out that much later, and what its client sends behind it waits.
    Delay(Duration),
    /// It is not answered, and neither is anything that comes after it on the same connection, as if the network
    /// were gone; the client has to find out by itself.
    Drop(Lost),
    /// The connection is closed instead of an answer.
    Disconnect(Lost),
}

/// Which way it was when it got lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// The request: it is not carried out.
    Request,
    /// The answer: it is carried out.
    Answer,
}

/// What a request says of itself, for whoever decides whether it meets a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Asked {
    /// The API.
    pub api: ApiKey,
    /// Its version.
    pub version: i16,
    /// Client id; empty if none.
    pub client_id: String,
    /// Names of the topics in it.
    pub topics: Vec<String>,
    /// The transactional id, of APIs that have one.
    pub transactional_id: Option<String>,
    /// The group, of APIs that have one.
    pub group: Option<String>,
}

impl Asked {
    /// Whether it names this topic.
    pub fn has_topic(&self, name: &str) -> bool {
        self.topics.iter().any(|topic| topic == name)
    }
}

/// A fault that was set.
#[derive(Debug, Clone)]
pub struct Injected {
    rule: Arc<Rule>,
}

impl Injected {
    /// How many requests have met it.
    pub fn hits(&self) -> usize {
        self.rule.hits()
    }

    /// No further request meets it.
    pub fn lift(&self) {
        self.rule.lift();
    }
}

/// The hooks of one broker; see [`Broker::faults`](crate::Broker::faults).
///
/// ```
/// use thalweg_broker::{ApiKey, Broker, BrokerConfig, Fault, ResponseError};
///
/// let broker = Broker::start(BrokerConfig::default())?;
/// let fault = Fault::Fail(ResponseError::NotLeaderOrFollower);
/// let failed = broker.faults().on(ApiKey::Produce, |asked| asked.has_topic("lines"), fault, 2)?;
/// // A producer that writes to "lines" has to try three times.
/// assert_eq!(failed.hits(), 0);
/// # Ok::<(), thalweg_broker::BrokerError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Faults<'a> {
    state: &'a State,
}

impl<'a> Faults<'a> {
    pub(crate) fn new(state: &'a State) -> Self {
        Self { state }
    }

    /// Puts the broker's clock forward. When this returns, what has become due meanwhile has happened: sessions of
    /// silent members are over, transactions that were left open are aborted, old records are gone,
    /// and logs are compacted.
    pub fn advance_clock(&self, by: Duration) {
        self.state.clock.advance(by);
        self.state.tick();
        self.state.topics.upkeep().settle();
        self.state.topics.upkeep().cleaner().settle(self.state);
        // It sleeps until a time that may have passed.
        self.state.alarm.now();
    }

    /// Lets the next `times` requests of an API that `meets` picks meet a fault. If several faults are set for the
    /// same request, it meets the one set first.
    ///
    /// # Errors
    ///
    /// If the fault is [`Fault::Fail`] and the API has no answer for that here.
    pub fn on(
        &self,
        api: ApiKey,
        meets: impl Fn(&Asked) -> bool + Send + Sync + 'static,
        fault: Fault,
        times: usize,
    ) -> Result<Injected, BrokerError> {
        if matches!(fault, Fault::Fail(_)) && !CAN_FAIL.contains(&api) {
            return Err(BrokerError::Fault(format!(
                "requests of {api:?} cannot be failed; drop them instead"
            )));
        }
        let rule = Arc::new(Rule::new(api, Box::new(meets), fault, times));
        self.state.faults.add(Arc::clone(&rule));
        Ok(Injected { rule })
    }

    /// Holds back the markers of a transactional id: those of one partition, or else all, and its groups' offsets.
    /// Its transactions are decided and answered, but readers do not see that yet, and until the markers are
    /// released its producer is told [`ResponseError::ConcurrentTransactions`]. One that speaks the second version of
    /// transactions has its next epoch by then, and is told so when it produces.
    pub fn hold_markers(&self, transactional_id: &str, partition: Option<(&str, i32)>) {
        let place = partition.map(|(topic, partition)| (topic.to_owned(), partition));
        self.state.faults.hold(Held { transactional_id: transactional_id.to_owned(), place });
    }

    /// Lets go of all markers of a transactional id that were held back. They are written when this returns.
    pub fn release_markers(&self, transactional_id: &str) {
        self.state.faults.release(transactional_id);
        self.state.tick();
    }

    /// Lets every write to a partition fail for want of space, until [`Faults::free_disk`]. In a data folder, what
    /// groups write down goes to partition 0 of `__consumer_offsets`, as it is in Kafka, though there is no such topic.
    ///
    /// # Errors
    ///
    /// If there is no such partition.
    pub fn fill_disk(&self, topic: &str, partition: i32) -> Result<(), BrokerError> {
        self.set_full(topic, partition, true)
    }

    /// Undoes [`Faults::fill_disk`].
    ///
    /// # Errors
    ///
    /// If there is no such partition.
    pub fn free_disk(&self, topic: &str, partition: i32) -> Result<(), BrokerError> {
        self.set_full(topic, partition, false)
    }

    fn set_full(&self, topic: &str, partition: i32, full: bool) -> Result<(), BrokerError> {
        let none = || BrokerError::Fault(format!("there is no partition {partition} of topic {topic:?}"));
        if (topic, partition) == (OFFSETS, 0) && self.state.groups.set_full(full) {
            return Ok(());
        }
        let (_, partition) = self.state.topics.partition(topic, partition).ok_or_else(none)?;
        partition.set_full(full);
        Ok(())
    }
}
