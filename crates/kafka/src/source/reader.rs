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
use thalweg_dataflow::record::BATCH_SIZE;
use thalweg_dataflow::source::{SourceContext, SourceOutput, SourceReader, SourceStatus};

use super::commits::{Cut, SourceOffsets};
use super::context::{SourceConsumer, SourceConsumerContext};
use super::dead_letter::BadRecords;
use super::deserializer::Read;
use super::discovery::{Discovery, is_own};
use super::partition::Partition;
use super::rate::RateLimit;
use super::{KafkaSource, Settings};
use crate::error::KafkaError;
use crate::offsets::{OffsetsInitializer, partition_list};
use crate::subscription::TopicPartition;

/// The next offset, and where a bounded source ends.
type Position = (i64, Option<i64>);

/// At least this often librdkafka is listened to, in milliseconds, though it says when it has something to say.
const CHECKUP: i64 = 1000;

/// Events of the consumer that are dealt with at a time.
const EVENTS: usize = 32;

/// Reads the partitions of one subtask; see [`KafkaSource`].
pub struct KafkaSourceReader<T> {
    source: KafkaSource<T>,
    context: SourceContext,
    bootstrap: Arc<str>,
    timeout: Duration,
    consumer: Arc<SourceConsumer>,
    /// Whether the consumer has errors, statistics or log lines for us.
    has_events: Arc<AtomicBool>,
    bad_records: BadRecords,
    partitions: Vec<Partition>,
    /// The partition whose turn it is.
    turn: usize,
    discovery: Option<Discovery>,
    cut: Option<Cut>,
}

