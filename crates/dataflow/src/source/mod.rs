//! The source: where records enter, from splits (partitions, files) whose positions go into the checkpoint.
//!
//! A [`Source`] describes; each subtask makes a [`SourceReader`] of it. Which splits a subtask reads follows from
//! its index and the parallelism alone ([`SourceContext::owns`]), so no coordinator has to hand them out: after a restore
//! at another parallelism every reader is shown all positions, and takes those of its splits.
//!
//! Whoever has records in the same program sends them through a [`channel`]; whoever gets them from a system that cannot be read again
//! writes a [`Receiver`]; what is made by a function is a [`DataGeneratorSource`]. A system that can be read again from a position wants a
//! source of its own, which then is exactly-once. This one reads the lines of a log that is kept in memory:
//!
//! ```
//! use std::sync::Arc;
//!
//! use thalweg_dataflow::error::BoxError;
//! use thalweg_dataflow::source::{Source, SourceContext, SourceOutput, SourceReader, SourceStatus, SplitId};
//! use thalweg_dataflow::time::NO_TIMESTAMP;
//!
//! /// The log: here a split a part, as a topic has partitions.
//! struct LogSource {
//!     parts: Arc<Vec<Vec<String>>>,
//! }
//!
//! struct LogReader {
//!     parts: Arc<Vec<Vec<String>>>,
//!     /// Of each part that this subtask reads: its number, the position, and what the engine knows it by.
//!     mine: Vec<(usize, usize, Option<SplitId>)>,
//! }
//!
//! impl Source for LogSource {
//!     type Item = String;
//!     type Reader = LogReader;
//!
//!     fn identity(&self) -> String {
//!         "the log".to_owned() // the name of a topic, an address, a path
//!     }
//!
//!     fn reader(&self, context: &SourceContext) -> Result<LogReader, BoxError> {
//!         let mine = (0..self.parts.len()).filter(|part| context.owns(*part));
//!         Ok(LogReader { parts: self.parts.clone(), mine: mine.map(|part| (part, 0, None)).collect() })
//!     }
//! }
//!
//! impl SourceReader for LogReader {
//!     type Item = String;
//!     type Position = u64;
//!
//!     fn open(&mut self, restored: Option<Vec<(String, u64)>>) -> Result<(), BoxError> {
//!         // Those of all subtasks: each takes its own.
//!         for (part, position, _) in &mut self.mine {
//!             let known = restored.iter().flatten().find(|(split, _)| *split == part.to_string());
//!             *position = known.map_or(0, |(_, position)| *position as usize);
//!         }
//!         Ok(())
//!     }
//!
//!     fn poll(&mut self, output: &mut SourceOutput<String>) -> Result<SourceStatus, BoxError> {
//!         for (part, position, split) in &mut self.mine {
//!             let split = *split.get_or_insert_with(|| output.add_split(&part.to_string()));
//!             let first = *position;
//!             for line in self.parts[*part][first..].iter().take(output.room()) {
//!                 output.push(line.clone(), NO_TIMESTAMP);
//!                 output.weigh(line.len());
//!                 *position += 1;
//!             }
//!             if *position > first {
//!                 output.origin(split, first as u64, *position as u64 - 1);
//!                 return Ok(SourceStatus::Ready);
//!             }
//!             output.finish_split(split);
//!         }
//!         // A log that grows would return `Idle`, and have the waker called when there is more.
//!         Ok(SourceStatus::End)
//!     }
//!
//!     fn positions(&mut self) -> Vec<(String, u64)> {
//!         self.mine.iter().map(|(part, position, _)| (part.to_string(), *position as u64)).collect()
//!     }
//! }
//! # let _ = LogSource { parts: Arc::default() };
//! ```

mod channel;
mod collection;
mod generator;
mod handoff;
mod iterator;
mod mapped;
mod queue;
mod rdd_queue;
mod receiver;
#[cfg(test)]
mod testing;

use std::any::Any;
use std::sync::Arc;

pub use channel::{ChannelReader, ChannelSource, SendError, SourceSender, channel};
pub use collection::{CollectionReader, CollectionSource, ParallelCollectionSource};
pub use generator::{DataGeneratorReader, DataGeneratorSource};
pub use iterator::{IteratorReader, IteratorSource};
pub use mapped::{MappedReader, MappedSource};
pub use queue::{QueueReader, QueueSource};
pub use rdd_queue::{RddQueue, RddQueueReader, RddQueueSource};
pub use receiver::{Function, Receiver, ReceiverReader, ReceiverSource, Stopped, Store};
use serde::{Deserialize, Serialize};

use crate::barrier::{Barrier, Epoch};
use crate::error::{BoxError, OperatorName};
use crate::hash::key_hash;
use crate::metrics::OperatorMetrics;
use crate::record::{BATCH_SIZE, Batch, Origin, Record};
use crate::state::StateData;
use crate::time::{Clock, Timestamp};

