//! A source over a receiver: code of the user's that gets records from a system and stores them into the stream, on a thread of its own
//! (Spark's `Receiver`; Flink's `SourceFunction` is a closure).
//!
//! One subtask runs it. When it fails, it is started again two seconds later, and the reason is told; when it returns, the source ends.
//!
//! - **Unreliable**: [`Store::store`] hands a record on. What was handed on before a failure of the job, and not committed, is lost.
//! - **Reliable**: [`Store::store_reliably`] returns when the records are part of a committed checkpoint (or, in a job without
//!   checkpoints, of a batch that is through); then the receiver tells the system that it has them. What the system then gives again after a failure
//!   has not been committed, so nothing is lost; what was committed just before, and not told, is given twice.
//!
//! ```
//! use thalweg_dataflow::source::{ReceiverSource, Store};
//!
//! let numbers = ReceiverSource::new(|store: &Store<u64>| {
//!     for n in 0..10 {
//!         store.store(n)?;
//!     }
//!     Ok(())
//! });
//! # let _ = numbers;
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::handoff::Handoff;
use super::{Source, SourceContext, SourceOutput, SourceReader, SourceStatus, SplitId};
use crate::barrier::{Barrier, Epoch};
use crate::error::{BoxError, panic_message};
use crate::record::Data;
use crate::tell;
use crate::time::{NO_TIMESTAMP, Timestamp};

/// So many records wait to be read, before the receiver waits.
const CAPACITY: usize = 4096;

/// Gets records from somewhere. A closure is one.
pub trait Receiver: Send + 'static {
    /// The records.
    type Item: Data;

    /// Receives until there is nothing more to come, or [`Store::is_stopped`], which it has to look at now and then. It may block.
    ///
    /// # Errors
    /// It is told, and the receiver is started again.
    fn receive(&mut self, store: &Store<Self::Item>) -> Result<(), BoxError>;
}

impl<T, F> Receiver for Function<T, F>
where
    T: Data,
    F: FnMut(&Store<T>) -> Result<(), BoxError> + Send + 'static,
{
    type Item = T;

    fn receive(&mut self, store: &Store<T>) -> Result<(), BoxError> {
        (self.function)(store)
    }
}

/// A receiver that is a closure.
#[derive(Clone)]
pub struct Function<T, F> {
    function: F,
    items: std::marker::PhantomData<fn() -> T>,
}

/// Where a receiver stores what it gets.
pub struct Store<T> {
    handoff: Arc<Handoff<T>>,
}

/// The job is over: the receiver is to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the job does not take any more records")]
pub struct Stopped;

impl<T: Data> Store<T> {
    /// Hands a record on; waits while the job has more than it can take.
    ///
    /// # Errors
    /// When the job is over.
    pub fn store(&self, item: T) -> Result<(), Stopped> {
        self.store_at(item, NO_TIMESTAMP)
    }

    /// Hands a record on with its event time, in milliseconds.
    ///
    /// # Errors
    /// When the job is over.
    pub fn store_at(&self, item: T, timestamp: Timestamp) -> Result<(), Stopped> {
        self.handoff.put(item, timestamp).map(drop).map_err(|_| Stopped)
    }

    /// Hands records on, and returns when they have been committed.
    ///
    /// # Errors
    /// When the job is over before that: they may have been committed, or not.
    pub fn store_reliably(&self, items: impl IntoIterator<Item = T>) -> Result<(), Stopped> {
        let mut last = None;
        for item in items {
            last = Some(self.handoff.put(item, NO_TIMESTAMP).map_err(|_| Stopped)?);
        }
        match last {
            Some(number) if !self.handoff.wait_committed(number) => Err(Stopped),
            _ => Ok(()),
        }
    }

    /// Whether the job is over, or is being restarted with another receiver.
    pub fn is_stopped(&self) -> bool {
        self.handoff.is_closed()
    }

    /// Waits for so long, or until it [is stopped](Self::is_stopped), which it returns.
    pub fn wait(&self, time: Duration) -> bool {
        self.handoff.wait_closed(time)
    }
}

/// Runs a receiver.
#[derive(Clone)]
pub struct ReceiverSource<R> {
    receiver: R,
    identity: String,
    restart_delay: Duration,
}

impl<T, F> ReceiverSource<Function<T, F>>
where
    T: Data,
    F: FnMut(&Store<T>) -> Result<(), BoxError> + Clone + Send + Sync + 'static,
{
    /// A receiver that is a closure.
    pub fn new(receive: F) -> Self {
        Self::of(Function { function: receive, items: std::marker::PhantomData })
    }
}

impl<R: Receiver + Clone + Sync> ReceiverSource<R> {
    /// Runs `receiver`, a clone of it at each start of the job.
    pub fn of(receiver: R) -> Self {
        let identity = crate::type_name::without_paths::<R::Item>();
        Self { receiver, identity, restart_delay: Duration::from_secs(2) }
    }

    /// For how long nothing is done when the receiver has failed. Default: two seconds.
    #[must_use]
    pub fn restart_delay(mut self, delay: Duration) -> Self {
        self.restart_delay = delay;
        self
    }

    /// What it reads, in a few words; see [`Source::identity`].
    #[must_use]
    pub fn described(mut self, identity: impl Into<String>) -> Self {
        self.identity = identity.into();
        self
    }
}

impl<R: Receiver + Clone + Sync> Source for ReceiverSource<R> {
    type Item = R::Item;
    type Reader = ReceiverReader<R>;

    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn reader(&self, context: &SourceContext) -> Result<Self::Reader, BoxError> {
        Ok(ReceiverReader {
            source: context.owns(0).then(|| self.clone()),
            handoff: Arc::new(Handoff::new(CAPACITY)),
            context: context.clone(),
            split: None,
        })
    }
}

