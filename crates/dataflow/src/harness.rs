//! Drives one operator by hand: records, watermarks, barriers and time in, and what it emits out.
//!
//! The operator runs in the same wrapping as in the engine, so that what a test sees is what a job would do.
//! Failures panic with their message, except in [`Harness::try_push`].

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

pub use crate::barrier::Then;
use crate::barrier::{Barrier, Epoch};
use crate::chain::Chained;
use crate::checkpoint::{Chain, FORMAT_VERSION, FileEntry, Manifest, Restore, StateFile, Stored, read_index};
use crate::collector::{Collector, Control, TaskContext};
use crate::error::{Failure, OperatorName};
use crate::graph::Either;
use crate::key_group::{DEFAULT_MAX_PARALLELISM, KeyGroups, group_of, owner};
use crate::metrics::OperatorMetrics;
use crate::operator::{Cancelled, Operator, OperatorContext, RunId};
use crate::output::{Output, OutputTag, SidePort, TypedSidePort};
use crate::record::{Batch, Hashed, Origin, Record};
use crate::runtime::turns::Turn;
use crate::source::Waker;
use crate::time::{MAX_WATERMARK, TaskClock, Timestamp};

/// What an operator emitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<T> {
    /// A record, and its event time.
    Record(T, Timestamp),
    /// A watermark.
    Watermark(Timestamp),
    /// An input without a watermark to wait for.
    Idle,
    /// A barrier, by its time.
    Barrier(Timestamp),
    /// The end.
    End,
}

/// Receives what an operator emits.
struct Probe<T>(Arc<Mutex<Vec<Event<T>>>>);

impl<T: Send> Collector<T> for Probe<T> {
    fn batch(&mut self, batch: &mut Batch<T>) -> Result<(), Failure> {
        let events =
            batch.records.drain(..).map(|Record { value, timestamp }| Event::Record(value, timestamp));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(events);
        Ok(())
    }

    fn control(&mut self, control: &Control, _: &mut TaskContext) -> Result<(), Failure> {
        let event = match control {
            Control::Watermark(watermark) => Event::Watermark(*watermark),
            Control::Idle => Event::Idle,
            Control::Barrier(barrier) => Event::Barrier(barrier.time),
            Control::End => Event::End,
            Control::Open
            | Control::Flush
            | Control::Woken
            | Control::CaughtUp(_)
            | Control::ProcessingTime(_)
            | Control::Committed(_) => {
                return Ok(());
            }
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(event);
        Ok(())
    }
}

fn owner_of(hash: u64, parallelism: usize) -> usize {
    owner(group_of(hash, DEFAULT_MAX_PARALLELISM), DEFAULT_MAX_PARALLELISM, parallelism)
}

impl<A, B, O: Operator<In = Either<A, B>>> Harness<O> {
    /// As [`restore`](Self::restore), for an operator of a keyed stream and one that is [broadcast](Self::broadcast).
    pub fn restore_beside_broadcast(self, operator: O, parallelism: usize) -> Self
    where
        O: Clone,
        A: Hashed,
    {
        self.restore_routed(operator, parallelism, |record, parallelism| match record {
            Either::Left(record) => owner_of(record.hash(), parallelism),
            Either::Right(_) => 0,
        })
    }

    /// Hands a record of the second stream to all subtasks.
    pub fn broadcast(&mut self, value: B, timestamp: Timestamp)
    where
        B: Clone,
    {
        for subtask in &mut self.subtasks {
            let records = vec![Record { value: Either::Right(value.clone()), timestamp }];
            must(subtask.batch(&mut Batch { records, origin: Origin::default() }));
        }
    }
}

/// An operator and its surroundings. See the [module](self).
///
/// After a [`restore`](Self::restore) at a parallelism above 1, it holds that many subtasks, and sends each
/// keyed record to the one that owns its key.
pub struct Harness<O: Operator> {
    subtasks: Vec<Chained<O>>,
    route: fn(&O::In, usize) -> usize,
    emitted: Arc<Mutex<Vec<Event<O::Out>>>>,
    clock: TaskClock,
    metrics: Arc<OperatorMetrics>,
    epoch: Epoch,
    /// The state files of the checkpoints so far, as far as the last one needs them.
    files: Vec<(String, Bytes)>,
    chain: Chain,
}

impl<O: Operator> Harness<O> {
    /// Opens one subtask of an operator.
    pub fn new(operator: O) -> Self {
        Self::with_sides(operator, Vec::new())
    }

