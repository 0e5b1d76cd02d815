//! The reader of one subtask.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use thalweg_broker::{Batch, GroupOffset, Isolation, LocalClient, LocalConsumer, LocalError, ResponseError};
use thalweg_dataflow::barrier::Epoch;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::source::{SourceContext, SourceOutput, SourceReader, SourceStatus, SplitId};
use thalweg_dataflow::time::{NO_TIMESTAMP, Timestamp};

use crate::error::EmbeddedError;
use crate::record::Deserialize;
use crate::source::offsets::{OffsetResetStrategy, OffsetsInitializer, log_range};
use crate::source::positions::{self, Known, Place, Position, fit};
use crate::source::{BadRecordPolicy, BrokerSource};

/// At least this often, in milliseconds, the broker is asked, so that its end is noticed.
const CHECKUP: i64 = 1_000;

/// For how long a topic that is gone may be made anew, in milliseconds.
const ABSENCE: i64 = 15_000;

/// How often it is looked for, in milliseconds.
const LOOK: i64 = 20;

/// A deserializer whose own type is forgotten. What is called virtually is the loop over a batch, not each record.
pub(super) trait ReadBatch<T>: Send + Sync {
    /// Hands the records before `end` on. Returns how many.
    fn read(
        &self,
        batch: &Batch,
        end: Option<i64>,
        policy: BadRecordPolicy,
        output: &mut SourceOutput<T>,
    ) -> Result<Count, EmbeddedError>;
}

/// What was read.
pub(super) struct Count {
    /// Bad ones included.
    records: usize,
    bytes: usize,
    bad: u64,
}

impl<T, D: Deserialize<T>> ReadBatch<T> for D {
    fn read(
        &self,
        batch: &Batch,
        end: Option<i64>,
        policy: BadRecordPolicy,
        output: &mut SourceOutput<T>,
    ) -> Result<Count, EmbeddedError> {
        let mut count = Count { records: 0, bytes: 0, bad: 0 };
        let (topic, partition) = (batch.topic(), batch.partition());
        for record in batch.records() {
            let record = match (record, policy) {
                (Ok(record), _) => record,
                (Err(error), BadRecordPolicy::Fail) => {
                    return Err(EmbeddedError::broker("read a batch")(error));
                }
                (Err(error), BadRecordPolicy::Skip) => {
                    tracing::warn!(topic, partition, %error, "skipped the rest of a batch that cannot be read");
                    count.bad += 1;
                    break;
                }
            };
            if end.is_some_and(|end| record.offset >= end) {
                break;
            }
            count.records += 1;
            count.bytes += record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
            match (self.deserialize(&record), policy) {
                (Ok(value), _) => output.push(value, event_time(record.timestamp)),
                (Err(reason), BadRecordPolicy::Fail) => {
                    let (topic, offset) = (topic.to_owned(), record.offset);
                    return Err(EmbeddedError::Decode { topic, partition, offset, reason });
                }
                (Err(reason), BadRecordPolicy::Skip) => {
                    let offset = record.offset;
                    tracing::warn!(topic, partition, offset, %reason, "skipped a record that cannot be decoded");
                    count.bad += 1;
                }
            }
        }
        Ok(count)
    }
}

/// What Kafka calls "no timestamp" is −1; what else is negative is none either.
fn event_time(timestamp: i64) -> Timestamp {
    if timestamp < 0 { NO_TIMESTAMP } else { timestamp }
}

/// What a source tells an exactly-once sink: positions that are to be committed with the epoch, if the sink writes to
/// the same broker.
pub(crate) struct SourceOffsets {
    pub(crate) client: LocalClient,
    pub(crate) group: String,
    pub(crate) offsets: Vec<GroupOffset>,
    /// To be set by the sink once they are in its transaction: then the source need not commit them.
    pub(crate) carried: Arc<AtomicBool>,
}

/// One partition.
struct Partition {
    /// Topic and number.
    place: Place,
    /// Of the topic.
    id: u128,
    /// The split, once it has been announced.
    split: Option<SplitId>,
    /// The split of the topic that had this name before.
    former_split: Option<SplitId>,
    /// The offset of the next record.
    next: i64,
    end: Option<i64>,
    /// What was read and not yet handed on.
    batches: VecDeque<Batch>,
}

