//! Questions to a cluster: which topics there are, how far they reach, and where in them a time is.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};

use crate::client::{Connection, Heard, TIMEOUT, in_words};
use crate::count::Counter;
use crate::position::Position;
use crate::usage::Usage;

/// A topic as the cluster describes it.
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) partitions: Vec<Partition>,
}

impl Topic {
    /// How many copies there are.
    pub(crate) fn replicas(&self) -> usize {
        self.partitions.first().map_or(0, |partition| partition.replicas.len())
    }
}

/// A partition as the cluster describes it.
pub(crate) struct Partition {
    pub(crate) id: i32,
    pub(crate) leader: i32,
    pub(crate) replicas: Vec<i32>,
    pub(crate) in_sync: Vec<i32>,
}

/// A partition of a topic.
pub(crate) type TopicPartition = (String, i32);

/// A client that asks.
pub(crate) struct Cluster<'a> {
    connection: &'a Connection,
    heard: Heard,
    consumer: BaseConsumer<Heard>,
    /// Which records are counted, where they are: those that a reader of this level sees.
    isolation: &'a str,
}

impl<'a> Cluster<'a> {
    pub(crate) fn new(connection: &'a Connection) -> anyhow::Result<Self> {
        Self::create(connection, &[])
    }

    /// One that can look up and set the offsets of a group.
    pub(crate) fn of_group(connection: &'a Connection, group: &str) -> anyhow::Result<Self> {
        Self::create(connection, &[("group.id", group)])
    }

    fn create(connection: &'a Connection, properties: &[(&str, &str)]) -> anyhow::Result<Self> {
        let heard = Heard::default();
        // The ends of partitions are those of all records, open transactions included.
        let mut defaults = vec![("isolation.level", "read_uncommitted"), ("enable.auto.commit", "false")];
        defaults.extend(properties);
        let config = connection.config(&defaults)?;
        let created = config.create_with_context(heard.clone());
        let consumer = created.map_err(|error| connection.failed("set up a client", &error, &heard))?;
        Ok(Self { connection, heard, consumer, isolation: "read_committed" })
    }

    /// Has it count the records that a reader of this level sees. Otherwise those that are committed.
    pub(crate) fn counting(self, isolation: &'a str) -> Self {
        Self { isolation, ..self }
    }

    pub(crate) fn consumer(&self) -> &BaseConsumer<Heard> {
        &self.consumer
    }

    /// An error, with what librdkafka has said meanwhile.
    pub(crate) fn failed(&self, action: &str, error: &KafkaError) -> anyhow::Error {
        // Its errors wait to be picked up, one at a time, among other things.
        for _ in 0..100 {
            self.consumer.poll(Duration::ZERO);
        }
        self.connection.failed(action, error, &self.heard)
    }

