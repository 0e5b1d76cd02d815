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
use thalweg_dataflow::time::{Timestamp, millis};

use super::commits::{Cut, SourceOffsets};
use super::context::{SourceConsumer, SourceConsumerContext};
use super::dead_letter::BadRecords;
use super::deserializer::Read;
use super::discovery::{Discovery, Found, is_own};
use super::partition::{Partition, Trouble};
use super::positions::{self, Known, Misfit, Position};
use super::prefetch;
use super::rate::RateLimit;
use super::watch::TopicWatch;
use super::{KafkaSource, Settings};
use crate::error::KafkaError;
use crate::offsets::{LogRange, OffsetResetStrategy, OffsetsInitializer, log_ranges, partition_list};
use crate::subscription::{TopicPartition, partition_count};
use crate::topic_ids::{Described, TopicId, describe};

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
    /// Into how many shares its memory is divided; see [`prefetch`].
    shares: usize,
    /// Whether the consumer has errors, statistics or log lines for us.
    has_events: Arc<AtomicBool>,
    bad_records: BadRecords,
    partitions: Vec<Partition>,
    /// Positions of partitions that would be ours and are not there, or are not subscribed, at present.
    carried: BTreeMap<TopicPartition, Known>,
    /// The partition whose turn it is.
    turn: usize,
    discovery: Option<Discovery>,
    watch: Option<TopicWatch>,
    /// Topics that are not there, since when, and that may be made anew.
    away: BTreeMap<String, Timestamp>,
    cut: Option<Cut>,
}

/// A position that is to be gone on from, if it fits the log.
struct Claim {
    partition: TopicPartition,
    next: i64,
    /// Of the topic that it was read from.
    id: Option<TopicId>,
    strategy: OffsetResetStrategy,
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

    fn group(&self) -> &str {
        self.source.settings.group.as_deref().unwrap_or(&self.context.job)
    }

    fn error(&self, action: &str, error: ClientError) -> KafkaError {
        KafkaError::from_client(action, &self.bootstrap, self.timeout, error)
    }

    fn describe(&self, topics: &BTreeSet<String>) -> Result<BTreeMap<String, Described>, KafkaError> {
        describe(self.consumer.client(), &self.bootstrap, topics, self.timeout)
    }

    /// What `initializer` says for these partitions.
    fn look_up(
        &self,
        initializer: &OffsetsInitializer,
        partitions: &BTreeSet<TopicPartition>,
    ) -> Result<BTreeMap<TopicPartition, i64>, KafkaError> {
        initializer.resolve(&self.consumer, self.group(), &self.bootstrap, partitions, self.timeout)
    }

    fn begin(&mut self, restored: Option<Vec<(String, Position)>>) -> Result<(), KafkaError> {
        let source = self.source.clone();
        let Settings { properties, subscription, starting, stopping, reset, bad_records, .. } =
            &*source.settings;
        self.bad_records = BadRecords::open(bad_records, properties)?;
        let mut own = subscription.resolve(&self.consumer, &self.bootstrap, self.timeout)?;
        check_bounds(stopping.as_ref(), &own)?;
        own.retain(|partition| is_own(&self.context, partition));
        let topics = self.describe(&own.iter().map(|partition| partition.topic.clone()).collect())?;
        if topics.values().any(|described| *described == Described::NoId) {
            tracing::warn!(
                "the cluster gives topics no ids, so one that is deleted and made anew is noticed only when its log is shorter than \
                 what has been read"
            );
        }
        // A partition that a checkpoint does not know has been added since.
        let starting = if restored.is_some() { &OffsetsInitializer::Earliest } else { starting };
        let mut known = positions::known(restored.unwrap_or_default());
        known.retain(|partition, _| is_own(&self.context, partition));
        let fresh = own.iter().filter(|partition| !known.contains_key(*partition)).cloned().collect();
        let mut starts = self.look_up(starting, &fresh)?;
        let claim = |(partition, next): (&TopicPartition, &i64)| {
            let strategy = starting.reset(*reset);
            Claim { partition: partition.clone(), next: *next, id: None, strategy }
        };
        let fresh = starts.iter().filter(|_| !starting.is_found_in_log()).map(claim);
        let claims: Vec<Claim> = fresh.chain(self.claims(&known, &own)).collect();
        starts.extend(self.fit(claims, &topics)?);
        let ends = self.ends(&starts, &known)?;
        known.retain(|partition, _| !own.contains(partition));
        self.carried = known;
        self.add_partitions(starts, &ends, &topics)?;
        let now = self.context.clock.now();
        let discover = |interval| Discovery::new(subscription, &self.bootstrap, self.timeout, interval, now);
        self.discovery = source.settings.discovery.map(discover);
        self.watch = Some(TopicWatch::new(&self.bootstrap, self.timeout, now));
        source.offset_ranges.commit_with(&self.consumer);
        Ok(())
    }