impl Partition {
    fn new(place: Place, id: u128, next: i64, end: Option<i64>) -> Self {
        let (split, former_split, batches) = (None, None, VecDeque::new());
        Self { place, id, split, former_split, next, end, batches }
    }

    fn is_finished(&self) -> bool {
        self.end.is_some_and(|end| self.next >= end)
    }

    /// Everything before `offset` has been handed on, or is not to be seen. What lies behind the end has not.
    fn consumed_to(&mut self, offset: i64) {
        self.next = self.next.max(self.end.map_or(offset, |end| offset.min(end)));
    }
}

/// The positions at the last barrier.
struct Cut {
    epoch: Epoch,
    offsets: Vec<GroupOffset>,
    carried: Arc<AtomicBool>,
}

/// Reads the partitions of one subtask; see [`BrokerSource`].
pub struct BrokerSourceReader<T> {
    source: BrokerSource<T>,
    context: SourceContext,
    consumer: LocalConsumer,
    partitions: Vec<Partition>,
    /// The partition whose turn it is.
    turn: usize,
    cut: Option<Cut>,
    /// Positions of partitions that would be ours and are not there, or are not subscribed, at present.
    carried: BTreeMap<Place, Known>,
    /// Topics that are not there, since when, and that may be made anew.
    away: BTreeMap<String, Timestamp>,
}