    /// Finds out whether the cluster can be reached. Some questions of librdkafka fail late, or in other words.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let asked = self.consumer.fetch_metadata(None, TIMEOUT);
        asked.map(drop).map_err(|error| self.failed("ask the cluster", &error))
    }

    /// All topics, by name.
    pub(crate) fn topics(&self) -> anyhow::Result<Vec<Topic>> {
        let asked = self.consumer.fetch_metadata(None, TIMEOUT);
        let metadata = asked.map_err(|error| self.failed("list the topics", &error))?;
        let mut topics: Vec<_> = metadata.topics().iter().map(describe).collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    /// One topic.
    ///
    /// # Errors
    /// An unreachable cluster, or one that has no such topic.
    pub(crate) fn topic(&self, name: &str) -> anyhow::Result<Topic> {
        self.find_topic(name)?.ok_or_else(|| {
            anyhow!(
                "there is no topic '{name}' in the cluster at {at}, or this user may not see it; create it with \
                 `thalweg topics create {name}`, or see `thalweg topics list`",
                at = self.connection.bootstrap()
            )
        })
    }

    /// One topic, if it is there.
    pub(crate) fn find_topic(&self, name: &str) -> anyhow::Result<Option<Topic>> {
        let action = format!("look up topic '{name}'");
        let asked = self.consumer.fetch_metadata(Some(name), TIMEOUT);
        let metadata = asked.map_err(|error| self.failed(&action, &error))?;
        let Some(topic) = metadata.topics().first() else { return Ok(None) };
        match topic.error().map(Code::from) {
            None => Ok(Some(describe(topic)).filter(|topic| !topic.partitions.is_empty())),
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => Ok(None),
            Some(code) => bail!("cannot {action}: {}", in_words(code)),
        }
    }

    /// The partitions of a topic; only `chosen` ones, if any are.
    pub(crate) fn partitions(&self, topic: &str, chosen: &[i32]) -> anyhow::Result<Vec<TopicPartition>> {
        let all: Vec<_> = self.topic(topic)?.partitions.iter().map(|partition| partition.id).collect();
        if let Some(missing) = chosen.iter().find(|partition| !all.contains(partition)) {
            return Err(anyhow!("topic '{topic}' has no partition {missing}; it has {}", all.len()));
        }
        let wanted = all.into_iter().filter(|partition| chosen.is_empty() || chosen.contains(partition));
        Ok(wanted.map(|partition| (topic.to_owned(), partition)).collect())
    }

    /// Offsets at a position, for each of `partitions`; never outside of what the partition holds.
    pub(crate) fn offsets(&self, partitions: &[TopicPartition], at: Position) -> anyhow::Result<Vec<i64>> {
        let beginning = || self.list_offsets(partitions, Offset::Beginning);
        let end = || self.list_offsets(partitions, Offset::End);
        let bounded = |wanted: &dyn Fn(i64) -> i64| -> anyhow::Result<Vec<i64>> {
            let bounds = beginning()?.into_iter().zip(end()?);
            Ok(bounds.map(|(beginning, end)| wanted(end).max(beginning).min(end)).collect())
        };
        match at {
            Position::Beginning => beginning(),
            Position::End => end(),
            Position::Offset(offset) => bounded(&|_| offset),
            Position::Tail(0) => end(),
            Position::Tail(count) => {
                let ranges: Vec<_> = beginning()?.into_iter().zip(end()?).collect();
                self.count(partitions, &ranges, |counter, ranges| counter.back(ranges, count))
            }
            Position::Time(time) => {
                let found = self.list_offsets(partitions, Offset::Offset(time))?.into_iter();
                // Nothing is as young: -1.
                Ok(found.zip(end()?).map(|(found, end)| if found < 0 { end } else { found }).collect())
            }
        }
    }

    /// Offsets so many records behind others, or before them if it is less than 0; `at` says of each partition where it
    /// begins, the offset to count from, and where it ends. Never outside of that.
    pub(crate) fn shifted(
        &self,
        partitions: &[TopicPartition],
        at: &[(i64, i64, i64)],
        by: i64,
    ) -> anyhow::Result<Vec<i64>> {
        let within =
            |&(beginning, from, end): &(i64, i64, i64)| (beginning, from.max(beginning).min(end), end);
        let at = at.iter().map(within);
        if by < 0 {
            let ranges: Vec<_> = at.map(|(beginning, from, _)| (beginning, from)).collect();
            let count = by.checked_neg().unwrap_or(i64::MAX);
            return self.count(partitions, &ranges, |counter, ranges| counter.back(ranges, count));
        }
        let ranges: Vec<_> = at.map(|(_, from, end)| (from, end)).collect();
        self.count(partitions, &ranges, |counter, ranges| counter.forth(ranges, by))
    }

    /// Lets records be counted, topic by topic.
    fn count(
        &self,
        partitions: &[TopicPartition],
        ranges: &[(i64, i64)],
        count: impl Fn(&Counter<'_>, &[(i32, i64, i64)]) -> anyhow::Result<Vec<i64>>,
    ) -> anyhow::Result<Vec<i64>> {
        let mut topics: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (nth, (topic, _)) in partitions.iter().enumerate() {
            topics.entry(topic).or_default().push(nth);
        }
        let mut offsets = vec![0; partitions.len()];
        for (topic, places) in topics {
            let counter = Counter::new(self.connection, topic, self.isolation)?;
            let range = |nth: &usize| (partitions[*nth].1, ranges[*nth].0, ranges[*nth].1);
            let found = count(&counter, &places.iter().map(range).collect::<Vec<_>>())?;
            places.into_iter().zip(found).for_each(|(nth, offset)| offsets[nth] = offset);
        }
        Ok(offsets)
    }

    /// Kafka's ListOffsets: the offset in `what` is a time, or one of the two ends.
    fn list_offsets(&self, partitions: &[TopicPartition], what: Offset) -> anyhow::Result<Vec<i64>> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for (topic, partition) in partitions {
            list.add_partition_offset(topic, *partition, what)
                .context("an offset that librdkafka does not know")?;
        }
        let action = "look up offsets";
        let asked = self.consumer.offsets_for_times(list, TIMEOUT);
        let list = asked.map_err(|error| self.failed(action, &error))?;
        partitions
            .iter()
            .map(|(topic, partition)| {
                let Some(found) = list.find_partition(topic, *partition) else { return Ok(-1) };
                found.error().map_err(|error| self.failed(action, &error))?;
                Ok(match found.offset() {
                    Offset::Offset(offset) => offset,
                    _ => -1,
                })
            })
            .collect()
    }
}

fn describe(topic: &rdkafka::metadata::MetadataTopic) -> Topic {
    let mut partitions: Vec<_> = topic
        .partitions()
        .iter()
        .map(|partition| Partition {
            id: partition.id(),
            leader: partition.leader(),
            replicas: partition.replicas().to_vec(),
            in_sync: partition.isr().to_vec(),
        })
        .collect();
    partitions.sort_by_key(|partition| partition.id);
    Topic { name: topic.name().to_owned(), partitions }
}

/// Parses `TOPIC` or `TOPIC:PARTITION`.
pub(crate) fn topic_and_partition(text: &str) -> Result<(String, Option<i32>), String> {
    // ':' is no letter of a topic's name.
    match text.split_once(':') {
        None => Ok((text.to_owned(), None)),
        Some((topic, partition)) => match partition.parse() {
            Ok(partition) => Ok((topic.to_owned(), Some(partition))),
            Err(_) => Err("expected TOPIC or TOPIC:PARTITION".to_owned()),
        },
    }
}

/// Refuses a name that looks like a pattern: what is done to topics by name cannot be undone.
pub(crate) fn refuse_pattern(name: &str) -> anyhow::Result<()> {
    match name.contains(['*', '?', '^', '[', '\\']) {
        true => {
            Err(Usage(format!("'{name}' is no name; patterns are not taken here, give the names")).into())
        }
        false => Ok(()),
    }
}
