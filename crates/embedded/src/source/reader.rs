//! The reader of one subtask.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use thalweg_broker::{Batch, GroupOffset, Isolation, LocalClient, LocalConsumer};
use thalweg_dataflow::barrier::Epoch;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::record::BATCH_SIZE;
use thalweg_dataflow::source::{SourceContext, SourceOutput, SourceReader, SourceStatus, SplitId};

use crate::error::EmbeddedError;
use crate::record::Deserialize;
use crate::source::BrokerSource;

/// The next offset, and where a bounded source ends.
type Position = (i64, Option<i64>);

/// At least this often, in milliseconds, the broker is asked, so that its end is noticed.
const CHECKUP: i64 = 1_000;

/// A deserializer whose own type is forgotten. What is called virtually is the loop over a batch, not each record.
pub(super) trait ReadBatch<T>: Send + Sync {
    /// Hands the records before `end` on. Returns how many.
    fn read(
        &self,
        batch: &Batch,
        end: Option<i64>,
        output: &mut SourceOutput<T>,
    ) -> Result<Count, EmbeddedError>;
}

/// What was read.
pub(super) struct Count {
    records: usize,
    bytes: usize,
}

impl<T, D: Deserialize<T>> ReadBatch<T> for D {
    fn read(
        &self,
        batch: &Batch,
        end: Option<i64>,
        output: &mut SourceOutput<T>,
    ) -> Result<Count, EmbeddedError> {
        let mut count = Count { records: 0, bytes: 0 };
        for record in batch.records() {
            let record = record.map_err(EmbeddedError::broker("read a batch"))?;
            if end.is_some_and(|end| record.offset >= end) {
                break;
            }
            let value = self.deserialize(&record).map_err(|reason| EmbeddedError::Decode {
                topic: batch.topic().to_owned(),
                partition: batch.partition(),
                offset: record.offset,
                reason,
            })?;
            output.push(value, record.timestamp);
            count.records += 1;
            count.bytes += record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
        }
        Ok(count)
    }
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
    topic: String,
    index: i32,
    /// The split, once it has been announced.
    split: Option<SplitId>,
    /// The offset of the next record.
    next: i64,
    end: Option<i64>,
    /// What was read and not yet handed on.
    batches: VecDeque<Batch>,
}

impl Partition {
    fn name(&self) -> String {
        format!("{}-{}", self.topic, self.index)
    }

    fn is_finished(&self) -> bool {
        self.end.is_some_and(|end| self.next >= end)
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
}

impl<T: Send + 'static> BrokerSourceReader<T> {
    pub(super) fn new(source: BrokerSource<T>, context: SourceContext) -> Self {
        let consumer = source.settings.client.consumer(Isolation::ReadCommitted);
        Self { source, context, consumer, partitions: Vec::new(), turn: 0, cut: None }
    }

    fn group(&self) -> &str {
        self.source.settings.group.as_deref().unwrap_or(&self.context.job)
    }

    fn begin(&mut self, restored: Option<Vec<(String, Position)>>) -> Result<(), EmbeddedError> {
        let settings = Arc::clone(&self.source.settings);
        let (client, group) = (&settings.client, self.group().to_owned());
        // A partition that a checkpoint does not know has been added since.
        let starting =
            if restored.is_some() { super::OffsetsInitializer::Earliest } else { settings.starting };
        let restored: BTreeMap<String, Position> = restored.unwrap_or_default().into_iter().collect();
        for topic in &settings.topics {
            let count = client.partition_count(topic).map_err(EmbeddedError::broker("look up a topic"))?;
            let count = count.ok_or_else(|| EmbeddedError::UnknownTopic(topic.clone()))?;
            for index in 0..count {
                if !self.context.owns_part(topic, usize::try_from(index).unwrap_or(0)) {
                    continue;
                }
                let known = restored.get(&format!("{topic}-{index}"));
                let next = match known {
                    Some((next, _)) => *next,
                    None => starting.resolve(client, &group, topic, index)?,
                };
                let end = match (settings.stopping, known) {
                    (None, _) => None,
                    (Some(_), Some((_, Some(end)))) if next < *end => Some(*end),
                    // An end that has been reached is looked up anew: somebody has started the job once more, for
                    // what has come since.
                    (Some(stopping), _) => Some(stopping.resolve(client, &group, topic, index)?),
                };
                let batches = VecDeque::new();
                let partition = Partition { topic: topic.clone(), index, split: None, next, end, batches };
                if !partition.is_finished() {
                    self.consumer.assign(topic, index, next);
                }
                self.partitions.push(partition);
            }
        }
        Ok(())
    }

    fn read(&mut self, output: &mut SourceOutput<T>) -> Result<SourceStatus, EmbeddedError> {
        for partition in &mut self.partitions {
            if partition.split.is_none() {
                let split = output.add_split(&partition.name());
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
        let ready = self.consumer.wake_when_ready(move || waker.wake());
        if ready.map_err(EmbeddedError::broker("wait for records"))? {
            return Ok(SourceStatus::Ready);
        }
        Ok(SourceStatus::Idle { until: Some(self.context.clock.now() + CHECKUP) })
    }

    /// Hands on about a batch of the engine's, of one partition. Whether there was anything.
    fn hand_on(&mut self, output: &mut SourceOutput<T>) -> Result<bool, EmbeddedError> {
        for _ in 0..self.partitions.len() {
            self.turn = (self.turn + 1) % self.partitions.len();
            let partition = &mut self.partitions[self.turn];
            let Some(split) = partition.split else { continue };
            let (first, mut count) = (partition.next, 0);
            while count < BATCH_SIZE
                && let Some(batch) = partition.batches.pop_front()
            {
                let read = self.source.settings.deserializer.read(&batch, partition.end, output)?;
                self.context.metrics.bytes.add(read.bytes as u64);
                count += read.records;
                partition.next = batch.next_offset();
                if partition.is_finished() {
                    partition.batches.clear();
                    self.consumer.unassign(&partition.topic, partition.index);
                    output.finish_split(split);
                }
            }
            if count > 0 {
                output.origin(split, first as u64, partition.next as u64 - 1);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads what is at hand. Nothing waits to be handed on.
    fn fetch(&mut self, output: &mut SourceOutput<T>) -> Result<(), EmbeddedError> {
        let batches = self.consumer.poll(Duration::ZERO).map_err(EmbeddedError::broker("read"))?;
        for batch in batches {
            let is_it = |partition: &&mut Partition| {
                partition.index == batch.partition() && partition.topic == batch.topic()
            };
            if let Some(partition) = self.partitions.iter_mut().find(is_it) {
                partition.batches.push_back(batch);
            }
        }
        for partition in self.partitions.iter_mut().filter(|partition| partition.batches.is_empty()) {
            // Past what nobody sees: transaction markers and aborted records.
            let Some(position) = self.consumer.position(&partition.topic, partition.index) else { continue };
            partition.next = position;
            if partition.is_finished() {
                self.consumer.unassign(&partition.topic, partition.index);
                if let Some(split) = partition.split {
                    output.finish_split(split);
                }
            }
        }
        Ok(())
    }

    /// Takes down the positions at barrier `epoch`, for the group.
    fn cut(&mut self, epoch: Epoch) -> &Cut {
        let offset = |partition: &Partition| GroupOffset {
            topic: partition.topic.clone(),
            partition: partition.index,
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
        let position = |partition: &Partition| (partition.name(), (partition.next, partition.end));
        self.partitions.iter().map(position).collect()
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
