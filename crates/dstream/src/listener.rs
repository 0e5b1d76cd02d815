//! Listeners: who is told how a context gets on, batch by batch (Spark's `StreamingListener`).

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use thalweg_dataflow::barrier::Barrier;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::runtime::JobEvent;
use thalweg_dataflow::source::{Receiver as StreamReceiver, Store};
use thalweg_dataflow::time::Timestamp;

/// Is told how a context gets on; see [`StreamingContext::add_streaming_listener`](crate::StreamingContext::add_streaming_listener). All times are
/// milliseconds, by the clock of the job.
///
/// One thread calls all listeners, one event after the other, in their order; a listener that takes long holds up others and not the job. One that
/// panics is told nothing more.
pub trait StreamingListener: Send + 'static {
    /// The job has been started, or anew after a failure: `restarts` times so far.
    fn on_streaming_started(&mut self, _restarts: u32) {}

    /// A batch is over, and is on its way through the job. (Spark's `onBatchSubmitted` and `onBatchStarted`, which are the same here: batches do not
    /// wait in a queue.)
    fn on_batch_started(&mut self, _batch: &BatchStarted) {}

    /// A batch is through, and committed if there are checkpoints.
    fn on_batch_completed(&mut self, _batch: &BatchInfo) {}

    /// A function of `foreach_rdd` or the like begins with a batch.
    fn on_output_operation_started(&mut self, _operation: &OutputOperation) {}

    /// It is through.
    fn on_output_operation_completed(&mut self, _operation: &OutputOperation) {}

    /// A receiver begins to receive.
    fn on_receiver_started(&mut self, _receiver: &ReceiverInfo) {}

    /// A receiver has failed; it is started again.
    fn on_receiver_error(&mut self, _receiver: &ReceiverInfo) {}

    /// A receiver has nothing more, or was stopped.
    fn on_receiver_stopped(&mut self, _receiver: &ReceiverInfo) {}
}

/// A batch that is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchStarted {
    /// Its time.
    pub batch_time: Timestamp,
    /// When it was cut.
    pub processing_start_time: Timestamp,
}

/// A batch that is through (Spark's `BatchInfo`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchInfo {
    /// Its time.
    pub batch_time: Timestamp,
    /// So many records the sources have read for it.
    pub num_records: u64,
    /// When it was cut.
    pub processing_start_time: Timestamp,
    /// When it was through.
    pub processing_end_time: Timestamp,
    /// How long the busiest task has computed for it, which is spread over its interval.
    pub busy: Duration,
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::from_millis(to.saturating_sub(from).max(0).unsigned_abs())
}

impl BatchInfo {
    /// How long after its time it was cut: by how much the job is behind.
    pub fn scheduling_delay(&self) -> Duration {
        between(self.batch_time, self.processing_start_time)
    }

    /// How long it took from its cut until it was through. What was done for it before that, as records came, is not in it.
    pub fn processing_delay(&self) -> Duration {
        between(self.processing_start_time, self.processing_end_time)
    }

    /// How long after its time it was through; of the last batch of a job, which is cut before its time, how long after its cut.
    pub fn total_delay(&self) -> Duration {
        self.scheduling_delay() + self.processing_delay()
    }
}

/// What an output does with one batch (Spark's `OutputOperationInfo`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputOperation {
    /// The time of the batch.
    pub batch_time: Timestamp,
    /// The name of the operation: `foreach-rdd`, `print` … (what was set later with `name` is not known here).
    pub name: String,
    /// How long it took, once it is through.
    pub duration: Option<Duration>,
    /// Why it has failed, if it has.
    pub failure: Option<String>,
}

/// A receiver (Spark's `ReceiverInfo`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiverInfo {
    /// The name of its stream: `socket`, `receiver` …
    pub name: String,
    /// The error that it has ended with, if it has.
    pub last_error: Option<String>,
}

#[derive(Debug)]
pub(crate) enum Event {
    Started(u32),
    BatchStarted(BatchStarted),
    BatchCompleted(BatchInfo),
    OutputStarted(OutputOperation),
    OutputCompleted(OutputOperation),
    ReceiverStarted(ReceiverInfo),
    ReceiverError(ReceiverInfo),
    ReceiverStopped(ReceiverInfo),
}

/// Where events come together, and go to the listeners from. Clones are handles to the same one.
#[derive(Clone, Default)]
pub(crate) struct Bus(Arc<Mutex<BusState>>);

#[derive(Default)]
struct BusState {
    listeners: Vec<Box<dyn StreamingListener>>,
    running: Option<(Sender<Event>, JoinHandle<()>)>,
}