impl<T: Send + 'static> KafkaSourceReader<T> {
    pub(super) fn new(source: KafkaSource<T>, context: SourceContext) -> Result<Self, KafkaError> {
        let settings = &source.settings;
        let (bootstrap, timeout) =
            (Arc::from(settings.properties.bootstrap()), settings.properties.api_timeout()?);
        let group = settings.group.as_deref().unwrap_or(&context.job);
        let mut config = settings.properties.consumer(group)?;
        if settings.stopping.is_some() {
            config.set("enable.partition.eof", "true");
        }
        let callbacks = SourceConsumerContext { lag: source.lag.clone() };
        let mut consumer = SourceConsumer::from_config_and_context(&config, callbacks)
            .map_err(|error| KafkaError::from_client("create a consumer", &bootstrap, timeout, error))?;
        let has_events = Arc::new(AtomicBool::new(true));
        let (events, waker) = (has_events.clone(), context.waker.clone());
        consumer.set_nonempty_callback(move || {
            events.store(true, Ordering::Release);
            waker.wake();
        });
        Ok(Self {
            source,
            context,
            bootstrap,
            timeout,
            consumer: Arc::new(consumer),
            has_events,
            bad_records: BadRecords::Fail,
            partitions: Vec::new(),
            turn: 0,
            discovery: None,
            cut: None,
        })
    }

    fn group(&self) -> &str {
        self.source.settings.group.as_deref().unwrap_or(&self.context.job)
    }

    fn error(&self, action: &str, error: ClientError) -> KafkaError {
        KafkaError::from_client(action, &self.bootstrap, self.timeout, error)
    }

    fn begin(&mut self, restored: Option<Vec<(String, Position)>>) -> Result<(), KafkaError> {
        let source = self.source.clone();
        let Settings { properties, subscription, starting, stopping, bad_records, discovery, .. } =
            &*source.settings;
        self.bad_records = BadRecords::open(bad_records, properties)?;
        let mut own = subscription.resolve(&self.consumer, &self.bootstrap, self.timeout)?;
        own.retain(|partition| is_own(&self.context, partition));
        let is_restored = restored.is_some();
        let restored: BTreeMap<String, Position> = restored.unwrap_or_default().into_iter().collect();
        // A partition that a checkpoint does not know has been added since.
        let starting = if is_restored { &OffsetsInitializer::Earliest } else { starting };
        let starts = self.look_up(starting, &own, |partition| {
            restored.get(&partition.to_string()).map(|(next, _)| *next)
        })?;
        let ends = match stopping {
            None => BTreeMap::new(),
            // An end that has been reached is looked up anew: somebody has started the job once more, for what
            // has come since.
            Some(stopping) => self.look_up(stopping, &own, |partition| {
                restored.get(&partition.to_string()).and_then(|(next, end)| end.filter(|end| next < end))
            })?,
        };
        self.add_partitions(starts, &ends)?;
        self.discovery = discovery.map(|interval| {
            Discovery::new(subscription, &self.bootstrap, self.timeout, interval, self.context.clock.now())
        });
        source.offset_ranges.commit_with(&self.consumer);
        Ok(())
    }

    /// The offsets that are known, and those that the initializer finds for the other partitions.
    fn look_up(
        &self,
        initializer: &OffsetsInitializer,
        partitions: &BTreeSet<TopicPartition>,
        known: impl Fn(&TopicPartition) -> Option<i64>,
    ) -> Result<BTreeMap<TopicPartition, i64>, KafkaError> {
        let (mut offsets, mut unknown) = (BTreeMap::new(), BTreeSet::new());
        for partition in partitions {
            match known(partition) {
                Some(offset) => drop(offsets.insert(partition.clone(), offset)),
                None => drop(unknown.insert(partition.clone())),
            }
        }
        let group = self.source.settings.group.as_deref().unwrap_or(&self.context.job);
        let found = initializer.resolve(&self.consumer, group, &self.bootstrap, &unknown, self.timeout)?;
        offsets.extend(found);
        Ok(offsets)
    }

    fn add_partitions(
        &mut self,
        starts: BTreeMap<TopicPartition, i64>,
        ends: &BTreeMap<TopicPartition, i64>,
    ) -> Result<(), KafkaError> {
        let first = self.partitions.len();
        let now = self.context.clock.now();
        for (name, start) in starts {
            let end = ends.get(&name).copied();
            let waker = &self.context.waker;
            let mut partition = Partition::new(&self.consumer, &self.bootstrap, name, (start, end), waker)?;
            partition.rate = self.source.settings.max_rate.map(|rate| RateLimit::new(rate, now));
            self.partitions.push(partition);
        }
        let unfinished = self.partitions[first..].iter().filter(|partition| !partition.is_finished());
        let assigned = partition_list(unfinished.map(|partition| (partition.name.clone(), partition.next)))
            .and_then(
                |list| {
                    if list.count() == 0 { Ok(()) } else { self.consumer.incremental_assign(&list) }
                },
            );
        assigned.map_err(|error| self.error("begin to read", error))
    }

    fn read(&mut self, output: &mut SourceOutput<T>) -> Result<SourceStatus, KafkaError> {
        self.serve_events()?;
        self.discover()?;
        for partition in &mut self.partitions {
            if partition.split.is_none() {
                let split = output.add_split(&partition.name.to_string());
                partition.split = Some(split);
                if partition.is_finished() {
                    output.finish_split(split);
                }
            }
        }
        let now = self.context.clock.now();
        for _ in 0..self.partitions.len() {
            self.turn = (self.turn + 1) % self.partitions.len();
            let most = self.partitions[self.turn].allowed(BATCH_SIZE, now);
            if most > 0 && self.read_partition(self.turn, most, output)? > 0 {
                return Ok(SourceStatus::Ready);
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
        let found = discovery.poll(&self.consumer, &self.context, known);
        if found.is_empty() {
            return Ok(());
        }
        tracing::info!(partitions = ?found.keys().map(ToString::to_string).collect::<Vec<_>>(), "discovered");
        self.add_partitions(found, &BTreeMap::new())
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
        let position = |partition: &Partition| (partition.name.to_string(), (partition.next, partition.end));
        self.partitions.iter().map(position).collect()
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
