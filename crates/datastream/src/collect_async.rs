//! The records of a stream while its job runs (Flink's `collectAsync`).

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::operator::{Cancelled, OperatorContext};
use thalweg_dataflow::operators::{ProcessContext, ProcessFunction};
use thalweg_dataflow::runtime::JobHandle;

/// So many records may wait to be taken; then the job waits.
const WAITING: usize = 1024;

/// What [`DataStream::collect_async`](crate::DataStream::collect_async) collects. While nobody takes records, the job waits; when this is dropped, they are
/// dropped, too. Records that are read again after a failure come again.
///
/// ```
/// use thalweg_datastream::StreamExecutionEnvironment;
///
/// let env = StreamExecutionEnvironment::new();
/// let doubled = env.from_sequence(1, 1_000_000).map(|n| n * 2).collect_async();
/// let job = env.execute_async("doubled")?;
/// assert_eq!(doubled.of(&job).take(3).filter(|n| n % 2 == 0).count(), 3);
/// job.cancel();
/// # Ok::<(), thalweg_datastream::JobError>(())
/// ```
#[derive(Debug)]
pub struct CollectedAsync<T> {
    records: Receiver<T>,
}

impl<T: Send + 'static> CollectedAsync<T> {
    pub(crate) fn new() -> (Collect<T>, Self) {
        let (sender, records) = sync_channel(WAITING);
        (Collect { sender, cancelled: Cancelled::default() }, Self { records })
    }

    /// The records of the job, as they come: each call waits for the next one, and there is none when the job has ended.
    pub fn of(self, job: &JobHandle) -> impl Iterator<Item = T> {
        std::iter::from_fn(move || {
            loop {
                // Asked before, as there may be records that came before the end.
                let ended = job.is_finished();
                match self.records.recv_timeout(Duration::from_millis(if ended { 0 } else { 20 })) {
                    Ok(record) => return Some(record),
                    Err(RecvTimeoutError::Disconnected) => return None,
                    Err(RecvTimeoutError::Timeout) if ended => return None,
                    Err(RecvTimeoutError::Timeout) => {}
                }
            }
        })
    }
}

/// Hands records to whoever takes them.
#[derive(Debug)]
pub(crate) struct Collect<T> {
    sender: SyncSender<T>,
    cancelled: Cancelled,
}

impl<T> Clone for Collect<T> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), cancelled: self.cancelled.clone() }
    }
}

impl<T: Send + 'static> ProcessFunction for Collect<T> {
    type In = T;
    type Out = ();

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.cancelled = context.cancelled.clone();
        Ok(())
    }

    fn process_element(&mut self, record: T, _: &mut ProcessContext<'_, ()>) -> Result<(), BoxError> {
        let mut record = record;
        loop {
            match self.sender.try_send(record) {
                // Whoever has enough lets the rest go.
                Ok(()) | Err(TrySendError::Disconnected(_)) => return Ok(()),
                Err(TrySendError::Full(_)) if self.cancelled.is_set() => return Ok(()),
                Err(TrySendError::Full(back)) => {
                    record = back;
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }
    }
}