impl<T: Send + 'static> BrokerSourceReader<T> {
    pub(super) fn new(source: BrokerSource<T>, context: SourceContext) -> Self {
        let consumer = source.settings.client.consumer(Isolation::ReadCommitted);
        let (carried, away) = (BTreeMap::new(), BTreeMap::new());
        Self { source, context, consumer, partitions: Vec::new(), turn: 0, cut: None, carried, away }
    }

    fn group(&self) -> &str {
        self.source.settings.group.as_deref().unwrap_or(&self.context.job)
    }

    fn begin(&mut self, restored: Option<Vec<(String, Position)>>) -> Result<(), EmbeddedError> {
        let settings = Arc::clone(&self.source.settings);
        // A partition that a checkpoint does not know has been added since.
        let starting = if restored.is_some() { &OffsetsInitializer::Earliest } else { &settings.starting };
        let mut known = positions::known(restored.unwrap_or_default());
        known.retain(|(topic, index), _| self.owns(topic, *index));
        for topic in &settings.topics {
            let (count, id) =
                self.look_at(topic)?.ok_or_else(|| EmbeddedError::UnknownTopic(topic.clone()))?;
            for place in (0..count).map(|index| (topic.clone(), index)) {
                if let Some(OffsetsInitializer::Offsets(bounds)) = &settings.stopping
                    && !bounds.contains_key(&place)
                {
                    let (topic, partition) = place;
                    return Err(EmbeddedError::Unbounded { topic, partition });
                }
                if self.owns(topic, place.1) {
                    let known = known.remove(&place);
                    self.add_partition(place, id, known, starting)?;
                }
            }
        }
        self.carried = known;
        Ok(())
    }

    fn owns(&self, topic: &str, index: i32) -> bool {
        self.context.owns_part(topic, usize::try_from(index).unwrap_or(0))
    }

    /// How many partitions a topic has, and its id.
    fn look_at(&self, topic: &str) -> Result<Option<(i32, u128)>, EmbeddedError> {
        let client = &self.source.settings.client;
        let id = client.topic_id(topic).map_err(EmbeddedError::broker("look up a topic"))?;
        let count = client.partition_count(topic).map_err(EmbeddedError::broker("look up a topic"))?;
        Ok(count.zip(id))
    }

    /// Where to begin and to end, and with the reading.
    fn add_partition(
        &mut self,
        place: Place,
        id: u128,
        known: Option<Known>,
        starting: &OffsetsInitializer,
    ) -> Result<(), EmbeddedError> {
        let partition = self.partition(place, id, known, starting)?;
        if !partition.is_finished() {
            self.consumer.assign(&partition.place.0, partition.place.1, partition.next);
        }
        self.partitions.push(partition);
        Ok(())
    }

    fn partition(
        &self,
        place: Place,
        id: u128,
        known: Option<Known>,
        starting: &OffsetsInitializer,
    ) -> Result<Partition, EmbeddedError> {
        let settings = &self.source.settings;
        let range = log_range(&settings.client, &place.0, place.1)?;
        let look_up = |initializer: &OffsetsInitializer| {
            initializer.resolve(&settings.client, self.group(), &place.0, place.1)
        };
        let (next, strategy) = match &known {
            Some(known) => (known.next, settings.reset),
            None => (look_up(starting)?, starting.reset(settings.reset)),
        };
        let was = known.as_ref().and_then(|known| known.id);
        let fitted = fit(&place, (next, was), (range, id), strategy)?;
        // An end that has been reached is looked up anew: somebody has started the job once more, for what has come
        // since. So is that of a position that did not fit.
        let remembered = known.filter(|known| known.next == fitted).and_then(|known| known.end);
        let end = match (&settings.stopping, remembered.filter(|end| fitted < *end)) {
            (None, _) => None,
            (Some(_), Some(end)) => Some(end),
            (Some(stopping), None) => Some(look_up(stopping)?),
        };
        Ok(Partition::new(place, id, fitted, end))
    }

    fn read(&mut self, output: &mut SourceOutput<T>) -> Result<SourceStatus, EmbeddedError> {
        for partition in &mut self.partitions {
            if let Some(former) = partition.former_split.take() {
                output.finish_split(former);
            }
            if partition.split.is_none() {
                let identity = positions::identity(&partition.place, Some(partition.id));
                let split = output.add_split_as(&positions::name(&partition.place), &identity);
                partition.split = Some(split);
                if partition.is_finished() {
                    output.finish_split(split);
                }
            }
        }
        if self.hand_on(output)? {
            return Ok(SourceStatus::Ready);
        }
        self.fetch(output)?;
        if self.hand_on(output)? {
            return Ok(SourceStatus::Ready);
        }
        if self.source.settings.stopping.is_some() && self.partitions.iter().all(Partition::is_finished) {
            return Ok(SourceStatus::End);
        }
        let waker = self.context.waker.clone();
        match self.consumer.wake_when_ready(move || waker.wake()) {
            // The next look finds out which topic is gone.
            Err(error) if is_gone(&error) => return Ok(SourceStatus::Ready),
            ready if ready.clone().map_err(EmbeddedError::broker("wait for records"))? => {
                return Ok(SourceStatus::Ready);
            }
            _ => {}
        }
        let pause = if self.away.is_empty() { CHECKUP } else { LOOK };
        Ok(SourceStatus::Idle { until: Some(self.context.clock.now() + pause) })
    }

    /// Hands on about a batch of the engine's, of one partition. Whether there was anything.
    fn hand_on(&mut self, output: &mut SourceOutput<T>) -> Result<bool, EmbeddedError> {
        for _ in 0..self.partitions.len() {
            self.turn = (self.turn + 1) % self.partitions.len();
            let partition = &mut self.partitions[self.turn];
            let Some(split) = partition.split else { continue };
            let (first, mut count) = (partition.next, 0);
            while output.room() > 0
                && let Some(batch) = partition.batches.pop_front()
            {
                let settings = &self.source.settings;
                let read = settings.deserializer.read(&batch, partition.end, settings.bad_records, output)?;
                self.context.metrics.bytes.add(read.bytes as u64);
                output.weigh(read.bytes);
                self.context.metrics.bad_records.add(read.bad);
                count += read.records;
                partition.consumed_to(batch.next_offset());
                if partition.is_finished() {
                    partition.batches.clear();
                    self.consumer.unassign(&partition.place.0, partition.place.1);
                    output.finish_split(split);
                }
            }
            if count > 0 {
                output.origin(split, first as u64, partition.next as u64 - 1);
                return Ok(true);
            }
            // What is wrong with a partition is told when it is read.
            if let Ok(false) = self.consumer.may_have_more(&partition.place.0, partition.place.1) {
                output.nothing_for(split);
            }
        }
        Ok(false)
    }

    /// Reads what is at hand. Nothing waits to be handed on.
    fn fetch(&mut self, output: &mut SourceOutput<T>) -> Result<(), EmbeddedError> {
        self.look_at_topics()?;
        let batches = match self.consumer.poll(Duration::ZERO) {
            Ok(batches) => batches,
            Err(error) if error.code() == Some(ResponseError::OffsetOutOfRange) => {
                return self.go_on_in_range();
            }
            // Which one, the next look says.
            Err(error) if is_gone(&error) => return Ok(()),
            Err(error) => return Err(EmbeddedError::broker("read")(error)),
        };
        // What was read is of the topics that were there before, if they are there still: ids never come twice.
        let changed = self.changed_topics()?;
        for batch in batches.into_iter().filter(|batch| !changed.contains_key(batch.topic())) {
            let is_it = |partition: &&mut Partition| {
                partition.place.1 == batch.partition() && partition.place.0 == batch.topic()
            };
            if let Some(partition) = self.partitions.iter_mut().find(is_it) {
                partition.batches.push_back(batch);
            }
        }
        for partition in self.partitions.iter_mut().filter(|partition| partition.batches.is_empty()) {
            let (topic, index) = &partition.place;
            if changed.contains_key(topic) {
                continue;
            }
            // Past what nobody sees: transaction markers and aborted records.
            let Some(position) = self.consumer.position(topic, *index) else { continue };
            partition.consumed_to(position);
            if partition.is_finished() {
                self.consumer.unassign(&partition.place.0, partition.place.1);
                if let Some(split) = partition.split {
                    output.finish_split(split);
                }
            }
        }
        Ok(())
    }

    /// The topics that are not what they were when they were last looked at, and what they are now.
    fn changed_topics(&self) -> Result<BTreeMap<String, Option<(i32, u128)>>, EmbeddedError> {
        let mut changed = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for partition in self.partitions.iter().filter(|partition| !partition.is_finished()) {
            let topic = partition.place.0.as_str();
            if !seen.insert(topic) {
                continue;
            }
            let present = self.look_at(topic)?;
            if present.map(|(_, id)| id) != Some(partition.id) || self.away.contains_key(topic) {
                changed.insert(topic.to_owned(), present);
            }
        }
        Ok(changed)
    }

    /// Sees to topics that are gone or were made anew.
    fn look_at_topics(&mut self) -> Result<(), EmbeddedError> {
        for (topic, present) in self.changed_topics()? {
            let Some((count, id)) = present else {
                self.gone(&topic)?;
                continue;
            };
            self.away.remove(&topic);
            for index in 0..self.partitions.len() {
                let Partition { place, id: was, next, end, .. } = &self.partitions[index];
                if place.0 != topic {
                    continue;
                }
                let (place, known) = (place.clone(), Known { id: Some(*was), next: *next, end: *end });
                self.consumer.unassign(&place.0, place.1);
                let mut fresh = if place.1 < count {
                    self.partition(place, id, Some(known), &OffsetsInitializer::Earliest)?
                } else {
                    let name = positions::name(&place);
                    tracing::warn!(
                        name,
                        "the topic that was made anew has fewer partitions; this one is not there"
                    );
                    Partition::new(place, id, known.next, Some(known.next))
                };
                let former = &mut self.partitions[index];
                if former.id == id {
                    (fresh.split, fresh.former_split) = (former.split, former.former_split);
                } else {
                    fresh.former_split = former.split;
                }
                if !fresh.is_finished() {
                    self.consumer.assign(&fresh.place.0, fresh.place.1, fresh.next);
                }
                *former = fresh;
            }
        }
        Ok(())
    }

    /// A topic is not there any more. Whoever wants to go on without what is lost waits for it to be made anew.
    fn gone(&mut self, topic: &str) -> Result<(), EmbeddedError> {
        let now = self.context.clock.now();
        let is_new = !self.away.contains_key(topic);
        let since = *self.away.entry(topic.to_owned()).or_insert(now);
        if self.source.settings.reset == OffsetResetStrategy::None || now.saturating_sub(since) > ABSENCE {
            return Err(EmbeddedError::UnknownTopic(topic.to_owned()));
        }
        if is_new {
            tracing::warn!(topic, "the topic is not there any more; it is waited for it to be made anew");
        }
        for partition in self.partitions.iter().filter(|partition| partition.place.0 == topic) {
            self.consumer.unassign(topic, partition.place.1);
        }
        Ok(())
    }

    /// A position is not in its log any more.
    fn go_on_in_range(&mut self) -> Result<(), EmbeddedError> {
        let settings = Arc::clone(&self.source.settings);
        // A topic that was made anew is told as that.
        self.look_at_topics()?;
        for partition in self.partitions.iter_mut().filter(|partition| !partition.is_finished()) {
            let (topic, index) = &partition.place;
            let Some(position) = self.consumer.position(topic, *index) else { continue };
            let range = log_range(&settings.client, topic, *index)?;
            let id = partition.id;
            let next = fit(&partition.place, (position, Some(id)), (range, id), settings.reset)?;
            if next != position {
                self.consumer.assign(topic, *index, next);
                partition.next = next;
            }
        }
        Ok(())
    }

    /// Takes down the positions at barrier `epoch`, for the group.
    fn cut(&mut self, epoch: Epoch) -> &Cut {
        let offset = |partition: &Partition| GroupOffset {
            topic: partition.place.0.clone(),
            partition: partition.place.1,
            offset: partition.next,
            metadata: String::new(),
        };
        let partitions = &self.partitions;
        let cut = self.cut.take().filter(|cut| cut.epoch == epoch);
        self.cut.insert(cut.unwrap_or_else(|| Cut {
            epoch,
            offsets: partitions.iter().map(offset).collect(),
            carried: Arc::default(),
        }))
    }
}

