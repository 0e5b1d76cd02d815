//! The reader of one subtask.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::{Offset, TopicPartitionList};
use thalweg_dataflow::barrier::{Barrier, Epoch};
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::source::{SourceContext, SourceOutput, SourceReader, SourceStatus};
use thalweg_dataflow::time::Timestamp;

use super::KafkaSource;
use super::beginning::Claim;
use super::commits::{Cut, SourceOffsets};
use super::context::{SourceConsumer, SourceConsumerContext};
use super::dead_letter::BadRecords;
use super::deserializer::Read;
use super::discovery::{Discovery, Found};
use super::partition::Partition;
use super::positions::{self, Known, Position};
use super::prefetch;
use super::rate::RateLimit;
use super::watch::TopicWatch;
use crate::error::KafkaError;
use crate::offsets::{OffsetsInitializer, partition_list};
use crate::subscription::TopicPartition;
use crate::topic_ids::{Described, describe};

/// At least this often librdkafka is listened to, in milliseconds, though it says when it has something to say.
const CHECKUP: i64 = 1000;

/// Events of the consumer that are dealt with at a time.
const EVENTS: usize = 32;

/// Reads the partitions of one subtask; see [`KafkaSource`].
pub struct KafkaSourceReader<T> {
    pub(super) source: KafkaSource<T>,
    pub(super) context: SourceContext,
    pub(super) bootstrap: Arc<str>,
    pub(super) timeout: Duration,
    pub(super) consumer: Arc<SourceConsumer>,
    /// Into how many shares its memory is divided; see [`prefetch`].
    pub(super) shares: usize,
    /// Whether the consumer has errors, statistics or log lines for us.
    pub(super) has_events: Arc<AtomicBool>,
    pub(super) bad_records: BadRecords,
    pub(super) partitions: Vec<Partition>,
    /// Positions of partitions that would be ours and are not there, or are not subscribed, at present.
    pub(super) carried: BTreeMap<TopicPartition, Known>,
    /// The partition whose turn it is.
    pub(super) turn: usize,
    pub(super) discovery: Option<Discovery>,
    pub(super) watch: Option<TopicWatch>,
    /// Topics that are not there, since when, and that may be made anew.
    pub(super) away: BTreeMap<String, Timestamp>,
    pub(super) cut: Option<Cut>,
}