    /// Opens one subtask of an operator, and listens to one of its side outputs: the second value collects its records.
    pub fn with_side<S: Send + 'static>(operator: O, tag: &OutputTag<S>) -> (Self, SideProbe<S>) {
        let probe = SideProbe(Arc::default());
        let port = TypedSidePort::new(tag.name(), Box::new(Probe(probe.0.clone())));
        (Self::with_sides(operator, vec![Box::new(port)]), probe)
    }

    fn with_sides(operator: O, sides: Vec<Box<dyn SidePort>>) -> Self {
        let (emitted, clock, metrics) = (Arc::default(), TaskClock::default(), Arc::default());
        let mut harness = Self {
            subtasks: Vec::new(),
            route: |_, _| 0,
            emitted,
            clock,
            metrics,
            epoch: 0,
            files: Vec::new(),
            chain: Chain::default(),
        };
        harness.open(operator, sides, 1, 0, None);
        harness
    }

    fn open(
        &mut self,
        operator: O,
        sides: Vec<Box<dyn SidePort>>,
        parallelism: usize,
        index: usize,
        restore: Option<Arc<Restore>>,
    ) {
        let full = std::any::type_name::<O>();
        let short = full.split('<').next().and_then(|path| path.rsplit("::").next()).unwrap_or(full);
        let context = OperatorContext {
            operator: OperatorName { name: short.into(), uid: "operator".into(), subtask: index },
            parallelism,
            key_groups: KeyGroups::of_subtask(DEFAULT_MAX_PARALLELISM, parallelism, index),
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
            start_time: self.clock.now(),
            restored_epoch: restore.as_ref().map_or(0, |restore| restore.epoch()),
            run: RunId::unknown(),
            cancelled: Cancelled::default(),
            waker: Waker::default(),
            turn: Turn::default(),
            memory: None,
            queued_bytes: None,
        };
        let output = Output::new(Box::new(Probe(self.emitted.clone())), sides);
        let mut subtask = Chained::new(operator, output, context);
        must(subtask.control(&Control::Open, &mut TaskContext { restore, ..TaskContext::default() }));
        self.subtasks.push(subtask);
    }

    /// Takes a checkpoint, kills the operator, and restores it into `parallelism` new ones made of `operator`.
    /// What was emitted before stays to be seen.
    pub fn restore(self, operator: O, parallelism: usize) -> Self
    where
        O: Clone,
        O::In: Hashed,
    {
        self.restore_routed(operator, parallelism, |record, parallelism| owner_of(record.hash(), parallelism))
    }

