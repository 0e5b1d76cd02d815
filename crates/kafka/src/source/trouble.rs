//! What happens to a reader's partitions while it reads: topics that are gone or were made anew, positions that the log has left
//! behind, batches that cannot be read, and a bound that is not there yet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::{Offset, TopicPartitionList};
use thalweg_dataflow::source::SourceStatus;
use thalweg_dataflow::time::millis;

use super::beginning::Claim;
use super::partition::{Partition, Trouble};
use super::rate::RateLimit;
use super::reader::KafkaSourceReader;
use crate::error::KafkaError;
use crate::offsets::{OffsetResetStrategy, OffsetsInitializer};
use crate::subscription::{TopicPartition, partition_count};
use crate::topic_ids::Described;

impl<T: Send + 'static> KafkaSourceReader<T> {
    /// Learns of topics that are gone or were made anew.
    pub(super) fn look_at_topics(&mut self) -> Result<(), KafkaError> {
        let Some(watch) = &mut self.watch else { return Ok(()) };
        let read = self.partitions.iter().filter(|partition| !partition.is_finished());
        let names = || read.clone().map(|partition| partition.name.topic.clone()).collect();
        let topics = watch.poll(&self.consumer, &self.context, names);
        for (topic, described) in &topics {
            match described {
                Described::Absent => self.gone(topic)?,
                Described::NoId if self.away.remove(topic).is_some() => self.begin_anew(topic, &topics)?,
                Described::NoId => {}
                Described::Id(id) => {
                    let was_away = self.away.remove(topic).is_some();
                    let is_other = |partition: &Partition| {
                        partition.name.topic == *topic
                            && partition.id.as_ref().is_some_and(|known| known != id)
                    };
                    if was_away || self.partitions.iter().any(is_other) {
                        self.begin_anew(topic, &topics)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// A topic is not there any more. Whoever wants to go on without what is lost waits for it to be made anew; nothing is fetched
    /// of it meanwhile, as it would be from the old position.
    fn gone(&mut self, topic: &str) -> Result<(), KafkaError> {
        let now = self.context.clock.now();
        let is_new = !self.away.contains_key(topic);
        let since = *self.away.entry(topic.to_owned()).or_insert(now);
        let is_over = now.saturating_sub(since) > millis(self.timeout);
        if self.source.settings.reset == OffsetResetStrategy::None || is_over {
            return Err(self.unknown(topic));
        }
        if let Some(watch) = &mut self.watch {
            watch.hasten(now);
        }
        if !is_new {
            return Ok(());
        }
        tracing::warn!(
            topic,
            "the topic is not there any more; it is waited for {:?} for it to be made anew",
            self.timeout
        );
        let mut list = TopicPartitionList::new();
        let of_topic = |partition: &&mut Partition| partition.name.topic == topic && !partition.is_finished();
        for partition in self.partitions.iter_mut().filter(of_topic) {
            partition.detach();
            partition.is_away = true;
            list.add_partition(topic, partition.name.partition);
        }
        self.consumer.incremental_unassign(&list).map_err(|error| self.error("stop reading", error))
    }

    fn unknown(&self, topic: &str) -> KafkaError {
        KafkaError::UnknownTopic { topic: topic.to_owned(), bootstrap: self.bootstrap.to_string() }
    }

    /// A topic was made anew while it was read: goes on where the user says, if he does.
    fn begin_anew(&mut self, topic: &str, topics: &BTreeMap<String, Described>) -> Result<(), KafkaError> {
        let count = partition_count(self.consumer.client(), &self.bootstrap, topic, self.timeout)?;
        let strategy = self.source.settings.reset;
        let of_topic = self.partitions.iter().filter(|partition| partition.name.topic == topic);
        let claims: Vec<Claim> = of_topic
            .filter(|partition| partition.name.partition < count)
            .map(|partition| Claim {
                partition: partition.name.clone(),
                next: partition.next,
                id: partition.id.clone(),
                strategy,
            })
            .collect();
        let starts = self.fit(claims, topics)?;
        let ends = self.ends(&starts, &BTreeMap::new())?;
        let now = self.context.clock.now();
        let id = topics.get(topic).and_then(Described::id);
        for partition in self.partitions.iter_mut().filter(|partition| partition.name.topic == topic) {
            let name = partition.name.clone();
            let former_split = partition.split.take();
            let Some(start) = starts.get(&name).copied() else {
                tracing::warn!(partition = %name, "the topic that was made anew has fewer partitions; this one is not there");
                (partition.former_split, partition.end) = (former_split, Some(partition.next));
                partition.consumed_to(partition.next);
                continue;
            };
            let end = ends.get(&name);
            let fresh = Partition::new(&self.bootstrap, name, id.cloned(), start, end.map(|(end, _)| *end));
            *partition = fresh;
            partition.former_split = former_split;
            partition.end_is_there = end.is_some_and(|(_, is_there)| *is_there);
            partition.rate = self.source.settings.max_rate.map(|rate| RateLimit::new(rate, now));
        }
        self.renew()
    }

    /// Deals with what a partition cannot.
    pub(super) fn see_to(&mut self, index: usize, trouble: Trouble) -> Result<SourceStatus, KafkaError> {
        let name = self.partitions[index].name.clone();
        match trouble {
            Trouble::EndOfLog => {
                let there = self.look_up(&OffsetsInitializer::Latest, &BTreeSet::from([name.clone()]))?;
                let partition = &mut self.partitions[index];
                let is_there = |end| there.get(&name).is_some_and(|there| *there >= end);
                if partition.end.is_some_and(is_there) {
                    // It has come meanwhile. Whether something that is to be seen came with it shows when the end is
                    // reached once more.
                    partition.end_is_there = true;
                    self.renew()?;
                }
            }
            Trouble::Gone => self.gone(&name.topic)?,
            Trouble::OutOfRange => {
                let topics = self.describe(&BTreeSet::from([name.topic.clone()]))?;
                let Partition { next, id, .. } = &self.partitions[index];
                match topics.get(&name.topic) {
                    Some(Described::Absent) => {
                        self.gone(&name.topic)?;
                        return Ok(SourceStatus::Ready);
                    }
                    Some(Described::Id(present)) if id.as_ref().is_some_and(|id| id != present) => {
                        self.begin_anew(&name.topic, &topics)?;
                        return Ok(SourceStatus::Ready);
                    }
                    _ => {}
                }
                let strategy = self.source.settings.reset;
                let claim = Claim { partition: name.clone(), next: *next, id: id.clone(), strategy };
                let starts = self.fit(vec![claim], &topics)?;
                if let Some(start) = starts.get(&name) {
                    self.partitions[index].move_to(*start);
                }
                self.renew()?;
            }
            Trouble::BadBatch(source) => {
                let next = self.partitions[index].next;
                if self.bad_records.fails() {
                    let TopicPartition { topic, partition } = name;
                    return Err(KafkaError::BadBatch { topic, partition, offset: next, source });
                }
                // How many records it has, librdkafka does not tell: they are gone past one by one.
                tracing::warn!(partition = %name, offset = next, %source, "skipped a record of a batch that cannot be read");
                self.context.metrics.bad_records.add(1);
                self.partitions[index].next = next + 1;
                let sought =
                    self.consumer.seek(&name.topic, name.partition, Offset::Offset(next + 1), Duration::ZERO);
                sought.map_err(|error| self.error("go past a batch", error))?;
            }
        }
        Ok(SourceStatus::Ready)
    }
}