impl<T: Send + 'static> KafkaSourceReader<T> {
    pub(super) fn new(source: KafkaSource<T>, context: SourceContext) -> Result<Self, KafkaError> {
        let settings = &source.settings;
        let (bootstrap, timeout) =
            (Arc::from(settings.properties.bootstrap()), settings.properties.api_timeout()?);
        let shares = prefetch::shares(1);
        let (consumer, has_events) = connect(&source, &context, shares)?;
        Ok(Self {
            source,
            context,
            bootstrap,
            timeout,
            consumer,
            shares,
            has_events,
            bad_records: BadRecords::Fail,
            partitions: Vec::new(),
            carried: BTreeMap::new(),
            turn: 0,
            discovery: None,
            watch: None,
            away: BTreeMap::new(),
            cut: None,
        })
    }

    pub(super) fn group(&self) -> &str {
        self.source.settings.group.as_deref().unwrap_or(&self.context.job)
    }

    pub(super) fn error(&self, action: &str, error: ClientError) -> KafkaError {
        KafkaError::from_client(action, &self.bootstrap, self.timeout, error)
    }

    pub(super) fn describe(
        &self,
        topics: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Described>, KafkaError> {
        describe(self.consumer.client(), &self.bootstrap, topics, self.timeout)
    }

    /// What `initializer` says for these partitions.
    pub(super) fn look_up(
        &self,
        initializer: &OffsetsInitializer,
        partitions: &BTreeSet<TopicPartition>,
    ) -> Result<BTreeMap<TopicPartition, i64>, KafkaError> {
        initializer.resolve(&self.consumer, self.group(), &self.bootstrap, partitions, self.timeout)
    }

    pub(super) fn add_partitions(
        &mut self,
        starts: BTreeMap<TopicPartition, i64>,
        ends: &BTreeMap<TopicPartition, (i64, bool)>,
        topics: &BTreeMap<String, Described>,
    ) -> Result<(), KafkaError> {
        let first = self.partitions.len();
        let now = self.context.clock.now();
        for (name, start) in starts {
            let end = ends.get(&name);
            let id = topics.get(&name.topic).and_then(Described::id).cloned();
            let mut partition = Partition::new(&self.bootstrap, name, id, start, end.map(|(end, _)| *end));
            partition.end_is_there = end.is_some_and(|(_, is_there)| *is_there);
            partition.rate = self.source.settings.max_rate.map(|rate| RateLimit::new(rate, now));
            self.partitions.push(partition);
        }
        if prefetch::shares(self.partitions.len()) > self.shares {
            return self.renew();
        }
        self.assign(first)
    }

    /// Begins to fetch the partitions from number `first` on.
    fn assign(&mut self, first: usize) -> Result<(), KafkaError> {
        let mut offsets = Vec::new();
        let here = |partition: &&mut Partition| !partition.is_finished() && !partition.is_away;
        for partition in self.partitions[first..].iter_mut().filter(here) {
            partition.attach(&self.consumer, &self.context.waker)?;
            offsets.push((partition.name.clone(), partition.next));
        }
        if offsets.is_empty() {
            return Ok(());
        }
        let assigned = partition_list(offsets).and_then(|list| self.consumer.incremental_assign(&list));
        assigned.map_err(|error| self.error("begin to read", error))
    }

    /// Makes the consumer anew, to go on at the partitions' positions: what it has fetched is forgotten, and its memory divided
    /// among the partitions that there are now.
    pub(super) fn renew(&mut self) -> Result<(), KafkaError> {
        self.partitions.iter_mut().for_each(Partition::detach);
        self.shares = prefetch::shares(self.partitions.len());
        (self.consumer, self.has_events) = connect(&self.source, &self.context, self.shares)?;
        // Without a question before, the first fetch waits for 500 ms.
        let mut here =
            self.partitions.iter().filter(|partition| !partition.is_finished() && !partition.is_away);
        if let Some(partition) = here.next() {
            let asked = self.consumer.fetch_metadata(Some(&partition.name.topic), self.timeout);
            asked.map_err(|error| self.error("look up a topic", error))?;
        }
        self.source.offset_ranges.commit_with(&self.consumer);
        self.assign(0)
    }

    fn read(&mut self, output: &mut SourceOutput<T>) -> Result<SourceStatus, KafkaError> {
        self.serve_events()?;
        self.discover()?;
        self.look_at_topics()?;
        for partition in &mut self.partitions {
            if let Some(former) = partition.former_split.take() {
                output.finish_split(former);
            }
            if partition.split.is_none() {
                let identity = positions::identity(&partition.name, partition.id.as_ref());
                let split = output.add_split_as(&partition.name.to_string(), &identity);
                partition.split = Some(split);
                if partition.is_finished() {
                    output.finish_split(split);
                }
            }
        }
        let now = self.context.clock.now();
        for _ in 0..self.partitions.len() {
            self.turn = (self.turn + 1) % self.partitions.len();
            let partition = &mut self.partitions[self.turn];
            let most = partition.allowed(output.room(), now);
            if most == 0 {
                match partition.split {
                    Some(split) if partition.allowed_at().is_some() => output.hold_back(split),
                    Some(split) => output.nothing_for(split),
                    None => {}
                }
                continue;
            }
            let count = self.read_partition(self.turn, most, output)?;
            let trouble = self.partitions[self.turn].trouble.take();
            let troubled = trouble.map(|trouble| self.see_to(self.turn, trouble)).transpose()?;
            if count > 0 || troubled == Some(SourceStatus::Ready) {
                return Ok(SourceStatus::Ready);
            }
            if let Some(split) = self.partitions[self.turn].split {
                output.nothing_for(split);
            }
        }
        if self.source.settings.stopping.is_some() {
            for index in self.catch_up()? {
                self.release(index, output)?;
            }
            if self.partitions.iter().all(Partition::is_finished) {
                return Ok(SourceStatus::End);
            }
        }
        let dues = self.partitions.iter().filter_map(Partition::allowed_at);
        let dues = dues.chain(self.discovery.as_ref().and_then(Discovery::due_at));
        let dues = dues.chain(self.watch.as_ref().and_then(TopicWatch::due_at));
        Ok(SourceStatus::Idle { until: dues.chain([now + CHECKUP]).min() })
    }

    /// Errors, statistics and the like, which come by the consumer's common queue.
    fn serve_events(&mut self) -> Result<(), KafkaError> {
        if !self.has_events.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        for _ in 0..EVENTS {
            match self.consumer.poll(Duration::ZERO) {
                // Also when an event has been dealt with by a callback; more may follow it.
                None => {}
                Some(Err(error)) => {
                    let error = self.error("read", error);
                    // Of the rest librdkafka takes care, and has logged it.
                    if !error.is_retriable() {
                        return Err(error);
                    }
                }
                Some(Ok(message)) => {
                    // Partitions are taken out of this queue before anything is fetched. A lost record would be
                    // worse than an error.
                    return Err(self
                        .error(&format!("tell where {message:?} belongs"), ClientError::NoMessageReceived));
                }
            }
        }
        Ok(())
    }

    fn discover(&mut self) -> Result<(), KafkaError> {
        let Some(discovery) = &mut self.discovery else { return Ok(()) };
        let partitions = &self.partitions;
        let known = || partitions.iter().map(|partition| partition.name.clone()).collect();
        let Found { mut starts, topics } = discovery.poll(&self.consumer, &self.context, known);
        if starts.is_empty() {
            return Ok(());
        }
        tracing::info!(partitions = ?starts.keys().map(ToString::to_string).collect::<Vec<_>>(), "discovered");
        let names = starts.keys().cloned().collect();
        let claims: Vec<Claim> = self.claims(&self.carried, &names).collect();
        if !claims.is_empty() {
            starts.extend(self.fit(claims, &topics)?);
            self.carried.retain(|partition, _| !names.contains(partition));
        }
        self.add_partitions(starts, &BTreeMap::new(), &topics)
    }

    fn read_partition(
        &mut self,
        index: usize,
        most: usize,
        output: &mut SourceOutput<T>,
    ) -> Result<usize, KafkaError> {
        let Self { partitions, source, bad_records, context, .. } = self;
        let partition = &mut partitions[index];
        let first = partition.next;
        let Read { count, bytes, bad } = source.deserializer.read(partition, most, output, bad_records)?;
        bad_records.confirm()?;
        context.metrics.bytes.add(bytes);
        context.metrics.bad_records.add(bad);
        if let (Some(split), true) = (partition.split, count > 0) {
            output.origin(split, first as u64, partition.next as u64 - 1);
        }
        if partition.is_finished() {
            self.release(index, output)?;
        }
        Ok(count)
    }

    /// A partition has been read to its end: it is no longer fetched.
    fn release(&self, index: usize, output: &mut SourceOutput<T>) -> Result<(), KafkaError> {
        let partition = &self.partitions[index];
        if let Some(split) = partition.split {
            output.finish_split(split);
        }
        self.source.lag.forget(&partition.name);
        let mut list = TopicPartitionList::new();
        list.add_partition(&partition.name.topic, partition.name.partition);
        self.consumer.incremental_unassign(&list).map_err(|error| self.error("stop reading", error))
    }

    /// Moves positions past what nobody sees: transaction markers and aborted records. Returns the partitions
    /// that ended there.
    fn catch_up(&mut self) -> Result<Vec<usize>, KafkaError> {
        let positions = self.consumer.position().map_err(|error| self.error("look up positions", error))?;
        let mut ended = Vec::new();
        for element in positions.elements() {
            let Offset::Offset(position) = element.offset() else { continue };
            let (topic, number) = (element.topic(), element.partition());
            let is_it = |partition: &Partition| {
                partition.name.partition == number
                    && partition.name.topic == topic
                    && !partition.is_finished()
            };
            let Some(index) = self.partitions.iter().position(is_it) else { continue };
            self.partitions[index].consumed_to(position);
            if self.partitions[index].is_finished() {
                ended.push(index);
            }
        }
        Ok(ended)
    }

    /// Takes down the positions at barrier `epoch`, for Kafka.
    fn cut(&mut self, epoch: Epoch) -> Option<&Cut> {
        if !self.source.settings.commits {
            return None;
        }
        if self.cut.as_ref().is_none_or(|cut| cut.epoch != epoch) {
            // So that a topic whose end is a transaction marker shows no lag of one record for ever. A bounded
            // source does it when it polls, as a partition may end there.
            if self.source.settings.stopping.is_none()
                && let Err(error) = self.catch_up()
            {
                tracing::debug!(%error, "positions may be behind transaction markers");
            }
            let offsets = self.partitions.iter().map(|partition| (partition.name.clone(), partition.next));
            self.cut = Some(Cut { epoch, offsets: offsets.collect(), carried: Arc::default() });
        }
        self.cut.as_ref()
    }
}

