//! The marker: which epoch a transaction committed, kept by Kafka as part of that transaction.
//!
//! It is an offset commit, whose metadata is the [`Marker`] (`thalweg-epoch=17;generation=3;instance=…`). It stands under the group
//! `<transactional id>-thalweg`, which nobody consumes with, so that it is never in the way of the offsets of a
//! source; and at partition 0 of every topic that the job's exactly-once sinks write to, so that it is found
//! when sinks are added or removed, as long as one of them stays.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, ConsumerGroupMetadata};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::{Offset, TopicPartitionList};
use thalweg_dataflow::checkpoint::committer::Marker;

use crate::client::{self, patiently};
use crate::config::KafkaProperties;
use crate::error::KafkaError;

/// Reads the marker, and says how to write it: there is one, in several places.
pub(super) struct MarkerKeeper {
    consumer: BaseConsumer<Logged>,
    group: String,
    topics: Vec<String>,
    bootstrap: Arc<str>,
    timeout: Duration,
}

/// A consumer that only logs.
struct Logged;

impl ClientContext for Logged {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: ClientError, reason: &str) {
        client::log_error(&error, reason);
    }
}

impl ConsumerContext for Logged {}

impl MarkerKeeper {
    pub(super) fn new(
        properties: &KafkaProperties,
        transactional_id: &str,
        topics: Vec<String>,
    ) -> Result<Self, KafkaError> {
        let (bootstrap, timeout) = (Arc::from(properties.bootstrap()), properties.api_timeout()?);
        let group = format!("{transactional_id}-thalweg");
        let config = properties.marker_consumer(&group)?;
        let consumer = BaseConsumer::from_config_and_context(&config, Logged)
            .map_err(|error| KafkaError::from_client("create a consumer", &bootstrap, timeout, error))?;
        Ok(Self { consumer, group, topics, bootstrap, timeout })
    }

    /// The marker of the last transaction that was committed.
    pub(super) fn read(&self) -> Result<Option<Marker>, KafkaError> {
        patiently(self.timeout, |left| self.ask(left))
    }

    fn ask(&self, timeout: Duration) -> Result<Option<Marker>, KafkaError> {
        let action = || format!("read the last committed epoch (group '{}')", self.group);
        let failed = |error| KafkaError::from_client(&action(), &self.bootstrap, self.timeout, error);
        let mut asked = TopicPartitionList::new();
        for topic in &self.topics {
            asked.add_partition(topic, 0);
        }
        let answer = self.consumer.committed_offsets(asked, timeout).map_err(failed)?;
        let mut newest = None;
        for element in answer.elements() {
            element.error().map_err(failed)?;
            newest = Marker::newer(newest, Marker::parse(element.metadata()));
        }
        Ok(newest)
    }

    /// The offset commit that carries `marker`.
    pub(super) fn of(&self, marker: &Marker) -> Result<TopicPartitionList, ClientError> {
        let mut list = TopicPartitionList::new();
        for topic in &self.topics {
            let mut element = list.add_partition(topic, 0);
            element.set_offset(Offset::Offset(i64::try_from(marker.epoch).unwrap_or(i64::MAX)))?;
            element.set_metadata(marker.to_string());
        }
        Ok(list)
    }

    /// Where it is, in words.
    pub(super) fn place(&self) -> String {
        format!(
            "group '{}', topics {}, of the cluster at {}",
            self.group,
            self.topics.join(", "),
            self.bootstrap
        )
    }

    /// The group that it is committed under.
    pub(super) fn group(&self) -> Option<ConsumerGroupMetadata> {
        self.consumer.group_metadata()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let topics = vec!["a".to_owned(), "b".to_owned()];
        let keeper = MarkerKeeper::new(&KafkaProperties::new("localhost:1"), "job", topics).unwrap();
        let marker = Marker { epoch: 17, generation: 3, instance: "me".to_owned() };
        let list = keeper.of(&marker).unwrap();
        assert_eq!(list.count(), 2);
        let read =
            list.elements().iter().map(|element| Marker::parse(element.metadata())).collect::<Vec<_>>();
        assert_eq!(read, [Some(marker.clone()), Some(marker)]);
        assert_eq!((Marker::parse(""), Marker::parse("thalweg-epoch=x")), (None, None));
    }
}