/// Hands on what the receiver stores.
pub struct ReceiverReader<R: Receiver> {
    /// `None` where another subtask runs it, and once it runs.
    source: Option<ReceiverSource<R>>,
    handoff: Arc<Handoff<R::Item>>,
    context: SourceContext,
    split: Option<SplitId>,
}

impl<R: Receiver> Drop for ReceiverReader<R> {
    fn drop(&mut self) {
        // Its thread ends when it looks, or when it stores something.
        self.handoff.close();
    }
}

impl<R: Receiver + Clone + Sync> ReceiverSource<R> {
    /// Runs the receiver until it returns, or the job is over.
    fn run(mut self, store: &Store<R::Item>, name: &str) {
        loop {
            let received = catch_unwind(AssertUnwindSafe(|| self.receiver.receive(store)));
            let error = match received {
                Ok(Ok(())) => break,
                Ok(Err(error)) => error,
                Err(panic) => panic_message(&*panic).into(),
            };
            if store.is_stopped() {
                break;
            }
            tell::warn(format_args!(
                "the receiver of '{name}' has failed: {error}; it is started again in {:?}",
                self.restart_delay
            ));
            if store.wait(self.restart_delay) {
                break;
            }
        }
        store.handoff.end();
    }
}

impl<R: Receiver + Clone + Sync> SourceReader for ReceiverReader<R> {
    type Item = R::Item;
    /// How many have been read. Nothing can be read again by it.
    type Position = u64;

    fn open(&mut self, _: Option<Vec<(String, u64)>>) -> Result<(), BoxError> {
        let Some(source) = self.source.take() else {
            self.handoff.end();
            return Ok(());
        };
        let (store, name) = (Store { handoff: self.handoff.clone() }, self.context.operator.name.clone());
        let thread = std::thread::Builder::new().name("thalweg-receive".to_owned());
        thread.spawn(move || source.run(&store, &name))?;
        Ok(())
    }

    fn poll(&mut self, output: &mut SourceOutput<R::Item>) -> Result<SourceStatus, BoxError> {
        Ok(self.handoff.poll(output, &mut self.split, "receiver", &self.context.waker))
    }

    fn positions(&mut self) -> Vec<(String, u64)> {
        self.split.iter().map(|_| ("receiver".to_owned(), self.handoff.taken())).collect()
    }

    fn barrier(&mut self, barrier: &Barrier) {
        self.handoff.barrier(barrier.epoch);
    }

    fn committed(&mut self, epoch: Epoch) -> Result<(), BoxError> {
        self.handoff.committed(epoch);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Instant;

    use super::*;
    use crate::barrier::Then;
    use crate::source::testing::context;

    fn read_all<R: SourceReader>(reader: &mut R) -> Vec<R::Item> {
        let (mut output, mut items, until) =
            (SourceOutput::new(), Vec::new(), Instant::now() + Duration::from_secs(20));
        while reader.poll(&mut output).unwrap() != SourceStatus::End {
            items.extend(output.take().into_iter().map(|record| record.value));
            assert!(Instant::now() < until);
            std::thread::sleep(Duration::from_millis(1));
        }
        items
    }

    #[test]
    fn a_receiver_that_fails_is_started_again() {
        let attempts = Arc::new(AtomicU64::new(0));
        let receive = move |store: &Store<u64>| {
            let attempt = attempts.fetch_add(1, Ordering::SeqCst);
            store.store(attempt)?;
            match attempt {
                0 => Err("no connection".into()),
                1 => panic!("worse"),
                _ => Ok(()),
            }
        };
        let source = ReceiverSource::new(receive).restart_delay(Duration::from_millis(5));
        let mut reader = source.reader(&context(0, 2)).unwrap();
        reader.open(None).unwrap();
        let mut other = source.reader(&context(1, 2)).unwrap();
        other.open(None).unwrap();
        assert_eq!(read_all(&mut reader), [0, 1, 2]);
        assert!(read_all(&mut other).is_empty());
    }

    #[test]
    fn a_reliable_one_waits_until_its_records_are_committed() {
        let told = Arc::new(AtomicU64::new(0));
        let at_system = told.clone();
        let source = ReceiverSource::new(move |store: &Store<u64>| {
            store.store_reliably([1, 2, 3])?;
            at_system.store(3, Ordering::SeqCst);
            store.store_reliably([4])?;
            Ok(())
        });
        let mut reader = source.reader(&context(0, 1)).unwrap();
        reader.open(None).unwrap();
        let (mut output, mut items) = (SourceOutput::new(), Vec::new());
        while items.len() < 3 {
            reader.poll(&mut output).unwrap();
            items.extend(output.take().into_iter().map(|record| record.value));
        }
        reader.barrier(&Barrier { epoch: 1, time: 0, checkpoint: true, then: Then::Continue });
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(told.load(Ordering::SeqCst), 0);
        reader.committed(1).unwrap();
        while items.len() < 4 {
            reader.poll(&mut output).unwrap();
            items.extend(output.take().into_iter().map(|record| record.value));
        }
        assert_eq!(told.load(Ordering::SeqCst), 3);
        // The fourth is never committed; the thread must not stay.
        let handoff = reader.handoff.clone();
        drop(reader);
        let until = Instant::now() + Duration::from_secs(20);
        while Arc::strong_count(&handoff) > 1 {
            assert!(Instant::now() < until);
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