impl Bus {
    fn lock(&self) -> MutexGuard<'_, BusState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, listener: Box<dyn StreamingListener>) {
        self.lock().listeners.push(listener);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().listeners.is_empty()
    }

    /// Begins to hand events on, if anybody listens.
    pub(crate) fn start(&self) -> std::io::Result<()> {
        let mut state = self.lock();
        if state.listeners.is_empty() || state.running.is_some() {
            return Ok(());
        }
        let listeners = std::mem::take(&mut state.listeners);
        let (sender, receiver) = channel();
        let thread = std::thread::Builder::new().name("thalweg-listeners".to_owned());
        state.running = Some((sender, thread.spawn(move || hand_on(listeners, &receiver))?));
        Ok(())
    }

    pub(crate) fn is_running(&self) -> bool {
        self.lock().running.is_some()
    }

    pub(crate) fn tell(&self, event: Event) {
        if let Some((sender, _)) = &self.lock().running {
            // A thread that is gone has nobody left to tell.
            let _ = sender.send(event);
        }
    }

    /// Waits until all that has happened has been told.
    pub(crate) fn end(&self) {
        let Some((sender, thread)) = self.lock().running.take() else { return };
        drop(sender);
        if thread.thread().id() != std::thread::current().id() {
            // Panics of listeners are caught within.
            let _ = thread.join();
        }
    }

    /// What becomes of the events of a job whose batches have this interval.
    pub(crate) fn of_job(&self, interval: i64) -> impl Fn(&JobEvent) + Send + Sync + 'static {
        let (bus, last) = (self.clone(), AtomicI64::new(0));
        let closes = move |barrier: &Barrier| barrier.closes_batch(interval);
        // Records of cuts that close none of our batches belong to the next that does.
        let busy = AtomicI64::new(0);
        move |event| match event {
            JobEvent::Started { restarts } => bus.tell(Event::Started(*restarts)),
            JobEvent::CutBegun { barrier, at } if closes(barrier) => {
                bus.tell(Event::BatchStarted(BatchStarted {
                    batch_time: barrier.time,
                    processing_start_time: *at,
                }));
            }
            JobEvent::CutBegun { .. } => {}
            JobEvent::CutDone { barrier, begun, at, records, busy: computed } => {
                last.fetch_add(i64::try_from(*records).unwrap_or(i64::MAX), Ordering::Relaxed);
                busy.fetch_add(*computed, Ordering::Relaxed);
                if closes(barrier) {
                    bus.tell(Event::BatchCompleted(BatchInfo {
                        batch_time: barrier.time,
                        num_records: last.swap(0, Ordering::Relaxed).unsigned_abs(),
                        processing_start_time: *begun,
                        processing_end_time: *at,
                        busy: Duration::from_millis(busy.swap(0, Ordering::Relaxed).max(0).unsigned_abs()),
                    }));
                }
            }
        }
    }
}

fn hand_on(mut listeners: Vec<Box<dyn StreamingListener>>, events: &Receiver<Event>) {
    for event in events {
        listeners.retain_mut(|listener| {
            let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| match &event {
                Event::Started(restarts) => listener.on_streaming_started(*restarts),
                Event::BatchStarted(batch) => listener.on_batch_started(batch),
                Event::BatchCompleted(batch) => listener.on_batch_completed(batch),
                Event::OutputStarted(operation) => listener.on_output_operation_started(operation),
                Event::OutputCompleted(operation) => listener.on_output_operation_completed(operation),
                Event::ReceiverStarted(receiver) => listener.on_receiver_started(receiver),
                Event::ReceiverError(receiver) => listener.on_receiver_error(receiver),
                Event::ReceiverStopped(receiver) => listener.on_receiver_stopped(receiver),
            }));
            // What it printed, the panic hook has; it may be in any state.
            told.is_ok()
        });
    }
}

/// A receiver of which listeners are told.
#[derive(Clone)]
pub(crate) struct Listened<R> {
    pub(crate) receiver: R,
    pub(crate) name: String,
    pub(crate) bus: Bus,
}

impl<R: StreamReceiver> StreamReceiver for Listened<R> {
    type Item = R::Item;

    fn receive(&mut self, store: &Store<R::Item>) -> Result<(), BoxError> {
        let info = |last_error| ReceiverInfo { name: self.name.clone(), last_error };
        self.bus.tell(Event::ReceiverStarted(info(None)));
        let result = self.receiver.receive(store);
        let info = |last_error| ReceiverInfo { name: self.name.clone(), last_error };
        self.bus.tell(match &result {
            Err(error) if !store.is_stopped() => Event::ReceiverError(info(Some(error.to_string()))),
            _ => Event::ReceiverStopped(info(None)),
        });
        result
    }
}