/// A consumer, and whether it has something to say.
fn connect<T>(
    source: &KafkaSource<T>,
    context: &SourceContext,
    shares: usize,
) -> Result<(Arc<SourceConsumer>, Arc<AtomicBool>), KafkaError> {
    let settings = &source.settings;
    let mut config = settings.properties.consumer(settings.group.as_deref().unwrap_or(&context.job))?;
    prefetch::bound(&mut config, &settings.properties, context.parallelism, shares, context.queued_bytes)?;
    if settings.stopping.is_some() {
        config.set("enable.partition.eof", "true");
    }
    let callbacks = SourceConsumerContext { lag: source.lag.clone(), metrics: context.metrics.clone() };
    let (bootstrap, timeout) = (settings.properties.bootstrap(), settings.properties.api_timeout()?);
    let mut consumer = SourceConsumer::from_config_and_context(&config, callbacks)
        .map_err(|error| KafkaError::from_client("create a consumer", bootstrap, timeout, error))?;
    let has_events = Arc::new(AtomicBool::new(true));
    let (events, waker) = (has_events.clone(), context.waker.clone());
    consumer.set_nonempty_callback(move || {
        events.store(true, Ordering::Release);
        waker.wake();
    });
    Ok((Arc::new(consumer), has_events))
}

impl<T: Send + 'static> SourceReader for KafkaSourceReader<T> {
    type Item = T;
    type Position = Position;

    fn open(&mut self, restored: Option<Vec<(String, Position)>>) -> Result<(), BoxError> {
        self.begin(restored).map_err(KafkaError::boxed)
    }

    fn poll(&mut self, output: &mut SourceOutput<T>) -> Result<SourceStatus, BoxError> {
        self.read(output).map_err(KafkaError::boxed)
    }

    fn positions(&mut self) -> Vec<(String, Position)> {
        let read = self.partitions.iter().map(|partition| {
            let identity = positions::identity(&partition.name, partition.id.as_ref());
            (identity, (partition.next, partition.end))
        });
        let carried = self.carried.iter().map(|(partition, known)| {
            (positions::identity(partition, known.id.as_ref()), (known.next, known.end))
        });
        read.chain(carried).collect()
    }

    fn note(&mut self, epoch: Epoch) -> Option<Box<dyn Any + Send>> {
        let (bootstrap, group) = (self.bootstrap.clone(), self.consumer.group_metadata()?);
        let group_id = self.group().to_owned();
        let Cut { offsets, carried, .. } = self.cut(epoch)?;
        let (offsets, carried) = (offsets.clone(), carried.clone());
        Some(Box::new(SourceOffsets { bootstrap, group, group_id, offsets, carried }))
    }

    fn barrier(&mut self, barrier: &Barrier) {
        self.cut(barrier.epoch);
        if self.source.offset_ranges.wants(barrier) {
            let ranges = self.partitions.iter_mut().map(Partition::take_range);
            self.source.offset_ranges.record(barrier.time, ranges);
        }
    }

    fn committed(&mut self, epoch: Epoch) -> Result<(), BoxError> {
        let Some(cut) = self.cut.take_if(|cut| cut.is_due(epoch)) else { return Ok(()) };
        let committed =
            partition_list(cut.offsets).and_then(|list| self.consumer.commit(&list, CommitMode::Async));
        if let Err(error) = committed {
            tracing::warn!(%error, "offsets could not be committed; the next commit makes up for it");
        }
        Ok(())
    }
}