    /// What is known of these partitions, as claims.
    fn claims<'a>(
        &self,
        known: &'a BTreeMap<TopicPartition, Known>,
        partitions: &'a BTreeSet<TopicPartition>,
    ) -> impl Iterator<Item = Claim> + use<'a, T> {
        let strategy = self.source.settings.reset;
        let known = known.iter().filter(|(partition, _)| partitions.contains(*partition));
        known.map(move |(partition, known)| Claim {
            partition: partition.clone(),
            next: known.next,
            id: known.id.clone(),
            strategy,
        })
    }

    /// Where to go on: at the position if it fits its log, else where the user says.
    fn fit(
        &self,
        claims: Vec<Claim>,
        topics: &BTreeMap<String, Described>,
    ) -> Result<BTreeMap<TopicPartition, i64>, KafkaError> {
        let partitions = claims.iter().map(|claim| claim.partition.clone()).collect();
        let ranges = log_ranges(&self.consumer, &self.bootstrap, &partitions, self.timeout)?;
        let mut fitted = BTreeMap::new();
        for Claim { partition, next, id, strategy } in claims {
            let Some(mut range) = ranges.get(&partition).copied() else { continue };
            let present = topics.get(&partition.topic).and_then(Described::id);
            let mut misfit = positions::misfit(next, id.as_ref(), present, range);
            if misfit == Some(Misfit::Beyond) {
                // Whoever has read what is not committed is further than those who read only what is.
                range = self.whole_range(&partition)?;
                misfit = positions::misfit(next, id.as_ref(), present, range);
            }
            let next = match misfit {
                None => next,
                Some(misfit) => misfit.resolve(&partition, next, range, strategy)?,
            };
            fitted.insert(partition, next);
        }
        Ok(fitted)
    }

    /// What there is of a log, whoever may see it.
    fn whole_range(&self, partition: &TopicPartition) -> Result<LogRange, KafkaError> {
        let mut config = self.source.settings.properties.consumer(self.group())?;
        config.set("isolation.level", "read_uncommitted").set("statistics.interval.ms", "0");
        let callbacks = SourceConsumerContext { lag: Default::default() };
        let consumer = SourceConsumer::from_config_and_context(&config, callbacks)
            .map_err(|error| self.error("create a consumer", error))?;
        let partitions = BTreeSet::from([partition.clone()]);
        let ranges = log_ranges(&consumer, &self.bootstrap, &partitions, self.timeout)?;
        ranges.get(partition).copied().ok_or_else(|| KafkaError::UnknownTopic {
            topic: partition.topic.clone(),
            bootstrap: self.bootstrap.to_string(),
        })
    }

    /// Where to end, and whether the log has come that far.
    fn ends(
        &self,
        starts: &BTreeMap<TopicPartition, i64>,
        known: &BTreeMap<TopicPartition, Known>,
    ) -> Result<BTreeMap<TopicPartition, (i64, bool)>, KafkaError> {
        let Some(stopping) = &self.source.settings.stopping else { return Ok(BTreeMap::new()) };
        let (mut ends, mut unknown) = (BTreeMap::new(), BTreeSet::new());
        for (partition, start) in starts {
            // An end that has been reached is looked up anew: somebody has started the job once more, for what has come
            // since. So is that of a position that did not fit.
            let remembered = known.get(partition).filter(|known| known.next == *start);
            match remembered.and_then(|known| known.end.filter(|end| start < end)) {
                Some(end) => drop(ends.insert(partition.clone(), end)),
                None => drop(unknown.insert(partition.clone())),
            }
        }
        ends.extend(self.look_up(stopping, &unknown)?);
        let all = ends.keys().cloned().collect();
        let there = self.look_up(&OffsetsInitializer::Latest, &all)?;
        let is_there =
            |partition: &TopicPartition, end| there.get(partition).is_some_and(|there| *there >= end);
        Ok(ends
            .into_iter()
            .map(|(partition, end)| {
                let is_there = is_there(&partition, end);
                (partition, (end, is_there))
            })
            .collect())
    }

    fn add_partitions(
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
    fn renew(&mut self) -> Result<(), KafkaError> {
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
            let most = self.partitions[self.turn].allowed(BATCH_SIZE, now);
            if most == 0 {
                continue;
            }
            let count = self.read_partition(self.turn, most, output)?;
            let trouble = self.partitions[self.turn].trouble.take();
            let troubled = trouble.map(|trouble| self.see_to(self.turn, trouble)).transpose()?;
            if count > 0 || troubled == Some(SourceStatus::Ready) {
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

    /// Learns of topics that are gone or were made anew.
    fn look_at_topics(&mut self) -> Result<(), KafkaError> {
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
    fn see_to(&mut self, index: usize, trouble: Trouble) -> Result<SourceStatus, KafkaError> {
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
    prefetch::bound(&mut config, &settings.properties, context.parallelism, shares)?;
    if settings.stopping.is_some() {
        config.set("enable.partition.eof", "true");
    }
    let callbacks = SourceConsumerContext { lag: source.lag.clone() };
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

/// A bound by partition must name every partition: the others would end where nobody said.
fn check_bounds(
    stopping: Option<&OffsetsInitializer>,
    partitions: &BTreeSet<TopicPartition>,
) -> Result<(), KafkaError> {
    let Some(OffsetsInitializer::Offsets(bounds)) = stopping else { return Ok(()) };
    match partitions.iter().find(|partition| !bounds.contains_key(*partition)) {
        None => Ok(()),
        Some(partition) => Err(KafkaError::Property {
            property: "set_bounded".to_owned(),
            reason: format!(
                "it leaves out {partition}, which is read; say where to end in every partition, or read only some with set_partitions"
            ),
        }),
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