    fn restore_routed(mut self, operator: O, parallelism: usize, route: fn(&O::In, usize) -> usize) -> Self
    where
        O: Clone,
    {
        self.epoch += 1;
        let barrier = Barrier { epoch: self.epoch, time: 1, checkpoint: true, then: Then::Suspend };
        let restore = Arc::new(self.snapshot(barrier));
        self.emitted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|event| !matches!(event, Event::Barrier(1)));
        self.subtasks.clear();
        self.route = route;
        for index in 0..parallelism {
            self.open(operator.clone(), Vec::new(), parallelism, index, Some(restore.clone()));
        }
        self
    }

    fn snapshot(&mut self, barrier: Barrier) -> Restore {
        let file = StateFile::new(None);
        for (index, subtask) in self.subtasks.iter_mut().enumerate() {
            let mut task = TaskContext::default();
            must(subtask.control(&Control::Barrier(barrier), &mut task));
            for snapshot in task.snapshots {
                must(file.add(index, index, snapshot, &|_, _| false));
            }
        }
        let bytes = Bytes::from(must(file.finish_in_memory()));
        let (name, index) = (
            format!("state-{}", barrier.epoch),
            must(read_index(&Stored::in_memory(bytes.clone())).map_err(|error| format!("{error:?}")))
                .1
                .entries,
        );
        let files = must(self.chain.add(FileEntry { path: name.clone(), contents: None }, &index));
        self.files.push((name, bytes));
        self.files.retain(|(name, _)| files.iter().any(|file| file.path == *name));
        let manifest = Manifest {
            format_version: FORMAT_VERSION,
            job: "harness".to_owned(),
            epoch: barrier.epoch,
            generation: 1,
            instance: "harness".to_owned(),
            committed: 0,
            marker: None,
            time: barrier.time,
            max_parallelism: DEFAULT_MAX_PARALLELISM,
            operators: Vec::new(),
            files,
        };
        let files = self.files.iter().map(|(name, bytes)| (name.clone(), Stored::in_memory(bytes.clone())));
        let mut restore = must(Restore::new(manifest, files.collect()));
        restore.continue_from_it();
        restore
    }

    /// Hands a record to the operator.
    pub fn push(&mut self, value: O::In, timestamp: Timestamp) {
        must(self.try_push(value, timestamp));
    }

    /// Hands a record to the operator, and returns its failure.
    pub fn try_push(&mut self, value: O::In, timestamp: Timestamp) -> Result<(), Failure> {
        let subtask = (self.route)(&value, self.subtasks.len());
        let records = vec![Record { value, timestamp }];
        self.subtasks[subtask].batch(&mut Batch { records, origin: Origin::default() })
    }

    fn control(&mut self, control: &Control) {
        for subtask in &mut self.subtasks {
            must(subtask.control(control, &mut TaskContext::default()));
        }
    }

    /// Lets event time reach `watermark`, in every subtask.
    pub fn watermark(&mut self, watermark: Timestamp) {
        self.control(&Control::Watermark(watermark));
    }

    /// Says that the input idles.
    pub fn idle(&mut self) {
        self.control(&Control::Idle);
    }

    /// Sends a barrier, of the given time (milliseconds), that is no checkpoint.
    pub fn barrier(&mut self, time: Timestamp, then: Then) {
        self.epoch += 1;
        self.control(&Control::Barrier(Barrier { epoch: self.epoch, time, checkpoint: false, then }));
    }

    /// Sends a barrier of the given time (milliseconds) that is a checkpoint, kills the operator's state, and
    /// restores it from the checkpoint, in place. For operators whose records have no key, and so cannot be
    /// sent to several subtasks.
    pub fn checkpoint(&mut self, time: Timestamp) {
        self.epoch += 1;
        let barrier = Barrier { epoch: self.epoch, time, checkpoint: true, then: Then::Continue };
        let restore = Arc::new(self.snapshot(barrier));
        for subtask in &mut self.subtasks {
            must(subtask.restore_in_place(&restore));
        }
    }

    /// Tells the operator that an epoch has been committed.
    pub fn committed(&mut self, epoch: Epoch) {
        self.control(&Control::Committed(epoch));
    }

    /// Ends the input: the last watermark, then the end.
    pub fn end(&mut self) {
        self.control(&Control::Watermark(MAX_WATERMARK));
        self.control(&Control::End);
    }

    /// Sets the processing time, and fires the timers that are due. All that has come until then has been pushed.
    pub fn set_processing_time(&mut self, now: Timestamp) {
        let before = self.clock.now();
        self.clock.set(now);
        self.control(&Control::ProcessingTime(now));
        for at in [before, before + (now - before) / 2, now] {
            self.control(&Control::CaughtUp(at));
        }
    }

    /// Moves the processing time on, and fires the timers that are due.
    pub fn advance(&mut self, duration: Duration) {
        self.set_processing_time(self.clock.now() + crate::time::millis(duration));
    }

    /// What has been emitted since this was last asked.
    pub fn events(&mut self) -> Vec<Event<O::Out>> {
        std::mem::take(&mut self.emitted.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The values of the records that have been emitted since this or [`events`](Self::events) was last asked.
    pub fn values(&mut self) -> Vec<O::Out> {
        let records = self.events().into_iter();
        records
            .filter_map(|event| if let Event::Record(value, _) = event { Some(value) } else { None })
            .collect()
    }

    /// The operator's counters.
    pub fn metrics(&self) -> &OperatorMetrics {
        &self.metrics
    }
}

/// What a side output has received.
pub struct SideProbe<S>(Arc<Mutex<Vec<Event<S>>>>);

impl<S> SideProbe<S> {
    /// The values that have been received since this was last asked.
    pub fn values(&self) -> Vec<S> {
        let events = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        events
            .into_iter()
            .filter_map(|event| if let Event::Record(value, _) = event { Some(value) } else { None })
            .collect()
    }
}

/// A test wants to stop at the first failure, with its message.
#[expect(clippy::panic, reason = "the harness is for tests, which fail by panicking")]
fn must<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}