/// Describes a source. One value serves all subtasks and all attempts of a job.
pub trait Source: Send + Sync + 'static {
    /// The records.
    type Item: Send + 'static;
    /// What reads them, in one subtask.
    type Reader: SourceReader<Item = Self::Item>;

    /// What it reads, in a few words: topics, a path. It is part of the id under which its positions are found again, and of that
    /// of all that hangs below it: so it must be the same in every run, and change when another's positions would be wrong. Two
    /// sources of one job that read the same need a [uid](crate::graph::Stream::uid), each its own.
    fn identity(&self) -> String {
        String::new()
    }

    /// Makes the reader of one subtask. Nothing is to be opened before [`SourceReader::open`].
    fn reader(&self, context: &SourceContext) -> Result<Self::Reader, BoxError>;
}

/// Reads the splits of one subtask, on the subtask's thread.
pub trait SourceReader: Send + 'static {
    /// The records.
    type Item: Send + 'static;
    /// The position within a split: what the next record is.
    type Position: StateData;

    /// Called once, before anything else. `restored` holds the positions of all splits of all subtasks at the checkpoint;
    /// `None` at a fresh start.
    fn open(&mut self, restored: Option<Vec<(String, Self::Position)>>) -> Result<(), BoxError>;

    /// Reads some records of one split into `output`: about as many as it has [room](SourceOutput::room) for, fewer if fewer are at hand.
    /// It must return within about 50 ms, as barriers wait for it; to wait longer, return [`SourceStatus::Idle`].
    fn poll(&mut self, output: &mut SourceOutput<Self::Item>) -> Result<SourceStatus, BoxError>;

    /// The positions of this subtask's splits, after the last record polled. Splits that have been read to their end included.
    /// Called at a checkpoint, after [`barrier`](Self::barrier).
    fn positions(&mut self) -> Vec<(String, Self::Position)>;

    /// The stream is cut here, between what has been polled and what will be. Called at every barrier, before anything else is
    /// asked of it there.
    fn barrier(&mut self, _barrier: &Barrier) {}

    /// What the committer is to be told about this epoch; see [`Committer::flush`](crate::checkpoint::committer::Committer::flush).
    fn note(&mut self, _epoch: Epoch) -> Option<Box<dyn Any + Send>> {
        None
    }

    /// An epoch has been committed: its positions will not be read again.
    fn committed(&mut self, _epoch: Epoch) -> Result<(), BoxError> {
        Ok(())
    }
}

/// What a reader says after a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceStatus {
    /// Poll again at once.
    Ready,
    /// The outside has nothing at hand, for no split but those that are [held back](SourceOutput::hold_back). Poll again when the [`Waker`] is called, and at the latest at this processing time.
    Idle {
        /// Milliseconds since the epoch.
        until: Option<Timestamp>,
    },
    /// All has been read. Not polled again.
    End,
}

/// What a reader is told about its place.
#[derive(Clone)]
pub struct SourceContext {
    /// Who it is.
    pub operator: OperatorName,
    /// How many subtasks the source has.
    pub parallelism: usize,
    /// The job's clock. To be read once a poll, not once a record.
    pub clock: Clock,
    /// Its counters.
    pub metrics: Arc<OperatorMetrics>,
    /// Wakes the subtask.
    pub waker: Waker,
    /// The job's id: the group under which offsets are committed, unless the source says otherwise.
    pub job: Arc<str>,
    /// How many bytes this subtask may hold that have been read ahead. `None`: whatever is usual.
    pub queued_bytes: Option<u64>,
}

impl SourceContext {
    /// Whether this subtask reads split number `index`, of splits that are numbered from 0 in an order that never changes.
    pub fn owns(&self, index: usize) -> bool {
        index % self.parallelism == self.operator.subtask
    }

    /// Whether this subtask reads part `index` of what goes by `name`: parts of one name are dealt out in turn, and names begin
    /// at different subtasks, so that many names with one part each do not all fall to the first.
    pub fn owns_part(&self, name: &str, index: usize) -> bool {
        let start = (key_hash(name) % self.parallelism as u64) as usize;
        self.owns(start + index)
    }
}

/// Wakes a source subtask that said [`SourceStatus::Idle`], or the task of an [operator](crate::operator::Operator::woken). May be called from
/// any thread, at any time, also too often.
#[derive(Clone)]
pub struct Waker(Arc<dyn Fn() + Send + Sync>);

impl Default for Waker {
    /// One that wakes nobody.
    fn default() -> Self {
        Self::new(|| {})
    }
}

impl std::fmt::Debug for Waker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waker")
    }
}

impl Waker {
    /// A waker that calls `wake`. The engine makes them; so may a test of a reader.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(wake))
    }

    /// Wakes the subtask.
    pub fn wake(&self) {
        (self.0)();
    }
}

/// Which split a record belongs to, within its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitId(pub(crate) usize);

