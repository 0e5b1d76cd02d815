//! Which topics a source reads.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::client::{Client, ClientContext};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::types::RDKafkaErrorCode as Code;
use regex::Regex;

use crate::error::KafkaError;

/// A partition of a topic. It is shown as Kafka does it: `topic-0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: String,
    /// The partition, counted from 0.
    pub partition: i32,
}

impl std::fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

impl TopicPartition {
    /// Partition `partition` of `topic`.
    pub fn new(topic: impl Into<String>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

/// Which topics a source reads.
#[derive(Debug, Clone)]
pub enum Subscription {
    /// All partitions of these topics. A topic that is not there is an error.
    Topics(Vec<String>),
    /// All partitions of the topics whose whole name matches, but for Kafka's own (`__consumer_offsets` …). No
    /// match is no error: a topic may come later.
    Pattern(Regex),
    /// These partitions.
    Partitions(BTreeSet<TopicPartition>),
}

impl Subscription {
    /// Topics by name.
    pub fn topics<S: Into<String>>(topics: impl IntoIterator<Item = S>) -> Self {
        Self::Topics(topics.into_iter().map(Into::into).collect())
    }

    /// Topics by a regular expression that matches the whole name.
    ///
    /// # Errors
    /// [`KafkaError::Pattern`] if it is none.
    pub fn pattern(pattern: &str) -> Result<Self, KafkaError> {
        Regex::new(&format!("^(?:{pattern})$"))
            .map(Self::Pattern)
            .map_err(|error| KafkaError::Pattern { pattern: pattern.to_owned(), reason: error.to_string() })
    }

    /// Partitions by topic and number.
    pub fn partitions(partitions: impl IntoIterator<Item = TopicPartition>) -> Self {
        Self::Partitions(partitions.into_iter().collect())
    }

    /// What is read, in words that do not depend on the order in which it was said.
    pub(crate) fn identity(&self) -> String {
        match self {
            Self::Topics(topics) => {
                let topics: BTreeSet<&str> = topics.iter().map(String::as_str).collect();
                format!("topics {}", topics.into_iter().collect::<Vec<_>>().join(", "))
            }
            Self::Pattern(pattern) => format!("topics like {pattern}"),
            Self::Partitions(partitions) => {
                let partitions: Vec<String> = partitions.iter().map(ToString::to_string).collect();
                format!("partitions {}", partitions.join(", "))
            }
        }
    }

    /// The partitions that there are now, in order.
    ///
    /// Asking before the first fetch also makes the consumer connect: without, the first record waits for 500 ms.
    ///
    /// # Errors
    /// An unreachable cluster, an unknown topic or partition, or one that this user may not read.
    pub(crate) fn resolve<C: ConsumerContext>(
        &self,
        consumer: &BaseConsumer<C>,
        bootstrap: &str,
        timeout: Duration,
    ) -> Result<BTreeSet<TopicPartition>, KafkaError> {
        match self {
            Self::Topics(topics) => {
                let mut found = BTreeSet::new();
                for topic in topics {
                    let count = partition_count(consumer.client(), bootstrap, topic, timeout)?;
                    found.extend((0..count).map(|partition| TopicPartition::new(topic, partition)));
                }
                Ok(found)
            }
            Self::Pattern(pattern) => {
                let metadata = consumer
                    .fetch_metadata(None, timeout)
                    .map_err(|error| KafkaError::from_client("list the topics", bootstrap, timeout, error))?;
                let matches = |name: &str| pattern.is_match(name) && !name.starts_with("__");
                let matching = metadata.topics().iter().filter(|topic| matches(topic.name()));
                Ok(matching
                    .flat_map(|topic| {
                        let partitions = topic.partitions().iter();
                        partitions.map(|partition| TopicPartition::new(topic.name(), partition.id()))
                    })
                    .collect())
            }
            Self::Partitions(partitions) => {
                for TopicPartition { topic, partition } in partitions {
                    let count = partition_count(consumer.client(), bootstrap, topic, timeout)?;
                    if !(0..count).contains(partition) {
                        return Err(KafkaError::UnknownPartition {
                            topic: topic.clone(),
                            partition: *partition,
                            count,
                        });
                    }
                }
                Ok(partitions.clone())
            }
        }
    }
}

/// How many partitions a topic has.
pub(crate) fn partition_count<C: ClientContext>(
    client: &Client<C>,
    bootstrap: &str,
    topic: &str,
    timeout: Duration,
) -> Result<i32, KafkaError> {
    let action = format!("look up topic '{topic}'");
    let metadata = client
        .fetch_metadata(Some(topic), timeout)
        .map_err(|error| KafkaError::from_client(&action, bootstrap, timeout, error))?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    match found.map(|found| (found.error().map(Code::from), found.partitions().len())) {
        Some((None, count)) if count > 0 => Ok(i32::try_from(count).unwrap_or(i32::MAX)),
        None | Some((None | Some(Code::UnknownTopicOrPartition | Code::UnknownTopic), _)) => {
            Err(KafkaError::UnknownTopic { topic: topic.to_owned(), bootstrap: bootstrap.to_owned() })
        }
        Some((Some(code), _)) => Err(KafkaError::from_client(
            &action,
            bootstrap,
            timeout,
            rdkafka::error::KafkaError::MetadataFetch(code),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_names() {
        let Subscription::Pattern(pattern) = Subscription::pattern("orders-[a-z]+|audit").unwrap() else {
            unreachable!()
        };
        assert!(pattern.is_match("orders-eu") && pattern.is_match("audit"));
        assert!(!pattern.is_match("old-orders-eu") && !pattern.is_match("audit-2"));
    }

    #[test]
    fn a_wrong_pattern_is_shown() {
        let error = Subscription::pattern("orders-(").unwrap_err().to_string();
        assert!(error.contains("'orders-('"), "{error}");
    }
}