/// Whether a partition is not there.
fn is_gone(error: &LocalError) -> bool {
    error.code() == Some(ResponseError::UnknownTopicOrPartition)
}

impl<T: Send + 'static> SourceReader for BrokerSourceReader<T> {
    type Item = T;
    type Position = Position;

    fn open(&mut self, restored: Option<Vec<(String, Position)>>) -> Result<(), BoxError> {
        self.begin(restored).map_err(EmbeddedError::boxed)
    }

    fn poll(&mut self, output: &mut SourceOutput<T>) -> Result<SourceStatus, BoxError> {
        self.read(output).map_err(EmbeddedError::boxed)
    }

    fn positions(&mut self) -> Vec<(String, Position)> {
        let read = self.partitions.iter().map(|partition| {
            (positions::identity(&partition.place, Some(partition.id)), (partition.next, partition.end))
        });
        let carried = self.carried.iter();
        let carried =
            carried.map(|(place, known)| (positions::identity(place, known.id), (known.next, known.end)));
        read.chain(carried).collect()
    }

    fn note(&mut self, epoch: Epoch) -> Option<Box<dyn Any + Send>> {
        let (client, group) = (self.source.settings.client.clone(), self.group().to_owned());
        let Cut { offsets, carried, .. } = self.cut(epoch);
        let (offsets, carried) = (offsets.clone(), Arc::clone(carried));
        Some(Box::new(SourceOffsets { client, group, offsets, carried }))
    }

    fn barrier(&mut self, barrier: &thalweg_dataflow::barrier::Barrier) {
        self.cut(barrier.epoch);
    }

    fn committed(&mut self, epoch: Epoch) -> Result<(), BoxError> {
        let due = |cut: &mut Cut| cut.epoch == epoch && !cut.carried.load(Ordering::Acquire);
        let Some(cut) = self.cut.take_if(due) else { return Ok(()) };
        if let Err(error) = self.source.settings.client.commit(self.group(), &cut.offsets) {
            tracing::warn!(%error, "offsets could not be committed; the next commit makes up for it");
        }
        Ok(())
    }
}