/// Receives what a reader reads.
pub struct SourceOutput<T> {
    pub(crate) batch: Batch<T>,
    pub(crate) current: Option<SplitId>,
    pub(crate) splits: Vec<SplitInfo>,
    /// How many records are wanted in this poll.
    records: usize,
    /// How many bytes those have that have been pushed in it.
    bytes: usize,
}

/// So many bytes are wanted in one poll.
const POLL_BYTES: usize = 1 << 20;

pub(crate) struct SplitInfo {
    pub(crate) name: Arc<str>,
    /// The name that it is kept by in checkpoints.
    pub(crate) identity: Arc<str>,
    pub(crate) finished: bool,
    /// What the reader has said of it in this poll.
    pub(crate) found: Found,
}

/// What a reader says of a split, besides its records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Found {
    /// It was not asked, or says so by its status.
    #[default]
    Unsaid,
    Nothing,
    Held,
}

impl<T> SourceOutput<T> {
    /// An empty output. The engine makes it; so may a test of a reader.
    pub fn new() -> Self {
        Self { batch: Batch::new(), current: None, splits: Vec::new(), records: BATCH_SIZE, bytes: 0 }
    }

    /// Announces a split: from now on it takes part in the watermark.
    pub fn add_split(&mut self, name: &str) -> SplitId {
        self.add_split_as(name, name)
    }

    /// The same for a split that [`SourceReader::positions`] calls `identity`, while people know it by `name`: of a partition, say,
    /// the one has the topic's id.
    pub fn add_split_as(&mut self, name: &str, identity: &str) -> SplitId {
        let (name, identity) = (name.into(), identity.into());
        self.splits.push(SplitInfo { name, identity, finished: false, found: Found::Unsaid });
        SplitId(self.splits.len() - 1)
    }

    /// A split has been read to its end: it does not hold the watermark back any more.
    pub fn finish_split(&mut self, split: SplitId) {
        self.splits[split.0].finished = true;
    }

    /// The outside has nothing for `split` at present, as was found in this poll. When all splits were found so, it is said by
    /// [`SourceStatus::Idle`]; this is for a poll that has records of another one. What is said counts for idleness
    /// ([`with_idleness`](crate::watermark::WatermarkStrategy::with_idleness)).
    pub fn nothing_for(&mut self, split: SplitId) {
        self.splits[split.0].found = Found::Nothing;
    }

    /// There may be records of `split` that are not read now, by a rate limit or the like: so it does not count as idle, though
    /// the reader says [`SourceStatus::Idle`].
    pub fn hold_back(&mut self, split: SplitId) {
        self.splits[split.0].found = Found::Held;
    }

    /// A poll begins, for so many records.
    pub(crate) fn begin(&mut self, records: usize) {
        (self.current, self.records, self.bytes) = (None, records, 0);
        self.splits.iter_mut().for_each(|split| split.found = Found::Unsaid);
    }

    /// The records pushed in this poll are numbers `first` to `last` (offsets, lines …) of `split`. At most one split a poll.
    pub fn origin(&mut self, split: SplitId, first: u64, last: u64) {
        self.current = Some(split);
        self.batch.origin = Origin::new(self.splits[split.0].name.clone(), first, last);
    }

    /// Hands on a record with the time that the source knows, or [`NO_TIMESTAMP`](crate::time::NO_TIMESTAMP).
    #[inline]
    pub fn push(&mut self, value: T, timestamp: Timestamp) {
        self.batch.records.push(Record { value, timestamp });
    }

    /// What has been pushed has so many bytes, as far as the reader knows. Without that, records are only counted.
    #[inline]
    pub fn weigh(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// How many more records are wanted in this poll: up to [`BATCH_SIZE`], fewer when the operators behind take long for each, none
    /// when those that have been pushed [weigh](Self::weigh) a mebibyte. A reader that cannot but push more may do so.
    #[inline]
    pub fn room(&self) -> usize {
        if self.bytes >= POLL_BYTES { 0 } else { self.records.saturating_sub(self.batch.len()) }
    }

    /// The records pushed since the last poll; the next one may begin.
    pub fn take(&mut self) -> Vec<Record<T>> {
        self.bytes = 0;
        std::mem::take(&mut self.batch.records)
    }

    /// A poll is over: its records have their origin with them, and their weight.
    pub(crate) fn end(&mut self) {
        self.batch.origin.bytes = self.bytes as u64;
    }

    /// The number of records pushed in this poll.
    pub fn len(&self) -> usize {
        self.batch.len()
    }

    /// Whether none has been pushed in this poll.
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }
}

impl<T> Default for SourceOutput<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// The name of a source's state.
pub(crate) const SPLITS: &str = "splits";

/// The type of the items, without paths: what collections in memory can say of themselves.
fn items<T>() -> String {
    crate::type_name::without_paths::<T>()
}

/// What a checkpoint holds of one split.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) struct SplitState<P: StateData> {
    pub(crate) split: String,
    pub(crate) position: P,
    /// The newest event time read from it, so that what was late stays late.
    pub(crate) newest: Timestamp,
}
